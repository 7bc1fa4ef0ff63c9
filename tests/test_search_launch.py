"""Launch configurations, read as strictly as the frameworks read them."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from against import launch_parsers as read
from chares.errors import NoPlan, UnknownName
from chares.faces.searching import train
from chares.facts import Facts, load
from chares.model import RECOMPUTATIONS, Shape, Strategy, shape_of
from chares.model.strategy import CP_KINDS
from chares.search import (
    Answer,
    Asked,
    ask,
    launch_notes,
    launch_text,
    layouts,
    question_for,
    space_for,
)
from chares.search.launch_core import CP_COMM_TYPE, MODULES
from chares.search.launch_job import Job, head_of, layers_of
from chares.search.launch_torchtitan import FLAVORS
from chares.search.launching import WRITERS, runnable
from chares.search.space import Space

JOBS = [
    ("llama-2-70b", "h100-sxm", 64, 256),
    ("mixtral-8x7b", "h100-sxm", 64, 256),
    ("deepseek-v3", "h800-sxm", 2048, 4096),
    ("gpt3-175b", "a100-sxm-80gb", 512, 512),
]
FORMATS = ("bf16", "fp16", "fp8", "fp8-block", "mxfp8", "nvfp4")
FACTS = load()


def checked(framework: str, text: str, world: int, replicas: int) -> Any:
    """The configuration, read as the framework reads it; an error where it would not run."""
    if framework == "deepspeed":
        return read.deepspeed(text, replicas)
    reader = {"megatron": read.megatron, "megatron-bridge": read.bridge,
              "torchtitan": read.torchtitan, "maxtext": read.maxtext}[framework]  # fmt: skip
    return reader(text, world)


# what the search finds ----------------------------------------------------------------------------


@cache
def found(job: tuple[str, str, int, int], framework: str) -> Answer:
    model, chip, count, batch = job
    return ask(model, chip, count, FACTS, global_batch=batch, framework=framework, keep=300)


@pytest.mark.parametrize("framework", WRITERS)
@pytest.mark.parametrize("job", JOBS, ids=[j[0] for j in JOBS])
def test_the_best_of_a_search_runs(job: tuple[str, str, int, int], framework: str) -> None:
    answer = found(job, framework)
    text = launch_text(answer, framework)
    if framework == "deepspeed":
        told = json.loads(text)
        micro = told["train_micro_batch_size_per_gpu"] * told["gradient_accumulation_steps"]
        checked(framework, text, job[2], job[3] // micro)
        assert told["train_batch_size"] == job[3]
        return
    values = checked(framework, text, job[2], 0)
    batch = {
        "megatron": lambda: values.global_batch_size,
        "megatron-bridge": lambda: values["train"]["global_batch_size"],
        "torchtitan": lambda: values["training"]["global_batch_size"],
        "maxtext": lambda: values["batch"],
    }[framework]()
    assert batch == job[3]


def test_the_fastest_that_can_be_expressed_is_told() -> None:
    """MaxText cannot recompute some layers: such a strategy in front is passed over, and said."""
    answer = found(JOBS[0], "maxtext")
    first = answer.found.best[0]
    full = float(RECOMPUTATIONS.index("full"))
    other = replace(first, strategy=replace(first.strategy, recompute=full, recompute_share=0.5))
    mixed = replace(answer, found=replace(answer.found, best=(other, first)))
    assert "the 1 fastest strategies" in launch_text(mixed, "maxtext")
    assert any("recomputation of some layers" in n for n in launch_notes(mixed, "maxtext"))
    with pytest.raises(NoPlan, match="recomputation of some layers"):
        launch_text(replace(answer, found=replace(answer.found, best=(other,))), "maxtext")


def test_a_schedule_that_a_framework_lacks_is_refused(facts: Facts) -> None:
    question = question_for("llama-2-70b", "h100-sxm", 64, facts)
    space = replace(space_for(question.asked), schedule=(2,), pp=(4,))
    answer = ask("llama-2-70b", "h100-sxm", 64, facts, space=space, keep=1)
    assert answer.best[0].strategy["schedule"] == "zbv"
    with pytest.raises(NoPlan, match="no schedule zbv"):
        launch_text(answer, "megatron")
    with pytest.raises(UnknownName, match="megaton"):
        launch_text(answer, "megaton")
    with pytest.raises(UnknownName, match="megaton"):
        runnable(space, "megaton", question.asked.shape)


def test_the_command_prints_json_alone_and_notes_beside_it() -> None:
    words = ["--model", "llama-2-7b", "--chip", "a100-sxm-80gb", "--count", "8", "--batch", "16"]
    result = CliRunner().invoke(train, [*words, "--launch", "deepspeed", "--seq", "4096"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["train_batch_size"] == 16
    assert all(line.startswith("not told: ") for line in result.stderr.splitlines())
    result = CliRunner().invoke(train, [*words, "--launch", "megatron-bridge", "--seq", "4096"])
    assert result.exit_code == 0, result.output
    assert read.bridge(result.stdout, 8)["train"]["global_batch_size"] == 16


# random strategies --------------------------------------------------------------------------------


@cache
def legal(job: tuple[str, str, int, int], framework: str) -> tuple[Asked, Space, Any]:
    """The question, the framework's part of the space with offload and uneven stages, layouts."""
    model, chip, count, batch = job
    asked = question_for(model, chip, count, FACTS, global_batch=batch).asked
    both = (0, 1)
    space = replace(
        space_for(asked), offload_optimizer=both, offload_activations=both, offload_weights=both,
        balance=(0, 2),
    )  # fmt: skip
    space = runnable(space, framework, asked.shape)
    return asked, space, layouts(space, asked.shape, count, batch, asked.seq_len)


