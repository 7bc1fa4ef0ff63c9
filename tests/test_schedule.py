"""Pipeline schedules: closed forms against the papers and against the orders run task by task."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from against import pipeline_oracle as oracle
from chares.model.by_stage import evened_layers, plain_layers
from chares.model.evening import evened
from chares.model.schedule import (
    DUALPIPE,
    GPIPE,
    NOTHING,
    ONE_F_ONE_B,
    SCHEDULES,
    ZB_H1,
    ZBV,
    Pass,
    allowed,
    in_flight,
    pipeline,
    split,
    weight_copies,
)

PASSES = [(1, 1, 1), (1, 1.2, 0.8), (1, 2.1, 0.9), (1, 0.8, 1.1), (1, 1, 0.4)]
STAGES = [2, 3, 4, 8]


def orders(schedule: int, p: int, v: int, m: int) -> tuple[oracle.Orders, int, float]:
    """The order by device, the parts of the model, the share of a device's layers in a part."""
    if schedule == ONE_F_ONE_B and v > 1:
        return oracle.interleaved(p, v, m), p * v, 1 / v
    made: dict[int, Callable[[int, int], oracle.Orders]] = {
        ONE_F_ONE_B: oracle.one_f_one_b, ZB_H1: oracle.zb_h1, ZBV: oracle.zbv,
        DUALPIPE: oracle.dualpipe, GPIPE: oracle.gpipe,
    }  # fmt: skip
    return made[schedule](p, m), p * (2 if schedule == ZBV else 1), 0.5 if schedule == ZBV else 1.0


def by_task(schedule: int, p: int, v: int, m: int, fbw: tuple, p2p: float = 0.0) -> oracle.Run:
    made, parts, share = orders(schedule, p, v, m)
    time = dict(zip("FBW", fbw, strict=True))
    return oracle.evaluate(made, parts, lambda t, _: share * time[t.kind], p2p, share)


def closed(schedule: int, p: int, v: int, m: int, fbw: tuple, p2p: float = 0.0) -> float:
    x = Pass(*fbw)
    return float(pipeline(schedule, p, v, m, x, x.times(p - 1), p2p).time)


def off(schedule: int, p: int, v: int, m: int, fbw: tuple, p2p: float = 0.0) -> float:
    true = by_task(schedule, p, v, m, fbw, p2p).time
    return closed(schedule, p, v, m, fbw, p2p) / true - 1


# what the papers print ------------------------------------------------------------------------


def test_the_bubbles_of_the_papers() -> None:
    # f, b, w with f = b = w = 1 on 8 stages; table 2 of DeepSeek-V3 with F = 1, B = 2, W = 1:
    # 1F1B (p-1)(F+B) = 21, ZB1P (p-1)(F+B-2W) = 7, DualPipe (p/2-1)(F&B+B-3W) = 3(3+2-3) = 6
    x = Pass(1.0, 1.0, 1.0)
    bubbles = {s: pipeline(s, 8, 1, 32, x, x.times(7)).idle for s in range(5)}
    assert bubbles == {ONE_F_ONE_B: 21, ZB_H1: 7, DUALPIPE: 6, GPIPE: 21, ZBV: 3.5}
    # Narayanan et al. 2021, section 2.2: interleaving divides the bubble by the chunks
    assert pipeline(ONE_F_ONE_B, 8, 3, 32, x, x.times(7)).idle == 7
    # Qi et al. 2023, table 2: (p-1)(F+B-W), here 7 (1 + 1.5 - 0.75)
    y = Pass(1.0, 1.5, 0.75)
    assert pipeline(ZB_H1, 8, 1, 32, y, y.times(7)).idle == pytest.approx(7 * 1.75)


def test_the_activations_of_the_papers() -> None:
    # DeepSeek-V3, table 2: 1F1B PP, ZB1P PP, DualPipe PP + 1; parameters twice with DualPipe
    held = [float(in_flight(s, 8, 1, 32)) for s in (ONE_F_ONE_B, ZB_H1, ZBV, DUALPIPE, GPIPE)]
    assert held == [8, 8, 8, 9, 32]
    assert [float(weight_copies(s, 8)) for s in range(5)] == [1, 1, 1, 2, 1]
    # Korthikanti et al. 2022, section 4.2.3: L (1 + (p-1)/(p m)) with m chunks: here 8 (1 + 7/32)
    assert in_flight(ONE_F_ONE_B, 8, 4, 32) == pytest.approx(8 * (1 + 7 / 32))


