"""How a training job is split over its accelerators: one frozen record of numbers or rows.

Choices that are not numbers have small integer codes, named in the tables below, so that a
strategy, a table of published runs and a block of the search are the same object.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model.schedule import ONE_F_ONE_B

if TYPE_CHECKING:
    from chares.ledger import Num

# number formats of the linear layers (attention core, norms, head and loss stay in 16 or 32 bits)
BF16, FP16, FP8, FP8_BLOCK, MXFP8, NVFP4 = range(6)
PRECISIONS = ("bf16", "fp16", "fp8", "fp8-block", "mxfp8", "nvfp4")
#: bits of a GEMM operand by precision
OPERAND_BITS = np.array([16.0, 16.0, 8.0, 8.0, 8.0, 4.0])

# context parallelism
RING, ALL_GATHER, ULYSSES = range(3)
CP_KINDS = ("ring", "all-gather", "ulysses")

# recomputation
(NONE, SELECTIVE, FULL, ELEMENTWISE, MLP, DOTS, OPS, MOE, MLA_UP, DOTS_NO_MLP, DOTS_NO_WI,
 MOE_ALL, NORMS_MLA_UP) = range(13)  # fmt: skip
RECOMPUTATIONS = (
    "none", "selective", "full", "norms-and-activation", "mlp", "all-but-gemms", "per-op",
    "moe", "mla-up-projection", "all-but-attention-gemms", "all-but-gemms-and-first-mlp",
    "moe-norms-and-core-attention", "norms-activation-and-mla-up-projection",
)  # fmt: skip
#: share of the forward pass that is run again, by kind of operation; columns: attention
#: projections, attention core, dense FFN GEMMs, expert GEMMs, elementwise, tensor-parallel
#: communication, expert all-to-all
RECOMPUTED = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0],
        [0.0, 0.0, 0.0, 0.0, 0.7, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.4, 0.5, 0.0],
        [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        [0.5, 0.0, 0.5, 0.5, 0.7, 0.0, 0.0],
        [0.0, 0.0, 0.0, 1.0, 0.4, 0.0, 1.0],
        [0.3, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0],
        [0.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0],
        [0.0, 1.0, 0.6, 0.6, 1.0, 0.5, 0.0],
        [0.0, 1.0, 0.0, 1.0, 0.7, 0.0, 1.0],
        [0.3, 0.0, 0.0, 0.0, 0.7, 0.0, 0.0],
    ]
)


@dataclass(frozen=True, slots=True)
class Strategy:
    """How the work is split. Every field is a number or an array with one entry a row."""

    tp: Num = 1  # tensor-parallel ranks
    pp: Num = 1  # pipeline stages
    vp: Num = 1  # model chunks per stage (interleaved schedule)
    cp: Num = 1  # context-parallel ranks
    ep: Num = 1  # expert-parallel ranks, folded into dp x cp x tp
    etp: Num = 1  # tensor split of each expert
    dp: Num = 1  # data-parallel replicas; accelerators = tp pp cp dp
    micro_batch: Num = 1  # sequences per replica and micro-batch
    global_batch: Num = 1  # sequences per step
    seq_len: Num = 4096  # tokens per sequence
    sp: Num = 1  # 1: sequence parallelism beside tensor parallelism
    zero: Num = 1  # ZeRO stage (3: FSDP)
    shard_group: Num = 0  # ranks that share one copy of the sharded state (0: all of dp x cp)
    precision: Num = BF16  # a code of PRECISIONS
    recompute: Num = NONE  # a code of RECOMPUTATIONS
    recompute_share: Num = 1.0  # share of the layers that recompute
    frozen: Num = 0.0  # 1: weights get no gradients, only small adapters do (LoRA)
    early_stop: Num = 0.0  # 1: full recomputation leaves out the last GEMM, which no gradient needs
    schedule: Num = ONE_F_ONE_B  # a code of SCHEDULES
    cp_kind: Num = RING  # a code of CP_KINDS
    balance: Num = 0.0  # 1: layers are spread over stages by cost, 2: whole layers (`evening`)
    broadcast: Num = 0.0  # 1: ZeRO restores weights by one broadcast of each rank's share
    # what runs behind computation (1: yes), bounded by the calibration's overlap fractions
    overlap_tp: Num = 1.0
    overlap_dp: Num = 1.0
    overlap_pp: Num = 1.0
    overlap_ep: Num = 0.0
    # implementation
    flash: Num = 1.0  # 1: attention that never stores the scores (FlashAttention)
    fused: Num = 1.0  # 1: fused elementwise kernels (Transformer Engine, torch.compile, XLA)
    blocking: Num = 0.0  # 1: the host waits for each kernel before the next (CUDA_LAUNCH_BLOCKING)
    graphs: Num = 0.0  # share of kernel launches taken off the host (CUDA graphs, XLA)
    expert_loop: Num = 0.0  # 1: the host goes through the local experts (GroupedLinear of TE)
    hindered: Num = 0.0  # share by which a machine not yet set up well is slower (as straggler)
    compiled: Num = 0.0  # 1: the step is one program (XLA), whose buffers live while they are used
    lean_loss: Num = 0.0  # 1: a fused cross entropy that works in place of the logits
    dispatch_bytes: Num = 2.0  # per element of a token on its way to the experts (1: fp8 dispatch)
    dedup: Num = 1.0  # 1: the expert all-to-all sends a token once per node (DeepEP, HybridEP)
    # bytes per parameter
    weight_bytes: Num = 2.0
    gradient_bytes: Num = 4.0  # as kept, and as reduced where there is no copy
    gradient_copy_bytes: Num = 0.0  # kept beside them, and reduced instead: a sum in 32 bits
    optimizer_bytes: Num = 12.0  # fp32 master copy and two Adam moments
    gather_bytes: Num = 2.0  # what ZeRO's parameter all-gather carries
    offload_optimizer: Num = 0.0  # share of the optimizer state kept in host memory
    offload_activations: Num = 0.0  # share of the activations kept in host memory
    offload_weights: Num = 0.0  # 1: weights of the layers stream in from host memory

    @property
    def n_chips(self) -> Num:
        """Accelerators: tp pp cp dp."""
        return self.tp * self.pp * self.cp * self.dp

    @property
    def micro_batches(self) -> Num:
        """Micro-batches per step and replica (at least 1)."""
        return np.maximum(1.0, np.ceil(self.global_batch / (self.micro_batch * self.dp)))

    def rows(self, index: Any) -> Strategy:
        """The strategies of the selected rows; fields that are single numbers stay so."""
        picked = {
            f.name: v[index] for f in fields(self) if getattr(v := getattr(self, f.name), "ndim", 0)
        }
        return replace(self, **picked)
