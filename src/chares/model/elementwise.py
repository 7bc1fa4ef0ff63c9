"""Norms, residual sums, rotary embedding, activation, casts and routing: work bound by memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from chares.model.compute import attention_dimensions

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.calibration import Calibration
    from chares.model.compute import Rates
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy

#: bytes per token of a layer of Llama's kind in eager PyTorch, where each operation is a kernel:
#: per model dimension two norms in 32 bits (cast 6, square 8, mean 4, scale 8, cast 6, weight 4)
#: and two residual sums (6); per element of query and key (cast 6, rotate 8, cast 6); per FFN
#: element (SiLU 4, product 6). A gated FFN stands for RMSNorm and rotary embedding.
EAGER_BYTES = (2.0 * 36.0 + 2.0 * 6.0, 20.0, 10.0)


def elementwise_time(
    shape: Shape, s: Strategy, tokens: Num, c: Calibration, moe: Num, rates: Rates
) -> tuple[Num, Num]:
    """Forward seconds of norms, residuals, rotary embedding, activation and casts; of routing.

    Bytes per token: 16 per model dimension (two norms, two residual sums in 16 bits), 4 per
    element of query and key, 2 (2 + gated) per FFN element. Replicated over tensor ranks without
    sequence parallelism. Not fused: `EAGER_BYTES` where the FFN is gated, `unfused` times as much
    elsewhere.
    """
    d_qk, d_v, latent = attention_dimensions(shape)
    split = np.where(np.asarray(s.sp) > 0, 1.0 / s.tp, 1.0)
    ff = (1.0 - moe) * shape.d_ff + moe * (shape.d_shared + shape.top_k * shape.d_expert)
    moved = 16.0 * shape.d_model * split + (8.0 * d_qk + 2.0 * (2.0 + shape.gated) * ff) / s.tp
    if not np.all(np.asarray(s.fused) > 0):
        norm, rotary, gate = EAGER_BYTES
        keys = d_qk * shape.n_kv_heads / shape.n_heads
        # latent attention rotates d_rope of each head, and one key that all tensor ranks hold
        turned = np.where(latent, shape.d_rope * (shape.n_heads / s.tp + 1.0), (d_qk + keys) / s.tp)
        llama = norm * shape.d_model * split + rotary * turned + gate * ff / s.tp
        eager = np.where(np.greater(shape.gated, 0), llama, c.unfused * moved)
        moved = np.where(np.asarray(s.fused) > 0, moved, eager)
    cast = np.where(rates.linear_bytes < 2.0, 4.0 * c.cast, 0.0) * (
        2.0 * shape.d_model + (d_v + ff) / s.tp
    )
    seconds = tokens * (c.passes * moved + cast) * rates.byte
    local = tokens / s.tp * s.etp
    routed = local * shape.top_k * shape.d_model * 8.0  # permute and unpermute, read and write
    scores = tokens * split * shape.n_experts * 24.0
    return seconds, moe * (routed + scores) * c.permute * rates.byte
