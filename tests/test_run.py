"""The run: failures, checkpoints, goodput, and the calendar of a job."""

from __future__ import annotations

import math
from datetime import date
from typing import Any

import numpy as np
import pint
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import optimize, stats

from chares.build import Timeline, timeline
from chares.facts import Facts, load
from chares.ledger import NotAsked, intervals, leaves, replay
from chares.run import (
    Job,
    Pace,
    Weeks,
    daly_interval,
    expected_interruptions,
    goodput,
    linear_goodput,
    mean_time_to_interruption,
    simulate,
    spare_nodes,
    speed_from_mfu,
    speed_from_steps,
    state_from_compute,
    time_at_pace,
    write_time,
)
from chares.run.hazards import hazard, rate_from_counts
from chares.run.stretches import calendar
from chares.spec import Case, parse_case, read_case

DAY, HOUR, MINUTE = 86400.0, 3600.0, 60.0
FACTS = load()
LLAMA = 54 * DAY * 16_384 / 419  # chip-seconds between interruptions, from the counts


def job_of(case: Case, site: Timeline, facts: Facts) -> Job:
    """What the planner hands over, for a case that gives its compute and its MFU."""
    train = case.train
    assert train is not None
    assert train.compute is not None
    assert train.mfu is not None
    u = train.mfu
    mfu = case.given("train.mfu", u.likely, "1", low=u.low, high=u.high)
    peak = facts.figure("h100-sxm", "peak_bf16")
    paces = [Pace(p.online, p.chips, speed_from_mfu(p.chips, peak, mfu)) for p in site.phases]
    compute = case.given("train.compute", train.compute, "FLOP")
    return Job(compute, tuple(paces), "h100-sxm", None, mfu)


def plan(case: Case, facts: Facts = FACTS) -> Weeks:
    site = timeline(case, None, facts)
    assert isinstance(site, Timeline)
    found = simulate(case, job_of(case, site, facts), site, facts)
    assert isinstance(found, Weeks)
    return found


def fleet(count: int, mfu: float = 0.4, compute: str = "4.64e26 FLOP", more: str = "") -> Weeks:
    text = (
        f"name: t\nas_of: 2024-09-02\nfleet: [{{chip: h100-sxm, count: {count}}}]\n"
        f"train: {{compute: {compute}, mfu: {mfu}, {more}}}"
    )
    return plan(parse_case(text))


def value(weeks: Weeks, id: str) -> float:
    figure = weeks.figure(id)
    assert figure is not None, id
    assert figure.id == id
    return float(figure.value)


@pytest.fixture(scope="module")
def grok() -> Weeks:
    return plan(read_case("colossus-1"))


# failures -------------------------------------------------------------------------------------


def test_llama_3_is_interrupted_every_3_09_hours(grok: Weeks) -> None:
    """54 days x 24 h / 419 unexpected interruptions = 3.093 h on 16,384 chips."""
    assert value(grok, "run.mtti(16384)") == pytest.approx(54 * 24 / 419 * HOUR)
    assert value(grok, "run.mtti(16384)") / HOUR == pytest.approx(3.093, abs=0.0005)


def test_two_hundred_thousand_chips_are_interrupted_every_quarter_hour(grok: Weeks) -> None:
    assert value(grok, "run.mtti(200000)") / MINUTE == pytest.approx(15.2, abs=0.05)
    assert value(grok, "run.mtti(100000)") / HOUR == pytest.approx(0.507, abs=0.0005)
    assert value(grok, "run.mtti(550000)") / HOUR == pytest.approx(0.092, abs=0.0005)


def test_causes_add_up_and_shares_come_from_counts(grok: Weeks) -> None:
    """148 of 419 are faulty GPUs: 35.3 %, where the paper prints 30.1 %."""
    assert sum(c.count.value for c in grok.causes) == 419
    assert sum(c.share.value for c in grok.causes) == pytest.approx(1)
    worst = grok.causes[0]
    assert worst.id == "faulty_gpu"
    assert worst.share.value == pytest.approx(0.353, abs=0.0005)
    every = value(grok, "run.interruptions")
    assert sum(c.interruptions.value for c in grok.causes) == pytest.approx(every)


