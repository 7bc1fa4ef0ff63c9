"""The words of published runs (framework, recomputation, precision, network) as codes."""

from __future__ import annotations

import re
from functools import lru_cache

from chares.model import strategy as st
from chares.model.schedule import DUALPIPE, ONE_F_ONE_B, ZB_H1, ZBV

#: what a family's software does by itself: checkpoints that stop early, a step compiled as one
#: program, a loss in place of the logits, experts one by one (Transformer Engine's GroupedLinear)
HABITS: dict[str, dict[str, float]] = {
    "fsdp": {"early_stop": 1.0},
    "megatron-core": {"expert_loop": 1.0},
    "jax": {"early_stop": 1.0, "compiled": 1.0, "lean_loss": 1.0},
}
#: frameworks whose steps are programs of XLA; PyTorch without a split of matrices
COMPILED = (
    r"maxtext|jax|pax|levanter|t5x|easylm|axlearn|xla|flax|tpu|gspmd|pathways|tensorflow|alpa\b"
)
DATA_PARALLEL = (
    r"fsdp|titan|foundry|composer|llm-recipes|litgpt|lit-gpt|fairscale|olmo|\bddp\b|nanogpt|lightning"
    r"|unsloth|llama-?factory|^pytorch"
)
FIRST_WITHOUT = 2022.0  # chips launched from then on never saw the software of `megatron-classic`
OWN_STACKS = ("3d-parallel", "other")  # tensor and pipeline parallelism of their own


@lru_cache(maxsize=4096)
def family_of(framework: str, published: str, launched: float = 0.0) -> str:
    """The framework family whose parameters apply, on a chip of the year ``launched``.

    ``megatron-classic``: Megatron-LM and Megatron-DeepSpeed before FlashAttention and sequence
    parallelism (2022 and earlier, and so never on a chip of that year). ``3d-parallel``: open
    PyTorch stacks with tensor and pipeline parallelism of their own, whose elementwise kernels are
    eager. ``other``: an unknown framework, which takes the parameters that all share, stages of
    equal time as those have, and fused kernels.
    """
    text = framework.lower()
    if re.search(COMPILED, text):
        return "jax"
    if "megatron-llama" in text or "swift" in text:
        return "megatron-core"
    if re.search(r"megatron-deepspeed|megatron deepspeed", text) or "v1.1.5" in text:
        young = launched >= FIRST_WITHOUT or "flash" in text or "new" in text
        return "megatron-core" if young else "megatron-classic"
    if re.search(
        r"nemo|bridge|core|mindspeed|primus|megascale|transformer engine|neuron|nxd", text
    ):
        return "megatron-core"
    if "megatron" in text:
        old = published[:4].isdigit() and int(published[:4]) <= 2022
        return "megatron-classic" if old else "megatron-core"
    if re.search(DATA_PARALLEL, text):
        return "fsdp"
    if re.search(r"deepspeed|zero|transformers|accelerate|axolotl|hugging", text):
        return "deepspeed"
    known = re.search(r"nanotron|picotron|internevo|internlm|colossal|axonn", text)
    return "3d-parallel" if known else "other"


@lru_cache(maxsize=512)
def precision_of(text: str) -> int:
    """The precision code (bf16 where nothing is said)."""
    low = text.lower()
    if "fp4" in low:
        return st.NVFP4
    if "mxfp8" in low or "mx-fp8" in low or "fp8-mx" in low:
        return st.MXFP8
    if "fp8" in low or "float8" in low:
        block = "block" in low or "1x128" in low or "fine-grained" in low or "subchannel" in low
        return st.FP8_BLOCK if block or "-sc" in low else st.FP8
    return st.FP16 if "fp16" in low else st.BF16


_RECOMPUTATIONS: tuple[tuple[str, int], ...] = (
    (r"none or selective", st.NONE),
    (r"^\s*(none|no|off|false|disabled)", st.NONE),
    (r"mlpwi", st.DOTS_NO_WI),
    (r"save_dot_except_mlp|dots?_except_mlp", st.DOTS_NO_MLP),
    (r"per-op|per op|sac\b", st.OPS),
    (r"every-other|every other|2nd layer|second layer|alternate", -2),
    (r"minimal|save all dots|save_dots?\b", st.DOTS),
    (r"moe.*core_attn|core_attn.*moe", st.MOE_ALL),
    (r"mla_up_proj.*moe\b", st.MOE),
    (r"norm.*mla[_ -]up|mla[_ -]up.*norm", st.NORMS_MLA_UP),  # DeepSeek-V3, section 3.2.3
    (r"layernorm|moe_act", st.ELEMENTWISE),
    (r"mla_up", st.MLA_UP),
    (r"\bmoe\b", st.MOE),
    (r"\bmlp\b|\bffn\b", st.MLP),
    (r"custom host offload", st.DOTS_NO_MLP),
    (r"offload", st.NONE),
    (r"full|uniform|block|all layers|activation checkpoint|yes|true|on\b|^1$", st.FULL),
    (r"selective|core|attention|attn", st.SELECTIVE),
)


