"""The search against loops in plain Python, against single predictions, and against itself."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import product
from math import isfinite

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares.facts import Facts
from chares.model import (
    SCHEDULE_RULES,
    SCHEDULES,
    Strategy,
    allowed,
    parts_of,
    predict,
    stage_work,
)
from chares.search import (
    Asked,
    Candidate,
    Found,
    Question,
    Space,
    ask,
    default_space,
    explore,
    front_of,
    question_for,
    ranked,
    sizes,
    space_for,
    suited_batch,
)
from chares.search.space import broken_rule

ONE_F_ONE_B, ZB_H1, ZBV, DUALPIPE = range(4)


@pytest.fixture(scope="module")
def small(facts: Facts) -> Question:
    """A small model on 32 chips."""
    return question_for(
        "llama-2-7b", "a100-sxm-80gb", 32, facts, seq_len=4096, global_batch=64, hourly_price=2.0
    )


@pytest.fixture(scope="module")
def mixture(facts: Facts) -> Question:
    """A model with experts on 64 chips."""
    return question_for("mixtral-8x7b", "h100-sxm", 64, facts, seq_len=4096, global_batch=128)


def whole(question: Question) -> Space:
    asked = question.asked
    return default_space(
        asked.shape, asked.hardware, asked.n_chips, asked.global_batch, asked.seq_len
    )


def tight(question: Question, **changes: object) -> Space:
    """A space of few values that still meets every rule."""
    narrow = dict(
        tp=(1, 2, 3, 8), pp=(1, 2, 4, 64), cp=(1, 2), micro_batch=(1, 2, 64), vp=(1, 2, 3),
        recompute=((0, 1.0), (2, 0.5)), gradient_bytes=(4,),
    )  # fmt: skip
    return replace(whole(question), **(narrow | changes))  # type: ignore[arg-type]


# the same space by loops ------------------------------------------------------------------------


def legal(asked: Asked, p: dict[str, int]) -> bool:
    """The rules of the public frameworks, one strategy at a time, written anew."""
    shape, n, batch = asked.shape, asked.n_chips, asked.global_batch
    layers, experts = int(shape.n_layers), int(shape.n_experts)
    ways = p["tp"] * p["pp"] * p["cp"]
    if shape.n_heads % p["tp"] or p["pp"] > layers or n % ways:
        return False
    dp = n // ways
    split_experts = p["tp"] if p["etp"] else 1
    if (p["cp"] > 1 and asked.seq_len % (2 * p["cp"])) or batch % (dp * p["micro_batch"]):
        return False
    if p["tp"] == 1 and (p["sp"] or p["etp"] or not p["overlap_tp"]):
        return False  # nothing to share, to split or to overlap
    if (dp * p["cp"] * p["tp"]) % (p["ep"] * split_experts):
        return False
    if experts and (experts % p["ep"] or shape.d_expert % split_experts):
        return False
    micro = batch // (dp * p["micro_batch"])
    chunked = p["vp"] > 1
    chunks = p["pp"] * p["vp"]
    if chunked and (p["pp"] == 1 or micro % p["pp"]):
        return False
    if chunked and (layers < chunks if p["balance"] else layers % chunks):
        return False
    if p["balance"] and p["pp"] == 1:
        return False
    if p["schedule"] != ONE_F_ONE_B and (p["pp"] == 1 or chunked):
        return False
    if p["schedule"] == ZBV and layers < 2 * p["pp"]:
        return False  # a V has two chunks on each device
    if p["schedule"] == DUALPIPE and (p["pp"] % 2 or micro % 2 or micro < 2 * p["pp"]):
        return False  # half of the micro-batches enters at either end
    replicas = dp * p["cp"]
    if replicas == 1:  # nothing to shard or to reduce
        return not p["zero"] and not p["sharded_in_node"] and bool(p["overlap_dp"])
    in_node = max(1, int(asked.hardware.scale_up_size) // p["tp"])
    return not p["sharded_in_node"] or (replicas > in_node > 1 and p["zero"] > 0)


def strategy_of(asked: Asked, p: dict[str, int], recompute: tuple[int, float]) -> Strategy:
    kept = {f.name for f in fields(Strategy)} & p.keys()
    own = {n: float(p[n]) for n in kept - {"etp"}}
    dp = asked.n_chips // (p["tp"] * p["pp"] * p["cp"])
    group = max(1.0, asked.hardware.scale_up_size / p["tp"])
    return replace(
        asked.template, **own, dp=float(dp), etp=float(p["tp"] if p["etp"] else 1),
        recompute=float(recompute[0]), recompute_share=recompute[1],
        shard_group=group if p["sharded_in_node"] else 0.0,
    )  # fmt: skip


def by_loops(asked: Asked, space: Space) -> list[tuple[float, float]]:
    """(seconds, bytes) of every legal strategy."""
    names = [f.name for f in fields(Space)]
    found = []
    for values in product(*(getattr(space, n) for n in names)):
        p = dict(zip(names, values, strict=True))
        recompute = p.pop("recompute")
        if legal(asked, p):
            strategy = strategy_of(asked, p, recompute)
            step = predict(asked.shape, strategy, asked.hardware, asked.calibration)
            found.append((float(step.step_time_s), float(step.memory.device)))
    return found


def points(candidates: tuple[Candidate, ...]) -> np.ndarray:
    return np.array([(c.step_time_s, c.memory_bytes) for c in candidates])


@pytest.mark.parametrize("name", ["small", "mixture"])
def test_loops_find_the_same(name: str, request: pytest.FixtureRequest) -> None:
    question: Question = request.getfixturevalue(name)
    asked = question.asked
    some = dict(zero=(0, 3), overlap_dp=(1,), fused=(1,), schedule=(0, 2, 3), tp=(1, 2, 3))
    if name == "small":
        some |= dict(balance=(0, 2), micro_batch=(1, 2))
    else:
        some |= dict(cp=(1,), vp=(1, 2), ep=(1, 8), overlap_tp=(1,), micro_batch=(1, 2))
    space = tight(question, **some)
    rows = by_loops(asked, space)
    found = explore(asked, space, keep=25)
    assert found.legal == len(rows)
    assert found.evaluated == found.legal
    fitting = sorted(r for r in rows if r[1] <= asked.memory_limit)
    assert found.feasible == len(fitting)
    assert 0 < found.feasible < found.legal
    np.testing.assert_allclose(points(found.best), fitting[:25], rtol=1e-12)
    front: list[tuple[float, float]] = []
    for seconds, size in fitting:
        if not front or size < front[-1][1] * (1 - 1e-12):
            front.append((seconds, size))
    np.testing.assert_allclose(points(found.pareto), front, rtol=1e-12)
    assert found.smallest is not None
    assert found.smallest.memory_bytes == pytest.approx(min(r[1] for r in rows), rel=1e-12)


@given(
    tp=st.sampled_from([1, 2, 3, 8]), pp=st.sampled_from([1, 2, 3, 4, 5, 8, 64]),
    vp=st.integers(1, 4), schedule=st.integers(0, 3), micro_batch=st.integers(1, 3),
)  # fmt: skip
def test_a_single_strategy_is_held_to_the_rules_of_the_search(
    facts: Facts, tp: int, pp: int, vp: int, schedule: int, micro_batch: int
) -> None:
    asked = question_for("llama-2-7b", "a100-sxm-80gb", 120, facts, global_batch=240).asked
    p = dict(
        tp=tp, pp=pp, cp=1, sp=0, ep=1, etp=0, vp=vp, schedule=schedule, micro_batch=micro_batch,
        overlap_tp=1, overlap_dp=1, zero=0, sharded_in_node=0, balance=0,
    )  # fmt: skip
    strategy = replace(strategy_of(asked, p, (0, 1.0)), dp=float(120 // (tp * pp)))
    reason = broken_rule(strategy, asked.shape, asked.n_chips)
    assert (reason == "") == legal(asked, p)
    assert reason not in SCHEDULE_RULES or not allowed(
        schedule, pp, vp, 240 // max(1, 120 // (tp * pp) * micro_batch), 32
    )


# counts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "chip", "count", "batch"),
    [("gpt3-175b", "a100-sxm-80gb", 384, 1536), ("deepseek-v3", "h800-sxm", 256, 1024),
     ("llama-3-8b", "tpu-v5p", 7, 21)],
)  # fmt: skip
def test_every_point_of_the_product_is_counted_once(
    facts: Facts, model: str, chip: str, count: int, batch: int
) -> None:
    question = question_for(model, chip, count, facts, global_batch=batch, seq_len=4096)
    found = explore(question.asked, tight(question))
    unfit = found.rejected.get("does not fit in memory", 0)
    assert found.feasible + unfit == found.legal
    assert found.feasible + sum(found.rejected.values()) == found.space.size


def test_the_rows_of_a_block_are_those_of_a_prediction(mixture: Question) -> None:
    asked = mixture.asked
    found = explore(asked, whole(mixture), keep=60)
    for candidate, row in zip(found.best, ranked(asked, found.best), strict=True):
        assert row.step_time_s == pytest.approx(candidate.step_time_s, rel=1e-12)
        assert row.peak_memory_bytes == pytest.approx(candidate.memory_bytes, rel=1e-12)
        assert sum(row.time_s.values()) == pytest.approx(row.step_time_s, rel=1e-9)
        assert row.strategy["schedule"] in SCHEDULES


# order ------------------------------------------------------------------------------------------


def test_threads_do_not_change_the_answer(small: Question) -> None:
    one, two = (explore(small.asked, whole(small), 50, threads=n) for n in (1, 2))
    assert one.best == two.best
    assert one.pareto == two.pareto
    assert one.by_value == two.by_value


def test_ties_break_by_memory_then_by_place(small: Question) -> None:
    found = explore(small.asked, whole(small), 300)
    keys = [c.order for c in found.best]
    assert keys == sorted(keys)
    assert len({c.row for c in found.best}) == len(keys)
    assert len({k[0] for k in keys}) < len(keys), "no tie among the best: the test shows nothing"


def test_fewer_kept_are_the_first_of_more(small: Question) -> None:
    space = whole(small)
    assert explore(small.asked, space, 3).best == explore(small.asked, space, 40).best[:3]


# properties -------------------------------------------------------------------------------------


@given(limit=st.floats(5e9, 200e9), more=st.floats(1.0, 3.0))
def test_more_memory_never_makes_a_fitting_strategy_unfit(
    facts: Facts, limit: float, more: float
) -> None:
    question = question_for("llama-2-7b", "a100-sxm-80gb", 16, facts, global_batch=64)
    space = tight(question, vp=(1,), cp=(1,))
    less, greater = (
        explore(replace(question.asked, memory_limit=m), space) for m in (limit, limit * more)
    )
    assert less.feasible <= greater.feasible
    if less.best:
        assert greater.best[0].step_time_s <= less.best[0].step_time_s


def test_more_chips_are_never_slower_while_the_batch_divides(small: Question) -> None:
    """At equal batch, up to where every replica has one sequence and work enough."""
    found = [s for s in sizes(small, [8, 16, 32, 64], grow=False) if s.best]
    times = [s.best.step_time_s for s in found if s.best]
    assert times == sorted(times, reverse=True)
    assert [s.chips for s in found] == [8, 16, 32, 64]


def test_the_best_by_value_is_the_best(small: Question) -> None:
    found = explore(small.asked, whole(small), heat=("tp", "recompute"))
    best = found.best[0].step_time_s
    for values in found.by_value.values():
        assert min(values.values()) == best
    assert found.heat is not None
    grid = found.heat.step_time_s
    assert grid.min() == best
    tp = found.by_value["tp"]
    for label, row in zip(found.heat.labels[0], grid, strict=True):
        assert row.min() == tp[label]


def test_what_a_space_excludes_is_not_found(small: Question) -> None:
    found = explore(small.asked, tight(small, tp=(8,), pp=(4,)))
    assert {(c.strategy.tp, c.strategy.pp, c.strategy.dp) for c in found.best} == {(8, 4, 1)}


# fronts, batches, scale -------------------------------------------------------------------------


def test_nothing_on_the_front_is_beaten(small: Question) -> None:
    rows = [r for s in sizes(small, [8, 16, 32]) for r in s.pareto]
    front = front_of(rows)
    goals = [(r.days, r.peak_memory_bytes, r.chips, r.cost_usd) for r in front]
    for a in goals:
        assert not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in goals)
    assert {r.chips for r in front} == {8, 16, 32}


@given(count=st.integers(1, 10**6), least=st.integers(1, 10**5))
def test_a_suited_batch_divides(count: int, least: int) -> None:
    batch = suited_batch(count, least)
    assert batch >= least
    assert any(
        count % replica == 0 and batch % (count // replica) == 0 for replica in range(1, 129)
    )


def test_days_and_cost_follow_from_the_step(small: Question) -> None:
    asked = small.asked
    first = ranked(asked, explore(asked, whole(small)).best[:1])[0]
    steps = asked.tokens / (64 * 4096)
    assert first.days is not None
    assert first.cost_usd is not None
    assert first.days == pytest.approx(steps * first.step_time_s / 86400)
    assert first.cost_usd == pytest.approx(first.days * 24 * 32 * 2.0)
    assert isfinite(first.mfu)
    assert 0.2 < first.mfu < 0.9


def test_nothing_legal_is_an_answer(facts: Facts) -> None:
    question = question_for("llama-2-7b", "h100-sxm", 37, facts, global_batch=4)
    found: Found = explore(question.asked, whole(question))
    assert not found.best
    assert sum(found.rejected.values()) == found.space.size


def test_offload_makes_the_space_eight_times_as_large_and_lets_a_model_fit(facts: Facts) -> None:
    job = {"tokens": 1e9, "seq_len": 4096, "global_batch": 64}
    plain = ask("llama-3-70b", "h100-sxm", 16, facts, **job)  # type: ignore[arg-type]
    helped = ask("llama-3-70b", "h100-sxm", 16, facts, offload=True, **job)  # type: ignore[arg-type]
    assert helped.found.legal == 8 * plain.found.legal
    assert plain.found.feasible == 0  # 16 bytes x 70 G parameters / 16 leave 10 GB of 80
    assert helped.found.feasible > 0


def test_stages_of_equal_time_are_never_slower(facts: Facts) -> None:
    """A large vocabulary on few layers: the head is worth several layers."""
    job = {"tokens": 1e9, "seq_len": 4096, "global_batch": 64}
    asked = question_for("llama-3-8b", "h100-sxm", 32, facts, **job).asked  # type: ignore[arg-type]
    space = replace(space_for(asked), pp=(4, 8, 16), recompute=((2, 1.0),))
    both = explore(asked, replace(space, balance=(0, 2)), keep=1)
    plain = explore(asked, space, keep=1)
    assert both.legal > plain.legal
    assert both.best[0].step_time_s < plain.best[0].step_time_s
    assert both.by_value["balance"]["equal layers"] == plain.best[0].step_time_s
    rows = [
        replace(asked.template, pp=8.0, dp=4.0, vp=v, balance=b) for v in (1, 2) for b in (0, 2)
    ]
    steps = [predict(asked.shape, r, asked.hardware, asked.calibration) for r in rows]
    for equal, whole_layers in zip(steps[::2], steps[1::2], strict=True):
        assert whole_layers.step_time_s < equal.step_time_s
        parts = parts_of(whole_layers)
        assert sum(parts.values()) == pytest.approx(whole_layers.step_time_s, rel=1e-12)


def test_uneven_stages_are_asked_for_by_name(facts: Facts) -> None:
    job = {"tokens": 1e9, "seq_len": 4096, "global_batch": 16}
    uneven = ask("llama-3-8b", "h100-sxm", 8, facts, uneven=True, keep=1, **job)  # type: ignore[arg-type]
    plain = ask("llama-3-8b", "h100-sxm", 8, facts, keep=1, **job)  # type: ignore[arg-type]
    assert uneven.found.space.size == 2 * plain.found.space.size
    assert uneven.best[0].step_time_s <= plain.best[0].step_time_s
    assert plain.best[0].strategy["balance"] == 0


def test_memory_follows_the_layers_of_the_stage(facts: Facts) -> None:
    """32 layers on 8 stages: four each. Where the head takes as long as some layers, the last
    stage has fewer and the first, which is the fullest, at least as many."""
    asked = question_for("llama-3-8b", "h100-sxm", 8, facts, global_batch=64, seq_len=4096).asked
    strategy = replace(asked.template, pp=8.0, zero=0.0)
    stages = stage_work(
        asked.shape, replace(strategy, balance=2.0), asked.hardware, asked.calibration
    )
    assert sum(x.layers for x in stages) == 32
    assert stages[-1].layers < 4 < max(x.layers for x in stages)
    here, there = (
        predict(asked.shape, replace(strategy, balance=b), asked.hardware, asked.calibration)
        for b in (0.0, 2.0)
    )
    assert here.memory.stage == there.memory.stage == 0
    one_layer = asked.shape.d_model * (
        2 * asked.shape.d_model + 2 * asked.shape.n_kv_heads * asked.shape.d_head
        + 3 * asked.shape.d_ff
    )  # fmt: skip
    more = stages[0].layers - 4
    weights = there.memory.weights - here.memory.weights
    assert weights == pytest.approx(more * one_layer * 2.0, rel=2e-3)
