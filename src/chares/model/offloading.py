"""What it costs to keep optimizer state, activations or weights in host memory: seconds of the host
link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chares.model.activations import layer_activations
from chares.model.memory import Owners
from chares.model.schedule import weight_copies

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.hardware import Hardware
    from chares.model.layers import Layers
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy


def offload_times(
    a: Layers, shape: Shape, s: Strategy, hardware: Hardware, stage: Num, layers: Num
) -> tuple[Num, Num]:
    """Seconds of a step once, beside the optimizer, and seconds exposed in its micro-batches.

    Once: the optimizer state is streamed through the accelerator, in while the last piece goes out
    (as in ZeRO-Infinity, Rajbhandari et al. 2021, 5.2.2); new weights go out. In a micro-batch:
    weights come in for the forward and again for the backward pass, activations go out beside the
    one and come back beside the other. The link carries both directions at once: what goes out in
    the forward pass does not wait for what comes in. ``stage`` seconds and ``layers`` of the
    slowest stage; of link and computation the longer counts, rounded where they are near.
    """
    once: Num = 0.0
    moved: Num = 0.0
    owners = Owners.of(s)
    link = hardware.host_bandwidth
    dense, experts = layers * a.dense_parameters, layers * a.expert_parameters
    owned = dense / owners.dense + experts / owners.experts
    if np.any(s.offload_optimizer):
        head = a.head_parameters
        mine = np.where(np.greater(s.zero, 0), owned + head / owners.dense, dense + experts + head)
        once = mine * s.optimizer_bytes * s.offload_optimizer / link
    if np.any(s.offload_activations) or np.any(s.offload_weights):
        third = np.equal(s.zero, 3)
        size = s.weight_bytes * s.offload_weights / link
        weights = np.where(third, owned, dense + experts) * size
        copies = np.where(third, 1.0, weight_copies(s.schedule, s.pp))
        kept = layer_activations(a, shape, s).kept * layers * s.offload_activations / link
        ways = np.maximum(kept, weights) + (kept + weights)
        longer = (stage**4 + ways**4) ** 0.25
        moved = s.micro_batches * (longer - stage)
        once = once + weights * copies
    return once, moved
