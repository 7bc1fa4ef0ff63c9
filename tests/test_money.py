"""Money: published costs, hand calculations, and what must hold of any bill."""

from __future__ import annotations

from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pint import UnitRegistry

from chares import build, money
from chares.facts import Facts, load
from chares.ledger import Figure, NotAsked, intervals, leaf, leaves, replay
from chares.money import costs, finance
from chares.money.rates import Rates, held
from chares.spec import Case, parse_case

HOUR, DAY, YEAR = 3600.0, 86400.0, 8766 * 3600.0
OOM = 0.14 / YEAR  # decline of value, orders of magnitude per second

COLOSSUS = """
name: Colossus 1
as_of: 2025-07-22
fleet:
  - {chip: h100-sxm, count: 25000, online: 2024-08-11}
  - {chip: h100-sxm, count: 75000, online: 2024-09-02}
  - {chip: h100-sxm, count: 50000, online: 2025-02-17}
  - {chip: h200-sxm, count: 50000, online: 2025-02-17}
site: {id: colossus-1, place: memphis}
finance: {interest: 12.5 %, life: 4 year, building_life: 15 year}
"""
DEEPSEEK = """
name: DeepSeek-V3
as_of: 2025-01-27
fleet: [{chip: h800-sxm, count: 2048, online: 2023-06-01}]
finance: {hourly_price: 2 USD/chip/h}
"""


@pytest.fixture(scope="module")
def facts() -> Facts:
    return load()


def use_of(case: Case, facts: Facts, **more: Any) -> tuple[money.Use, build.Timeline]:
    site = build.timeline(case, None, facts)
    assert not isinstance(site, NotAsked)
    chips = tuple((x.chip, x.count, x.online) for x in site.fleet.lots)
    power = site.phases[-1].facility_power
    return money.Use(chips=chips, facility_power=power, **more), site


def bill_of(text: str, facts: Facts, **more: Any) -> money.Bill:
    case = parse_case(text)
    use, site = use_of(case, facts, **more)
    bill = money.price(case, use, site, facts)
    assert isinstance(bill, money.Bill)
    return bill


def chip_time(hours: float, key: str = "hours") -> Figure:
    return leaf(key, hours * HOUR, "s")


REPORTED = (
    ("pre-training", chip_time(2.664e6, "case:a"), "deepseek-v3-report"),
    ("context extension", chip_time(0.119e6, "case:b"), "deepseek-v3-report"),
    ("post-training", chip_time(0.005e6, "case:c"), "deepseek-v3-report"),
)


def value(bill: money.Bill, id: str) -> float:
    found = bill.figure(id)
    assert found is not None, id
    return float(found.value)


# published runs ---------------------------------------------------------------------------------


def test_deepseek_v3_costs_what_its_report_says(facts: Facts) -> None:
    """Technical report, table 1: 5.328 + 0.238 + 0.01 = 5.576 million USD."""
    bill = bill_of(DEEPSEEK, facts, reported=REPORTED)
    amounts = [x.amount.value for x in bill.lines if x.scope == "final-run-rented"]
    assert amounts == pytest.approx([5.328e6, 0.238e6, 0.010e6])
    assert value(bill, "bill.total") == pytest.approx(5.576e6)
    assert bill.scope == "final-run-rented"
    assert bill.scope_of("bill.total") == "final-run"
    assert repr(bill) == "<Bill: 5.576e+06 USD, final run, rented; 5 scopes>"


def test_rent_is_looked_up_where_the_case_gives_none(facts: Facts) -> None:
    """The report's own assumption of 2 USD is the only record of an H800's rent."""
    text = DEEPSEEK.replace("finance: {hourly_price: 2 USD/chip/h}\n", "")
    bill = bill_of(text, facts, reported=REPORTED)
    assert value(bill, "bill.rented") == pytest.approx(5.576e6)


