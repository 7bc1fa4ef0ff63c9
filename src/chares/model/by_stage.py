"""What each stage of a pipeline has of the model, and how long its passes take."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from chares.model.evening import EQUAL_TIME, WHOLE_LAYERS, evened
from chares.model.layers import layer_times
from chares.model.stepping import both_ways, layer_seconds, passes

if TYPE_CHECKING:
    from chares.model.calibration import Calibration
    from chares.model.hardware import Hardware
    from chares.model.schedule import Pass
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy


@dataclass(frozen=True, slots=True)
class StageWork:
    """Seconds of one micro-batch on a stage, all its chunks together."""

    layers: float
    work: Pass
    exposed: dict[str, float]  # of it: communication that nothing hides, by kind (tp, cp, ep)


def stage_work(
    shape: Shape, strategy: Strategy, hardware: Hardware, calibration: Calibration
) -> list[StageWork]:
    """The work of every stage of one strategy, as `step_of` counts it: the slowest stage takes the
    time that it finds, all together what it has a micro-batch pass through.

    The embedding is on the first stage, the head on the last, whatever the schedule. All arguments
    are single numbers.
    """
    a = both_ways(layer_times(shape, strategy, hardware, calibration), strategy)
    layer = float(layer_seconds(a, strategy, hardware, calibration))
    head, embedding = float(a.head) * (1.0 + float(shape.mtp_layers)), float(a.embedding)
    depth, p = float(shape.n_layers + shape.mtp_layers), int(strategy.pp)
    if strategy.balance == EQUAL_TIME:
        even = (depth * layer + head + embedding) / p
        seconds, counts = [even] * p, [depth / p] * p
    else:
        own = strategy.balance == WHOLE_LAYERS and p > 1
        counts = evened_layers(depth, p, head / layer) if own else plain_layers(depth, p)
        seconds = [n * layer for n in counts]
        seconds[0] += embedding
        seconds[-1] += head
    exposed = {kind: float(getattr(a, f"{kind}_exposed")) for kind in ("tp", "cp", "ep")}
    return [
        StageWork(n, passes(a, time), {kind: n * x for kind, x in exposed.items()})
        for n, time in zip(counts, seconds, strict=True)
    ]


def plain_layers(depth: float, p: int) -> list[float]:
    """Layers by stage, as even as whole layers can be: where they do not divide, the last stage has
    one less, then the first, then those behind it."""
    most = ceil(depth / p)
    short = int(most * p - depth)
    less = [p - 1, *range(p - 1)][:short]
    return [float(most - (stage in less)) for stage in range(p)]


def evened_layers(depth: float, p: int, head: float) -> list[float]:
    """Layers by stage where the head takes as long as ``head`` layers (see `evened`)."""
    cut = evened(depth, p, head)
    full, last = float(cut.full), float(cut.last)
    over = int((p - 1) * full + last - depth)
    return [full - (stage < over) for stage in range(p - 1)] + [last]
