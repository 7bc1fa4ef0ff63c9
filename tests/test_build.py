"""The site: power chain, phases, supplies, and the days between them."""

from __future__ import annotations

import math
from datetime import date
from itertools import pairwise
from typing import Any

import numpy as np
import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares.build import Timeline, timeline
from chares.build.dates import chips_on, day_of_chips, day_of_phase, elapsed
from chares.build.power import (
    facility_power_per_chip,
    first_day_of_power,
    headroom,
    it_power_per_chip,
    lawful_supply,
    power_of_first,
    power_on,
    powered_chips,
    server_power,
    supply_on,
)
from chares.errors import UnknownName
from chares.facts import Facts, load
from chares.ledger import Figure, NotAsked, intervals, leaves, nodes, replay
from chares.permit import limits
from chares.spec import Case, parse_case, read_case

DAY = 86400.0
FACTS = load()


def day(text: str) -> int:
    return date.fromisoformat(text).toordinal()


def build(text: str, law: Any = None, facts: Facts = FACTS) -> Timeline:
    found = timeline(parse_case(text), law, facts)
    assert isinstance(found, Timeline)
    return found


@pytest.fixture(scope="module")
def colossus() -> Timeline:
    case = read_case("colossus-1")
    found = timeline(case, limits(case.site, FACTS), FACTS)
    assert isinstance(found, Timeline)
    return found


def value(site: Timeline, id: str) -> float:
    figure = site.figure(id)
    assert figure is not None, id
    assert figure.id == id
    return float(figure.value)


# Colossus 1 ---------------------------------------------------------------------------------


def test_one_hundred_thousand_chips_after_131_days(colossus: Timeline) -> None:
    """2024-04-24 to 2024-09-02: 6 + 31 + 30 + 31 + 31 + 2 = 131 days (122 were claimed)."""
    assert value(colossus, "site.days_to_chips(100000)") == 131 * DAY
    assert value(colossus, "site.date_of_chips(100000)") == day("2024-09-02")


def test_the_second_hundred_thousand_took_168_days(colossus: Timeline) -> None:
    """2024-09-02 to 2025-02-17: 28 + 31 + 30 + 31 + 31 + 17 = 168 days (92 were claimed)."""
    assert value(colossus, "site.days_between_chips(100000,200000)") == 168 * DAY


def test_both_sides_of_a_number_of_chips(colossus: Timeline) -> None:
    assert value(colossus, "site.days_to_chips(25000)") == 109 * DAY  # 2024-08-11
    assert value(colossus, "site.days_to_chips(25001)") == 131 * DAY
    assert value(colossus, "site.days_to_chips(100001)") == 299 * DAY
    assert value(colossus, "site.chips_on(2024-08-10)") == 0
    assert value(colossus, "site.chips_on(2024-08-11)") == 25_000
    assert value(colossus, "site.chips_on(2024-09-01)") == 25_000
    assert value(colossus, "site.chips_on(2024-09-02)") == 100_000
    assert colossus.figure("site.days_to_chips(200001)") is None


def test_megawatts_lie_within_what_epoch_published(colossus: Timeline) -> None:
    """45 (36 to 52), 181 (145 to 208) and 361 (289 to 415) MW."""
    wanted = [(36, 45, 52), (145, 181, 208), (289, 361, 415)]
    assert len(colossus.phases) == 3
    for phase, (low, likely, high) in zip(colossus.phases, wanted, strict=True):
        assert low < phase.facility_power.value / 1e6 < high
        assert phase.published_power is not None
        assert phase.published_power.value == likely * 1e6
        assert abs(phase.facility_power.value / phase.published_power.value - 1) < 0.03


def test_the_third_step_of_colossus_with_gb200() -> None:
    """230,000 chips, 30,000 of them GB200: 442 MW (354 to 508)."""
    case = read_case("colossus-1")
    text = "name: c\nas_of: 2025-07-22\nsite: {id: colossus-1}\nfleet:\n"
    for b in case.fleet:
        text += f"  - {{chip: {b.chip}, count: {b.count}, online: {b.online}}}\n"
    site = build(text + "  - {chip: gb200, count: 30000, online: 2025-07-22}\n")
    assert site.figures["site.chips"].value == 230_000
    assert 354e6 < site.figures["site.power"].value < 508e6


