"""A Hugging Face ``config.json`` -> `Shape`, for the common families of decoders.

The names and defaults are those of the configuration classes of the ``transformers`` library; what
a family has beside its numbers (norms, biases, gates) is in the family's function below.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from chares.errors import CharesError, InputError, did_you_mean, raise_all, shorten
from chares.model.shape import LATENT, Shape

MAX_BYTES = 1_000_000
MAX_COUNT, MAX_LAYERS = 10**8, 10**4  # no size of a model is larger


def from_config(source: Mapping[str, Any] | str | Path, where: str = "") -> Shape:
    """The shape that a ``config.json`` describes, given as a mapping or as the file's place.

    Raises `InputError`: ``no-file``, ``not-json``, ``too-large``, ``no-family``,
    ``unknown-family`` (the hint lists the known ones), ``missing-field``, ``bad-field``; several
    findings come together.
    """
    if not isinstance(source, Mapping):
        where = where or str(source)
        source = _read(Path(source))
    where = where or "config.json"
    config = _Config(source, where)
    inner = source.get("text_config")  # of a model that reads images too
    if isinstance(inner, Mapping):
        config = _Config({**{k: source[k] for k in _SHARED if k in source}, **inner}, where)
    family = config.get("model_type") or source.get("model_type")
    build = _family(family, where)
    shape = build(config)
    raise_all(list({e.where: e for e in config.errors}.values()))  # a field may be read twice
    return shape


_SHARED = ("tie_word_embeddings", "vocab_size")


def _family(name: object, where: str) -> Callable[[_Config], Shape]:
    if not isinstance(name, str) or not name:
        raise InputError(
            "no-family", "there is no `model_type`", where=where,
            hint="give a config.json as found beside a model's weights",
        )  # fmt: skip
    name = name if name in FAMILIES or f"{name}_text" not in FAMILIES else f"{name}_text"
    if name not in FAMILIES:
        known = ", ".join(sorted(FAMILIES))
        close = did_you_mean(name, FAMILIES)
        close = f"{close} " if close.startswith("did") else ""
        raise InputError(
            "unknown-family", f"the family `{shorten(name)}` is not known",
            where=where, hint=f"{close}known families: {known}",
        )  # fmt: skip
    return FAMILIES[name]


def _read(path: Path) -> Mapping[str, Any]:
    """The file's object. Refuses what is no JSON object of numbers and words."""
    place = str(path)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as bad:
        raise InputError("no-file", f"cannot read the file: {shorten(bad)}", where=place) from None
    if len(content) > MAX_BYTES:
        raise InputError("too-large", f"more than {MAX_BYTES:,} bytes", where=place)
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as bad:
        raise InputError(
            "not-json", f"not JSON: {shorten(bad)}", where=place,
            hint="a config.json is one JSON object",
        ) from None  # fmt: skip
    if not isinstance(found, Mapping):
        raise InputError("not-json", "not a JSON object", where=place)
    return found


