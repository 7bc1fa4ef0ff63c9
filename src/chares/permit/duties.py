"""Customs duty on chips that land in the United States (section 232), by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from chares.errors import InputError
from chares.facts import Facts, load
from chares.permit.goods import Item
from chares.permit.goods import chip as chip_item
from chares.permit.rulebook import instruments, limit, words

SECTION_232 = "section-232-2026"


@dataclass(frozen=True, slots=True)
class Duty:
    """An additional ad valorem duty. ``rate`` is None before there is such a rule, and where it
    cannot be told; 0 where the rule does not reach the item or exempts its use."""

    rate: float | None
    verdict: str  # due, not-due, no-rule, unknown
    paragraph: str
    because: tuple[str, ...]
    facts: tuple[str, ...]
    status: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The duty as plain data."""
        names = ("rate", "verdict", "paragraph", "because", "facts", "status")
        plain = {n: getattr(self, n) for n in names}
        return {n: list(v) if isinstance(v, tuple) else v for n, v in plain.items()}


def tariff(item: str | Item, on: date, facts: Facts | None = None, *, use: str = "") -> Duty:
    """The section 232 duty on importing an item into the United States on a day.

    A chip for China passes through the United States to be tested there, so the duty falls on it
    as well. ``use``: one of the exempt uses of the proclamation (``us-data-centre``, ``repair``,
    ``research``, ``startup``, ``consumer``, ``civil-industrial``, ``public-sector``), or empty.
    """
    facts = facts or load()
    thing = chip_item(item, facts) if isinstance(item, str) else item
    raw = facts.document(SECTION_232)
    exempt = words(raw, "exempt_uses")
    if use and use not in exempt:
        raise InputError("unknown-use", f"`{use}` is no exempt use", hint=" or ".join(exempt))
    known = instruments(facts, "tariff")
    act = known[0] if known else None
    if act is None or act.state(on) != "binding":
        why = f"On {on} there was no duty of this kind."
        return Duty(None, "no-rule", "no rule of this kind yet", (why,), (), ())
    rate, key = limit(facts, SECTION_232, "rate")
    case = thing.measures()
    status = (act.standing(on),)
    results = {rule: rule.holds(case) for rule in act.rules}
    met = [rule for rule, holds in results.items() if holds]
    if met:
        tests = "; ".join(c.says(case) for c in met[0].when)
        keys = (key, *(c.key for c in met[0].when), *_keys(thing.keys))
        if use:
            return Duty(0.0, "not-due", act.citation, (f"Exempt use: {use}.",), keys, status)
        return Duty(rate, "due", met[0].paragraph, (f"{tests}.",), keys, status)
    if None in results.values():
        return Duty(None, "unknown", act.citation, ("A measure is not known.",), (key,), status)
    fails = tuple(
        next(f"{r.paragraph}: {c.fails(case)}." for c in r.when if not c.holds(case))
        for r in act.rules
    )
    return Duty(0.0, "not-due", act.citation, fails, (key, *_keys(thing.keys)), status)


def _keys(keys: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return (*keys.get("tpp", ()), *keys.get("memory_bandwidth", ()))