def test_every_link_of_the_power_chain_is_in_the_tree(colossus: Timeline) -> None:
    names = {f.call.name for f in nodes([colossus.figures["site.power"]]) if f.call}
    assert {"power_on", "facility_power_per_chip", "it_power_per_chip"} <= names
    keys = set(leaves([colossus.figures["site.power"]]))
    assert {"h100-sxm.server_power", "power-chain.it_over_server", "data-centre.pue_other"} <= keys


def test_with_the_grid_alone_no_chip_runs_in_2024(colossus: Timeline) -> None:
    """150 MW from 2025-05-01: 263 days after the first 25,000 chips ran."""
    assert value(colossus, "site.grid_only_day") == day("2025-05-01")
    assert value(colossus, "site.grid_only_wait") == 263 * DAY
    spread = intervals([colossus.figures["site.grid_only_day"]])["site.grid_only_day"]
    assert spread.low == spread.high == day("2025-05-01")  # 8 MW of an old line change nothing
    first, second, third = colossus.phases
    assert first.grid_only is not None
    assert first.grid_only.value == day("2025-05-01")
    assert second.grid_only is not None
    assert second.grid_only.value == day("2025-10-01")  # the second 150 MW
    assert third.grid_only is None  # 300 MW never carry it
    assert colossus.critical == first.critical == "turbines"


def test_a_battery_carries_no_load(colossus: Timeline) -> None:
    """2025-05-01: grid 150 and turbines 421 MW; the 150 MW of batteries are for peaks."""
    assert value(colossus, "site.supply_on(2025-05-01)") == pytest.approx(571e6)
    assert value(colossus, "site.supply_on(2025-04-30)") == pytest.approx(421e6)


def test_headroom_says_what_the_records_leave_open(colossus: Timeline) -> None:
    first = colossus.phases[0]
    assert first.supply is not None
    assert first.headroom is not None
    assert first.powered_chips is not None
    assert first.supply.value == 35e6
    assert first.headroom.value == pytest.approx(35e6 - first.facility_power.value)
    share = 35e6 / first.facility_power.value
    assert first.powered_chips.value == pytest.approx(25_000 * share)


def test_the_law_takes_what_may_not_run(colossus: Timeline) -> None:
    """35 MW from 2024-07-01 are exempt for 364 days; the permit came on 2025-07-02."""
    lawful = {d: value(colossus, f"site.lawful_supply_on({d})") for d in
              ("2025-06-30", "2025-07-01", "2025-07-02")}  # fmt: skip
    assert lawful["2025-06-30"] == pytest.approx(571e6)
    assert lawful["2025-07-01"] == pytest.approx(571e6 - 35e6)
    assert lawful["2025-07-02"] == pytest.approx(571e6)


def test_other_sites_to_compare_with(colossus: Timeline) -> None:
    """Abilene: 2024-05-31 to 2025-06-28 are 393 days."""
    assert value(colossus, "site.compare.stargate-abilene") == 393 * DAY
    assert value(colossus, "site.compare.grid_wait_us") == 4 * 365.25 * DAY


def test_names_that_are_no_figures(colossus: Timeline) -> None:
    for id in (
        "site.days_to_chips(x)", "site.days_to_chips(1,2)", "site.days_to_chips()", "run.days(1)",
        "site.chips_on(2024-13-01)", "site.nothing(1)", "site.days_between_chips(5)", "",
    ):  # fmt: skip
        assert colossus.figure(id) is None


# other cases ----------------------------------------------------------------------------------


def test_a_fleet_without_a_site() -> None:
    site = build("name: f\nas_of: 2025-03-01\nfleet: [{chip: h800-sxm, count: 2048}]")
    assert site.start is None
    assert site.phases[0].online.value == day("2025-03-01")  # no day given: the day of the case
    assert site.phases[0].supply is None
    assert site.phases[0].critical == ""
    assert site.figures["site.power"].value > 2048 * 700
    assert site.figure("site.days_to_chips(100)") is None
    assert site.figure("site.supply_on(2025-03-01)") is None


