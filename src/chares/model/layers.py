"""One layer of the model on one accelerator: seconds and parameters of a micro-batch.

Everything here depends on few fields of the strategy (tp, sp, cp, ep, etp, micro-batch, length,
precision, recomputation, attention kernel): the search computes it once for each combination and
gathers. What depends on pp, vp, dp, zero, schedule and batch is in `stepping`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model.compute import Rates, attended, attention_dimensions, cut_gemm_time, gemm_time
from chares.model.elementwise import elementwise_time
from chares.model.network import Group, Links, exchange_time, gather_time
from chares.model.strategy import FULL, OPERAND_BITS, RECOMPUTED, ULYSSES

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.calibration import Calibration
    from chares.model.hardware import Hardware
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy


#: share of the chip's cores that DualPipe gives to communication: 20 of 132 (DeepSeek-V3 technical
#: report, 3.2.2)
COMMUNICATION_CORES = 20.0 / 132.0

#: share of a GEMM that runs as one piece per tensor rank where its communication is overlapped: the
#: forward passes and half of the input gradients (Transformer Engine's rings; XLA and PyTorch cut
#: alike), at half the loss, for pieces on several streams fill each other's last waves (assumed)
IN_PIECES = 0.5 * 0.5

#: host work of an expert without casts to 8 bits, against one with them (assumed: its launches are
#: a fifth of what Transformer Engine's GroupedLinear does for each expert)
UNCAST = 0.2
WHOLE_GRAPH = 0.9  # share of the launches from which on a graph holds the whole iteration


@dataclass(frozen=True, slots=True)
class Layers:
    """Seconds of an average layer for one micro-batch, forward, backward and recomputation.

    ``parameters`` are counts of one accelerator and layer. ``head`` and ``embedding`` are seconds
    of a micro-batch on the stage that has them.
    """

    linear: Num
    attention: Num
    experts: Num
    elementwise: Num
    routing: Num
    tp_exposed: Num
    cp_exposed: Num
    ep_exposed: Num
    ep_both_ways: Num  # instead, where a schedule runs both directions at once (DualPipe)
    host: Num  # s of host work, hidden unless it is the longer
    forward_share: Num  # of the layer's time: the forward pass
    weight_share: Num  # the weight-gradient GEMMs, which zero-bubble schedules put off
    head: Num
    embedding: Num
    dense_parameters: Num  # per layer on this accelerator, without experts
    expert_parameters: Num
    head_parameters: Num  # of the vocabulary matrix on this accelerator
    tokens: Num  # of a micro-batch on this accelerator
    flops: Num  # model FLOPs of one token through the whole model, forward and backward

    def rows(self, index: Any) -> Layers:
        """The rows with these indices; fields that are single numbers stay so."""
        picked = {
            f.name: v[index] for f in fields(self) if getattr(v := getattr(self, f.name), "ndim", 0)
        }
        return replace(self, **picked)


@dataclass(frozen=True, slots=True)
class _Projections:
    """Forward time and parameters of a layer's linear parts."""

    attention: Num  # s, query, key, value and output projections
    ffn: Num
    experts: Num
    shared: Num
    attention_parameters: Num
    ffn_parameters: Num
    expert_parameters: Num  # on this accelerator
    shared_parameters: Num


def _latent_time(shape: Shape, tokens: Num, tp: Num, rates: Rates) -> tuple[Num, Num]:
    """Seconds and parameters (per rank) of the projections of latent attention.

    Down-projections are held by every tensor rank, up-projections are split over heads
    (DeepSeek-V2, eq. 9 to 19).
    """
    h, r, n = shape.d_model, shape.d_rope, shape.n_heads / tp
    d_query = shape.d_nope + r
    compressed = np.asarray(shape.q_lora_rank) > 0
    q_rank = np.where(compressed, shape.q_lora_rank, h)
    down_q = np.where(compressed, shape.q_lora_rank, 0.0)
    flop, size = rates.linear, rates.linear_bytes
    seconds = (
        gemm_time(tokens, down_q + shape.kv_lora_rank + r, h, flop, size, rates)
        + gemm_time(tokens, n * d_query, q_rank, flop, size, rates)
        + gemm_time(tokens, n * (shape.d_nope + shape.d_v), shape.kv_lora_rank, flop, size, rates)
    )
    parameters = (
        h * (down_q + shape.kv_lora_rank + r)
        + n * d_query * q_rank
        + n * (shape.d_nope + shape.d_v) * shape.kv_lora_rank
    )
    return seconds, parameters


