"""What a layer keeps of a micro-batch for its backward pass, tensor by tensor.

Korthikanti et al. 2022 ("Reducing Activation Recomputation in Large Transformer Models", section
4) count s b h (34 + 5 a s / h) bytes for a GPT layer; this is the same count for grouped-query and
latent attention, gated FFN and experts, in 16 or 8 bits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chares.model.shape import LATENT
from chares.model.strategy import FP8_BLOCK, OPERAND_BITS

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.layers import Layers
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy

#: share of each tensor that a kind of recomputation keeps; rows: codes of RECOMPUTATIONS, columns:
#: the layer's input; outputs of both norms; the sum between attention and FFN; query, key and
#: value; the same of latent attention; attention output; latents; hidden elements of the dense FFN
#: before and after the activation; tokens sent to the experts; their hidden elements before and
#: after; attention scores; dropout masks
KEPT = np.array(
    [
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # none
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 1],  # selective: attention core
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],  # full
        [1, 0, 1, 1, 1, 1, 0.5, 1, 0, 1, 1, 0, 1, 1],  # norms and activation
        [1, 1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1],  # mlp
        [1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 1, 0, 0, 0],  # all but the results of GEMMs
        [1, 0, 1, 0.8, 0.8, 1, 0.5, 0.5, 0, 1, 0.5, 0, 0, 0],  # every second GEMM, attention
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1],  # experts
        [1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1],  # up-projections of latent attention
        [1, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0],  # all but attention's GEMMs
        [1, 0, 1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 0],  # all but GEMMs, and the first of the FFN
        [1, 0, 1, 1, 1, 1, 0.5, 1, 1, 0, 0, 0, 0, 1],  # experts, norms and attention core
        [1, 0, 1, 1, 0, 1, 0.5, 1, 0, 1, 1, 0, 1, 1],  # norms, activation, up-projections
    ],
    dtype=np.float64,
)


@dataclass(frozen=True, slots=True)
class Activations:
    """Bytes of one layer and micro-batch on one accelerator."""

    kept: Num  # until the backward pass
    whole: Num  # all that the layer makes
    passing: Num  # gradients and gathered inputs, only while the layer is worked on


def layer_activations(a: Layers, shape: Shape, s: Strategy, imbalance: Num = 1.0) -> Activations:
    """What an average layer keeps; see `KEPT` for the tensors. ``imbalance``: tokens of the busiest
    expert rank against the mean."""
    tensors = _tensors(shape, s, imbalance)
    keep = np.moveaxis(KEPT[np.asarray(s.recompute, dtype=np.intp)], -1, 0)
    kept: Num = 0.0
    whole: Num = 0.0
    for k, size in zip(keep, tensors, strict=True):
        if np.any(size):
            kept = kept + k * size
            whole = whole + size
    mixed = whole - s.recompute_share * (whole - kept)
    split = np.where(np.greater(s.sp, 0), s.tp, 1.0)
    # input of a GEMM gathered from the sequence's parts, and its gradient
    gathered = 4.0 * shape.d_model * (split > 1)
    hidden = tensors[7] + tensors[8] + tensors[10] + tensors[11]
    passing = hidden + gathered + 4.0 * shape.d_model / split
    return Activations(a.tokens * mixed, a.tokens * whole, a.tokens * passing)


def _tensors(shape: Shape, s: Strategy, imbalance: Num) -> tuple[Num, ...]:
    """Bytes per token of each tensor of the average layer, on one accelerator.

    Without sequence parallelism what is d_model wide is held by every tensor rank. 8-bit recipes
    keep the inputs of GEMMs in 8 bits (Micikevicius et al. 2022), the block recipe the inputs of
    the activation too (DeepSeek-V3, 3.3.3).
    """
    h, t = shape.d_model, s.tp
    wide = h * np.where(np.greater(s.sp, 0), 1.0 / t, 1.0)
    operand = OPERAND_BITS[np.asarray(s.precision, dtype=np.intp)] / 8.0
    low = operand * (operand < 2.0)  # attention keeps its output, the GEMM its own copy
    latent = np.equal(shape.attention, LATENT)
    kv = np.maximum(shape.n_kv_heads / t, np.minimum(1.0, shape.n_kv_heads))
    heads = shape.n_heads / t
    d_value = np.where(latent, shape.d_v, shape.d_head)
    up = (1.0 + shape.gated) * np.where(np.equal(s.precision, FP8_BLOCK), 0.5, 1.0)
    moe = shape.n_moe_layers / shape.n_layers
    routed = moe * shape.top_k * s.etp / t * np.where(np.greater(s.ep, 1), imbalance, 1.0)
    hidden = routed * shape.d_expert / s.etp + moe * shape.d_shared / t
    dense = (1.0 - moe) * shape.d_ff / t
    plain = np.less(s.flash, 1)  # attention of 2022 and before: with scores, dropout and its masks
    return (
        2.0 * wide,
        2.0 * operand * wide,
        2.0 * wide,
        np.where(latent, 0.0, 2.0 * (heads + 2.0 * kv) * shape.d_head),
        np.where(latent, 2.0 * heads * (2.0 * (shape.d_nope + shape.d_rope) + shape.d_v), 0.0),
        (2.0 + low) * heads * d_value + 4.0 * heads * ~plain,
        latent * 4.0 * (shape.q_lora_rank + shape.kv_lora_rank + shape.d_rope) * (wide / h),
        2.0 * up * dense,
        operand * dense,
        operand * routed * h,
        2.0 * up * hidden,
        operand * hidden,
        np.where(plain, 5.0 * s.seq_len * heads, 0.0),
        np.where(plain, 2.0 * wide, 0.0),
    )
