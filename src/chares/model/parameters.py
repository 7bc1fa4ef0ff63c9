"""How many parameters a shape has, counted matrix by matrix, exactly.

The count is a ledger of components: it says where the parameters sit (what tensor, expert and
pipeline parallelism can split), and its total is what a checkpoint holds. All functions take
numbers or arrays alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model.shape import LATENT, Shape

if TYPE_CHECKING:
    from chares.ledger import Num


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters by component. ``attention``, ``dense_ffn``, ``expert``, ``shared``, ``router``
    and ``norms`` are those of one layer (``expert`` of one routed expert).
    """

    embedding: Num  # input table, learned positions, norm behind the embedding
    head: Num  # output projection (0 if tied to the embedding)
    final_norm: Num
    attention: Num
    norms: Num
    dense_ffn: Num
    expert: Num
    shared: Num
    router: Num
    dense_layers: Num  # how many layers have a dense FFN
    moe_layers: Num
    n_experts: Num
    top_k: Num
    mtp: Num  # all multi-token prediction blocks, without the shared embedding and head
    tied: Num

    @property
    def moe_ffn(self) -> Num:
        """The feed-forward part of one layer with experts."""
        return self.n_experts * self.expert + self.shared + self.router

    @property
    def dense_layer(self) -> Num:
        """One layer with a dense FFN."""
        return self.attention + self.norms + self.dense_ffn

    @property
    def moe_layer(self) -> Num:
        """One layer with experts."""
        return self.attention + self.norms + self.moe_ffn

    @property
    def layers(self) -> Num:
        """All layers, without embedding and head."""
        return self.dense_layers * self.dense_layer + self.moe_layers * self.moe_layer

    @property
    def experts(self) -> Num:
        """All routed experts of all layers: what expert parallelism splits."""
        return self.moe_layers * self.n_experts * self.expert

    @property
    def total(self) -> Num:
        """The model as published: multi-token prediction blocks are not counted."""
        return self.embedding + self.layers + self.final_norm + self.head

    @property
    def active(self) -> Num:
        """Parameters that one token meets: `total` less the experts it is not routed to."""
        return self.total - self.moe_layers * (self.n_experts - self.top_k) * self.expert

    @property
    def active_without_embedding(self) -> Num:
        """`active` less the input table, a look-up: as gpt-oss and DeepSeek-V3 count."""
        return self.active - _where(np.equal(self.tied, 1), 0.0, self.embedding)


def parameters(s: Shape) -> Parameters:
    """Count the parameters of a shape."""
    norm = s.norm_weights * s.d_model
    attention = attention_parameters(s)
    norms = s.norms_per_layer * norm
    expert = ffn_parameters(s, s.d_expert)
    has_shared = np.not_equal(s.d_shared, 0)
    shared = _where(has_shared, ffn_parameters(s, s.d_shared) + s.shared_gate * s.d_model, 0.0)
    router = (s.d_model + s.router_bias) * s.n_experts
    dense_ffn = ffn_parameters(s, s.d_ff)
    moe_ffn = s.n_experts * expert + shared + router
    # one block: two norms of its inputs, a projection of both, a layer, a norm before the head
    inner = _where(np.greater(s.n_moe_layers, 0), moe_ffn, dense_ffn)
    block = 2 * s.d_model * s.d_model + 3 * norm + attention + norms + inner
    return Parameters(
        embedding=(s.vocab + s.positions) * s.d_model + s.embedding_norm * norm,
        head=(1 - s.tied) * s.vocab * s.d_model,
        final_norm=norm,
        attention=attention,
        norms=norms,
        dense_ffn=dense_ffn,
        expert=expert,
        shared=shared,
        router=router,
        dense_layers=s.n_layers - s.n_moe_layers,
        moe_layers=s.n_moe_layers,
        n_experts=s.n_experts,
        top_k=s.top_k,
        mtp=s.mtp_layers * block,
        tied=s.tied,
    )


def _where(condition: Any, yes: Num, no: Num) -> Num:
    """`numpy.where`, with a plain number where all are numbers."""
    chosen: Num = np.where(condition, yes, no)[()]
    return chosen


def attention_parameters(s: Shape) -> Num:
    """The attention of one layer: projections, their biases, query and key norms, sinks."""
    latent = np.equal(s.attention, LATENT)
    return _where(latent, _latent_attention(s), _head_attention(s))


def _head_attention(s: Shape) -> Num:
    """Queries and output over all heads, keys and values over the key-value heads."""
    queries, values = s.n_heads * s.d_head, s.n_kv_heads * s.d_head
    biased = np.maximum(s.linear_bias, s.qkv_bias)
    return (
        2 * s.d_model * (queries + values)
        + biased * (queries + 2 * values)
        + s.linear_bias * s.d_model
        + s.qk_norm * 2 * s.d_head
        + s.attention_sinks * s.n_heads
    )


def _latent_attention(s: Shape) -> Num:
    """Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, equations 9 to 17)."""
    per_head = s.d_nope + s.d_rope
    compressed = s.d_model * s.q_lora_rank + s.q_lora_rank * (1 + s.n_heads * per_head)
    queries = _where(np.greater(s.q_lora_rank, 0), compressed, s.d_model * s.n_heads * per_head)
    down = s.d_model * (s.kv_lora_rank + s.d_rope) + s.kv_lora_rank
    up = s.kv_lora_rank * s.n_heads * (s.d_nope + s.d_v)
    return queries + down + up + s.n_heads * s.d_v * s.d_model


def ffn_parameters(s: Shape, width: Num) -> Num:
    """A feed-forward block of an intermediate size, gated (three matrices) or plain (two)."""
    bias = s.linear_bias * ((1 + s.gated) * width + s.d_model)
    return (2 + s.gated) * s.d_model * width + _where(np.greater(width, 0), bias, 0.0)