MANY = [
    *JOBS[:2],
    ("deepseek-v3", "h800-sxm", 256, 1024),
    ("gpt3-175b", "a100-sxm-80gb", 512, 512),
    ("llama-3-8b", "tpu-v5p", 64, 256),
    ("qwen3-30b-a3b", "b200", 64, 512),
    ("gpt-oss-20b", "h100-sxm", 32, 128),
    ("gemma-2-9b", "h100-sxm", 48, 192),
]


@st.composite
def jobs(draw: st.DrawFn, framework: str) -> tuple[Job, Asked]:
    job = draw(st.sampled_from(MANY))
    asked, space, table = legal(job, framework)
    row = draw(st.integers(0, len(table) - 1))
    fields = {name: float(column[row]) for name, column in table.columns.items()}
    free = ("overlap_tp", "fused", "overlap_dp", "gradient_bytes", "offload_optimizer",
            "offload_activations", "offload_weights")  # fmt: skip
    fields |= {name: float(draw(st.sampled_from(getattr(space, name)))) for name in free}
    code, share = draw(st.sampled_from(space.recompute))
    ranks = fields["dp"] * fields["cp"]
    zero = draw(st.sampled_from(space.zero)) if ranks > 1 else 0
    group = max(1.0, asked.hardware.scale_up_size // fields["tp"])
    own = draw(st.booleans()) and bool(zero) and group < ranks and 1 in space.sharded_in_node
    strategy = replace(
        asked.template, **fields, recompute=float(code), recompute_share=share, zero=float(zero),
        shard_group=group if own else 0.0, cp_kind=float(draw(st.sampled_from([0, 0, 1, 2]))),
        dedup=float(draw(st.booleans())), overlap_ep=float(draw(st.booleans())),
        overlap_pp=float(draw(st.booleans())),
    )  # fmt: skip
    precision = draw(st.sampled_from(FORMATS))
    written = Job(job[0], job[1], precision, asked.shape, strategy, 100, head_of(asked, strategy))
    return written, asked


def told(framework: str, job: Job, asked: Asked) -> bool:
    """Whether a strategy is told at all; what is told must be read and mean the same."""
    try:
        text = WRITERS[framework](job)
    except NoPlan:
        return False
    s = job.strategy
    values = checked(framework, text, asked.n_chips, int(s.dp))
    if framework == "torchtitan" and s.pp > 1:
        layers = read.torchtitan_layers(values, int(job.shape.n_layers))
        assert sum(layers) == job.shape.n_layers
    if framework == "maxtext":
        assert values["batch"] == asked.global_batch
    return True


@pytest.mark.parametrize("framework", WRITERS)
def test_random_legal_strategies_are_read(framework: str) -> None:
    counts = {True: 0, False: 0}

    @settings(max_examples=150)
    @given(jobs(framework))
    def hold(given_: tuple[Job, Asked]) -> None:
        counts[told(framework, *given_)] += 1

    hold()
    assert counts[True] > 10, counts


# the readers bite ---------------------------------------------------------------------------------


def written(framework: str, **changed: Any) -> str:
    return WRITERS[framework](job_with(**changed))


def job_with(model: str = "llama-2-70b", precision: str = "bf16", **changed: Any) -> Job:
    base = {"dp": 8, "tp": 4, "pp": 2, "global_batch": 64, "seq_len": 4096, "sp": 1, "zero": 1}
    strategy = Strategy(**(base | changed))
    return Job(model, "h100-sxm", precision, shape_of(FACTS, model), strategy, 100)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("--num-layers 80", "--num-layer 80"),
        ("--num-layers 80", "--num-layers eighty"),
        ("--num-layers 80", "--num-layers 81"),
        ("--normalization RMSNorm", "--normalization rmsnorm"),
        ("--bf16", "--bf16 --fp16"),
        ("--sequence-parallel\n", "\n"),
        ("--use-distributed-optimizer", "--optimizer-cpu-offload"),
        ("CUDA_DEVICE_MAX_CONNECTIONS=1", ""),
        ("--micro-batch-size 1", "--micro-batch-size 3"),
        ("--max-position-embeddings 4096", "--max-position-embeddings 2048"),
        ("--tensor-model-parallel-size 4", "--tensor-model-parallel-size 3"),
    ],
)
def test_wrong_arguments_of_megatron_are_refused(old: str, new: str) -> None:
    text = written("megatron")
    read.megatron(text, 64)
    assert old in text
    with pytest.raises(read.Refused):
        read.megatron(text.replace(old, new), 64)


