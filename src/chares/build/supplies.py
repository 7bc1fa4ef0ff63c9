"""Sources of power with their days: what the case says, or what is known about its site."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chares.build.power import first_day_of_power, lawful_supply, supply_on
from chares.facts import Facts
from chares.ledger import Figure
from chares.spec import Case

if TYPE_CHECKING:
    from chares.permit import Limits

# kind of source -> quantity of a site's facts: a series in which each record replaces the last
SERIES = {"grid": "grid_power", "turbines": "turbine_power", "battery": "battery_power"}
PEAKS = ("battery",)  # a store shaves peaks and fills gaps; it does not carry a load for weeks


@dataclass(frozen=True, slots=True)
class Source:
    """Power of one kind from one day to another (exclusive), as day numbers or figures of them."""

    kind: str
    power: Figure
    start: Any
    end: Any = math.inf


def sources(case: Case, site: str | None, facts: Facts) -> tuple[Source, ...]:
    """The sources of the case; where it names none, those that are known about its site."""
    if case.site and case.site.supplies:
        return tuple(_given(case))
    return tuple(_known(site, facts)) if site else ()


def _given(case: Case) -> Iterable[Source]:
    assert case.site
    for i, s in enumerate(case.site.supplies):
        at = f"site.supplies[{i}]"
        start = case.given(f"{at}.online", s.online, "date", f"{s.kind}: first day", s.source)
        end: Any = math.inf
        if s.until:
            end = case.given(f"{at}.until", s.until, "date", f"{s.kind}: last day", s.source)
        power = case.given(f"{at}.power", s.power, "W", f"{s.kind}: power", s.source)
        yield Source(s.kind, power, start, end)


def _known(site: str, facts: Facts) -> Iterable[Source]:
    for kind, quantity in SERIES.items():
        if quantity not in facts.quantities(site):
            continue
        days = sorted({f.valid_from for f in facts.all(site, quantity) if f.valid_from})
        for day, after in zip(days, [*days, None][1:], strict=True):
            record = facts.get(site, quantity, on=day)  # the strongest of that day
            end = after.toordinal() if after else math.inf
            yield Source(kind, record.figure(f"{kind} on {day}"), day.toordinal(), end)


def carrying(all_sources: Iterable[Source]) -> tuple[Source, ...]:
    """The sources that carry a load for weeks, so all but stores."""
    return tuple(s for s in all_sources if s.kind not in PEAKS)


def given_on(day: Figure | float, of: Iterable[Source]) -> Figure | None:
    """Power of some sources on a day; None where there are none."""
    of = tuple(of)
    if not of:
        return None
    return supply_on(day, [s.start for s in of], [s.end for s in of], [s.power for s in of])


def lawful_on(day: Figure | float, of: Iterable[Source], limits: Limits | None) -> Figure | None:
    """Power of some sources on a day, less what stands there and may not run."""
    given = given_on(day, of)
    if given is None or not limits:
        return None
    starts = [float(step.start.toordinal()) for step in limits.steps]
    return lawful_supply(given, day, starts, [step.excess for step in limits.steps])


def first_day(need: Figure | float, t0: Figure, of: Iterable[Source]) -> Figure | None:
    """The first day from ``t0`` on which some sources give a power; None where no day does."""
    of = tuple(of)
    if not of:
        return None
    ends = [s.end for s in of]
    powers = [s.power for s in of]
    found = first_day_of_power(need, t0, [s.start for s in of], ends, powers)
    return None if math.isnan(found.value) else found
