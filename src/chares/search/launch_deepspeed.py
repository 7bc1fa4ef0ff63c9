"""DeepSpeed: its configuration in JSON (0.19). What is the launching program's is a note."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chares.search.launch_job import FULL, NONE, ONE_F_ONE_B, ULYSSES, needs_schedule, refuse, whole

if TYPE_CHECKING:
    from chares.search.launch_job import Job

DEEPSPEED = "DeepSpeed"


def deepspeed_values(job: Job) -> dict[str, Any]:
    """The configuration. Raises `NoPlan` for what DeepSpeed lacks."""
    s = job.strategy
    _check(job)
    kept = "fp32" if s.gradient_bytes == 4 else ("fp16" if job.precision == "fp16" else "bf16")
    found: dict[str, Any] = {
        "train_batch_size": whole(s.global_batch),
        "train_micro_batch_size_per_gpu": whole(s.micro_batch),
        "gradient_accumulation_steps": whole(s.micro_batches),
        "fp16" if job.precision == "fp16" else "bf16": {"enabled": True},
        "zero_optimization": _zero(job),
        "communication_data_type": kept,
        "data_types": {"grad_accum_dtype": kept},
        "gradient_clipping": 1.0,
    }
    if s.cp > 1:
        found["sequence_parallel_size"] = whole(s.cp)
    if s.pp > 1:
        found["pipeline"] = {"stages": whole(s.pp)}
        job.says(
            f"the split of layers and of tensors: PipelineModule(..., num_stages={whole(s.pp)}) "
            f"with tensor parallelism {whole(s.tp)} is the program's"
        )
    elif s.tp > 1:
        overlap = bool(s.overlap_tp)
        found["tensor_parallel"] = {"autotp_size": whole(s.tp), "tp_overlap_comm": overlap}
    if s.ep > 1:
        found["expert_parallel"] = {
            "enabled": True,
            "autoep_size": whole(s.ep),
            "expert_tensor_parallel_size": 1,
        }
    if whole(s.recompute) != NONE:
        found |= _recompute(job)
    return found


def _check(job: Job) -> None:
    s = job.strategy
    needs_schedule(DEEPSPEED, s, ONE_F_ONE_B)
    if job.precision not in ("bf16", "fp16"):
        raise refuse(DEEPSPEED, f"training in {job.precision}")
    if s.vp > 1:
        raise refuse(DEEPSPEED, "interleaved schedule")
    if s.pp > 1 and s.zero > 1:
        raise refuse(DEEPSPEED, "ZeRO 2 or 3 beside pipeline parallelism")
    if s.tp > 1 and s.sp:
        raise refuse(DEEPSPEED, "sequence parallelism beside tensor parallelism")
    if s.cp > 1 and (whole(s.cp_kind) != ULYSSES or s.tp > 1 or s.pp > 1):
        raise refuse(DEEPSPEED, "context parallelism but Ulysses, beside data parallelism alone")
    if s.etp > 1:
        raise refuse(DEEPSPEED, "experts split over tensor ranks")
    if job.shape.n_experts and s.tp > 1 and (s.ep == 1 or s.pp > 1 or s.offload_optimizer):
        raise refuse(DEEPSPEED, "tensor parallelism beside these experts")
    if s.zero and job.shard < job.ranks:
        raise refuse(DEEPSPEED, "sharding over a part of the ranks")
    if not s.zero and s.gradient_bytes == 4 and job.ranks > 1:
        raise refuse(DEEPSPEED, "sum of gradients in 32 bits without ZeRO")
    if s.offload_optimizer and not s.zero:
        raise refuse(DEEPSPEED, "optimizer in host memory without ZeRO")
    if s.offload_optimizer not in (0, 1) and s.zero != 3:
        raise refuse(DEEPSPEED, "part of the optimizer in host memory without ZeRO 3")
    if s.offload_weights and s.zero != 3:
        raise refuse(DEEPSPEED, "weights in host memory without ZeRO 3")
    if s.offload_activations and whole(s.recompute) != FULL:
        raise refuse(DEEPSPEED, "activations in host memory but checkpoints of whole layers")


def _zero(job: Job) -> dict[str, Any]:
    s = job.strategy
    stage = whole(s.zero)
    if not stage and s.gradient_bytes == 4:
        stage = 1  # the same with one rank, and it sums in 32 bits
    found: dict[str, Any] = {
        "stage": stage,
        "overlap_comm": bool(s.overlap_dp),
        "contiguous_gradients": True,
    }
    if s.offload_optimizer:
        found["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
        if s.offload_optimizer < 1:
            found["offload_optimizer"]["ratio"] = float(s.offload_optimizer)
    if s.offload_weights:
        found["offload_param"] = {"device": "cpu", "pin_memory": True}
    return found


def _recompute(job: Job) -> dict[str, Any]:
    s = job.strategy
    if whole(s.recompute) != FULL:
        job.says("recomputation of parts of a layer: it is the program's")
        return {}
    if s.recompute_share < 1:
        job.says(f"which {float(s.recompute_share):.0%} of the layers recompute: the program's")
    return {
        "activation_checkpointing": {
            "partition_activations": False,
            "cpu_checkpointing": bool(s.offload_activations),
        }
    }
