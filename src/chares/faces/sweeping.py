"""``chares sweep``: many searches into one Parquet file."""

from __future__ import annotations

import sys
import time
from datetime import date
from pathlib import Path

import click

from chares.errors import InputError
from chares.faces.searching import FILE


@click.command(
    epilog="\b\nA sweep file:\n  model: [llama-3-70b, deepseek-v3]\n  chip: [h100-sxm, h200-sxm]"
    "\n  count: [1024, 2048, 4096]\n  seq_len: [4096, 8192]\n  day: [2025-06-01]"
    "\n\nQuery the result:\n  duckdb -c \"select model, chip, min(days) from 'out.parquet' group by"
    ' all"'
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=FILE, help="The Parquet file (default: FILE with .parquet).")
@click.option("--engine", default="local", show_default=True, help="local, ray or ray://HOST:PORT.")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes (default: all cores).")
def sweep(file: Path, out: Path | None, engine: str, workers: int | None) -> None:
    """Cross models, chips, counts, lengths, batches and days. A sweep that was killed goes on
    where it was when it is started again."""
    from chares.facts import load, read_document
    from chares.planner import rent_of
    from chares.search import Sweep
    from chares.search import sweep as run

    if not (engine == "local" or engine == "ray" or engine.startswith("ray://")):
        raise InputError("unknown-engine", f"there is no engine `{engine}`", hint="local, ray://")
    if out and out.suffix != ".parquet":
        raise InputError(
            "unknown-format", f"`{out.name}` is no .parquet", where="--out", hint="end it so"
        )
    document = read_document(file.read_bytes(), file.name).plain()
    if not isinstance(document, dict):
        raise InputError("bad-sweep", f"{file} holds no keys", hint="see `chares sweep --help`")
    facts, target = load(), out or file.with_suffix(".parquet")
    begun = time.monotonic()

    def price(chip: str, on: str | None) -> float | None:
        return rent_of(chip, date.fromisoformat(on) if on else date.today(), facts)

    def told(done: int, whole: int) -> None:
        if sys.stderr.isatty():
            width = 30 * done // whole
            line = f"\r{'█' * width}{'░' * (30 - width)} {done:,}/{whole:,} rows"
            click.echo(line, nl=done == whole, err=True)

    rows = run(Sweep.of(document), target, price, engine, workers, told)
    click.echo(f"wrote {target}: {rows:,} rows in {time.monotonic() - begun:.1f} s", err=True)
    _unanswered(target)


def _unanswered(target: Path) -> None:
    """Say on stderr how many rows have no strategy, and why; how many are far from any run."""
    from collections import Counter

    import pyarrow.parquet as parquet

    names = {"error", "grade"} & set(parquet.read_schema(target).names)
    rows = parquet.read_table(target, columns=sorted(names)).to_pylist()
    errors = Counter(r["error"] for r in rows if r["error"])
    for reason, count in errors.most_common(8):
        click.echo(f"  {count:,} without a strategy: {reason}", err=True)
    far = sum(r.get("grade") == "extrapolated" for r in rows)
    if far:
        click.echo(f"  {far:,} extrapolated: `warning` says beyond what", err=True)