def test_the_rate_is_that_of_the_chip_or_its_generation() -> None:
    assert hazard("h100-sxm", FACTS).subject == "llama-3-405b-54-days"
    assert hazard("h800-sxm", FACTS).subject == "llama-3-405b-54-days"  # hopper
    assert hazard("a100-sxm-80gb", FACTS).subject == "rsc-1"
    assert hazard("a100-sxm-40gb", FACTS).subject == "rsc-1"  # ampere
    assert hazard("tpu-v5p", FACTS).subject == "llama-3-405b-54-days"  # nothing nearer is counted
    # 6.5 per 1,000 node-days of 8 chips: 1 / (0.0065 x 2,048) days = 1.80 h on 16,384 chips
    rate = float(hazard("a100-sxm-80gb", FACTS).rate.value)
    assert mean_time_to_interruption(16_384, rate) / HOUR == pytest.approx(1.803, abs=0.001)
    assert mean_time_to_interruption(131_072, rate) / HOUR == pytest.approx(0.225, abs=0.0005)


def test_a_chip_that_was_counted_gives_its_causes_only() -> None:
    text = (
        "name: t\nas_of: 2024-09-02\nfleet: [{chip: a100-sxm-80gb, count: 1024}]\n"
        "train: {compute: 1e23 FLOP, mfu: 0.4}"
    )
    case = parse_case(text)
    site = timeline(case, None, FACTS)
    assert isinstance(site, Timeline)
    job = job_of(case, site, FACTS)
    found = simulate(case, Job(job.compute, job.paces, "a100-sxm-80gb"), site, FACTS)
    assert isinstance(found, Weeks)
    assert found.causes == ()
    assert "run.mfu" not in found.figures


@given(st.floats(0.05, 3000))
def test_spares_are_the_poisson_quantile(mean: float) -> None:
    """Against scipy's exact quantile: never more than one node apart."""
    assert abs(spare_nodes(mean) - stats.poisson.ppf(0.99, mean)) <= 1


# checkpoints and goodput ----------------------------------------------------------------------


@pytest.mark.parametrize(("hours", "minutes"), [(24, 117), (6, 57), (0.25, 9.1)])
def test_the_intervals_that_daly_prints(hours: float, minutes: float) -> None:
    """Daly 2006, figures 3 to 5: delta = 5 min, R = 10 min; optimum 117, 57 and 9.1 min."""
    found = daly_interval(5.0, hours * 60.0)
    assert found == pytest.approx(minutes, abs=0.5 if minutes > 10 else 0.05)


@pytest.mark.parametrize("delta", [0.001, 0.1, 1.0])
def test_the_interval_is_the_optimum(delta: float) -> None:
    """Against a numerical search; Daly's estimate wastes at most 0.2 % more than the best."""
    best = optimize.minimize_scalar(
        lambda t: -goodput(t, delta, 0.0, 1.0), bounds=(1e-4, 10), method="bounded"
    )
    assert goodput(daly_interval(delta, 1.0), delta, 0.0, 1.0) >= -best.fun * 0.998


def test_the_interval_on_both_sides_of_its_threshold() -> None:
    """At delta = 2 M the estimate gives way to M: 2 M (1 + 1/3 + 1/9) - 2 M = 0.889 M below."""
    assert daly_interval(2.0, 1.0) == 1
    assert daly_interval(2.0001, 1.0) == 1
    assert daly_interval(1.9999, 1.0) == pytest.approx(8 / 9, abs=1e-3)


def test_llama_3_keeps_more_than_nine_tenths() -> None:
    """405e9 parameters x 16 B at 2 TB/s: 3.24 s; 419 interruptions, then all 466."""
    delta = write_time(state_from_compute(6 * 405e9 * 15.6e12, 15.6e12 / 405e9, 16.0), 2e12)
    assert delta == pytest.approx(3.24)
    for events in (419, 466):
        M = 54 * DAY / events
        assert goodput(daly_interval(delta, M), delta, 10 * MINUTE, M) > 0.9


def test_the_linear_form_goes_negative_where_the_exact_one_does_not() -> None:
    """200,000 chips, restart of 20 min, 3.2 s to write: -0.40 against 0.25."""
    M = LLAMA / 200_000
    tau = math.sqrt(2 * 3.2 * M)
    assert linear_goodput(tau, 3.2, 20 * MINUTE, M) == pytest.approx(-0.40, abs=0.005)
    assert goodput(daly_interval(3.2, M), 3.2, 20 * MINUTE, M) == pytest.approx(0.25, abs=0.005)


