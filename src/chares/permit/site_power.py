"""How many megawatts may run on which day: permits and temporary exemptions of a place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from chares.errors import CharesError, InputError
from chares.facts import Facts, load
from chares.ledger import NotAsked
from chares.permit.answers import Verdict
from chares.permit.rulebook import day, keys, limit, read_instrument, words
from chares.units import DAY

if TYPE_CHECKING:
    from chares.spec import Site

NEED_PERMIT = {"turbines"}
SERIES = {"grid": "grid_power", "turbines": "turbine_power", "battery": "battery_power"}


@dataclass(frozen=True, slots=True)
class PowerSource:
    """A source of power: W from a day (until the day before another); ``permitted`` where its
    own permit is known, so that neither exemption nor the place's permit is needed."""

    kind: str
    power: float
    online: date
    until: date | None = None
    permitted: bool = False

    def runs(self, on: date) -> bool:
        return self.online <= on and (self.until is None or on < self.until)


@dataclass(frozen=True, slots=True)
class LawfulPower:
    """What stands and what may run from a day on, in W. A battery carries peaks and is not part
    of ``lawful``; ``unclear`` is what no rule kept here speaks about."""

    start: date
    installed: float
    lawful: float
    unclear: float
    turbines: float
    lawful_turbines: float
    battery: float
    because: tuple[str, ...]

    @property
    def excess(self) -> float:
        """W that stand there and may not run."""
        return self.installed - self.lawful - self.unclear


