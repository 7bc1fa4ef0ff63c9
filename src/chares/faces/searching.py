"""``chares train``: every legal strategy for a model on a fleet."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chares.errors import InputError, NoPlan
from chares.faces.options import CALIBRATION, DAY, LANGUAGE, calibrated, mind_day, quantity

if TYPE_CHECKING:
    from chares.search import Answer, Size

PRECISIONS = click.Choice(["bf16", "fp16", "fp8", "mxfp8", "nvfp4"])
FILE = click.Path(dir_okay=False, path_type=Path)

#: what names a job, shared by all commands that search
JOB = (
    click.option("--model", required=True, help="Id of a model, or the path of a config.json."),
    click.option("--tokens", callback=quantity("token"), help="Training tokens: 15Ttoken."),
    click.option("--seq", "seq_len", type=click.IntRange(16, 10**8), help="Tokens in a sequence."),
    click.option("--batch", "global_batch", type=click.IntRange(1, 10**8), help="Sequences."),
    click.option("--precision", type=PRECISIONS, default="bf16", show_default=True),
    click.option("--price", "hourly_price", callback=quantity("USD/chip/h"),
                 help="Rent, such as '2 USD/chip/h'."),
    click.option("--on", type=DAY, help="Day of price and software."),
)  # fmt: skip


def job(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that name a job."""
    for option in reversed(JOB):
        command = option(command)
    return command


@click.command(
    epilog="\b\nExamples:\n  chares train --model gpt3-175b --chip a100-sxm-80gb --count 4096"
    "\n  chares train --model llama-3.1-405b --chip h100-sxm --count 16384 --seq 8192"
    " --tokens 15.6Ttoken --batch 2048 --html search.html"
    "\n  chares train --model deepseek-v3 --chip h800-sxm --count 2048 --launch megatron"
    "\n  chares train --model my/config.json --chip h20 --count 512 --heat tp,pp"
)
@job
@click.option("--chip", required=True, help="Id or name of a chip.")
@click.option("--count", required=True, type=click.IntRange(1, 10**7), help="How many chips.")
@click.option("--best", "keep", type=click.IntRange(1, 500), default=10, show_default=True)
@click.option(
    "--offload", is_flag=True, help="Try optimizer, activations and weights in host memory."
)
@click.option(
    "--uneven", is_flag=True, help="Try stages of whole layers that are evened by time, too."
)
@click.option("--heat", metavar="A,B", help="A heat map over two dimensions, such as tp,pp.")
@click.option("--scale", is_flag=True, help="The same job on 8 to a million chips, too.")
@CALIBRATION
@click.option("--json", "as_json", is_flag=True, help="Print plain data.")
@click.option("--html", type=FILE, help="Write a page with charts.")
@click.option("--csv", type=FILE, help="Write the best and the front as CSV.")
@click.option("--parquet", type=FILE, help="Write the best and the front as Parquet.")
@click.option(
    "--all",
    "whole",
    type=FILE,
    metavar="FILE",
    help="Write every legal strategy (.parquet, .csv or .jsonl).",
)
@click.option(
    "--launch",
    type=click.Choice(["megatron", "megatron-bridge", "torchtitan", "deepspeed", "maxtext"]),
    help="Print the best as a configuration of this framework, and nothing else.",
)
@click.option("--trace", type=FILE, help="Write one step of the best as a Chrome trace.")
@LANGUAGE
def train(
    model: str, chip: str, count: int, keep: int, heat: str | None, scale: bool, as_json: bool,
    html: Path | None, csv: Path | None, parquet: Path | None, whole: Path | None,
    launch: str | None, trace: Path | None, lang: str, **options: Any,
) -> int:  # fmt: skip
    """Search every legal strategy: how to split the work, step time, memory, days, cost; and why
    the others lose."""
    from chares.planner import strategies
    from chares.search import sizes

    told = Progress("strategies")
    options["facts"] = calibrated(options.pop("calibration"))
    mind_day(options["on"], chip, options["facts"])
    options |= {"heat": _pair(heat), "framework": launch}
    keep = max(keep, 100) if launch else keep  # the fastest may be beyond the framework
    answer = strategies(model, chip, count, keep=keep, told=told.show, **options)
    told.end()
    scaled = list(sizes(answer.question)) if scale or html else []
    _write(answer, scaled, {"html": html, "csv": csv, "parquet": parquet, "all": whole}, lang)
    if trace or launch:
        _take_away(answer, launch, trace)
    if not launch:
        _print(answer, scaled, as_json, lang)
    return 0 if answer.best else NoPlan.exit_code


def _print(answer: Answer, scaled: list[Size], as_json: bool, lang: str) -> None:
    from chares import report

    if as_json:
        plain = answer.as_dict() | ({"scale": [s.as_dict() for s in scaled]} if scaled else {})
        click.echo(json.dumps(plain, indent=1, allow_nan=False))
    else:
        report.print_ranking(answer, scaled, sys.stdout, lang)


def _write(answer: Answer, scaled: list[Size], files: dict[str, Path | None], lang: str) -> None:
    from chares import report
    from chares.faces.planning import write_text

    if files["html"]:
        write_text(files["html"], report.page(report.ranking_outline(answer, scaled, lang)))
    if files["csv"]:
        write_text(files["csv"], report.ranking_csv(answer))
    if files["parquet"]:
        from chares.search import write_table

        write_table(answer.table(), files["parquet"])
    if files["all"]:
        from chares.search import write_all

        told = Progress("rows")
        write_all(answer, files["all"], told.show)
        told.end()
    for path in filter(None, files.values()):
        click.echo(f"wrote {path}", err=True)


def _take_away(answer: Answer, launch: str | None, trace: Path | None) -> None:
    from chares.faces.planning import write_text
    from chares.search import launch_notes, launch_text, trace_of

    if not answer.best:
        raise NoPlan("no-strategy-fits", "there is no strategy to take away")
    if trace:
        write_text(trace, json.dumps(trace_of(answer)))
        click.echo(f"wrote {trace}", err=True)
    if launch:
        click.echo(launch_text(answer, launch), nl=False)
        if launch == "deepspeed":  # JSON has no comments
            for note in launch_notes(answer, launch):
                click.echo(f"not told: {note}", err=True)


def _pair(heat: str | None) -> tuple[str, str] | None:
    if heat is None:
        return None
    names = [n.strip() for n in heat.split(",")]
    if len(names) != 2:
        raise InputError(
            "not-two-dimensions", f"`{heat}` is not two dimensions", where="--heat",
            hint="write tp,pp",
        )  # fmt: skip
    return names[0], names[1]


class Progress:
    """A line on stderr that grows while a long search works; nothing where it is short, or where
    stderr is no terminal."""

    EVERY = 1_000_000

    def __init__(self, what: str) -> None:
        self.what = what
        self.next = self.EVERY
        self.live = sys.stderr.isatty()

    def show(self, done: int) -> None:
        """So many are done."""
        if self.live and done >= self.next:
            click.echo(f"\r{done:,} {self.what}", nl=False, err=True)
            self.next = done + self.EVERY

    def end(self) -> None:
        """Clear the line."""
        if self.live and self.next > self.EVERY:
            click.echo("\r" + " " * 40 + "\r", nl=False, err=True)
