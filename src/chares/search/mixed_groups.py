"""A fleet of several kinds of chip as data-parallel groups: the batch is divided over the kinds.

Each kind has whole replicas with a strategy of its own and takes so many sequences of each batch.
`Kind.fastest` is a kind's best time as a function of its share; it never falls as the share grows,
so the division whose slowest kind is fastest is found exactly, without trying them all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf, lcm
from typing import TYPE_CHECKING

import numpy as np

from chares.model import SCHEDULES, count_parameters, sum_between
from chares.search.asking import space_for
from chares.search.blocks import Asked, evaluate
from chares.search.reducing import Candidate, Known, reduce
from chares.search.scaling import lean
from chares.search.space import Layouts, Space, layouts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.search.asking import Question

DUALPIPE = SCHEDULES.index("dualpipe")
POWERS = (1, 2, 4, 8, 16, 32, 64)


def lean_space(asked: Asked) -> Space:
    """The space of each kind: what can be fused or overlapped is; recomputation none, selective or
    in full; micro-batches that are powers of two or small divisors of the batch."""
    space = lean(space_for(asked))
    small = {m for m in range(1, 9) if asked.global_batch % m == 0}
    whole = tuple((code, share) for code, share in space.recompute if share == 1.0)
    return replace(space, recompute=whole, micro_batch=tuple(sorted({*POWERS, *small})))


class Kind:
    """One kind of chip and its fastest strategy for any number of sequences.

    Replicas need not divide their share: the last micro-batch is missing in some, and takes its
    time all the same. A schedule that wants whole groups of micro-batches is charged for whole
    ones. So every layout may take any share, and its time grows with it.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self.asked = question.asked
        self.space = lean_space(self.asked)
        # a batch that no layout fails to divide: what is left of the rules are those of layouts
        unit = self.asked.n_chips * lcm(*self.space.micro_batch) * lcm(*self.space.pp) * 2
        self.table = layouts(
            self.space, self.asked.shape, self.asked.n_chips, unit, self.asked.seq_len
        )
        self.known: dict[int, Candidate | None] = {}
        #: seconds that each layout takes at least, by share
        self.least: dict[int, NDArray[np.float64]] = {0: np.zeros(len(self.table))}

    def fastest(self, share: int, limit: float = inf) -> Candidate | None:
        """The fastest strategy for so many sequences, None where none fits in memory or within
        ``limit`` seconds. Layouts whose smaller share took longer are left out."""
        if share in self.known:
            found = self.known[share]
            return found if found and found.step_time_s <= limit else None
        least = self.least[max(s for s in self.least if s <= share)]
        chosen = np.flatnonzero((least <= limit) & (least < inf))
        reached = least.copy()
        best, reached[chosen] = self._search(share, chosen)
        self.least[share] = reached
        if limit == inf or (best and best.step_time_s <= limit):
            self.known[share] = best
        return best if best and best.step_time_s <= limit else None

    def largest(self, seconds: float, low: int, high: int) -> int:
        """The largest share from ``low`` (which is known to do) to ``high`` within the time."""
        while low < high:
            middle = (low + high + 1) // 2
            if self.fastest(middle, seconds):
                low = middle
            else:
                high = middle - 1
        return low

    def _search(
        self, share: int, chosen: NDArray[np.intp]
    ) -> tuple[Candidate | None, NDArray[np.float64]]:
        columns = {k: v[chosen] for k, v in self.table.columns.items()}
        columns["global_batch"] = room(columns, share)
        table = Layouts(columns)
        times = np.full(len(chosen), inf)
        best: Candidate | None = None
        for task in evaluate(self.asked, self.space, table, {}) if len(chosen) else ():
            slowest = best.step_time_s if best else inf
            part = reduce(task(), self.asked.memory_limit, 1, Known(slowest, 0.0), None)
            times[part.layouts] = np.minimum(times[part.layouts], part.by_layout)
            best = min([*part.best, *([best] if best else [])], key=lambda c: c.order, default=None)
        return best, times