def _projections(shape: Shape, s: Strategy, tokens: Num, rates: Rates) -> _Projections:
    h, tp = shape.d_model, s.tp
    flop, size = rates.linear, rates.linear_bytes
    _, d_out, latent = attention_dimensions(shape)
    kv = np.maximum(shape.n_kv_heads / tp, 1.0)  # key and value heads are copied when tp exceeds
    qkv = (shape.n_heads / tp + 2.0 * kv) * shape.d_head
    share = IN_PIECES * np.greater(s.overlap_tp, 0) * np.greater(tp, 1)

    def product(n: Num, k: Num) -> Num:
        return cut_gemm_time(tokens, n, k, tp, share, flop, size, rates)

    seconds = product(qkv, h)
    parameters = h * qkv
    if np.any(latent):
        latent_seconds, latent_parameters = _latent_time(shape, tokens, tp, rates)
        seconds = np.where(latent, latent_seconds, seconds)
        parameters = np.where(latent, latent_parameters, parameters)
    out = d_out / tp
    seconds = seconds + product(h, out)
    up = 1.0 + shape.gated
    ff = shape.d_ff / tp
    ffn = product(up * ff, h) + product(h, ff)
    experts: Num = 0.0
    expert_parameters: Num = 0.0
    shared: Num = 0.0
    shared_parameters: Num = 0.0
    if np.any(np.asarray(shape.n_experts) > 0):
        experts, expert_parameters = _expert_time(shape, s, tokens, rates)
        d_shared = shape.d_shared / tp
        shared = product(up * d_shared, h) + product(h, d_shared)
        shared = np.where(np.asarray(shape.d_shared) > 0, shared, 0.0)
        shared_parameters = (up + 1.0) * h * d_shared
    return _Projections(
        seconds,
        ffn,
        experts,
        shared,
        parameters + h * out,
        (up + 1.0) * h * ff,
        expert_parameters,
        shared_parameters,
    )


def _expert_time(shape: Shape, s: Strategy, tokens: Num, rates: Rates) -> tuple[Num, Num]:
    """Forward seconds of the grouped GEMMs on one accelerator and its expert parameters.

    Every expert of the rank sees m = tokens of its expert group x top_k / n_experts rows.
    """
    n_experts = np.maximum(shape.n_experts, 1.0)
    local = n_experts / s.ep
    m = tokens * (s.etp / s.tp) * s.ep * shape.top_k / n_experts
    d = np.maximum(shape.d_expert, 1.0) / s.etp
    up = 1.0 + shape.gated
    h, size = shape.d_model, rates.linear_bytes
    # one launch covers all local experts: the wave is lost once, weights are read for each
    area = local * m
    k0 = rates.depth
    flops = 2.0 * (area * up * d + rates.wave) * (h + k0) + 2.0 * (area * h + rates.wave) * (d + k0)
    weights = local * (up + 1.0) * d * h
    traffic = size * weights + area * (size * (h + d) + 2.0 * (up * d + h))
    return np.hypot(flops * rates.linear, traffic * rates.byte), weights


