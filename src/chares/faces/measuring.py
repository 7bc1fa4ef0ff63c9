"""``chares predict``, ``chares validate`` and ``chares calibrate``: tables of runs."""

from __future__ import annotations

import json
from pathlib import Path

import click

from chares.faces.options import CALIBRATION, LANGUAGE, calibrated

TABLE = click.Path(path_type=Path)
OUT = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
JSON = click.option("--json", "as_json", is_flag=True, help="Print plain data.")


@click.command(
    epilog="\b\nExamples:\n  chares predict runs.csv"
    "\n  chares predict runs.csv --out predicted.csv"
    "\n  chares predict runs.csv --calibration mine.yaml --json"
    "\n\n\b\nOne line of runs.csv, with the columns that a prediction needs:"
    "\n  id,framework,accelerator,n_accel,n_layers,d_model,n_heads,tp,pp,global_batch,seq_len"
    "\n  a,Megatron-LM,H100-SXM,64,40,5120,40,4,1,512,4096"
)
@click.argument("points", type=TABLE)
@OUT
@JSON
@CALIBRATION
@LANGUAGE
def predict(
    points: Path, out: Path | None, as_json: bool, calibration: Path | None, lang: str
) -> None:
    """Predict step time, speed and memory for each row of POINTS, a CSV of training runs.

    Columns are those of published runs; others are ignored and measured ones never read. Missing
    ones are filled by defaults, which the column `inferred` names. A row that cannot be predicted
    has its reason in `error`.
    """
    from chares import report
    from chares.model import prediction_table, read_rows

    facts = calibrated(calibration)
    table = prediction_table(read_rows(points), facts)
    _write(
        _json({"predictions": table}, facts.hash) if as_json else report.prediction_csv(table), out
    )
    click.echo(report.prediction_summary(table, lang=lang), err=True)


@click.command(
    epilog="\b\nExamples:\n  chares validate\n  chares validate runs.csv more.csv --json"
    "\n  chares validate runs.csv --rows all"
)
@click.argument("points", nargs=-1, type=TABLE)
@click.option(
    "--rows",
    type=click.Choice(["gold", "all"]),
    default="gold",
    show_default=True,
    help="Which runs: those that the table marks as complete and consistent, or every one.",
)
@OUT
@JSON
@CALIBRATION
@LANGUAGE
def validate(
    points: tuple[Path, ...], rows: str, out: Path | None, as_json: bool,
    calibration: Path | None, lang: str,
) -> None:  # fmt: skip
    """Hold predictions against measured runs, by source, with the null models beside them.

    POINTS are CSV files like those of `chares predict`, with a measured step time, tokens/s or
    TFLOP/s. Without any, the project's own published records.
    """
    from chares import report
    from chares.facts import read_table
    from chares.model import read_rows
    from chares.model import validate as compare

    facts = calibrated(calibration)
    tables = points or (read_table("published/training.csv"),)
    runs = [row for table in tables for row in read_rows(table)]
    result = compare(runs, facts, gold=rows == "gold")
    text = _json(result, facts.hash) if as_json else report.validation_text(result, lang) + "\n"
    _write(text, out)


@click.command(
    epilog="\b\nExamples:\n  chares calibrate runs.csv --out mine.yaml"
    "\n  chares train --model llama-3.1-70b --chip h100-sxm --count 512 --calibration mine.yaml"
)
@click.argument("run", type=TABLE)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    default=Path("calibration.yaml"),
    show_default=True,
    help="Where to keep the result.",
)
@JSON
@LANGUAGE
def calibrate(run: Path, out: Path, as_json: bool, lang: str) -> None:
    """Adjust the model to your cluster from RUN, a CSV of your own measured steps.

    Rows need `measured_step_time_s` or `measured_tokens_per_s_per_accel` beside the columns of
    `chares predict`. Few rows move the published parameters little. `predict`, `validate`, `train`
    and `plan` read the result with --calibration.
    """
    from chares import report
    from chares.faces.planning import write_text
    from chares.facts import load
    from chares.model import fit_own_runs, read_rows, record_text

    facts = load()
    fit = fit_own_runs(read_rows(run), facts, where=str(run))
    write_text(out, record_text(fit.document, facts))
    click.echo(f"wrote {out}", err=True)
    data = report.own_fit_data(fit)
    click.echo(_json(data, facts.hash) if as_json else report.own_fit_text(fit, lang))


def _json(content: dict[str, object], digest: str) -> str:
    from chares.report import SCHEMA_VERSION

    head = {"schema_version": SCHEMA_VERSION, "facts_hash": digest}
    return json.dumps(head | content, ensure_ascii=False, indent=1, allow_nan=False) + "\n"


def _write(text: str, out: Path | None) -> None:
    if out is None:
        click.echo(text, nl=False)
        return
    from chares.faces.planning import write_text

    write_text(out, text)
    click.echo(f"wrote {out}", err=True)
