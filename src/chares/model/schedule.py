"""Pipeline schedules in closed form: time of a step, idle time, activations held.

Every schedule is work of the slowest device plus what the pipeline leaves idle there. The idle
time is the longest of a few chains of passes through the other devices; the chains come from the
papers and, where those give one case only, from running the published orders task by task
(``tests/against/pipeline_oracle.py``, which also says how far the forms can be trusted):

* GPipe (Huang et al. 2018); 1F1B and interleaved 1F1B (Narayanan et al. 2021, section 2.2);
* ZB-H1 (Qi et al. 2023, "Zero Bubble Pipeline Parallelism", table 2);
* ZBV (Qi et al. 2024, "Pipeline Parallelism with Controllable Memory", V-ZB);
* DualPipe (DeepSeek-V3 technical report, section 3.2.1 and table 2).

All functions work elementwise on numbers or arrays. Times are seconds of one micro-batch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from chares.ledger import Num

# `vp` > 1 with 1F1B is the interleaved schedule
ONE_F_ONE_B, ZB_H1, ZBV, DUALPIPE, GPIPE = range(5)
SCHEDULES = ("1f1b", "zb-h1", "zbv", "dualpipe", "gpipe")


@dataclass(frozen=True, slots=True)
class Pass:
    """Time of one micro-batch: forward, backward of the input, backward of the weights.

    Recomputation belongs to the backward of the input.
    """

    forward: Num
    backward_input: Num
    backward_weight: Num

    @property
    def total(self) -> Num:
        """Forward and backward together."""
        return self.forward + self.backward_input + self.backward_weight

    def plus(self, other: Pass) -> Pass:
        """Both, one after the other."""
        return Pass(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Pass)))

    def times(self, factor: Num) -> Pass:
        """Several of them, or a share."""
        return Pass(*(getattr(self, f.name) * factor for f in fields(Pass)))


NOTHING = Pass(0.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A step on the pipeline: ``time`` = ``work`` of the slowest device + its ``idle`` time."""

    time: Num
    work: Num
    idle: Num


def pipeline(
    schedule: Num, p: Num, vp: Num, m: Num, slowest: Pass, rest: Pass, p2p: Num = 0.0
) -> Pipeline:
    """Time of a step of ``m`` micro-batches on ``p`` devices.

    ``slowest`` is what one micro-batch costs the slowest device (all its chunks together),
    ``rest`` the sum over the other ``p - 1`` devices (`split` gives both), ``p2p`` the exposed
    time between two devices.

    Against the task-by-task oracle: exact on even devices without ``p2p`` (ZBV below 2 p - 1
    micro-batches within 2 %), for GPipe and (interleaved) 1F1B also with it while a hop is shorter
    than a chunk's pass; else within 3 % from m = 2 p on. With embedding and head on the end
    devices within 4 %; 1F1B is then an upper bound, loose only where m is small and the slowest
    device is an early one.
    """
    work = m * slowest.total
    plain = m, p, slowest, rest, p2p
    idle = _select(
        schedule,
        {
            ONE_F_ONE_B: lambda: _one_f_one_b(vp, *plain),
            ZB_H1: lambda: _zb_h1(*plain),
            ZBV: lambda: _zbv(*plain),
            DUALPIPE: lambda: _dualpipe(*plain),
            GPIPE: lambda: rest.total + 2 * (p - 1) * p2p,
        },
    )
    idle = _where(np.greater(p, 1), np.maximum(idle, 0.0), 0.0)
    return Pipeline(work + idle, work, idle)


def _where(condition: Any, yes: Any, no: Any) -> Num:
    """`numpy.where`, with a plain number where all are numbers."""
    chosen: Num = np.where(condition, yes, no)[()]
    return chosen


def _select(schedule: Num, forms: dict[int, Any]) -> Num:
    """Evaluate the forms that occur, and take each row's own."""
    if np.ndim(schedule) == 0:
        form: Num = forms[int(schedule)]()
        return form
    counts = np.bincount(np.asarray(schedule, int).ravel(), minlength=len(forms))
    codes = [code for code in forms if counts[code]]
    chosen: Num = forms[codes[0]]() if codes else 0.0
    for code in codes[1:]:
        chosen = np.where(np.equal(schedule, code), forms[code](), chosen)
    rows: Num = np.broadcast_to(chosen, np.broadcast_shapes(np.shape(chosen), np.shape(schedule)))
    return rows


def _round_trips(p: Num, m: Num) -> Num:
    """Hops between devices that 1F1B waits for: each group of p micro-batches goes there and back,
    for the last device must have its answer before it is sent another.
    """
    groups = np.floor((m - 1) / p)
    single = m - 1 - groups * p
    hops: Num = 2 * ((p - 1) * (1 + groups) + np.maximum(single - 1, 0))
    return hops


