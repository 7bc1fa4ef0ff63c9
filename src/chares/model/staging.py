"""A pipeline whose stages are on accelerators of several kinds.

Every replica has its first stages on one kind, the next on another. A `Stretch` is the stages on
one kind; a stretch that is the whole pipeline gives what `step_of` gives. Only schedules in which a
device has one run of layers fit (1F1B, ZB-H1, GPipe): with chunks (interleaved, ZBV, DualPipe) a
device would have layers of both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model.memory import Memory, memory_use
from chares.model.network import Group, Links, reduce_time, send_time
from chares.model.schedule import NOTHING, Pass, pipeline
from chares.model.stepping import (
    Breakdown,
    accumulation,
    gradients,
    layer_seconds,
    passes,
    slack,
    slower,
)

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.calibration import Calibration
    from chares.model.hardware import Hardware
    from chares.model.layers import Layers
    from chares.model.shape import Shape
    from chares.model.spans import Span
    from chares.model.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive stages on one kind of accelerator.

    ``strategy.pp`` counts the stages of the whole pipeline; its dp, micro-batch, batch and schedule
    are those of every stretch, its other degrees are this one's own. ``layers`` are what
    `layer_times` gives for it.
    """

    layers: Layers
    strategy: Strategy
    hardware: Hardware
    calibration: Calibration
    span: Span

    @property
    def chips(self) -> Num:
        """Accelerators of this kind."""
        s = self.strategy
        return s.tp * s.cp * s.dp * self.span.stages

    def memory(self, shape: Shape) -> Memory:
        """Peak bytes of an accelerator here, on the fullest of these stages."""
        return memory_use(
            self.layers, shape, self.strategy, self.hardware, self.calibration, self.span
        )

    def finish(self, shape: Shape, stage: Num) -> tuple[Num, Num]:
        """Exposed seconds of data-parallel communication, which stays inside one kind, and seconds
        of the optimizer, where the slowest stage of the pipeline takes ``stage`` seconds."""
        links = Links.of(self.hardware, self.calibration)
        return gradients(
            self.layers, shape, self.strategy, self.hardware, self.calibration, links, stage,
            self.span.most,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pace:
    """What a micro-batch costs the slowest stage (seconds), and what it waits for in a step."""

    stage: Num
    layers: Num  # of that stage
    late: Num  # by which launching from the host outlasts the device
    idle: Num  # of the whole step
    stretch: Num  # index of the stretch that has the stage
    running: Num  # of the whole step: all micro-batches and the wait
    slack: Num  # of a micro-batch: by which the stage is slower than the mean of the others


@dataclass(frozen=True, slots=True)
class StagedStep:
    """One training step on such a pipeline. ``memory`` has one entry for each stretch."""

    step_time_s: Num
    breakdown: Breakdown
    memory: tuple[Memory, ...]
    mfu: Num  # of the 16-bit peaks of all accelerators
    tokens_per_s: Num


def pace_of(shape: Shape, stretches: Sequence[Stretch]) -> Pace:
    """The slowest stage of all stretches and the idle time that the schedule leaves it.

    The closed forms of `schedule.pipeline` take one slowest device and the sum of the others, so
    unequal stages fit them as they are.
    """
    stages, counts, slow, through, total = [], [], [], [], NOTHING
    for x in stretches:
        a, s = x.layers, x.strategy
        layer = layer_seconds(a, s, x.hardware, x.calibration)
        most, last = x.span.most, np.floor(x.span.layers / x.span.stages)
        ends = x.span.closing(s.pp) * a.head * (1.0 + shape.mtp_layers)
        # the last stage of the pipeline has the smaller share of layers, and the head
        outer = x.span.closing(s.pp) * (last * layer + ends)
        heavy = np.greater_equal(outer, most * layer)
        stages.append(np.maximum(most * layer, outer))
        counts.append(np.where(heavy, last, most))
        slow.append(slower(stages[-1], counts[-1] * a.host))
        through.append(x.span.layers * layer + ends + x.span.opening() * a.embedding)
        total = total.plus(passes(a, through[-1]))
    which = np.argmax(np.stack(np.broadcast_arrays(*slow)), axis=0)
    split = [passes(x.layers, stage) for x, stage in zip(stretches, stages, strict=True)]
    slowest = Pass(
        _pick(which, [p.forward for p in split]),
        _pick(which, [p.backward_input for p in split]),
        _pick(which, [p.backward_weight for p in split]),
    )
    s = stretches[0].strategy
    m = s.micro_batches
    idle = pipeline(s.schedule, s.pp, 1, m, slowest, total.plus(slowest.times(-1.0))).idle
    stage = _pick(which, stages)
    late = _pick(which, slow) - stage
    behind = slack(stage, sum(through), s.pp)
    return Pace(stage, _pick(which, counts), late, idle, which, m * (stage + late) + idle, behind)


def staged_step(shape: Shape, stretches: Sequence[Stretch]) -> StagedStep:
    """Time and memory of a step. All fields are numbers or rows that broadcast."""
    pace = pace_of(shape, stretches)
    s, m = stretches[0].strategy, stretches[0].strategy.micro_batches
    done = [x.finish(shape, pace.stage) for x in stretches]
    last = np.argmax(np.stack(np.broadcast_arrays(*[d + o for d, o in done])), axis=0)
    n = pace.layers * m

    def of(name: str) -> Num:
        return n * _pick(pace.stretch, [getattr(x.layers, name) for x in stretches])

    added = [accumulation(x.layers, x.strategy, x.calibration, x.hardware) for x in stretches]
    layer = [layer_seconds(x.layers, x.strategy, x.hardware, x.calibration) for x in stretches]
    parts = {
        "linear": of("linear"),
        "attention": of("attention"),
        "experts": of("experts"),
        "elementwise": of("elementwise") + n * _pick(pace.stretch, added),
        "routing": of("routing"),
        "head": m * (pace.stage - pace.layers * _pick(pace.stretch, layer)),
        "tp": of("tp_exposed"),
        "cp": of("cp_exposed"),
        "ep": of("ep_exposed"),
        "pp": _sends(shape, stretches, pace.slack),
        "dp": _pick(last, [d for d, _ in done]),
        "bubble": pace.idle,
        "optimizer": _pick(last, [o for _, o in done]),
        "host": m * pace.late + _most([x.calibration.step for x in stretches]),
    }
    before = sum(parts.values())
    straggler = before * straggling(
        [x.chips for x in stretches],
        [x.hardware for x in stretches],
        [x.calibration for x in stretches],
    )
    total = before + straggler
    tokens = s.global_batch * s.seq_len
    peak = sum(x.chips * x.hardware.peak_16 for x in stretches)
    return StagedStep(
        total,
        Breakdown(**parts, straggler=straggler),
        tuple(x.memory(shape) for x in stretches),
        stretches[0].layers.flops * tokens / (total * peak),
        tokens / total,
    )


def straggling(
    chips: Sequence[Num], hardware: Sequence[Hardware], calibration: Sequence[Calibration]
) -> Num:
    """Share of a step that waiting for the slowest of all nodes adds to it."""
    nodes = sum(n / h.node_size for n, h in zip(chips, hardware, strict=True))
    share: Num = _most([c.straggler for c in calibration]) * np.log2(np.maximum(1.0, nodes))
    return share


def sum_between(
    slices: Sequence[Num], hardware: Sequence[Hardware], calibration: Sequence[Calibration]
) -> Num:
    """Seconds in which several kinds sum their gradients: an all-reduce between them.

    Each accelerator of a kind has ``slices`` bytes of its kind's sum and exchanges them over its
    scale-out links; the kind with the longest way sets the time.
    """
    kinds = len(slices)
    group = Group(kinds, 1.0, kinds)
    each = [
        reduce_time(volume, group, Links.of(h, c))
        for volume, h, c in zip(slices, hardware, calibration, strict=True)
    ]
    seconds: Num = _most(each)
    return seconds


def _sends(shape: Shape, stretches: Sequence[Stretch], behind: Num) -> Num:
    """Exposed seconds of sends between stages, forth and back: the slowest hop with each
    micro-batch, as far as it is longer than the slowest stage is ``behind`` the others; every hop
    once. Between kinds both ends must carry their slice over scale-out links, and the slower end
    sets the time."""
    far: list[Num] = []
    filling: list[Num] = []
    longest: list[Num] = []
    for x in stretches:
        s, c, links = x.strategy, x.calibration, Links.of(x.hardware, x.calibration)
        volume = 2.0 * x.layers.tokens * shape.d_model / s.tp
        one = send_time(volume, s.tp * s.cp * s.dp, x.hardware.scale_up_size, links)
        far.append(volume * links.out + links.out_latency)
        filling.append((x.span.stages - 1.0) * one)
        exposed = 1.0 - c.overlap_pp * s.overlap_pp
        longest.append(exposed * np.where(np.greater(x.span.stages, 1), one, 0.0))
    for (x, a), (y, b) in pairwise(zip(stretches, far, strict=True)):
        filling.append(np.maximum(a, b))
        exposed = _most([1.0 - z.calibration.overlap_pp * z.strategy.overlap_pp for z in (x, y)])
        longest.append(exposed * np.maximum(a, b))
    each = np.maximum(0.0, 2.0 * _most(longest) - behind)
    sends: Num = stretches[0].strategy.micro_batches * each + 2.0 * sum(filling)
    return sends


def _most(values: Sequence[Any]) -> Any:
    """The largest, row by row."""
    return reduce(np.maximum, values)


def _pick(index: Any, values: Sequence[Any]) -> Num:
    """Row by row the value of the stretch with this index."""
    chosen: Num = values[0]
    for i, value in enumerate(values[1:], 1):
        chosen = np.where(np.equal(index, i), value, chosen)[()]
    return chosen
