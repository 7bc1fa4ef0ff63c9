"""The bill: every scope that the case gives cause for, each complete in itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from chares.build import Timeline
from chares.errors import InputError
from chares.facts import Facts
from chares.ledger import Figure, NotAsked
from chares.money import buying, owning, running
from chares.money.rates import Rates
from chares.money.running import Section
from chares.money.statement import SCOPES, Bill, LoanYear, Ownership, Scope, Stand, Use, named
from chares.spec import Case

T = TypeVar("T")


def price(case: Case, use: Use, site: Timeline | NotAsked, facts: Facts) -> Bill | NotAsked:
    """What the plan costs.

    Returns `NotAsked` where there is neither a chip nor a run. What cannot be priced for want of
    a fact is a sentence in ``missing``; only a case for which nothing can be priced is refused.
    """
    if not (use.chips or use.chip_time or use.reported):
        return NotAsked("the case names neither chips nor a run to price")
    rates = Rates(case, facts)
    missing: list[str] = []
    sections = _run_sections(rates, use, missing)
    bought = _try("The capital", missing, lambda: buying.capital(rates, use, site))
    stands: tuple[Stand, ...] = ()
    rows: tuple[Ownership, ...] = ()
    years: tuple[LoanYear, ...] = ()
    others: list[Figure] = []
    if bought:
        section, stands = bought
        sections.append(section)
        if case.site is not None or case.finance is not None:
            year = _try("Owning", missing, lambda: owning.fleet_year(rates, use, site, stands[-1]))
            sections += [year] if year else []
            none: tuple[tuple[Ownership, ...], tuple[Figure, ...]] = ((), ())
            found = _try("Owning", missing, lambda: owning.ownership(rates, use, site, stands[-1]))
            rows, figures = found or none
            years, more = owning.loan(rates, stands[-1])
            others += [*figures, *more]
    if not sections:
        return NotAsked(" ".join(missing))
    return _bill(case, use, sections, stands, rows, years, tuple(missing), others)


def _run_sections(rates: Rates, use: Use, missing: list[str]) -> list[Section]:
    rent = _try("The final run rented", missing, lambda: running.rented(rates, use))
    own = _try("The final run on own hardware", missing, lambda: running.owned(rates, use))
    sections = [s for s in (rent, own) if s]
    if rates.case.staff is not None or use.reported:
        whole = _try(
            "The development", missing, lambda: running.programme(rates, rent or own or None)
        )
        sections += [whole] if whole else []
    return sections


def _try(what: str, missing: list[str], make: Callable[[], T | str | None]) -> T | None:
    """A section, or None with the sentence why there is none."""
    try:
        found = make()
    except InputError as bad:
        if not bad.code.startswith("no-fact"):
            raise
        found = f"{what}: {bad.message}."
    if isinstance(found, str):
        missing.append(found)
        return None
    return found


def _bill(
    case: Case,
    use: Use,
    sections: list[Section],
    stands: tuple[Stand, ...],
    rows: tuple[Ownership, ...],
    years: tuple[LoanYear, ...],
    missing: tuple[str, ...],
    others: list[Figure],
) -> Bill:
    chosen = headline(case, use, {s.scope for s in sections})
    scopes = []
    figures: dict[str, Figure] = {}
    for section in sections:
        label, claims, counts, leaves_out = SCOPES[section.scope]
        scopes.append(Scope(section.scope, label, claims, counts, leaves_out, section.total))
        if section.scope == chosen:
            figures["bill.total"] = named(section.total, "bill.total", f"Total: {label}")
        every = [section.total, *(x.amount for x in section.lines), *section.others]
        figures |= {f.id: f for f in every}
    figures |= {f.id: f for f in others}
    lines = tuple(x for s in sections for x in s.lines)
    return Bill(chosen, lines, tuple(scopes), stands, rows, years, missing, figures)


def headline(case: Case, use: Use, there: set[str]) -> str:
    """Which scope ``bill.total`` is of: a site's capital, else the final run rented, else the
    run on own hardware, else the capital of the chips."""
    run = ["final-run-rented", "final-run-owned"]
    order = ["site-capital", *run] if case.site and not use.reported else [*run, "site-capital"]
    return next(scope for scope in order if scope in there)
