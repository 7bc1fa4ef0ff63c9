"""torchtitan: a job file in TOML (0.2.2, the last release that reads job files)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from chares.search.launch_job import (
    DUALPIPE,
    FULL,
    GPIPE,
    HEADS,
    NONE,
    ONE_F_ONE_B,
    RING,
    SELECTIVE,
    ULYSSES,
    ZBV,
    Job,
    layers_of,
    needs_schedule,
    refuse,
    whole,
)

TITAN = "torchtitan"
#: our model -> the model and flavor that torchtitan has
FLAVORS = {
    "deepseek-v2": ("deepseek_v3", "236B"),
    "deepseek-v2-lite": ("deepseek_v3", "16B"),
    "deepseek-v3": ("deepseek_v3", "671B"),
    "gpt-oss-120b": ("gpt_oss", "120b"),
    "gpt-oss-20b": ("gpt_oss", "20b"),
    "llama-3-70b": ("llama3", "70B"),
    "llama-3-8b": ("llama3", "8B"),
    "llama-3.1-405b": ("llama3", "405B"),
    "llama-3.1-70b": ("llama3", "70B"),
    "llama-3.1-8b": ("llama3", "8B"),
    "llama-3.3-70b": ("llama3", "70B"),
    "qwen3-235b-a22b": ("qwen3", "235B-A22B"),
    "qwen3-30b-a3b": ("qwen3", "30B-A3B"),
    "qwen3-32b": ("qwen3", "32B"),
    "qwen3-8b": ("qwen3", "8B"),
}
#: PyTorch's names (torch.distributed.pipelining.schedules)
SCHEDULE = {ONE_F_ONE_B: "1F1B", ZBV: "ZBVZeroBubble", DUALPIPE: "DualPipeV", GPIPE: "GPipe"}
CONVERTERS = {
    "fp8": ("quantize.linear.float8", {"recipe_name": "tensorwise"}),
    "mxfp8": ("quantize.linear.mx", {"recipe_name": "mxfp8_cublas"}),
}

Sections = dict[str, dict[str, Any]]


def torchtitan_sections(job: Job) -> Sections:
    """The tables of the job file. Raises `NoPlan` for what torchtitan lacks."""
    s = job.strategy
    _check(job)
    name, flavor = _model(job)
    found: Sections = {
        "model": {"name": name, "flavor": flavor},
        "training": {
            "local_batch_size": whole(s.global_batch / s.dp if s.pp > 1 else s.micro_batch),
            "global_batch_size": whole(s.global_batch),
            "seq_len": whole(s.seq_len),
            "steps": job.steps,
            "mixed_precision_param": "bfloat16",
            "mixed_precision_reduce": "float32",
            "enable_cpu_offload": bool(s.offload_optimizer),
        },
        "parallelism": _parallelism(job),
        "activation_checkpoint": _recompute(job),
        "compile": {"enable": bool(s.fused), "components": ["model", "loss"]},
    }
    if s.offload_optimizer and not s.offload_weights:
        job.says("optimizer state alone in host memory (weights and gradients go with it)")
    if job.precision in CONVERTERS:
        converter, values = CONVERTERS[job.precision]
        found["model"]["converters"] = [converter]
        found[converter] = dict(values)
        if job.shape.n_experts:
            job.says(f"experts in {job.precision} (their matrices stay in 16 bits)")
    return found


def _check(job: Job) -> None:
    s = job.strategy
    needs_schedule(TITAN, s, *SCHEDULE)
    if job.precision != "bf16" and job.precision not in CONVERTERS:
        raise refuse(TITAN, f"training in {job.precision}")
    if job.precision == "mxfp8" and s.tp > 1 and s.fused:
        raise refuse(TITAN, "mxfp8 compiled beside tensor parallelism")
    latent = whole(job.shape.attention) != HEADS
    if job.precision == "fp8" and s.tp > 1 and latent:
        raise refuse(TITAN, "fp8 of latent attention beside tensor parallelism")
    if s.tp > 1 and not s.sp:
        raise refuse(TITAN, "tensor parallelism without sequence parallelism")
    if s.seq_len % (s.tp * 2 * s.cp):
        raise refuse(TITAN, "sequences that do not divide by 2 tp cp")
    if s.gradient_bytes != 4:
        raise refuse(TITAN, "sum of gradients in 16 bits")
    if not s.zero and s.n_chips > 1 and job.ranks > 1:
        raise refuse(TITAN, "replicas that share nothing beside other splits")
    # latent attention and sinks are FlexAttention, which has no context parallelism
    flex = latent or bool(job.shape.attention_sinks)
    if s.cp > 1 and (flex or whole(s.cp_kind) == ULYSSES):
        raise refuse(TITAN, "context parallelism of this kind")
    if s.offload_activations:
        raise refuse(TITAN, "activations in host memory")
    if s.offload_weights and not s.offload_optimizer:
        raise refuse(TITAN, "weights in host memory without the optimizer's state")


def _model(job: Job) -> tuple[str, str]:
    if job.model in FLAVORS:
        name, flavor = FLAVORS[job.model]
        if job.shape.mtp_layers:
            job.says("multi-token prediction")
        return name, flavor
    shape, own = job.shape, Path(job.model).stem if "/" in job.model else job.model
    job.says(f"the model: torchtitan has no {own}; register it as a flavor of this name")
    if not (shape.n_experts or shape.positions or shape.linear_bias) and shape.gated:
        values = {
            "dim": shape.d_model, "n_layers": shape.n_layers, "n_heads": shape.n_heads,
            "n_kv_heads": shape.n_kv_heads, "vocab_size": shape.vocab,
        }  # fmt: skip
        told = ", ".join(f"{k}={whole(v)}" for k, v in values.items())
        job.says(
            f"llama3_args[{own!r}] = TransformerModelArgs({told}), "
            f"with a feed-forward width of {whole(shape.d_ff)}"
        )
        return "llama3", own
    return own.partition("-")[0], own


def _parallelism(job: Job) -> dict[str, Any]:
    s = job.strategy
    dp, cp = whole(s.dp), whole(s.cp)
    if job.shard % cp or job.ranks % job.shard:
        raise refuse(TITAN, f"sharding over {job.shard} of {job.ranks} ranks")
    shard = job.shard // cp if s.zero else 1
    found: dict[str, Any] = {
        "data_parallel_replicate_degree": dp // shard,
        "data_parallel_shard_degree": shard,
        "fsdp_reshard_after_forward": "always" if s.zero == 3 else "never",
        "tensor_parallel_degree": whole(s.tp),
        "enable_async_tensor_parallel": bool(s.overlap_tp and s.tp > 1 and s.fused),
        "context_parallel_degree": cp,
        "expert_parallel_degree": whole(s.ep),
        "expert_tensor_parallel_degree": whole(s.etp) if s.ep > 1 else 1,
        "pipeline_parallel_degree": whole(s.pp),
    }
    if s.zero == 1:
        job.says("ZeRO 1: gradients are sharded too, and weights between steps")
    if cp > 1:
        ring = whole(s.cp_kind) == RING
        found["context_parallel_rotate_method"] = "alltoall" if ring else "allgather"
    if job.shape.n_experts and s.ep == 1 and s.etp != s.tp:
        raise refuse(TITAN, "experts whole on a tensor rank, without expert parallelism")
    if s.ep > 1:
        deep = bool(s.dedup) and s.etp == 1 and whole(job.shape.attention) != HEADS
        found["expert_parallel_comm_backend"] = "deepep" if deep else "standard"
        if s.etp not in (1, s.tp) or (job.shard * s.tp) % (s.ep * s.etp):
            raise refuse(TITAN, "experts over these ranks (dp_shard cp tp must divide)")
    if s.pp > 1:
        found |= _pipeline(job)
    return found


def _pipeline(job: Job) -> dict[str, Any]:
    s = job.strategy
    name = "Interleaved1F1B" if s.vp > 1 else SCHEDULE[whole(s.schedule)]
    found: dict[str, Any] = {
        "pipeline_parallel_schedule": name,
        "pipeline_parallel_microbatch_size": whole(s.micro_batch),
        "pipeline_parallel_expert_parallel_overlap": name == "DualPipeV" and s.ep > 1,
    }
    if job.even:
        found |= {
            "pipeline_parallel_layers_per_stage": whole(job.shape.n_layers) // job.chunks,
            "pipeline_parallel_first_stage_less_layers": 0,
            "pipeline_parallel_last_stage_less_layers": 0,
        }
        return found
    counts, start = layers_of(job), 0
    parts: list[list[str]] = []
    for count in counts:
        parts.append([f"layers.{i}" for i in range(start, start + count)])
        start += count
    parts[0].insert(0, "tok_embeddings")
    parts[-1] += ["norm", "output"]
    return found | {"module_fqns_per_model_part": parts}


def _recompute(job: Job) -> dict[str, Any]:
    kind, share = whole(job.strategy.recompute), float(job.strategy.recompute_share)
    if kind == NONE:
        return {"mode": "none"}
    if kind == SELECTIVE:
        return {"mode": "selective", "selective_ac_option": "op"}
    if kind != FULL:
        raise refuse(TITAN, "recomputation of this kind")
    if share == 1.0:
        return {"mode": "full"}
    every = max(1, int(1 / share))
    if every * share != 1:
        job.says(f"{share:.0%} of the layers recompute (one in {every} does)")
    return {"mode": "selective", "selective_ac_option": str(every)}