def _core(shape: Shape, s: Strategy, tokens: Num, rates: Rates, c: Calibration) -> tuple[Num, Num]:
    """Forward and backward seconds of the attention core.

    Fused: 4 FLOPs per token pair and head dimension, forward; 2.5 times that backward
    (Dao 2023). Unfused: the full square, without tensor cores where heads are not a multiple of 8
    wide, and its scores through memory.
    """
    backward = c.attention_backward
    d_qk, d_v, _ = attention_dimensions(shape)
    heads = shape.n_heads / s.tp
    span = attended(s.seq_len, shape.window, shape.window_layers / shape.n_layers)
    width = (d_qk + d_v) / s.tp
    narrow = 0.75 + 0.25 * 128.0 * shape.n_heads / (0.5 * (d_qk + d_v))  # small heads run slower
    fused = 2.0 * tokens * span * width * rates.attention * np.maximum(narrow, 0.9)
    if np.all(np.asarray(s.flash) == 1):
        return fused, 2.5 / backward * fused
    pairs = tokens * s.seq_len
    slow = np.where(np.asarray(shape.d_head) % 8 > 0, c.unaligned, 1.0)
    square = 2.0 * pairs * width * rates.head * slow
    scores = pairs * heads * 2.0 * rates.byte  # one pass over the scores in 16 bits
    flash = np.asarray(s.flash) > 0
    return (
        np.where(flash, fused, square + 6.0 * scores),
        np.where(flash, 2.5 / backward * fused, 2.0 * square + 8.0 * scores),
    )


def _hidden(communication: Num, work: Num, overlap: Num) -> Num:
    """What of a communication is exposed when ``overlap`` of the work's time may hide it."""
    return communication - np.minimum(communication, overlap * work)


def _tensor_time(
    shape: Shape, s: Strategy, tokens: Num, moe: Num, domain: Num, links: Links
) -> Num:
    """Forward seconds of tensor-parallel communication: two all-reduces of a dense layer, one in
    a layer with experts unless these are split too (Shoeybi 2019; Korthikanti 2022, 4.2).

    With sequence parallelism an all-reduce is a gather of inputs, in 8 bits where the operands have
    8 or 4 (Transformer Engine, distributed.py, `_all_gather_fp8`; torchtitan, docs/float8.md; in 4
    assumed), and a scatter of sums in 16 bits.
    """
    volume = 2.0 * tokens * shape.d_model
    group = Group.place(s.tp, 1.0, domain)
    gathered = gather_time(_gathered_width(s) * volume, group, links)
    one = (gathered + gather_time(volume, group, links)) * (s.tp > 1)
    expert = 2.0 * gather_time(
        volume * shape.top_k * s.etp / s.tp, Group.place(s.etp, 1.0, domain), links
    )
    has_shared = np.asarray(shape.d_shared) > 0
    in_moe = np.where(has_shared, one, 0.0) + np.where(np.asarray(s.etp) > 1, expert, 0.0)
    return one + (1.0 - moe) * one + moe * in_moe


def _gathered_width(s: Strategy) -> Num:
    """Bytes of what tensor ranks gather of each other's inputs, against 16 bits."""
    operand = np.maximum(OPERAND_BITS[np.asarray(s.precision, dtype=np.intp)] / 16.0, 0.5)
    width: Num = np.where(np.greater(s.sp, 0), operand, 1.0)
    return width


def _context_time(shape: Shape, s: Strategy, tokens: Num, domain: Num, links: Links) -> Num:
    """Forward seconds of context-parallel communication: keys and values of the other ranks, or
    four all-to-alls of query, key, value and output (Ulysses)."""
    d_qk, d_v, latent = attention_dimensions(shape)
    kv_heads = np.where(latent, shape.n_heads, shape.n_kv_heads) / shape.n_heads
    group = Group.place(s.cp, s.tp, domain)
    keys = 2.0 * tokens * np.maximum((d_qk + d_v) * kv_heads / s.tp, 1.0)
    ring = gather_time(keys * s.cp, group, links)
    exchanged = 2.0 * tokens * (d_qk + d_v) * (1.0 + kv_heads) / s.tp
    ulysses = exchange_time(exchanged, group, links)
    return np.where(np.asarray(s.cp_kind) == ULYSSES, ulysses, ring) * (s.cp > 1)


