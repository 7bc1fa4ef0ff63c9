"""``chares facts``, ``law``, ``cases`` and ``schema``."""

from __future__ import annotations

import json
from datetime import date

import click

from chares.faces.options import DAY


@click.command(epilog="\b\nExamples:\n  chares facts h800-sxm\n  chares facts price h100 --json")
@click.argument("words", nargs=-1, required=True)
@click.option("--on", type=DAY, help="Mark the record that holds on this day.")
@click.option("--known-by", type=DAY, help="Only what was published by then.")
@click.option("--json", "as_json", is_flag=True)
def facts(words: tuple[str, ...], on: date | None, known_by: date | None, as_json: bool) -> None:
    """Look up facts by words of their subject and quantity; sources that disagree stand side by
    side."""
    from chares import report
    from chares.facts import load

    table = load().known(known_by)
    found = table.search(words)
    if not found:
        everything = {f"{f.subject} {f.quantity}" for f in table.search([])}
        from chares.errors import UnknownName

        unknown = UnknownName("fact", " ".join(words), everything)
        if unknown.hint.startswith("known"):  # the first few of thousands help nobody
            unknown.hint = "words of a subject and a quantity, such as `chares facts h100 memory`"
        raise unknown
    rows = report.fact_rows(found, table, on)
    click.echo(
        json.dumps(rows, ensure_ascii=False, indent=1) if as_json else report.fact_text(rows)
    )


@click.command(
    epilog="\b\nExamples:\n  chares law\n  chares law 3a090-2023 --as-of 2024-01-01"
    "\n  chares law law/us/letters-2025-04"
)
@click.argument("path", required=False, default="")
@click.option("--as-of", type=DAY, help="The day asked about (default: today).")
@click.option("--known-by", type=DAY, help="Only what was published by then.")
def law(path: str, as_of: date | None, known_by: date | None) -> None:
    """Print an instrument of law as it stood on a day; without PATH, list all that are kept."""
    from chares import report
    from chares.errors import UnknownName
    from chares.facts import load

    table = load().known(known_by)
    name = path.removesuffix(".yaml").rsplit("/", 1)[-1]
    kept = [i for c in table.collections() if c.startswith("law") for i in table.ids(c)]
    if name and name not in kept:
        raise UnknownName("law", path, kept)
    click.echo(report.law_text(table, as_of or date.today(), name))


@click.command()
def cases() -> None:
    """List the worked cases that come with chares."""
    from chares.spec import read_case, shipped_cases

    for name in shipped_cases():
        case = read_case(name)
        click.echo(f"{name:20} {case.name}: {case.about}")


@click.command()
def schema() -> None:
    """Print the JSON Schema of a case file; editors use it to complete and to check."""
    from chares.spec import Case

    click.echo(json.dumps(Case.model_json_schema(), indent=1))
