"""Every legal strategy evaluated; the best few, the Pareto front, and why the others lose."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.errors import UnknownName
from chares.search.blocks import Asked, Block, evaluate
from chares.search.reducing import CODED, ByValue, Candidate, Heat, Known, Part, merge_front, reduce
from chares.search.space import Layouts, Space, layouts

if TYPE_CHECKING:
    from numpy.typing import NDArray

UNFIT = "does not fit in memory"


@dataclass(frozen=True)
class HeatMap:
    """Seconds of the fastest strategy by two dimensions; infinite where nothing fits."""

    names: tuple[str, str]
    labels: tuple[list[Any], list[Any]]
    step_time_s: NDArray[np.float64]


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
    by_value: dict[str, dict[Any, float]] = field(default_factory=dict)
    heat: HeatMap | None = None


@dataclass
class _State:
    """What has been merged so far."""

    keep: int
    legal: int = 0
    feasible: int = 0
    best: list[Candidate] = field(default_factory=list)
    front: list[Candidate] = field(default_factory=list)
    smallest: Candidate | None = None
    grid: NDArray[np.float64] | None = None

    @property
    def slowest(self) -> float:
        """Seconds beyond which a row is not among the best."""
        return self.best[-1].step_time_s if len(self.best) == self.keep else np.inf

    @property
    def known(self) -> Known:
        """What the next block has to beat."""
        smallest = self.smallest.memory_bytes if self.smallest else np.inf
        return Known(self.slowest, smallest, self.front)

    def add(self, part: Part) -> None:
        """Merge a part, in the order of the search."""
        self.legal += part.rows
        self.feasible += part.feasible
        least = part.smallest
        if least and (self.smallest is None or least.memory_bytes < self.smallest.memory_bytes):
            self.smallest = least
        if part.best:
            self.best = sorted([*self.best, *part.best], key=lambda c: c.order)[: self.keep]
        self.front = merge_front(self.front, part.front)
        if part.grid is not None:
            self.grid = part.grid if self.grid is None else np.minimum(self.grid, part.grid)


def explore(
    asked: Asked,
    space: Space,
    keep: int = 20,
    *,
    heat: tuple[str, str] | None = None,
    threads: int = 1,
    told: Callable[[int], None] | None = None,
) -> Found:
    """Search the whole space. Ties break by memory, then by the order of the search.

    One thread is as fast as two here (docs/decisions.md); the answer is the same with any number.
    ``heat``: two dimensions of the space whose cells are wanted. ``told`` is called with the rows
    done so far. Raises `UnknownName` for a dimension that the space lacks.
    """
    start = time.perf_counter()
    table = layouts(space, asked.shape, asked.n_chips, asked.global_batch, asked.seq_len)
    rejected = dict(table.rejected)
    wanted = _heat(heat, space, table) if heat else None
    state, by_value = _State(keep), ByValue(space, table)

    def work(task: Callable[[], Block]) -> tuple[Part, Any]:
        block = task()
        part = reduce(block, asked.memory_limit, keep, state.known, wanted)
        return part, block.options

    tasks = evaluate(asked, space, table, rejected)
    for part, options in _in_order(work, tasks, threads):
        state.add(part)
        by_value.add(part, options)
        if told:
            told(state.legal)
    if state.legal > state.feasible:
        rejected[UNFIT] = state.legal - state.feasible
    drawn = HeatMap(wanted.names, wanted.labels, state.grid) if wanted and len(table) else None  # type: ignore[arg-type]  # a grid comes with every block
    return Found(
        space, tuple(state.best), tuple(state.front), state.smallest, state.legal, state.legal,
        state.feasible, dict(sorted(rejected.items(), key=lambda kv: -kv[1])),
        time.perf_counter() - start, by_value.found(), drawn,
    )  # fmt: skip


def _in_order(
    work: Callable[[Any], tuple[Part, Any]], tasks: Iterator[Any], threads: int
) -> Iterator[tuple[Part, Any]]:
    """Results of tasks in their order, a few at work at a time."""
    if threads < 2:
        yield from map(work, tasks)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[tuple[Part, Any]]] = deque()
        for task in tasks:
            waiting.append(pool.submit(work, task))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _heat(names: tuple[str, str], space: Space, table: Layouts) -> Heat:
    shown = space.dimensions
    for name in names:
        if name not in shown:
            raise UnknownName("dimension", name, shown, where="--heat")
    values, labels = [], []
    for name in names:
        codes = np.array(
            range(len(shown[name])) if name in CODED else getattr(space, name), dtype=np.float64
        )
        order = np.argsort(codes)
        values.append(codes[order])
        labels.append([shown[name][i] for i in order])
    return Heat(names, (values[0], values[1]), (labels[0], labels[1]), table)
