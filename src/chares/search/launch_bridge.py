"""Megatron-Bridge: a Python file with a function that returns its `ConfigContainer` (0.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chares.search.launch_core import core
from chares.search.launch_job import LATENT, whole

if TYPE_CHECKING:
    from chares.search.launch_core import Core
    from chares.search.launch_job import Job

#: set by the recipe of mixed precision, which says so for model, optimizer and gradients at once
BY_PRECISION = ("bf16", "fp16", "fp8", "fp8_recipe", "fp4", "fp4_recipe")
RECIPE = {
    "bf16": "bf16_mixed",
    "fp16": "fp16_mixed",
    "fp8": "bf16_with_fp8_current_scaling_mixed",
    "fp8-block": "bf16_with_fp8_subchannel_scaling_mixed",
    "mxfp8": "bf16_with_mxfp8_mixed",
    "nvfp4": "bf16_with_nvfp4_mixed",
}
OVERLAP = ("tp_comm_overlap", "overlap_p2p_comm", "overlap_moe_expert_parallel_comm")
HEAD = """\
import torch
import torch.nn.functional as F

{provider_import}
from megatron.bridge.training.comm_overlap import CommOverlapConfig
from megatron.bridge.training.config import (
    CheckpointConfig,
    ConfigContainer,
    DistributedDataParallelConfig,
    GPTDatasetConfig,
    LoggerConfig,
    OptimizerConfig,
    SchedulerConfig,
    TokenizerConfig,
    TrainingConfig,
)
from megatron.bridge.training.mixed_precision import {recipe}


def config() -> ConfigContainer:
    mixed_precision = {recipe}()
"""
PROVIDERS = {
    "GPTModelProvider": "from megatron.bridge.models.gpt_provider import GPTModelProvider",
    "MLAModelProvider": "from megatron.bridge.models.mla_provider import MLAModelProvider",
}


def bridge_text(job: Job) -> str:
    """The file: comments on what is not told, imports, and ``config()``."""
    found = core(job)
    latent = whole(job.shape.attention) == LATENT
    provider = "MLAModelProvider" if latent else "GPTModelProvider"
    recipe = RECIPE[job.precision]
    head = HEAD.format(provider_import=PROVIDERS[provider], recipe=recipe)
    parts = _parts(job, found, provider)
    container = "".join(f"        {name}={value},\n" for name, value in parts.items())
    told = "".join(f"    {line}\n" for line in _precision(job))
    notes = [
        job.title,
        "megatron.bridge.training.pretrain.pretrain(config(), forward_step), one process a chip",
        "data, tokenizer and learning rate are placeholders",
        *(f"not told: {note}" for note in job.notes),
    ]
    comments = "".join(f"# {note}\n" for note in notes)
    return f"{comments}{head}{told}    return ConfigContainer(\n{container}    )\n"


def _parts(job: Job, found: Core, provider: str) -> dict[str, str]:
    s, sharded = job.strategy, bool(found.ddp.get("use_megatron_fsdp"))
    model = {k: v for k, v in found.model.items() if k not in (*BY_PRECISION, *OVERLAP)}
    if job.shape.gated:
        model["activation_func"] = Code("F.silu")
    if s.pp > 1:
        model["pipeline_dtype"] = Code("mixed_precision.pipeline_dtype")
    model.pop("multi_latent_attention", None)
    if "multi_latent_attention" in found.model:
        model["multi_latent_attention"] = True
    ddp = dict(found.ddp)
    for name in ("megatron_fsdp_main_grads_dtype", "megatron_fsdp_grad_comm_dtype"):
        if name in ddp:
            ddp[name] = Code("torch.float32" if ddp[name] == "fp32" else "torch.bfloat16")
    overlap = {"tp_comm_overlap": False} | {k: found.model[k] for k in OVERLAP if k in found.model}
    overlap |= {k: ddp[k] for k in ("overlap_grad_reduce", "overlap_param_gather")}
    optimizer = {"optimizer": "adam", "lr": 1e-4, "min_lr": 1e-5} | found.optimizer
    optimizer["use_distributed_optimizer"] = ddp["use_distributed_optimizer"]
    parts = {
        "model": _call(provider, model),
        "train": _call(
            "TrainingConfig",
            {
                "train_iters": job.steps,
                "global_batch_size": whole(s.global_batch),
                "micro_batch_size": whole(s.micro_batch),
            },
        ),
        "optimizer": _call("OptimizerConfig", optimizer),
        "scheduler": _call("SchedulerConfig", {"lr_decay_style": "cosine"}),
        "ddp": _call("DistributedDataParallelConfig", ddp),
        "dataset": _call("GPTDatasetConfig", _dataset(whole(s.seq_len))),
        "logger": _call("LoggerConfig", {}),
        "tokenizer": _call(
            "TokenizerConfig",
            {"tokenizer_type": "NullTokenizer", "vocab_size": whole(job.shape.vocab)},
        ),
        "checkpoint": _call(
            "CheckpointConfig", {"ckpt_format": "fsdp_dtensor" if sharded else "torch_dist"}
        ),
        "comm_overlap": _call("CommOverlapConfig", overlap),
        "mixed_precision": "mixed_precision",
    }
    if found.environment:
        parts["env_vars"] = repr(found.environment)
    return parts


def _dataset(seq_len: int) -> dict[str, Any]:
    return {
        "seq_length": seq_len,
        "random_seed": 1234,
        "blend": None,  # made-up data
        "split": "9999,8,2",
        "reset_position_ids": False,
        "reset_attention_mask": False,
        "eod_mask_loss": False,
        "dataloader_type": "single",
    }


def _precision(job: Job) -> list[str]:
    """What the strategy says otherwise than the recipe."""
    lines = [f"mixed_precision.grad_reduce_in_fp32 = {job.strategy.gradient_bytes == 4}"]
    if job.precision not in ("bf16", "fp16"):
        # every layer in the format, weights gathered in 16 bits: as the model reckons
        lines += [
            "mixed_precision.first_last_layers_bf16 = False",
            "mixed_precision.fp8_param_gather = False",
            "mixed_precision.fp4_param_gather = False",
            "mixed_precision.reuse_grad_buf_for_mxfp8_param_ag = False",
        ]
    return lines


class Code(str):
    """An expression of the written file, not a string in it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def _call(name: str, values: dict[str, Any]) -> str:
    if not values:
        return f"{name}()"
    inside = "".join(f"            {key}={value!r},\n" for key, value in values.items())
    return f"{name}(\n{inside}        )"
