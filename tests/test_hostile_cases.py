"""Cases at the edge of sense: each ends in a sensible plan or in one clear error."""

from __future__ import annotations

import math

import pytest

from chares.errors import CharesError, InputErrors
from chares.ledger import Estimate, formula, intervals, leaf
from chares.money import loan_balance
from chares.planner import Plan, plan
from chares.spec import parse_case
from chares.units import YEAR

HEAD = "name: edge\nas_of: 2025-07-22\n"
CHIPS = "fleet: [{chip: h100-sxm, count: 1000, online: 2024-02-29}]\n"
SITE = "site: {start: 2024-02-29}\n"
JOB = "train: {compute: 1e24 FLOP, mfu: 40 %}\n"


def fleet(chip: str = "h100-sxm", count: int = 1000) -> str:
    return f"fleet: [{{chip: {chip}, count: {count}, online: 2024-02-29}}]\n"


def planned(text: str) -> Plan:
    """The plan, after a look that every figure is a finite number and every report can be told."""
    found = plan(parse_case(HEAD + text))
    for id_, figure in found.figures.items():
        if isinstance(figure.value, (int, float)):
            assert math.isfinite(figure.value), id_
    for id_, estimate in found.estimates.items():
        assert math.isfinite(estimate.low), id_
        assert math.isfinite(estimate.high), id_
        assert estimate.low <= estimate.likely <= estimate.high, id_
    assert repr(found)
    assert found._repr_html_()
    return found


@pytest.mark.parametrize("count", [1, 1_000_000])
def test_the_smallest_and_a_huge_fleet(count: int) -> None:
    found = planned(fleet(count=count) + SITE + JOB)
    assert 0 < found.figure("run.goodput").value < 1
    assert found.figure("site.chips").value == count
    assert all(e.low > 0 for id_, e in found.estimates.items() if id_.startswith("run."))


def test_ten_million_chips_never_get_on() -> None:
    """Interrupted every 18 s, with restarts of 10 minutes: e^-33 of the time is left."""
    with pytest.raises(CharesError, match="10,000,000 chips makes no progress") as caught:
        planned(fleet(count=10_000_000) + SITE + JOB)
    assert caught.value.code == "no-progress"
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("chip", ["tpu-v3", "mi250x", "trainium3", "ascend-910c", "gb300"])
def test_a_chip_about_which_little_is_published(chip: str) -> None:
    assert planned(fleet(chip) + "site: {place: memphis}\n" + JOB).figure("site.power").value > 0


def test_batches_of_one_leap_day_are_one_phase() -> None:
    batches = ", ".join(f"{{chip: h100-sxm, count: {n}, online: 2024-02-29}}" for n in (100, 200))
    found = planned(f"fleet: [{batches}]\n" + SITE + JOB)
    assert found.site
    assert [p.chips.value for p in found.site.phases] == [300]
    assert found.figure("site.days_to_chips(300)").value == 0


def test_training_starts_when_there_are_chips_and_takes_no_more_than_there_are() -> None:
    job = "train: {compute: 1e24 FLOP, mfu: 40 %, chips: 100000, start: 1990-01-01}\n"
    asked, whole = planned(CHIPS + SITE + job), planned(CHIPS + SITE + JOB)
    assert asked.figure("run.start").value == whole.figure("run.start").value
    assert asked.figure("run.training_time").value == whole.figure("run.training_time").value


@pytest.mark.parametrize("supply", ["[]", "[{kind: battery, power: 9 MW, online: 2024-02-29}]"])
def test_a_site_without_lasting_power_on_record(supply: str) -> None:
    found = planned(CHIPS + f"site: {{supplies: {supply}}}\n" + JOB)
    assert found.find("site.phase1.supply") is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (fleet(count=0) + JOB, "not-positive"),
        ("fleet: [{chip: h100-sxm, count: 0.5}]\n", "out-of-range"),
        ("fleet: [{chip: h100-sxm, count: 1e15}]\n", "out-of-range"),
        (CHIPS + "train: {compute: 1e24 FLOP, mfu: 0}\n", "not-positive"),
        (
            CHIPS + "train: {compute: 1e24 FLOP, mfu: {low: 0, likely: 0.4, high: 1}}\n",
            "not-positive",
        ),
        (CHIPS + "train: {compute: 1e-300 FLOP, mfu: 0.4}\n", "out-of-range"),
        (
            CHIPS + "train: {compute: 1e24 FLOP, mfu: 0.4, checkpoint_bandwidth: 1 B/s}\n",
            "no-progress",
        ),
        (CHIPS + "finance: {utilisation: 0}\n", "not-positive"),
        (CHIPS + "finance: {chip_price: 1e299 USD}\n", "out-of-range"),
        (
            "site: {supplies: [{kind: grid, power: 1 MW, online: 2024-03-01, until: 2024-03-01}]}",
            "ends-before-it-begins",
        ),
        ("known_by: 1990-01-01\n" + CHIPS + SITE + JOB, "no-fact-yet"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, code: str) -> None:
    with pytest.raises(CharesError) as caught:
        planned(text)
    assert not isinstance(caught.value, InputErrors)
    assert caught.value.code == code
    assert caught.value.hint or code == "not-positive"


def test_a_rent_below_the_electricity_has_no_break_even() -> None:
    found = planned(CHIPS + SITE + "finance: {hourly_price: 1e-6 USD/chip/h}\n")
    assert found.find("bill.own.opening") is not None
    assert found.find("bill.own.break_even_opening") is None


@pytest.mark.parametrize("interest", [0.0, 1e-18, 1e-9])
def test_a_loan_at_next_to_no_interest_is_repaid_evenly(interest: float) -> None:
    assert loan_balance(100.0, interest / YEAR, 4 * YEAR, YEAR) == pytest.approx(75.0)


@pytest.mark.parametrize("about", ["run.days(9999999999999)", "run.days(0)", "site.chips_on(x)"])
def test_a_claim_about_what_is_not_computed_stays_open(about: str) -> None:
    claim = f"claims: [{{id: a, says: b, about: '{about}', value: 5 day}}]\n"
    (held,) = planned(CHIPS + SITE + JOB + claim).held
    assert (held.verdict, held.reason) == ("unchecked", "no-figure")


@pytest.mark.parametrize("value", ["2024-02-30", "2023-02-29", "soon"])
def test_a_claimed_day_that_is_none_stays_open(value: str) -> None:
    claim = f"claims: [{{id: a, says: b, about: site.start, value: '{value}'}}]\n"
    (held,) = planned(CHIPS + SITE + claim).held
    assert (held.verdict, held.reason) == ("unchecked", "other-unit")


@formula("1 / (a b)")
def inverse(a: float, b: float) -> float:
    return 1.0 / (a * b)


def test_an_interval_of_positive_moves_stays_positive() -> None:
    """Each factor may be five times as large: 1 falls to 0.2 by either, so by 0.8 sqrt(2) > 1."""
    parts = [leaf(key, 1.0, "1", low=1.0, high=5.0) for key in "ab"]
    assert intervals([inverse(*parts).named("x")])["x"] == Estimate(0.2, 1.0, 1.0)


def test_an_interval_of_huge_numbers_does_not_overflow() -> None:
    big = leaf("a", 1e200, "1", low=0.5e200, high=2e200)
    found = intervals([inverse(1.0, inverse(big, 1.0)).named("x")])["x"]
    assert found.high == pytest.approx(2e200)