# the orders, task by task ---------------------------------------------------------------------


@pytest.mark.parametrize("p", STAGES)
@pytest.mark.parametrize("fbw", PASSES)
@pytest.mark.parametrize("schedule", [ONE_F_ONE_B, ZB_H1, GPIPE])
def test_even_stages_are_exact(schedule: int, p: int, fbw: tuple) -> None:
    for m in (1, 2, p, p + 1, 2 * p, 4 * p + 3):
        assert off(schedule, p, 1, m, fbw) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("p", STAGES)
@pytest.mark.parametrize("v", [2, 3])
@pytest.mark.parametrize("p2p", [0.0, 0.1])
def test_interleaved_is_exact(p: int, v: int, p2p: float) -> None:
    for fbw in PASSES:
        for m in (1, p, 2 * p, 5 * p):
            assert off(ONE_F_ONE_B, p, v, m, fbw, p2p) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("p2p", [0.02, 0.2, 1.0])
@pytest.mark.parametrize("schedule", [ONE_F_ONE_B, GPIPE])
def test_hops_are_exact(schedule: int, p2p: float) -> None:
    for p in STAGES:
        for m in (1, 3, p, 2 * p + 1, 4 * p + 2):
            assert off(schedule, p, 1, m, PASSES[1], p2p) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("p", STAGES)
@pytest.mark.parametrize("fbw", PASSES)
def test_zbv(p: int, fbw: tuple) -> None:
    for m in (2 * p, 3 * p, 6 * p + 1):
        assert off(ZBV, p, 1, m, fbw) == pytest.approx(0, abs=1e-12)
    for m in (1, 2, p, p + 1, 2 * p - 2):
        assert off(ZBV, p, 1, m, fbw) == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("p", [2, 4, 6, 8])
@pytest.mark.parametrize("fbw", PASSES)
def test_dualpipe_is_exact(p: int, fbw: tuple) -> None:
    for m in (2 * p, 2 * p + 2, 6 * p):
        assert off(DUALPIPE, p, 1, m, fbw) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("schedule", [ZB_H1, ZBV, DUALPIPE])
def test_hops_of_zero_bubble_schedules(schedule: int) -> None:
    for p in (2, 4, 8):
        for m in (2 * p, 4 * p):
            for fbw in PASSES:
                for p2p in (0.02, 0.1, 0.2):
                    assert off(schedule, p, 1, m, fbw, p2p) == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("schedule", range(5))
def test_activations_by_device(schedule: int) -> None:
    for p, v, m in ((4, 1, 8), (8, 1, 16), (4, 2, 8), (8, 4, 16), (4, 2, 4)):
        if v > 1 and schedule != ONE_F_ONE_B:
            continue
        held = by_task(schedule, p, v, m, (1, 1, 1)).peak
        form = in_flight(schedule, p, v, m, np.arange(p))
        assert np.broadcast_to(form, p) == pytest.approx(held)


