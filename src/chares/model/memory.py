"""Peak memory of an accelerator, by tenant, on the stage that has most."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from chares.model.schedule import in_flight, weight_copies
from chares.model.strategy import KEPT

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.calibration import Calibration
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
    buffers: Num  # one layer's working set, gathered weights
    allocated: Num
    reserved: Num
    device: Num
    stage: Num  # 0: the first stage is the fullest, 1: the last
    fits: Num  # 1 where ``reserved`` and the context are within the accelerator's memory


TENANTS = ("weights", "gradients", "optimizer", "activations", "logits", "buffers")


def memory_use(
    a: Layers, shape: Shape, s: Strategy, hardware: Hardware, c: Calibration
) -> Memory:
    """Peak bytes of one accelerator: the first or the last stage, whichever holds more."""
    kept, whole = _layer_activations(a, shape, s)
    kept, whole = kept * c.activation_memory, whole * c.activation_memory
    first = _stage(a, shape, s, c, kept, whole, last=False)
    last = _stage(a, shape, s, c, kept, whole, last=True)
    sums = sum(first.values()), sum(last.values())
    later = sums[1] > sums[0]
    tenants = {name: np.where(later, last[name], first[name])[()] for name in TENANTS}
    allocated = sum(tenants.values())
    reserved = allocated * c.fragmentation
    device = reserved + c.context_memory
    # an allocator short of memory frees what it holds in reserve: what must fit is less
    needed = allocated + SLACK * (device - allocated)
    fits = np.less_equal(needed, hardware.memory) * 1.0
    return Memory(
        **tenants, allocated=allocated, reserved=reserved, device=device, stage=later * 1.0,
        fits=fits,
    )  # fmt: skip


#: share of reserve and context that cannot be given back when memory is short
SLACK = 0.25


def _stage(
    a: Layers, shape: Shape, s: Strategy, c: Calibration, kept: Num, whole: Num, *, last: bool
) -> dict[str, Num]:
    """Bytes by tenant on the first or on the last stage."""
    ranks = s.dp * s.cp
    shard = np.where(np.greater(s.shard_group, 0), np.minimum(s.shard_group, ranks), ranks)
    expert_ranks = np.maximum(1.0, ranks * s.tp / (s.ep * s.etp))
    layers = np.floor(shape.n_layers / s.pp) if last else np.ceil(shape.n_layers / s.pp)
    vocabulary = a.head_parameters * (1.0 + (s.pp == 1) * (1.0 - shape.tied))
    dense, experts = layers * a.dense_parameters + vocabulary, layers * a.expert_parameters
    total = (dense + experts) * weight_copies(s.schedule, s.pp)
    sharded = dense / shard + experts / expert_ranks
    staged = np.greater(s.pp, 1)  # FSDP within a pipeline keeps gathered weights and gradients
    full = np.equal(s.zero, 3) & staged
    weights = np.where(np.less(s.zero, 3), total, sharded) * s.weight_bytes
    gradient = s.gradient_bytes + s.gradient_copy_bytes
    gradients = np.where(np.less(s.zero, 2), total, sharded) * gradient
    optimizer = np.where(np.less(s.zero, 1), total, sharded) * s.optimizer_bytes
    flying = in_flight(s.schedule, s.pp, s.vp, s.micro_batches, s.pp - 1 if last else 0)
    here = np.asarray(s.pp == 1) | last
    gathered = (a.dense_parameters + a.expert_parameters) * s.gather_bytes
    buffers = whole * c.workspace + np.where(np.equal(s.zero, 3), 2.0 * gathered, 0.0)
    buffers = buffers + full * (dense + experts) * (2.0 + s.gradient_bytes)
    return {
        "weights": weights,
        "gradients": gradients,
        "optimizer": optimizer * (1.0 - s.offload_optimizer),
        "activations": kept * layers * flying * (1.0 - s.offload_activations),
        "logits": here * a.tokens * (shape.vocab / s.tp) * c.logit_bytes,
        "buffers": buffers,
    }


def _layer_activations(a: Layers, shape: Shape, s: Strategy) -> tuple[Num, Num]:
    """Bytes that one layer keeps of a micro-batch for its backward pass, and all it makes.

    As Korthikanti et al. 2022, section 4, counts them, in 16 bits: inputs and outputs of both
    norms, query, key, value and output of attention, and the FFN's hidden elements; scores and
    their dropout (5 bytes) where attention stores them.
    """
    split = np.where(np.greater(s.sp, 0), 1.0 / s.tp, 1.0)
    moe = shape.n_moe_layers / shape.n_layers
    ff = (1.0 - moe) * shape.d_ff + moe * (shape.d_shared + shape.top_k * shape.d_expert)
    d_out = shape.n_heads * shape.d_head
    qkv = d_out + 2.0 * shape.n_kv_heads * shape.d_head
    keep = KEPT[np.asarray(s.recompute, dtype=np.intp)].T
    parts = (
        2.0 * shape.d_model * split,  # the layer's input
        6.0 * shape.d_model * split,  # norms and the residual between
        2.0 * (qkv + d_out) / s.tp,
        2.0 * (2.0 + shape.gated) * ff / s.tp,
        np.where(np.greater(s.flash, 0), 0.0, 5.0 * s.seq_len * shape.n_heads / s.tp),
    )
    routed = moe * 2.0 * shape.top_k * shape.d_model * 2.0 / s.tp  # permuted inputs and outputs
    whole = sum(parts) + routed
    kept = sum(k * part for k, part in zip(keep, parts, strict=True)) + keep[3] * routed
    mixed = s.recompute_share * kept + (1.0 - s.recompute_share) * whole
    return a.tokens * mixed, a.tokens * whole


def tenants_of(memory: Memory) -> dict[str, Num]:
    """The tenants as a dictionary, in order."""
    return {f.name: getattr(memory, f.name) for f in fields(memory) if f.name in TENANTS}
