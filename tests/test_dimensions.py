"""Formulas fed with quantities that know their dimension: seconds must come out as seconds.

pint is the oracle here and nowhere else. A row names a formula and the units of its arguments, in
order; ``*W`` is a sequence of two. The result must have the unit that the formula promises.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

import pint
import pytest

from chares import units

UNITS: pint.UnitRegistry[Any] = pint.UnitRegistry(None)
for line in (
    "s = [time]", "m = [length]", "B = [data]", "FLOP = [arithmetic]", "OP = FLOP", "J = [energy]",
    "USD = [money]", "token = [token]", "TPP = [performance]", "W = J / s", "mm2 = 1e-6 m ** 2",
    "day = 86400 s", "GB = 1e9 B",
    "chip = []", "node = []", "parameter = []", "people = []", "date = []", "sequence = []",
):  # fmt: skip
    UNITS.define(line)

ROWS = """
build.dates.chips_on                  date *date *chip
build.dates.elapsed                   date date
build.power.facility_power_per_chip   W 1
build.power.headroom                  W W
build.power.it_power_per_chip         W 1
build.power.power_on                  date *date *chip *W
build.power.powered_chips             chip W W
build.power.server_power              W 1
build.power.supply_on                 date *date *date *W
ledger.ratio                          s s
ledger.total                          *1
money.costs.amortised_hardware        USD s 1/s
money.costs.chips_for                 USD USD 1 1
money.costs.construction              W USD/W
money.costs.elapsed                   date date
money.costs.energy_cost               J USD/J
money.costs.energy_over               W 1 s
money.costs.experiments               USD 1
money.costs.fleet_power               *chip *W 1
money.costs.network_on_top            USD 1
money.costs.purchase                  *chip *USD
money.costs.rent                      s USD/s
money.costs.run_energy                s W 1 1
money.costs.server_price              USD 1
money.costs.share_of_fleet_year       s chip
money.costs.system_price              USD 1
money.costs.value_after               USD 1/s s
money.finance.annuity_rate            USD 1/s s
money.finance.level_payment           USD 1 1
money.finance.loan_balance            USD 1/s s s
money.finance.loan_to_value           USD USD
money.finance.monthly_payment         USD 1/s s
money.finance.opening_balance_rate    USD 1/s s
money.finance.own_rate                USD/s USD/s W USD/J chip 1
money.finance.per_year                1
money.finance.year_of_interest        USD 1/s
money.finance.year_of_wear            USD s
permit.measures.cluster_operations    chip OP/s
permit.measures.performance_density   TPP mm2
run.checkpoints.daly_interval         s s
run.checkpoints.goodput               s s s s
run.checkpoints.linear_goodput        s s s s
run.checkpoints.write_time            B B/s
run.hazards.expected_interruptions    *s *s
run.hazards.mean_time_to_interruption chip 1/s
run.hazards.nodes_in_repair           chip 1/s 1 s
run.hazards.rate_from_counts          1 s chip
run.hazards.rate_from_nodes           1/s chip
run.stretches.chip_time               *chip *s
run.stretches.day_after               date s
run.stretches.energy_of               *W *s
run.stretches.kept_speed              FLOP/s 1
run.stretches.mean_power              1 W chip chip
run.stretches.overall_goodput         FLOP *s *FLOP/s
run.work.speed_from_mfu               chip FLOP/s 1
run.work.speed_from_steps             FLOP 1 s
run.work.speed_of_chips               FLOP/s chip chip
search.job_figures.implied_mfu        FLOP s FLOP/s
search.job_figures.replicas           chip 1 1 1
search.job_figures.reported_time      s chip
planner.speed                         *chip *FLOP/s 1
"""
TABLE = dict(line.split(maxsplit=1) for line in ROWS.strip().splitlines())
SPANS = {"DAY": units.DAY, "MONTH": units.MONTH, "YEAR": units.YEAR, "HOUR": units.HOUR}


def amounts(text: str) -> Iterator[Any]:
    """A quantity of each unit, all different; a sequence of two for ``*unit``."""
    for i, word in enumerate(text.split()):
        amount = 0.2 + 0.1 * i
        unit = word.removeprefix("*")
        one = amount if unit == "1" else UNITS.Quantity(amount, unit)
        yield [one, one * 2] if word.startswith("*") else one


def formula_at(path: str) -> tuple[ModuleType, Any]:
    module, _, name = path.rpartition(".")
    found = import_module(f"chares.{module}")
    return found, getattr(found, name)


@pytest.fixture
def spans_have_a_dimension(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A year, as a constant inside a formula, is a time for this test too."""
    module, _ = formula_at(request.node.callspec.params["path"])
    for name, seconds in SPANS.items():
        if hasattr(module, name):
            monkeypatch.setattr(module, name, seconds * UNITS.s)


@pytest.mark.usefixtures("spans_have_a_dimension")
@pytest.mark.parametrize("path", TABLE)
def test_a_formula_gives_the_unit_that_it_promises(path: str) -> None:
    _, function = formula_at(path)
    arguments = list(amounts(TABLE[path]))
    assert len(arguments) == len(inspect.signature(function).parameters), "a row per argument"
    result = UNITS.Quantity(function(*arguments))
    assert result.is_compatible_with(function.formula.unit), f"{result.units}"


@pytest.mark.parametrize("path", TABLE)
def test_the_grammar_reads_what_a_formula_promises(path: str) -> None:
    _, function = formula_at(path)
    if function.formula.unit not in ("date", "text"):
        units.unit(function.formula.unit)


def test_a_wrong_formula_is_caught() -> None:
    """The mistake of the textbook: a time added to a product of data and bandwidth."""
    flops, peak = UNITS.Quantity(1.0, "FLOP"), UNITS.Quantity(1.0, "FLOP/s")
    data, link = UNITS.Quantity(1.0, "B"), UNITS.Quantity(1.0, "B/s")
    assert (flops / peak + data / link).is_compatible_with("s")
    with pytest.raises(pint.DimensionalityError):
        _ = flops / peak + data * link


@pytest.mark.parametrize("text", "W kW MWh GB/s TFLOP/s USD/J 1/s mm2 TPP/mm2 B day".split())
def test_the_grammar_agrees_with_pint(text: str) -> None:
    """Factors and dimensions of our own units, against an implementation that is not ours."""
    for line in ("k = 1e3", "MWh = 3.6e9 J", "kW = 1e3 W", "TFLOP = 1e12 FLOP"):
        if line.split()[0] not in UNITS:
            UNITS.define(line)
    theirs = UNITS.Quantity(1.0, text).to_base_units()
    assert units.unit(text).factor == pytest.approx(theirs.magnitude, rel=1e-12)
