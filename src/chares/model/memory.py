"""Peak memory of an accelerator, by tenant, on the stage that has most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chares.model.activations import Activations, layer_activations
from chares.model.schedule import in_flight, weight_copies
from chares.model.spans import Span
from chares.model.strategy import OPERAND_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.ledger import Num
    from chares.model.calibration import Calibration
    from chares.model.hardware import Hardware
    from chares.model.layers import Layers
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy

TENANTS = ("weights", "gradients", "optimizer", "activations", "logits", "buffers")
#: when memory runs short the allocator gives back most of its reserve, and communication gets by
#: with smaller buffers: shares of the two that stay
STUCK, STAYS = 0.1, 0.6
LAST, INNER = 1.0, 2.0
#: published peaks scatter so far about the model: only beyond is a job said not to fit
DOUBT = 1.03
EAGER = 1.25  # logits of kernels that are not fused: one 32-bit copy more
LEAN = 4.0  # bytes per logit of a fused loss: 16 bits, its gradient in place, a block in 32 bits
STREAMED = 2.0  # layers whose weights are here while they stream in: the one at work and the next
WITH_MASTER = 8.0  # optimizer bytes from which on the update reads gradients in 32 bits


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes by tenant at the peak of the fullest stage; the tenants sum to ``allocated``.

    ``allocated`` is what the framework's allocator hands out at its peak
    (``torch.cuda.max_memory_allocated``; the compiled peak of XLA), ``reserved`` what it holds
    (``max_memory_reserved``), ``device`` what nvidia-smi shows: with the driver's context and
    communication buffers.
    """

    weights: Num  # with the copies in 8 bits that low-precision recipes keep
    gradients: Num
    optimizer: Num
    activations: Num  # kept for the backward pass, all micro-batches in flight
    logits: Num  # with the loss and its gradient
    buffers: Num  # the layer at work, gathered weights and their gradients
    allocated: Num
    reserved: Num
    device: Num
    stage: Num  # the fullest: 0 the first, 1 the last (LAST), 2 one between (INNER)
    fits: Num  # 0 where the job needs more than the accelerator has, beyond doubt


@dataclass(frozen=True, slots=True)
class Owners:
    """Over how many ranks state is split: of dense parameters and of experts."""

    dense: Num
    experts: Num

    @classmethod
    def of(cls, s: Strategy) -> Owners:
        """All data and context ranks, or the group that shards among itself (HSDP)."""
        ranks = s.dp * s.cp
        shard: Num = np.where(np.greater(s.shard_group, 0), np.minimum(s.shard_group, ranks), ranks)
        return cls(shard, np.maximum(1.0, shard * s.tp / (s.ep * s.etp)))


@dataclass(frozen=True, slots=True)
class _State:
    """Bytes of a stage that do not depend on the micro-batch."""

    weights: Num
    gradients: Num
    optimizer: Num
    update: Num  # the owner's gradients in 32 bits, while it updates
    gathered: Num  # what ZeRO 2 and 3 put together for one layer
    ahead: Num  # the next layer's weights; a job short of memory can do without


