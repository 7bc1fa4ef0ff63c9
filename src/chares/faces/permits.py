"""``chares permit``: one question to the law, on a day."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING

import click

from chares.faces.options import DAY, quantity

if TYPE_CHECKING:
    from chares.permit import Verdict

ON = click.option("--on", type=DAY, required=True, help="The day of the deed.")
KNOWN_BY = click.option("--known-by", type=DAY, help="Only rules published by then.")
JSON = click.option("--json", "as_json", is_flag=True, help="Print plain data.")


@click.group(
    epilog="\b\nExamples:\n  chares permit export --chip h800-sxm --to CN --on 2023-10-22"
    "\n  chares permit export --chip h20 --to CN --on 2025-07-18"
    "\n  chares permit report --compute '4.64e26 FLOP' --on 2025-01-10"
    "\n  chares permit power --site colossus-1 --place memphis --on 2025-06-01"
)
def permit() -> None:
    """Ask the law one question, on a day."""


@permit.command()
@click.option("--chip", required=True, help="Id or name of a chip.")
@click.option("--to", required=True, metavar="CC", help="Country of destination (two letters).")
@ON
@click.option("--headquarters", metavar="CC", default="", help="Of the buyer's ultimate parent.")
@KNOWN_BY
@JSON
def export(
    chip: str, to: str, on: date, headquarters: str, known_by: date | None, as_json: bool
) -> None:
    """May this chip be exported from the United States to a country?"""
    from chares import permit as law
    from chares.facts import load

    facts = load().known(known_by)
    chip = facts.resolve("chips", chip)
    answer = law.export(chip, to.upper(), on, facts, headquarters=headquarters.upper())
    _show(answer, as_json)


@permit.command(name="import")
@click.option("--chip", required=True)
@click.option("--into", required=True, metavar="CC")
@ON
@KNOWN_BY
@JSON
def import_(chip: str, into: str, on: date, known_by: date | None, as_json: bool) -> None:
    """Does the country of destination let it in?"""
    from chares import permit as law
    from chares.facts import load

    facts = load().known(known_by)
    _show(law.importing(facts.resolve("chips", chip), into.upper(), on, facts), as_json)


@permit.command()
@ON
@click.option("--instrument", default="eo-14110", show_default=True)
@click.option("--compute", callback=quantity("FLOP"), help="FLOP of the training run.")
@click.option("--biological", is_flag=True, help="Trained mainly on biological sequences.")
@click.option("--cluster", callback=quantity("FLOP/s"), help="Theoretical peak of the cluster.")
@click.option("--network", callback=quantity("B/s"), help="Networking of the cluster.")
@click.option("--revenue", callback=quantity("USD"), help="Of the developer, the year before.")
@KNOWN_BY
@JSON
def report(
    on: date,
    instrument: str,
    compute: float | None,
    biological: bool,
    cluster: float | None,
    network: float | None,
    revenue: float | None,
    known_by: date | None,
    as_json: bool,
) -> None:
    """Must this training run or cluster be reported?"""
    from chares import permit as law
    from chares.facts import load

    answer = law.report(
        on,
        load().known(known_by),
        instrument=instrument,
        training_operations=compute,
        biological=biological,
        cluster={"peak": cluster} if cluster else None,
        network=network,
        revenue=revenue,
    )
    _show(answer, as_json)


@permit.command()
@click.option("--site", required=True, help="A site that chares has facts about.")
@click.option("--place", required=True, help="Where its power is permitted: memphis, ...")
@ON
@KNOWN_BY
@JSON
def power(site: str, place: str, on: date, known_by: date | None, as_json: bool) -> None:
    """May all the power sources of this site run?"""
    from chares import permit as law
    from chares.facts import load

    facts = load().known(known_by)
    sources = law.power_sources(facts.resolve("sites", site), facts)
    _show(law.power(sources, place, on, facts), as_json)


def _show(answer: Verdict, as_json: bool) -> None:
    from chares import report

    if as_json:
        click.echo(json.dumps(answer.as_dict(), ensure_ascii=False, indent=1))
    else:
        click.echo(report.verdict_text(answer))
