"""The timeline of a site: phases, power chain, comparisons, and figures answered by id."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from chares.build.dates import day_of_chips, elapsed
from chares.build.phases import Fleet, Lot, Phase, phases
from chares.build.power import Chain, chain, power_of_first, pue
from chares.build.supplies import (
    Source,
    carrying,
    first_day,
    given_on,
    lawful_on,
    sources,
)
from chares.facts import Facts
from chares.ledger import Figure, NotAsked
from chares.spec import Case

if TYPE_CHECKING:
    from chares.permit import Limits

LEAD_TIMES = "build-lead-times"


@dataclass(frozen=True, slots=True)
class Comparison:
    """How long something of the kind took or takes elsewhere [s]."""

    id: str
    label: str
    duration: Figure


@dataclass(frozen=True, slots=True)
class Timeline:
    """When which chips run on which power. ``figures`` holds what stands by itself; any number of
    chips or any day is answered by `figure`."""

    start: Figure | None
    phases: tuple[Phase, ...]
    chains: tuple[Chain, ...]
    sources: tuple[Source, ...]
    comparisons: tuple[Comparison, ...]
    critical: str
    figures: dict[str, Figure]
    fleet: Fleet = field(repr=False)
    site: str | None = None
    limits: Limits | None = field(default=None, repr=False)

    def __repr__(self) -> str:
        last = self.phases[-1]
        return (
            f"<Timeline: {last.chips.value:,.0f} chips in {len(self.phases)} phases,"
            f" {last.facility_power.value / 1e6:,.0f} MW>"
        )

    def figure(self, id: str) -> Figure | None:
        """The figure with an id, or None where there is none.

        Answered for any number of chips and any day: ``site.days_to_chips(100000)``,
        ``site.days_between_chips(100000,200000)``, ``site.date_of_chips(100000)``,
        ``site.power_of_chips(100000)``, ``site.chips_on(2024-09-02)``, ``site.power_on(...)``,
        ``site.supply_on(...)``.
        """
        if id in self.figures:
            return self.figures[id]
        match = re.fullmatch(r"site\.([a-z_]+)\(([^()]{1,60})\)", id.replace(" ", ""))
        if not match or match[1] not in QUESTIONS:
            return None
        read, answer = QUESTIONS[match[1]]
        arguments = [read(word) for word in match[2].split(",")]
        wanted = 2 if match[1] == "days_between_chips" else 1
        if len(arguments) != wanted or None in arguments:
            return None
        found = answer(self, *arguments)
        if found is None or (isinstance(found.value, float) and math.isnan(found.value)):
            return None
        return found.named(id, _label(match[1], match[2]))


def timeline(case: Case, limits: Limits | NotAsked | None, facts: Facts) -> Timeline | NotAsked:
    """When which chips of the fleet run, what they draw, and on which power.

    ``limits`` may be None or `NotAsked`: then no law holds the turbines. Raises `UnknownName` for
    a chip or a site that is not known.
    """
    if not case.fleet:
        return NotAsked("the case has no fleet")
    site = facts.resolve("sites", case.site.id) if case.site and case.site.id else None
    fleet = _fleet(case, site, facts)
    supply = sources(case, site, facts)
    law = None if isinstance(limits, NotAsked) else limits
    steps = phases(fleet, supply, law, site, facts)
    start = _start(case, site, facts)
    chains = {x.chip: x.chain for x in fleet.lots}
    compared = _comparisons(facts) if case.site else ()
    critical = next((p.critical for p in steps if p.critical), "")
    figures = _figures(start, steps, tuple(chains.values()), supply, compared)
    return Timeline(
        start, steps, tuple(chains.values()), supply, compared, critical, figures, fleet, site, law
    )  # fmt: skip


def _fleet(case: Case, site: str | None, facts: Facts) -> Fleet:
    usage = pue(case, site, facts)
    chains: dict[str, Chain] = {}
    lots = []
    for i, batch in enumerate(case.fleet):
        chip = facts.resolve("chips", batch.chip)
        if chip not in chains:
            chains[chip] = chain(chip, usage, facts)
        count = case.given(f"fleet[{i}].count", batch.count, "chip", f"{chip}: chips", batch.source)
        lots.append(Lot(chip, count, _online(case, i), chains[chip]))
    return Fleet(tuple(lots))


def _online(case: Case, i: int) -> Figure:
    """The day of a batch; one without a day is there on the day of the case."""
    batch = case.fleet[i]
    if batch.online is None:
        return case.given("as_of", case.as_of, "date", "day of the case")
    label = f"{batch.chip}: first day online"
    return case.given(f"fleet[{i}].online", batch.online, "date", label, batch.source)


def _start(case: Case, site: str | None, facts: Facts) -> Figure | None:
    if case.site and case.site.start:
        found = case.given("site.start", case.site.start, "date", "first day of works")
    elif site and facts.has(site, "start"):
        found = facts.figure(site, "start", label="first day of works")
    else:
        return None
    return found.named("site.start", "first day of works")


def _figures(
    start: Figure | None,
    steps: tuple[Phase, ...],
    chains: tuple[Chain, ...],
    supply: tuple[Source, ...],
    compared: tuple[Comparison, ...],
) -> dict[str, Figure]:
    last = steps[-1]
    found = [
        last.chips.named("site.chips", "chips online in the last phase"),
        last.it_power.named("site.it_power", "IT power of the last phase"),
        last.facility_power.named("site.power", "facility power of the last phase"),
        *([start] if start else []),
        *(f for c in chains for f in (c.server, c.it, c.facility)),
        *(f for p in steps for f in p.figures.values()),
        *(c.duration for c in compared),
        *_grid_only(start, steps[0], supply),
    ]
    return {f.id: f for f in found}


def _grid_only(
    start: Figure | None, first: Phase, supply: tuple[Source, ...]
) -> tuple[Figure, ...]:
    """What the calendar would be if there were only the grid."""
    grid = [s for s in carrying(supply) if s.kind == "grid"]
    day = first_day(first.facility_power, start or first.online, grid)
    if day is None:
        return ()
    day = day.named("site.grid_only_day", "first day on which the grid alone carries phase 1")
    wait = elapsed(first.online, day)
    return day, wait.named("site.grid_only_wait", "what waiting for the grid would have cost")


def _comparisons(facts: Facts) -> tuple[Comparison, ...]:
    found = []
    for other in facts.ids("sites"):
        if facts.has(other, "start") and facts.has(other, "first_building"):
            begun, done = facts.figure(other, "start"), facts.figure(other, "first_building")
            label = f"{facts.subject(other).name}: start to first building"
            found.append((f"site.compare.{other}", label, elapsed(begun, done)))
    for quantity in (q for q in facts.quantities(LEAD_TIMES) if facts.has(LEAD_TIMES, q)):
        record = facts.get(LEAD_TIMES, quantity)
        if record.unit != "rack/day":
            label = f"{quantity.replace('_', ' ')}, usual wait"
            found.append((f"site.compare.{quantity}", label, record.figure(label)))
    return tuple(Comparison(i, text, f.named(i, text, "s")) for i, text, f in found)


# figures answered by id -----------------------------------------------------------------------


def _count(word: str) -> float | None:
    return float(word) if re.fullmatch(r"[1-9][\d_]{0,12}", word) else None


def _day(word: str) -> float | None:
    try:
        return float(date.fromisoformat(word).toordinal())
    except ValueError:
        return None


def _date_of(site: Timeline, count: float) -> Figure:
    return day_of_chips(count, *site.fleet.columns())


def _days_to(site: Timeline, count: float) -> Figure | None:
    return elapsed(site.start, _date_of(site, count)) if site.start else None


def _days_between(site: Timeline, first: float, last: float) -> Figure:
    return elapsed(_date_of(site, first), _date_of(site, last))


def _power_of(site: Timeline, count: float) -> Figure:
    return power_of_first(count, *site.fleet.columns(), site.fleet.watts)


def _supply(site: Timeline, day: float) -> Figure | None:
    return given_on(day, carrying(site.sources))


def _lawful(site: Timeline, day: float) -> Figure | None:
    return lawful_on(day, carrying(site.sources), site.limits)


QUESTIONS: dict[str, tuple[Callable[[str], float | None], Callable[..., Figure | None]]] = {
    "days_to_chips": (_count, _days_to),
    "days_between_chips": (_count, _days_between),
    "date_of_chips": (_count, _date_of),
    "power_of_chips": (_count, _power_of),
    "chips_on": (_day, lambda site, day: site.fleet.chips(day)),
    "power_on": (_day, lambda site, day: site.fleet.facility_power(day)),
    "it_power_on": (_day, lambda site, day: site.fleet.it_power(day)),
    "supply_on": (_day, _supply),
    "lawful_supply_on": (_day, _lawful),
}
_LABELS = {
    "days_to_chips": "first day of works to {} chips",
    "days_between_chips": "time from one number of chips to another ({})",
    "date_of_chips": "day on which {} chips are online",
    "power_of_chips": "facility power of the first {} chips",
    "chips_on": "chips online on {}",
    "power_on": "facility power on {}",
    "it_power_on": "IT power on {}",
    "lawful_supply_on": "power that may lawfully be used on {}",
    "supply_on": "power of the sources on record on {}",
}


def _label(question: str, words: str) -> str:
    shown = re.sub(r"\d{4,}(?!-)", lambda m: f"{int(m[0]):,}", words.replace("_", ""))
    return _LABELS[question].format(words if "-" in words else shown)
