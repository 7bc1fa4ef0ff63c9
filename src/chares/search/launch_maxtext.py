"""MaxText: keys over its ``base.yml`` (0.2.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chares.search.launch_job import (
    ALL_GATHER,
    FULL,
    LATENT,
    NONE,
    ONE_F_ONE_B,
    RING,
    SELECTIVE,
    ULYSSES,
    needs_schedule,
    refuse,
    whole,
)

if TYPE_CHECKING:
    from chares.model import Shape
    from chares.search.launch_job import Job

MAXTEXT = "MaxText"
CP_STRATEGY = {RING: "ring", ALL_GATHER: "all_gather", ULYSSES: "ulysses"}
#: recomputation -> the policy that saves the rest (`get_remat_policy`)
POLICY = {
    NONE: "none",
    SELECTIVE: "minimal",
    FULL: "full",
    5: "minimal",
    9: "save_dot_except_mlp",
    10: "save_dot_except_mlpwi",
}
QUANTIZATION = {
    "bf16": "",
    "fp16": "",
    "fp8": "te_fp8_currentscaling",
    "mxfp8": "te_mxfp8",
    "nvfp4": "te_nvfp4",
}
TPU_QUANTIZATION = {"bf16": "", "fp8": "fp8_full"}


def maxtext_values(job: Job) -> dict[str, Any]:
    """The keys. Raises `NoPlan` for what MaxText lacks."""
    _check(job)
    s, tpu = job.strategy, job.chip.startswith("tpu")
    formats = TPU_QUANTIZATION if tpu else QUANTIZATION
    if job.precision not in formats:
        raise refuse(MAXTEXT, f"training in {job.precision} on this chip")
    found: dict[str, Any] = {
        "hardware": "tpu" if tpu else "gpu",
        **_model(job.shape, job),
        "max_target_length": whole(s.seq_len),
        "steps": job.steps,
        "dataset_type": "synthetic",
        "packing": False,  # whole sequences, as the model reckons
        "enable_checkpointing": False,
        "quantization": formats[job.precision],
        "dtype": "float16" if job.precision == "fp16" else "bfloat16",
        "weight_dtype": "float32",
        "grad_dtype": "float32" if s.gradient_bytes == 4 else "bfloat16",
        **_mesh(job, tpu),
        **_batch(job),
        **_recompute(job),
        "optimizer_memory_host_offload": bool(s.offload_optimizer),
        "parameter_memory_host_offload": bool(s.offload_weights),
    }
    if found["quantization"] == "fp8_full":
        found["use_qwix_quantization"] = True
    if not tpu:
        found["attention"] = "cudnn_flash_te"
    return found


def _check(job: Job) -> None:
    s = job.strategy
    needs_schedule(MAXTEXT, s, ONE_F_ONE_B)
    if s.zero == 2 or (s.zero == 1 and job.shard < job.ranks):
        raise refuse(MAXTEXT, "sharding of this kind (ZeRO 1 over all ranks, or 3)")
    if s.balance:
        raise refuse(MAXTEXT, "stages of different length")
    if job.shape.n_experts and s.etp != s.tp:
        raise refuse(MAXTEXT, "experts that tensor ranks do not split")
    if s.dp % s.ep:
        raise refuse(MAXTEXT, "experts over ranks beyond the replicas")
    if s.offload_activations and whole(s.recompute) != SELECTIVE:
        raise refuse(MAXTEXT, "activations in host memory with this recomputation")
    if s.recompute_share < 1:
        raise refuse(MAXTEXT, "recomputation of some layers")
    if whole(s.recompute) not in POLICY:
        raise refuse(MAXTEXT, "recomputation of this kind")
    if s.pp > 1 and s.micro_batches % s.pp:
        raise refuse(MAXTEXT, "micro-batches that do not divide by the stages")


def _mesh(job: Job, tpu: bool) -> dict[str, Any]:
    """All ways on one axis each; the expert axis is a part of the replicas."""
    s = job.strategy
    tp, cp, ep = whole(s.tp), whole(s.cp), whole(s.ep)
    replicas = whole(s.dp) // ep
    fsdp = 1
    if s.zero == 3:
        # weights are sharded over the context and expert axes too
        fsdp, rest = divmod(job.shard, cp * ep)
        if rest or not fsdp or replicas % fsdp:
            raise refuse(MAXTEXT, f"sharding over {job.shard} ranks beside these axes")
    found: dict[str, Any] = {
        "num_slices": 1,
        "ici_data_parallelism": replicas // fsdp,
        "ici_fsdp_parallelism": fsdp,
        "ici_tensor_parallelism": 1 if s.sp else tp,
        "ici_tensor_sequence_parallelism": tp if s.sp else 1,
        "ici_pipeline_parallelism": whole(s.pp),
        "ici_context_parallelism": cp,
        "ici_expert_parallelism": ep,
        "shard_optimizer_over_data": bool(s.zero == 1 and replicas > 1),
    }
    found |= {name.replace("ici", "dcn"): 1 for name in found if name.startswith("ici")}
    if cp > 1:
        kind = whole(s.cp_kind)
        if kind == ULYSSES:
            raise refuse(MAXTEXT, "Ulysses but on TPU with a kernel of its own")
        if kind == RING and tpu:
            job.says("the ring of context parallelism (all-gather stands in)")
            kind = ALL_GATHER
        found["context_parallel_strategy"] = CP_STRATEGY[kind]
    return found


def _batch(job: Job) -> dict[str, Any]:
    s = job.strategy
    if s.pp == 1:
        return {
            "per_device_batch_size": float(s.micro_batch * s.dp / s.n_chips),
            "gradient_accumulation_steps": whole(s.micro_batches),
        }
    layers = whole(job.shape.n_layers)
    if whole(job.shape.attention) == LATENT:
        layers = whole(job.shape.n_moe_layers) or layers  # its dense layers stay before the pipe
    each = layers // job.chunks
    if not each:
        raise refuse(MAXTEXT, "pipeline of more stages than layers")
    piped = each * job.chunks
    if piped < whole(job.shape.n_layers):
        job.says(f"{whole(job.shape.n_layers) - piped} layers lie outside of the pipeline")
    return {
        "per_device_batch_size": float(s.global_batch / s.n_chips),
        "gradient_accumulation_steps": 1,
        "num_pipeline_microbatches": whole(s.micro_batches),
        "num_layers_per_pipeline_stage": each,
        "num_pipeline_repeats": whole(s.vp),
        "pipeline_parallel_layers": piped,
    }


def _recompute(job: Job) -> dict[str, Any]:
    s = job.strategy
    if s.offload_activations:
        return {"remat_policy": "minimal_offloaded"}
    return {"remat_policy": POLICY[whole(s.recompute)]}


def _model(shape: Shape, job: Job) -> dict[str, Any]:
    block = _block(shape)
    found: dict[str, Any] = {
        "decoder_block": block,
        "base_emb_dim": whole(shape.d_model),
        "base_num_query_heads": whole(shape.n_heads),
        "base_num_kv_heads": whole(shape.n_kv_heads),
        "base_mlp_dim": whole(shape.d_ff or shape.d_expert),
        "base_num_decoder_layers": whole(shape.n_layers),
        "head_dim": whole(shape.d_head),
        "vocab_size": whole(shape.vocab),
        "mlp_activations": ["silu", "linear"] if shape.gated else ["gelu"],
        "logits_via_embedding": bool(shape.tied),
        "attention_bias": bool(shape.qkv_bias or shape.linear_bias),
        "use_qk_norm": bool(shape.qk_norm),
        "enable_dropout": False,
    }
    if shape.positions:
        found["trainable_position_size"] = max(whole(shape.positions), whole(job.strategy.seq_len))
    if whole(shape.attention) == LATENT:
        found |= {
            "attention_type": "mla",
            "q_lora_rank": whole(shape.q_lora_rank),
            "kv_lora_rank": whole(shape.kv_lora_rank),
            "qk_nope_head_dim": whole(shape.d_nope),
            "qk_rope_head_dim": whole(shape.d_rope),
            "v_head_dim": whole(shape.d_v),
        }
    if shape.n_experts:
        found |= {
            "num_experts": whole(shape.n_experts),
            "num_experts_per_tok": whole(shape.top_k),
            "base_moe_mlp_dim": whole(shape.d_expert),
        }
        if block == "deepseek":
            found["first_num_dense_layers"] = whole(shape.n_layers - shape.n_moe_layers)
            found["shared_experts"] = whole(shape.n_shared_experts)
        elif shape.n_moe_layers < shape.n_layers or shape.n_shared_experts:
            job.says("dense layers or shared experts of this mixture")
    if shape.mtp_layers:
        found["mtp_num_layers"] = whole(shape.mtp_layers)
    if shape.window_layers:
        job.says(f"the window of {whole(shape.window)} tokens in some layers")
    return found


def _block(shape: Shape) -> str:
    """The decoder block that is nearest."""
    if whole(shape.attention) == LATENT:
        return "deepseek"
    if shape.n_experts:
        if shape.attention_sinks:
            return "gpt_oss"
        return "qwen3_moe" if shape.qk_norm else "mixtral"
    if shape.positions:
        return "gpt3"
    return "qwen3" if shape.qk_norm else "llama2"
