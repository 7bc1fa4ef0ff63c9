"""The main path: a case in, a plan out. Each line reads only what stands above it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chares import build, claims, money, permit, run, search
from chares.errors import UnknownName
from chares.facts import Facts, load
from chares.ledger import Estimate, Figure, NotAsked, Num, formula, intervals
from chares.spec import Case, Notice, notices, read_case
from chares.units import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


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
    steps: search.Steps | NotAsked
    weeks: run.Weeks | NotAsked
    bill: money.Bill | NotAsked
    verdicts: dict[str, permit.Verdict] | NotAsked
    held: tuple[claims.Held, ...] = ()
    figures: dict[str, Figure] = field(default_factory=dict, repr=False)
    estimates: dict[str, Estimate] = field(default_factory=dict, repr=False)

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
            unknown = UnknownName("figure", id, self.figures)
            if unknown.hint.startswith("known"):
                unknown.hint += "; all stand under `figures` in `chares plan CASE --json`"
            raise unknown
        return found

    @property
    def warnings(self) -> tuple[Notice | str, ...]:
        """What a reader must mind: evidence that is thin; keys, days and parts of the case that
        are not taken as they stand. Each reads as a sentence with ``str``."""
        thin = () if isinstance(self.steps, NotAsked) else (self.steps.warning,)
        return (*filter(None, thin), *notices(self.case, self.facts))

    def why(self, id: str, lang: str = "en") -> str:
        """The tree behind a figure as text, down to facts with their sources."""
        from chares.report import why_text

        return why_text(self.figure(id), self.facts, lang=lang)

    def __repr__(self) -> str:
        from chares.report import plan_text

        return plan_text(self)

    def _repr_html_(self) -> str:
        from chares.report import plan_html

        return plan_html(self)


def plan(case: Case | str | Path, facts: Facts | None = None) -> Plan:
    """Plan a case, given as such, as a file or by the name of a shipped one.

    Raises `CharesError` where it cannot be used or nothing fits.
    """
    case = case if isinstance(case, Case) else read_case(case)
    facts = (facts or load()).known(case.known_by)
    limits = permit.limits(case.site, facts)
    site = build.timeline(case, limits or None, facts)
    steps = search.best(case, facts)
    weeks = run.simulate(case, _job(case, steps, site, facts), site, facts)
    bill = money.price(case, _use(case, weeks, site), site, facts)
    verdicts = _law(case, steps, site, facts)
    figures = dict(_registry(site, steps, weeks, bill))
    draft = Plan(case, facts, limits, site, steps, weeks, bill, verdicts, figures=figures)
    for claim in case.claims:  # a figure that a claim asks for by argument joins the registry
        found = draft.find(claim.about)
        if found is not None:
            figures.setdefault(claim.about, found)
    estimates = intervals(list(figures.values()))
    return replace(draft, held=_hold(draft, estimates), estimates=estimates)


# what one stage hands to the next ---------------------------------------------------------------


@formula("mfu x sum over kinds of chip of N peak", "FLOP/s")
def speed(counts: Sequence[Num], peaks: Sequence[Num], mfu: Num) -> Num:
    """Model FLOP per second of a fleet at one utilisation."""
    return mfu * sum(n * p for n, p in zip(counts, peaks, strict=True))


@formula("min(N, online)", "chip")
def smaller(wanted: float, online: float) -> float:
    """Chips that train: no more than are online."""
    return min(wanted, online)


def _job(
    case: Case, steps: search.Steps | NotAsked, site: build.Timeline | NotAsked, facts: Facts
) -> run.Job | NotAsked:
    """The job as run knows it: what is to be done, and how fast from which day on."""
    if isinstance(steps, NotAsked):
        return steps
    if isinstance(site, NotAsked):
        return site
    train = case.train
    paces = []
    for phase in site.phases:
        kinds, chips = phase.by_chip, phase.chips
        if train and train.chips:
            chips = smaller(steps.chips, phase.chips)
            kinds = ((steps.chip, chips),)
        peaks = [facts.figure(chip, steps.peak_quantity) for chip, _ in kinds]
        counts = [count for _, count in kinds]
        paces.append(run.Pace(phase.online, chips, speed(counts, peaks, steps.mfu)))
    return run.Job(steps.compute, tuple(paces), steps.chip, steps.state, steps.mfu)


def _use(case: Case, weeks: run.Weeks | NotAsked, site: build.Timeline | NotAsked) -> money.Use:
    """What money is told: chip time, energy, the fleet, its power."""
    reported = tuple(
        (
            stage.name,
            case.given(
                f"train.reported[{i}].chip_hours", stage.chip_hours, "s",
                f"{stage.name}: chip time", stage.source,
            ),
            stage.source or "",
        )
        for i, stage in enumerate(case.train.reported if case.train else ())
    )  # fmt: skip
    ran = {} if isinstance(weeks, NotAsked) else weeks.figures
    chips: tuple[tuple[str, Figure, Figure], ...] = ()
    power = None
    if not isinstance(site, NotAsked):
        chips = tuple((x.chip, x.count, x.online) for x in site.fleet.lots)
        power = site.figures.get("site.power")
    return money.Use(
        ran.get("run.chip_time"), ran.get("run.energy"), reported, chips, power,
        ran.get("run.start"), ran.get("run.end"),
    )  # fmt: skip


def _law(
    case: Case, steps: search.Steps | NotAsked, site: build.Timeline | NotAsked, facts: Facts
) -> dict[str, permit.Verdict] | NotAsked:
    """The plan's own numbers, put to the law: the run at its start, the cluster by phase."""
    compute = None if isinstance(steps, NotAsked) else float(steps.compute.value)
    start = case.train.start if case.train else None
    found = permit.check(case, facts, training_operations=compute, trained_on=start)
    verdicts = {} if isinstance(found, NotAsked) else dict(found)
    if isinstance(site, NotAsked) or case.permit is None or case.permit.network is None:
        return verdicts or found
    for phase in site.phases:
        day = date.fromordinal(int(phase.online.value))
        cluster = {
            dtype: sum(
                count.value * facts.get(chip, f"peak_{dtype}").value
                for chip, count in phase.by_chip
                if facts.has(chip, f"peak_{dtype}")
            )
            for dtype in ("bf16", "int8")
        }
        answers = permit.check(case, facts, cluster=cluster, cluster_online=day)
        for id_, verdict in ({} if isinstance(answers, NotAsked) else answers).items():
            if id_.startswith("cluster."):
                verdicts[f"{id_} on {day}"] = verdict
    return verdicts or found