def test_four_views_of_deepseek(facts: Facts) -> None:
    """5.6 million, 20 to 60 with experiments, more with 160 people, and the fleet by itself."""
    fleet = """
fleet:
  - {chip: a100-sxm-40gb, count: 10000, online: 2021-06-01}
  - {chip: h800-sxm, count: 10000, online: 2023-06-01}
  - {chip: h100-sxm, count: 10000, online: 2024-01-01}
  - {chip: h20, count: 30000, online: 2024-06-01}
staff: {people: 160, pay: 300000 USD}
"""
    text = DEEPSEEK.replace("fleet: [{chip: h800-sxm, count: 2048, online: 2023-06-01}]", fleet)
    bill = bill_of(text, facts, reported=REPORTED)
    with_trials = bill.figures["bill.programme.experiments"]
    ends = intervals([with_trials])[with_trials.id]
    assert ends.low + 5.576e6 == pytest.approx(4 * 5.576e6, rel=1e-6)  # 22 million
    assert ends.high + 5.576e6 == pytest.approx(11 * 5.576e6, rel=1e-6)  # 61 million
    assert value(bill, "bill.programme.staff") == pytest.approx(48e6)
    assert value(bill, "bill.programme") == pytest.approx(5.576e6 * 6.5 + 48e6)
    # SemiAnalysis puts the servers at 1.3 to 1.6 billion; without the network's 19 %
    servers = value(bill, "bill.capital") * (1 - 0.19)
    assert 1.3e9 < servers < 1.6e9
    # 2.788e6 h of 60,000 x 8,766 h
    assert value(bill, "bill.run_share_of_fleet_year") == pytest.approx(0.0053, rel=0.01)


def epoch(
    hours: float, server: float, age: float, chip_watt: float, pue: float, tariff: float
) -> float:
    """Amortised cost by the formulas under test, from Epoch's inputs (servers priced whole)."""
    worth = costs.value_after(server, OOM, age * DAY)
    hardware = costs.amortised_hardware(worth, hours * HOUR, OOM)
    network = costs.network_on_top(hardware, 0.19)
    energy = costs.run_energy(hours * HOUR, chip_watt, 0.75, pue)
    return float(hardware + network + costs.energy_cost(energy, tariff / 3.6e9))


def test_gpt_4_amortised_is_epochs() -> None:
    """40.7 million in dollars of 2023 (model_costs.csv), within the inflation that Epoch adds.

    DGX A100 24,875 USD a chip, three months after its launch; 25,000 chips, 2,280 h until
    2022-08-15; 6.5 kW / 8 a chip; PUE 1.25; 80.6 USD/MWh.
    """
    age = (date(2022, 5, 12) - date(2020, 8, 12)).days
    found = epoch(5.7e7, 24_875, age, 6500 / 8, 1.25, 80.6)
    assert found == pytest.approx(40.7e6, rel=0.02)
    assert costs.system_price(24_875, 0.19) * 25_000 == pytest.approx(778e6, rel=0.02)


def test_llama_405b_amortised_is_epochs() -> None:
    """51.0 million: DGX H100 44,490 USD a chip from 2022-12-19, 16,384 chips, 2,142 h from
    2024-02-25, 10.2 kW / 8 a chip, PUE 1.1, 77.1 USD/MWh. The machine: 896 million."""
    age = (date(2024, 2, 25) - date(2022, 12, 19)).days
    found = epoch(16_384 * 2142, 44_490, age, 10_200 / 8, 1.1, 77.1)
    assert found == pytest.approx(51.0e6, rel=0.02)
    assert costs.system_price(44_490, 0.19) * 16_384 == pytest.approx(896e6, rel=0.02)


def test_amortised_run_by_hand(facts: Facts) -> None:
    """One batch, every factor written out: 1,000 H100 for 100 days from the day they came."""
    text = """
name: x
as_of: 2024-09-01
fleet: [{chip: h100-sxm, count: 1000, online: 2024-03-01}]
"""
    start = leaf("case:train.start", date(2024, 9, 1).toordinal(), "date")
    bill = bill_of(text, facts, chip_time=chip_time(2.4e6), start=start)
    years = (date(2024, 9, 1) - date(2024, 3, 1)).days / 365.25
    worth = 26_268 * 1.34 * 10 ** (-0.14 * years)  # price of 2024, server factor of Hopper
    servers = worth * 2.4e6 / 8766 * 0.14 * np.log(10)
    assert value(bill, "bill.amortised.hardware") == pytest.approx(servers)
    assert value(bill, "bill.amortised.network") == pytest.approx(servers * 0.19 / 0.81)
    megawatt_hours = 2.4e6 * 1275e-6 * 0.75 * 1.25  # server, mean draw, PUE
    assert value(bill, "bill.run_energy") == pytest.approx(megawatt_hours * 3.6e9)
    assert value(bill, "bill.energy") == pytest.approx(megawatt_hours * 77.1)  # US industry, 2024
    assert value(bill, "bill.rented") == pytest.approx(2.4e6 * 2.99)  # September 2024
    assert bill.scope == "final-run-rented"


