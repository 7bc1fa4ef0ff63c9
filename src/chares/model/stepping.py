"""A training step: layers put into stages, stages into a pipeline, replicas into a job."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model.evening import EQUAL_TIME, WHOLE_LAYERS, evened
from chares.model.layers import Layers, layer_times
from chares.model.memory import Memory, memory_use
from chares.model.network import Group, Links, gather_time, send_time
from chares.model.offloading import offload_times
from chares.model.schedule import DUALPIPE, Pass, pipeline
from chares.model.spans import Span

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.calibration import Calibration
    from chares.model.hardware import Hardware
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy

#: fields of `Breakdown` in the order of their codes (`Step.bottleneck`)
PARTS = (
    "linear", "attention", "experts", "elementwise", "routing", "head", "tp", "cp", "ep", "pp",
    "dp", "bubble", "optimizer", "host", "straggler",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Seconds of a step by cause, on the stage that sets the pace. The sum is the step time."""

    linear: Num
    attention: Num
    experts: Num
    elementwise: Num
    routing: Num
    head: Num  # embedding, output head and loss
    tp: Num  # exposed communication of each kind of parallelism
    cp: Num
    ep: Num
    pp: Num
    dp: Num
    bubble: Num
    optimizer: Num
    host: Num
    straggler: Num


@dataclass(frozen=True, slots=True)
class Step:
    """What one training step costs. Numbers or rows."""

    step_time_s: Num
    breakdown: Breakdown
    memory: Memory
    flops: Num  # model FLOPs of the whole job and step
    mfu: Num  # model FLOPs, causal attention halved, of the 16-bit peak
    tokens_per_s: Num  # whole job
    tflops_per_chip: Num

    @property
    def bottleneck(self) -> Num:
        """The code (index in `PARTS`) of the largest part of the step."""
        parts = [getattr(self.breakdown, name) for name in PARTS]
        codes: Num = np.argmax(np.stack(np.broadcast_arrays(*parts)), axis=0)
        return codes


def predict(shape: Shape, strategy: Strategy, hardware: Hardware, calibration: Calibration) -> Step:
    """Time and memory of a training step. All arguments are numbers or rows that broadcast."""
    layers = layer_times(shape, strategy, hardware, calibration)
    return step_of(layers, shape, strategy, hardware, calibration)


def step_of(layers: Layers, shape: Shape, s: Strategy, hardware: Hardware, c: Calibration) -> Step:
    """The step made of these layers (of `layer_times` for the same strategy)."""
    links = Links.of(hardware, c)
    layers = both_ways(layers, s)
    m = s.micro_batches
    work = _Work.of(layers, shape, s, hardware, c)
    bubble = _idle(layers, s, work)
    host = m * waiting(work.stage, work.layers * layers.host, s.blocking * c.blocked)
    pp = _pipeline_sends(layers, shape, s, hardware, c, links, work)
    dp, optimizer = gradients(layers, shape, s, hardware, c, links, work.stage, work.most)
    state, moved = offload_times(layers, shape, s, hardware, work.stage, work.layers)
    n = work.layers * m
    parts = {
        "linear": n * layers.linear,
        "attention": n * layers.attention,
        "experts": n * layers.experts,
        "elementwise": n * (layers.elementwise + accumulation(layers, s, c, hardware)),
        "routing": n * layers.routing,
        "head": m * (work.stage - work.layers * work.layer),
        "tp": n * layers.tp_exposed,
        "cp": n * layers.cp_exposed,
        "ep": n * layers.ep_exposed,
        "pp": pp,
        "dp": dp,
        "bubble": bubble,
        "optimizer": optimizer + state,
        "host": host + c.step + moved,
    }
    before = sum(parts.values())
    nodes = np.maximum(1.0, s.n_chips / np.maximum(hardware.node_size, hardware.scale_up_size))
    straggler = before * (c.straggler * np.log2(nodes) + s.hindered)
    total = before + straggler
    flops = layers.flops * s.global_batch * s.seq_len
    rate = flops / (total * s.n_chips)
    return Step(
        total,
        Breakdown(**parts, straggler=straggler),
        memory_use(layers, shape, s, hardware, c, work.span),
        flops,
        rate / hardware.peak_16,
        s.global_batch * s.seq_len / total,
        rate / 1e12,
    )