@pytest.mark.parametrize("schedule", range(5))
@pytest.mark.parametrize("head", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("p2p", [0.0, 0.05])
def test_embedding_and_head(schedule: int, head: float, p2p: float) -> None:
    layer, first, last = Pass(1, 1.2, 0.8), Pass(0.1, 0.0, 0.1), Pass(head, head, head)
    for p, v, m in ((2, 1, 8), (4, 1, 8), (8, 1, 32), (4, 2, 16)):
        if v > 1 and schedule != ONE_F_ONE_B:
            continue
        made, parts, _ = orders(schedule, p, v, m)

        def time(t: oracle.Task, _: int, parts: int = parts) -> float:
            k = "FBW".index(t.kind)
            ends = [(0.1, 0.0, 0.1)[k] * (t.part == 0), head * (t.part == parts - 1)]
            return (1, 1.2, 0.8)[k] + sum(ends)

        true = oracle.evaluate(made, parts, time, p2p).time
        form = pipeline(schedule, p, v, m, *split(schedule, p, parts, layer, first, last), p2p)
        assert form.time / true - 1 == pytest.approx(0, abs=0.04)
        if schedule == ONE_F_ONE_B and v == 1:
            assert form.time >= true * (1 - 1e-12)


def test_the_oracle_notices_a_deadlock() -> None:
    stuck = [[(oracle.Task("B", 0, 0),), (oracle.Task("F", 0, 0),)]]
    with pytest.raises(AssertionError, match="wait for each other"):
        oracle.evaluate(stuck, 1, lambda *_: 1.0)


# layers on devices ----------------------------------------------------------------------------


def test_layers_that_do_not_divide() -> None:
    # 126 layers on 16 devices by hand: 14 devices of 8, the ends 7, plus embedding 1 and head 3
    layer, slow = Pass(1, 1, 1), Pass(1, 1, 1)
    slowest, rest = split(ONE_F_ONE_B, 16, 126, layer, slow, slow.times(3))
    assert slowest.forward == 10
    assert rest.forward == 7 + 1 + 14 * 8
    # ZBV folds both ends on device 0, DualPipe halves them
    assert split(ZBV, 4, 16, layer, slow, slow)[0].forward == 6
    assert split(DUALPIPE, 4, 16, layer, slow, slow)[0].forward == 5
    # one device has everything
    only, none = split(ONE_F_ONE_B, 1, 5, layer, slow, slow)
    assert only.forward == 7
    assert none == NOTHING


@given(
    st.integers(0, 4), st.integers(1, 16), st.integers(1, 200),
    st.floats(0, 5), st.floats(0, 5),
)  # fmt: skip
def test_a_split_loses_nothing(
    schedule: int, p: int, layers: int, first: float, last: float
) -> None:
    one = Pass(1.0, 1.5, 0.5)
    slowest, rest = split(schedule, p, layers, one, one.times(first), one.times(last))
    total = (layers + first + last) * one.total
    assert float(slowest.total + rest.total) == pytest.approx(total)
    assert slowest.total * p >= total * (1 - 1e-9)  # nothing is slower than the slowest


# laws -----------------------------------------------------------------------------------------

passes = st.tuples(st.floats(0.1, 2), st.floats(0.1, 3), st.floats(0.05, 2))


@given(st.integers(0, 4), st.integers(1, 16), st.integers(1, 4), st.integers(1, 100), passes,
       st.floats(0, 0.5))  # fmt: skip
def test_no_pipeline_beats_perfect_scaling(
    schedule: int, p: int, v: int, m: int, fbw: tuple, p2p: float
) -> None:
    x = Pass(*fbw)
    form = pipeline(schedule, p, v, m, x, x.times(p - 1), p2p)
    assert form.idle >= 0
    assert form.time == form.work + form.idle
    assert form.work == pytest.approx(m * sum(fbw))
    if p == 1:
        assert form.idle == 0
    assert 0 < in_flight(schedule, p, v, m) <= max(m, 1)


@given(st.integers(0, 4), st.integers(2, 12), st.integers(1, 3), st.integers(1, 20), passes)
def test_more_micro_batches_less_bubble(schedule: int, p: int, v: int, k: int, fbw: tuple) -> None:
    x = Pass(*fbw)
    few = pipeline(schedule, p, v, k * p, x, x.times(p - 1))
    more = pipeline(schedule, p, v, (k + 1) * p, x, x.times(p - 1))
    assert more.idle / more.time <= few.idle / few.time + 1e-12


def test_rows_are_what_each_row_is_alone() -> None:
    rng = np.random.default_rng(7)
    n = 300
    s, p, v = rng.integers(0, 5, n), rng.integers(1, 9, n), rng.integers(1, 4, n)
    m, f, hop = rng.integers(1, 40, n), rng.uniform(0.5, 2, n), rng.uniform(0, 0.1, n)
    layer, head = Pass(f, 1.1 * f, 0.9 * f), Pass(f, f, f)
    parts = split(s, p, 24, layer, NOTHING, head)
    form = pipeline(s, p, v, m, *parts, hop)
    held, fine = in_flight(s, p, v, m), allowed(s, p, v, m, 24)
    for i in range(n):
        one, h = Pass(f[i], 1.1 * f[i], 0.9 * f[i]), Pass(f[i], f[i], f[i])
        alone = pipeline(
            int(s[i]), p[i], v[i], m[i], *split(int(s[i]), p[i], 24, one, NOTHING, h), hop[i]
        )
        assert form.time[i] == pytest.approx(float(alone.time), rel=1e-12)
        assert held[i] == in_flight(int(s[i]), p[i], v[i], m[i])
        assert fine[i] == allowed(int(s[i]), p[i], v[i], m[i], 24)


def test_which_schedules_exist() -> None:
    assert len(SCHEDULES) == 5
    assert allowed(ONE_F_ONE_B, 4, 1, 1, 4)
    assert not allowed(ONE_F_ONE_B, 4, 1, 1, 3)  # fewer layers than stages
    assert allowed(ONE_F_ONE_B, 4, 2, 8, 8)
    assert not allowed(ONE_F_ONE_B, 4, 2, 6, 8)  # not whole groups
    assert not allowed(ONE_F_ONE_B, 1, 2, 8, 8)  # nothing to interleave
    assert not allowed(ZBV, 4, 1, 8, 7)  # two chunks a device
    assert allowed(ZBV, 4, 1, 8, 8)
    assert not allowed(ZB_H1, 4, 2, 8, 8)
    assert allowed(DUALPIPE, 4, 1, 8, 8)
    assert not allowed(DUALPIPE, 3, 1, 8, 8)
    assert not allowed(DUALPIPE, 4, 1, 6, 8)


# GPipe against 1F1B -----------------------------------------------------------------------------


@given(st.integers(2, 16), st.integers(1, 200), passes, st.floats(0.5, 3.0))
def test_gpipe_is_never_better_than_1f1b(p: int, m: int, fbw: tuple, head: float) -> None:
    """Both fill and empty the pipeline once, so they take the same time; GPipe keeps all
    micro-batches, 1F1B at most one for each stage that is still to come."""
    x = Pass(*fbw)
    stages = x.times(head), x.times(p - 1)
    one, two = (pipeline(s, p, 1, m, *stages) for s in (ONE_F_ONE_B, GPIPE))
    assert two.time == one.time
    for stage in range(p):
        assert in_flight(GPIPE, p, 1, m, stage) >= in_flight(ONE_F_ONE_B, p, 1, m, stage)
    assert in_flight(GPIPE, p, 1, p + m) > in_flight(ONE_F_ONE_B, p, 1, p + m)


@pytest.mark.parametrize("p", STAGES)
def test_gpipe_is_never_better_task_by_task(p: int) -> None:
    for m in (1, p, 3 * p + 1):
        one, two = (by_task(s, p, 1, m, PASSES[1]) for s in (ONE_F_ONE_B, GPIPE))
        assert two.time == pytest.approx(one.time, rel=1e-12)
        assert all(a <= b for a, b in zip(one.peak, two.peak, strict=True))


# whole layers of equal time ---------------------------------------------------------------------


@given(st.integers(2, 16), st.integers(0, 130), st.floats(0.0, 40.0))
def test_evened_stages_are_the_best_there_are(p: int, more: int, head: float) -> None:
    """Against every number of layers that the last stage can have."""
    depth = p + more
    cut = evened(depth, p, head)
    best = min(max(-(-(depth - last) // (p - 1)), last + head) for last in range(depth + 1))
    assert cut.slowest == pytest.approx(best, rel=1e-9)
    assert max(cut.full, cut.last + head) <= cut.slowest * (1 + 1e-9)
    assert cut.first + (p - 2) * cut.full + cut.last >= depth
    layers = evened_layers(depth, p, head)
    assert sum(layers) == depth
    assert (max(layers[0], max(layers[:-1])), layers[-1]) == (cut.full, cut.last)
    assert layers[0] == cut.first
    equal = plain_layers(depth, p)
    assert sum(equal) == depth
    assert best <= max(*equal[:-1], equal[-1] + head)


def test_llama_3_405b_leaves_room_for_its_head() -> None:
    """126 layers on 16 stages (Llama 3, 3.3.2: one layer less on the first and the last stage)."""
    assert evened_layers(126, 16, 1.0) == [7] + [8] * 14 + [7]
    assert evened(126, 16, 1.0).slowest == 8