# the site ---------------------------------------------------------------------------------------


def test_colossus_capital_by_hand(facts: Facts) -> None:
    bill = bill_of(COLOSSUS, facts)
    # H100 26,268 in 2024 and 23,238 in 2025, H200 32,492; servers x 1.34, network 19 %
    chips = 100e3 * 26_268 + 50e3 * 23_238 + 50e3 * 32_492
    lines = {x.id: x.amount.value for x in bill.lines if x.scope == "site-capital"}
    compute = lines["bill.capital.h100-sxm"] + lines["bill.capital.h200-sxm"]
    assert compute == pytest.approx(chips * 1.34 / 0.81)
    assert sum(lines.values()) == pytest.approx(value(bill, "bill.total"))
    assert bill.scope == "site-capital"
    assert bill.scope_of("bill.capital") == "site"


@pytest.mark.parametrize(
    ("chips", "published"), [(25_000, 1.2e9), (100_000, 4.7e9), (200_000, 9.3e9)]
)
def test_colossus_capital_holds_epochs_within_its_interval(
    facts: Facts, chips: int, published: float
) -> None:
    bill = bill_of(COLOSSUS, facts)
    said = bill.figures[f"bill.capital_published({chips})"]
    assert said.value == published
    assert said.source == "epoch-xai-timeline"
    computed = bill.figures[f"bill.capital_at({chips})"]
    ends = intervals([computed])[computed.id]
    assert ends.low <= published <= ends.high


def test_colossus_with_blackwell_holds_epochs_capital(facts: Facts) -> None:
    """230,000 chips on 2025-07-22: Epoch's timeline has 11.4 billion, an older export 12.86."""
    more = "  - {chip: gb200, count: 30000, online: 2025-07-22}\nsite:"
    bill = bill_of(COLOSSUS.replace("site:", more, 1), facts)
    computed = bill.figures["bill.capital_at(230000)"]
    ends = intervals([computed])[computed.id]
    assert bill.figures["bill.capital_published(230000)"].value == 11.4e9
    assert ends.low <= 11.4e9 <= ends.high
    assert ends.low <= 12.86e9 <= ends.high


def test_capital_is_answered_for_any_count(facts: Facts) -> None:
    bill = bill_of(COLOSSUS, facts)
    assert value(bill, "bill.capital_at(60000)") == value(bill, "bill.capital_at(100000)")
    assert bill.figure("bill.capital_at(200001)") is None
    assert bill.figure("bill.nothing") is None


def test_own_against_rent_of_colossus(facts: Facts) -> None:
    """(6.3e9 / 4 + 3.0e9 / 15 + 12.5 % x 9.3e9 + 361 MW x 62 USD/MWh) / (200,000 x 8,766 h) = 1.79;
    as level annuities, factors 0.33271 and 0.15076, 1.57. On Epoch's capital and power."""
    bill = bill_of(COLOSSUS, facts)
    published, computed = bill.ownership
    assert (published.basis, computed.basis) == ("published", "computed")
    energy = 361 * 8766 * 62
    hours = 200e3 * 8766
    opening = (6.3e9 / 4 + 3.0e9 / 15 + 0.125 * 9.3e9 + energy) / hours
    annuity = (6.3e9 * 0.332708 + 3.0e9 * 0.150764 + energy) / hours
    assert published.opening.value * HOUR == pytest.approx(opening)
    assert published.annuity.value * HOUR == pytest.approx(annuity, rel=1e-5)
    assert published.opening.value * HOUR == pytest.approx(1.79, abs=0.005)
    assert published.annuity.value * HOUR == pytest.approx(1.57, abs=0.005)
    assert bill.figures["bill.own.opening"] is published.opening


