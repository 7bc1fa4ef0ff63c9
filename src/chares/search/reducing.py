"""What one block adds to the answer: its best, its part of the front, the best by value.

Blocks are reduced by any thread and merged in the order of the search, so that threads do not
change the answer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from chares.model import Strategy
    from chares.search.blocks import Block, Options
    from chares.search.space import Layouts, Space

CODED = ("recompute",)  # dimensions whose values are numbered by their place in the space


@dataclass(frozen=True)
class Candidate:
    """One strategy with its time, memory and the cost of the run."""

    strategy: Strategy
    step_time_s: float
    memory_bytes: float
    cost_usd: float
    row: int  # its number in the order of the search; breaks ties

    @property
    def order(self) -> tuple[float, float, int]:
        """What candidates are sorted by: time, memory, place in the search."""
        return self.step_time_s, self.memory_bytes, self.row


@dataclass(frozen=True)
class Part:
    """What one block adds to the answer."""

    rows: int
    feasible: int
    smallest: Candidate | None  # None where one known is smaller
    best: list[Candidate]
    front: list[Candidate]
    kind: int
    layouts: NDArray[np.intp]
    by_layout: NDArray[np.float64]  # s, the fastest that fits of each layout (inf: none)
    by_option: tuple[NDArray[np.float64], ...]  # s, the same of each option, group by group
    grid: NDArray[np.float64] | None  # s, the fastest of each cell of a heat map


@dataclass(frozen=True)
class Known:
    """What earlier blocks found: rows that cannot beat it are not looked at. An older state than
    the newest one leaves more rows, not others."""

    slowest: float = np.inf  # s, beyond which a row is not among the best
    smallest: float = np.inf  # bytes
    front: Sequence[Candidate] = ()

    def beaten_at(self, seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bytes from which on the front beats a row of so many seconds."""
        times = np.array([c.step_time_s for c in self.front])
        memory = np.array([np.inf, *(c.memory_bytes for c in self.front)])
        least: NDArray[np.float64] = memory[np.searchsorted(times, seconds, side="right")]
        return least


def reduce(block: Block, limit: float, keep: int, known: Known, heat: Heat | None) -> Part:
    """The part of a block. ``limit`` is bytes."""
    fit = block.memory <= limit
    fits = np.flatnonzero(fit)
    times = np.where(fit, block.step_time, np.inf).reshape(block.shape)
    least = int(np.argmin(block.memory))
    return Part(
        block.step_time.size,
        len(fits),
        _candidate(block, least) if block.memory[least] < known.smallest else None,
        _best(block, fits, keep, known.slowest),
        _front(block, fits, known),
        block.kind,
        block.layouts,
        times.min(axis=(1, 2, 3)),
        tuple(times.min(axis=axes) for axes in ((0, 2, 3), (0, 1, 3), (0, 1, 2))),
        heat.of(block, times) if heat else None,
    )


def _candidate(block: Block, row: int) -> Candidate:
    return Candidate(
        block.strategy_at(row),
        float(block.step_time[row]),
        float(block.memory[row]),
        float(block.cost[row]),
        block.first + int(row),
    )


def _best(block: Block, fits: NDArray[np.intp], keep: int, slowest: float) -> list[Candidate]:
    fits = fits[block.step_time[fits] <= slowest]
    if len(fits) > 4 * keep:
        times = block.step_time[fits]
        fits = fits[times <= np.partition(times, keep)[keep]]
    order = np.lexsort((fits, block.memory[fits], block.step_time[fits]))[:keep]
    return [_candidate(block, int(fits[i])) for i in order]


def _front(block: Block, fits: NDArray[np.intp], known: Known) -> list[Candidate]:
    """Rows than which no other of the block, nor one known, is both faster and smaller."""
    if known.front:
        fits = fits[block.memory[fits] < known.beaten_at(block.step_time[fits])]
    if not len(fits):
        return []
    order = fits[np.lexsort((fits, block.memory[fits], block.step_time[fits]))]
    memory = block.memory[order]
    before = np.concatenate([[np.inf], np.minimum.accumulate(memory)[:-1]])
    return [_candidate(block, int(r)) for r in order[memory < before]]