def test_goodput_against_a_simulated_job() -> None:
    """Daly's model against failures drawn one by one: M 30 min, R 10 min, delta 16 s."""
    M, R, delta = 1824.0, 600.0, 16.0
    tau = float(daly_interval(delta, M))
    rng = np.random.default_rng(1)
    wall, segments = 0.0, 4000
    for _ in range(segments):
        while (life := rng.exponential(M)) < tau + delta:
            wall += life
            while (life := rng.exponential(M)) < R:
                wall += life
            wall += R
        wall += tau + delta
    assert segments * tau / wall == pytest.approx(goodput(tau, delta, R, M), rel=0.03)


def test_what_was_published_of_a_hundred_thousand_chips() -> None:
    """Meta at about 100,000 GPUs: stalls of 3 min left 80 % effective; the model says 79 %. Of
    stalls of 10 min 44 % were left, which the interval of the rate reaches."""
    state = state_from_compute(4.64e26, 20.0, 16.0)
    delta = write_time(state, 2e12)
    M = LLAMA / 100_000
    isolated = FACTS.get("recovery", "isolated_effective_time").value
    assert goodput(daly_interval(delta, M), delta, 180.0, M) == pytest.approx(isolated, abs=0.02)
    weeks = fleet(100_000)
    low = intervals(list(weeks.figures.values()))["run.goodput"].low
    assert low < FACTS.get("recovery", "synchronous_effective_time").value < 0.64


positive = st.floats(1e-3, 1e7)


@given(positive, positive, st.floats(0, 1e6), positive)
def test_goodput_lies_between_nothing_and_all(tau: float, delta: float, R: float, M: float) -> None:
    assert 0 <= goodput(tau, delta, R, M) < 1


@given(st.floats(0.1, 100), st.floats(1, 3600), st.floats(1e3, 1e6), st.floats(1.01, 10))
def test_more_failures_leave_less(delta: float, R: float, M: float, worse: float) -> None:
    before = goodput(daly_interval(delta, M), delta, R, M)
    after = goodput(daly_interval(delta, M / worse), delta, R, M / worse)
    assert after < before


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.floats(1e6, 1e8))
def test_both_forms_agree_where_little_is_lost(delta: float, R: float, M: float) -> None:
    tau = daly_interval(delta, M)
    lost = 1 - linear_goodput(tau, delta, R, M)
    assume(lost < 0.05)
    assert goodput(tau, delta, R, M) == pytest.approx(1 - lost, abs=2 * lost**2)


def test_rows_and_single_cases_agree() -> None:
    chips = np.array([1e3, 1e5, 1e7])
    M = mean_time_to_interruption(chips, 1 / LLAMA)
    rows = np.asarray(goodput(daly_interval(10.0, M), 10.0, 600.0, M))
    for row, n in zip(rows, chips, strict=True):
        one = mean_time_to_interruption(n, 1 / LLAMA)
        assert row == goodput(daly_interval(10.0, one), 10.0, 600.0, one)
    speeds = [np.array([1.0, 2.0]), np.array([4.0, 4.0])]
    times = [np.asarray(time_at_pace(k, 3 * DAY, 0.0, [0.0, 2.0], speeds)) for k in (0, 1)]
    assert times[0] == pytest.approx([2 * DAY, 1.5 * DAY])
    assert times[1] == pytest.approx([0.25 * DAY, 0])


# days -------------------------------------------------------------------------------------------


def test_grok_3_on_one_hundred_thousand_h100() -> None:
    """4.64e26 / (1e5 x 989.4e12 x u) / 86,400: 100.5 days at 0.54, 135.7 at 0.40; 67.8 on twice
    the chips."""
    assert value(fleet(100_000, 0.54), "run.days_ideal(100000)") / DAY == pytest.approx(
        100.5, abs=0.1
    )
    weeks = fleet(100_000)
    assert value(weeks, "run.days_ideal(100000)") / DAY == pytest.approx(135.7, abs=0.1)
    assert value(weeks, "run.days_ideal(200000)") / DAY == pytest.approx(67.8, abs=0.1)
    assert value(weeks, "run.training_time_ideal") == value(weeks, "run.days_ideal(100000)")


