"""Peak memory of an accelerator, by tenant, on the stage that has most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chares.model.strategy import ELEMENTWISE, FULL, MLP, NONE, OPS, SELECTIVE

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.hardware import Hardware
    from chares.model.layers import Layers
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by tenant at the peak of the fullest stage; the tenants sum to ``allocated``.

    ``allocated`` is what the framework's allocator hands out at its peak
    (``torch.cuda.max_memory_allocated``), ``reserved`` what it holds, ``device`` what nvidia-smi
    shows: with the driver's context and communication buffers.
    """

    weights: Num
    gradients: Num
    optimizer: Num
    activations: Num
    logits: Num
    buffers: Num
    allocated: Num
    reserved: Num
    device: Num
    stage: Num  # 0: the first stage is the fullest, 1: the last
    fits: Num  # 1 where ``device`` is within the accelerator's memory


def memory_use(a: Layers, shape: Shape, s: Strategy, hardware: Hardware) -> Memory:
    """Peak bytes of one accelerator."""
    ranks = s.dp * s.cp
    shard = np.where(np.asarray(s.shard_group) > 0, np.minimum(s.shard_group, ranks), ranks)
    zero = np.asarray(s.zero)
    stage_layers = np.ceil(shape.n_layers / s.pp)
    vocabulary = a.head_parameters * (1.0 + (s.pp == 1) * (1.0 - shape.tied))
    dense = stage_layers * a.dense_parameters + vocabulary
    experts = stage_layers * a.expert_parameters
    expert_ranks = np.maximum(1.0, ranks * s.tp / (s.ep * s.etp))
    total = dense + experts
    sharded = dense / shard + experts / expert_ranks
    weights = np.where(zero == 3, sharded, total) * s.weight_bytes
    gradients = np.where(zero >= 2, sharded, total) * s.gradient_bytes
    optimizer = np.where(zero >= 1, sharded, total) * s.optimizer_bytes * (1 - s.offload_optimizer)
    kept = _layer_activations(a, shape, s)
    in_flight = np.minimum(s.micro_batches, s.pp) * (
        1.0 + (s.vp > 1) * (s.pp - 1.0) / (s.pp * s.vp)
    )
    activations = kept * stage_layers * in_flight * (1.0 - s.offload_activations)
    logits = a.tokens * (shape.vocab / s.tp) * 6.0
    buffers = np.where(zero == 3, 2.0 * (a.dense_parameters + a.expert_parameters) * 2.0, 0.0)
    logits = np.where(s.pp == 1, logits, 0.0)
    allocated = weights + gradients + optimizer + activations + logits + buffers
    reserved = allocated * 1.06
    device = reserved + 3e9
    return Memory(
        weights, gradients, optimizer, activations, logits, buffers, allocated, reserved, device,
        np.zeros(()), (device <= hardware.memory) * 1.0,
    )  # fmt: skip


def _layer_activations(a: Layers, shape: Shape, s: Strategy) -> Num:
    """Bytes that one layer keeps of a micro-batch for its backward pass (Korthikanti 2022, 4)."""
    split = np.where(np.asarray(s.sp) > 0, 1.0 / s.tp, 1.0)
    moe = shape.n_moe_layers / shape.n_layers
    ff = (1.0 - moe) * shape.d_ff + moe * (shape.d_shared + shape.top_k * shape.d_expert)
    qkv = (shape.n_heads + 2.0 * shape.n_kv_heads) * shape.d_head
    code = np.asarray(s.recompute, dtype=np.intp)
    wide = 2.0 * shape.d_model * split
    inputs = 4.0 * wide + 2.0 * (qkv + shape.n_heads * shape.d_head) / s.tp
    hidden = 2.0 * (2.0 + shape.gated) * ff / s.tp
    scores = np.where(np.asarray(s.flash) > 0, 0.0, 5.0 * s.seq_len * shape.n_heads / s.tp)
    plain = inputs + hidden + scores
    keep = np.where(
        code == NONE, plain,
        np.where(code == FULL, wide,
        np.where(code == SELECTIVE, inputs + hidden,
        np.where(code == MLP, inputs,
        np.where(code == ELEMENTWISE, inputs + hidden - wide,
        np.where(code == OPS, 0.55 * plain, 0.6 * plain)))))
    )  # fmt: skip
    keep = s.recompute_share * keep + (1.0 - s.recompute_share) * plain
    return a.tokens * keep