def merge_front(front: Sequence[Candidate], more: Sequence[Candidate]) -> list[Candidate]:
    """The front of time against memory: sorted by time, each one smaller than all before."""
    kept: list[Candidate] = []
    for candidate in sorted([*front, *more], key=lambda c: c.order):
        if not kept or candidate.memory_bytes < kept[-1].memory_bytes:
            kept.append(candidate)
    return kept


# the fastest by value ---------------------------------------------------------------------------


@dataclass
class ByValue:
    """The fastest strategy that fits, for each value of each dimension."""

    space: Space
    table: Layouts
    times: NDArray[np.float64] = field(init=False)  # s by layout
    classes: dict[int, tuple[Options, tuple[NDArray[np.float64], ...]]] = field(
        default_factory=dict
    )

    def __post_init__(self) -> None:
        self.times = np.full(len(self.table), np.inf)

    def add(self, part: Part, options: Options) -> None:
        """Take a part in; ``options`` are those of its class."""
        self.times[part.layouts] = np.minimum(self.times[part.layouts], part.by_layout)
        known = self.classes.get(part.kind)
        best = part.by_option
        if known:
            best = tuple(np.minimum(a, b) for a, b in zip(known[1], best, strict=True))
        self.classes[part.kind] = options, best

    def found(self) -> dict[str, dict[Any, float]]:
        """Seconds by dimension and value; infinite where nothing with this value fits."""
        best: dict[str, dict[Any, float]] = {}
        for name, shown in self.space.dimensions.items():
            values = getattr(self.space, name)
            codes = range(len(values)) if name in CODED else values
            times = {float(code): np.inf for code in codes}
            for value, seconds in self._pairs(name):
                times[value] = min(times.get(value, np.inf), seconds)
            best[name] = dict(zip(shown, times.values(), strict=False))
        return best

    def _pairs(self, name: str) -> list[tuple[float, float]]:
        """(value, seconds): of layouts where the dimension is theirs, else of options."""
        if name in self.table.columns:
            column = self.table.columns[name]
            if name == "etp":  # the space says split or not, the table into how many
                column = (column > 1).astype(np.int64)
            return [(float(v), float(self.times[column == v].min())) for v in np.unique(column)]
        own = "choice" if name in CODED else name
        return [
            (float(v), float(t))
            for options, times in self.classes.values()
            for group, best in zip(options, times, strict=True)
            if own in group
            for v, t in zip(group[own], best, strict=True)
        ]


@dataclass(frozen=True)
class Heat:
    """The fastest strategy for each pair of values of two dimensions."""

    names: tuple[str, str]
    values: tuple[NDArray[np.float64], NDArray[np.float64]]
    labels: tuple[list[Any], list[Any]]
    table: Layouts

    def of(self, block: Block, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Seconds by cell, infinite where nothing fits."""
        first, second = (self._codes(block, i) for i in (0, 1))
        size = len(self.values[0]), len(self.values[1])
        cells = np.broadcast_to(first * size[1] + second, times.shape)
        grid = np.full(size[0] * size[1], np.inf)
        np.minimum.at(grid, cells.ravel(), times.ravel())
        return grid.reshape(size)

    def _codes(self, block: Block, which: int) -> NDArray[np.intp]:
        name = self.names[which]
        own = "choice" if name in CODED else name
        if name in self.table.columns:
            column = self.table.columns[name][block.layouts].astype(np.float64)
            if name == "etp":
                column = np.minimum(column - 1.0, 1.0)
            return np.searchsorted(self.values[which], column)[:, None, None, None]
        axis = next(i for i, group in enumerate(block.options) if own in group)
        values = np.searchsorted(self.values[which], block.options[axis][own])
        return np.expand_dims(values, tuple(i for i in range(4) if i != axis + 1))