def test_a_chip_without_rent_on_the_day_is_taken_like_the_others(facts: Facts) -> None:
    """The first record of an H200's rent is of 2026: in 2025 the H100's 2.99 stands for both."""
    bill = bill_of(COLOSSUS, facts, chip_time=chip_time(1e6))
    assert value(bill, "bill.rent_rate") * HOUR == pytest.approx(2.99)
    note = next(x.note for x in bill.lines if x.id == "bill.rented.run")
    assert "h200-sxm, whose rent is not known" in note
    later = bill_of(COLOSSUS.replace("as_of: 2025-07-22", "as_of: 2026-06-01"), facts)
    assert value(later, "bill.rent_rate") * HOUR == pytest.approx((150 * 2.35 + 50 * 4) / 200)


def test_patient_money_owns_cheaper(facts: Facts) -> None:
    """8 % and five years: (6.3e9 / 5 + 3.0e9 / 15 + 8 % x 9.3e9 + energy) / hours = 1.37."""
    patient = COLOSSUS.replace("12.5 %", "8 %").replace("4 year", "5 year")
    published = bill_of(patient, facts).ownership[0]
    assert published.opening.value * HOUR == pytest.approx(1.37, abs=0.005)


@pytest.mark.parametrize(
    ("rent", "opening_wins", "annuity_wins"), [(1.70, False, True), (2.35, True, True)]
)
def test_who_wins_depends_on_the_convention(
    facts: Facts, rent: float, opening_wins: bool, annuity_wins: bool
) -> None:
    """At the trough of 1.70 the two conventions disagree; at 2.35 both own."""
    text = COLOSSUS.replace("finance: {", f"finance: {{hourly_price: {rent} USD/chip/h, ")
    own = bill_of(text, facts).ownership[0]
    assert own.break_even_opening is not None
    assert own.break_even_annuity is not None
    assert (own.break_even_opening.value < 1) is opening_wins
    assert (own.break_even_annuity.value < 1) is annuity_wins


def test_a_year_of_owning_is_the_hourly_cost_of_all_chips(facts: Facts) -> None:
    text = COLOSSUS.replace("finance: {", "finance: {utilisation: 80 %, ")
    bill = bill_of(text, facts)
    computed = bill.ownership[1]
    assert value(bill, "bill.fleet_year") == pytest.approx(
        computed.opening.value * 200e3 * YEAR * 0.8
    )


# finance ----------------------------------------------------------------------------------------


def test_lease_of_twelve_billion() -> None:
    """12.5 %, monthly: 401.4 million USD over 36 months, 270.0 over 60."""
    assert money.level_payment(12e9, 0.125 / 12, 36) == pytest.approx(401.4e6, abs=0.05e6)
    assert money.level_payment(12e9, 0.125 / 12, 60) == pytest.approx(270.0e6, abs=0.05e6)
    three = finance.monthly_payment(12e9, 0.125 / YEAR, 3 * YEAR)
    assert three == pytest.approx(401.4e6, abs=0.05e6)


def test_what_twelve_billion_buys() -> None:
    """At Epoch's 54,400 USD per GB200 with server and network: 220,588 chips."""
    bought = money.chips_for(12e9, 54_400 * (1 - 0.19), 1.0, 0.19)
    assert bought == pytest.approx(220_588, rel=1e-5)


def test_after_three_years_the_chips_are_worth_38_percent() -> None:
    worth = money.value_after(12e9, OOM, 3 * YEAR)
    assert worth / 12e9 == pytest.approx(0.380, abs=0.001)  # 10^-0.42
    bullet = money.loan_to_value(12e9, worth)
    assert bullet > 1  # under water
    level = money.loan_balance(12e9, 0.125 / YEAR, 3 * YEAR, 3 * YEAR)
    assert level == pytest.approx(0.0, abs=1.0)


def test_loan_table_of_a_case_with_interest(facts: Facts) -> None:
    years = bill_of(COLOSSUS, facts).loan
    assert [y.year for y in years] == [0, 1, 2, 3, 4]
    assert years[0].level.value == pytest.approx(1.0)
    assert bill_of(COLOSSUS, facts).figure("bill.loan.bullet(3)") is not None
    assert years[3].bullet.value == pytest.approx(1 / 10**-0.42)
    assert years[-1].level.value == pytest.approx(0.0, abs=1e-9)
    assert all(a.bullet.value < b.bullet.value for a, b in pairwise(years))
    assert bill_of(COLOSSUS.replace("interest: 12.5 %, ", ""), facts).loan == ()


