"""``chares train``: every legal strategy for a model on a fleet."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import click

from chares.faces.options import DAY, quantity

PRECISIONS = click.Choice(["bf16", "fp16", "fp8", "mxfp8", "nvfp4"])


@click.command(
    epilog="\b\nExamples:\n  chares train --model gpt3-175b --chip a100-sxm-80gb --count 4096"
    "\n  chares train --model llama-3.1-405b --chip h100-sxm --count 16384 --seq 8192"
    " --tokens 15.6Ttoken --batch 2048"
    "\n  chares train --model my/config.json --chip h20 --count 512"
)
@click.option("--model", required=True, help="Id of a model, or the path of a config.json.")
@click.option("--chip", required=True, help="Id or name of a chip.")
@click.option("--count", required=True, type=click.IntRange(1, 10**7), help="How many chips.")
@click.option("--tokens", callback=quantity("token"), help="Training tokens, such as 15Ttoken.")
@click.option("--seq", type=click.IntRange(16, 10**8), help="Tokens in a sequence.")
@click.option("--batch", type=click.IntRange(1, 10**8), help="Sequences in a step.")
@click.option("--precision", type=PRECISIONS, default="bf16", show_default=True)
@click.option("--price", callback=quantity("USD/chip/h"), help="Rent, such as '2 USD/chip/h'.")
@click.option("--on", type=DAY, help="Day of the price (default: today).")
@click.option("--best", "keep", type=click.IntRange(1, 500), default=10, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print plain data.")
@click.option("--csv", type=click.Path(dir_okay=False, path_type=Path), help="Write the table.")
def train(
    model: str,
    chip: str,
    count: int,
    tokens: float | None,
    seq: int | None,
    batch: int | None,
    precision: str,
    price: float | None,
    on: date | None,
    keep: int,
    as_json: bool,
    csv: Path | None,
) -> None:
    """Search every legal strategy: how to split the work, step time, memory, days, cost; and why
    the others lose."""
    from chares import report
    from chares.planner import strategies

    answer = strategies(
        model, chip, count,
        tokens=tokens, seq_len=seq, global_batch=batch, precision=precision,
        hourly_price=price, on=on, keep=keep,
    )  # fmt: skip
    if csv:
        from chares.faces.planning import write_text

        write_text(csv, report.ranking_csv(answer))
        click.echo(f"wrote {csv}", err=True)
    if as_json:
        click.echo(json.dumps(answer.as_dict(), indent=1, allow_nan=False))
    else:
        report.print_ranking(answer)
