"""What a transformer is made of: the numbers that fix its parameters and its arithmetic.

Every field is a number or an array of numbers (one entry a row), so that one model, a table of
published runs and a sweep over model sizes are the same object.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from chares.errors import DataError, InputError, UnknownName

if TYPE_CHECKING:
    from chares.facts import Facts
    from chares.ledger import Num

HEADS, LATENT = 0, 1  # attention kinds: (grouped) multi-head; multi-head latent (DeepSeek-V2, 2.1)


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a decoder-only transformer. Lengths and counts are plain numbers.

    A dense model has ``n_experts = 0``; a mixture has ``n_moe_layers`` layers with experts, the
    rest are dense layers with ``d_ff``. ``window`` is 0 for full attention.
    """

    n_layers: Num
    d_model: Num
    n_heads: Num
    n_kv_heads: Num
    d_head: Num
    d_ff: Num  # intermediate size of the dense layers (0 if the model has none)
    vocab: Num
    gated: Num = 1  # 1: three FFN matrices (SwiGLU), 0: two
    tied: Num = 0  # 1: the output head shares the input embedding
    positions: Num = 0  # learned position embeddings (0: rotary, ALiBi or none)
    norm_weights: Num = 1  # vectors per norm: 1 RMSNorm, 2 LayerNorm with bias
    norms_per_layer: Num = 2
    linear_bias: Num = 0  # 1: every linear layer of block and attention has a bias
    qkv_bias: Num = 0  # 1: only the query, key and value projections have one
    qk_norm: Num = 0  # 1: norms of length d_head on query and key
    attention_sinks: Num = 0  # 1: one learned sink per head (gpt-oss)
    embedding_norm: Num = 0  # 1: a norm behind the embedding (BLOOM)
    # mixture of experts
    n_experts: Num = 0
    top_k: Num = 0
    d_expert: Num = 0
    n_shared_experts: Num = 0
    d_shared: Num = 0  # intermediate size of all shared experts together
    n_moe_layers: Num = 0
    routed_domains: Num = 0  # most nodes a token may be routed to (0: no limit; DeepSeek-V3, 2.1.2)
    router_bias: Num = 0  # 1: one bias per expert in the router
    shared_gate: Num = 0  # 1: the shared experts' output is scaled by a learned gate (Qwen MoE)
    # latent attention
    attention: Num = HEADS
    q_lora_rank: Num = 0  # 0: the query is not compressed
    kv_lora_rank: Num = 0
    d_nope: Num = 0  # per head, without rotary embedding
    d_rope: Num = 0  # rotary part, shared by the heads of the key
    d_v: Num = 0
    # attention span
    window: Num = 0  # tokens a windowed layer sees (0: none is windowed)
    window_layers: Num = 0  # how many layers are windowed or chunked
    mtp_layers: Num = 0  # multi-token prediction blocks trained beside the model (DeepSeek-V3, 2.2)

    def rows(self, index: Any) -> Shape:
        """The shape of the selected rows; fields that are single numbers stay so."""
        picked = {
            f.name: v[index] for f in fields(self) if getattr(v := getattr(self, f.name), "ndim", 0)
        }
        return replace(self, **picked)


_ORIGIN = {"source", "where", "kind", "opened", "note"}  # of the block, beside the fields


def shape_of(facts: Facts, id: str) -> Shape:
    """The shape of a model of the collection ``models``, by id or alias.

    Raises `UnknownName` for an unknown model, `InputError` (``no-shape``) where its architecture
    was never published, `DataError` for a bad record.
    """
    try:
        known = facts.resolve("models", id)
    except UnknownName as bad:
        bad.hint = f"{bad.hint.rstrip('?')}, or give the path of a `config.json`"
        raise
    block = facts.document(f"models/{known}").get("shape")
    if block is None:
        raise InputError(
            "no-shape",
            f"the architecture of `{known}` is not known",
            hint="give the shape in the case, or training compute and utilisation instead",
        )
    values = {k: v for k, v in block.items() if k not in _ORIGIN}
    wrong = values.keys() - {f.name for f in fields(Shape)}
    wrong |= {k for k, v in values.items() if isinstance(v, bool) or not isinstance(v, int | float)}
    if wrong:
        raise DataError(
            "bad-shape", f"no number of a shape: {sorted(wrong)}", where=f"{known}.shape"
        )
    return Shape(**values)