@lru_cache(maxsize=512)
def recompute_of(text: str) -> tuple[int, float] | None:
    """The recomputation code and the share of layers, or None where nothing is said."""
    low = text.lower().strip()
    if not low:
        return None
    for pattern, code in _RECOMPUTATIONS:
        if re.search(pattern, low):
            if code == -2:
                return st.FULL, 0.5
            some = re.search(r"(\d+)\s*(?:/|of)\s*(\d+)\s*layers", low)
            return code, int(some[1]) / int(some[2]) if some and int(some[2]) else 1.0
    return None


@lru_cache(maxsize=512)
def zero_of(text: str) -> tuple[int, int, int] | None:
    """ZeRO stage, ranks per shard group (0: all, -1: one node) and slices; None if unsaid."""
    low = text.lower().strip()
    if not low:
        return None
    group = 0
    found = (
        re.search(r"group\s*=?\s*(\d+)", low)
        or re.search(r"over (\d+) chips", low)
        or re.search(r"ici_fsdp (\d+)", low)
        or re.search(r"fsdp (\d+)\b", low)
        or re.search(r"shard(?:ed|ing)?[ =_](?:size|degree)?\s*=?\s*(\d+)", low)
    )
    if found:
        group = int(found[1])
    elif "within node" in low or "hsdp" in low or "hybrid_shard" in low or "hybrid shard" in low:
        group = -1
    slices = re.search(r"across (\d+) slice", low)
    n_slices = int(slices[1]) if slices else 1
    stage = re.search(r"zero\s*[-_ ]?(?:stage)?\s*[-_ ]?([0-3])", low)
    if "shard_grad_op" in low:
        return 2, group, n_slices
    if stage:
        return int(stage[1]), group, n_slices
    if "fsdp" in low or "hsdp" in low or "full_shard" in low:
        return 3, group, n_slices
    if "distributed" in low:
        return 1, group, n_slices
    if re.search(r"none|ddp|^no|^0", low):
        return 0, group, n_slices
    return (int(low[0]), group, n_slices) if low[0] in "123" else (1, group, n_slices)


@lru_cache(maxsize=512)
def launches_block(framework: str, published: str, notes: str) -> bool:
    """Whether the host waits for each kernel (CUDA_LAUNCH_BLOCKING=1).

    BigScience's jobs of 2022 on A100 did, as they hung otherwise (bigscience-workshop/bigscience,
    train/tr11-176B-ml: chronicles-prequel.md, and setup-test-n2.slurm, which sets it).
    """
    said = "launch_blocking" in notes.lower()
    return said or ("bigscience" in framework.lower() and published >= "2022")


#: assumed, between what the source says (1 to 5 %) and what its tables show (4 to 8 %)
UNTUNED = 0.05


@lru_cache(maxsize=512)
def hindered_by(framework: str, published: str) -> float:
    """Share by which a run is slower for a machine that was not yet set up well.

    BigScience's tables of February 2022: the nodes' PCI Express and NUMA settings were mended on
    the 25th, and "do not compare" the tables before with those after (chronicles-prequel.md, "GBS
    Variations", says 1 to 5 %; its seven configurations measured on both sides differ by 4 to 8 %).
    """
    early = "2022-02-01" <= published < "2022-02-25"
    return UNTUNED * float(early and "bigscience" in framework.lower())


@lru_cache(maxsize=512)
def keeps_wide_sum(family: str, published: str) -> bool:
    """Whether a run in bf16 sums its gradients in a copy of 32 bits (DeepSpeed's `BF16_Optimizer`).

    BigScience wrote it for its tables of 2022-02-28 (chronicles-prequel.md, "Rebalancing layers").
    """
    before = "2022-02-01" <= published < "2022-02-28"
    return family == "megatron-classic" and not before


_RATE = r"(\d+(?:\.\d+)?)\s*(g|t)b(?:it)?(?:/s|ps|it/s)?"
_OMNI = r"omni[- ]?path|opa(?:[- ]?100)?"
_OMNI_PATH = re.compile(rf"\b(?:{_OMNI})\b")
#: how many links a node has; not the number in ConnectX-6, H100 or NDR400
_COUNT = re.compile(rf"(?<![\w.-])(\d{{1,2}})\s*(?:{_OMNI}|hca|edr|hdr|ndr|nics?|links?)\b")
#: what is left of Omni-Path's rate for collectives of accelerators: the protocol runs on the host's
#: cores, and messages are staged there (assumed)
ONLOADED = 0.5
_NVLINK = re.compile(r"(?:nvlink|xgmi|hccs|ici|infinity fabric|neuronlink)[ \d]*$")


