"""What the planner hands to money, and what money hands back."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from chares.ledger import Figure, show_value

# What a scope is called, the word of claims for it, what it counts and what it leaves out.
SCOPES: dict[str, tuple[str, str, str, str]] = {
    "final-run-rented": (
        "final run, rented",
        "final-run",
        "Chip time of the final run at the rent of the day.",
        "Failed and smaller runs, data, staff, and serving.",
    ),
    "final-run-owned": (
        "final run, on own hardware (amortised)",
        "final-run",
        "The hardware's loss of value while the run uses it, its network, and its electricity.",
        "Building, interest, experiments, staff, and hardware that stands idle.",
    ),
    "programme": (
        "development of the model",
        "programme",
        "The final run, the experiments before it, and the people.",
        "Hardware that is owned but not used, data, offices, and serving.",
    ),
    "site-capital": (
        "capital of the site",
        "site",
        "Chips in servers, cluster network, building, power and cooling.",
        "Land, own power plants, interest, electricity, and staff.",
    ),
    "fleet-year": (
        "a year of owning the fleet",
        "fleet",
        "Straight-line use of hardware and building, interest on the opening balance, electricity.",
        "Staff, maintenance, spares, taxes, and what the hardware still fetches at the end.",
    ),
}


@dataclass(frozen=True, slots=True)
class Use:
    """What a plan uses, in plain figures: all that money is told about run and build.

    ``chip_time`` [chip s] and ``energy`` [J] are of the final run as predicted; ``reported`` are
    chip times that were published, as (stage, chip s, source id); ``chips`` are the batches of the
    fleet as (chip id, count, first day online); ``facility_power`` [W] is what they draw at full
    use; ``start`` and ``end`` are the days of the run.
    """

    chip_time: Figure | None = None
    energy: Figure | None = None
    reported: tuple[tuple[str, Figure, str], ...] = ()
    chips: tuple[tuple[str, Figure, Figure], ...] = ()
    facility_power: Figure | None = None
    start: Figure | None = None
    end: Figure | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the bill. Lines of one scope add up to its total; scopes are never added."""

    id: str
    label: str
    scope: str
    amount: Figure
    note: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """One full answer: what it counts, what it leaves out, and its total.

    ``claims`` is the word that claims use for it (final-run, programme, site, fleet).
    """

    id: str
    label: str
    claims: str
    counts: str
    leaves_out: str
    total: Figure


@dataclass(frozen=True, slots=True)
class Stand:
    """Capital as it stands from one day on: what was built so far, beside what was published."""

    online: Figure
    chips: Figure
    compute: Figure
    building: Figure | None
    capital: Figure
    published: Figure | None = None


@dataclass(frozen=True, slots=True)
class Ownership:
    """Cost of an owned chip per second in use [USD/s], under two ways to charge interest.

    ``basis`` says whose capital it stands on (``published`` or ``computed``). ``opening`` charges
    interest on the opening balance for the whole life, ``annuity`` a level payment. Break-even is
    the share of hours in use at which owning costs what renting does (above 1: never; None where
    no rent is known or it does not even pay the electricity).
    """

    basis: str
    opening: Figure
    annuity: Figure
    break_even_opening: Figure | None = None
    break_even_annuity: Figure | None = None


@dataclass(frozen=True, slots=True)
class LoanYear:
    """A loan on the hardware after some years: its value, and debt over value if it is repaid in
    level payments or only at the end."""

    year: int
    value: Figure
    level: Figure
    bullet: Figure


@dataclass(frozen=True, slots=True)
class Bill:
    """What it costs, by scope. ``bill.total`` is the total of one scope, named by ``scope``.

    ``missing`` says in a sentence each what could not be priced.
    """

    scope: str
    lines: tuple[Line, ...]
    scopes: tuple[Scope, ...]
    stands: tuple[Stand, ...]
    ownership: tuple[Ownership, ...]
    loan: tuple[LoanYear, ...]
    missing: tuple[str, ...]
    figures: dict[str, Figure] = field(repr=False)

    def __repr__(self) -> str:
        total = show_value(self.figures["bill.total"].value)
        return f"<Bill: {total} USD, {SCOPES[self.scope][0]}; {len(self.scopes)} scopes>"

    def figure(self, id: str) -> Figure | None:
        """The figure with an id; ``bill.capital_at(100000)`` is the capital when the site first
        had that many chips, ``bill.loan.bullet(3)`` debt over value after three years."""
        if id in self.figures:
            return self.figures[id]
        for year in self.loan:
            for figure in (year.value, year.level, year.bullet):
                if figure.id == id:
                    return figure
        match = re.fullmatch(r"bill\.capital_at\(([1-9][\d_]{0,14})\)", id)
        if not match:
            return None
        for stand in self.stands:
            if stand.chips.value >= int(match[1]):
                return named(stand.capital, id, f"Capital of the site at {int(match[1]):,} chips")
        return None

    def scope_of(self, id: str) -> str:
        """The claims' word for what a figure counts; empty where it has no scope."""
        words = {s.id: s.claims for s in self.scopes}
        owners = {s.total.id: s.id for s in self.scopes} | {x.id: x.scope for x in self.lines}
        if id == "bill.total":
            return words[self.scope]
        if id.startswith("bill.capital"):
            return words.get("site-capital", "")
        return words.get(owners.get(id, ""), "")


def named(figure: Figure, id: str, label: str, unit: str = "USD") -> Figure:
    """The figure under an id and label of the bill."""
    return replace(figure, id=id, label=label, unit=unit)