@dataclass(frozen=True, slots=True)
class _Work:
    """Seconds of a micro-batch: of a layer, of the slowest stage, through all stages."""

    layer: Num
    layers: Num  # of the slowest stage
    stage: Num
    pass_through: Num
    most: Num  # layers of a full stage that reduce gradients
    span: Span

    @classmethod
    def of(cls, a: Layers, shape: Shape, s: Strategy, hardware: Hardware, c: Calibration) -> _Work:
        """The slowest stage is a full one, or the last with its head.

        Where layers do not divide the first and last stages are given fewer (Megatron's
        uneven split), never padded.
        """
        layer = layer_seconds(a, s, hardware, c)
        span = Span.whole(shape, s)
        depth, full, last = span.layers, span.most, np.floor(span.layers / s.pp)
        ends = a.head * (1.0 + shape.mtp_layers)
        alone = s.pp == 1
        whole = depth * layer + ends + a.embedding
        even = np.equal(s.balance, EQUAL_TIME)
        inner = np.where(even, whole / s.pp, full * layer)
        outer = np.where(even, whole / s.pp, last * layer + ends + alone * a.embedding)
        count = np.where(even, depth / s.pp, np.where(outer >= inner, last, full))
        stage, most = np.maximum(inner, outer), np.ceil(shape.n_layers / s.pp)
        own = np.equal(s.balance, WHOLE_LAYERS) & ~alone
        if np.any(own):
            cut = evened(depth, s.pp, ends / layer)
            heavy = cut.last + ends / layer >= cut.full
            count = np.where(own, np.where(heavy, cut.last, cut.full), count)
            stage = np.where(own, cut.slowest * layer, stage)
            most = np.where(own, cut.full, most)
            plain = span.ends(s.pp)
            given = np.where(own, cut.first, plain[0]), np.where(own, cut.last, plain[1])
            span = replace(span, own=given)
        return cls(layer, count, stage, whole, most, span)


def both_ways(a: Layers, s: Strategy) -> Layers:
    """DualPipe sends the tokens of one direction behind the computation of the other
    (DeepSeek-V3 technical report, 3.2.1)."""
    both = np.equal(s.schedule, DUALPIPE) & np.greater(s.pp, 1)
    if not np.any(both):
        return a
    return replace(a, ep_exposed=np.where(both, a.ep_both_ways, a.ep_exposed))


def slower(device: Num, host: Num) -> Num:
    """The longer of two times that run side by side, rounded where they are near: the 4-norm."""
    a, b = device * device, host * host
    longer: Num = np.sqrt(np.sqrt(a * a + b * b))[()]
    return longer


def slack(stage: Num, through: Num, p: Num) -> Num:
    """Seconds of a micro-batch by which the slowest of ``p`` stages is behind the mean of the
    others; ``through`` is what it takes in all of them."""
    return stage - (through - stage) / np.maximum(p - 1.0, 1.0)


def waiting(device: Num, host: Num, blocking: Num) -> Num:
    """Seconds that the device waits for the host: what is longer than its own work, or, where each
    launch waits for the kernel before it, ``blocking`` times the host's time."""
    blocks = np.greater(blocking, 0)
    return np.where(blocks, blocking * host, slower(device, host) - device)


def layer_seconds(a: Layers, s: Strategy, hardware: Hardware, c: Calibration) -> Num:
    """Device seconds of an average layer and micro-batch, exposed communication and all."""
    seconds: Num = accumulation(a, s, c, hardware) + (
        a.linear + a.attention + a.experts + a.elementwise + a.routing
        + a.tp_exposed + a.cp_exposed + a.ep_exposed
    )  # fmt: skip
    return seconds


def accumulation(a: Layers, s: Strategy, c: Calibration, hardware: Hardware) -> Num:
    """Seconds in which a layer's gradients of a micro-batch are added to their sum in memory, and
    to the wide copy of it where there is one."""
    own = np.asarray(s.zero) < 3
    # a term that does not vary stays clear of the axis of ZeRO, which the search relies on
    kept: Any = float(own.all()) if own.all() or not own.any() else own
    count = (a.dense_parameters + a.expert_parameters) * kept
    width = s.gradient_bytes + s.gradient_copy_bytes
    seconds: Num = count * 2.0 * width / (hardware.memory_bandwidth * c.memory)
    return seconds


def _idle(a: Layers, s: Strategy, work: _Work) -> Num:
    """Seconds that the slowest stage waits for the others; passes split as in a layer."""
    rest = work.pass_through - work.stage
    slowest, others = passes(a, work.stage), passes(a, rest)
    return pipeline(s.schedule, s.pp, s.vp, s.micro_batches, slowest, others).idle


def passes(a: Layers, seconds: Num) -> Pass:
    """Seconds of layers as forward, backward of the input and backward of the weights."""
    backward = 1.0 - a.forward_share - a.weight_share
    return Pass(seconds * a.forward_share, seconds * backward, seconds * a.weight_share)


def _pipeline_sends(
    a: Layers, shape: Shape, s: Strategy, hardware: Hardware, c: Calibration, links: Links,
    work: _Work,
) -> Num:  # fmt: skip
    """Exposed seconds of sends between stages: each micro-batch and chunk forth and back.

    The slowest stage is sent its inputs while it still computes: what it is slower than the others
    hides sends.
    """
    volume = 2.0 * a.tokens * shape.d_model / s.tp  # each tensor rank sends its slice
    one = send_time(volume, s.tp * s.cp * s.dp, hardware.scale_up_size, links)
    there_and_back = 2.0 * s.vp * one
    each = there_and_back * (1.0 - c.overlap_pp * s.overlap_pp)
    each = each - slack(work.stage, work.pass_through, s.pp)
    exposed = s.micro_batches * np.maximum(0.0, each) + there_and_back * (s.pp - 1.0)
    return exposed * np.greater(s.pp, 1)


