"""Country groups of the Export Administration Regulations, by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import lru_cache

from chares.errors import InputError, shorten
from chares.facts import Facts
from chares.permit.rulebook import Reach, Spell, day, words


@dataclass(frozen=True, slots=True)
class Groups:
    """Who belongs to which country group, and when (15 CFR part 740, supplement 1)."""

    members: dict[str, frozenset[str]]
    spells: tuple[tuple[str, str, Spell], ...]  # (country, group, days of membership)
    same_as: tuple[tuple[str, str, date], ...]  # (country, counts as, since)
    checked_to: date

    def counts_as(self, country: str, on: date) -> str:
        """The destination that the rules see (Hong Kong is China since 2020-12-23)."""
        for alias, whole, since in self.same_as:
            if country == alias and on >= since:
                return whole
        return country

    def has(self, group: str, country: str, on: date) -> bool:
        """Whether a country is a member of a group (``D:5``) on a day."""
        if country not in self.members[group]:
            return False
        mine = [s for c, g, s in self.spells if (c, g) == (country, group)]
        return all(s.holds(on) for s in mine)

    def reached(self, reach: Reach, to: str, headquarters: str, on: date) -> bool:
        """Whether a reach takes in a destination, or a buyer headquartered somewhere."""
        if not reach.spell.holds(on):
            return False
        if reach.world or self._within(reach, to, on, outside=True):
            return True
        return reach.headquarters and self._within(reach, headquarters, on, outside=False)

    def _within(self, reach: Reach, country: str, on: date, *, outside: bool) -> bool:
        if country in reach.countries:
            return True
        if outside and any(self.has(g, country, on) for g in reach.outside):
            return False
        return any(self.has(g, country, on) for g in reach.groups)

    def days(self) -> set[date]:
        """Every day on which a membership begins or has just ended."""
        return {d for _, _, s in self.spells for d in (s.first, s.until) if d}


@lru_cache(maxsize=8)
def groups(facts: Facts) -> Groups:
    """The country groups of the fact files."""
    raw = facts.document("law/us/country-groups")
    spells = []
    for entry in raw["spells"]:
        first, last = (day(entry[k]) if k in entry else None for k in ("first", "last"))
        end = None if last is None else date.fromordinal(last.toordinal() + 1)
        spells.append((entry["country"], entry["group"], Spell(first, end)))
    return Groups(
        {name: frozenset(map(str, members)) for name, members in raw["groups"].items()},
        tuple(spells),
        tuple((e["country"], e["counts_as"], day(e["first"])) for e in raw["same_as"]),
        day(raw["checked_to"]),
    )


def country(code: str, facts: Facts, what: str = "destination") -> str:
    """A two-letter country code in capitals. Raises `InputError` (``not-a-country``) for what is
    none: the law would pass what goes to a place that it does not know."""
    text = code.strip().upper()
    names: dict[str, str] = facts.document("places/countries")["names"]
    if text in names:
        return text
    near = get_close_matches(code.strip().lower(), [n.lower() for n in names.values()], n=1)
    meant = next(
        (f"; `{c}` is {n}" for c, n in names.items() if n.lower() in near or f"({text})" in n), ""
    )
    raise InputError(
        "not-a-country", f"`{shorten(code)}` is not a {what}",
        hint=f"write the two letters of ISO 3166, such as CN or AE{meant}",
    )  # fmt: skip


@lru_cache(maxsize=8)
def gaps(facts: Facts) -> tuple[tuple[frozenset[str], frozenset[str], str], ...]:
    """What the export rules kept here leave out: (destinations, vendors, sentence)."""
    raw = facts.document("law/us/uncovered")
    return tuple(
        (frozenset(words(e, "countries")), frozenset(words(e, "vendors")), e["says"])
        for e in (*raw["destinations"], *raw["vendors"])
    )
