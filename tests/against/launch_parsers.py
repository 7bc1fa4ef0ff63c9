"""Strict readers of launch configurations, from the options that the frameworks publish.

`launch_options.json` has the names, types and choices as the released sources have them. An unknown
name, a wrong type or a value outside of the choices is an error, as it is to the framework. The
checks of several options together are the frameworks' own, in our words; the lines are those of the
releases that the file names.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import tomllib
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import yaml

OPTIONS: dict[str, Any] = json.loads(
    Path(__file__).with_name("launch_options.json").read_text(encoding="utf-8")
)
PLAIN = {"int": int, "float": (int, float), "str": str, "bool": bool}


class Refused(ValueError):
    """What the framework would say."""


def need(condition: Any, what: str) -> None:
    """Raise `Refused` unless the condition holds."""
    if not condition:
        raise Refused(what)


def conforms(value: Any, spec: Any) -> bool:
    """Whether a value is of the type, or among the choices."""
    if isinstance(spec, list):
        return any(type(value) is type(choice) and value == choice for choice in spec)
    if spec == "any":
        return True
    if spec.endswith("?"):
        return value is None or conforms(value, spec[:-1])
    if spec.endswith("+"):
        return isinstance(value, list) and all(conforms(v, spec[:-1]) for v in value)
    if spec == "section":
        return isinstance(value, dict)
    if isinstance(value, bool) and spec != "bool":
        return False
    return isinstance(value, PLAIN[spec])


def check_keys(values: dict[str, Any], known: dict[str, Any], where: str) -> None:
    """Every key known, every value of its type."""
    for key, value in values.items():
        need(key in known, f"{where} has no {key}")
        need(conforms(value, known[key]), f"{where}.{key} is not {value!r}")


# Megatron-LM --------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        raise Refused(message)


@cache
def _megatron_parser() -> argparse.ArgumentParser:
    parser = _Parser(allow_abbrev=False, add_help=False)
    types = {"int": int, "float": float}
    for name, spec in OPTIONS["megatron"]["options"].items():
        flag = f"--{name}"
        if spec == "flag":
            parser.add_argument(flag, action="store_true")
        elif isinstance(spec, list):
            parser.add_argument(flag, choices=[str(c) for c in spec])
        elif isinstance(spec, dict):
            parser.add_argument(flag, choices=[str(c) for c in spec["each"]], nargs="+")
        elif spec.endswith("+"):
            parser.add_argument(flag, type=types.get(spec[:-1], str), nargs="+")
        else:
            parser.add_argument(flag, type=types.get(spec, str))
    return parser


def megatron(text: str, world: int) -> argparse.Namespace:
    """The arguments, parsed and held to the checks of Megatron-LM."""
    words, environment = [], {}
    for line in text.splitlines():
        if line.startswith("#"):
            environment |= dict(re.findall(r"([A-Z_0-9]+)=(\S+)", line))
        else:
            words += line.split()
    a = _megatron_parser().parse_args(words)
    ways = (a.tensor_model_parallel_size, a.pipeline_model_parallel_size, a.context_parallel_size)
    need(world % prod(ways) == 0, "arguments.py:430, ranks do not divide")
    a.dp = world // prod(ways)
    need(a.global_batch_size % (a.micro_batch_size * a.dp) == 0, "arguments.py:694, batch")
    a.vp = _virtual_stages(a)
    _check_state(a, environment)
    _check_model(a)
    _check_recompute(a, environment)
    return a


def _virtual_stages(a: argparse.Namespace) -> int:
    """arguments.py:884-985 and pipeline_parallel_layer_layout.py: `validate_layer_layout`."""
    pp, layers = a.pipeline_model_parallel_size, a.num_layers
    chunks = a.num_virtual_stages_per_pipeline_rank
    if a.pipeline_model_parallel_layout:
        need(chunks is None, "arguments.py:885, a layout and chunks")
        inside = a.pipeline_model_parallel_layout.split("|")
        joined = "".join(inside)
        need(not set(joined) - set("EtmL"), "no such part of a layout")
        need(len(inside) % pp == 0, "arguments.py:901, layout does not divide by stages")
        need(joined[0] == "E" and joined[-1] == "L", "embedding first, loss last")
        need(joined.count("E") == joined.count("L") == 1, "one embedding, one loss")
        need(joined.count("t") == layers, "layers of the layout")
        mtp = a.mtp_num_layers or 0
        need(joined.count("m") == inside[-1].count("m") == mtp, "prediction layers together")
        chunks = len(inside) // pp
    elif chunks is None:
        need(layers % pp == 0, "arguments.py:962, layers do not divide")
    else:
        need(layers % (pp * chunks) == 0, "layers do not divide into chunks")
    chunks = chunks or 1
    if chunks > 1:
        least = 3 if a.no_overlap_p2p_communication else 2
        need(pp >= least, "arguments.py:967, too few stages to interleave")
        need((a.global_batch_size // (a.micro_batch_size * a.dp)) % pp == 0, "schedules.py, k p")
    return int(chunks)


def _check_state(a: argparse.Namespace, environment: dict[str, str]) -> None:
    one = environment.get("CUDA_DEVICE_MAX_CONNECTIONS") == "1"
    tp, cp = a.tensor_model_parallel_size, a.context_parallel_size
    if a.overlap_param_gather:
        own = a.use_distributed_optimizer or a.use_megatron_fsdp
        need(own and a.overlap_grad_reduce, "arguments.py:990, gather of parameters")
    if a.use_megatron_fsdp:
        need(a.ckpt_format == "fsdp_dtensor" and not one, "arguments.py:1143-1147, FSDP")
    else:
        need(a.ckpt_format != "fsdp_dtensor", "arguments.py:1623, format of FSDP")
        need(one or (tp == 1 and cp == 1), "arguments.py:1437, connections")
    if a.optimizer_cpu_offload:
        need(a.use_precision_aware_optimizer, "arguments.py:1803, offload")
    if a.use_precision_aware_optimizer:
        need(a.use_distributed_optimizer, "optimizer_config.py:434")
    instances = a.num_distributed_optimizer_instances or 1
    need(a.dp * cp % instances == 0, "parallel_state.py:924")
    if a.num_experts:
        width = a.expert_model_parallel_size * a.expert_tensor_parallel_size
        stage = a.dp * cp * tp
        need(stage % width == 0, "parallel_state.py, expert ranks")
        need(stage // width % instances == 0, "parallel_state.py:1448")
    need(not (a.bf16 and a.fp16), "arguments.py:1186, one format")
    need(not (a.fp4_format and a.fp8_format), "arguments.py:1065")


def _check_model(a: argparse.Namespace) -> None:
    tp, cp = a.tensor_model_parallel_size, a.context_parallel_size
    need(a.max_position_embeddings >= a.seq_length, "arguments.py:1314, positions")
    need(cp == 1 or a.seq_length % (2 * cp) == 0, "arguments.py:1296, sequence")
    need(a.num_attention_heads % tp == 0, "transformer_config.py:1325, heads")
    groups = a.num_query_groups if a.group_query_attention else a.num_attention_heads
    need(groups % tp == 0 or tp % groups == 0, "transformer_config.py:1343, groups")
    need(not a.sequence_parallel or tp > 1, "model_parallel_config.py, sequence parallelism")
    need(not a.tp_comm_overlap or a.sequence_parallel, "arguments.py:1401")
    if a.multi_latent_attention:
        need(not a.group_query_attention, "arguments.py:1893")
    if a.mtp_num_layers:
        need(a.position_embedding_type == "rope", "arguments.py:856")
    if not a.num_experts:
        need(a.expert_model_parallel_size in (None, 1), "arguments.py:1600")
        return
    need(a.num_experts % a.expert_model_parallel_size == 0, "arguments.py:1603")
    need(tp == 1 or a.sequence_parallel, "moe_layer.py:629")
    if not a.disable_bias_linear:
        need(a.expert_tensor_parallel_size == 1, "transformer_config.py:2279")
    if a.moe_router_enable_expert_bias:
        need(a.moe_router_score_function == "sigmoid", "transformer_config.py:2284")
    elif a.moe_router_topk == 1:
        need(a.moe_router_pre_softmax, "transformer_config.py:2331")
    if a.moe_router_padding_for_quantization:
        need(a.fp8_format or a.fp4_format, "transformer_config.py:2319")
    if a.moe_layer_freq:
        pattern = re.fullmatch(r"\(\[0\]\*(\d+)\+\[1\]\*(\d+)\)", a.moe_layer_freq)
        need(pattern and sum(map(int, pattern.groups())) == a.num_layers, "one entry a layer")


def _check_recompute(a: argparse.Namespace, environment: dict[str, str]) -> None:
    full = a.recompute_granularity == "full"
    if full:
        need(a.recompute_method and a.recompute_num_layers, "transformer_config.py:1731-1742")
        need(0 < a.recompute_num_layers <= a.num_layers, "layers to recompute")
    else:
        need(not a.recompute_method, "arguments.py:1385")
        need(a.recompute_num_layers is None, "transformer_config.py:1750")
    modules = a.recompute_modules or []
    known = {"core_attn", "moe_act", "layernorm", "mla_up_proj", "mlp", "moe", "shared_experts"}
    need(set(modules) <= known, "transformer_config.py:1765, modules")
    need("mla_up_proj" not in modules or a.multi_latent_attention, "transformer_config.py:1787")
    if a.fine_grained_activation_offloading:
        need(environment.get("NVTE_CPU_OFFLOAD_V1") == "1", "arguments.py:1854")
        need("core_attn" in a.offload_modules, "transformer_config.py:1868")
    if a.overlap_moe_expert_parallel_comm:
        need(a.expert_model_parallel_size > 1 and not full, "transformer_config.py:2682-2689")
        need(a.pipeline_model_parallel_size == 1 or a.vp > 1, "transformer_config.py:2675")
        need((a.mtp_num_layers or 0) <= 1, "transformer_config.py:2705")


# Megatron-Bridge ----------------------------------------------------------------------------------


def bridge(text: str, world: int) -> dict[str, dict[str, Any]]:
    """Keyword arguments of each part of the container; names and types are the dataclasses'."""
    known = _bridge_classes()
    function = next(n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef))
    need(function.name == "config", "no function of the job")
    *said, last = function.body
    recipe = said[0]
    assert isinstance(recipe, ast.Assign)
    name = ast.unparse(recipe.value).removesuffix("()")
    need(name in OPTIONS["megatron-bridge"]["mixed_precision_recipes"], f"no recipe {name}")
    for line in said[1:]:
        assert isinstance(line, ast.Assign)
        owner, _, key = ast.unparse(line.targets[0]).partition(".")
        need(owner == "mixed_precision", "an assignment to something else")
        values = {key: ast.literal_eval(line.value)}
        check_keys(values, known["MixedPrecisionConfig"], "MixedPrecisionConfig")
    assert isinstance(last, ast.Return)
    found: dict[str, dict[str, Any]] = {}
    for keyword in _call(last.value, "ConfigContainer").keywords:
        assert keyword.arg
        need(keyword.arg in known["ConfigContainer"], f"no {keyword.arg} in ConfigContainer")
        if isinstance(keyword.value, ast.Call):
            found[keyword.arg] = _bridge_part(keyword.value, known)
    model, train = found["model"], found["train"]
    ways = [model[f"{n}_parallel_size"] for n in ("tensor_model", "pipeline_model", "context")]
    dp, rest = divmod(world, prod(ways))
    need(not rest, "config.py: get_data_parallel_size")
    need(train["global_batch_size"] % (train["micro_batch_size"] * dp) == 0, "config.py:1335")
    need(model["seq_length"] == found["dataset"]["seq_length"], "config.py:1505")
    if found["ddp"].get("use_megatron_fsdp"):
        need(found["checkpoint"]["ckpt_format"] == "fsdp_dtensor", "config.py:1099")
    if model["pipeline_model_parallel_size"] > 1:
        need("pipeline_dtype" in model, "model_parallel_config.py, dtype of the pipeline")
    return found