@lru_cache(maxsize=1024)
def scale_out_of(text: str, node: float) -> float | None:
    """Bytes/s per accelerator and direction that a description of the network states, or None.

    Understands ``4x200Gb/s``, ``1600 Gbps node-node``, ``400 Gb/s IB per GPU``, ``4 HDR``. A bare
    rate of at most 400 Gb/s is one NIC of each accelerator, a greater one the node's sum. Omni-Path
    counts half (`ONLOADED`).
    """
    low = text.lower().replace(",", "")
    rate = _stated_rate(low, node)
    return rate * ONLOADED if rate and _OMNI_PATH.search(low) else rate


def _stated_rate(low: str, node: float) -> float | None:
    """What `scale_out_of` reads in a text in small letters, before any kind of network counts."""
    many = re.search(r"(\d+)\s*(?:x|\*|×)\s*" + _RATE, low)
    if many:
        total = int(many[1]) * float(many[2]) * (1e3 if many[3] == "t" else 1.0)
        return total * 1e9 / 8.0 / node
    each = re.search(r"per (?:gpu|chip|accel|device|npu)|/gpu|each gpu", low)
    whole = re.search(r"per node|inter-node|node-node|internode|per host|per server", low)
    count = _COUNT.search(low)
    for found in re.finditer(_RATE, low):
        if _NVLINK.search(low[: found.start()]):
            continue
        rate = float(found[1]) * (1e3 if found[2] == "t" else 1.0) * 1e9 / 8.0
        if each and not (whole and whole.start() < each.start()):
            return rate
        one = rate <= 12.5e9 and not (whole and count and found.start() < count.start())
        if count and (one or re.match(r"\s*each\b", low[found.end() :])):
            return rate * int(count[1]) / node
        if whole or rate > 50e9:
            return rate / node
        return rate
    return None


@lru_cache(maxsize=512)
def schedule_of(text: str) -> int:
    """The pipeline schedule that a description names (1F1B where it names none)."""
    low = text.lower()
    if "dualpipe" in low or "hai-llm" in low:
        return DUALPIPE
    if re.search(r"zb-?v\b|v-?schedule", low):
        return ZBV
    if re.search(r"zero[- ]bubble|zb-?h1|\bzb\b", low):
        return ZB_H1
    return ONE_F_ONE_B


_FUSED = re.compile(
    r"(?<!no )(?<!not )(?<!without )(?<!non-)\b"
    r"(?:liger|unsloth|fused[- ]?(?:kernels?|rms\w*|(?:layer[- ]?)?norms?|rope|elementwise|ops?)\b)"
)
_NOT_COMPILED = re.compile(r"\b(?:no|not|without|un)[- ]?compile|compile\w* (?:off|disabled)")


@lru_cache(maxsize=1024)
def flags_of(notes: str, family: str, framework: str) -> tuple[float, ...]:
    """Overlap of tp, dp, pp and ep; fused kernels; share of launches off the host; dedup."""
    low = notes.lower()
    text = f"{low} {framework.lower()}"
    core = family == "megatron-core"
    named = "overlap_" in low or "tp_comm" in low
    tp = ("tp_comm_overlap" in low or "async" in low or "tp/dp/pp" in low) or (
        family == "jax" or (core and not named)
    )
    tp = tp and "vanilla" not in low
    dp = not (family == "megatron-classic" or "no grad" in low or "no comm overlap" in low)
    pp = core and ("p2p" in low or "tp/dp/pp" in low or not named)
    ep = "a2a overlap" in low or "alltoall overlap" in low or "dualpipe" in low
    compiled = "compile" in low and not _NOT_COMPILED.search(low)
    kernels = _FUSED.search(text) is not None
    fused = core or family == "jax" or compiled or family == "other" or kernels
    if family == "jax" or "full_iteration" in low:
        graphs = 0.95
    elif "cuda graph" in low:
        graphs = 0.6 if "attn" in low else 0.3
    else:
        graphs = 0.4 if compiled else 0.0
    dedup = (
        "hybridep" in low or "deepep" in low or "dualpipe" in low or "hai-llm" in framework.lower()
    )
    return tuple(map(float, (tp, dp, pp, ep, fused, graphs, dedup)))
