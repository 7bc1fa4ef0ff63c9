"""What owning costs: a year of it, a chip-hour against the rent of the day, a loan on it."""

from __future__ import annotations

import math

from chares.build import Timeline
from chares.ledger import Figure, NotAsked
from chares.money import costs, finance
from chares.money.buying import published, site_power
from chares.money.rates import Rates
from chares.money.running import Section, mean_rent, run_time, section
from chares.money.statement import Line, LoanYear, Ownership, Stand, Use, named
from chares.units import YEAR

YEARLY = {  # what each line of a year counts
    "hardware": "Chips, servers and network, in equal parts over their life.",
    "building": "Building, power and cooling, in equal parts over their life.",
    "interest": "On the opening balance of all capital, as if nothing were repaid.",
    "energy": "Facility power in the hours of use, at the price of the place.",
}


def fleet_year(rates: Rates, use: Use, site: Timeline | NotAsked, last: Stand) -> Section:
    """What a year of owning costs: wear, interest on the opening balance, electricity."""
    on, scope = rates.case.as_of, "fleet-year"
    interest, life = rates.interest(on), rates.life(on)
    wear = finance.year_of_wear(last.compute, life)
    amounts = [("hardware", "Hardware, straight line", wear)]
    if last.building is not None:
        worn = finance.year_of_wear(last.building, rates.building_life())
        amounts.append(("building", "Building, straight line", worn))
    amounts.append(("interest", "Interest", finance.year_of_interest(last.capital, interest)))
    power = site_power(rates, use, site, float(last.online.value), True)
    energy = costs.energy_over(power, rates.use(), YEAR)
    energy = named(energy, "bill.year_energy", "Electricity of a year", "J")
    paid = costs.energy_cost(energy, rates.electricity(on))
    amounts.append(("energy", "Electricity", paid))
    lines = []
    for id, label, amount in amounts:
        amount = named(amount, f"bill.year.{id}", f"{label}, a year")
        lines.append(Line(amount.id, label, scope, amount, YEARLY[id]))
    others = [energy]
    if (time := run_time(use)) is not None:
        share = costs.share_of_fleet_year(time, last.chips)
        label = "Final run as a share of the fleet's year"
        others.append(named(share, "bill.run_share_of_fleet_year", label, "1"))
    return section(scope, "bill.fleet_year", "A year of owning the fleet", lines, *others)


def ownership(
    rates: Rates, use: Use, site: Timeline | NotAsked, last: Stand
) -> tuple[tuple[Ownership, ...], tuple[Figure, ...]]:
    """Cost per chip in use under both ways to charge interest, on published and computed capital.

    The ids ``bill.own.*`` stand on the published capital where there is one of the same size,
    else on the computed one; with both, ``bill.own_computed.*`` are the latter's.
    """
    day, chips = float(last.online.value), float(last.chips.value)
    rent = mean_rent(rates, use, rates.case.as_of)
    said = [
        published(rates, quantity, day, chips)
        for quantity in ("compute_cost", "construction_cost", "facility_power")
    ]
    power = site_power(rates, use, site, day, True)
    bases = [("computed", last.compute, last.building, power)]
    if said[0] and said[1] and said[2]:
        bases.insert(0, ("published", said[0], said[1], said[2]))
    rows, figures = [], []
    for basis, compute, building, watts in bases:
        prefix = "bill.own" if basis == bases[0][0] else f"bill.own_{basis}"
        row = _own(rates, (compute, building, watts), last.chips, rent, basis, prefix)
        rows.append(row)
        figures += [row.opening, row.annuity, row.break_even_opening, row.break_even_annuity]
    if rent is not None:
        figures.append(named(rent, "bill.rent_rate", "Rent per chip of the day", "USD/s"))
    return tuple(rows), tuple(f for f in figures if f is not None)


def _own(
    rates: Rates,
    capital: tuple[Figure, Figure | None, Figure | None],
    chips: Figure,
    rent: Figure | None,
    basis: str,
    prefix: str,
) -> Ownership:
    compute, building, power = capital
    on = rates.case.as_of
    interest, price = rates.interest(on), rates.electricity(on)
    shares: list[Figure | None] = []
    rates_per_chip: list[Figure] = []
    for way, charge, words in (
        ("opening", finance.opening_balance_rate, "interest on the opening balance"),
        ("annuity", finance.annuity_rate, "level annuity"),
    ):
        hardware = charge(compute, interest, rates.life(on))
        shell = charge(building, interest, rates.building_life()) if building else 0.0
        parts = (hardware, shell, power if power is not None else 0.0, price, chips)
        own = finance.own_rate(*parts, rates.use())
        label = f"Own chip in use, {words} ({basis} capital)"
        rates_per_chip.append(named(own, f"{prefix}.{way}", label, "USD/s"))
        even = finance.break_even_use(*parts, rent) if rent is not None else None
        label = f"Use at which owning equals renting, {words} ({basis} capital)"
        if even is None or not math.isfinite(even.value):  # rent is below electricity
            shares.append(None)
        else:
            shares.append(named(even, f"{prefix}.break_even_{way}", label, "1"))
    return Ownership(basis, rates_per_chip[0], rates_per_chip[1], shares[0], shares[1])


def loan(rates: Rates, last: Stand) -> tuple[tuple[LoanYear, ...], tuple[Figure, ...]]:
    """A loan for the whole price of the hardware, at the case's interest and over its life:
    value against debt, year by year."""
    if rates.finance.interest is None:
        return (), ()
    on = rates.case.as_of
    interest, life, price = rates.interest(on), rates.life(on), last.compute
    rows = []
    for year in range(int(float(life.value) / YEAR + 1e-9) + 1):
        value = costs.value_after(price, rates.decline(), year * YEAR)
        balance = finance.loan_balance(price, interest, life, year * YEAR)
        level = finance.loan_to_value(balance, value)
        bullet = finance.loan_to_value(price, value)
        rows.append(
            LoanYear(
                year,
                named(value, f"bill.loan.value({year})", f"Value of the hardware, year {year}"),
                _cover(level, "level", year),
                _cover(bullet, "bullet", year),
            )
        )
    payment = finance.monthly_payment(price, interest, life)
    return tuple(rows), (named(payment, "bill.loan.payment", "Monthly payment on the hardware"),)


def _cover(figure: Figure, way: str, year: int) -> Figure:
    label = f"Debt over value, {way} repayment, year {year}"
    return named(figure, f"bill.loan.{way}({year})", label, "1")