def _registry(*stages: Any) -> Iterator[tuple[str, Figure]]:
    for stage in stages:
        if not isinstance(stage, NotAsked):
            yield from stage.figures.items()


def _hold(draft: Plan, estimates: dict[str, Estimate]) -> tuple[claims.Held, ...]:
    bill = draft.bill
    return claims.hold(
        draft.case.claims,
        draft.find,
        lambda f: estimates.get(f.id, Estimate(f.value, f.value, f.value)),
        lambda id_: "" if isinstance(bill, NotAsked) else bill.scope_of(id_),
    )


def rent_of(chip: str, on: date, facts: Facts) -> float | None:
    """Rent of a chip on a day in USD per chip and hour, None where none is known."""
    rent = money.rent(facts.resolve("chips", chip), on, facts)
    return float(rent.value) * HOUR if rent is not None else None


def strategies(
    model: str,
    chip: str,
    count: int,
    *,
    hourly_price: float | None = None,
    on: date | None = None,
    facts: Facts | None = None,
    **options: Any,
) -> search.Answer:
    """Every legal strategy for a model on a fleet, priced at the rent of the day.

    ``hourly_price`` is in USD per chip and second; the rent of the chip on the day ``on`` where it
    is not given, no cost where none is known. ``options`` are those of `chares.search.ask`.
    """
    facts = facts or load()
    if hourly_price is None:
        per_hour = rent_of(chip, on or date.today(), facts)
    else:
        per_hour = hourly_price * HOUR
    return search.ask(model, chip, count, facts, hourly_price=per_hour, on=on, **options)
