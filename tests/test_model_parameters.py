"""Parameter counts against what the models' makers published, and laws that any count obeys."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares.errors import DataError, InputError, UnknownName
from chares.facts import load
from chares.facts.compiling import compile_all
from chares.facts.lookup import Facts
from chares.ledger import KINDS
from chares.model.parameters import ffn_parameters, parameters
from chares.model.shape import HEADS, LATENT, Shape, shape_of

FACTS = load()
MODELS = FACTS.ids("models")
LLAMA = Shape(32, 4096, 32, 32, 128, 11008, 32000)

# Sums over the tensors of the published checkpoints (safetensors headers of the named repository).
EXACT = {
    "llama-2-7b": 6_738_415_616,  # meta-llama/Llama-2-7b-hf
    "llama-3-8b": 8_030_261_248,  # meta-llama/Meta-Llama-3-8B
    "llama-3.1-405b": 405_853_388_800,  # meta-llama/Llama-3.1-405B
    "mistral-7b": 7_241_732_096,  # mistralai/Mistral-7B-v0.1
    "mixtral-8x7b": 46_702_792_704,  # mistralai/Mixtral-8x7B-v0.1
    "bloom-176b": 176_247_271_424,  # bigscience/bloom; also arXiv 2211.05100, section 3.2
    "bloom-1.1b": 1_065_314_304,  # model card of bigscience/bloom-1b1
    "bloom-3b": 3_002_557_440,  # model card of bigscience/bloom-3b
    "llm-jp-3-13b": 13_706_931_200,  # model card of llm-jp/llm-jp-3-172b-instruct3
    "llm-jp-3-172b": 172_392_173_568,  # the same
    "internlm-2.5-7b": 7_737_708_544,  # internlm/internlm2_5-7b
    "gpt-neox-20b": 20_554_567_680,  # arXiv 2204.06745, table 1
    "qwen2.5-72b": 72_706_203_648,  # Qwen/Qwen2.5-72B
    "qwen3-8b": 8_190_735_360,  # Qwen/Qwen3-8B
    "qwen3-235b-a22b": 235_093_634_560,  # Qwen/Qwen3-235B-A22B
    "gpt-oss-20b": 20_914_757_184,  # openai/gpt-oss-20b, unpacked
    "gpt-oss-120b": 116_829_156_672,  # openai/gpt-oss-120b, unpacked
}


def near(computed: float, fact: object) -> bool:
    """Within 1 %, or within the rounding of the printed digits (the record's low and high)."""
    low, value, high = fact.low, fact.value, fact.high
    return abs(computed / value - 1) <= 0.01 or (low is not None and low <= computed <= high)


def test_there_are_enough_models() -> None:
    assert len(MODELS) >= 40


@pytest.mark.parametrize("id", MODELS)
def test_published_count(id: str) -> None:
    if not FACTS.has(id, "published_parameters"):
        pytest.skip("no count was published")
    total = float(parameters(shape_of(FACTS, id)).total)
    if FACTS.has(id, "parameters_outside_shape"):
        total += FACTS.get(id, "parameters_outside_shape").value
    assert near(total, FACTS.get(id, "published_parameters"))


@pytest.mark.parametrize("id", [i for i in MODELS if FACTS.has(i, "published_active_parameters")])
def test_published_active_count(id: str) -> None:
    p = parameters(shape_of(FACTS, id))
    excluded = FACTS.document(f"models/{id}")["counting"]["active_excludes"]
    active = p.active - sum(getattr(p, part) for part in excluded)
    assert near(float(active), FACTS.get(id, "published_active_parameters"))


@pytest.mark.parametrize("id", EXACT)
def test_exact_count(id: str) -> None:
    assert parameters(shape_of(FACTS, id)).total == EXACT[id]


@pytest.mark.parametrize("id", MODELS)
def test_the_shape_is_whole_and_has_an_origin(id: str) -> None:
    block = FACTS.document(f"models/{id}")["shape"]
    assert FACTS.source(block["source"]).title
    assert block["where"]
    assert block["kind"] in KINDS
    s = shape_of(FACTS, id)
    assert s.attention in (HEADS, LATENT)
    assert s.n_heads % s.n_kv_heads == 0
    assert 0 <= s.n_moe_layers <= s.n_layers
    assert s.window_layers <= s.n_layers
    assert (s.n_experts > 0) == (s.n_moe_layers > 0) == (s.top_k > 0) == (s.d_expert > 0)
    assert (s.n_shared_experts > 0) == (s.d_shared > 0)
    assert s.d_ff > 0 or s.n_moe_layers == s.n_layers
    assert (s.window > 0) == (s.window_layers > 0)
    if s.attention == LATENT:
        assert s.d_head == s.d_nope + s.d_rope


def test_deepseek_v3_by_component() -> None:
    # README_WEIGHTS.md of DeepSeek-V3: head and embedding 0.9 B each, MTP block 11.5 B unique
    p = parameters(shape_of(FACTS, "deepseek-v3"))
    assert p.embedding == p.head == 129280 * 7168  # 0.927e9
    assert float(p.mtp) == pytest.approx(11.5e9, rel=0.01)
    # arXiv 2412.19437, section 4.2, by hand: an expert has three matrices of 7168 x 2048
    assert p.expert == 3 * 7168 * 2048
    assert p.experts == 58 * 256 * 3 * 7168 * 2048
    # q: 7168 x 1536 and 1536 x 128 x 192; kv: 7168 x 576 and 512 x 128 x 256; o: 128 x 128 x 7168
    by_hand = 7168 * 1536 + 1536 * 128 * 192 + 7168 * 576 + 512 * 128 * 256 + 128 * 128 * 7168
    assert p.attention == by_hand + 1536 + 512  # two norms


def test_gpt_follows_the_known_formula() -> None:
    # Narayanan et al. 2021, equation 2: P = 12 l h^2 (1 + 13/(12 h) + (V + s)/(12 l h))
    layers, h, v, s = 96, 12288, 51200, 2048
    paper = 12 * layers * h**2 * (1 + 13 / (12 * h) + (v + s) / (12 * layers * h))
    shape = Shape(layers, h, 96, 96, 128, 4 * h, v, gated=0, tied=1, positions=s,
                  norm_weights=2, linear_bias=1)  # fmt: skip
    assert float(parameters(shape).total) == pytest.approx(paper, rel=1e-9, abs=2 * h)


def test_an_unknown_model_and_one_without_shape() -> None:
    with pytest.raises(UnknownName) as unknown:
        shape_of(FACTS, "lama-3-8b")
    assert "llama-3-8b" in unknown.value.hint
    files = [("models/secret-1.yaml", b"id: secret-1\nname: Secret 1\n")]
    with pytest.raises(InputError, match="not known") as missing:
        shape_of(Facts(compile_all(files)), "secret-1")
    assert missing.value.code == "no-shape"


@pytest.mark.parametrize("line", ["n_layer: 3", "n_layers: many", "n_layers: true"])
def test_a_bad_shape_is_named(line: str) -> None:
    text = f"id: odd\nshape:\n  source: x\n  where: y\n  kind: stated\n  {line}\n"
    with pytest.raises(DataError, match="n_layer"):
        shape_of(Facts(compile_all([("models/odd.yaml", text.encode())])), "odd")


def test_labels_of_published_runs_resolve() -> None:
    for label, id in {
        "LLAMA3.1_405B": "llama-3.1-405b",
        "Maxtext Llama3 70b": "llama-3-70b",
        "Mixtral 8x22B": "mixtral-8x22b",
        "Qwen3_30B_a3B": "qwen3-30b-a3b",
        "GPT-39.1B": "megatron-39b",
        "deepseek-ai/DeepSeek-R1": "deepseek-r1",
    }.items():
        assert FACTS.resolve("models", label) == id


def test_no_label_means_two_models() -> None:
    seen: dict[str, str] = {}
    for id in MODELS:
        subject = FACTS.subject(id)
        for label in {id, subject.name, *subject.aliases}:
            plain = "".join(c for c in label.lower() if c.isalnum() or c == ".")
            assert seen.setdefault(plain, id) == id, label


# properties -----------------------------------------------------------------------------------

counts = st.integers(1, 64)


@st.composite
def shapes(draw: st.DrawFn) -> Shape:
    layers, kv, group = draw(counts), draw(counts), draw(st.integers(1, 8))
    experts = draw(st.sampled_from([0, 4, 64]))
    moe = draw(st.integers(1, layers)) if experts else 0
    latent = draw(st.booleans())
    bit = st.integers(0, 1)
    return Shape(
        layers, 64 * draw(counts), kv * group, kv, 8 * draw(counts), 64 * draw(counts),
        draw(st.integers(1, 10**5)), gated=draw(bit), tied=draw(bit), linear_bias=draw(bit),
        qk_norm=draw(bit), n_experts=experts, top_k=draw(st.integers(1, 4)) if experts else 0,
        d_expert=32 * draw(counts) if experts else 0, d_shared=32 * draw(st.integers(0, 4)),
        n_moe_layers=moe, attention=LATENT if latent else HEADS,
        q_lora_rank=draw(st.sampled_from([0, 32])), kv_lora_rank=16, d_nope=8, d_rope=4, d_v=8,
        mtp_layers=draw(st.integers(0, 2)),
    )  # fmt: skip


@given(shapes())
def test_components_add_up(s: Shape) -> None:
    p = parameters(s)
    per_layer = [p.moe_layer] * int(s.n_moe_layers)
    per_layer += [p.dense_layer] * int(s.n_layers - s.n_moe_layers)
    assert float(p.total) == sum(map(float, [p.embedding, p.head, p.final_norm, *per_layer]))
    assert 0 < p.active <= p.total
    assert p.active_without_embedding <= p.active
    assert p.experts <= p.layers


@given(shapes(), st.integers(1, 8))
def test_layers_and_experts_enter_linearly(s: Shape, more: int) -> None:
    p = parameters(s)
    longer = parameters(replace(s, n_layers=s.n_layers + more))
    assert longer.total - p.total == more * p.dense_layer
    if s.n_experts:
        wider = parameters(replace(s, n_experts=s.n_experts + more))
        assert wider.total - p.total == more * s.n_moe_layers * (p.expert + s.d_model)
        assert wider.active - p.active == more * s.n_moe_layers * s.d_model  # the router's


@given(st.lists(shapes(), min_size=2, max_size=5))
def test_rows_are_what_each_row_is_alone(rows: list[Shape]) -> None:
    names = Shape.__dataclass_fields__
    stacked = Shape(**{n: np.array([getattr(r, n) for r in rows], float) for n in names})
    p = parameters(stacked)
    for i, row in enumerate(rows):
        assert p.total[i] == parameters(row).total
        assert p.active[i] == parameters(row).active
        assert parameters(stacked.rows(i)).mtp == parameters(row).mtp


def test_counts_of_numbers_are_numbers() -> None:
    p = parameters(LLAMA)
    assert all(np.ndim(getattr(p, name)) == 0 for name in p.__dataclass_fields__)
    assert not isinstance(p.shared, np.ndarray)
    assert ffn_parameters(LLAMA, 0) == 0