def _one_f_one_b(vp: Num, m: Num, p: Num, s: Pass, r: Pass, p2p: Num) -> Num:
    """(p - 1)(F + B), with v chunks a v-th of it; groups of fewer than p micro-batches leave the
    chunks waiting for each other.
    """
    plain = r.total + _round_trips(p, m) * p2p
    missing = (vp - 1) * (p * np.ceil(m / p) - m)
    chunked = (r.total + missing * s.total) / vp + 2 * (p * vp - 1) * p2p
    return _where(np.greater(vp, 1), chunked, plain)


def _zb_h1(m: Num, p: Num, s: Pass, r: Pass, p2p: Num) -> Num:
    """(p - 1)(F + B - W), but never less than filling or emptying the pipeline takes."""
    f, b = r.forward, r.backward_input
    full = np.minimum(m, p)
    few = (p - full) / np.maximum(p - 1, 1)  # micro-batches that fail to fill the pipeline
    hop = (p - 1) * p2p
    filled = f + b - (full - 1) * s.backward_weight + 4 * hop
    ends = np.maximum(few * f + b + 2 * hop, f + few * b + 3 * hop)
    # where hops are long, weights cannot hide them: 1F1B without its backward of weights
    waiting = f + b + _round_trips(p, m) * p2p - m * s.backward_weight
    return np.maximum(np.maximum(filled, ends), waiting)


def _zbv(m: Num, p: Num, s: Pass, r: Pass, p2p: Num) -> Num:
    """(p - 1)/2 F where F = B = W: the V returns to the first device. Further chains where the
    passes differ or m < 2 p - 1.
    """
    others = np.maximum(p - 1, 1)
    f, b, w = r.forward / others, r.backward_input / others, r.backward_weight / others
    lack = np.clip(2 * p - 1 - m, 0, p - 1)
    few = np.maximum(p - m, 0)
    half = p / 2 - 1 - lack / 2
    chains = (
        few * f + lack * b + 4 * (p - 1) * p2p * (lack > 0),
        (lack + few) / 2 * (f + b) + 4 * (p - 1) * p2p * (lack > 0),
        (p - 1 + lack) / 2 * b - lack / 2 * w + (5 * p - 7) * p2p,
        (1 + lack) / 2 * b + half * w + 3 * (p - 1) * p2p,
        (1 + lack) / 2 * f + half * w + (3 * p - 5) * p2p,
        (p - 1.5 - lack / 2) * f - half * b + (3 * p - 5) * p2p,
        (p - 1) * b - (p - 1 - lack) * w + (6 * p - 8) * p2p,
    )
    longest = chains[0]
    for chain in chains[1:]:
        longest = np.maximum(longest, chain)
    # a slower device has what the others send in store; its own start and end remain
    slack = np.maximum(s.total - r.total / others, 0.0)
    ends = np.maximum((p / 2 - 1) * w, (p - 1) / 2 * b - p / 2 * w + (p - 1) * p2p)
    stored = np.maximum(ends + 3 * (p - 1) * p2p - slack / 3, longest - m * slack)
    return _where(np.greater(slack, 0), np.minimum(longest, stored), longest)


def _dualpipe(m: Num, p: Num, s: Pass, r: Pass, p2p: Num) -> Num:
    """(p/2 - 1)(F + 2 B - W) where F = B = W; a pair of forward and backward is one piece, so
    devices wait for each other's pairs once per micro-batch.
    """
    others = np.maximum(p - 1, 1)
    f, b, w = r.forward / others, r.backward_input / others, r.backward_weight / others
    h = p / 2 - 1
    filling = np.maximum(2 * h * (f + p2p), (h - 1) * f + h * b + 3 * h * p2p)
    emptying = h * np.maximum(b - w + p2p, 0)
    slack = np.maximum(s.total - r.total / others, 0.0)  # as in ZBV
    even = filling + emptying + m * (p - 1) / p * p2p
    stored = np.maximum(emptying + 2 * (p - 1) * p2p, even - 2 * (p - 1) * slack)
    return _where(np.greater(slack, 0), np.minimum(even, stored), even)


def in_flight(schedule: Num, p: Num, vp: Num, m: Num, stage: Num = 0) -> Num:
    """Micro-batches whose activations a device holds at its peak, in whole devices' worth.

    With v chunks Korthikanti et al. 2022, equation of section 4.2.3: p + (p - 1)/v on the first.
    A micro-batch whose backward of weights is put off counts in full (ZB-H1: an upper bound).
    """
    chunked = np.where(
        np.greater(m, p), ((vp - 1) * p + 2 * (p - stage - 1) + 1) / np.maximum(vp, 1), m
    )
    ways = _select(
        schedule,
        {
            ONE_F_ONE_B: lambda: np.where(np.greater(vp, 1), chunked, p - stage),
            ZB_H1: lambda: p,
            ZBV: lambda: p,
            DUALPIPE: lambda: p + 1,
            GPIPE: lambda: m,
        },
    )
    return _where(np.greater(p, 1), np.minimum(ways, m), 1.0)