@pytest.mark.parametrize(
    ("framework", "old", "new"),
    [
        ("megatron-bridge", "num_layers=80", "layers=80"),
        ("megatron-bridge", "num_layers=80", "num_layers='80'"),
        ("megatron-bridge", "= bf16_mixed()", "= bf16()"),
        ("torchtitan", "tensor_parallel_degree = 4", "tensor_parallel_degree = 4.5"),
        ("torchtitan", "seq_len = 4096", "sequence = 4096"),
        ("torchtitan", '"never"', '"sometimes"'),
        ("torchtitan", "data_parallel_shard_degree = 8", "data_parallel_shard_degree = 4"),
        ("deepspeed", '"stage": 1', '"stage": 4'),
        ("deepspeed", '"stage": 1', '"stage": 2'),
        ("deepspeed", '"train_batch_size": 64', '"train_batch_size": 63'),
        ("maxtext", "steps: 100", "step: 100"),
        ("maxtext", 'remat_policy: "none"', 'remat_policy: "nothing"'),
        ("maxtext", "ici_data_parallelism: 8", "ici_data_parallelism: 4"),
    ],
)
def test_wrong_values_are_refused(framework: str, old: str, new: str) -> None:
    changed = {"sp": 0} if framework == "deepspeed" else {}
    text = written(framework, **changed)
    checked(framework, text, 64, 8)
    assert old in text
    with pytest.raises(read.Refused):
        checked(framework, text.replace(old, new), 64, 8)


# what each field becomes, by hand -----------------------------------------------------------------


def test_codes_have_the_words_of_the_model() -> None:
    assert CP_KINDS == ("ring", "all-gather", "ulysses")
    assert CP_COMM_TYPE == ("p2p", "all_gather", "a2a")
    said = {RECOMPUTATIONS[code]: modules for code, modules in MODULES.items()}
    assert said["selective"] == ("core_attn",)
    assert said["mlp"] == ("mlp",)
    assert said["moe"] == ("moe",)
    assert said["mla-up-projection"] == ("mla_up_proj",)


def test_uneven_layers_by_hand() -> None:
    """61 layers and one of prediction on 8 stages: 62 = 8 x 8 - 2, so the last and the first have
    seven; the last of the seven is the prediction. With a head of two layers, 80 on 4 stages:
    82 / 4 leaves 20, 21, 21 and 18."""
    job = job_with("deepseek-v3", pp=8, dp=2)
    assert layers_of(job, 1) == (7, 8, 8, 8, 8, 8, 8, 6)
    inside = read.megatron(WRITERS["megatron"](job), 64).pipeline_model_parallel_layout.split("|")
    assert inside[0] == "E" + "t" * 7
    assert inside[-1] == "tttttt" + "m" + "L"
    balanced = replace(job_with(pp=4, dp=4, balance=2.0), head=2.0)
    assert sorted(layers_of(balanced)[:3]) == [20, 21, 21]
    assert layers_of(balanced)[3] == 18


