"""The main path: a case in, a plan out. Each line reads only what stands above it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from chares import build, claims, money, permit, run, search
from chares.errors import UnknownName
from chares.facts import Facts, load
from chares.ledger import Estimate, Figure, NotAsked, formula, intervals, leaf
from chares.spec import Case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chares.ledger import Num


@dataclass(frozen=True)
class Plan:
    """Everything that was computed for a case. A stage that was not asked says why.

    ``figures`` is the registry of all named figures; ``figure`` also answers ids with arguments,
    such as ``site.days_to_chips(100000)``.
    """

    case: Case
    facts: Facts
    limits: Any
    site: build.Timeline | NotAsked
    job: search.Job | NotAsked
    weeks: run.Weeks | NotAsked
    bill: money.Bill | NotAsked
    verdicts: dict[str, permit.Verdict] | NotAsked
    held: tuple[claims.Held, ...] = ()
    figures: dict[str, Figure] = field(default_factory=dict, repr=False)

    def find(self, id: str) -> Figure | None:
        """The figure with an id, or None."""
        for stage in (self.site, self.weeks, self.bill):
            answer = getattr(stage, "figure", None)
            if id not in self.figures and answer and (found := answer(id)) is not None:
                return found  # type: ignore[no-any-return]
        return self.figures.get(id)

    def figure(self, id: str) -> Figure:
        """The figure with an id. Raises `UnknownName` with the nearest ids."""
        found = self.find(id)
        if found is None:
            raise UnknownName("figure", id, self.figures)
        return found

    def intervals(self) -> dict[str, Estimate]:
        """The estimate of every figure in the registry, by id."""
        return intervals(list(self.figures.values()))

    def __repr__(self) -> str:
        from chares.report import plan_text

        return plan_text(self)

    def _repr_html_(self) -> str:
        from chares.report import plan_html

        return plan_html(self)


def plan(case: Case, facts: Facts | None = None) -> Plan:
    """Plan a case. Raises `CharesError` where it cannot be used or nothing fits."""
    facts = (facts or load()).known(case.known_by)
    limits = permit.limits(case.site, facts)
    site = build.timeline(case, limits or None, facts)
    job = search.best(case, facts)
    weeks = run.simulate(case, _paces(case, job, site), site, facts)
    bill = money.price(case, _use(case, job, weeks, site), site, facts)
    verdicts = _law(case, job, site, facts)
    figures = dict(_registry(site, job, weeks, bill))
    draft = Plan(case, facts, limits, site, job, weeks, bill, verdicts, figures=figures)
    scopes = getattr(bill, "scopes", {})
    for claim in case.claims:  # a figure that a claim asks for by argument joins the registry
        found = draft.find(claim.about)
        if found is not None:
            figures.setdefault(claim.about, found)
    estimates = draft.intervals() if case.claims else {}
    held = claims.hold(
        case.claims,
        draft.find,
        lambda f: estimates.get(f.id, Estimate(f.value, f.value, f.value)),
        lambda id: scopes.get(id, ""),
    )
    return Plan(case, facts, limits, site, job, weeks, bill, verdicts, held, figures)


@formula("N peak mfu, over the kinds of chip", "FLOP/s")
def speed(counts: list[Num], peaks: list[Num], mfu: Num) -> Num:
    """Model FLOP per second of a fleet at one utilisation."""
    return sum(n * p for n, p in zip(counts, peaks, strict=True)) * mfu


def _registry(*stages: Any) -> Iterator[tuple[str, Figure]]:
    for stage in stages:
        if not isinstance(stage, NotAsked):
            yield from stage.figures.items()
