"""What the final run costs: rented, on own hardware, and with what stands before it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from chares.ledger import Figure, total
from chares.money import costs
from chares.money.rates import Rates
from chares.money.statement import Line, Use, named

EXPERIMENTS = ("deepseek-programme", "experiment_factor")


@dataclass(frozen=True, slots=True)
class Section:
    """The lines of one scope, their total, and other figures that belong to it."""

    scope: str
    lines: tuple[Line, ...]
    total: Figure
    others: tuple[Figure, ...] = ()


def section(scope: str, id: str, label: str, lines: list[Line], *others: Figure) -> Section:
    """A section whose total is the sum of its lines."""
    amount = named(total([x.amount for x in lines]), id, label)
    return Section(scope, tuple(lines), amount, others)


def run_time(use: Use) -> Figure | None:
    """Chip time of the final run: as reported, or else as predicted."""
    if use.reported:
        return named(total([t for _, t, _ in use.reported]), "", "reported chip time", "s")
    return use.chip_time


def run_day(rates: Rates, use: Use) -> date:
    """The day on which the run starts; the case's day where none is known."""
    return date.fromordinal(int(use.start.value)) if use.start else rates.case.as_of


def rents(rates: Rates, use: Use, on: date) -> list[tuple[str, Figure, Figure | None]]:
    """Each kind of chip with its count and its rent: of the day where any kind has one, else the
    first on record."""
    found = [(chip, n, rates.rent(chip, on)) for chip, n, _ in use.chips]
    if any(price for _, _, price in found):
        return found
    return [(chip, n, rates.rent(chip, on, later=True)) for chip, n, _ in use.chips]


def mean_rent(rates: Rates, use: Use, on: date) -> Figure | None:
    """Rent of the fleet's chips on a day, each kind by its count; kinds without one left out."""
    if rates.finance.hourly_price is not None:
        return rates.rent("", on)
    found = [(n, price) for _, n, price in rents(rates, use, on) if price]
    if len({price.key for _, price in found}) <= 1:
        return found[0][1] if found else None
    mean = costs.mean_by_count([n for n, _ in found], [p for _, p in found])
    return named(mean, "", "mean rent of the fleet", "USD/s")


def rented(rates: Rates, use: Use) -> Section | str | None:
    """The final run at the rent of its day; a sentence where no rent is known."""
    if not use.reported and use.chip_time is None:
        return None
    price = mean_rent(rates, use, run_day(rates, use))
    if price is None:
        return "The final run rented: no rent of these chips is known."
    scope, note = "final-run-rented", _rent_note(rates, use)
    stages = [(f"rented.{_slug(name)}", name, time) for name, time, _ in use.reported]
    if not stages and use.chip_time is not None:
        stages = [("rented.run", "final run", use.chip_time)]
    lines = []
    for id, name, time in stages:
        amount = named(costs.rent(time, price), f"bill.{id}", f"Rent: {name}")
        lines.append(Line(amount.id, name, scope, amount, note))
    return section(scope, "bill.rented", "Final run, rented", lines)


def _rent_note(rates: Rates, use: Use) -> str:
    if rates.finance.hourly_price is not None:
        return "At the hourly price that the case gives."
    on = run_day(rates, use)
    lacking = sorted({chip for chip, _, price in rents(rates, use, on) if price is None})
    others = f"; {', '.join(lacking)}, whose rent is not known, like the others" if lacking else ""
    return f"At the rent of the chips on {on}, or the first on record{others}."


def owned(rates: Rates, use: Use) -> Section | str | None:
    """The final run on own hardware: its loss of value, network and electricity."""
    time = run_time(use)
    if time is None:
        return None
    if not use.chips:
        return "The final run on own hardware: the case names no chips."
    value = _value_at_start(rates, use)
    if value is None:
        return "The final run on own hardware: the price of a chip of the fleet is not known."
    scope, decline = "final-run-owned", rates.decline()
    hardware = named(
        costs.amortised_hardware(value, time, decline),
        "bill.amortised.hardware", "Loss of value of the servers",
    )  # fmt: skip
    network = named(
        costs.network_on_top(hardware, rates.network_share()),
        "bill.amortised.network", "Loss of value of the cluster network",
    )  # fmt: skip
    energy = named(_energy(rates, use, time), "bill.run_energy", "Energy of the final run", "J")
    price = rates.electricity(run_day(rates, use))
    electricity = named(costs.energy_cost(energy, price), "bill.energy", "Electricity")
    notes = (
        "What the servers lose in value while the run has them.",
        "The network's share of the cluster, on top of the servers.",
        "Energy of the run at the price of its place and day.",
    )
    lines = [
        Line(f.id, f.label, scope, f, note)
        for f, note in zip((hardware, network, electricity), notes, strict=True)
    ]
    label = "Final run on own hardware"
    return section(scope, "bill.amortised", label, lines, energy)


def _value_at_start(rates: Rates, use: Use) -> Figure | None:
    """Mean value of a server per chip when the run starts."""
    start = use.start or rates.case.given("as_of", rates.case.as_of, "date", "day of the case")
    counts, values = [], []
    for chip, count, online in use.chips:
        price = rates.chip_price(chip, date.fromordinal(int(online.value)))
        if price is None:
            return None
        server = costs.server_price(price, rates.server_factor(chip))
        age = costs.elapsed(online, start)
        counts.append(count)
        values.append(costs.value_after(server, rates.decline(), age))
    mean = costs.mean_by_count(counts, values) if len(values) > 1 else values[0]
    return named(mean, "", "value of a server per chip at the start")


def _energy(rates: Rates, use: Use, time: Figure) -> Figure:
    """Energy of the run: as simulated, or by the chain of the cost model."""
    if use.energy is not None and not use.reported:
        return use.energy
    powers = [rates.server_power(chip) for chip, _, _ in use.chips]
    mean = powers[0]
    if len({p.key for p in powers}) > 1:
        mean = costs.mean_by_count([n for _, n, _ in use.chips], powers)
    return costs.run_energy(time, mean, rates.mean_draw(use.chips[0][0]), rates.pue())


def programme(rates: Rates, run: Section | None) -> Section | str | None:
    """The run with the experiments before it and the people; the run's own scope says whose."""
    staff = rates.case.staff
    if run is None:
        return None
    scope = "programme"
    amount = named(run.total, "bill.programme.run", run.total.label)
    lines = [Line(amount.id, "final run", scope, amount, f"As in the scope {run.scope}.")]
    factor = rates.sure(*EXPERIMENTS, None, "experiments over the final run")
    trials = costs.experiments(run.total, factor)
    trials = named(trials, "bill.programme.experiments", "Experiments before the final run")
    lines.append(Line(trials.id, "experiments", scope, trials, "Three to ten times the final run."))
    if staff and staff.pay is not None:
        people = rates.case.given("staff.people", staff.people, "people", "people")
        pay = rates.case.given("staff.pay", staff.pay, "USD", "pay per person and year")
        months = rates.case.given("staff.months", staff.months, "1", "months of work")
        paid = named(costs.staff_cost(people, pay, months), "bill.programme.staff", "Staff")
        lines.append(Line(paid.id, "staff", scope, paid, "Pay alone, without offices."))
    return section(scope, "bill.programme", "Development of the model", lines)


def _slug(text: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in text.lower()).split())