def room(columns: dict[str, NDArray[np.int64]], share: int) -> NDArray[np.int64]:
    """Sequences in the whole micro-batches that a share takes: at least the share. Interleaved
    schedules take whole groups of pp micro-batches, DualPipe an even number from 2 pp on."""
    unit = columns["dp"] * columns["micro_batch"]
    m = -(-share // unit)
    group = np.where(columns["vp"] > 1, columns["pp"], 1)
    both = columns["schedule"] == DUALPIPE
    m = np.where(both, np.maximum(m + m % 2, 2 * columns["pp"]), -(-m // group) * group)
    whole: NDArray[np.int64] = m * unit
    return whole


def divide(kinds: Sequence[Kind], batch: int) -> tuple[float, list[int]]:
    """Shares of the batch, one sequence fine, whose slowest kind is fastest, and its seconds.

    Exact: between ``low`` and ``high`` lies what each kind takes within the best time; the time of
    a share in the widest gap is tried, and either serves (then only shorter times matter) or does
    not (then only longer ones). Infinite where no division fits.
    """
    low, high = [0] * len(kinds), [batch] * len(kinds)
    best, shares = _guess(kinds, batch)
    while True:
        gaps = [b - a for a, b in zip(low, high, strict=True)]
        widest = max(gaps)
        which = gaps.index(widest)
        if widest == 0:
            break
        middle = low[which] + (widest + 1) // 2
        tried = kinds[which].fastest(middle, best)
        if tried is None:  # not at all, or not within the best so far
            high[which] = middle - 1
            continue
        seconds = tried.step_time_s
        bounds = zip(kinds, low, high, strict=True)
        takes = [k.largest(seconds, a, b) for k, a, b in bounds]
        if sum(takes) >= batch:
            best, shares = seconds, takes
            high = list(takes)
            high[which] = middle - 1
        else:
            low = takes
            low[which] = max(low[which], middle)
    if sum(high) >= batch:
        found = [k.fastest(h) if h else None for k, h in zip(kinds, high, strict=True)]
        seconds = max((f.step_time_s for f in found if f), default=inf)
        if seconds < best:
            best, shares = seconds, high
    return best, _trimmed(shares, batch)


def _guess(kinds: Sequence[Kind], batch: int) -> tuple[float, list[int]]:
    """Shares in proportion to the speeds of the kinds alone, and their time: a first bound."""
    alone = [k.fastest(batch) for k in kinds]
    speeds = [1.0 / a.step_time_s if a else 0.0 for a in alone]
    if not sum(speeds):
        return inf, [0] * len(kinds)
    shares = [int(batch * v / sum(speeds)) for v in speeds]
    shares[speeds.index(max(speeds))] += batch - sum(shares)
    found = [k.fastest(share) for k, share in zip(kinds, shares, strict=True) if share]
    if not all(found):
        return inf, shares
    return max(f.step_time_s for f in found if f), shares


def _trimmed(shares: Sequence[int], batch: int) -> list[int]:
    """The shares made to sum to the batch: what is over is taken from the largest."""
    kept = list(shares)
    over = sum(kept) - batch
    for i in sorted(range(len(kept)), key=lambda i: -kept[i]):
        less = max(0, min(over, kept[i]))
        kept[i] -= less
        over -= less
    return kept


def between(kinds: Sequence[Kind], rows: Sequence[Candidate]) -> float:
    """Seconds in which the kinds sum their gradients over the slower links, behind the step's other
    work and not hidden. Each chip carries its share of its kind's sum, as wide as the widest."""
    if len(kinds) < 2:
        return 0.0
    width = max(float(r.strategy.gradient_bytes) for r in rows)
    weights = float(count_parameters(kinds[0].asked.shape).total)
    return float(
        sum_between(
            [weights * width / k.asked.n_chips for k in kinds],
            [k.asked.hardware for k in kinds],
            [k.asked.calibration for k in kinds],
        )
    )