@given(st.floats(1, 1e12), st.floats(1, 60))
def test_without_interest_a_level_payment_is_principal_over_periods(K: float, n: float) -> None:
    assert finance.level_payment(K, 0.0, n) == pytest.approx(K / n)
    assert finance.level_payment(K, 1e-9, n) == pytest.approx(K / n, rel=1e-6)
    assert finance.loan_balance(K, 0.0, n * YEAR, n * YEAR / 2) == pytest.approx(K / 2)


@given(st.floats(0.001, 0.5), st.integers(1, 40))
def test_level_payments_repay_the_loan(i: float, n: int) -> None:
    payment = finance.level_payment(1.0, i, n)
    worth = sum(payment / (1 + i) ** k for k in range(1, n + 1))
    assert worth == pytest.approx(1.0)


@given(st.floats(0.001, 0.5), st.floats(1.001, 40))
def test_annuity_lies_between_straight_line_and_opening_balance(i: float, years: float) -> None:
    life, rate = years * YEAR, i / YEAR
    level = finance.annuity_rate(1.0, rate, life)
    assert 1.0 / life < level < finance.opening_balance_rate(1.0, rate, life)


@given(st.floats(0.1, 20), st.floats(0, 3e-9))
def test_break_even_use_equates_owning_and_renting(rent: float, tariff: float) -> None:
    parts = (30.0, 5.0, 3.6e8, tariff, 2e5)
    use = finance.break_even_use(*parts, rent / HOUR)
    if use == np.inf:
        assert rent / HOUR * 2e5 <= 3.6e8 * tariff  # rent below the electricity bill
    else:
        assert finance.own_rate(*parts, use) == pytest.approx(rent / HOUR)


def test_formulas_take_arrays() -> None:
    rates = np.array([0.0, 0.08, 0.125])
    one_by_one = [finance.level_payment(1e9, float(i), 4) for i in rates]
    assert finance.level_payment(1e9, rates, 4) == pytest.approx(one_by_one)
    ages = np.array([-10.0, 0.0, 365.25])
    assert costs.elapsed(0.0, ages) == pytest.approx([0.0, 0.0, YEAR])
    assert np.shape(finance.break_even_use(1.0, 1.0, 1.0, 0.0, 1.0, np.ones(3))) == (3,)


# properties of a bill ---------------------------------------------------------------------------


def test_doubling_a_price_doubles_its_line(facts: Facts) -> None:
    once = bill_of(COLOSSUS, facts)
    price = facts.get("h200-sxm", "price")
    twice = bill_of(COLOSSUS, facts.with_values({price.key: 2 * price.value}))
    for line in once.lines:
        if line.scope == "site-capital":
            factor = 2 if line.id == "bill.capital.h200-sxm" else 1
            assert value(twice, line.id) == pytest.approx(factor * line.amount.value)
    dear = DEEPSEEK.replace("2 USD", "4 USD")
    assert value(bill_of(dear, facts, reported=REPORTED), "bill.total") == pytest.approx(11.152e6)


def test_lines_add_up_within_their_scope_and_no_further(facts: Facts) -> None:
    bill = bill_of(COLOSSUS, facts, chip_time=chip_time(1e6))
    for scope in bill.scopes:
        lines = [x.amount.value for x in bill.lines if x.scope == scope.id]
        assert lines
        assert sum(lines) == pytest.approx(scope.total.value)
        assert scope.counts
        assert scope.leaves_out
    assert {x.scope for x in bill.lines} == {s.id for s in bill.scopes}
    assert {s.id for s in bill.scopes} <= set(money.SCOPES)
    total = bill.figures["bill.total"]
    assert total.value in [s.total.value for s in bill.scopes if s.id == bill.scope]


def test_every_leaf_moves_the_bill_as_a_fresh_one(facts: Facts) -> None:
    """Replaying the tree with one fact changed equals pricing anew with that fact changed."""
    bill = bill_of(COLOSSUS, facts, chip_time=chip_time(1e6))
    known = {f.key: f for f in leaves(bill.figures.values()).values() if ":" not in f.key}
    assert len(known) > 15
    for key, part in known.items():
        if part.source and key != "hours":
            fresh = bill_of(COLOSSUS, facts.with_values({key: part.value * 1.001}),
                            chip_time=chip_time(1e6))  # fmt: skip
            for id, figure in bill.figures.items():
                again = replay(figure, {key: part.value * 1.001})
                assert again == pytest.approx(fresh.figures[id].value, rel=1e-12), (key, id)