def _expert_exchange(shape: Shape, s: Strategy, tokens: Num, domain: Num, links: Links) -> Num:
    """Forward seconds of dispatch and combine: top_k copies of a token, each way.

    With ``dedup`` a token crosses to a domain once: of N domains top_k draws reach
    N (1 - (1 - 1/N)^top_k) in the mean, and no more than the router's own limit. The dispatch has
    ``dispatch_bytes`` per element, the combine two.
    """
    group = Group.place(s.ep, s.etp, domain)
    volume = (1.0 + 0.5 * s.dispatch_bytes) * tokens / s.tp * shape.top_k * shape.d_model
    copies = group.outer * (1.0 - (1.0 - 1.0 / group.outer) ** shape.top_k)
    limit = np.where(np.greater(shape.routed_domains, 0), shape.routed_domains, np.inf)
    copies = np.minimum(copies, limit)
    once = np.where(np.asarray(s.dedup) > 0, copies / np.maximum(shape.top_k, 1.0), 1.0)
    both: Num = 2.0 * exchange_time(volume, group, links, once) * np.greater(s.ep, 1)
    return both


def _launches(
    s: Strategy, c: Calibration, again: Any, moe: Num, local: Num, rates: Rates
) -> tuple[Num, Num]:
    """Seconds of host work that launches a layer's kernels, and seconds in which these start and
    drain on the device, however little they do.

    A third more with recomputation (``again``, see `RECOMPUTED`), more with collectives. Graphs
    spare the host, and half of the ramps (assumed). ``local`` experts whose products are launched
    one by one come on top; only a graph of the whole iteration holds them.
    """
    split: Any = np.greater(s.tp, 1)
    plain: Num = c.host * (1.0 + 0.35 * again[0] + 0.4 * split) + moe * c.moe_host
    each: Num = np.where(np.less(rates.linear_bytes, 2.0), c.expert_host, UNCAST * c.expert_host)
    captured: Num = np.where(np.greater_equal(s.graphs, WHOLE_GRAPH), s.graphs, 0.0)
    loop: Num = moe * s.expert_loop * local * each * (1.0 + 0.35 * again[3]) * (1.0 - captured)
    return plain * (1.0 - s.graphs) + loop, c.ramp * plain * (1.0 - 0.5 * s.graphs)


