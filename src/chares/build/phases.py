"""The phases of a site: chips online by day, what they draw, and which power carries them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chares.build.dates import chips_on, day_of_phase, elapsed
from chares.build.power import Chain, headroom, power_on, powered_chips
from chares.build.supplies import Source, carrying, first_day, given_on, lawful_on
from chares.facts import Facts
from chares.ledger import Figure

if TYPE_CHECKING:
    from chares.permit import Limits

UNITS = {"published_power": "W"}  # a fact's leaf has the unit of its record


@dataclass(frozen=True, slots=True)
class Lot:
    """One batch of the case: what chip, how many, from when, and its power chain."""

    chip: str
    count: Figure
    online: Figure
    chain: Chain


@dataclass(frozen=True, slots=True)
class Fleet:
    """All batches. Columns feed the formulas, which pick by day what is online."""

    lots: tuple[Lot, ...]

    def columns(self, chip: str | None = None) -> tuple[list[Figure], list[Figure]]:
        """Days and counts of all batches, or of those of one kind of chip."""
        lots = [x for x in self.lots if chip in (None, x.chip)]
        return [x.online for x in lots], [x.count for x in lots]

    def chips(self, day: Figure | float, chip: str | None = None) -> Figure:
        """Chips online on a day."""
        return chips_on(day, *self.columns(chip))

    def it_power(self, day: Figure | float) -> Figure:
        """IT power on a day [W]."""
        return power_on(day, *self.columns(), [x.chain.it for x in self.lots])

    def facility_power(self, day: Figure | float) -> Figure:
        """Power at the meter on a day [W]."""
        return power_on(day, *self.columns(), self.watts)

    @property
    def watts(self) -> list[Figure]:
        """Facility power per chip, by batch."""
        return [x.chain.facility for x in self.lots]

    @property
    def kinds(self) -> list[str]:
        """The kinds of chip, in the order of the case."""
        return list(dict.fromkeys(x.chip for x in self.lots))


@dataclass(frozen=True, slots=True)
class Hold:
    """How long a phase would wait if one kind of power were not there.

    ``day`` is None where the other sources never carry the phase; ``delay`` [s] counts from the
    day on which its chips come online.
    """

    kind: str
    day: Figure | None
    delay: Figure | None


@dataclass(frozen=True, slots=True)
class Phase:
    """What is there from one day on. Counts and powers are cumulative.

    ``supply`` and what follows is None where no source of power is known. ``carried`` is the first
    day on which the known sources carry the phase, ``grid_only`` the same for the grid alone.
    """

    number: int
    online: Figure
    batches: tuple[tuple[str, Figure], ...]
    by_chip: tuple[tuple[str, Figure], ...]
    chips: Figure
    it_power: Figure
    facility_power: Figure
    published_power: Figure | None = None
    supply: Figure | None = None
    lawful_supply: Figure | None = None
    headroom: Figure | None = None
    powered_chips: Figure | None = None
    carried: Figure | None = None
    grid_only: Figure | None = None
    holds: tuple[Hold, ...] = ()
    critical: str = ""

    @property
    def figures(self) -> dict[str, Figure]:
        """The phase's figures under their ids, ``site.phase1.chips``."""
        return {
            f.id: f
            for name in (
                "online chips it_power facility_power published_power supply lawful_supply"
                " headroom powered_chips carried grid_only"
            ).split()
            if (f := getattr(self, name)) is not None
        }


def phases(
    fleet: Fleet,
    supply: Sequence[Source],
    limits: Limits | None,
    site: str | None,
    facts: Facts,
) -> tuple[Phase, ...]:
    """One phase for each day on which chips come online."""
    days = sorted({x.online.value for x in fleet.lots})
    return tuple(_phase(k + 1, fleet, supply, limits, site, facts) for k in range(len(days)))


def _phase(
    k: int,
    fleet: Fleet,
    supply: Sequence[Source],
    limits: Limits | None,
    site: str | None,
    facts: Facts,
) -> Phase:
    def named(figure: Figure | None, name: str, label: str) -> Figure | None:
        id = f"site.phase{k}.{name}"
        return figure.named(id, f"phase {k}: {label}", UNITS.get(name, "")) if figure else None

    day = day_of_phase(k, fleet.columns()[0])
    day = day.named(f"site.phase{k}.online", f"phase {k}: online")
    chips = fleet.chips(day).named(f"site.phase{k}.chips", f"phase {k}: chips online")
    it = fleet.it_power(day).named(f"site.phase{k}.it_power", f"phase {k}: IT power")
    drawn = fleet.facility_power(day)
    drawn = drawn.named(f"site.phase{k}.facility_power", f"phase {k}: facility power")
    firm = carrying(supply)
    given = named(given_on(day, firm), "supply", "power of the sources on record")
    lawful = lawful_on(day, firm, limits)
    spare = headroom(given, drawn) if given else None
    powered = powered_chips(chips, drawn, given) if given else None
    carried = first_day(drawn, day, firm)
    grid = first_day(drawn, day, (s for s in firm if s.kind == "grid"))
    holds = _holds(drawn, day, firm)
    return Phase(
        k,
        day,
        tuple((x.chip, x.count) for x in fleet.lots if x.online.value == day.value),
        tuple((c, fleet.chips(day, c)) for c in fleet.kinds if fleet.chips(day, c).value > 0),
        chips,
        it,
        drawn,
        named(_published(day, site, facts), "published_power", "facility power as published"),
        given,
        named(lawful, "lawful_supply", "power that may lawfully be used"),
        named(spare, "headroom", "supply less draw"),
        named(powered, "powered_chips", "chips that the sources on record carry"),
        named(carried, "carried", "first day on which sources on record carry it"),
        named(grid, "grid_only", "first day on which the grid alone carries it"),
        holds,
        _critical(holds, carried),
    )


def _published(day: Figure, site: str | None, facts: Facts) -> Figure | None:
    """What was published about the site's power on that very day, to compare with."""
    if site is None or "facility_power" not in facts.quantities(site):
        return None
    same = [
        f
        for f in facts.all(site, "facility_power")
        if f.valid_from and f.valid_from.toordinal() == day.value
    ]
    if not same:
        return None
    record = facts.get(site, "facility_power", on=same[0].valid_from)
    return record.figure("facility power as published")


def _holds(need: Figure, day: Figure, firm: Sequence[Source]) -> tuple[Hold, ...]:
    """For each kind of source, the wait if it were missing."""
    found = []
    for kind in dict.fromkeys(s.kind for s in firm):
        without = first_day(need, day, (s for s in firm if s.kind != kind))
        delay = elapsed(day, without) if without else None
        found.append(Hold(kind, without, delay))
    return tuple(found)


def _critical(holds: Sequence[Hold], carried: Figure | None) -> str:
    """The kind of source whose absence delays a phase most; empty where none does.

    Where all sources together never carry the phase it is ``power`` as a whole.
    """
    if not holds:
        return ""
    if carried is None:
        return "power"
    days = {h.kind: math.inf if h.day is None else h.day.value for h in holds}
    worst = max(days.values())
    return ", ".join(k for k, d in days.items() if d == worst and d > carried.value)