def test_recomputation_of_some_layers_by_hand() -> None:
    """Half of the 80 / (2 x 4) = 10 layers of a chunk; a quarter of ten is three, and said."""
    full = float(RECOMPUTATIONS.index("full"))
    changed = {"recompute": full, "vp": 4, "global_batch": 64}
    half = read.megatron(written("megatron", recompute_share=0.5, **changed), 64)
    assert (half.recompute_method, half.recompute_num_layers) == ("block", 5)
    quarter = job_with(recompute_share=0.25, **changed)
    text = WRITERS["megatron"](quarter)
    assert read.megatron(text, 64).recompute_num_layers == 3
    assert "25% of 10 layers are not whole: 3" in text
    titan = read.torchtitan(written("torchtitan", recompute=full, recompute_share=0.25), 64)
    assert titan["activation_checkpoint"] == {"mode": "selective", "selective_ac_option": "4"}


@pytest.mark.parametrize(
    ("zero", "expected"),
    [
        (0, (False, False, None)),
        (1, (True, False, None)),
        (2, (True, True, "optim_grads")),
        (3, (True, True, "optim_grads_params")),
    ],
)
def test_sharded_state_of_megatron(zero: int, expected: tuple[bool, bool, str | None]) -> None:
    text = written("megatron", zero=zero, gradient_bytes=2)
    a = read.megatron(text, 64)
    assert (a.use_distributed_optimizer, a.use_megatron_fsdp,
            a.data_parallel_sharding_strategy) == expected  # fmt: skip
    assert a.grad_reduce_in_bf16


def test_groups_that_shard_among_themselves() -> None:
    """dp 8 and cp 2: sixteen ranks, in groups of four there are four copies."""
    changed = {"cp": 2, "dp": 8, "pp": 1, "shard_group": 4}
    a = read.megatron(written("megatron", **changed), 64)
    assert a.num_distributed_optimizer_instances == 4
    titan = read.torchtitan(written("torchtitan", zero=3, **changed), 64)["parallelism"]
    # cp ranks share too: a group of four is two replicas
    assert titan["data_parallel_shard_degree"] == 2
    assert titan["data_parallel_replicate_degree"] == 4
    assert titan["fsdp_reshard_after_forward"] == "always"
    own = read.maxtext(written("maxtext", zero=3, **changed), 64)
    assert own["ici_fsdp_parallelism"] == 2
    assert own["ici_data_parallelism"] == 4
    with pytest.raises(NoPlan, match="part of the ranks"):
        written("deepspeed", sp=0, tp=1, dp=8, pp=8, shard_group=4)


def test_offload_in_the_words_of_each() -> None:
    text = written("megatron", offload_optimizer=0.5, offload_activations=1.0)
    a = read.megatron(text, 64)
    assert a.optimizer_cpu_offload
    assert a.optimizer_offload_fraction == 0.5
    assert a.fine_grained_activation_offloading
    assert "feed-forward" in text  # what it cannot offload
    values = {"sp": 0, "pp": 1, "dp": 16, "zero": 3, "offload_optimizer": 1, "offload_weights": 1}
    zero = read.deepspeed(written("deepspeed", **values), 16)["zero_optimization"]
    assert zero["offload_optimizer"]["device"] == zero["offload_param"]["device"] == "cpu"
    own = read.maxtext(written("maxtext", offload_optimizer=1), 64)
    assert own["optimizer_memory_host_offload"] is True
    titan = read.torchtitan(written("torchtitan", offload_optimizer=1), 64)
    assert titan["training"]["enable_cpu_offload"] is True
    for framework, changed in [
        ("megatron", {"offload_weights": 1}),
        ("megatron", {"offload_optimizer": 1, "zero": 3}),
        ("torchtitan", {"offload_activations": 1}),
        ("deepspeed", {"sp": 0, "offload_weights": 1}),
        ("maxtext", {"offload_activations": 1}),
    ]:
        with pytest.raises(NoPlan, match="host memory"):
            written(framework, **changed)


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("bf16", (None, None, None)),
        ("fp8", ("hybrid", "tensorwise", None)),
        ("fp8-block", ("hybrid", "blockwise", None)),
        ("mxfp8", ("e4m3", "mxfp8", None)),
        ("nvfp4", (None, None, "e2m1")),
    ],
)
def test_formats_of_megatron(precision: str, expected: tuple[str | None, ...]) -> None:
    a = read.megatron(written("megatron", precision=precision), 64)
    assert (a.fp8_format, a.fp8_recipe, a.fp4_format) == expected
    parts = read.bridge(written("megatron-bridge", precision=precision), 64)
    assert parts["model"]["num_layers"] == 80


