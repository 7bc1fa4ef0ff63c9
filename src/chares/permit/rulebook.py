"""Dated instruments of law as frozen records, read from the fact files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from chares.errors import DataError
from chares.facts import Facts
from chares.permit.measures import NAMES, Measured, at_least, name, show

TESTS = {"at_least": "at least", "at_most": "at most", "above": "above", "below": "below"}
BINDING = {"in force", "enforced", "reported"}
ENDING = {"superseded", "rescinded", "suspended"}
WORDS = BINDING | ENDING | {"announced", "published", "not enforced", "unknown"}


@dataclass(frozen=True, slots=True)
class Condition:
    """One test of a rule: a measure against a limit, whose record is ``key``."""

    measure: str
    test: str
    limit: float | bool
    key: str = ""

    def holds(self, measured: Measured) -> bool | None:
        """True, False, or None where the measure is not known."""
        value = measured.get(self.measure)
        if value is None:
            return None
        if self.test == "is":
            return bool(value) is self.limit
        reached = at_least(value, self.limit)
        passed = not at_least(self.limit, value)  # strictly above
        return {
            "at_least": reached, "below": not reached, "above": passed, "at_most": not passed,
        }[self.test]  # fmt: skip

    def says(self, measured: Measured) -> str:
        """The test in words, with the value met: ``TPP 15,832, at least 4,800``."""
        value = measured.get(self.measure)
        if self.test == "is":
            known = "" if value is not None else " (not known)"
            return f"{'' if self.limit else 'not '}{name(self.measure)}{known}"
        limit = f"{TESTS[self.test]} {show(self.measure, self.limit)}"
        return f"{name(self.measure)} {show(self.measure, value)}, {limit}"

    def fails(self, measured: Measured) -> str:
        """Why the test is not met: ``TPP 1,912 is not at least 2,400``."""
        value = measured.get(self.measure)
        if self.test == "is":
            return f"{'not ' if self.limit else ''}{name(self.measure)}"
        limit = f"{TESTS[self.test]} {show(self.measure, self.limit)}"
        return f"{name(self.measure)} {show(self.measure, value)} is not {limit}"


@dataclass(frozen=True, slots=True)
class Spell:
    """From a day to the day before another; None is open."""

    first: date | None = None
    until: date | None = None

    def holds(self, on: date) -> bool:
        return (self.first is None or self.first <= on) and (self.until is None or on < self.until)


@dataclass(frozen=True, slots=True)
class Reach:
    """The destinations, and where it says so the buyers' headquarters, that a rule reaches."""

    name: str
    countries: frozenset[str]
    groups: tuple[str, ...]
    outside: tuple[str, ...]
    headquarters: bool
    world: bool
    spell: Spell


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule says for one reach in one spell, for some items or all."""

    verdict: str
    policy: str
    reach: str
    items: tuple[str, ...]
    paragraph: str
    note: str
    uses: tuple[str, ...]
    spell: Spell


@dataclass(frozen=True, slots=True)
class Rule:
    """Conditions that must all hold, for items and vendors named or all, and the outcomes."""

    id: str
    paragraph: str
    when: tuple[Condition, ...]
    items: tuple[str, ...]
    vendors: tuple[str, ...]
    uses: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    spell: Spell

    def holds(self, measured: Measured) -> bool | None:
        """True if every condition holds, False if one fails, None if it cannot be told."""
        results = [condition.holds(measured) for condition in self.when]
        if False in results:
            return False
        return None if None in results else True


@dataclass(frozen=True, slots=True)
class Event:
    """A status word and its day."""

    status: str
    on: date
    note: str
    items: tuple[str, ...]

    def says(self) -> str:
        """``in force since 2024-12-31 (compliance day)``."""
        word = "not known" if self.status == "unknown" else self.status
        return f"{word} since {self.on}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True, slots=True, eq=False)
class Instrument:
    """One act: a rule, a letter, an order, with its history and its rules."""

    id: str
    name: str
    citation: str
    jurisdiction: str
    role: str
    form: str
    scope: str
    public: date
    checked_to: date
    history: tuple[Event, ...]
    reaches: Mapping[str, Reach]
    rules: tuple[Rule, ...]

    def event(self, on: date, item: str = "") -> Event | None:
        """The last thing that had happened to it by a day (for an item, where it matters)."""
        past = [e for e in self.history if e.on <= on and (not e.items or named(item, e.items))]
        return max(past, key=lambda e: e.on, default=None)

    def state(self, on: date) -> str:
        """``before``, ``binding``, ``paper`` (in force, not enforced), ``ended`` or ``unknown``."""
        state = "before"
        for event in sorted(self.history, key=lambda e: e.on):
            if event.on > on:
                break
            if event.status in BINDING:
                state = "binding"
            elif event.status in ENDING:
                state = "ended"
            elif event.status in ("not enforced", "unknown"):
                state = "paper" if event.status == "not enforced" else "unknown"
        return state

    def standing(self, on: date, item: str = "") -> str:
        """``88 FR 73458: in force since 2023-11-17``; what was announced for the item follows."""
        past = [e for e in self.history if e.on <= on and (not e.items or named(item, e.items))]
        general = [e for e in past if not e.items]
        telling = [e for e in general if e.status not in ("announced", "published")] or general
        if not telling:
            return f"{self.citation}: not yet announced"
        shown = [max(telling, key=lambda e: e.on), *(e for e in past if e.items)]
        return f"{self.citation}: " + "; ".join(e.says() for e in shown)

    def days(self) -> set[date]:
        """Every day on which something in it changes."""
        spells = [r.spell for r in self.reaches.values()] + [r.spell for r in self.rules]
        spells += [o.spell for rule in self.rules for o in rule.outcomes]
        days = {d for s in spells for d in (s.first, s.until) if d}
        return days | {event.on for event in self.history}


def named(item: str, names: Iterable[str]) -> bool:
    """Whether an id is one of the names or a variant of one (``a100`` names ``a100-sxm-80gb``)."""
    return any(item == n or item.startswith(f"{n}-") for n in names)


@lru_cache(maxsize=64)
def instruments(facts: Facts, door: str) -> tuple[Instrument, ...]:
    """The instruments of a door (``export``, ``import``, ``tariff``, ``report``), in the order in
    which ties between them break; those published after ``facts.known_by`` are left out."""
    listed = facts.document("law/instruments")[door]
    read = (read_instrument(facts, id_) for id_ in listed)
    return tuple(i for i in read if facts.known_by is None or i.public <= facts.known_by)


def read_instrument(facts: Facts, id: str) -> Instrument:
    """One instrument by id. Raises `DataError` where its file is not understood."""
    raw = facts.document(id)
    tags = raw["tags"]
    history = tuple(
        Event(e["status"], day(e["on"]), str(e.get("note", "")), words(e, "items"))
        for e in raw["history"]
    )
    if unknown := {e.status for e in history} - WORDS:
        raise DataError("unknown-status", f"`{id}` uses the status words {sorted(unknown)}")
    reaches = {r["name"]: _reach(r) for r in raw.get("reaches", ())}
    return Instrument(
        id, raw["name"], tags["citation"], tags["jurisdiction"], tags["role"], tags["form"],
        tags.get("scope", ""), day(raw["public"]), day(raw["checked_to"]), history, reaches,
        tuple(_rule(facts, id, r) for r in raw.get("rules", ())),
    )  # fmt: skip


def limit(facts: Facts, id: str, quantity: str) -> tuple[float, str]:
    """A number of an instrument in SI and its key, whatever day the facts are known by."""
    record = facts.known(None).get(id, quantity)
    return float(record.value), record.key


def _reach(raw: Mapping[str, Any]) -> Reach:
    return Reach(
        raw["name"], frozenset(words(raw, "countries")), words(raw, "groups"),
        words(raw, "except"), bool(raw.get("headquarters")), bool(raw.get("world")), spell(raw),
    )  # fmt: skip


def _rule(facts: Facts, id: str, raw: Mapping[str, Any]) -> Rule:
    return Rule(
        raw["id"], raw["paragraph"],
        tuple(_condition(facts, id, c) for c in raw.get("when", ())),
        words(raw, "items"), words(raw, "vendors"), keys(facts, id, raw),
        tuple(_outcome(facts, id, o) for o in raw["outcomes"]), spell(raw),
    )  # fmt: skip


def _outcome(facts: Facts, id: str, raw: Mapping[str, Any]) -> Outcome:
    return Outcome(
        raw["verdict"], raw["policy"], raw.get("reach", ""), words(raw, "items"),
        raw.get("paragraph", ""), raw.get("note", ""), keys(facts, id, raw), spell(raw),
    )  # fmt: skip


def _condition(facts: Facts, id: str, raw: Mapping[str, Any]) -> Condition:
    tests = set(raw) - {"measure"}
    if raw.get("measure") not in NAMES or len(tests) != 1 or not tests <= {*TESTS, "is"}:
        raise DataError("bad-condition", f"`{id}` has a condition that is not understood: {raw}")
    test = tests.pop()
    if test == "is":
        return Condition(raw["measure"], test, bool(raw["is"]))
    return Condition(raw["measure"], test, *limit(facts, id, raw[test]))


def keys(facts: Facts, id: str, raw: Mapping[str, Any]) -> tuple[str, ...]:
    """The full keys of the records that an entry names under ``uses``."""
    return tuple(facts.known(None).get(id, quantity).key for quantity in words(raw, "uses"))


def words(raw: Mapping[str, Any], key: str) -> tuple[str, ...]:
    return tuple(map(str, raw.get(key, ())))


def day(text: str) -> date:
    return date.fromisoformat(text)


def spell(raw: Mapping[str, Any]) -> Spell:
    return Spell(*(day(raw[k]) if k in raw else None for k in ("from", "until")))