def test_without_a_fleet_nothing_is_asked() -> None:
    found = timeline(parse_case("name: n\nas_of: 2025-03-01"), None, FACTS)
    assert isinstance(found, NotAsked)


@pytest.mark.parametrize("wrong", ["{chip: h101, count: 8}", "{chip: h100-sxm, count: 8}"])
def test_unknown_names_are_errors(wrong: str) -> None:
    site = "nowhere-9" if "h100" in wrong else "colossus-1"
    with pytest.raises(UnknownName):
        build(f"name: n\nas_of: 2025-03-01\nsite: {{id: {site}}}\nfleet: [{wrong}]")


PLANNED = """
name: planned
as_of: 2026-01-01
site:
  start: 2025-01-01
  pue: 1.2
  supplies:
    - {kind: grid, power: 100 MW, online: 2027-01-01}
    - {kind: turbines, power: 12 MW, online: 2026-03-01, until: 2026-09-01}
    - {kind: battery, power: 500 MW, online: 2026-01-01}
fleet:
  - {chip: h100-sxm, count: 4000, online: 2026-03-01}
  - {chip: h100-sxm, count: 6000, online: 2026-06-01}
"""


def test_the_supplies_of_the_case() -> None:
    site = build(PLANNED, NotAsked("no law"))
    first, second = site.phases
    chip = 1275 * 1.1545 * 1.2  # W at the meter
    assert first.facility_power.value == pytest.approx(4000 * chip)
    assert second.facility_power.value == pytest.approx(10_000 * chip)
    assert first.critical == "turbines"  # else it would wait for the grid
    assert second.critical == "grid"  # 12 MW do not carry 17.7
    assert second.powered_chips is not None
    assert second.powered_chips.value == pytest.approx(12e6 / chip)
    assert second.carried is not None
    assert second.carried.value == day("2027-01-01")
    assert value(site, "site.supply_on(2026-08-31)") == 12e6
    assert value(site, "site.supply_on(2026-09-01)") == 0
    assert [h.delay.value / DAY if h.delay else None for h in first.holds] == [0, 306]
    assert site.figures["site.start"].value == day("2025-01-01")


def test_power_that_no_source_carries() -> None:
    site = build(PLANNED.replace("100 MW", "5 MW").replace("12 MW", "1 MW"))
    assert site.critical == "power"
    assert site.phases[1].carried is None
    assert "site.phase2.carried" not in site.figures


def test_a_chip_without_a_known_server_takes_the_factor_of_the_h100() -> None:
    class Serverless(Facts):
        def has(self, subject: str, quantity: str, on: date | None = None) -> bool:
            return quantity != "server_power" and super().has(subject, quantity, on)

    stock = Serverless(FACTS._content)
    site = build("name: f\nas_of: 2025-03-01\nfleet: [{chip: h200-sxm, count: 8}]", None, stock)
    assert site.figures["site.server_power(h200-sxm)"].value == pytest.approx(700 * 1.82)
    assert "8 chips" in repr(site)


# formulas ---------------------------------------------------------------------------------------


def test_power_of_the_first_chips_of_a_mixed_fleet() -> None:
    """10 chips of 100 W, then 10 of 100 W and 10 of 300 W on one day: their mean is 200 W."""
    onlines, counts, watts = [1, 5, 5], [10.0, 10.0, 10.0], [100.0, 100.0, 300.0]
    assert power_of_first(10, onlines, counts, watts) == 1000
    assert power_of_first(15, onlines, counts, watts) == 2000
    assert power_of_first(30, onlines, counts, watts) == 5000
    assert math.isnan(power_of_first(31, onlines, counts, watts))
    assert power_on(4, onlines, counts, watts) == 1000
    assert power_on(5, onlines, counts, watts) == 5000
    assert day_of_phase(2, onlines) == 5