def test_kind_is_no_stronger_than_derived(facts: Facts) -> None:
    bill = bill_of(COLOSSUS, facts)
    said = [i for i in bill.figures if i.startswith("bill.capital_published")]
    assert len(said) == 3
    for id, figure in bill.figures.items():
        assert figure.id == id
        assert figure.label
        if id != "bill.rent_rate":  # a price as it was printed
            assert figure.kind in ("derived", "assumed")


# what is not asked or not known -----------------------------------------------------------------


def test_nothing_to_price_is_not_asked(facts: Facts) -> None:
    case = parse_case("name: x\nas_of: 2025-01-01\n")
    found = money.price(case, money.Use(), NotAsked("no fleet"), facts)
    assert isinstance(found, NotAsked)


def test_an_unknown_price_is_said(facts: Facts) -> None:
    text = "name: x\nas_of: 2025-01-01\nfleet: [{chip: tpu-v6e, count: 100}]\n"
    case = parse_case(text)
    use, site = use_of(case, facts)
    found = money.price(case, use, site, facts)
    assert isinstance(found, NotAsked)
    assert "tpu-v6e" in found.reason
    paid = bill_of(text + "finance: {chip_price: 9000 USD}\n", facts, chip_time=chip_time(100))
    assert any("rent" in x for x in paid.missing)
    assert paid.scope == "final-run-owned"


def test_a_run_without_chips_is_rented_only(facts: Facts) -> None:
    case = parse_case("name: x\nas_of: 2025-01-01\nfinance: {hourly_price: 3 USD/chip/h}\n")
    bill = money.price(case, money.Use(chip_time=chip_time(10)), NotAsked("no fleet"), facts)
    assert isinstance(bill, money.Bill)
    assert value(bill, "bill.total") == pytest.approx(30.0)
    assert [s.id for s in bill.scopes] == ["final-run-rented"]
    assert bill.missing == ("The final run on own hardware: the case names no chips.",)


def test_what_was_not_published_yet_is_missing(facts: Facts) -> None:
    """The cost model's constants were read from a file of August 2025."""
    case = parse_case(DEEPSEEK)
    use, site = use_of(case, facts, reported=REPORTED)
    bill = money.price(case, use, site, facts.known(date(2025, 7, 22)))
    assert isinstance(bill, money.Bill)
    assert value(bill, "bill.total") == pytest.approx(5.576e6)
    assert any("own hardware" in x for x in bill.missing)


@pytest.mark.parametrize(
    ("day", "price"),
    [("2025-09-30", 2.99), ("2025-10-01", 1.70), ("2026-02-28", 1.70), ("2026-03-01", 2.35)],
)
def test_rent_changes_on_its_day(facts: Facts, day: str, price: float) -> None:
    """On demand until the first record of a one-year contract, then the contract."""
    rates = Rates(parse_case("name: x\nas_of: 2025-01-01\n"), facts)
    found = rates.rent("h100-sxm", date.fromisoformat(day))
    assert found is not None
    assert found.value * HOUR == pytest.approx(price)


def test_rent_by_the_front_door(facts: Facts) -> None:
    """An H200's first record is of May 2026; a chip without a list has no rent."""
    found = money.rent("h200-sxm", date(2025, 1, 1), facts)
    assert found is not None
    assert found.value * HOUR == pytest.approx(4.0)
    assert money.rent("h200-sxm", date(2025, 1, 1), facts, later=False) is None
    assert money.rent("b200", date(2026, 6, 1), facts) is None


def test_life_and_interest_of_the_day_where_the_case_is_silent(facts: Facts) -> None:
    """Epoch's server life: 3 years to 2020, 4 to 2022, then 5; debt on chips 10.5 %."""
    silent = Rates(parse_case("name: x\nas_of: 2025-01-01\n"), facts)
    lives = [silent.life(date(y, 12, 31)).value / YEAR for y in (2020, 2021, 2022, 2023)]
    assert lives == pytest.approx([3, 4, 4, 5])
    assert silent.interest(date(2025, 7, 22)).value * YEAR == pytest.approx(0.105)
    assert silent.building_life().value / YEAR == pytest.approx(15)


