"""Shapes from config.json: the counts of published models, and input that cannot be used."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares.errors import CharesError, InputError, InputErrors
from chares.facts import load
from chares.model.huggingface import FAMILIES, MAX_BYTES, from_config
from chares.model.parameters import parameters
from chares.model.shape import shape_of


def llama(layers: int, width: int, heads: int, kv: int, ff: int, vocab: int, **more: Any) -> dict:
    """The fields that most families share."""
    return {
        "model_type": "llama", "num_hidden_layers": layers, "hidden_size": width,
        "num_attention_heads": heads, "num_key_value_heads": kv, "intermediate_size": ff,
        "vocab_size": vocab, **more,
    }  # fmt: skip


MLA = {
    "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128,
    "moe_layer_freq": 1,
}  # fmt: skip

# The figures of config.json in the named Hugging Face repository, as far as they fix the shape, and
# the sum over its tensors (of the text model, without blocks of multi-token prediction).
PUBLISHED: dict[str, tuple[dict[str, Any], int]] = {
    "meta-llama/Llama-3.1-8B": (
        llama(32, 4096, 32, 8, 14336, 128256, attention_bias=False, mlp_bias=False,
              tie_word_embeddings=False), 8_030_261_248),
    "meta-llama/Llama-3.2-1B": (
        llama(16, 2048, 32, 8, 8192, 128256, head_dim=64, tie_word_embeddings=True),
        1_235_814_400),
    "mistralai/Mistral-7B-v0.1": (
        llama(32, 4096, 32, 8, 14336, 32000, model_type="mistral", sliding_window=4096),
        7_241_732_096),
    "mistralai/Mixtral-8x7B-v0.1": (
        llama(32, 4096, 32, 8, 14336, 32000, model_type="mixtral", num_local_experts=8,
              num_experts_per_tok=2, sliding_window=None), 46_702_792_704),
    "Qwen/Qwen2.5-7B": (
        llama(28, 3584, 28, 4, 18944, 152064, model_type="qwen2", use_sliding_window=False,
              sliding_window=131072), 7_615_616_512),
    "Qwen/Qwen1.5-MoE-A2.7B": (
        llama(24, 2048, 16, 16, 5632, 151936, model_type="qwen2_moe", num_experts=60,
              num_experts_per_tok=4, moe_intermediate_size=1408, mlp_only_layers=[],
              shared_expert_intermediate_size=5632, decoder_sparse_step=1), 14_315_784_192),
    "Qwen/Qwen3-8B": (
        llama(36, 4096, 32, 8, 12288, 151936, model_type="qwen3", head_dim=128), 8_190_735_360),
    "Qwen/Qwen3-30B-A3B": (
        llama(48, 2048, 32, 4, 6144, 151936, model_type="qwen3_moe", head_dim=128,
              num_experts=128, num_experts_per_tok=8, moe_intermediate_size=768,
              mlp_only_layers=[], decoder_sparse_step=1), 30_532_122_624),
    "deepseek-ai/DeepSeek-V2-Lite-Chat": (
        llama(27, 2048, 16, 16, 10944, 102400, model_type="deepseek_v2", q_lora_rank=None,
              n_routed_experts=64, n_shared_experts=2, num_experts_per_tok=6,
              moe_intermediate_size=1408, first_k_dense_replace=1, **MLA), 15_706_484_224),
    "deepseek-ai/DeepSeek-V3": (
        llama(61, 7168, 128, 128, 18432, 129280, model_type="deepseek_v3", q_lora_rank=1536,
              n_routed_experts=256, n_shared_experts=1, num_experts_per_tok=8,
              moe_intermediate_size=2048, first_k_dense_replace=3, topk_method="noaux_tc",
              n_group=8, topk_group=4, num_nextn_predict_layers=1, **MLA), 671_026_419_200),
    "moonshotai/Kimi-K2-Instruct": (
        llama(61, 7168, 64, 64, 18432, 163840, model_type="kimi_k2", q_lora_rank=1536,
              n_routed_experts=384, n_shared_experts=1, num_experts_per_tok=8,
              moe_intermediate_size=2048, first_k_dense_replace=1, topk_method="noaux_tc",
              num_nextn_predict_layers=0, **MLA), 1_026_408_232_448),
    "zai-org/GLM-4.5-Air": (
        llama(46, 4096, 96, 8, 10944, 151552, model_type="glm4_moe", head_dim=128,
              attention_bias=True, use_qk_norm=False, n_routed_experts=128, n_shared_experts=1,
              num_experts_per_tok=8, moe_intermediate_size=1408, first_k_dense_replace=1,
              num_nextn_predict_layers=1), 106_000_000_000),
    "openai/gpt-oss-20b": (
        llama(24, 2880, 64, 8, 2880, 201088, model_type="gpt_oss", head_dim=64,
              attention_bias=True, num_local_experts=32, num_experts_per_tok=4,
              sliding_window=128, layer_types=["sliding_attention", "full_attention"] * 12),
        20_914_757_184),
    "meta-llama/Llama-4-Maverick-17B-128E": (
        {"model_type": "llama4", "tie_word_embeddings": False, "text_config": llama(
            48, 5120, 40, 8, 8192, 202048, model_type="llama4_text", head_dim=128,
            intermediate_size_mlp=16384, num_local_experts=128, num_experts_per_tok=1,
            interleave_moe_layer_step=2, attention_chunk_size=8192, use_qk_norm=False)},
        400_000_000_000),
    "google/gemma-7b": (
        llama(28, 3072, 16, 16, 24576, 256000, model_type="gemma", head_dim=256), 8_537_680_896),
    "google/gemma-2-27b": (
        llama(46, 4608, 32, 16, 36864, 256000, model_type="gemma2", head_dim=128,
              sliding_window=4096), 27_227_128_320),
    "google/gemma-3-27b-pt": (
        {"model_type": "gemma3", "text_config": {
            "model_type": "gemma3_text", "num_hidden_layers": 62, "hidden_size": 5376,
            "num_attention_heads": 32, "num_key_value_heads": 16, "head_dim": 128,
            "intermediate_size": 21504, "sliding_window": 1024}}, 27_009_346_304),
    "microsoft/Phi-3-mini-4k-instruct": (
        llama(32, 3072, 32, 32, 8192, 32064, model_type="phi3", sliding_window=2047),
        3_821_079_552),
    "nvidia/Minitron-4B-Base": (
        llama(32, 3072, 24, 8, 9216, 256000, model_type="nemotron", head_dim=128,
              attention_bias=False, mlp_bias=False), 4_190_000_000),
    "openai-community/gpt2-xl": (
        {"model_type": "gpt2", "n_layer": 48, "n_embd": 1600, "n_head": 25, "vocab_size": 50257,
         "n_positions": 1024, "n_ctx": 1024}, 1_557_611_200),
    "EleutherAI/gpt-neox-20b": (
        {"model_type": "gpt_neox", "num_hidden_layers": 44, "hidden_size": 6144,
         "num_attention_heads": 64, "intermediate_size": 24576, "vocab_size": 50432,
         "tie_word_embeddings": False}, 20_554_567_680),
    "facebook/opt-66b": (
        {"model_type": "opt", "num_hidden_layers": 64, "hidden_size": 9216, "vocab_size": 50272,
         "num_attention_heads": 72, "ffn_dim": 36864, "max_position_embeddings": 2048,
         "word_embed_proj_dim": 9216}, 66_000_000_000),
    "bigscience/bloom": (
        {"model_type": "bloom", "n_layer": 70, "n_embed": 14336, "num_attention_heads": 112,
         "vocab_size": 250880}, 176_247_271_424),
    "tiiuae/falcon-7b": (
        {"model_type": "falcon", "num_hidden_layers": 32, "hidden_size": 4544,
         "num_attention_heads": 71, "vocab_size": 65024, "multi_query": True, "bias": False,
         "parallel_attn": True, "new_decoder_architecture": False}, 6_921_720_704),
    "tiiuae/falcon-180B": (
        {"model_type": "falcon", "num_hidden_layers": 80, "hidden_size": 14848, "bias": False,
         "num_attention_heads": 232, "num_kv_heads": 8, "vocab_size": 65024,
         "new_decoder_architecture": True}, 180_000_000_000),
    "mosaicml/mpt-7b": (
        {"model_type": "mpt", "n_layers": 32, "d_model": 4096, "n_heads": 32, "vocab_size": 50432,
         "expansion_ratio": 4, "no_bias": True, "attn_config": {"alibi": True}}, 6_649_286_656),
}  # fmt: skip

EXACT = {name for name, (_, count) in PUBLISHED.items() if count % 10**6}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_counts(name: str) -> None:
    config, count = PUBLISHED[name]
    total = float(parameters(from_config(config)).total)
    assert total / count - 1 == pytest.approx(0, abs=0.01)
    if name in EXACT:
        assert total == count


def test_every_family_has_a_published_model() -> None:
    seen = {c.get("text_config", c)["model_type"] for c, _ in PUBLISHED.values()}
    assert seen == set(FAMILIES)


@pytest.mark.parametrize(
    ("name", "id"),
    [
        ("deepseek-ai/DeepSeek-V3", "deepseek-v3"),
        ("mistralai/Mixtral-8x7B-v0.1", "mixtral-8x7b"),
        ("openai/gpt-oss-20b", "gpt-oss-20b"),
        ("meta-llama/Llama-4-Maverick-17B-128E", "llama-4-maverick"),
        ("Qwen/Qwen3-30B-A3B", "qwen3-30b-a3b"),
        ("zai-org/GLM-4.5-Air", "glm-4.5-air"),
        ("moonshotai/Kimi-K2-Instruct", "kimi-k2"),
        ("deepseek-ai/DeepSeek-V2-Lite-Chat", "deepseek-v2-lite"),
        ("mistralai/Mistral-7B-v0.1", "mistral-7b"),
        ("bigscience/bloom", "bloom-176b"),
    ],
)
def test_the_same_shape_as_the_fact(name: str, id: str) -> None:
    assert from_config(PUBLISHED[name][0]) == shape_of(load(), id)


def test_windows_are_counted() -> None:
    gemma = from_config(PUBLISHED["google/gemma-3-27b-pt"][0])
    assert (gemma.window, gemma.window_layers) == (1024, 52)  # 62 layers, every sixth is global
    assert from_config(PUBLISHED["google/gemma-2-27b"][0]).window_layers == 23
    assert from_config(PUBLISHED["Qwen/Qwen2.5-7B"][0]).window == 0  # set but not used


def test_dense_layers_between_experts() -> None:
    config = {**PUBLISHED["Qwen/Qwen3-30B-A3B"][0], "decoder_sparse_step": 2,
              "mlp_only_layers": [1, 2]}  # fmt: skip
    shape = from_config(config)
    assert (shape.n_moe_layers, shape.d_ff) == (23, 6144)  # layers 3, 5, ... of 48, without 1


def test_a_file(tmp_path: Path) -> None:
    config, count = PUBLISHED["meta-llama/Llama-3.1-8B"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    assert parameters(from_config(path)).total == count
    assert from_config(str(path)) == from_config(config)


# input that cannot be used ---------------------------------------------------------------------


def test_an_unknown_family_lists_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        from_config({"model_type": "lama"}, where="x/config.json")
    error = caught.value
    assert (error.code, error.where) == ("unknown-family", "x/config.json")
    assert "`llama`" in error.hint
    assert all(family in error.hint for family in FAMILIES)


@pytest.mark.parametrize("family", [None, "", 3, ["llama"], {"a": 1}])
def test_no_family(family: object) -> None:
    with pytest.raises(InputError) as caught:
        from_config({"model_type": family})
    assert caught.value.code == "no-family"


def test_all_findings_come_together() -> None:
    config = llama(0, 4096, 32, 5, 11008, 32000)
    del config["vocab_size"]
    with pytest.raises(InputErrors) as caught:
        from_config(config)
    places = [e.where for e in caught.value.errors]
    assert places == ["config.json: num_hidden_layers", "config.json: vocab_size"]
    assert {e.code for e in caught.value.errors} == {"bad-field", "missing-field"}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_size", -1), ("hidden_size", 4096.5), ("hidden_size", "4096"),
        ("hidden_size", True), ("hidden_size", 1e400), ("hidden_size", float("nan")),
        ("hidden_size", 10**50), ("num_hidden_layers", 10**6), ("num_key_value_heads", 5),
        ("num_attention_heads", 24), ("tie_word_embeddings", "yes"), ("vocab_size", [1]),
        ("head_dim", 0), ("sliding_window", {}),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(field: str, value: object) -> None:
    with pytest.raises(InputError) as caught:
        from_config({**llama(32, 4096, 32, 8, 11008, 32000), field: value})
    assert caught.value.code == "bad-field"
    assert caught.value.hint
    named = {"num_attention_heads": "head_dim"}.get(field, field)
    assert caught.value.where == f"config.json: {named}"


def test_a_number_too_long_to_print() -> None:
    with pytest.raises(InputError, match="a huge number"):
        from_config({**llama(32, 4096, 32, 8, 11008, 32000), "hidden_size": 10**5000})


def test_opt_350m_is_refused() -> None:
    config = {**PUBLISHED["facebook/opt-66b"][0], "word_embed_proj_dim": 512}
    with pytest.raises(InputError, match="word_embed_proj_dim"):
        from_config(config)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[" * 200_000, "not-json"), (b"\xff\xfe\x00", "not-json"), (b"", "not-json"),
        (b"[1, 2]", "not-json"), (b'{"model_type": ', "not-json"),
        (b" " * (MAX_BYTES + 1), "too-large"), (b'{"n": 1' + b"0" * 9000 + b"}", "not-json"),
    ],
    ids=range(7),
)  # fmt: skip
def test_files_that_are_no_config(tmp_path: Path, content: bytes, code: str) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        from_config(path)
    assert (caught.value.code, caught.value.where) == (code, str(path))


@pytest.mark.parametrize("path", ["absent.json", ".", "a\0b"])
def test_a_file_that_cannot_be_read(path: str) -> None:
    with pytest.raises(InputError) as caught:
        from_config(path)
    assert caught.value.code == "no-file"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
FIELDS = sorted({k for c, _ in PUBLISHED.values() for k in c.get("text_config", c)})


@given(st.sampled_from(sorted(FAMILIES)), st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_garbage_ends_in_an_error_or_a_shape(family: str, garbage: dict[str, Any]) -> None:
    known = next(c for c, _ in PUBLISHED.values() if family in str(c))
    config = {**known.get("text_config", known), **garbage, "model_type": family}
    with contextlib.suppress(CharesError):
        assert parameters(from_config(config)).total > 0