def test_pipelines_of_deepspeed_are_the_program_s() -> None:
    job = job_with(sp=0)
    assert read.deepspeed(WRITERS["deepspeed"](job), 8)["pipeline"] == {"stages": 2}
    assert any("num_stages=2" in note for note in job.notes)
    for changed in ({"zero": 2}, {"vp": 2}, {"precision": "fp8"}):
        with pytest.raises(NoPlan):
            written("deepspeed", sp=0, **changed)


def test_batches_of_maxtext_by_hand() -> None:
    """Without a pipeline a step sums 64 / (8 x 2) = 4 passes of 16 sequences on 32 chips; with one
    the whole batch of 64 passes it in micro-batches."""
    flat = read.maxtext(written("maxtext", pp=1, micro_batch=2), 32)
    assert flat["per_device_batch_size"] == 0.5
    assert flat["gradient_accumulation_steps"] == 4
    assert flat["batch"] == 64
    piped = read.maxtext(written("maxtext", micro_batch=2), 64)
    assert piped["per_device_batch_size"] == 1.0
    assert piped["num_pipeline_microbatches"] == 4
    assert piped["num_layers_per_pipeline_stage"] == 40


def test_context_parallelism_in_the_words_of_each() -> None:
    ways = {"cp": 2, "dp": 4}
    for kind, (megatron, titan) in enumerate(
        [("p2p", "alltoall"), ("all_gather", "allgather"), ("a2a", None)]
    ):
        a = read.megatron(written("megatron", cp_kind=kind, **ways), 64)
        assert a.cp_comm_type == [megatron]
        if titan:
            split = read.torchtitan(written("torchtitan", cp_kind=kind, **ways), 64)["parallelism"]
            assert split["context_parallel_rotate_method"] == titan


@pytest.mark.parametrize("model", [m for m in FLAVORS if m in FACTS.ids("models")])
def test_flavors_of_torchtitan_have_our_shapes(model: str) -> None:
    """A model that torchtitan has is the same one: layers, width and heads as in its sources."""
    shape: Shape = shape_of(FACTS, model)
    values = read.OPTIONS["torchtitan"]["flavors"][" ".join(FLAVORS[model])]
    ours = {"dim": shape.d_model, "n_layers": shape.n_layers, "n_heads": shape.n_heads,
            "n_kv_heads": shape.n_kv_heads}  # fmt: skip
    for name, value in values.items():
        assert name not in ours or value == ours[name], name
    text = written("torchtitan", model=model, etp=4)
    assert f'flavor = "{FLAVORS[model][1]}"' in text


def test_a_model_that_torchtitan_lacks_is_said() -> None:
    text = written("torchtitan")
    assert "not told: the model: torchtitan has no llama-2-70b" in text
    assert "TransformerModelArgs(dim=8192, n_layers=80, n_heads=64, n_kv_heads=8" in text


def test_latent_attention_and_experts_of_megatron() -> None:
    """DeepSeek-V3: 3 dense layers and 58 with 256 experts, 8 a token (report, section 4.2)."""
    text = written("megatron", model="deepseek-v3", ep=8, pp=1, dp=16)
    a = read.megatron(text, 64)
    assert (a.kv_lora_rank, a.q_lora_rank, a.qk_head_dim, a.v_head_dim) == (512, 1536, 128, 128)
    assert (a.num_experts, a.moe_router_topk, a.moe_ffn_hidden_size) == (256, 8, 2048)
    assert a.moe_layer_freq == "([0]*3+[1]*58)"
    assert a.moe_router_score_function == "sigmoid"
    assert a.moe_flex_dispatcher_backend == "deepep"
    assert "on at most 4 nodes" in text
    model = read.bridge(written("megatron-bridge", model="deepseek-v3", pp=1, dp=16), 64)["model"]
    assert model["moe_layer_freq"] == [0] * 3 + [1] * 58
