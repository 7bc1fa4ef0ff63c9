"""The same job on other numbers of chips: what scale costs, and the front over chips."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chares.search.asking import space_for, suited_batch
from chares.search.exploring import Found, explore
from chares.search.ranking import Ranked, ranked
from chares.search.trusting import Trust, beside, trust

if TYPE_CHECKING:
    from chares.search.asking import Question
    from chares.search.space import Space

SMALLEST, LARGEST = 8, 2**20


@dataclass(frozen=True)
class Size:
    """The best strategy on one number of chips. ``grown``: the batch grew with the fleet;
    ``trust``: how far the time of the best may be off."""

    chips: int
    global_batch: int
    grown: bool
    legal: int
    feasible: int
    best: Ranked | None
    pareto: tuple[Ranked, ...]
    trust: Trust | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        best = self.best
        return {
            "chips": self.chips,
            "global_batch": self.global_batch,
            "batch_grown": self.grown,
            "legal": self.legal,
            "feasible": self.feasible,
            "best": best.as_dict() | beside(self.trust, best.days, best.cost_usd) if best else None,
        }


def lean(space: Space) -> Space:
    """The space without the options that hardly ever win: what can be fused or overlapped is."""
    return replace(space, fused=(1,), overlap_tp=(1,), overlap_dp=(1,))


def doublings(count: int) -> list[int]:
    """Counts from 8 to a million, ``count`` times powers of two."""
    found = [count]
    while found[0] % 2 == 0 and found[0] // 2 >= SMALLEST:
        found.insert(0, found[0] // 2)
    while found[-1] * 2 <= LARGEST:
        found.append(found[-1] * 2)
    return found


def sizes(question: Question, counts: Iterable[int] = (), grow: bool = True) -> Iterator[Size]:
    """The job on each number of chips (default: halvings and doublings from 8 to a million), with
    the batch as asked and, beyond the asked count if ``grow``, with one that grows in
    proportion.

    Only options that can win are searched (`lean`).
    """
    base, batch = question.asked.n_chips, question.asked.global_batch
    for count in counts or doublings(base):
        yield _size(question, count, batch, grown=False)
        if grow and count > base:
            yield _size(question, count, suited_batch(count, batch * count // base), grown=True)


def _size(question: Question, count: int, batch: int, grown: bool) -> Size:
    asked = question.at(count, batch).asked
    found: Found = explore(asked, lean(space_for(asked)), keep=1)
    rows = ranked(asked, found.best)
    best = rows[0] if rows else None
    trusted = trust(question, found.best[0].strategy, best.step_time_s) if best else None
    return Size(
        count, batch, grown, found.legal, found.feasible, best,
        tuple(ranked(asked, found.pareto)), trusted,
    )  # fmt: skip


def front_of(rows: Iterable[Ranked]) -> list[Ranked]:
    """Rows than which no other is at least as good in days (or step time), memory, chips and cost,
    and better in one. Sorted by time."""
    kept: list[tuple[tuple[float, ...], Ranked]] = []
    for row in sorted(rows, key=_objectives):
        mine = _objectives(row)
        if not any(all(a <= b for a, b in zip(theirs, mine, strict=True)) for theirs, _ in kept):
            kept.append((mine, row))
    return [row for _, row in kept]


def _objectives(row: Ranked) -> tuple[float, ...]:
    time = row.days if row.days is not None else 1.0 / row.tokens_per_s
    return time, row.peak_memory_bytes, float(row.chips), row.cost_usd or 0.0
