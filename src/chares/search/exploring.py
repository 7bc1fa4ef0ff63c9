"""Every legal strategy evaluated; the best few, the Pareto front, and why the others lose."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.search.blocks import Asked, Block, evaluate
from chares.search.space import Space, layouts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.model import Strategy


@dataclass(frozen=True)
class Candidate:
    """One strategy with its time, memory and the cost of the run."""

    strategy: Strategy
    step_time_s: float
    memory_bytes: float
    cost_usd: float
    row: int  # its number in the order of the search; breaks ties


@dataclass(frozen=True)
class Found:
    """What a search found. ``legal`` = ``evaluated``: all legal rows got time,
    memory and cost."""

    space: Space
    best: tuple[Candidate, ...]  # feasible, fastest first
    pareto: tuple[Candidate, ...]  # feasible, no other is both faster and smaller
    smallest: Candidate | None  # least memory, feasible or not
    legal: int
    evaluated: int
    feasible: int
    rejected: dict[str, int]
    seconds: float


def explore(asked: Asked, space: Space, keep: int = 20) -> Found:
    """Search the whole space. Ties break by memory, then by the order of the search."""
    start = time.perf_counter()
    rejected: dict[str, int] = {}
    table = layouts(
        space, asked.shape, asked.hardware, asked.n_chips, asked.global_batch, asked.seq_len
    )
    rejected.update(table.rejected)
    legal = feasible = 0
    best: list[Candidate] = []
    front: list[Candidate] = []
    smallest: Candidate | None = None
    for block in evaluate(asked, space, table, rejected):
        legal += block.step_time.size
        low = int(np.argmin(block.memory))
        if smallest is None or block.memory[low] < smallest.memory_bytes:
            smallest = _candidate(block, low)
        fits = np.flatnonzero(block.memory <= asked.memory_limit)
        feasible += len(fits)
        if len(fits):
            best = _merge_best(best, block, fits, keep)
            front = _merge_front(front, block, fits)
    if legal > feasible:
        rejected["does not fit in memory"] = legal - feasible
    return Found(
        space, tuple(best), tuple(front), smallest, legal, legal, feasible,
        dict(sorted(rejected.items(), key=lambda kv: -kv[1])), time.perf_counter() - start,
    )  # fmt: skip


def _candidate(block: Block, row: int) -> Candidate:
    return Candidate(
        block.strategy_at(row),
        float(block.step_time[row]),
        float(block.memory[row]),
        float(block.cost[row]),
        block.first + int(row),
    )


def _order(candidate: Candidate) -> tuple[float, float, int]:
    return candidate.step_time_s, candidate.memory_bytes, candidate.row


def _merge_best(best: list[Candidate], block: Block, fits: Any, keep: int) -> list[Candidate]:
    times = block.step_time[fits]
    if len(best) == keep:
        fits = fits[times <= best[-1].step_time_s]
        times = block.step_time[fits]
    if len(fits) > 4 * keep:
        fits = fits[times <= np.partition(times, keep)[keep]]
    if not len(fits):
        return best
    order = np.lexsort((fits, block.memory[fits], block.step_time[fits]))[:keep]
    return sorted([*best, *(_candidate(block, fits[i]) for i in order)], key=_order)[:keep]


def _merge_front(front: list[Candidate], block: Block, fits: NDArray[np.intp]) -> list[Candidate]:
    """The front of time against memory: sorted by time, each one smaller than all before."""
    if front:  # drop what one known point dominates, before sorting
        times = np.array([c.step_time_s for c in front])
        least = np.array([c.memory_bytes for c in front])
        at = np.searchsorted(times, block.step_time[fits], side="right") - 1
        fits = fits[(at < 0) | (block.memory[fits] < least[at])]
    order = fits[np.lexsort((block.memory[fits], block.step_time[fits]))]
    memory = block.memory[order]
    if not len(order):
        return front
    before = np.concatenate([[np.inf], np.minimum.accumulate(memory)[:-1]])
    joined = [*front, *(_candidate(block, r) for r in order[memory < before])]
    joined.sort(key=_order)
    kept: list[Candidate] = []
    for candidate in joined:
        if not kept or candidate.memory_bytes < kept[-1].memory_bytes:
            kept.append(candidate)
    return kept