def weight_copies(schedule: Num, p: Num) -> Num:
    """How often a device holds its share of the weights: twice with DualPipe (both ways)."""
    twice = np.logical_and(np.equal(schedule, DUALPIPE), np.greater(p, 1))
    return _where(twice, 2.0, 1.0)


@dataclass(frozen=True, slots=True)
class Stages:
    """What the rules of the schedules look at."""

    schedule: Num
    p: Num  # devices
    vp: Num  # chunks a device
    m: Num  # micro-batches
    layers: Num
    balance: Num = 0.0  # above 0: stages may have different numbers of layers


def _chunks_fill(x: Stages) -> Any:
    divide = np.equal(x.layers % (x.p * x.vp), 0)
    uneven = np.greater(x.balance, 0) & np.greater_equal(x.layers, x.p * x.vp)
    return np.equal(x.vp, 1) | (np.greater(x.p, 1) & (divide | uneven))


#: what a schedule asks for, by what is said of a strategy that breaks it. Interleaved: Megatron-LM
#: asks for m = k p. ZBV: PyTorch's ScheduleZBVZeroBubble. DualPipe: what the published dualpipe.py
#: asserts.
SCHEDULE_RULES: dict[str, Callable[[Stages], Any]] = {
    "more stages than layers": lambda x: np.less_equal(x.p, x.layers),
    "layers do not divide into chunks": _chunks_fill,
    "one stage needs no schedule": lambda x: np.greater(x.p, 1) | np.equal(x.schedule, ONE_F_ONE_B),
    "one stage has nothing to even out": lambda x: np.greater(x.p, 1) | np.equal(x.balance, 0),
    "schedule has chunks of its own": lambda x: (
        np.equal(x.vp, 1) | np.equal(x.schedule, ONE_F_ONE_B)
    ),
    "micro-batches do not fill the pipeline": lambda x: np.equal(x.vp, 1) | np.equal(x.m % x.p, 0),
    "too few layers for the two chunks of ZBV": lambda x: (
        np.not_equal(x.schedule, ZBV) | np.greater_equal(x.layers, 2 * x.p)
    ),
    "DualPipe needs an even number of stages": lambda x: (
        np.not_equal(x.schedule, DUALPIPE) | np.equal(x.p % 2, 0)
    ),
    "DualPipe needs an even number of micro-batches, two a stage": lambda x: (
        np.not_equal(x.schedule, DUALPIPE) | (np.equal(x.m % 2, 0) & (x.m >= 2 * x.p))
    ),
}


def allowed(schedule: Num, p: Num, vp: Num, m: Num, n_layers: Num, balance: Num = 0.0) -> Any:
    """Whether the schedule exists on ``p`` devices with ``vp`` chunks each: it breaks none of
    `SCHEDULE_RULES`, which the search counts one by one."""
    stages = Stages(schedule, p, vp, m, n_layers, balance)
    kept = np.broadcast_arrays(*(rule(stages) for rule in SCHEDULE_RULES.values()))
    return np.logical_and.reduce(kept)[()]


def split(
    schedule: Num, p: Num, n_layers: Num, layer: Pass, embedding: Pass, head: Pass
) -> tuple[Pass, Pass]:
    """The slowest device and the sum of the others, for ``n_layers`` equal layers.

    Where layers do not divide, the devices with embedding and head get the smaller share first.
    The head sits on the last device, with ZBV on the first beside the embedding, with DualPipe
    half of both on either end.
    """
    most = np.ceil(n_layers / p)
    short = most * p - n_layers  # devices with one layer less
    alone = np.equal(p, 1)
    both = np.logical_and(np.equal(schedule, DUALPIPE), np.logical_not(alone))
    folded = np.equal(schedule, ZBV) | alone
    shared = embedding.plus(head).times(0.5)
    first = _choose(both, shared, _choose(folded, embedding.plus(head), embedding))
    last = _choose(both, shared, _choose(folded, NOTHING, head))
    devices = (
        first.plus(layer.times(most - np.where(folded, short >= 1, short >= 2))),
        last.plus(layer.times(most - np.where(folded, short >= 2, short >= 1))),
        layer.times(np.where(np.greater(p, 2), most, 0.0)),
    )
    slowest = devices[0]
    for device in devices[1:]:
        slowest = _choose(np.greater(device.total, slowest.total), device, slowest)
    slowest = _choose(alone, devices[0], slowest)
    everything = layer.times(n_layers).plus(embedding).plus(head)
    rest = everything.plus(slowest.times(-1.0))
    return slowest, _choose(alone, NOTHING, rest)


def _choose(condition: Any, yes: Pass, no: Pass) -> Pass:
    """Row by row one or the other."""
    return Pass(
        *(_where(condition, getattr(yes, f.name), getattr(no, f.name)) for f in fields(Pass))
    )