def test_failures_make_it_longer() -> None:
    weeks = fleet(100_000)
    ideal, real = value(weeks, "run.days_ideal(100000)"), value(weeks, "run.days(100000)")
    assert real == pytest.approx(ideal / value(weeks, "run.goodput(100000)"))
    assert value(weeks, "run.training_time") == pytest.approx(real)
    assert value(weeks, "run.goodput") == pytest.approx(value(weeks, "run.goodput(100000)"))
    assert value(weeks, "run.mtti") == pytest.approx(value(weeks, "run.mtti(100000)"))
    isolated = value(weeks, "run.training_time_isolated")
    assert ideal < isolated < real
    assert value(weeks, "run.goodput_isolated") == pytest.approx(ideal / isolated)
    assert value(weeks, "run.mfu_kept") == pytest.approx(0.4 * ideal / real)


def test_the_job_speeds_up_when_chips_come_online(grok: Weeks) -> None:
    """Begun on 2024-09-02 with 100,000 chips; twice as many from 2025-02-17, 168 days later."""
    assert grok.start.value == date(2024, 9, 2).toordinal()
    first, second = grok.stretches
    assert first.chips.value == 100_000
    assert first.time.value == 168 * DAY
    assert second.chips.value == 200_000
    done = sum(s.time.value * s.speed.value * s.goodput.value for s in grok.stretches)
    assert done == pytest.approx(4.64e26)
    assert grok.end is not None
    whole = value(grok, "run.training_time")
    assert grok.end.value == pytest.approx(grok.start.value + whole / DAY)
    breaks = [s.time.value / s.mtti.value for s in grok.stretches]
    assert value(grok, "run.interruptions") == pytest.approx(sum(breaks))
    held = sum(s.time.value * s.chips.value for s in grok.stretches)
    assert value(grok, "run.chip_time") == pytest.approx(held)


def test_energy_at_the_meter(grok: Weeks) -> None:
    """Chips x 1,275 W x 1.1545 x 1.25 x 0.75 over the time that they are held."""
    watts = 1275 * 1.1545 * 1.25 * 0.75
    assert value(grok, "run.energy") == pytest.approx(value(grok, "run.chip_time") * watts)


def test_the_weeks_add_up(grok: Weeks) -> None:
    assert sum(w.days for w in grok.rows) * DAY == pytest.approx(value(grok, "run.training_time"))
    assert sum(w.interruptions for w in grok.rows) == pytest.approx(
        value(grok, "run.interruptions")
    )
    assert sum(w.energy or 0 for w in grok.rows) == pytest.approx(value(grok, "run.energy"))
    assert [w.done for w in grok.rows] == sorted(w.done for w in grok.rows)
    assert grok.rows[-1].done == pytest.approx(1)
    assert grok.rows[0].start == "2024-09-02"
    assert {w.chips for w in grok.rows} == {100_000, 200_000}


def test_long_jobs_are_told_in_longer_periods() -> None:
    weeks = fleet(1000)
    assert len(weeks.rows) <= 80
    assert weeks.rows[0].days > 7
    assert sum(w.days for w in weeks.rows) * DAY == pytest.approx(value(weeks, "run.training_time"))


def test_a_job_that_outlasts_the_calendar_has_no_end() -> None:
    weeks = fleet(8, compute="1e29 FLOP")
    assert weeks.end is None
    assert "run.end" not in weeks.figures
    assert weeks.rows == calendar(1.0, math.inf, []) == ()


def test_training_does_not_begin_before_its_chips() -> None:
    assert fleet(100_000, more="start: 2024-01-01").start.value == date(2024, 9, 2).toordinal()
    assert fleet(100_000, more="start: 2024-12-24").start.value == date(2024, 12, 24).toordinal()


def test_the_bandwidth_of_the_case() -> None:
    """Ten times faster storage: a tenth of the time to write, and less is lost."""
    slow, fast = fleet(100_000), fleet(100_000, more="checkpoint_bandwidth: 20 TB/s")
    ten = value(slow, "run.checkpoint_time") / value(fast, "run.checkpoint_time")
    assert ten == pytest.approx(10)
    assert value(fast, "run.goodput") > value(slow, "run.goodput")


def test_nothing_asked() -> None:
    case = parse_case("name: t\nas_of: 2024-09-02\nfleet: [{chip: h100-sxm, count: 8}]")
    assert isinstance(simulate(case, NotAsked("no job"), None, FACTS), NotAsked)
    weeks = fleet(8)
    assert isinstance(simulate(case, weeks.job, None, FACTS), NotAsked)
    timed = parse_case(
        "name: t\nas_of: 2024-09-02\nfleet: [{chip: h100-sxm, count: 8}]\n"
        "train: {compute: 1e20 FLOP, mfu: 0.4}"
    )
    alone = simulate(timed, weeks.job, NotAsked("no site"), FACTS)
    assert isinstance(alone, Weeks)
    assert "run.energy" not in alone.figures
    for id in ("run.days(x)", "run.days(0)", "run.nothing(5)", "site.chips", ""):
        assert alone.figure(id) is None