def memory_use(
    a: Layers, shape: Shape, s: Strategy, hardware: Hardware, c: Calibration,
    span: Span | None = None,
) -> Memory:  # fmt: skip
    """Peak bytes of one accelerator: the first stage, the second or the last, whichever holds most.

    The first has most micro-batches in flight, the last the logits; both hold a table of the
    vocabulary. Where layers do not divide they are given fewer (as `schedule.split`), and the
    second may hold more. ``span``: look at these stages only, of the ``s.pp`` of the pipeline.
    """
    span = span or Span.whole(shape, s)
    held = layer_activations(a, shape, s, c.imbalance)
    owners = Owners.of(s)
    first, last = span.ends(s.pp)
    inner = span.inner(first, last)
    layers, second = first, np.zeros(())
    ends = _StateBytes.of(a, s, owners)
    if np.any(np.greater(inner, first)):
        kept = held.kept * c.activation_memory * (1.0 - s.offload_activations)
        second = ends.second_is_fuller(s, kept, span, first, inner)
        layers = np.where(second, inner, first)
    early = _passing(a, shape, s, c, held, layers, span, at=second)
    late = _passing(a, shape, s, c, held, last, span, last=True)
    later = np.greater(sum(late) - sum(early), ends.more(layers - last, -second))
    layers = np.where(later, last, layers)
    state = _state(a, shape, s, owners, layers, table=np.where(later, 1.0, 1.0 - second)[()])
    stage = np.where(later, LAST, INNER * second)[()]
    pairs = zip(late, early, strict=True)
    activations, logits, work = (np.where(later, y, z)[()] for y, z in pairs)
    buffers, spare = work + (state.gathered + state.ahead), state.ahead
    if np.any(s.compiled):  # such a program has freed the layers' buffers when it comes to the loss
        freed = s.compiled * np.greater(logits, 0.0) * np.minimum(buffers - work, logits)
        buffers, spare = buffers - freed, spare * np.equal(freed, 0.0)
    gradients = state.gradients + state.update
    passing = activations + logits
    allocated = (state.weights + gradients + state.optimizer) + passing + buffers
    reserved = allocated * c.fragmentation
    context = c.context_memory * _communicators(s)
    # the update comes when the activations are gone
    spare = spare + np.minimum(state.update, passing + work)
    needed = allocated * (1.0 + STUCK * (c.fragmentation - 1.0)) - spare + STAYS * context
    fits = np.less_equal(needed, DOUBT * hardware.memory) * 1.0
    return Memory(
        state.weights, gradients, state.optimizer, activations, logits, buffers, allocated,
        reserved, reserved + context, stage, fits,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _StateBytes:
    """What a layer and a table of the vocabulary weigh on a stage: enough to compare two stages."""

    layer: Num
    table: Num

    @classmethod
    def of(cls, a: Layers, s: Strategy, owners: Owners) -> _StateBytes:
        """Weights, gradients and optimizer state (see `_state`)."""
        third = np.equal(s.zero, 3)
        low = OPERAND_BITS[np.asarray(s.precision, dtype=np.intp)] / 8.0
        copies = 2.0 * low * (low < 1.0)
        here = s.weight_bytes + s.gradient_bytes + s.gradient_copy_bytes
        own = s.optimizer_bytes * (1.0 - s.offload_optimizer)
        owned = (here + own) * third
        whole = (here + own * np.equal(s.zero, 0) + copies) * ~third
        shared = own * (np.greater(s.zero, 0) & ~third)
        dense = whole + (owned + shared) / owners.dense
        experts = whole + (owned + shared) / owners.experts
        layer = a.dense_parameters * dense + a.expert_parameters * experts
        return cls(layer, a.head_parameters * dense)

    def more(self, layers: Num, tables: Num) -> Num:
        """Bytes of so many layers and tables more."""
        more: Num = layers * self.layer + tables * self.table
        return more

    def second_is_fuller(
        self, s: Strategy, kept: Num, span: Span, first: Num, inner: Num
    ) -> NDArray[np.float64]:
        """1 where the second stage, with more layers and no vocabulary, outweighs the first."""
        one, two = (
            in_flight(s.schedule, s.pp, s.vp, s.micro_batches, span.before + at) for at in (0, 1)
        )
        more = self.more(inner - first, -1.0) + kept * (inner * two - first * one)
        return np.asarray(np.greater(more, 0.0) * np.greater(inner, first) * 1.0)


def _state(
    a: Layers, shape: Shape, s: Strategy, owners: Owners, layers: Num, *, table: Num = 1.0
) -> _State:
    """Weights, gradients and optimizer state (Rajbhandari et al. 2020, "ZeRO", section 3.1).

    DualPipe holds the weights and gradients of two stages, but one optimizer state. A 16-bit
    gradient is copied to 32 bits for the update, by the rank that owns it (FSDP keeps only that).
    Weights in 8 bits are kept as they are and transposed, together as large as 16 bits; those in 4
    bits beside the 16-bit ones. ZeRO 2 and 3 make one layer's gradients before they scatter them,
    3 gathers that layer's weights, the next one's, and the vocabulary's for the whole step. Of
    weights that stream in two layers are here, and the vocabulary; gradients are summed here.
    ``table``: 0 for a stage without the vocabulary.
    """
    vocabulary = table * a.head_parameters * (1.0 + np.equal(s.pp, 1) * (1.0 - shape.tied))
    layer = a.dense_parameters + a.expert_parameters
    single = layers * layer + vocabulary
    whole = single * weight_copies(s.schedule, s.pp)
    dense = layers * a.dense_parameters + vocabulary
    owned = dense / owners.dense + layers * a.expert_parameters / owners.experts
    zero = np.asarray(s.zero)
    weights = np.where(zero == 3, owned, whole) * s.weight_bytes
    low = OPERAND_BITS[np.asarray(s.precision, dtype=np.intp)] / 8.0
    if np.any(low < 1.0):
        weights = weights + (zero < 3) * (low < 1.0) * 2.0 * low * layers * layer
    if np.any(s.offload_weights):
        weights = weights - s.offload_weights * _streamed(a, s, owners, layers)
    gradient = s.gradient_bytes + s.gradient_copy_bytes
    wide = 4.0 * (np.greater_equal(s.optimizer_bytes, WITH_MASTER) & np.less(gradient, 4.0))
    mine = np.where(zero == 0, single, owned)
    update = mine * np.where(zero == 3, np.maximum(wide - gradient, 0.0), wide)
    gathered = ahead = np.zeros(())
    if np.any(zero >= 2):
        absent = (zero >= 2) * (whole - owned)
        third = zero == 3
        # a compiled program has the vocabulary only where it is used, beside the logits
        near = np.minimum(layer + vocabulary * (1.0 - s.compiled), absent) * third
        gathered = (np.minimum(layer, absent) + near) * s.gather_bytes
        ahead = np.minimum(layer, absent - near) * third * s.gather_bytes
    return _State(
        weights,
        np.where(zero >= 2, owned, whole) * gradient,
        mine * (s.optimizer_bytes * (1.0 - s.offload_optimizer)),
        update,
        gathered,
        ahead,
    )


def _streamed(a: Layers, s: Strategy, owners: Owners, layers: Num) -> Num:
    """Bytes of weights that wait in host memory: all layers but those at hand."""
    third = np.equal(s.zero, 3)
    shard = a.dense_parameters / owners.dense + a.expert_parameters / owners.experts
    layer = (a.dense_parameters + a.expert_parameters) * weight_copies(s.schedule, s.pp)
    low = OPERAND_BITS[np.asarray(s.precision, dtype=np.intp)] / 8.0
    single = (a.dense_parameters + a.expert_parameters) * 2.0 * low * (low < 1.0)
    size = np.where(third, shard * s.weight_bytes, layer * s.weight_bytes + single)
    away: Num = np.maximum(layers - STREAMED, 0.0) * size
    return away


def _passing(
    a: Layers, shape: Shape, s: Strategy, c: Calibration, held: Activations, layers: Num,
    span: Span, *, at: Num = 0, last: bool = False,
) -> tuple[Num, Num, Num]:  # fmt: skip
    """Activations in flight, logits, and the layer at work, on a stage of a span or on its last.

    The logits and their gradients are gone when the backward pass reaches the layers: the larger
    of the two counts. A pipeline keeps what it received of every micro-batch in flight.
    """
    stage = span.before + (span.stages - 1 if last else at)
    flying = in_flight(s.schedule, s.pp, s.vp, s.micro_batches, stage)
    split = np.where(np.greater(s.sp, 0), s.tp, 1.0)
    received = a.tokens * 2.0 * shape.d_model / split * np.greater(s.pp, 1)
    kept = (held.kept * layers * c.activation_memory + received) * flying
    if np.any(s.offload_activations):
        kept = kept * (1.0 - s.offload_activations)
    work = (held.whole - held.kept) * c.activation_memory + held.passing * c.workspace
    loss = c.logit_bytes * np.where(np.less(s.fused, 1), EAGER, 1.0)
    loss = np.where(np.greater(s.lean_loss, 0), LEAN, loss)
    logits = a.tokens * (shape.vocab / s.tp) * loss
    if np.any(s.compiled):
        third = np.equal(s.zero, 3) * s.compiled
        logits = logits + a.head_parameters * s.gather_bytes * third
    logits = logits * (span.closing(s.pp) if last else np.equal(s.pp, 1))
    head = np.greater(logits, work)
    return kept, head * logits, np.where(head, 0.0, work)


def _communicators(s: Strategy) -> Num:
    """Context and buffers against those of a job with tensor, pipeline and data parallelism: the
    driver's and one part for each group of ranks (a pipeline has one each way)."""
    groups = (
        1.0 * np.greater(s.tp, 1) + 2.0 * np.greater(s.pp, 1) + np.greater(s.dp, 1)
        + np.greater(s.cp, 1) + np.greater(s.ep, 1)
    )  # fmt: skip
    return (1.0 + groups) / 5.0


def tenants_of(memory: Memory) -> dict[str, Num]:
    """The tenants as a dictionary, in order."""
    return {name: getattr(memory, name) for name in TENANTS}
