"""One fleet of several kinds of chip: data-parallel groups and pipeline stages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from click.testing import CliRunner

from against import pipeline_oracle as oracle
from chares.errors import InputError, NoPlan
from chares.faces.sizing import compare_chips
from chares.facts import Facts
from chares.model import (
    SCHEDULES,
    Span,
    Strategy,
    Stretch,
    count_parameters,
    layer_times,
    pace_of,
    predict,
    staged_step,
    sum_between,
)
from chares.search import Asked, Question, explore, mixed, question_for, space_for
from chares.search.mixed_choices import ONE_RUN, Choices, splits
from chares.search.mixed_groups import Kind, divide
from chares.search.mixed_stages import chained
from chares.search.scaling import lean

Fleet = Sequence[tuple[str, int]]


def questions(facts: Facts, model: str, fleet: Fleet, batch: int) -> list[Question]:
    return [
        question_for(model, chip, n, facts, global_batch=batch, seq_len=4096) for chip, n in fleet
    ]


@pytest.fixture(scope="module")
def seventy(facts: Facts) -> Asked:
    """Llama 2 70B on 128 H100: 80 layers."""
    return question_for("llama-2-70b", "h100-sxm", 128, facts, global_batch=512).asked


# data-parallel groups ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fleet", "batch"),
    [
        ((("h100-sxm", 16), ("h20", 8)), 25),
        ((("h100-sxm", 8), ("h20", 8), ("h200-sxm", 16)), 13),
    ],
)
def test_no_division_of_the_batch_is_faster(facts: Facts, fleet: Fleet, batch: int) -> None:
    asked = questions(facts, "llama-2-7b", fleet, batch)
    found, shares = divide([Kind(q) for q in asked], batch)
    assert sum(shares) == batch
    times = []  # by kind and share, each searched afresh and without a limit
    for question in asked:
        kind = Kind(question)
        rows = [kind.fastest(share) for share in range(1, batch + 1)]
        times.append([0.0, *(r.step_time_s if r else np.inf for r in rows)])
        assert times[-1] == sorted(times[-1])
    every = product(range(batch + 1), repeat=len(fleet))
    best = min(
        max(t[s] for t, s in zip(times, divided, strict=True))
        for divided in every
        if sum(divided) == batch
    )
    assert found == pytest.approx(best, rel=1e-12)
    assert max(t[s] for t, s in zip(times, shares, strict=True)) == pytest.approx(best, rel=1e-12)


def test_one_kind_with_a_batch_that_divides_is_the_ordinary_search(seventy: Asked) -> None:
    question = Question("llama-2-70b", "h100-sxm", "bf16", seventy)
    alone = Kind(question).fastest(512)
    ordinary = explore(seventy, lean(space_for(seventy)), keep=1).best[0]
    assert alone is not None
    # replicas that do not divide the batch may be a little faster, none is slower
    assert 0.97 * ordinary.step_time_s < alone.step_time_s <= ordinary.step_time_s


def test_gradients_between_kinds_cross_the_slower_links(facts: Facts) -> None:
    fast, slow = questions(facts, "llama-2-7b", (("h100-sxm", 8), ("h20", 8)), 16)
    hardware = [fast.asked.hardware, replace(slow.asked.hardware, scale_out_bandwidth=5e9)]
    fitted = [fast.asked.calibration, slow.asked.calibration]
    size = count_parameters(fast.asked.shape).total * 2.0 / 8
    # two kinds: half of a slice is sent to be summed, half comes back; both at the slow end's pace
    c = fitted[1]
    each = (size / 2) / (5e9 * c.out) * (1 + c.congestion) + c.out_latency
    assert sum_between([size, size], hardware, fitted) == pytest.approx(2 * each, rel=1e-12)


@pytest.mark.parametrize("fleet", [(("h100-sxm", 64), ("h200-sxm", 32)),
                                   (("h100-sxm", 64), ("h20", 64))])  # fmt: skip
def test_a_mixed_fleet_lies_between_its_faster_kind_and_perfect_scaling(
    facts: Facts, fleet: Fleet
) -> None:
    found = mixed(questions(facts, "llama-2-70b", fleet, 512))
    groups, stages = found.ways[-2:]
    fastest = min(t for t in found.alone.values() if t)
    assert found.step_time_s <= fastest
    assert found.added_s is not None
    for way in (groups, stages):
        assert way.step_time_s is not None
        assert found.added_s < way.step_time_s < fastest
        assert sum(way.time_s.values()) == pytest.approx(way.step_time_s, rel=1e-12)
    assert sum(p.global_batch for p in groups.parts) == 512
    assert sum(p.layers or 0 for p in stages.parts) == 80
    assert groups.step_time_s == max(p.best.step_time_s for p in groups.parts) + groups.between_s


# pipelines over two kinds ------------------------------------------------------------------------


def rows_of(asked: Asked, **fields: object) -> tuple[Strategy, Stretch]:
    """A strategy and the whole pipeline of it as one stretch."""
    s = replace(asked.template, **fields)  # type: ignore[arg-type]  # fields of the template
    layers = layer_times(asked.shape, s, asked.hardware, asked.calibration)
    span = Span(s.pp, 0.0, asked.shape.n_layers)
    return s, Stretch(layers, s, asked.hardware, asked.calibration, span)


@pytest.mark.parametrize("schedule", [0, 1])
@pytest.mark.parametrize("zero", [0, 1, 3])
def test_stretches_of_equal_chips_are_the_ordinary_pipeline(
    seventy: Asked, schedule: int, zero: int
) -> None:
    pp = np.array([2.0, 4.0, 8.0, 10.0, 16.0, 20.0])
    s, whole = rows_of(
        seventy, tp=4.0, pp=pp, dp=8.0, micro_batch=2.0, schedule=schedule, zero=zero, recompute=1
    )
    ordinary = predict(seventy.shape, s, seventy.hardware, seventy.calibration)
    halves = [
        replace(whole, span=Span(pp / 2, 0.0, np.full(6, 40.0))),
        replace(whole, span=Span(pp / 2, pp / 2, np.full(6, 40.0))),
    ]
    for stretches in ([whole], halves):
        step = staged_step(seventy.shape, stretches)
        np.testing.assert_allclose(step.step_time_s, ordinary.step_time_s, rtol=1e-12)
        np.testing.assert_allclose(step.mfu, ordinary.mfu, rtol=1e-12)
        device = np.max([m.device for m in step.memory], axis=0)
        np.testing.assert_allclose(device, ordinary.memory.device, rtol=1e-12)


def test_two_fleets_of_one_chip_do_what_the_ordinary_search_does(
    facts: Facts, seventy: Asked
) -> None:
    chain = chained(questions(facts, "llama-2-70b", (("h100-sxm", 64), ("h100-sxm", 64)), 512))
    assert chain is not None
    space = replace(lean(space_for(seventy)), vp=(1,), schedule=ONE_RUN)
    even = replace(space, pp=tuple(p for p in space.pp if p % 2 == 0))
    ordinary = explore(seventy, even, keep=1).best[0]
    assert float(chain.step.step_time_s) == pytest.approx(ordinary.step_time_s, rel=1e-12)


def durations(stretches: Sequence[Stretch]) -> list[tuple[float, float, float]]:
    """Forward, backward of the input and of the weights of each stage, by hand."""
    stages = []
    for x in stretches:
        a, count = x.layers, int(x.span.stages)
        layer = float(
            a.linear + a.attention + a.experts + a.elementwise + a.routing + a.tp_exposed
            + a.cp_exposed + a.ep_exposed
        )  # fmt: skip
        # gradients of a layer are added to their sum in memory
        layer += float(
            a.dense_parameters * 2 * x.strategy.gradient_bytes
            / (x.hardware.memory_bandwidth * x.calibration.memory)
        )  # fmt: skip
        each = [int(x.span.layers) // count] * count
        for i in range(int(x.span.layers) % count):
            each[i] += 1  # the last has fewer
        seconds = [n * layer for n in each]
        if x is stretches[-1]:
            seconds[-1] += float(a.head)
        f, w = float(a.forward_share), float(a.weight_share)
        stages += [(t * f, t * (1 - f - w), t * w) for t in seconds]
    return stages


@pytest.mark.parametrize("schedule", ONE_RUN)
@pytest.mark.parametrize(
    ("first", "second", "own", "layers"),
    [
        ("h100-sxm", "h20", (2, 2), 68),  # even in time, six times the layers
        ("h20", "h100-sxm", (2, 2), 12),
        ("h100-sxm", "h200-sxm", (4, 2), 53),
        ("h100-sxm", "h200-sxm", (2, 6), 10),  # the first stages wait
        ("h20", "h200-sxm", (3, 5), 30),  # the last stages wait
    ],
)
def test_unequal_stages_take_what_the_oracle_says(
    facts: Facts, schedule: int, first: str, second: str, own: tuple[int, int], layers: int
) -> None:
    stages, m = sum(own), 32
    asked = [q.asked for q in questions(facts, "llama-2-70b", ((first, 64), (second, 64)), 512)]
    made = []
    for one, before, has in zip(asked, (0, own[0]), (layers, 80 - layers), strict=True):
        pp = float(stages)
        _, x = rows_of(one, tp=8.0, pp=pp, dp=8.0, micro_batch=2.0, schedule=schedule)
        count = float(own[1] if before else own[0])
        made.append(replace(x, span=Span(count, float(before), float(has))))
    pace = pace_of(asked[0].shape, made)
    each = durations(made)
    orders = (oracle.one_f_one_b, oracle.zb_h1)[schedule](stages, m)
    run = oracle.evaluate(orders, stages, lambda t, device: each[device]["FBW".index(t.kind)])
    found = float(pace.stage) * m + float(pace.idle)
    assert found == pytest.approx(run.time, rel=0.04)


def test_no_split_of_the_layers_is_faster_than_those_tried(facts: Facts) -> None:
    one, two = (
        q.asked for q in questions(facts, "llama-2-70b", (("h100-sxm", 48), ("h20", 32)), 64)
    )
    for a, b in ((1, 1), (3, 2), (5, 9), (16, 7)):
        every = np.arange(a, 80 - b + 1.0)
        made = [
            rows_of(asked, tp=4.0, pp=float(a + b), dp=2.0, micro_batch=1.0)[1]
            for asked in (one, two)
        ]
        spans = Span(float(a), 0.0, every), Span(float(b), float(a), 80.0 - every)
        stretches = [replace(x, span=span) for x, span in zip(made, spans, strict=True)]
        times = staged_step(one.shape, stretches).step_time_s
        tried = np.isin(every, splits(80, a, b))
        assert np.min(np.where(tried, times, np.inf)) == np.min(times)
        # the stages are even in time: the slower chip has fewer layers on each
        best = every[np.argmin(times)]
        assert best / a > (80 - best) / b


@pytest.mark.parametrize("share", [1.0, 0.15])
def test_no_pipeline_is_faster_than_the_one_found(facts: Facts, share: float) -> None:
    asked = []
    for q in questions(facts, "llama-2-7b", (("h100-sxm", 4), ("h20", 4)), 4):
        limit = q.asked.memory_limit * share
        shape = replace(q.asked.shape, n_layers=6)
        asked.append(replace(q, asked=replace(q.asked, shape=shape, memory_limit=limit)))
    chain = chained(asked)
    assert chain is not None
    kinds = [Choices(q.asked) for q in asked]
    least = min(
        fastest_of_all([kinds[i] for i in order], size)
        for order, size in product(permutations(range(2)), (1, 2, 4))
    )
    assert float(chain.step.step_time_s) == pytest.approx(least, rel=1e-12)


WAYS = np.array([(0, 0), (1, 0), (2, 0), (3, 0), (1, 1), (2, 1), (3, 1)])  # ZeRO, inside a node


def fastest_of_all(kinds: Sequence[Choices], size: int) -> float:
    """Every pair of rows, split, schedule and way of sharding of six layers, none left out."""
    shape, batch = kinds[0].asked.shape, kinds[0].asked.global_batch
    counts = [np.arange(len(k.columns["tp"])) for k in kinds]
    grid = np.meshgrid(*counts, np.arange(1, 6), ONE_RUN, range(7), range(7), indexing="ij")
    rows = [g.ravel() for g in grid]
    dp = [k.columns["dp"][r] for k, r in zip(kinds, rows[:2], strict=True)]
    own = [k.columns["pp"][r] for k, r in zip(kinds, rows[:2], strict=True)]
    ranks = [d * k.columns["cp"][r] for d, k, r in zip(dp, kinds, rows[:2], strict=True)]
    full = [WAYS[rows[i], 0] == 3 for i in (4, 5)]
    legal = (dp[0] == dp[1]) & ((size == 1) | (dp[0] * size <= batch)) & (dp[0] <= batch)
    legal &= (own[0] <= rows[2]) & (own[1] <= 6 - rows[2]) & (full[0] == full[1])
    legal &= ~full[0] | ((ranks[0] > 1) & (ranks[1] > 1))
    rows = [r[legal] for r in rows]
    own = [p[legal] for p in own]
    spans = Span(own[0], 0.0, rows[2] * 1.0), Span(own[1], own[0], 6.0 - rows[2])
    made, fits = [], np.ones(len(rows[0]), dtype=bool)
    for kind, r, span, way in zip(kinds, rows[:2], spans, rows[4:], strict=True):
        hardware = kind.asked.hardware
        node = np.maximum(1.0, hardware.scale_up_size / kind.columns["tp"][r])
        s = kind.strategy(
            r, pp=own[0] + own[1], micro_batch=float(size), schedule=rows[3],
            zero=WAYS[way, 0], shard_group=WAYS[way, 1] * node,
        )  # fmt: skip
        layers = layer_times(shape, s, hardware, kind.asked.calibration)
        made.append(Stretch(layers, s, hardware, kind.asked.calibration, span))
        fits &= np.asarray(made[-1].memory(shape).device <= kind.asked.memory_limit)
    return float(np.min(np.where(fits, staged_step(shape, made).step_time_s, np.inf)))


def test_each_kind_keeps_to_its_own_memory(facts: Facts) -> None:
    asked = questions(facts, "llama-2-70b", (("h100-sxm", 64), ("h200-sxm", 32)), 512)
    free = chained(asked)
    tight = replace(asked[0].asked, memory_limit=30e9)
    chain = chained([replace(asked[0], asked=tight), asked[1]])
    assert free is not None
    assert chain is not None
    limits = [30e9, asked[1].asked.memory_limit]
    for place, memory in zip(chain.order, chain.step.memory, strict=True):
        assert memory.device <= limits[place]
    assert chain.step.step_time_s >= free.step.step_time_s
    none = [replace(q, asked=replace(q.asked, memory_limit=1e9)) for q in asked]
    assert chained(none) is None
    with pytest.raises(NoPlan):
        mixed(none)


def test_micro_batches_in_flight_differ_by_stretch(seventy: Asked) -> None:
    """1F1B: of 8 stages the first holds 8 micro-batches, the fifth 4 (Narayanan et al. 2021)."""
    _, whole = rows_of(seventy, tp=8.0, pp=8.0, dp=2.0, micro_batch=1.0, zero=1)
    first = replace(whole, span=Span(4.0, 0.0, 40.0)).memory(seventy.shape)
    last = replace(whole, span=Span(4.0, 4.0, 40.0)).memory(seventy.shape)
    received = 1.0 * 4096 * 2 * 8192 / 8  # of each in flight, shared over the tensor ranks
    kept = float(first.activations) / 8 - received
    assert float(last.activations) == pytest.approx(4 * (kept + received), rel=1e-12)
    assert float(first.weights) == float(last.weights)


# the command -------------------------------------------------------------------------------------

JOB = ["--model", "llama-2-7b", "--batch", "64", "--seq", "4096"]


def test_the_command_shows_every_way() -> None:
    fleet = [*JOB, "--mixed", "h100-sxm:16,h200-sxm:8"]
    result = CliRunner().invoke(compare_chips, [*fleet, "--json"], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert [w["way"] for w in found["ways"]] == ["alone", "alone", "groups", "stages"]
    assert found["step_time_s"] == min(w["step_time_s"] for w in found["ways"])
    assert found["best"] in ("groups", "stages")
    stages = found["ways"][-1]["parts"]
    assert sum(p["layers"] for p in stages) == 32
    assert {p["best"]["strategy"]["schedule"] for p in stages} <= {SCHEDULES[i] for i in ONE_RUN}
    shown = CliRunner().invoke(compare_chips, fleet, catch_exceptions=False).output
    assert "Fastest: " in shown
    assert "h200-sxm alone: " in shown
    japanese = CliRunner().invoke(compare_chips, [*fleet, "--lang", "ja"], catch_exceptions=False)
    assert "最速は" in japanese.output


def test_three_kinds_and_fleets_that_are_none() -> None:
    three = [*JOB, "--mixed", "h100-sxm:16,h200-sxm:8,h20:8"]
    shown = CliRunner().invoke(compare_chips, three, catch_exceptions=False).output
    assert "Pipeline stages: searched over two kinds of chip only." in shown
    for fleet, match in (("h100-sxm:16", "at least two"), ("h100-sxm:8,h20:0", "no chips")):
        with pytest.raises(InputError, match=match):
            CliRunner().invoke(compare_chips, [*JOB, "--mixed", fleet], catch_exceptions=False)


def test_a_kind_that_cannot_hold_the_model_is_said_to_add_nothing(facts: Facts) -> None:
    asked = questions(facts, "llama-2-70b", (("h100-sxm", 64), ("rtx-4090", 1)), 64)
    found = mixed(asked)
    assert found.best.chip == "h100-sxm"
    assert found.alone["rtx-4090"] is None
    assert found.added_s is None
    assert found.ways[2].why_not == "the other kinds add nothing"