class _Config:
    """Reads fields and collects what is wrong with them."""

    def __init__(self, fields: Mapping[str, Any], where: str) -> None:
        self.fields = fields
        self.where = where
        self.errors: list[CharesError] = []

    def get(self, *names: str) -> Any:
        """The first of the names that is there and not null."""
        return next((self.fields[n] for n in names if self.fields.get(n) is not None), None)

    def count(self, *names: str, default: int | None = None, least: int = 1) -> int:
        """A whole number; without a default the field must be there."""
        value = self.get(*names)
        if value is None:
            if default is None:
                place = f"{self.where}: {names[0]}"
                missing = InputError("missing-field", f"`{names[0]}` is missing", where=place)
                self.errors.append(missing)
                return 1
            return default
        most = MAX_LAYERS if "layer" in names[0] else MAX_COUNT
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not least <= value <= most or value != int(value):
            self.reject(names[0], f"a whole number from {least} to {most:,}")
            return 1
        return int(value)

    def flag(self, name: str, default: bool = False) -> int:
        """1 or 0."""
        value = self.get(name)
        if value is None:
            return int(default)
        if not isinstance(value, bool):
            self.reject(name, "true or false")
        return int(value is True)

    def numbers(self, name: str) -> list[Any]:
        """A list (empty where there is none)."""
        value = self.get(name)
        return value if isinstance(value, list) else []

    def part(self, name: str) -> _Config:
        """A nested object; its findings are this one's."""
        inner = self.get(name)
        part = _Config(inner if isinstance(inner, Mapping) else {}, self.where)
        part.errors = self.errors
        return part

    def head(self, width: int, heads: int, name: str = "head_dim") -> int:
        """The length of a head: stated, or the width over the heads."""
        if self.get(name) is None and width % heads and not self.errors:
            self.reject(name, f"a length of head, for {heads} heads do not divide {width}")
        return self.count(name, default=max(1, width // heads))

    def reject(self, field: str, wanted: str) -> None:
        """A field cannot be used as it is."""
        value = self.fields.get(field)
        large = isinstance(value, int) and abs(value) > 10**18  # may be too long to print
        shown = "a huge number" if large else f"`{shorten(value)}`"
        self.errors.append(
            InputError(
                "bad-field",
                f"`{field}` is {shown}",
                where=f"{self.where}: {field}",
                hint=f"wanted: {wanted}",
            )
        )


def _llama(c: _Config, **more: Any) -> Shape:
    """RMS norms, gated feed-forward, rotary positions; the base of most families."""
    width, heads = c.count("hidden_size"), c.count("num_attention_heads")
    layers = c.count("num_hidden_layers")
    biased, mlp_biased = c.flag("attention_bias"), c.flag("mlp_bias")
    every = {"linear_bias": 1} if biased and mlp_biased else {"qkv_bias": biased}
    ff = {} if "d_ff" in more else {"d_ff": c.count("intermediate_size")}
    kv = c.count("num_key_value_heads", default=heads)
    if heads % kv and not c.errors:
        c.reject("num_key_value_heads", f"a divisor of the {heads} heads")
    tied = c.flag("tie_word_embeddings", more.pop("tie_default", False))
    base = {
        "n_layers": layers, "d_model": width, "n_heads": heads, "n_kv_heads": kv,
        "d_head": c.head(width, heads), "vocab": c.count("vocab_size"), "tied": tied,
    }  # fmt: skip
    return Shape(**{**base, **ff, **every, **_window(c, layers), **more})


def _window(c: _Config, layers: int, name: str = "sliding_window") -> dict[str, int]:
    """Layers that see a window: those listed, else all where a window is set and used."""
    if c.get(name) is None or c.get("use_sliding_window") is False:
        return {}
    kinds = c.numbers("layer_types")
    local = sum(k in ("sliding_attention", "chunked_attention") for k in kinds) if kinds else layers
    return {"window": c.count(name), "window_layers": min(local, layers)} if local else {}


def _local(c: _Config, layers: int, every: int, name: str = "sliding_window") -> dict[str, int]:
    """Windowed layers of which each ``every``-th is global, unless the layers are listed."""
    if c.numbers("layer_types") or c.get(name) is None:
        return _window(c, layers, name)
    return {"window": c.count(name), "window_layers": layers - layers // max(1, every)}


def _moe_layers(c: _Config, layers: int) -> int:
    """Layers with experts: all but the first k, or each n-th, less those named as dense."""
    first = c.count("first_k_dense_replace", default=0, least=0)
    step = c.count("moe_layer_freq", "decoder_sparse_step", default=1)
    dense = {i for i in c.numbers("mlp_only_layers") if isinstance(i, int) and 0 <= i < layers}
    if "moe_layer_freq" in c.fields:  # counted from layer 0
        return sum(i >= first and i % step == 0 for i in range(layers))
    return sum((i + 1) % step == 0 and i not in dense for i in range(first, layers))


def _mixtral(c: _Config) -> Shape:
    layers = c.count("num_hidden_layers")
    return _llama(
        c, d_ff=0, n_experts=c.count("num_local_experts"), top_k=c.count("num_experts_per_tok"),
        d_expert=c.count("intermediate_size"), n_moe_layers=layers,
    )  # fmt: skip


def _qwen_moe(c: _Config, **more: Any) -> Shape:
    layers = c.count("num_hidden_layers")
    sparse = _moe_layers(c, layers)
    return _llama(
        c, d_ff=c.count("intermediate_size") if sparse < layers else 0, n_moe_layers=sparse,
        n_experts=c.count("num_experts"), top_k=c.count("num_experts_per_tok"),
        d_expert=c.count("moe_intermediate_size"), **more,
    )  # fmt: skip


def _qwen2_moe(c: _Config) -> Shape:
    shared = c.count("shared_expert_intermediate_size")
    return _qwen_moe(c, qkv_bias=1, n_shared_experts=1, d_shared=shared, shared_gate=1)


def _routed(c: _Config, layers: int) -> dict[str, int]:
    """Fine-grained experts beside shared ones, behind dense first layers (DeepSeek, GLM)."""
    expert = c.count("moe_intermediate_size")
    shared = c.count("n_shared_experts", default=0, least=0)
    return {
        "n_experts": c.count("n_routed_experts"), "top_k": c.count("num_experts_per_tok"),
        "d_expert": expert, "n_shared_experts": shared, "d_shared": shared * expert,
        "n_moe_layers": _moe_layers(c, layers),
        "mtp_layers": c.count("num_nextn_predict_layers", default=0, least=0),
    }  # fmt: skip


def _deepseek(c: _Config) -> Shape:
    """Multi-head latent attention; V3 and Kimi K2 have a bias in the router."""
    heads = c.count("num_attention_heads")
    nope, rope = c.count("qk_nope_head_dim"), c.count("qk_rope_head_dim")
    groups = c.count("n_group", default=1)  # of experts, one a node; one group means no limit
    nodes = c.count("topk_group", default=0, least=0) if groups > 1 else 0
    return _llama(
        c, **_routed(c, c.count("num_hidden_layers")), routed_domains=nodes, n_kv_heads=heads,
        d_head=nope + rope, d_nope=nope, d_rope=rope, attention=LATENT,
        q_lora_rank=c.count("q_lora_rank", default=0, least=0),
        kv_lora_rank=c.count("kv_lora_rank"),
        d_v=c.count("v_head_dim"), router_bias=int(c.get("topk_method") == "noaux_tc"),
    )  # fmt: skip


def _glm4_moe(c: _Config) -> Shape:
    routed = _routed(c, c.count("num_hidden_layers"))
    return _llama(c, qk_norm=c.flag("use_qk_norm"), router_bias=1, **routed)


def _gpt_oss(c: _Config) -> Shape:
    """Every second layer windowed; biases and a sink per head everywhere."""
    layers = c.count("num_hidden_layers")
    return _llama(
        c, d_ff=0, d_expert=c.count("intermediate_size"), n_experts=c.count("num_local_experts"),
        top_k=c.count("num_experts_per_tok", "experts_per_token"), n_moe_layers=layers,
        linear_bias=1, qkv_bias=0, router_bias=1, attention_sinks=1, **_local(c, layers, 2),
    )  # fmt: skip


def _llama4(c: _Config) -> Shape:
    """Experts on each n-th layer, one shared; the fourth layers see everything."""
    layers = c.count("num_hidden_layers")
    step = c.count("interleave_moe_layer_step", default=1)
    listed = len(c.numbers("moe_layers"))
    expert, sparse = c.count("intermediate_size"), min(listed, layers) or layers // step
    dense = c.count("intermediate_size_mlp", default=expert) if sparse < layers else 0
    return _llama(
        c, d_ff=dense, n_experts=c.count("num_local_experts"),
        top_k=c.count("num_experts_per_tok", default=1), d_expert=expert, n_shared_experts=1,
        d_shared=expert, n_moe_layers=sparse, **_local(c, layers, 4, "attention_chunk_size"),
    )  # fmt: skip


def _gemma2(c: _Config) -> Shape:
    local = _local(c, c.count("num_hidden_layers"), 2)
    return _llama(c, tie_default=True, norms_per_layer=4, **local)


def _gemma3(c: _Config) -> Shape:
    every = c.count("sliding_window_pattern", default=6)
    local = _local(c, c.count("num_hidden_layers"), every)
    more = {} if c.get("vocab_size") else {"vocab": 262_208}  # the class's default, left out often
    return _llama(_given(c, more), tie_default=True, norms_per_layer=4, qk_norm=1, **local)


def _given(c: _Config, more: Mapping[str, int]) -> _Config:
    """The same fields with a default for the vocabulary."""
    if "vocab" in more:
        c.fields = {**c.fields, "vocab_size": more["vocab"]}
    return c


def _nemotron(c: _Config) -> Shape:
    """Squared ReLU (two matrices), LayerNorm with bias."""
    return _llama(c, gated=0, norm_weights=2)


_PLAIN = {"gated": 0, "norm_weights": 2, "linear_bias": 1}  # of the families before LLaMA


def _old(c: _Config, layers: str, width: str, heads: str, **more: Any) -> Shape:
    """GPT's kin: plain feed-forward, LayerNorm, as many key-value heads as heads."""
    d, h = c.count(width, "hidden_size"), c.count(heads, "num_attention_heads")
    base = {
        "n_layers": c.count(layers, "num_hidden_layers"), "d_model": d, "n_heads": h,
        "n_kv_heads": h, "d_head": c.head(d, h), "d_ff": 4 * d, "vocab": c.count("vocab_size"),
        "tied": c.flag("tie_word_embeddings", more.pop("tie_default", True)),
    }  # fmt: skip
    return Shape(**{**base, **_PLAIN, **more})


def _gpt2(c: _Config) -> Shape:
    width = c.count("n_embd", "hidden_size")
    ff = c.count("n_inner", default=4 * width)
    places = c.count("n_positions", "n_ctx", default=1024)
    return _old(c, "n_layer", "n_embd", "n_head", d_ff=ff, positions=places)


def _gpt_neox(c: _Config) -> Shape:
    names = "num_hidden_layers", "hidden_size", "num_attention_heads"
    return _old(c, *names, d_ff=c.count("intermediate_size"), tie_default=False)


def _opt(c: _Config) -> Shape:
    """Learned positions with two more rows than positions."""
    width = c.count("hidden_size")
    if c.count("word_embed_proj_dim", default=width) != width:
        c.reject("word_embed_proj_dim", f"an embedding as wide as the model, {width}")
    return _old(
        c, "num_hidden_layers", "hidden_size", "num_attention_heads", d_ff=c.count("ffn_dim"),
        positions=c.count("max_position_embeddings", default=2048) + 2,
    )  # fmt: skip


def _bloom(c: _Config) -> Shape:
    return _old(c, "n_layer", "n_embed", "n_head", embedding_norm=1)


def _falcon(c: _Config) -> Shape:
    """One or two norms before parallel attention and feed-forward; few key-value heads."""
    heads = c.count("num_attention_heads", "n_head")
    new = c.flag("new_decoder_architecture")
    kv = c.count("num_kv_heads", "n_head_kv", default=heads)
    kv = kv if new else (1 if c.flag("multi_query", True) else heads)
    parallel = c.flag("parallel_attn", True)
    norms = c.count("num_ln_in_parallel_attn", default=2 if new or not parallel else 1)
    names = "num_hidden_layers", "hidden_size", "num_attention_heads"
    width = c.count("hidden_size")
    return _old(
        c, *names, n_heads=heads, n_kv_heads=kv, norms_per_layer=norms,
        linear_bias=c.flag("bias"), d_ff=c.count("ffn_hidden_size", default=4 * width),
    )  # fmt: skip


def _mpt(c: _Config) -> Shape:
    attention = c.part("attn_config")
    bare, heads, width = c.flag("no_bias", True), c.count("n_heads"), c.count("d_model")
    own = not (attention.flag("alibi", True) or attention.flag("rope"))
    few = 1 if attention.get("attn_type") == "multiquery_attention" else heads
    return _old(
        c, "n_layers", "d_model", "n_heads", linear_bias=1 - bare, norm_weights=2 - bare,
        n_kv_heads=attention.count("kv_n_heads", default=few),
        positions=c.count("max_seq_len", default=2048) if own else 0,
        d_ff=c.count("expansion_ratio", default=4) * width,
    )  # fmt: skip


FAMILIES: Mapping[str, Callable[[_Config], Shape]] = {
    "llama": _llama,
    "mistral": _llama,
    "mixtral": _mixtral,
    "qwen2": lambda c: _llama(c, qkv_bias=1),
    "qwen2_moe": _qwen2_moe,
    "qwen3": lambda c: _llama(c, qk_norm=1),
    "qwen3_moe": lambda c: _qwen_moe(c, qk_norm=1),
    "deepseek_v2": _deepseek,
    "deepseek_v3": _deepseek,
    "kimi_k2": _deepseek,
    "glm4_moe": _glm4_moe,
    "gpt_oss": _gpt_oss,
    "llama4_text": _llama4,
    "gemma": lambda c: _llama(c, tie_default=True),
    "gemma2": _gemma2,
    "gemma3_text": _gemma3,
    "phi3": _llama,
    "nemotron": _nemotron,
    "gpt2": _gpt2,
    "gpt_neox": _gpt_neox,
    "opt": _opt,
    "bloom": _bloom,
    "falcon": _falcon,
    "mpt": _mpt,
}