@given(st.floats(10, 1e6), st.floats(1.0, 3.0), st.floats(1e20, 1e26), st.floats(0, 40))
def test_more_chips_are_never_longer(n: float, more: float, C: float, later: float) -> None:
    """At constant goodput, in the first pace or in a later one."""

    def whole(first: float, second: float) -> Any:
        rates = [first * 4e14, second * 4e14]
        return sum(time_at_pace(k, C, 0.0, [0.0, later], rates) for k in (0, 1))

    assert whole(n * more, n * more) <= whole(n, n * more) <= whole(n, n) * (1 + 1e-12)


@given(st.lists(st.floats(1, 1e3), min_size=1, max_size=5), st.floats(1, 1e9), st.floats(0, 90))
def test_all_the_work_is_done(rates: list[float], C: float, start: float) -> None:
    onlines = [10.0 * i for i in range(len(rates))]
    first = max(start, onlines[0])
    times = [time_at_pace(k, C, first, onlines, rates) for k in range(len(rates))]
    assert all(t >= 0 for t in times)
    assert sum(t * r for t, r in zip(times, rates, strict=True)) == pytest.approx(C)


def test_dimensions() -> None:
    """Quantities go through the plain formulas and come out in the dimension they promise."""
    u = pint.UnitRegistry()
    u.define("FLOP = [arithmetic]")
    u.define("datum = [data]")
    M = mean_time_to_interruption(1000, rate_from_counts(419, 54 * u.day, 16_384))
    assert M.check("[time]")
    delta = write_time(6e12 * u.datum, 2e12 * u.datum / u.s)
    tau = daly_interval(delta.to("s"), M.to("s"))
    assert tau.check("[time]")
    assert goodput(tau, delta, 600 * u.s, M).check("")
    assert linear_goodput(tau, delta, 600 * u.s, M).check("")
    with pytest.raises(pint.DimensionalityError):
        goodput(tau, delta, 600 * u.m, M)
    speed = speed_from_mfu(1000, 989e12 * u.FLOP / u.s, 0.4)
    assert (1e24 * u.FLOP / speed).check("[time]")
    assert (speed_from_steps(1e24 * u.FLOP, 1000, 5 * u.s) / speed).check("")
    assert expected_interruptions([1 * u.day], [M]).check("")
    assert state_from_compute(1e24, 20, 16 * u.datum).check("[data]")


# the ledger -------------------------------------------------------------------------------------


def test_replaying_the_tree_equals_a_fresh_plan() -> None:
    case = read_case("colossus-1")
    weeks = plan(case)
    found = leaves(weeks.figures.values())
    assert len(found) > 15
    for leaf in found.values():
        if leaf.key.endswith(".online") or leaf.unit == "date":
            new: Any = leaf.value + 2
        else:
            new = leaf.value * 1.01
        if not leaf.key.startswith("case:"):
            fresh = plan(case, FACTS.with_values({leaf.key: new}))
        elif leaf.key.startswith("case:train"):
            path = leaf.key.removeprefix("case:")
            written = date.fromordinal(new).isoformat() if leaf.unit == "date" else new
            text = {"train.mfu": f"{{low: 0.3, likely: {new}, high: 0.5}}"}.get(path, written)
            unit = " FLOP" if path == "train.compute" else ""
            fresh = plan(read_case("colossus-1", [f"{path}={text}{unit}"]))
        else:
            continue  # the fleet is `build`'s
        for id, figure in weeks.figures.items():
            again = float(fresh.figures[id].value)
            assert float(replay(figure, {leaf.key: new})) == again, (id, leaf.key)


def test_what_could_be_known_before_the_run() -> None:
    """Facts of a day leave out what was published later; the plan does without."""
    case = read_case("colossus-1")
    early = plan(case, FACTS.known(date(2025, 3, 1)))
    assert early.figures["run.restart_time"].value == 12 * MINUTE
    assert "run.energy" not in early.figures
    assert "run.spare_nodes" not in early.figures
    assert value(early, "run.mtti(16384)") == pytest.approx(54 * 24 / 419 * HOUR)
