"""The best strategy as a job configuration of a public framework.

Option names are those that the frameworks publish; ``tests/against/launch_options.json`` holds them
with their source. What a framework cannot express is said in a comment or refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from chares.errors import NoPlan
from chares.model import RECOMPUTATIONS, SCHEDULES

if TYPE_CHECKING:
    from chares.model import Shape, Strategy
    from chares.search.asking import Answer

LATENT = 1
ONE_F_ONE_B, ZB_H1, ZBV, DUALPIPE = (
    SCHEDULES.index(name) for name in ("1f1b", "zb-h1", "zbv", "dualpipe")
)
FULL, SELECTIVE = (RECOMPUTATIONS.index(name) for name in ("full", "selective"))


def launch_text(answer: Answer, framework: str) -> str:
    """The best strategy for ``framework``: megatron (arguments, one a line), torchtitan (TOML),
    deepspeed (JSON), maxtext (YAML).

    Raises `NoPlan` where nothing fits, or the framework cannot run the strategy.
    """
    if not answer.found.best:
        raise NoPlan("no-strategy-fits", "there is no strategy to take away")
    strategy, shape = answer.found.best[0].strategy, answer.asked.shape
    steps = round(answer.asked.steps) or 100
    if framework == "megatron":
        return "\n".join(megatron(shape, strategy, answer.question.precision, steps)) + "\n"
    if framework == "torchtitan":
        return _toml(torchtitan(strategy, answer.question.precision, answer.model, steps))
    if framework == "deepspeed":
        return json.dumps(deepspeed(strategy, answer.question.precision), indent=2) + "\n"
    return _yaml(maxtext(shape, strategy, answer.question.precision, steps))


def _needs(framework: str, strategy: Strategy, *allowed: int) -> None:
    code = int(strategy.schedule)
    if strategy.pp > 1 and code not in allowed:
        raise NoPlan(
            "schedule-not-there",
            f"{framework} has no schedule {SCHEDULES[code]}",
            hint="search for this framework: `--launch`, or `framework=` in Python",
        )


# Megatron-LM, Megatron-Bridge ---------------------------------------------------------------------


def megatron(shape: Shape, s: Strategy, precision: str, steps: int) -> list[str]:
    """Arguments of ``pretrain_gpt.py`` (Megatron-LM, megatron/training/arguments.py)."""
    _needs("Megatron-LM", s, ONE_F_ONE_B)
    pairs: dict[str, Any] = _megatron_model(shape) | {
        "tensor-model-parallel-size": s.tp,
        "pipeline-model-parallel-size": s.pp,
        "context-parallel-size": s.cp,
        "micro-batch-size": s.micro_batch,
        "global-batch-size": s.global_batch,
        "seq-length": s.seq_len,
        "train-iters": steps,
    }
    if s.vp > 1:
        pairs["num-layers-per-virtual-pipeline-stage"] = shape.n_layers / (s.pp * s.vp)
    if shape.n_experts:
        pairs["expert-model-parallel-size"] = s.ep
        if s.etp != s.tp:
            pairs["expert-tensor-parallel-size"] = s.etp
    if int(s.recompute) == FULL:
        per_stage = -(-int(shape.n_layers) // int(s.pp))
        pairs |= {
            "recompute-granularity": "full",
            "recompute-method": "block",
            "recompute-num-layers": round(per_stage * float(s.recompute_share)),
        }
    elif int(s.recompute) == SELECTIVE:
        pairs["recompute-granularity"] = "selective"
    lines = [f"--{k} {v if isinstance(v, str) else int(v)}" for k, v in pairs.items()]
    return lines + [f"--{flag}" for flag in _megatron_flags(shape, s, precision)]


def _megatron_model(shape: Shape) -> dict[str, Any]:
    pairs: dict[str, Any] = {
        "num-layers": shape.n_layers,
        "hidden-size": shape.d_model,
        "ffn-hidden-size": shape.d_ff or shape.d_expert,
        "num-attention-heads": shape.n_heads,
        "vocab-size": shape.vocab,
        "max-position-embeddings": shape.positions or 131072,
        "position-embedding-type": "learned_absolute" if shape.positions else "rope",
        "normalization": "LayerNorm" if shape.norm_weights == 2 else "RMSNorm",
    }
    if int(shape.attention) == LATENT:
        pairs |= {
            "kv-lora-rank": shape.kv_lora_rank,
            "qk-head-dim": shape.d_nope,
            "qk-pos-emb-head-dim": shape.d_rope,
            "v-head-dim": shape.d_v,
        }
        if shape.q_lora_rank:
            pairs["q-lora-rank"] = shape.q_lora_rank
    else:
        pairs |= {"num-query-groups": shape.n_kv_heads, "kv-channels": shape.d_head}
    if shape.n_experts:
        dense = shape.n_layers - shape.n_moe_layers
        pairs |= {
            "num-experts": shape.n_experts,
            "moe-router-topk": shape.top_k,
            "moe-ffn-hidden-size": shape.d_expert,
            "moe-layer-freq": f"([0]*{int(dense)}+[1]*{int(shape.n_moe_layers)})",
            "moe-token-dispatcher-type": "alltoall",
        }
        if shape.d_shared:
            pairs["moe-shared-expert-intermediate-size"] = shape.d_shared
    if shape.mtp_layers:
        pairs["mtp-num-layers"] = shape.mtp_layers
    return pairs


def _megatron_flags(shape: Shape, s: Strategy, precision: str) -> list[str]:
    flags = {
        "use-mcore-models": True,
        "use-flash-attn": True,
        "fp16" if precision == "fp16" else "bf16": True,
        "swiglu": bool(shape.gated),
        "untie-embeddings-and-output-weights": not shape.tied,
        "disable-bias-linear": not shape.linear_bias,
        "add-qkv-bias": bool(shape.qkv_bias),
        "qk-layernorm": bool(shape.qk_norm),
        "group-query-attention": shape.n_kv_heads < shape.n_heads and int(shape.attention) == 0,
        "multi-latent-attention": int(shape.attention) == LATENT,
        "moe-grouped-gemm": bool(shape.n_experts),
        "sequence-parallel": s.tp > 1 and bool(s.sp),
        "tp-comm-overlap": s.tp > 1 and bool(s.sp) and bool(s.overlap_tp),
        "use-distributed-optimizer": s.zero in (1, 2),
        "use-torch-fsdp2": s.zero == 3,
        "overlap-grad-reduce": bool(s.overlap_dp) and s.zero < 3,
        "overlap-param-gather": bool(s.overlap_dp) and s.zero in (1, 2),
        "accumulate-allreduce-grads-in-fp32": s.gradient_bytes == 4,
        "no-bias-swiglu-fusion": not s.fused and bool(shape.gated),
        "no-bias-gelu-fusion": not s.fused and not shape.gated,
        "no-masked-softmax-fusion": not s.fused,
    }
    told = [name for name, on in flags.items() if on]
    return told + (["fp8-format hybrid"] if precision in ("fp8", "mxfp8") else [])


# torchtitan ---------------------------------------------------------------------------------------


def torchtitan(s: Strategy, precision: str, model: str, steps: int) -> dict[str, dict[str, Any]]:
    """The sections of a torchtitan job file (torchtitan/config/job_config.py)."""
    _needs("torchtitan", s, ONE_F_ONE_B, ZBV, DUALPIPE)
    shard = int(s.shard_group) or int(s.dp)
    if s.zero < 3:
        shard = int(s.dp) if s.zero else 1
    schedule = {ONE_F_ONE_B: "1F1B", ZBV: "ZBVZeroBubble", DUALPIPE: "DualPipeV"}
    name = "Interleaved1F1B" if s.vp > 1 else schedule[int(s.schedule)] if s.pp > 1 else "1F1B"
    local = int(s.global_batch / s.dp) if s.pp > 1 else int(s.micro_batch)
    found: dict[str, dict[str, Any]] = {
        "model": {"name": model.partition("-")[0], "flavor": model},
        "training": {
            "local_batch_size": local,
            "global_batch_size": int(s.global_batch),
            "seq_len": int(s.seq_len),
            "steps": steps,
            "compile": bool(s.fused),
            "mixed_precision_param": "bfloat16",
            "enable_cpu_offload": bool(s.offload_optimizer),
        },
        "parallelism": {
            "data_parallel_replicate_degree": int(s.dp) // shard,
            "data_parallel_shard_degree": shard,
            "fsdp_reshard_after_forward": "always" if s.zero == 3 else "never",
            "tensor_parallel_degree": int(s.tp),
            "enable_async_tensor_parallel": bool(s.overlap_tp) and s.tp > 1 and bool(s.fused),
            "pipeline_parallel_degree": int(s.pp),
            "pipeline_parallel_schedule": name,
            "pipeline_parallel_microbatch_size": int(s.micro_batch),
            "context_parallel_degree": int(s.cp),
            "expert_parallel_degree": int(s.ep),
        },
        "activation_checkpoint": _titan_recompute(s),
    }
    if precision == "fp8":
        found["float8"] = {"recipe_name": "rowwise"}
    if precision == "mxfp8":
        found["mx"] = {"recipe_name": "mxfp8_cublas"}
    return found


def _titan_recompute(s: Strategy) -> dict[str, Any]:
    if int(s.recompute) == FULL and float(s.recompute_share) < 1.0:
        return {
            "mode": "selective",
            "selective_ac_option": str(round(1 / float(s.recompute_share))),
        }
    if int(s.recompute) == FULL:
        return {"mode": "full"}
    if int(s.recompute) == SELECTIVE:
        return {"mode": "selective", "selective_ac_option": "op"}
    return {"mode": "none"}


# DeepSpeed ----------------------------------------------------------------------------------------


def deepspeed(s: Strategy, precision: str) -> dict[str, Any]:
    """A DeepSpeed configuration (docs/_pages/config-json.md). Tensor and pipeline parallelism are
    the launching program's (Megatron-DeepSpeed), not this file's."""
    _needs("DeepSpeed", s, ONE_F_ONE_B)
    zero: dict[str, Any] = {
        "stage": int(s.zero),
        "overlap_comm": bool(s.overlap_dp),
        "contiguous_gradients": True,
    }
    if s.offload_optimizer:
        zero["offload_optimizer"] = {"device": "cpu", "pin_memory": True}
    found: dict[str, Any] = {
        "train_batch_size": int(s.global_batch),
        "train_micro_batch_size_per_gpu": int(s.micro_batch),
        "gradient_accumulation_steps": int(s.micro_batches),
        "fp16" if precision == "fp16" else "bf16": {"enabled": True},
        "zero_optimization": zero,
        "communication_data_type": "fp32" if s.gradient_bytes == 4 else "bf16",
        "gradient_clipping": 1.0,
    }
    if int(s.recompute) == FULL:
        found["activation_checkpointing"] = {
            "partition_activations": False,
            "cpu_checkpointing": bool(s.offload_activations),
        }
    return found


# MaxText ------------------------------------------------------------------------------------------


def maxtext(shape: Shape, s: Strategy, precision: str, steps: int) -> dict[str, Any]:
    """Keys of MaxText's configuration (MaxText/configs/base.yml)."""
    _needs("MaxText", s, ONE_F_ONE_B)
    shard = int(s.dp) if s.zero else 1
    found: dict[str, Any] = {
        "base_emb_dim": shape.d_model,
        "base_num_query_heads": shape.n_heads,
        "base_num_kv_heads": shape.n_kv_heads,
        "base_mlp_dim": shape.d_ff or shape.d_expert,
        "base_num_decoder_layers": shape.n_layers,
        "head_dim": shape.d_head,
        "vocab_size": shape.vocab,
        "max_target_length": s.seq_len,
        "per_device_batch_size": float(s.global_batch / s.n_chips),
        "gradient_accumulation_steps": 1 if s.pp > 1 else s.micro_batches,
        "steps": steps,
        "ici_tensor_parallelism": s.tp,
        "ici_pipeline_parallelism": s.pp,
        "ici_context_parallelism": s.cp,
        "ici_expert_parallelism": s.ep,
        "ici_fsdp_parallelism": max(1, shard // int(s.ep)),
        "ici_data_parallelism": int(s.dp) // shard,
        "dcn_data_parallelism": 1,
        "remat_policy": "full" if int(s.recompute) == FULL else "minimal",
        "optimizer_memory_host_offload": bool(s.offload_optimizer),
        "quantization": "fp8" if precision == "fp8" else "",
        "weight_dtype": "float32",
        "dtype": "bfloat16",
    }
    if s.zero in (1, 2):
        found["model_fsdp_ag_once"] = True
    if s.pp > 1:
        found |= {
            "num_layers_per_pipeline_stage": max(1, int(shape.n_layers / (s.pp * s.vp))),
            "num_pipeline_microbatches": s.micro_batches,
        }
    if shape.n_experts:
        found |= {
            "num_experts": shape.n_experts,
            "num_experts_per_tok": shape.top_k,
            "base_moe_mlp_dim": shape.d_expert,
            "first_num_dense_layers": shape.n_layers - shape.n_moe_layers,
            "shared_experts": shape.n_shared_experts,
            "mtp_num_layers": shape.mtp_layers,
        }
    return found


# text ---------------------------------------------------------------------------------------------


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value)
    number = float(value)
    return str(int(number)) if number == int(number) else repr(number)


def _toml(sections: dict[str, dict[str, Any]]) -> str:
    return "\n".join(
        f"[{name}]\n" + "".join(f"{k} = {_plain(v)}\n" for k, v in values.items())
        for name, values in sections.items()
    )


def _yaml(values: dict[str, Any]) -> str:
    return "".join(f"{k}: {_plain(v)}\n" for k, v in values.items())