def gradients(
    a: Layers, shape: Shape, s: Strategy, hardware: Hardware, c: Calibration, links: Links,
    stage: Num, stage_layers: Num,
) -> tuple[Num, Num]:  # fmt: skip
    """Exposed seconds of data-parallel communication, and seconds of the optimizer, on a stage of
    ``stage_layers`` layers; a micro-batch of ``stage`` seconds may hide some.

    ZeRO 0: all-reduce of the gradients. 1, 2: reduce-scatter (of gradients kept twice with ZeRO 1:
    all-reduce, `_reduced`), then all-gather of the weights.
    3: gathers before each forward and backward, a reduce-scatter after it, each micro-batch.
    Groups smaller than dp x cp shard inside and all-reduce across (HSDP).
    """
    domain = hardware.scale_up_size
    m = s.micro_batches
    ranks = s.dp * s.cp
    shard = np.where(np.asarray(s.shard_group) > 0, np.minimum(s.shard_group, ranks), ranks)
    inside = Group.place(shard, s.tp, domain)
    across = Group.place(ranks / shard, s.tp * shard, domain)
    dense = stage_layers * a.dense_parameters + a.head_parameters * (
        1.0 + (s.pp == 1) * (1.0 - shape.tied)
    )
    experts = stage_layers * a.expert_parameters
    expert_ranks = np.maximum(1.0, ranks * s.tp / (s.ep * s.etp))
    expert_group = Group.place(expert_ranks, s.ep * s.etp, domain)
    zero = np.asarray(s.zero)
    (gradient, twice), weight = _reduced(s, zero), s.gather_bytes
    many, some = ranks > 1, expert_ranks > 1
    replicas = np.where(
        ranks > shard, 2.0 * gather_time(dense * gradient / shard, across, links), 0
    )
    gather = many * gather_time(dense * weight, inside, links)
    scatter = many * twice * gather_time(dense * gradient, inside, links)
    expert_gather = some * gather_time(experts * weight, expert_group, links)
    expert_scatter = some * twice * gather_time(experts * gradient, expert_group, links)
    overlap = c.overlap_dp * s.overlap_dp
    # once a step: behind the last micro-batch's backward, and the first one's forward
    reduce = scatter + expert_scatter + replicas
    restore = np.where(zero == 0, scatter + expert_scatter, gather + expert_gather)
    shares = np.asarray(s.broadcast) * shard * c.broadcast  # one after the other
    ahead = np.greater(zero, 0) & np.equal(s.broadcast, 0)  # broadcasts wait for the optimizer
    once = shares + (
        reduce - np.minimum(reduce, overlap * stage * (2.0 / 3.0))
        + restore - np.minimum(restore, np.where(ahead, overlap * stage / 3.0, 0.0))
    )  # fmt: skip
    # each micro-batch
    forward = gather + expert_gather
    backward = forward + scatter + expert_scatter
    each = forward - np.minimum(forward, overlap * stage / 3.0)
    each = each + backward - np.minimum(backward, overlap * stage * (2.0 / 3.0))
    spare = np.maximum(0.0, overlap * stage * (2.0 / 3.0) - backward)
    sharded = m * each + replicas - np.minimum(replicas, spare)
    dp = np.where(zero == 3, sharded, once)
    owners = np.where(zero > 0, shard, 1.0)
    expert_owners = np.where(zero > 0, expert_ranks, 1.0)
    local = dense / owners + experts / expert_owners
    traffic = local * (2.0 * s.optimizer_bytes + 2.0 * gradient + s.weight_bytes)
    return dp, traffic / (hardware.memory_bandwidth * c.memory)


def _reduced(s: Strategy, zero: Num) -> tuple[Num, Num]:
    """Bytes of a gradient as it is reduced, and how often it crosses. Gradients that are kept twice
    are all-reduced as their wide copy, with ZeRO 1 too (DeepSpeed's pipeline engine,
    `_bf16_reduce_grads`)."""
    if not np.any(copied := np.greater(s.gradient_copy_bytes, 0)):
        return s.gradient_bytes, 1.0
    width: Num = np.where(copied, s.gradient_copy_bytes, s.gradient_bytes)
    return width, np.where(copied & np.equal(zero, 1), 2.0, 1.0)


def parts_of(step: Step) -> dict[str, Num]:
    """The breakdown as a dictionary, in order."""
    return {f.name: getattr(step.breakdown, f.name) for f in fields(step.breakdown)}