def layer_times(shape: Shape, s: Strategy, hardware: Hardware, c: Calibration) -> Layers:
    """Times and parameter counts of the average layer. See `Layers`."""
    rates = Rates.of(hardware, c, s.precision)
    links = Links.of(hardware, c)
    domain = hardware.scale_up_size
    tokens = s.micro_batch * s.seq_len / s.cp
    moe = shape.n_moe_layers / shape.n_layers
    again = (
        np.moveaxis(RECOMPUTED[np.asarray(s.recompute, dtype=np.intp)], -1, 0) * s.recompute_share
    )
    # PyTorch's checkpoint without re-entry and XLA stop at the last tensor that a gradient needs
    last = s.early_stop * np.equal(s.recompute, FULL) * s.recompute_share
    down = last / (2.0 + shape.gated)  # of the FFN's GEMMs
    p = _projections(shape, s, tokens, rates)
    core, core_back = _core(shape, s, tokens, rates, c)
    elementwise, routing = elementwise_time(shape, s, tokens, c, moe, rates)
    ffn = (1.0 - moe) * p.ffn + moe * p.shared
    local = np.maximum(1.0, shape.n_experts / s.ep)  # a single expert is a plain GEMM
    experts = moe * p.experts * c.imbalance / c.grouped ** (1.0 - 1.0 / local)
    tensor = _tensor_time(shape, s, tokens, moe, domain, links)
    context = _context_time(shape, s, tokens, domain, links)
    exchange = moe * _expert_exchange(shape, s, tokens, domain, links)
    overlap_tp, overlap_ep = c.overlap_tp * s.overlap_tp, c.overlap_ep * s.overlap_ep
    dense = p.attention + ffn
    passes = 3.0 - s.frozen  # forward, gradients of inputs and of weights
    linear = (passes + again[0]) * p.attention + (passes + again[2] - down) * ffn
    pieces = 1.0 + c.cp_loss * (1.0 - 1.0 / s.cp)
    core, core_back = core * pieces, core_back * pieces
    attention = core + core_back + again[1] * core
    # backward passes carry the same volume again; key and value gradients come on top
    # an early stop leaves out the last scatter of the two gathers and two scatters
    tp_total = (2.0 + again[5] - 0.5 * last / (1.0 + _gathered_width(s))) * tensor
    cp_total = (3.0 + again[1]) * context
    ep_total = (2.0 + again[6]) * exchange
    expert_total = (passes + again[3]) * experts
    ring = np.where(np.asarray(s.cp_kind) == ULYSSES, 0.0, c.overlap_cp)
    host, ramp = _launches(s, c, again, moe, local, rates)
    elementwise_total = (2.5 + again[4]) * elementwise + ramp
    routing_total = (2.0 + again[3]) * routing
    computed = linear + attention + expert_total + elementwise_total + routing_total
    vocabulary = shape.vocab / s.tp
    head = passes * gemm_time(tokens, vocabulary, shape.d_model, rates.head, 2.0, rates)
    loss = tokens * vocabulary * 20.0 * rates.byte  # logits in 16 and 32 bits, five passes
    return Layers(
        linear=linear,
        attention=attention,
        experts=expert_total,
        elementwise=elementwise_total,
        routing=routing_total,
        tp_exposed=_hidden(tp_total, linear, overlap_tp),
        cp_exposed=_hidden(cp_total, attention, ring),
        ep_exposed=_hidden(ep_total, computed, overlap_ep),
        ep_both_ways=_hidden(ep_total, computed, 1.0 - COMMUNICATION_CORES),
        host=host,
        forward_share=(dense + core + elementwise + routing + experts + ramp / (3.0 + again[0]))
        / computed,
        weight_share=(1.0 - s.frozen) * (dense + experts) / computed,
        head=head + loss,
        embedding=tokens * shape.d_model * 12.0 * rates.byte,
        dense_parameters=p.attention_parameters
        + (1.0 - moe) * p.ffn_parameters
        + moe * (p.shared_parameters + shape.d_model * shape.n_experts)
        + 2.0 * shape.d_model,
        expert_parameters=moe * p.expert_parameters,
        head_parameters=vocabulary * shape.d_model,
        tokens=tokens,
        flops=model_flops(shape, s.seq_len, s.frozen),
    )


def model_flops(shape: Shape, seq_len: Num, frozen: Num = 0.0) -> Num:
    """Model FLOPs per token, forward and backward: 6 per weight that the token meets (4 where it is
    ``frozen``), and causal attention (half the square; windows counted as they are)."""
    d_qk, d_v, latent = attention_dimensions(shape)
    h, up = shape.d_model, 1.0 + shape.gated
    qkv = h * (shape.n_heads + 2.0 * shape.n_kv_heads) * shape.d_head
    compressed = np.asarray(shape.q_lora_rank) > 0
    q_rank = np.where(compressed, shape.q_lora_rank, h)
    latent_qkv = (
        h * (shape.kv_lora_rank + shape.d_rope + np.where(compressed, shape.q_lora_rank, 0.0))
        + d_qk * q_rank
        + shape.kv_lora_rank * shape.n_heads * (shape.d_nope + shape.d_v)
    )
    attention = np.where(latent, latent_qkv, qkv) + h * d_v
    span = attended(seq_len, shape.window, shape.window_layers / shape.n_layers)
    dense = (shape.n_layers - shape.n_moe_layers) * (up + 1.0) * h * shape.d_ff
    routed = shape.top_k * shape.d_expert + shape.d_shared
    mixture = shape.n_moe_layers * ((up + 1.0) * h * routed + h * shape.n_experts)
    weights = shape.n_layers * attention + dense + mixture + h * shape.vocab
    return (6.0 - 2.0 * frozen) * weights + 6.0 * shape.n_layers * span * (d_qk + d_v)
