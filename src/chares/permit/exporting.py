"""May this chip be shipped there on that day? The export door, and the importing side."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import date

from chares.errors import InputError
from chares.facts import Facts, load
from chares.permit.answers import Verdict
from chares.permit.deciding import (
    NO_EXPORT,
    Book,
    Deal,
    Decision,
    Hit,
    decide,
    measured,
    meets,
    would_meet,
)
from chares.permit.goods import Item
from chares.permit.goods import chip as chip_item
from chares.permit.measures import Measured
from chares.permit.places import country
from chares.permit.rulebook import Instrument, Rule
from chares.permit.turning import flips

ROUTES = ("export", "reexport", "transfer")


def export(
    item: str | Item,
    to: str,
    on: date,
    facts: Facts | None = None,
    *,
    headquarters: str = "",
    route: str = "export",
    volume_share: float | None = None,
    listed: bool | None = None,
    listed_share: float | None = None,
) -> Verdict:
    """May an integrated circuit leave the United States for a destination on a day?

    ``item``: the id of a chip, or an `Item` of plain numbers. ``to`` and ``headquarters`` (of the
    buyer's ultimate parent): two-letter codes. See `Deal` for the rest. Rules published after
    ``facts.known_by`` are not used. The importing side's answer, where it has one, is among
    ``because`` and ``flips``; `importing` gives it by itself.

    Raises `InputError` for a country or route that is not one, `UnknownName` for a chip.
    """
    facts = facts or load()
    thing = chip_item(item, facts) if isinstance(item, str) else item
    if route not in ROUTES:
        raise InputError("unknown-route", f"`{route}` is no route", hint=" or ".join(ROUTES))
    home = country(headquarters, facts, "country") if headquarters else ""
    deal = Deal(country(to, facts), on, home, route, volume_share, listed, listed_share)
    book = Book.of(facts, "export")
    now = decide(thing, deal, book)
    because = [*_because(thing, deal, book, now)]
    turns = flips(thing, deal, book, now)
    other = importing(thing, deal.to, on, facts)
    if other.verdict != "no-rule" and now.verdict != "no-rule":
        says = f"{other.verdict}, {other.policy}" if other.policy else other.verdict
        because.append(f"Importing side ({deal.to}): {says} ({other.paragraph}).")
        turns += [f"importing side: {f}" for f in other.flips]
    question = f"export of {thing.name} to {deal.to} on {on}"
    return Verdict(
        now.verdict, now.policy, now.paragraph, tuple(because), _keys(thing, now, book, deal),
        tuple(turns), _status(thing, deal, book, now), question, on, thing.figures,
    )  # fmt: skip


def importing(item: str | Item, into: str, on: date, facts: Facts | None = None) -> Verdict:
    """Does the country of destination let the item in? Only China's steps are kept; all but the
    summons of 2025-07-31 are press reports of unpublished orders (status ``reported``)."""
    facts = facts or load()
    thing = chip_item(item, facts) if isinstance(item, str) else item
    deal = Deal(country(into, facts), on)
    book = Book.of(facts, "import")
    mine = tuple(
        i for i in book.instruments
        if i.jurisdiction == book.groups.counts_as(deal.to, on).lower()
        and any(thing.id and would_meet(i, thing, Deal(deal.to, d), book.groups) for d in i.days())
    )  # fmt: skip
    book = Book(mine, book.groups)
    now = decide(thing, deal, book)
    because = [*_because(thing, deal, book, now, screened=True)]
    turns = [f for f in flips(thing, deal, book, now) if f.startswith(("before", "from"))]
    if now.verdict == "unknown" and now.main is None:
        now = Decision("unknown", "state not found", now.paragraph, doubts=now.doubts)
    return Verdict(
        now.verdict, now.policy, now.paragraph, tuple(because), _keys(thing, now, book, deal),
        tuple(turns), _status(thing, deal, book, now), f"import of {thing.name} into {deal.to}",
        on,
    )  # fmt: skip


def _because(
    item: Item, deal: Deal, book: Book, now: Decision, screened: bool = False
) -> Iterator[str]:
    case = measured(item, deal)
    if now.paragraph == NO_EXPORT:
        yield "The item stays in the United States."
        return
    if now.verdict == "no-rule":
        yield f"On {deal.on} no rule of this kind was in force for this maker's chips."
        return
    for hit in dict.fromkeys([*filter(None, [now.main]), *now.hits]):
        yield _met(hit, case, deal)
    if now.relief:
        yield _met(now.relief, case, deal)
    for hit in now.doubts if now.verdict == "unknown" else ():
        yield f"It cannot be told whether {hit.paragraph} is met: {_tests(hit, case)}."
    if not now.hits and now.verdict == "allowed":
        yield from _not_met(item, deal, book, case)
    yield from _on_paper(item, deal, book)
    if now.gap:
        yield now.gap
    yield from _caveats(deal, book, screened)


def _met(hit: Hit, case: Measured, deal: Deal) -> str:
    standing = hit.instrument.standing(deal.on)
    tests = _tests(hit, case, deal.unasked())
    named = f"names {', '.join(hit.rule.items)}" if hit.rule.items else ""
    why = "; ".join(filter(None, (named, tests)))
    says = ", ".join(filter(None, (hit.outcome.verdict, hit.outcome.policy)))
    note = f" {hit.outcome.note}" if hit.outcome.note else ""
    return f"{hit.paragraph} [{standing}] is met: {why}. It says: {says}.{note}"


def _tests(hit: Hit, case: Measured, unasked: Collection[str] = ()) -> str:
    return "; ".join(c.says(case) for c in hit.rule.when if c.measure not in unasked)


def _not_met(item: Item, deal: Deal, book: Book, case: Measured) -> Iterator[str]:
    """For each rule in force, the first condition that fails, or that the reach does not hold."""
    for instrument in book.instruments:
        if instrument.role == "relief" or instrument.scope == "buyer":
            continue
        if instrument.state(deal.on) != "binding":
            continue
        for rule in instrument.rules:
            if not rule.spell.holds(deal.on) or (rule.vendors and item.vendor not in rule.vendors):
                continue
            failed = [c for c in rule.when if c.holds(case) is False]
            if failed and failed[0].measure != "memory_part":
                yield f"{rule.paragraph} is not met: {failed[0].fails(case)}."
            elif not failed and rule.holds(case) and not rule.items:
                yield f"{rule.paragraph} does not reach {deal.to} on {deal.on}."


def _on_paper(item: Item, deal: Deal, book: Book) -> Iterator[str]:
    for instrument in book.instruments:
        past = instrument.event(deal.on)
        paper = instrument.state(deal.on) == "paper"
        early = instrument.state(deal.on) == "binding" and not meets(
            instrument, item, deal, book.groups
        )
        later = [r for r in instrument.rules if r.spell.first and r.spell.first > deal.on]
        if past and (paper or (early and later and len(later) == len(instrument.rules))):
            yield f"{instrument.name} ({instrument.standing(deal.on)}) changes nothing here."


def _caveats(deal: Deal, book: Book, screened: bool) -> Iterator[str]:
    if not screened and deal.listed is None and deal.listed_share is None:
        yield "The buyer's name was not held against the Entity List."
    checked = min((i.checked_to for i in book.instruments), default=deal.on)
    if not screened:
        checked = book.groups.checked_to
    if deal.on > checked:
        yield f"The law was read as of {checked}; what changed after that is not known."


def _keys(item: Item, now: Decision, book: Book, deal: Deal) -> tuple[str, ...]:
    """The records used: those of the rules that met the case, or that were tried and failed."""
    case = measured(item, deal)
    hits: Iterable[Hit] = [*now.hits, *filter(None, [now.relief]), *now.doubts]
    keys = [k for h in hits for k in (*h.rule.uses, *h.outcome.uses)]
    conditions = [c for h in hits for c in h.rule.when]
    if not now.hits and now.verdict == "allowed":
        tried = [
            r for i in _general(item, deal, book) for r in i.rules if r.spell.holds(deal.on)
        ]  # fmt: skip
        failing = (next((c for c in r.when if c.holds(case) is False), None) for r in tried)
        conditions += [c for c in failing if c]
    keys += [c.key for c in conditions if c.key]
    keys += [k for c in conditions for k in _item_keys(item, c.measure)]
    return tuple(dict.fromkeys(keys))


def _item_keys(item: Item, measure: str) -> tuple[str, ...]:
    if measure == "bandwidth_sum":
        return (*item.keys.get("memory_bandwidth", ()), *item.keys.get("io_bandwidth", ()))
    return item.keys.get(measure, ())


def _status(item: Item, deal: Deal, book: Book, now: Decision) -> tuple[str, ...]:
    """How far each instrument that matters had come on the day."""
    if now.verdict == "no-rule":  # what was on its way
        coming = [i for i in book.instruments if i.state(deal.on) == "before"]
        return tuple(i.standing(deal.on, item.id) for i in coming if i.event(deal.on))
    met = [h.instrument for h in (*now.hits, *filter(None, [now.relief]), *now.doubts)]
    quiet = [i for i in book.instruments if i.state(deal.on) == "paper"]
    general = [] if met else _general(item, deal, book)
    return tuple(dict.fromkeys(i.standing(deal.on, item.id) for i in (*met, *general, *quiet)))


def _general(item: Item, deal: Deal, book: Book) -> list[Instrument]:
    """The controls in force on the day that the item was, or might have been, held against."""

    def tried(rule: Rule) -> bool:
        memory = any(c.measure == "memory_part" for c in rule.when) and not item.memory_part
        return not memory and (not rule.vendors or item.vendor in rule.vendors)

    return [
        i for i in book.instruments
        if i.state(deal.on) == "binding" and i.role == "control" and not i.scope
        and any(tried(r) for r in i.rules)
    ]  # fmt: skip
