"""What would change an answer: the decision asked again with one thing moved."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

from chares.permit.deciding import Book, Deal, Decision, decide, measured
from chares.permit.goods import Item
from chares.permit.measures import name, show
from chares.permit.rulebook import Condition

NUMBERS = ("tpp", "die_area", "memory_bandwidth", "io_bandwidth")
STEP = 1e-6  # a value just past a limit; larger than the tolerance of `at_least`
FAR = "JP"  # a destination in none of the groups D:1, D:4, D:5
NEAR = "CN"  # one that every control reaches


def flips(item: Item, deal: Deal, book: Book, now: Decision) -> list[str]:
    """Sentences, each naming one change and the answer that it leads to."""
    found = [*_missing(item, deal, now), *_numbers(item, deal, book, now)]
    found += _kinds(item, deal, book, now)
    found += _places(item, deal, book, now)
    found += _days(item, deal, book, now)
    return found


def answer(decision: Decision) -> str:
    """``licence, presumption of denial``"""
    return ", ".join(filter(None, decision.answer))


def _missing(item: Item, deal: Deal, now: Decision) -> Iterator[str]:
    case = measured(item, deal)
    doubts = now.doubts if now.verdict == "unknown" else ()
    open_ = [c for hit in doubts for c in hit.rule.when if c.holds(case) is None]
    seen = set()
    for condition in open_:
        measure = condition.measure
        if measure == "performance_density" and item.tpp is not None:
            measure = "die_area"
        whether = "whether it is" if condition.test == "is" else "the"
        seen.add(f"knowing {whether} {name(measure)}")
    yield from sorted(seen)


def _limits(item: Item, book: Book, measure: str) -> set[float]:
    """The values of a measure at which some condition of the book turns."""
    conditions = [c for i in book.instruments for r in i.rules for c in r.when if c.test != "is"]
    return {v for c in conditions for v in _value(item, c, measure) if v > 0}


def _value(item: Item, condition: Condition, measure: str) -> Iterator[float]:
    limit = float(condition.limit)
    if condition.measure == measure:
        yield limit
    elif condition.measure == "performance_density" and item.tpp and item.die_area:
        if measure == "die_area":
            yield item.tpp / limit
        elif measure == "tpp":
            yield limit * item.die_area
    elif condition.measure == "bandwidth_sum":
        if measure == "memory_bandwidth" and item.io_bandwidth is not None:
            yield limit - item.io_bandwidth
        elif measure == "io_bandwidth" and item.memory_bandwidth is not None:
            yield limit - item.memory_bandwidth


def _numbers(item: Item, deal: Deal, book: Book, now: Decision) -> Iterator[str]:
    for measure in NUMBERS:
        value = getattr(item, measure)
        if value is None:
            continue
        limits = sorted(_limits(item, book, measure))

        below = ((v, w, x) for x in reversed(limits) for v, w in _down(x) if v < value)
        above = ((v, w, x) for x in limits for v, w in _up(x) if v > value)
        for steps in (below, above):
            for v, wording, x in steps:
                then = decide(_moved(item, measure, v), deal, book)
                if then.answer != now.answer:
                    change = f"{name(measure)} {wording} {show(measure, x)}"
                    yield f"{change} (now {show(measure, value)}): {answer(then)}"
                    break


def _moved(item: Item, measure: str, to: float) -> Item:
    changes: dict[str, Any] = {measure: to}
    return replace(item, **changes)


def _down(x: float) -> list[tuple[float, str]]:
    return [(x * (1 + STEP), "above"), (x, "at most"), (x * (1 - STEP), "below")]


def _up(x: float) -> list[tuple[float, str]]:
    return [(x * (1 - STEP), "below"), (x, "at least"), (x * (1 + STEP), "above")]


def _kinds(item: Item, deal: Deal, book: Book, now: Decision) -> Iterator[str]:
    if item.datacentre is not None:
        then = decide(replace(item, datacentre=not item.datacentre), deal, book)
        no = "not " if item.datacentre else ""
        if then.answer != now.answer:
            yield f"a part {no}designed or marketed for data centres: {answer(then)}"
    changes: list[tuple[str, Deal]] = [
        ("an export from the United States", replace(deal, route="export")),
        ("a re-export from elsewhere", replace(deal, route="reexport")),
        ("more than half of the TPP sold to US customers", replace(deal, volume_share=0.51)),
        ("a buyer on the Entity List", replace(deal, listed=True)),
    ]
    yield from _changed(changes, item, book, now, deal)


def _places(item: Item, deal: Deal, book: Book, now: Decision) -> Iterator[str]:
    home = deal.headquarters or deal.to
    changes = [
        (f"another destination and buyer, such as {FAR}", replace(deal, to=FAR, headquarters=FAR)),
        (f"the destination {NEAR}", replace(deal, to=NEAR, headquarters=NEAR)),
    ]
    if deal.to not in (NEAR, "US") and home != NEAR:
        changes.append((f"a buyer headquartered in {NEAR}", replace(deal, headquarters=NEAR)))
    yield from _changed(changes, item, book, now, deal)


def _changed(
    changes: list[tuple[str, Deal]], item: Item, book: Book, now: Decision, deal: Deal
) -> Iterator[str]:
    for words, other in changes:
        then = decide(item, other, book) if other != deal else now
        if then.answer != now.answer:
            yield f"{words}: {answer(then)}"


def _days(item: Item, deal: Deal, book: Book, now: Decision) -> Iterator[str]:
    """The nearest change of the answer in time, before and after."""
    days = sorted(book.groups.days().union(*(i.days() for i in book.instruments)))
    for day in reversed([d for d in days if d <= deal.on]):
        then = decide(item, replace(deal, on=day - timedelta(days=1)), book)
        if then.answer != now.answer:
            yield f"before {day}: {answer(then)}"
            break
    for day in [d for d in days if d > deal.on]:
        then = decide(item, replace(deal, on=day), book)
        if then.answer != now.answer:
            yield f"from {day}: {answer(then)}"
            break
