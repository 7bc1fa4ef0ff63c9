"""Prices and rates as leaves: of the case where it gives them, else of the facts of the day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from chares.facts import Fact, Facts
from chares.ledger import Figure
from chares.money.costs import fleet_power
from chares.money.finance import per_year
from chares.spec import Case, Finance

MODEL = "epoch-cost-model"
OWNING = "ownership"
FACILITY = "data-centre"
# Best first: what a buyer of a whole run pays, then shorter terms, then what a report assumes.
RENTS = ("contract_1y", "on_demand", "assumed_by_deepseek")


def held(facts: Facts, subject: str, quantity: str, on: date | None) -> Fact | None:
    """The record of a day; where all begin later the first of them, where there is none None.

    A price printed in March says more about January than nothing does.
    """
    records = facts.all(subject, quantity)
    if not records:
        return None
    begun = [f for f in records if f.valid_from is None or on is None or f.valid_from <= on]
    if begun:
        return facts.get(subject, quantity, on)
    return min(records, key=lambda f: f.valid_from or date.min)


@dataclass(frozen=True, slots=True)
class Rates:
    """What things cost in one case. ``known`` are the subjects of price lists and sites."""

    case: Case
    facts: Facts

    @property
    def finance(self) -> Finance:
        """The case's finance part, or one that leaves all open."""
        return self.case.finance or Finance(life=None)

    def leaf(self, subject: str, quantity: str, on: date | None, label: str) -> Figure | None:
        """A record of a day as a figure."""
        found = held(self.facts, subject, quantity, on)
        return found.figure(label) if found else None

    def sure(self, subject: str, quantity: str, on: date | None, label: str) -> Figure:
        """The same for records that the project always has. Raises where ``known_by`` hides it."""
        found = self.leaf(subject, quantity, on, label)
        return found or self.facts.figure(subject, quantity, on, label)

    # hardware -------------------------------------------------------------------------------

    def chip_price(self, chip: str, on: date) -> Figure | None:
        """Price of a bare chip on the day that it comes online."""
        if self.finance.chip_price is not None:
            return self.case.given(
                "finance.chip_price", self.finance.chip_price, "USD", "price of a chip"
            )
        return self.leaf(chip, "price", on, f"{chip}: price of a chip")

    def server_factor(self, chip: str) -> Figure:
        """Server over bare chip: of the chip's own line, of its generation, or the default."""
        words = (chip.split("-")[0], self.facts.subject(chip).tags.get("generation", ""))
        for word in words:
            for subject in (OWNING, MODEL):
                if self.facts.has(subject, f"server_factor_{word}"):
                    label = f"{word}: server over chip"
                    return self.facts.figure(subject, f"server_factor_{word}", label=label)
        return self.facts.figure(MODEL, "server_factor", label="server over chip")

    def network_share(self) -> Figure:
        """The cluster network's share of the cluster."""
        return self.facts.figure(MODEL, "network_share", label="network's share of a cluster")

    def decline(self) -> Figure:
        """Orders of magnitude that hardware gains per time."""
        return self.facts.figure(MODEL, "value_decline", label="loss of value, orders of magnitude")

    def building_price(self, on: date) -> Figure:
        """Building, power and cooling per facility power."""
        label = "building, power and cooling per facility power"
        return self.sure("construction", "colossus", on, label)

    # power ----------------------------------------------------------------------------------

    def pue(self) -> Figure:
        """Power usage effectiveness: of the case, or of an operator in general."""
        site = self.case.site
        if site and site.pue is not None:
            return self.case.given("site.pue", site.pue, "1", "power usage effectiveness")
        return self.facts.figure(FACILITY, "pue_other", label="power usage effectiveness")

    def server_power(self, chip: str) -> Figure:
        """Rated power of a server per chip, or of the chip where no server is known."""
        quantity = "server_power" if self.facts.has(chip, "server_power") else "tdp"
        return self.facts.figure(chip, quantity, label=f"{chip}: rated server power per chip")

    def mean_draw(self, chip: str) -> Figure:
        """Mean draw in training over rated power."""
        kind = "tpu" if self.facts.subject(chip).tags.get("kind") == "tpu" else "gpu"
        label = "mean draw over rated power"
        return self.facts.figure(FACILITY, f"power_over_tdp_{kind}", label=label)

    def power(self, chips: tuple[tuple[str, Figure, Figure], ...]) -> Figure:
        """Facility power of a fleet at rated power."""
        counts = [count for _, count, _ in chips]
        return fleet_power(counts, [self.server_power(c) for c, _, _ in chips], self.pue())

    def electricity(self, on: date) -> Figure:
        """Price of electricity: of the case, of its place, or the mean of US industry."""
        if self.finance.energy_price is not None:
            return self.case.given(
                "finance.energy_price", self.finance.energy_price, "USD/J", "price of electricity"
            )
        quantity = self._tariff()
        return self.sure("electricity", quantity, on, f"electricity, {quantity.replace('_', ' ')}")

    def _tariff(self) -> str:
        site = self.case.site
        sites = self.facts.ids("sites")
        place = site.place if site else None
        if site and place is None and site.id in sites:
            place = self.facts.subject(str(site.id)).tags.get("place")
        tags = self.facts.subject(place).tags if place in sites and place else {}
        tariff = tags.get("electricity", "us_industrial")
        return tariff if self.facts.all("electricity", tariff) else "us_industrial"

    # rent and finance -----------------------------------------------------------------------

    def rent(self, chip: str, on: date, later: bool = False) -> Figure | None:
        """Hourly rent of a chip on a day (USD per chip and second).

        ``later`` takes the first record where all begin after the day.
        """
        if self.finance.hourly_price is not None:
            return self.case.given(
                "finance.hourly_price", self.finance.hourly_price, "USD/s", "rent of a chip"
            )
        return rent(chip, on, self.facts, later)

    def interest(self, on: date) -> Figure:
        """Rate of interest, per time."""
        if self.finance.interest is not None:
            share = self.case.given("finance.interest", self.finance.interest, "1", "interest")
            return per_year(share)
        return self.sure("debt", "gpu_backed", on, "interest on debt secured by chips")

    def life(self, on: date) -> Figure:
        """Useful life of the hardware."""
        if self.finance.life is not None:
            return self.case.given("finance.life", self.finance.life, "s", "life of the hardware")
        return self.sure(MODEL, "server_life", on, "life of the hardware")

    def building_life(self) -> Figure:
        """Useful life of the building with its power and cooling."""
        if self.finance.building_life is not None:
            return self.case.given(
                "finance.building_life", self.finance.building_life, "s", "life of the building"
            )
        return self.facts.figure(OWNING, "building_life", label="life of the building")

    def use(self) -> Figure | float:
        """Share of hours in use; all of them unless the case says otherwise."""
        if self.case.finance is None:
            return 1.0
        return self.case.given("finance.utilisation", self.finance.utilisation, "1", "hours in use")


def rent(chip: str, on: date, facts: Facts, later: bool = True) -> Figure | None:
    """Hourly rent of a chip on a day (USD per chip and second), None where none is known.

    Where all records begin after the day the first of them is taken, if ``later`` allows it.
    """
    subject = f"rental-{chip}"
    if subject not in facts.ids("prices"):
        return None
    dated = [held(facts, subject, quantity, on) for quantity in RENTS]
    found = [f for f in dated if f]
    begun = [f for f in found if f.valid_from is None or f.valid_from <= on]
    chosen = begun or (found if later else [])
    return chosen[0].figure(f"{chip}: rent") if chosen else None
