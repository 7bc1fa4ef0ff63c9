"""A fleet of two kinds of chip as one pipeline: the first stages on one, the last on the other.

Both kinds have the same replicas, micro-batches and schedule; each has its own stages, layers,
tensor, context and expert ranks, recomputation and sharding. Everything is tried, in the order of a
bound that no strategy of a group can beat, until what is left cannot beat the best.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from math import ceil, inf
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model import Span, StagedStep, Stretch, pace_of, staged_step, straggling
from chares.search.mixed_choices import ONE_RUN, Choices, splits
from chares.search.mixed_groups import POWERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.ledger import Num
    from chares.search.asking import Question
    from chares.search.blocks import Asked

    Index = NDArray[np.intp]
    Array = NDArray[np.float64]

#: (ZeRO stage, sharded inside a scale-up domain only), without and with sharded weights
SHARDED = (((0, 0), (1, 0), (2, 0), (1, 1), (2, 1)), ((3, 0), (3, 1)))
ROWS, PAIRS = 4000, 1000  # looked at together


@dataclass(frozen=True)
class Chain:
    """The fastest pipeline over two kinds. ``order`` are their places among those asked, from the
    first stage on; ``evaluated`` the strategies that got time and memory in full."""

    order: tuple[int, ...]
    stretches: tuple[Stretch, ...]
    step: StagedStep
    evaluated: int


@dataclass(frozen=True)
class _Group:
    """Strategies that share replicas and micro-batches. ``bound``: seconds none of them beats."""

    bound: float
    dp: int
    micro_batch: int
    micro_batches: int
    rows: tuple[Index, Index]  # of both kinds, in the order of the pipeline


@dataclass
class _Best:
    """The fastest so far, and how many strategies got time and memory in full."""

    seconds: float = inf
    order: tuple[int, ...] = ()
    stretches: tuple[Stretch, ...] = ()
    evaluated: int = 0


class _Fleet:
    """What every step has: a fixed part, and the wait for the slowest node."""

    def __init__(self, asked: Sequence[Asked]) -> None:
        kinds = [a.calibration for a in asked]
        self.fixed = float(max(c.step for c in kinds))
        chips, hardware = [a.n_chips for a in asked], [a.hardware for a in asked]
        self.share = float(straggling(chips, hardware, kinds))

    def at_least(self, seconds: Any) -> Any:
        """Seconds of a step whose pipeline takes so many."""
        return (seconds + self.fixed) * (1.0 + self.share)


def chained(questions: Sequence[Question]) -> Chain | None:
    """The fastest pipeline over two kinds of chip, all chips in use; None where none fits.

    Layers are divided in whole numbers. Where replicas do not divide the batch the last
    micro-batch is missing in some and takes its time all the same.
    """
    kinds = [Choices(q.asked) for q in questions]
    fleet = _Fleet([q.asked for q in questions])
    best = _Best()
    groups = sorted(_groups(kinds, fleet), key=lambda g: g.bound)
    for alike in (True, False):  # first where both kinds recompute alike: most bounds fall short
        for group, order in product(groups, permutations(range(2))):
            if group.bound < best.seconds:
                pair = [kinds[i] for i in order]
                turned = replace(group, rows=(group.rows[order[0]], group.rows[order[1]]))
                _search(pair, turned, fleet, best, order, alike=alike)
    if not best.stretches:
        return None
    step = staged_step(kinds[0].asked.shape, best.stretches)
    return Chain(best.order, best.stretches, step, best.evaluated)


def _depth(asked: Asked) -> int:
    return int(asked.shape.n_layers + asked.shape.mtp_layers)


def _groups(kinds: Sequence[Choices], fleet: _Fleet) -> Iterator[_Group]:
    """All groups with their bound: layers spread evenly in time over the fastest of each kind."""
    asked = kinds[0].asked
    batch = asked.global_batch
    shared = set(kinds[0].columns["dp"]) & set(kinds[1].columns["dp"])
    small = {m for m in range(1, 9) if batch % m == 0}
    for dp in sorted(int(d) for d in shared if d <= batch):
        rows = tuple(np.flatnonzero(k.columns["dp"] == dp) for k in kinds)
        for size in sorted({*POWERS, *small}):
            if size > 1 and dp * size > batch:
                continue
            m = ceil(batch / (dp * size))
            speed = sum(
                float(np.max(k.columns["pp"][r] / k.layers_of(size)[1][r]))
                for k, r in zip(kinds, rows, strict=True)
            )
            bound = float(fleet.at_least(m * _depth(asked) / speed))
            yield _Group(bound, dp, size, m, (rows[0], rows[1]))


def _search(
    kinds: Sequence[Choices], group: _Group, fleet: _Fleet, best: _Best, order: tuple[int, ...],
    *, alike: bool,
) -> None:  # fmt: skip
    """Better ``best`` by the pairs of a group, those with the lowest bounds first."""
    ends = [_least_end(kinds, group, side, best.seconds) for side in (0, 1)]
    bound = fleet.at_least(_bounds(kinds, group) + np.maximum(ends[0][:, None], ends[1][None, :]))
    same = np.ones(bound.shape, dtype=bool)
    for name in ("recompute", "recompute_share", "ep", "etp"):
        one, two = (k.columns[name][r] for k, r in zip(kinds, group.rows, strict=True))
        same &= one[:, None] == two[None, :]
    first, second = np.nonzero((bound < best.seconds) & (same == alike))
    bounds = bound[first, second]
    for start in range(0, len(bounds), PAIRS):
        if start == 0:
            turn = np.argsort(bounds, kind="stable")
        now = turn[start : start + PAIRS]
        if bounds[now[0]] >= best.seconds:
            break
        now = now[bounds[now] < best.seconds]
        pairs = group.rows[0][first[now]], group.rows[1][second[now]]
        rows, seconds = _candidates(kinds, group, fleet, pairs, best.seconds)
        _evaluate(kinds, group, rows, seconds, best, order)


def _least_end(kinds: Sequence[Choices], group: _Group, side: int, least: float) -> Array:
    """Seconds of gradients and optimizer that each row of one kind takes at least in a step of
    less than ``least`` seconds; infinite where it lacks memory even then.

    Looked at where it has fewest layers: the other kind has as many as it can work off in time.
    """
    depth, stage = _depth(kinds[0].asked), min(least / group.micro_batches, 1e9)
    own, other = group.rows[side], group.rows[1 - side]
    stages = kinds[1 - side].columns["pp"][other]
    seconds = kinds[1 - side].layers_of(group.micro_batch)[1][other]
    most = np.max(np.floor(stages * np.minimum(np.ceil(stage / seconds), depth)))
    fewest = np.maximum(kinds[side].columns["pp"][own], depth - most)
    partner = np.full(own.shape, other[np.argmin(stages)])
    rows: dict[str, Any] = {
        "first": partner if side else own,
        "second": own if side else partner,
        "layers": depth - fewest if side else fewest,
    }
    end = np.full(own.shape, inf)
    for sharded in (0, 1):
        both = {"schedule": np.full(own.shape, ONE_RUN[0]), "sharded": np.full(own.shape, sharded)}
        part = {k: v[:, None] for k, v in (rows | both).items()}
        x = _stretches(kinds, group, part)[side]
        found, _, _ = _soonest(kinds[side].asked, x, stage, part["sharded"])
        end = np.minimum(end, found[:, 0])
    return end


def _bounds(kinds: Sequence[Choices], group: _Group) -> Array:
    """Seconds that the pipeline of each pair of rows takes at least.

    With ``s`` seconds of the slowest stage and ``t`` through all, no schedule here is faster than
    zero-bubble at the larger share ``w`` of weight gradients: (m - (1 - w) - (min(m, p) - 1) w) s +
    (1 - w) t. Over fractions of layers that is convex with three corners: stages even in time,
    all layers on either kind.
    """
    m, depth = group.micro_batches, _depth(kinds[0].asked)
    layer, stages, weights = [], [], []
    for axis, (k, r) in enumerate(zip(kinds, group.rows, strict=True)):
        a, seconds = k.layers_of(group.micro_batch)
        shape = (-1, 1) if axis == 0 else (1, -1)
        layer.append(seconds[r].reshape(shape))
        stages.append(k.columns["pp"][r].reshape(shape))
        share = np.broadcast_to(np.asarray(a.weight_share), seconds.shape)
        weights.append(share[r].reshape(shape))
    w = np.maximum(*weights)
    p = stages[0] + stages[1]
    pace = m - (1.0 - w) - (np.minimum(m, p) - 1.0) * w
    even = depth / (stages[0] / layer[0] + stages[1] / layer[1])
    least = pace * even + (1.0 - w) * p * even
    for one in (0, 1):
        alone = depth * layer[one]
        least = np.minimum(least, pace * alone / stages[one] + (1.0 - w) * alone)
    bound: Array = np.maximum(least, m * even)
    return bound


def _candidates(
    kinds: Sequence[Choices], group: _Group, fleet: _Fleet, pairs: tuple[Index, Index], least: float
) -> tuple[dict[str, NDArray[Any]], Array]:
    """Strategies of these pairs that may take less than ``least``: rows of both kinds, layers of
    the first, schedule, weights sharded or not; and their bounds. Fastest first."""
    depth = _depth(kinds[0].asked)
    stages = [k.columns["pp"][r].astype(int) for k, r in zip(kinds, pairs, strict=True)]
    parts: list[tuple[Index, ...]] = []
    for a, b in sorted(set(zip(*(s.tolist() for s in stages), strict=True))):
        same = np.flatnonzero((stages[0] == a) & (stages[1] == b))
        ways = (same, splits(depth, a, b), ONE_RUN, (0, 1))
        grid = [g.ravel().astype(np.intp) for g in np.meshgrid(*ways, indexing="ij")]
        parts.append((pairs[0][grid[0]], pairs[1][grid[0]], *grid[1:]))
    names = ("first", "second", "layers", "schedule", "sharded")
    columns = (np.concatenate(c) for c in zip(*parts, strict=True))
    rows: dict[str, NDArray[Any]] = dict(zip(names, columns, strict=True))
    pace = pace_of(kinds[0].asked.shape, _stretches(kinds, group, rows))
    seconds = np.broadcast_to(fleet.at_least(pace.running), rows["layers"].shape)
    one = [k.columns["cp"][rows[n]] * group.dp == 1 for k, n in zip(kinds, names, strict=False)]
    pointless = (rows["sharded"] == 1) & (one[0] | one[1])  # one rank has nobody to shard with
    kept = np.flatnonzero((seconds < least) & ~pointless)
    running = np.broadcast_to(pace.running, seconds.shape)[kept]
    rows, seconds = {k: v[kept] for k, v in rows.items()}, seconds[kept]
    if len(kept):  # whatever beats the best so far has no stage longer than that
        ends = _ends(kinds, group, rows, min(least / group.micro_batches, 1e9))
        seconds = fleet.at_least(running + ends)
    turn = np.argsort(seconds, kind="stable")[: np.count_nonzero(seconds < least)]
    return {k: v[turn] for k, v in rows.items()}, seconds[turn]


def _evaluate(
    kinds: Sequence[Choices], group: _Group, rows: dict[str, NDArray[Any]], bounds: Array,
    best: _Best, order: tuple[int, ...],
) -> None:  # fmt: skip
    """Better ``best`` by rows, in full, until their bounds reach it."""
    for start in range(0, len(bounds), ROWS):
        if bounds[start] >= best.seconds:
            break
        part = {k: v[start : start + ROWS, None] for k, v in rows.items()}
        best.evaluated += len(part["layers"])
        stretches, fits = _sharded(kinds, group, part)
        if not np.any(fits):
            continue
        step = staged_step(kinds[0].asked.shape, stretches)
        times = np.where(fits, step.step_time_s, inf).ravel()
        i = int(np.argmin(times))
        if times[i] < best.seconds:
            best.seconds, best.order = float(times[i]), order
            one = _stretches(kinds, group, {k: v[i, 0] for k, v in part.items()})
            best.stretches = tuple(
                replace(x, strategy=replace(x.strategy, zero=_at(y.zero, i),
                                            shard_group=_at(y.shard_group, i)))
                for x, y in zip(one, (z.strategy for z in stretches), strict=True)
            )  # fmt: skip


def _at(values: Any, row: int) -> float:
    return float(np.asarray(values).ravel()[row])


def _stretches(
    kinds: Sequence[Choices], group: _Group, rows: dict[str, Any]
) -> tuple[Stretch, Stretch]:
    """The rows as stretches of a pipeline, for ZeRO 0 or 3."""
    which = rows["first"], rows["second"]
    own = [k.columns["pp"][r] for k, r in zip(kinds, which, strict=True)]
    count = rows["layers"] * 1.0
    spans = Span(own[0], 0.0, count), Span(own[1], own[0], _depth(kinds[0].asked) - count)
    made = [
        Stretch(
            kind.layers_of(group.micro_batch)[0].rows(r),
            kind.strategy(
                r, pp=own[0] + own[1], micro_batch=float(group.micro_batch),
                schedule=rows["schedule"], zero=3.0 * rows["sharded"],
            ),
            kind.asked.hardware, kind.asked.calibration, span,
        )
        for kind, r, span in zip(kinds, which, spans, strict=True)
    ]  # fmt: skip
    return made[0], made[1]


def _sharded(
    kinds: Sequence[Choices], group: _Group, rows: dict[str, Any]
) -> tuple[tuple[Stretch, ...], NDArray[np.bool_]]:
    """The rows with, for each kind, the way of sharding that ends the step first and fits in
    memory; and which rows fit."""
    shape = kinds[0].asked.shape
    stretches = _stretches(kinds, group, rows)
    stage = pace_of(shape, stretches).stage
    found = [
        _soonest(k.asked, x, stage, rows["sharded"]) for k, x in zip(kinds, stretches, strict=True)
    ]
    fits = np.isfinite(found[0][0]) & np.isfinite(found[1][0])
    return tuple(
        replace(x, strategy=replace(x.strategy, zero=zero, shard_group=shard))
        for x, (_, zero, shard) in zip(stretches, found, strict=True)
    ), fits


def _soonest(asked: Asked, x: Stretch, stage: Num, sharded: Any) -> tuple[Array, Array, Array]:
    """Seconds of gradients and optimizer with the best way of sharding that fits in memory
    (infinite where none does), its ZeRO stage and the size of its group."""
    domain = np.maximum(1.0, asked.hardware.scale_up_size / x.strategy.tp)
    end = np.full(sharded.shape, inf)
    zero, shard = np.zeros(sharded.shape), np.zeros(sharded.shape)
    for code in np.unique(sharded):
        ways = np.array(SHARDED[int(code)], dtype=np.float64)[None]  # the second axis
        groups = ways[..., 1] * domain
        y = replace(x, strategy=replace(x.strategy, zero=ways[..., 0], shard_group=groups))
        fits = y.memory(asked.shape).device <= asked.memory_limit
        seconds = np.where(fits & (sharded == code), sum(y.finish(asked.shape, stage)), inf)
        which = np.argmin(seconds, axis=1)[:, None]
        least = np.take_along_axis(seconds, which, axis=1)
        better = least < end
        end, zero = np.where(better, least, end), np.where(better, ways[0, which, 0], zero)
        shard = np.where(better, np.take_along_axis(groups, which, axis=1), shard)
    return end, zero, shard


def _ends(
    kinds: Sequence[Choices], group: _Group, rows: dict[str, NDArray[Any]], stage: float
) -> Array:
    """Seconds of gradients and optimizer that rows take at least if no stage takes more than
    ``stage``, infinite where one of the kinds lacks memory. Worked out once for each kind's own
    part of a row."""
    total = sum(k.columns["pp"][rows[n]] for k, n in zip(kinds, ("first", "second"), strict=True))
    rest = ((rows["layers"] * 1000 + total) * 8 + rows["schedule"]) * 2 + rows["sharded"]
    longest = np.zeros(len(rest))
    for side, name in enumerate(("first", "second")):
        key = rows[name] * float(2**28) + rest
        _, one, where = np.unique(key, return_index=True, return_inverse=True)
        part = {k: v[one, None] for k, v in rows.items()}
        x = _stretches(kinds, group, part)[side]
        end, _, _ = _soonest(kinds[side].asked, x, stage, part["sharded"])
        longest = np.maximum(longest, end[:, 0][where.ravel()])
    return longest
