"""What it costs to keep optimizer state or activations in host memory: seconds of the host link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chares.model.activations import layer_activations
from chares.model.memory import Owners

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.hardware import Hardware
    from chares.model.layers import Layers
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy


def offload_times(
    a: Layers, shape: Shape, s: Strategy, hardware: Hardware, stage: Num, layers: Num
) -> tuple[Num, Num]:
    """Seconds of a step for the optimizer state, and for activations.

    The state is streamed through the accelerator, in while the last piece goes out (as in
    ZeRO-Infinity, Rajbhandari et al. 2021, 5.2.2). Activations go out beside the forward pass of a
    micro-batch and come back beside its backward pass: ``stage`` seconds and ``layers`` of the
    slowest stage; of two times side by side the longer counts, rounded where they are near.
    """
    state: Num = 0.0
    moved: Num = 0.0
    if np.any(s.offload_optimizer):
        owners = Owners.of(s)
        dense = layers * a.dense_parameters + a.head_parameters
        experts = layers * a.expert_parameters
        owned = dense / owners.dense + experts / owners.experts
        mine = np.where(np.greater(s.zero, 0), owned, dense + experts)
        state = mine * s.optimizer_bytes * s.offload_optimizer / hardware.host_bandwidth
    if np.any(s.offload_activations):
        kept = layer_activations(a, shape, s).kept * layers * s.offload_activations
        ways = 2.0 * kept / hardware.host_bandwidth
        longer = (stage**4 + ways**4) ** 0.25
        moved = s.micro_batches * (longer - stage)
    return state, moved