@dataclass(frozen=True, slots=True)
class Limits:
    """The lawful power of a site as steps, first to last, and the records used."""

    place: str
    steps: tuple[LawfulPower, ...]
    facts: tuple[str, ...]
    status: tuple[str, ...]

    def on(self, when: date) -> LawfulPower | None:
        """The step that holds on a day; None before the first source."""
        past = [s for s in self.steps if s.start <= when]
        return past[-1] if past else None

    def lawful(self, when: date) -> float:
        """Lawful W on a day, without batteries (0 before the first source)."""
        step = self.on(when)
        return step.lawful if step else 0.0

    def as_dict(self) -> dict[str, Any]:
        """The steps as plain data."""
        names = ("installed", "lawful", "unclear", "turbines", "lawful_turbines", "battery")
        steps = [
            {"from": s.start.isoformat(), **{f"{n}_w": getattr(s, n) for n in names},
             "because": list(s.because)}
            for s in self.steps
        ]  # fmt: skip
        return {
            "place": self.place, "steps": steps, "facts": list(self.facts),
            "status": list(self.status),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Regime:
    """What the law of a place says of units that need a permit."""

    name: str
    exemption: timedelta
    exemption_paragraph: str
    permits: tuple[tuple[float, date, str], ...]  # (W, from, paragraph)
    facts: tuple[str, ...]
    status: str


def limits(site: Site | None, facts: Facts | None = None) -> Limits | NotAsked:
    """Lawful megawatts of a case's site by day, before anything is built.

    Sources come from the case (``supplies``), or else from what is known of the site (its
    ``grid_power``, ``turbine_power`` and ``battery_power`` by day).
    """
    facts = facts or load()
    if site is None:
        return NotAsked("the case has no site")
    sources = [
        PowerSource(s.kind, s.power, s.online, s.until, s.permit == "permitted")
        for s in site.supplies
    ]
    used: list[str] = []
    if not sources and site.id:
        sources, used = _recorded(site.id, facts)
    if not sources:
        return NotAsked("no source of power is given or known for the site")
    return lawful_power(sources, _place(site, facts), facts, used)


def power_sources(id: str, facts: Facts | None = None) -> list[PowerSource]:
    """The sources of power that are known of a site (``colossus-1``), in watts by first day.

    Raises `UnknownName` for a site that does not exist, `InputError` (``no-sources``) where none
    is recorded.
    """
    sources, _ = _recorded(id, facts or load())
    if not sources:
        raise InputError(
            "no-sources", f"no source of power is known of `{id}`",
            hint="give a case whose site names its supplies",
        )  # fmt: skip
    return sources


def lawful_power(
    sources: Sequence[PowerSource], place: str, facts: Facts | None = None, used: Sequence[str] = ()
) -> Limits:
    """The lawful power of some sources at a place (``memphis``), as steps by day.

    A unit that needs a permit runs lawfully if permitted, or until 364 days (in Shelby County)
    have passed since its first run; the day of the 364th is the last. A permit of so many
    megawatts covers first the units whose exemption has ended.
    """
    facts = facts or load()
    regime = _regime(place, facts)
    days = {d for s in sources for d in (s.online, s.until) if d}
    if regime:
        end = regime.exemption + timedelta(days=1)
        days |= {s.online + end for s in sources if s.kind in NEED_PERMIT and not s.permitted}
        days |= {start for _, start, _ in regime.permits}
    first = min(s.online for s in sources)
    steps = [_step(d, sources, regime) for d in sorted(days) if d >= first]
    kept = steps[:1] + [b for a, b in pairwise(steps) if _numbers(a) != _numbers(b)]
    keys = (*used, *(regime.facts if regime else ()))
    return Limits(place, tuple(kept), tuple(keys), (regime.status,) if regime else ())


def power(
    sources: Sequence[PowerSource], place: str, on: date, facts: Facts | None = None
) -> Verdict:
    """May all these sources run at a place on a day? ``allowed``, ``denied`` (some may not) or
    ``unknown`` (no rule kept for the place and units that would need a permit)."""
    found = lawful_power(sources, place, facts)
    step = found.on(on)
    question = f"power at {place} on {on}"
    if step is None:
        return Verdict("allowed", "", "nothing runs", (), (), (), (), question, on)
    verdict = "denied" if step.excess > 0 else "unknown" if step.unclear > 0 else "allowed"
    policy = {"denied": f"{_mw(step.excess)} stand without a permit"}.get(verdict, "")
    later = [s for s in found.steps if s.start > on and s.excess != step.excess]
    flips = [f"from {s.start}: {_mw(s.lawful)} lawful of {_mw(s.installed)}" for s in later[:2]]
    if step.excess > 0:
        flips.append(f"a permit for {_mw(step.excess)} more")
    paragraph = found.status[0].split(":")[0] if found.status and step.turbines else "none needed"
    if verdict == "unknown":
        paragraph = "no rule is kept for the place"
    return Verdict(
        verdict, policy, paragraph, step.because, found.facts, tuple(flips), found.status,
        question, on,
    )  # fmt: skip


def _step(on: date, sources: Iterable[PowerSource], regime: _Regime | None) -> LawfulPower:
    running = [s for s in sources if s.runs(on)]
    battery = sum(s.power for s in running if s.kind == "battery")
    running = [s for s in running if s.kind != "battery"]
    asked = [s for s in running if s.kind in NEED_PERMIT and not s.permitted]
    free = sum(s.power for s in running if s not in asked)
    total = sum(s.power for s in asked)
    own = sum(s.power for s in running if s.kind in NEED_PERMIT and s.permitted)
    because = (
        [f"Grid, and what else needs no permit here or has its own: {_mw(free)}."] if free else []
    )
    if regime is None:
        if asked:
            because.append(f"No rule is kept for the place: {_mw(total)} of turbines are unclear.")
        return LawfulPower(on, free + total, free, total, total + own, own, battery, tuple(because))
    exempt = sum(s.power for s in asked if on - s.online <= regime.exemption)
    granted = [(w, p) for w, start, p in regime.permits if start <= on]
    covered = min(sum(w for w, _ in granted), total - exempt)
    if exempt:
        because.append(f"{regime.exemption_paragraph}: {_mw(exempt)}.")
    if covered:
        because.append(f"{granted[-1][1]}: {_mw(covered)}.")
    if total > exempt + covered:
        because.append(f"Neither exempt nor permitted: {_mw(total - exempt - covered)}.")
    lawful = free + exempt + covered
    return LawfulPower(
        on, free + total, lawful, 0.0, total + own, own + exempt + covered, battery, tuple(because)
    )


def _numbers(step: LawfulPower) -> tuple[float, ...]:
    return (step.installed, step.lawful, step.unclear, step.lawful_turbines, step.battery)


def _regime(place: str, facts: Facts) -> _Regime | None:
    for id_ in facts.document("law/instruments")["power"]:
        raw = facts.document(id_)
        if place not in words(raw, "places"):
            continue
        exemption, key = limit(facts, id_, raw["exemption"]["duration"])
        permits, used = [], [key]
        for entry in raw["permits"]:
            watts, permit_key = limit(facts, id_, entry["power"])
            permits.append((watts, day(entry["from"]), str(entry["paragraph"])))
            used += [permit_key, *keys(facts, id_, entry)]
        act = read_instrument(facts, id_)
        return _Regime(
            act.name, timedelta(days=round(exemption / DAY)), raw["exemption"]["paragraph"],
            tuple(permits), tuple(used), act.standing(act.checked_to),
        )  # fmt: skip
    return None


def _place(site: Site, facts: Facts) -> str:
    if site.place:
        return site.place
    try:
        return facts.subject(site.id or "").tags.get("place", site.id or "")
    except CharesError:
        return site.id or ""


def _recorded(id: str, facts: Facts) -> tuple[list[PowerSource], list[str]]:
    """The sources of a known site and the keys of their records: each rise of a recorded series
    is a batch from its day."""
    sources, used = [], []
    for kind, quantity in SERIES.items():
        known = facts.all(id, quantity) if quantity in facts.quantities(id) else []
        records = sorted((r for r in known if r.valid_from), key=lambda r: str(r.valid_from))
        before = 0.0
        for record in records:
            used.append(record.key)
            if record.valid_from and record.value > before:
                sources.append(PowerSource(kind, record.value - before, record.valid_from))
                before = record.value
    return sources, used


def _mw(watts: float) -> str:
    return f"{watts / 1e6:,.4g} MW"
