"""Memory: against what papers printed, and laws that any plan of memory obeys."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chares.facts import load
from chares.model import (
    RECOMPUTATIONS,
    Calibration,
    Hardware,
    Memory,
    Shape,
    Strategy,
    hardware_of,
    layer_times,
    predict,
    shape_of,
)
from chares.model.activations import KEPT, layer_activations
from chares.model.memory import INNER, TENANTS, tenants_of
from chares.model.offloading import offload_times
from chares.model.predictions import memory_kind, predict_rows, reported_memory
from chares.model.published import read_rows
from chares.model.schedule import DUALPIPE, GPIPE, ONE_F_ONE_B, in_flight
from chares.model.strategy import (
    ELEMENTWISE,
    FP8,
    FP8_BLOCK,
    FULL,
    MLA_UP,
    NONE,
    NORMS_MLA_UP,
    NVFP4,
    SELECTIVE,
)

FACTS = load()
H100 = hardware_of(FACTS, "h100-sxm")
PLAIN = Calibration(
    activation_memory=1.0, workspace=1.0, logit_bytes=10.0, fragmentation=1.0, context_memory=0.0
)
GPT3 = Shape(96, 12288, 96, 96, 128, 49152, 51200, gated=0, tied=1)
MT_NLG = Shape(105, 20480, 128, 128, 160, 81920, 51200, gated=0, tied=1)
LLAMA = Shape(80, 8192, 64, 8, 128, 28672, 128256)
LLAMA_8B = Shape(32, 4096, 32, 8, 128, 14336, 128256)
QWEN3 = Shape(
    94, 4096, 64, 4, 128, 0, 151936, n_experts=128, top_k=8, d_expert=1536, n_moe_layers=94
)
DEEPSEEK = shape_of(FACTS, "deepseek-v3")
JOB = Strategy(tp=4, pp=4, dp=16, micro_batch=1, global_batch=512, seq_len=4096)


def memory(shape: Shape, s: Strategy, c: Calibration = PLAIN, h: Hardware = H100) -> Memory:
    return predict(shape, s, h, c).memory


def kept(shape: Shape, s: Strategy) -> float:
    """Bytes that a layer keeps of a micro-batch."""
    return float(layer_activations(layer_times(shape, s, H100, PLAIN), shape, s).kept)


# against papers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [GPT3, MT_NLG])
@pytest.mark.parametrize("tp", [1, 8])
def test_a_gpt_layer_keeps_what_korthikanti_2022_counts(shape: Shape, tp: int) -> None:
    """Equations 1, 2 and 4 and table 2: per layer, in bytes; a heads, b sequences, s tokens."""
    s, b, h, a = 2048, 4, shape.d_model, shape.n_heads
    job = Strategy(tp=tp, sp=0, micro_batch=b, global_batch=b, seq_len=s, flash=0)
    sbh, scores = s * b * h, 5 * a * s / h
    assert kept(shape, job) == pytest.approx(sbh * (10 + 24 / tp + scores / tp), rel=1e-12)
    parted = replace(job, sp=1)
    assert kept(shape, parted) == pytest.approx(sbh * (34 + scores) / tp, rel=1e-12)
    selective = replace(parted, recompute=SELECTIVE)
    assert kept(shape, selective) == pytest.approx(sbh * 34 / tp, rel=1e-12)
    assert kept(shape, replace(job, recompute=FULL)) == pytest.approx(2 * sbh, rel=1e-12)


def test_selective_recomputation_saves_what_korthikanti_2022_says() -> None:
    """Section 5: GPT-3 and MT-NLG save 70 % and 65 % of the activations."""
    for shape, saved in ((GPT3, 0.70), (MT_NLG, 0.65)):
        job = Strategy(tp=8, seq_len=2048, flash=0)
        left = kept(shape, replace(job, recompute=SELECTIVE)) / kept(shape, job)
        assert 1 - left == pytest.approx(saved, abs=0.006)


def test_states_are_those_of_the_zero_paper() -> None:
    """Rajbhandari et al. 2020, figure 1: 7.5e9 parameters over 64 ranks: 120, 31.4, 16.6, 1.9 GB.

    The paper leaves out the copy in 32 bits of the gradients that a rank updates with.
    """
    gpt = Shape(36, 4096, 32, 32, 128, 16384, 51200, gated=0, tied=1)
    job = Strategy(dp=64, global_batch=64, gradient_bytes=2, recompute=FULL)
    layers = layer_times(gpt, job, H100, PLAIN)
    count = float(36 * layers.dense_parameters + layers.head_parameters)
    for zero, printed in enumerate((120, 31.4, 16.6, 1.9)):
        m = memory(gpt, replace(job, zero=zero))
        copy = {0: 4.0, 1: 4 / 64, 2: 4 / 64, 3: 2 / 64}[zero]
        state = float(m.weights + m.gradients + m.optimizer) / count - copy
        assert state * 7.5 == pytest.approx(printed, abs=0.06)


def test_an_interleaved_pipeline_holds_more_on_its_first_stage() -> None:
    """Korthikanti 2022, section 4.2.3: L (1 + (p - 1) / (p m)) layers, m chunks a stage."""
    p, v = 4, 5
    job = replace(JOB, pp=p, vp=v, recompute=SELECTIVE)
    plain = memory(LLAMA, replace(job, vp=1))
    held = memory(LLAMA, job)
    one = kept(LLAMA, job) * 80
    assert float(held.activations - plain.activations) == pytest.approx(
        one * (p - 1) / (p * v), rel=0.02
    )


def test_deepseek_v3_fits_its_80_gb_only_as_it_was_trained() -> None:
    """Technical report, 3.2: 16 stages of DualPipe, 64-way experts, ZeRO-1, norms and latent
    up-projections recomputed, moments in 16 bits (3.3.2), without tensor parallelism."""
    h800 = hardware_of(FACTS, "h800-sxm")
    job = Strategy(
        pp=16, dp=128, ep=64, micro_batch=1, global_batch=15360, seq_len=4096, zero=1,
        precision=FP8_BLOCK, recompute=NORMS_MLA_UP, schedule=DUALPIPE, optimizer_bytes=8.0,
    )  # fmt: skip
    assert memory(DEEPSEEK, job, Calibration(), h800).fits == 1
    assert memory(DEEPSEEK, replace(job, recompute=NONE), Calibration(), h800).fits == 0


@pytest.mark.parametrize(
    ("tp", "cp", "dp", "seq_len", "per_replica"),
    [(8, 1, 64, 8192, 32), (8, 1, 128, 8192, 16), (8, 16, 8, 131072, 16)],
)
def test_llama_3_405b_fits_80_gb(tp: int, cp: int, dp: int, seq_len: int, per_replica: int) -> None:
    """The Llama 3 Herd of Models, table 4: 16 stages; FP32 gradients (3.3.2)."""
    job = Strategy(
        tp=tp, cp=cp, pp=16, dp=dp, seq_len=seq_len, global_batch=per_replica * dp,
        recompute=ELEMENTWISE,
    )  # fmt: skip
    assert memory(shape_of(FACTS, "llama-3.1-405b"), job, Calibration()).fits == 1


# laws ---------------------------------------------------------------------------------------------

SHAPES = st.sampled_from([GPT3, LLAMA, QWEN3, DEEPSEEK])
POWERS = st.sampled_from([1, 2, 4, 8])


@st.composite
def jobs(draw: st.DrawFn) -> Strategy:
    dp = draw(st.sampled_from([8, 16, 64]))
    pp = draw(POWERS)
    return Strategy(
        tp=draw(POWERS), pp=pp, cp=draw(st.sampled_from([1, 2])), ep=draw(POWERS), dp=dp,
        vp=draw(st.sampled_from([1, 2])) if pp > 1 else 1, micro_batch=draw(POWERS),
        global_batch=dp * 64, seq_len=draw(st.sampled_from([2048, 8192])),
        sp=draw(st.sampled_from([0, 1])), zero=draw(st.sampled_from([0, 1, 2, 3])),
        precision=draw(st.sampled_from([0, FP8, FP8_BLOCK, NVFP4])),
        recompute=draw(st.sampled_from(range(len(RECOMPUTATIONS)))),
        recompute_share=draw(st.sampled_from([0.0, 0.5, 1.0])),
        schedule=draw(st.sampled_from([ONE_F_ONE_B, GPIPE, DUALPIPE])),
        gradient_bytes=draw(st.sampled_from([2.0, 4.0])),
    )  # fmt: skip


@given(SHAPES, jobs())
@settings(deadline=None, max_examples=60)
def test_tenants_sum_to_what_is_allocated(shape: Shape, job: Strategy) -> None:
    m = memory(shape, job, Calibration())
    assert sum(tenants_of(m).values()) == pytest.approx(m.allocated, rel=1e-12)
    assert all(v >= 0 for v in tenants_of(m).values())
    assert m.allocated <= m.reserved <= m.device


@given(SHAPES, jobs(), st.sampled_from([1.0, 1.5, 3.0]))
@settings(deadline=None, max_examples=60)
def test_more_memory_never_makes_a_fitting_strategy_unfit(
    shape: Shape, job: Strategy, more: float
) -> None:
    larger = replace(H100, memory=H100.memory * more)
    assert memory(shape, job, Calibration(), larger).fits >= memory(shape, job, Calibration()).fits


@given(SHAPES, jobs())
@settings(deadline=None, max_examples=60)
def test_more_recomputation_never_needs_more(shape: Shape, job: Strategy) -> None:
    none, some, full = (
        float(memory(shape, replace(job, recompute=r), Calibration()).allocated)
        for r in (NONE, SELECTIVE, FULL)
    )
    assert full <= some * (1 + 1e-12)
    assert some <= none * (1 + 1e-12)
    assert float(memory(shape, job, Calibration()).allocated) <= none * (1 + 1e-12)


@given(SHAPES, jobs())
@settings(deadline=None, max_examples=60)
def test_more_sharding_never_needs_more(shape: Shape, job: Strategy) -> None:
    by_stage = [float(memory(shape, replace(job, zero=z)).allocated) for z in range(4)]
    for less, more in zip(by_stage[1:], by_stage[:-1], strict=True):
        assert less <= more * (1 + 1e-12)


@given(SHAPES, jobs())
@settings(deadline=None, max_examples=60)
def test_larger_micro_batches_never_need_less(shape: Shape, job: Strategy) -> None:
    by_size = [float(memory(shape, replace(job, micro_batch=b)).allocated) for b in (1, 2, 4, 8)]
    for small, large in pairwise(by_size):
        assert small <= large * (1 + 1e-12)


@given(SHAPES, jobs())
@settings(deadline=None, max_examples=30)
def test_sequence_parallelism_never_keeps_more(shape: Shape, job: Strategy) -> None:
    assert kept(shape, replace(job, sp=1)) <= kept(shape, replace(job, sp=0)) * (1 + 1e-12)


@pytest.mark.parametrize("shape", [GPT3, LLAMA])
@pytest.mark.parametrize(("tp", "pp", "dp"), [(1, 1, 1), (8, 1, 4), (2, 16, 1), (8, 16, 16)])
def test_splitting_conserves_parameters(shape: Shape, tp: int, pp: int, dp: int) -> None:
    """Matrices over tensor ranks and stages, optimizer state over data ranks too; the tied table
    lies on the first and on the last stage, norms on every tensor rank."""
    job = Strategy(tp=tp, pp=pp, dp=dp, global_batch=64 * dp, zero=1)
    m = memory(shape, job)
    layers = layer_times(shape, Strategy(), H100, PLAIN)
    norms = 2 * shape.d_model
    inner = shape.n_layers * float(layers.dense_parameters - norms) + tp * shape.n_layers * norms
    table = float(layers.head_parameters) * pp * (1 + (pp == 1) * (1 - shape.tied))
    assert float(m.weights) * tp * pp / 2 == pytest.approx(inner + table, rel=1e-9)
    assert float(m.optimizer) * tp * pp * dp / 12 == pytest.approx(inner + table, rel=1e-9)


def test_experts_are_split_over_expert_ranks_and_the_rest_is_not() -> None:
    job = Strategy(dp=32, global_batch=1024, zero=1)
    one, eight = memory(QWEN3, job), memory(QWEN3, replace(job, ep=8))
    experts = 94 * 128 * 3 * 4096 * 1536 * 2.0  # bytes
    assert float(one.weights - eight.weights) == pytest.approx(experts * 7 / 8, rel=1e-9)
    assert float(one.optimizer) == pytest.approx(float(eight.optimizer), rel=1e-9)


def test_dualpipe_holds_weights_and_gradients_twice_but_one_optimizer_state() -> None:
    job = replace(JOB, pp=4)
    one, both = memory(LLAMA, job), memory(LLAMA, replace(job, schedule=DUALPIPE))
    assert both.weights == 2 * one.weights
    assert both.gradients == 2 * one.gradients
    assert both.optimizer == one.optimizer


def test_the_first_stage_is_fullest_unless_the_vocabulary_weighs_more() -> None:
    """With 4 stages the first holds 4 micro-batches of a quarter of the layers, the last one."""
    job = replace(JOB, recompute=FULL)
    m = memory(LLAMA, job, replace(PLAIN, logit_bytes=1.0, workspace=0.0))
    assert m.stage == 0
    assert m.logits == 0
    received = 2 * 4096 * 8192 / 4
    assert float(m.activations) == pytest.approx(4 * (20 * kept(LLAMA, job) + received), rel=1e-9)
    m = memory(LLAMA, job, replace(PLAIN, logit_bytes=40.0))
    assert m.stage == 1
    assert float(m.logits) == pytest.approx(40.0 * 4096 * 128256 / 4)


def test_the_second_stage_is_fullest_where_the_first_has_fewer_layers() -> None:
    # 61 layers on 16 stages: 3 at either end, 4 between; the second keeps 4 x 15, the first 3 x 16
    shape = replace(GPT3, n_layers=61)
    job = Strategy(tp=8, pp=16, dp=1, global_batch=64, seq_len=2048)
    even = replace(shape, n_layers=64)
    found, full = memory(shape, job), memory(even, job)
    assert found.stage == INNER
    received = 2048 * 2 * GPT3.d_model / 8  # bytes that a stage receives of a micro-batch
    layer = (full.activations / 16 - received) / 4
    assert found.activations == pytest.approx((4 * layer + received) * 15, rel=1e-9)
    vocabulary = GPT3.vocab * GPT3.d_model / 8
    assert found.weights == pytest.approx(full.weights - 2 * vocabulary, rel=1e-9)
    assert found.allocated < full.allocated


def test_a_compiled_program_frees_its_layers_before_the_loss() -> None:
    job = Strategy(dp=64, micro_batch=4, global_batch=256, zero=3, recompute=FULL)
    eager, compiled = (memory(LLAMA_8B, replace(job, compiled=x)) for x in (0.0, 1.0))
    assert eager.logits > 0
    assert compiled.allocated < eager.allocated
    table = LLAMA_8B.vocab * LLAMA_8B.d_model * 2
    assert compiled.logits == pytest.approx(eager.logits + table)
    assert compiled.buffers == 0  # the logits take their place


def test_all_micro_batches_of_gpipe_are_in_flight() -> None:
    m = 512 / 16
    job = replace(JOB, recompute=FULL)
    few = memory(LLAMA, job, replace(PLAIN, logit_bytes=1.0)).activations
    many = memory(LLAMA, replace(job, schedule=GPIPE), replace(PLAIN, logit_bytes=1.0)).activations
    assert float(many / few) == pytest.approx(m / in_flight(ONE_F_ONE_B, 4, 1, m))


def test_eight_bits_keep_less_than_sixteen_and_latent_recomputation_drops_the_heads() -> None:
    for shape in (LLAMA, QWEN3, DEEPSEEK):
        assert kept(shape, replace(JOB, precision=FP8)) < kept(shape, JOB)
    less = kept(DEEPSEEK, JOB) - kept(DEEPSEEK, replace(JOB, recompute=MLA_UP))
    heads = 2 * 128 * (2 * (128 + 64) + 128) / 4  # query, key and value of 128 heads, 4 ranks
    assert less == pytest.approx(4096 * heads, rel=1e-12)
    assert kept(LLAMA, JOB) == kept(LLAMA, replace(JOB, recompute=MLA_UP))


def test_every_kind_of_recomputation_says_what_it_keeps() -> None:
    assert KEPT.shape == (len(RECOMPUTATIONS), 14)
    assert (KEPT >= 0).all()
    assert (KEPT <= 1).all()
    assert (KEPT[:, 0] == 1).all()  # the layer's input, to start again from


def test_rows_are_as_single_jobs() -> None:
    names = [f.name for f in fields(Strategy)]
    several = [
        JOB, replace(JOB, zero=3, pp=1), replace(JOB, schedule=DUALPIPE, recompute=FULL),
        replace(JOB, pp=3, vp=1, recompute=ELEMENTWISE), replace(JOB, precision=NVFP4, ep=1),
    ]  # fmt: skip
    rows = Strategy(**{n: np.array([float(getattr(j, n)) for j in several]) for n in names})
    together = memory(LLAMA, rows, Calibration())
    for i, job in enumerate(several):
        alone = memory(LLAMA, job, Calibration())
        for name in (*TENANTS, "allocated", "device", "fits", "stage"):
            value = np.broadcast_to(getattr(together, name), len(several))[i]
            assert value == pytest.approx(float(getattr(alone, name)), rel=1e-12)


# offloading ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["offload_optimizer", "offload_activations"])
@pytest.mark.parametrize("shape", [LLAMA, QWEN3])
def test_offloading_saves_memory_and_is_never_free(name: str, shape: Shape) -> None:
    steps = [predict(shape, replace(JOB, **{name: x}), H100, Calibration()) for x in (0, 0.5, 1)]
    sizes = [float(s.memory.allocated) for s in steps]
    times = [float(s.step_time_s) for s in steps]
    assert sizes[0] > sizes[1] > sizes[2]
    assert times[0] < times[1] < times[2]


def test_the_optimizer_state_crosses_the_host_link_once_each_way() -> None:
    job = replace(JOB, offload_optimizer=1.0, zero=0)
    layers = layer_times(LLAMA, job, H100, PLAIN)
    state, moved = offload_times(layers, LLAMA, job, H100, 1.0, 20)
    count = 20 * float(layers.dense_parameters) + float(layers.head_parameters)
    assert float(state) == pytest.approx(12 * count / 64e9)  # PCI Express 5.0 x16
    assert moved == 0.0


# against published runs ---------------------------------------------------------------------------


def test_published_peaks_by_convention_and_runs_that_ran(shared_data: Path) -> None:
    rows = read_rows(shared_data / "training_points.csv")
    found = predict_rows(rows, FACTS)
    taken = [rows[i] for i in found.runs.index]
    measured = np.array([float(r["peak_mem_GB"] or "nan") * 1e9 for r in taken])
    error = np.abs(reported_memory(rows, found) / measured - 1)
    kinds = np.array([memory_kind(r) for r in taken])
    for kind in range(3):
        assert np.nanmedian(error[kinds == kind]) <= 0.055
    fits = np.broadcast_to(found.step.memory.fits, len(taken))
    assert np.mean(fits == 0) <= 0.03
    assert all(fits[np.isfinite(measured)] == 1)
