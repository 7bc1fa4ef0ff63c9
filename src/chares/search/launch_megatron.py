"""Megatron-LM: arguments of ``pretrain_gpt.py``, one a line (release core_v0.19)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chares.search.launch_core import core
from chares.search.launch_job import LATENT, whole

if TYPE_CHECKING:
    from chares.search.launch_job import Job

#: fields of Megatron Core whose argument has another name
RENAMED = {
    "num_moe_experts": "num-experts",
    "fp8": "fp8-format",
    "fp4": "fp4-format",
    "virtual_pipeline_model_parallel_size": "num-virtual-stages-per-pipeline-rank",
    "gated_linear_unit": "swiglu",
}
#: fields that are true unless an argument says no
UNLESS = {
    "share_embeddings_and_output_weights": "untie-embeddings-and-output-weights",
    "add_bias_linear": "disable-bias-linear",
    "overlap_p2p_comm": "no-overlap-p2p-communication",
    "masked_softmax_fusion": "no-masked-softmax-fusion",
}


def megatron_lines(job: Job) -> list[str]:
    """The arguments of the strategy; data, tokenizer and learning rate stand in for the user's."""
    found, s, shape = core(job), job.strategy, job.shape
    arguments = {name: value for name, value in found.model.items() if value is not None}
    arguments |= found.optimizer
    fused = arguments.pop("bias_activation_fusion")
    if not fused and (shape.gated or shape.linear_bias):
        arguments["no_bias_swiglu_fusion" if shape.gated else "no_bias_gelu_fusion"] = True
    if "num_query_groups" in arguments and shape.n_kv_heads == shape.n_heads:
        del arguments["num_query_groups"]
    elif whole(shape.attention) != LATENT:
        arguments["group_query_attention"] = True
    if not (s.pp > 1 and s.vp > 1):
        arguments.pop("overlap_p2p_comm", None)  # without chunks there is nothing to overlap
    if shape.linear_bias:
        arguments.pop("add_qkv_bias")  # follows from the bias of all
    arguments |= _data_parallel(found.ddp, job.precision)
    arguments |= {
        "max_position_embeddings": max(whole(shape.positions), whole(s.seq_len)),
        "micro_batch_size": whole(s.micro_batch),
        "global_batch_size": whole(s.global_batch),
        "train_iters": job.steps,
        "mock_data": True,
        "tokenizer_type": "NullTokenizer",
        "lr": "1e-4",
    }
    return [line for name, value in arguments.items() for line in _argument(name, value)]


def megatron_text(job: Job) -> str:
    """Comments that say what is not told, then the arguments."""
    lines = megatron_lines(job)
    told = core(job)
    environment = "".join(f"{k}={v} " for k, v in told.environment.items())
    head = [
        job.title,
        f"{environment}torchrun ... pretrain_gpt.py $(grep -v '^#' FILE)",
        "data, tokenizer and learning rate are placeholders",
        *(f"not told: {note}" for note in job.notes),
    ]
    return "".join(f"# {line}\n" for line in head) + "\n".join(lines) + "\n"


def _data_parallel(ddp: dict[str, Any], precision: str) -> dict[str, Any]:
    found = dict(ddp)
    if found.pop("grad_reduce_in_fp32"):
        found["accumulate_allreduce_grads_in_fp32"] = True
    elif precision != "fp16":
        found["grad_reduce_in_bf16"] = True
    if found.get("use_megatron_fsdp"):
        found["ckpt_format"] = "fsdp_dtensor"
    return found


def _argument(name: str, value: Any) -> list[str]:
    option = RENAMED.get(name, name).replace("_", "-")
    if name in UNLESS:
        return [] if value else [f"--{UNLESS[name]}"]
    if isinstance(value, bool):
        return [f"--{option}"] if value else []
    if name == "moe_layer_freq":
        return [f"--{option} ([0]*{value.count(0)}+[1]*{value.count(1)})"]
    if isinstance(value, list):
        return [f"--{option} {' '.join(map(str, value))}"]
    return [f"--{option} {value}"]
