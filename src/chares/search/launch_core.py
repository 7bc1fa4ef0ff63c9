"""What Megatron-LM and Megatron-Bridge share: the fields of Megatron Core.

Names are those of Megatron Core 0.19 (`TransformerConfig`, `ModelParallelConfig`,
`DistributedDataParallelConfig`, `OptimizerConfig`); the two faces render them as arguments and as
assignments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chares.search.launch_job import (
    FULL,
    GPIPE,
    HEADS,
    LATENT,
    NONE,
    ONE_F_ONE_B,
    SELECTIVE,
    ULYSSES,
    Job,
    layers_of,
    needs_schedule,
    recomputed_layers,
    refuse,
    whole,
)

if TYPE_CHECKING:
    from chares.model import Shape

MEGATRON = "Megatron"
#: `Strategy.cp_kind` in the words of ``cp_comm_type``
CP_COMM_TYPE = ("p2p", "all_gather", "a2a")
#: what a recomputation runs again, as ``recompute_modules``; kinds that are not here are not there
MODULES: dict[int, tuple[str, ...]] = {
    SELECTIVE: ("core_attn",),
    3: ("layernorm",),
    4: ("mlp",),
    7: ("moe",),
    8: ("mla_up_proj",),
    11: ("core_attn", "layernorm", "moe"),
    12: ("layernorm", "mla_up_proj"),
}
#: format and recipe of 8 bits by precision (Megatron Core, user guide, "Mixed precision")
FP8 = {
    "fp8": ("hybrid", "tensorwise"),
    "fp8-block": ("hybrid", "blockwise"),
    "mxfp8": ("e4m3", "mxfp8"),
}


@dataclass
class Core:
    """Fields by the configuration that has them."""

    model: dict[str, Any] = field(default_factory=dict)
    ddp: dict[str, Any] = field(default_factory=dict)
    optimizer: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


def core(job: Job) -> Core:
    """All fields of Megatron Core that the strategy fixes. Raises `NoPlan` for what it lacks."""
    found = Core(model_fields(job.shape, job.says))
    found.model |= {"seq_length": whole(job.strategy.seq_len)} | _parallel(job) | _pipeline(job)
    found.model |= _recompute(job) | _experts(job) | _formats(job)
    _data_parallel(job, found)
    _offload(job, found)
    s = job.strategy
    sharded = found.ddp.get("use_megatron_fsdp", False)
    if not sharded and (s.tp > 1 or s.cp > 1):
        found.environment["CUDA_DEVICE_MAX_CONNECTIONS"] = "1"
    return found


def model_fields(shape: Shape, says: Any) -> dict[str, Any]:
    """The shape of the model."""
    found: dict[str, Any] = {
        "num_layers": whole(shape.n_layers),
        "hidden_size": whole(shape.d_model),
        "ffn_hidden_size": whole(shape.d_ff or shape.d_expert),
        "num_attention_heads": whole(shape.n_heads),
        "vocab_size": whole(shape.vocab),
        "normalization": "LayerNorm" if shape.norm_weights == 2 else "RMSNorm",
        "position_embedding_type": "learned_absolute" if shape.positions else "rope",
        "gated_linear_unit": bool(shape.gated),
        "share_embeddings_and_output_weights": bool(shape.tied),
        "add_bias_linear": bool(shape.linear_bias),
        "add_qkv_bias": bool(shape.qkv_bias or shape.linear_bias),
        "qk_layernorm": bool(shape.qk_norm),
    }
    if whole(shape.attention) == LATENT:
        found |= {
            "multi_latent_attention": True,
            "kv_lora_rank": whole(shape.kv_lora_rank),
            "qk_head_dim": whole(shape.d_nope),
            "qk_pos_emb_head_dim": whole(shape.d_rope),
            "v_head_dim": whole(shape.d_v),
            # without one the query is a plain projection
            "q_lora_rank": whole(shape.q_lora_rank) or None,
        }
    else:
        found |= {"num_query_groups": whole(shape.n_kv_heads), "kv_channels": whole(shape.d_head)}
    if shape.attention_sinks:
        found["softmax_type"] = "learnable"
    if shape.mtp_layers:
        found["mtp_num_layers"] = whole(shape.mtp_layers)
    if shape.window_layers:
        says(f"the window of {whole(shape.window)} tokens in {whole(shape.window_layers)} layers")
    if shape.embedding_norm or shape.norms_per_layer != 2:
        says("norms beyond the two of a layer")
    return found


def _parallel(job: Job) -> dict[str, Any]:
    s, shape = job.strategy, job.shape
    tp, cp, groups = whole(s.tp), whole(s.cp), whole(shape.n_kv_heads)
    if whole(shape.attention) == HEADS and groups % tp and tp % groups:
        raise refuse(MEGATRON, f"tensor parallelism of {tp} for {groups} groups of queries")
    if shape.n_experts and tp > 1 and not s.sp:
        raise refuse(MEGATRON, "experts beside tensor parallelism without sequence parallelism")
    found: dict[str, Any] = {
        "tensor_model_parallel_size": tp,
        "pipeline_model_parallel_size": whole(s.pp),
        "context_parallel_size": cp,
        "sequence_parallel": tp > 1 and bool(s.sp),
        "tp_comm_overlap": tp > 1 and bool(s.sp) and bool(s.overlap_tp),
        "masked_softmax_fusion": bool(s.fused),
        "bias_activation_fusion": bool(s.fused and (shape.gated or shape.linear_bias)),
    }
    if cp > 1:
        kind = whole(s.cp_kind)
        if kind == ULYSSES and (shape.n_heads / tp) % cp:
            raise refuse(MEGATRON, f"all-to-all over {cp} ranks of {shape.n_heads / tp:g} heads")
        found["cp_comm_type"] = CP_COMM_TYPE[kind]
    if s.lean_loss:
        found |= {"cross_entropy_loss_fusion": True, "cross_entropy_fusion_impl": "native"}
    if not s.flash:
        found["attention_backend"] = "unfused"
    return found


def _pipeline(job: Job) -> dict[str, Any]:
    s = job.strategy
    needs_schedule(MEGATRON, s, ONE_F_ONE_B)
    if s.pp == 1:
        return {}
    if whole(s.schedule) == GPIPE or (s.vp > 1 and s.pp == 2 and not s.overlap_pp):
        raise refuse(MEGATRON, "chunks on two stages without overlap of what they send")
    found: dict[str, Any] = {"overlap_p2p_comm": s.vp > 1 and bool(s.overlap_pp)}
    if job.even:
        if s.vp > 1:
            found["virtual_pipeline_model_parallel_size"] = whole(s.vp)
    else:
        found["pipeline_model_parallel_layout"] = layout_of(job)
    return found


def layout_of(job: Job) -> str:
    """Uneven stages as a string of ``pipeline_model_parallel_layout``: E embedding, t layer, m
    multi-token prediction, L loss, stretches between bars."""
    mtp = whole(job.shape.mtp_layers)
    inside = ["t" * n for n in layers_of(job, mtp)]
    inside[0] = "E" + inside[0]
    inside[-1] += "m" * mtp + "L"
    return "|".join(inside)


def _recompute(job: Job) -> dict[str, Any]:
    kind, shape = whole(job.strategy.recompute), job.shape
    if kind == NONE:
        return {}
    if kind == FULL:
        most = max(layers_of(job, whole(shape.mtp_layers)))
        if shape.mtp_layers:
            job.says("recomputation of the layers of multi-token prediction")
        return {
            "recompute_granularity": "full",
            "recompute_method": "block",
            "recompute_num_layers": recomputed_layers(job, most),
        }
    if kind not in MODULES:
        raise refuse(MEGATRON, "recomputation of this kind")
    latent = whole(shape.attention) == LATENT
    modules = list(MODULES[kind])
    if ("mla_up_proj" in modules and not latent) or ("moe" in modules and not shape.n_experts):
        raise refuse(MEGATRON, "recomputation of what the model does not have")
    if job.strategy.recompute_share < 1:
        job.says("recomputation of modules is for all layers")
    return {"recompute_granularity": "selective", "recompute_modules": modules}


def _experts(job: Job) -> dict[str, Any]:
    s, shape = job.strategy, job.shape
    if not shape.n_experts:
        return {}
    if shape.linear_bias and s.etp != 1:
        raise refuse(MEGATRON, "experts with a bias split over tensor ranks")
    dense = whole(shape.n_layers - shape.n_moe_layers)
    found: dict[str, Any] = {
        "num_moe_experts": whole(shape.n_experts),
        "moe_router_topk": whole(shape.top_k),
        "moe_ffn_hidden_size": whole(shape.d_expert),
        "moe_grouped_gemm": True,
        "moe_token_dispatcher_type": "alltoall",
        "expert_model_parallel_size": whole(s.ep),
        "expert_tensor_parallel_size": whole(s.etp),
    }
    if dense:
        found["moe_layer_freq"] = [0] * dense + [1] * whole(shape.n_moe_layers)
    if shape.d_shared:
        found["moe_shared_expert_intermediate_size"] = whole(shape.d_shared)
        found["moe_shared_expert_gate"] = bool(shape.shared_gate)
    if shape.router_bias and not shape.linear_bias:
        found |= {"moe_router_score_function": "sigmoid", "moe_router_enable_expert_bias": True}
    elif shape.top_k == 1:
        found["moe_router_pre_softmax"] = True
    if shape.routed_domains:
        job.says(f"a token's experts on at most {whole(shape.routed_domains)} nodes")
    if s.ep > 1 and s.dedup:
        found |= {"moe_token_dispatcher_type": "flex", "moe_flex_dispatcher_backend": "deepep"}
        found["moe_router_dtype"] = "fp32"  # DeepEP takes probabilities in 32 bits
    if s.ep > 1 and s.dispatch_bytes < 2:
        job.says("tokens in 8 bits on their way to the experts")
    if s.ep > 1 and s.overlap_ep:
        if _may_overlap_experts(job):
            found["overlap_moe_expert_parallel_comm"] = True
        else:
            job.says(
                "overlap of the experts' all-to-all (it needs chunks and no full recomputation)"
            )
    return found


def _may_overlap_experts(job: Job) -> bool:
    """`TransformerConfig.__post_init__`, at ``overlap_moe_expert_parallel_comm``."""
    s = job.strategy
    chunked = s.pp == 1 or s.vp > 1
    return bool(chunked and whole(s.recompute) in (NONE, SELECTIVE) and job.shape.mtp_layers <= 1)


def _formats(job: Job) -> dict[str, Any]:
    found: dict[str, Any] = {"fp16" if job.precision == "fp16" else "bf16": True}
    if job.precision in FP8:
        found["fp8"], found["fp8_recipe"] = FP8[job.precision]
    elif job.precision == "nvfp4":
        found |= {"fp4": "e2m1", "fp4_recipe": "nvfp4"}
    if job.shape.n_experts and job.precision not in ("bf16", "fp16"):
        found["moe_router_padding_for_quantization"] = True
    return found


def _data_parallel(job: Job, found: Core) -> None:
    s, zero = job.strategy, whole(job.strategy.zero)
    alone = job.ranks == 1
    own = s.gradient_bytes == 4
    found.ddp = {
        "use_distributed_optimizer": zero > 0,
        "overlap_grad_reduce": bool(s.overlap_dp) and not alone,
        "overlap_param_gather": bool(s.overlap_dp) and zero > 0 and not alone,
        "grad_reduce_in_fp32": own,
    }
    if zero >= 2:
        # the distributed optimizer keeps whole gradients: more is sharded by Megatron-FSDP
        strategy = "optim_grads" if zero == 2 else "optim_grads_params"
        kept = "fp32" if own else "bf16"
        found.ddp |= {"use_megatron_fsdp": True, "data_parallel_sharding_strategy": strategy}
        found.ddp |= dict.fromkeys(
            ("megatron_fsdp_main_grads_dtype", "megatron_fsdp_grad_comm_dtype"), kept
        )
    if zero and job.shard < job.ranks:
        instances = job.ranks // job.shard
        experts = s.dp * s.cp * s.tp / (s.ep * s.etp)
        if job.ranks % job.shard or (job.shape.n_experts and experts % instances):
            raise refuse(MEGATRON, f"sharding in {instances} groups of these ranks")
        found.ddp["num_distributed_optimizer_instances"] = instances
    if s.broadcast:
        job.says("one broadcast of each rank's weights (they are gathered)")


def _offload(job: Job, found: Core) -> None:
    s = job.strategy
    if s.offload_weights:
        raise refuse(MEGATRON, "weights in host memory")
    if s.offload_optimizer:
        if whole(s.zero) != 1:
            raise refuse(MEGATRON, "optimizer in host memory but with its distributed optimizer")
        found.optimizer = {
            "optimizer_cpu_offload": True,
            "optimizer_offload_fraction": float(s.offload_optimizer),
            "overlap_cpu_optimizer_d2h_h2d": True,
            "use_precision_aware_optimizer": True,
        }
    if s.offload_activations:
        kind = whole(s.recompute)
        if kind not in (NONE, SELECTIVE):
            raise refuse(MEGATRON, "recomputed activations in host memory")
        modules = ["attn_norm", "qkv_linear", "core_attn", "attn_proj", "mlp_norm"]
        modules += ["expert_fc1", "moe_act"] if job.shape.n_experts else []
        found.model |= {
            "fine_grained_activation_offloading": True,
            "offload_modules": modules,
            "activation_offload_fraction": float(s.offload_activations),
        }
        found.environment["NVTE_CPU_OFFLOAD_V1"] = "1"
        if not job.shape.n_experts:
            job.says("offload of what the dense feed-forward keeps")