def test_energy_as_simulated_and_of_a_mixed_fleet(facts: Facts) -> None:
    """A simulated energy is taken as it is; else the mean server of the fleet draws it."""
    joules = leaf("case:e", 7.2e12, "J")
    bill = bill_of(COLOSSUS, facts, chip_time=chip_time(1e6), energy=joules)
    assert value(bill, "bill.run_energy") == 7.2e12
    assert value(bill, "bill.energy") == pytest.approx(7.2e12 / 3.6e9 * 62)
    text = """
name: x
as_of: 2024-09-01
fleet: [{chip: h100-sxm, count: 300, online: 2024-03-01},
        {chip: a100-sxm-40gb, count: 100, online: 2024-03-01}]
site: {pue: 1.1}
"""
    bill = bill_of(text, facts, chip_time=chip_time(1000))
    mean = (300 * 1275 + 100 * 812.5) / 400
    assert value(bill, "bill.run_energy") == pytest.approx(1000 * HOUR * mean * 0.75 * 1.1)


def test_a_price_from_before_its_first_record_is_the_first(facts: Facts) -> None:
    first = held(facts, "construction", "colossus", date(2024, 9, 2))
    assert first is not None
    assert first.valid_from == date(2025, 2, 17)
    assert held(facts, "h100-sxm", "no_such_quantity", None) is None


@pytest.mark.parametrize(
    ("chip", "factor"),
    [("a100-sxm-40gb", 1.66), ("v100-sxm2-16gb", 1.69), ("h800-sxm", 1.34), ("gb200", 1.2),
     ("tpu-v4", 1.64)],
)  # fmt: skip
def test_server_factor_by_line_generation_or_default(
    facts: Facts, chip: str, factor: float
) -> None:
    rates = Rates(parse_case("name: x\nas_of: 2025-01-01\n"), facts)
    assert rates.server_factor(chip).value == factor


@pytest.mark.parametrize(
    ("site", "tariff"),
    [("{place: memphis}", 62.0), ("{id: colossus-1}", 62.0), ("{id: meta-genai-2024}", 82.6)],
)
def test_electricity_of_the_place(facts: Facts, site: str, tariff: float) -> None:
    case = parse_case(f"name: x\nas_of: 2025-03-01\nsite: {site}\n")
    found = Rates(case, facts).electricity(case.as_of)
    assert found.value * 3.6e9 == pytest.approx(tariff)


# dimensions -------------------------------------------------------------------------------------


def test_dimensions_of_the_formulas() -> None:
    ureg: Any = UnitRegistry()
    ureg.define("USD = [currency]")
    s, W, J, USD = ureg.second, ureg.watt, ureg.joule, ureg.USD
    checks = {
        "[currency]": [
            costs.rent(10 * s, 2 * USD / s),
            costs.energy_cost(5 * J, 2 * USD / J),
            costs.construction(5 * W, 2 * USD / W),
            costs.amortised_hardware(9 * USD, 4 * s, 0.1 / s),
            costs.network_on_top(9 * USD, 0.19),
            costs.value_after(9 * USD, 0.1 / s, 3 * s),
            costs.system_price(costs.server_price(9 * USD, 1.6), 0.19),
            costs.purchase([1, 2], [3 * USD, 4 * USD]),
            finance.level_payment(9 * USD, 0.1, 4),
        ],
        "[currency]/[time]": [
            finance.opening_balance_rate(9 * USD, 0.1 / s, 4 * s),
            finance.own_rate(1 * USD / s, 1 * USD / s, 3 * W, 2 * USD / J, 7, 0.9),
            costs.mean_by_count([1, 2], [3 * USD / s, 4 * USD / s]),
        ],
        "[energy]": [
            costs.run_energy(4 * s, 5 * W, 0.75, 1.1),
            costs.energy_over(5 * W, 0.9, 4 * s),
        ],
        "[power]": [costs.fleet_power([1, 2], [3 * W, 4 * W], 1.2)],
        "": [
            finance.loan_to_value(3 * USD, 4 * USD),
            costs.chips_for(9 * USD, 3 * USD, 1.3, 0.2),
        ],
    }
    for dimension, results in checks.items():
        for result in results:
            assert result.check(dimension or "[]"), (dimension, result)