def test_rows_and_single_cases_agree() -> None:
    counts = np.array([10.0, 20.0, 40.0])
    rows = powered_chips(counts, counts * 1800.0, 36_000.0)
    assert rows == pytest.approx([10, 20, 20])
    days = np.asarray(day_of_chips(counts, [3.0, 7.0], [15.0, 10.0]))
    assert days[0] == 3
    assert days[1] == 7
    assert np.isnan(days[2])
    need = np.array([1.0, 50.0, 150.0])
    first = first_day_of_power(need, 0.0, [10.0, 20.0], [math.inf, 30.0], [60.0, 60.0])
    assert np.asarray(first)[:2] == pytest.approx([10, 10])
    assert np.isnan(np.asarray(first)[2])
    assert first_day_of_power(100.0, 0.0, [10.0, 20.0], [math.inf, 30.0], [60.0, 60.0]) == 20
    assert lawful_supply(10.0, 4.0, [0.0, 5.0], [1.0, 7.0]) == 9
    assert lawful_supply(10.0, 5.0, [0.0, 5.0], [1.0, 7.0]) == 3


amounts = st.lists(st.floats(1, 1e6), min_size=1, max_size=6)


@given(amounts, st.data())
def test_chips_only_grow_and_power_adds_up(counts: list[float], data: st.DataObject) -> None:
    size = len(counts)
    onlines = data.draw(st.lists(st.integers(1, 50), min_size=size, max_size=size))
    watts = data.draw(st.lists(st.floats(100, 3000), min_size=size, max_size=size))
    over = [chips_on(d, onlines, counts) for d in range(52)]
    assert all(a <= b for a, b in pairwise(over))
    assert over[-1] == pytest.approx(sum(counts))
    apart = [power_on(51, [t], [n], [w]) for t, n, w in zip(onlines, counts, watts, strict=True)]
    assert power_on(51, onlines, counts, watts) == pytest.approx(sum(apart))
    half = sum(counts) / 2
    found = day_of_chips(half, onlines, counts)
    assert chips_on(found, onlines, counts) >= half
    assert chips_on(found - 1, onlines, counts) < half


@given(st.floats(1, 1e6), st.floats(1e3, 1e9), st.floats(0, 1e9), st.floats(0, 1e8))
def test_more_supply_never_powers_fewer_chips(n: float, P: float, s: float, more: float) -> None:
    assert 0 <= powered_chips(n, P, s) <= powered_chips(n, P, s + more) <= n


def test_dimensions() -> None:
    """Quantities go through the plain formulas and come out in the dimension they promise."""
    u = pint.UnitRegistry()
    it = it_power_per_chip(server_power(700 * u.W, 1.82), 1.15)
    meter = facility_power_per_chip(it, 1.25)
    assert meter.check("[power]")
    assert power_on(3, [1, 2], [10, 20], [meter, meter]).check("[power]")
    supply = supply_on(3, [1], [9], [5 * u.MW])
    assert supply.check("[power]")
    assert headroom(supply, meter).check("[power]")
    with pytest.raises(pint.DimensionalityError):
        headroom(supply, 3 * u.J)
    assert powered_chips(10, meter, supply).check("")
    assert elapsed(1.0, 2.0) == DAY


# the ledger ---------------------------------------------------------------------------------


def changed(case: Case, facts: Facts, leaf: Figure) -> tuple[Any, Timeline] | None:
    """A new value of one leaf, and the timeline planned afresh with it."""
    days = leaf.unit == "date"
    new = leaf.value + 3 if days else leaf.value * 1.01
    if leaf.key.startswith("case:"):
        path = leaf.key[5:].replace("[", ".").replace("]", "")
        written = date.fromordinal(new).isoformat() if days else new
        again = read_case("colossus-1", [f"{path}={written}"])
        return new, timeline(again, None, facts)
    return new, timeline(case, None, facts.with_values({leaf.key: new}))


def test_replaying_the_tree_equals_a_fresh_plan() -> None:
    case = read_case("colossus-1")
    site = timeline(case, None, FACTS)
    assert isinstance(site, Timeline)
    found = leaves(site.figures.values())
    assert len(found) > 20
    for leaf in found.values():
        if leaf.key.endswith(".online"):
            continue  # moving one of two batches of a day makes another phase
        new, fresh = changed(case, FACTS, leaf) or (None, site)
        for id, figure in site.figures.items():
            if id in fresh.figures:
                assert replay(figure, {leaf.key: new}) == fresh.figures[id].value, (id, leaf.key)