def _bridge_classes() -> dict[str, dict[str, Any]]:
    said = OPTIONS["megatron-bridge"]
    known = {name: dict(fields) for name, fields in said["classes"].items()}
    for name, base in said["inherits"].items():
        known[name] = known[base] | known[name]
    return known


def _call(node: ast.expr | None, name: str) -> ast.Call:
    assert isinstance(node, ast.Call)
    need(ast.unparse(node.func) == name, f"a call of {name}")
    return node


def _bridge_part(call: ast.Call, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    name = ast.unparse(call.func)
    need(name in known and not call.args, f"no class {name}")
    found: dict[str, Any] = {}
    for keyword in call.keywords:
        assert keyword.arg
        need(keyword.arg in known[name], f"{name} has no {keyword.arg}")
        spec = known[name][keyword.arg]
        try:
            value = ast.literal_eval(keyword.value)
        except ValueError:  # an expression: a data type or a function
            value = ast.unparse(keyword.value)
            dtype = str(spec).startswith("dtype") or spec == "any"
            need(dtype and re.fullmatch(r"[\w.]+", value), f"{name}.{keyword.arg} = {value}")
        else:
            need(conforms(value, spec), f"{name}.{keyword.arg} is not {value!r}")
        found[keyword.arg] = value
    return found


# torchtitan ---------------------------------------------------------------------------------------


def torchtitan(text: str, world: int) -> dict[str, Any]:
    """The job file, parsed and held to the checks of torchtitan."""
    read = tomllib.loads(text)
    known = OPTIONS["torchtitan"]["sections"]
    for name, values in _flat(read).items():
        need(name in known, f"no section {name}")
        check_keys(values, known[name], name)
    split, training = read["parallelism"], read["training"]
    shard, cp = split["data_parallel_shard_degree"], split["context_parallel_degree"]
    replicas = split["data_parallel_replicate_degree"] * shard
    tp, pp = split["tensor_parallel_degree"], split["pipeline_parallel_degree"]
    need(replicas * cp * tp * pp == world, "parallel_dims.py:60")
    ep, etp = split["expert_parallel_degree"], split["expert_tensor_parallel_degree"]
    need(ep == 1 or etp in (1, tp), "parallel_dims.py:66")
    need(shard * cp * tp % (ep * etp) == 0, "parallel_dims.py: build_mesh, efsdp")
    local = training["local_batch_size"]
    need(training["global_batch_size"] % (local * replicas) == 0, "train.py:203")
    need(training["seq_len"] % (tp * (2 * cp if cp > 1 else 1)) == 0, "parallelize.py:69")
    if split["enable_async_tensor_parallel"]:
        need(read["compile"]["enable"], "tensor_parallel.py:20")
    if "quantize.linear.mx" in read["model"].get("converters", []):
        need(tp == 1 or not read["compile"]["enable"], "mx.py:50")
    if split.get("expert_parallel_comm_backend") == "deepep":
        need(ep > 1 and etp == 1, "deepseek_v3/infra/parallelize.py:102-108")
    if pp > 1:
        need(local % split["pipeline_parallel_microbatch_size"] == 0, "pipeline_parallel.py:190")
    return read


#: schedules of torch.distributed.pipelining with one stage a rank, and those with two
SINGLE, DOUBLE = ("1F1B", "GPipe"), ("ZBVZeroBubble", "DualPipeV")


def torchtitan_layers(read: dict[str, Any], layers: int) -> list[int]:
    """Layers of each stage, in the order of the model (pipeline_parallel.py:60-135)."""
    split = read["parallelism"]
    pp, schedule = split["pipeline_parallel_degree"], split["pipeline_parallel_schedule"]
    if each := split.get("pipeline_parallel_layers_per_stage"):
        spare = split["pipeline_parallel_first_stage_less_layers"]
        spare += split["pipeline_parallel_last_stage_less_layers"]
        stages = -(-(layers + spare) // each)
        found = [each] * stages
    else:
        parts = split["module_fqns_per_model_part"]
        need(parts[0][0] == "tok_embeddings" and parts[-1][-2:] == ["norm", "output"], "ends")
        names = [n for part in parts for n in part if n.startswith("layers.")]
        need(names == [f"layers.{i}" for i in range(layers)], "each layer once, in order")
        found = [sum(n.startswith("layers.") for n in part) for part in parts]
    need(len(found) % pp == 0, "pipeline_parallel.py:85")
    a_rank = len(found) // pp
    need((a_rank == 1) == (schedule in SINGLE), "pipeline_parallel.py:96-105")
    need(a_rank == 2 or schedule not in DOUBLE, "pipeline_parallel.py:463")
    return found


def _flat(read: dict[str, Any], above: str = "") -> dict[str, dict[str, Any]]:
    """Tables by their dotted names."""
    found: dict[str, dict[str, Any]] = {}
    for name, value in read.items():
        path = f"{above}.{name}" if above else name
        inner = {k: v for k, v in value.items() if isinstance(v, dict)}
        found |= _flat(inner, path)
        if own := {k: v for k, v in value.items() if not isinstance(v, dict)}:
            found[path] = own
    return found


# DeepSpeed ----------------------------------------------------------------------------------------


def deepspeed(text: str, replicas: int) -> dict[str, Any]:
    """The configuration, parsed and held to the checks of DeepSpeed."""
    read: dict[str, Any] = json.loads(text)
    known = OPTIONS["deepspeed"]["sections"]

    def check(values: dict[str, Any], where: str) -> None:
        check_keys(values, known[where], where)
        for name, value in values.items():
            if isinstance(value, dict):
                check(value, f"{where}.{name}" if where else name)

    check(read, "")
    micro = read["train_micro_batch_size_per_gpu"] * read["gradient_accumulation_steps"]
    need(read["train_batch_size"] == micro * replicas, "runtime/config.py:602")
    need(("bf16" in read) != ("fp16" in read), "runtime/config.py:511")
    zero = read["zero_optimization"]
    stage, kept = zero["stage"], read["data_types"]["grad_accum_dtype"]
    if stage == 0:
        need(kept == ("fp16" if "fp16" in read else "bf16"), "engine.py:2323")
        need("offload_optimizer" not in zero, "zero/config.py: offload with stage 1, 2, 3")
    need("offload_param" not in zero or stage == 3, "zero/config.py: offload_param")
    if zero.get("offload_optimizer", {}).get("ratio", 1) < 1:
        need(stage == 3, "zero/config.py: offload_ratio_check")
    if "pipeline" in read:
        need(stage < 2, "pipe/engine.py:76")
        need("tensor_parallel" not in read, "tensor parallelism of a pipeline is the program's")
    if experts := read.get("expert_parallel"):
        need(experts["expert_tensor_parallel_size"] == 1, "auto_ep_folding.py:214")
        if "tensor_parallel" in read:
            need(experts["autoep_size"] > 1, "auto_ep_folding.py:240")
            need("offload_optimizer" not in zero, "auto_ep_folding.py:248")
    return read


# MaxText ------------------------------------------------------------------------------------------


def maxtext(text: str, world: int) -> dict[str, Any]:
    """The keys, parsed and held to the checks of MaxText."""
    read: dict[str, Any] = yaml.safe_load(text)
    check_keys(read, OPTIONS["maxtext"]["options"], "MaxTextConfig")
    ici = prod(v for k, v in read.items() if re.fullmatch(r"ici_\w+_parallelism", k))
    dcn = prod(v for k, v in read.items() if re.fullmatch(r"dcn_\w+_parallelism", k))
    need(ici == world and dcn == read["num_slices"] == 1, "maxtext_utils.py: create_device_mesh")
    if read["shard_optimizer_over_data"]:
        need(read["ici_fsdp_parallelism"] == 1, "types.py:5615")
    micro = int(world * read["per_device_batch_size"])
    if (stages := read["ici_pipeline_parallelism"]) > 1:
        pieces = read["num_pipeline_microbatches"]
        each = read["num_layers_per_pipeline_stage"] * read["num_pipeline_repeats"]
        need(stages * each == read["pipeline_parallel_layers"], "types.py:4580")
        need(read["pipeline_parallel_layers"] <= read["base_num_decoder_layers"], "layers")
        need(pieces % stages == 0, "types.py:4594")
        need(micro % pieces == 0, "types.py:4599")
    if read.get("num_experts", 1) > 1 and not read.get("first_num_dense_layers"):
        need(read["base_mlp_dim"] == read["base_moe_mlp_dim"], "types.py:5005")
    if read["quantization"] in ("fp8", "te_fp8_delayedscaling"):
        need(read["gradient_accumulation_steps"] == 1, "types.py:4974")
    if read["hardware"] == "gpu" and read["attention"] == "cudnn_flash_te":
        need(read["packing"] is False, "types.py:5317")
    read["batch"] = micro * read["gradient_accumulation_steps"]
    return read
