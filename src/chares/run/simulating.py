"""The job on its calendar: interruptions, goodput, days, energy, and figures answered by id."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from chares.errors import NoPlan
from chares.facts import Facts
from chares.ledger import Figure, NotAsked, product, ratio, total
from chares.run.checkpoints import (
    daly_interval,
    goodput,
    linear_goodput,
    state_from_compute,
    write_time,
)
from chares.run.hazards import (
    CHECKPOINTING,
    RECOVERY,
    WINDOW,
    Cause,
    Hazard,
    expected_interruptions,
    hazard,
    interruptions_of_cause,
    mean_time_to_interruption,
    nodes_in_repair,
    spare_nodes,
)
from chares.run.stretches import (
    Stretch,
    Week,
    calendar,
    chip_time,
    day_after,
    energy_of,
    kept_speed,
    mean_power,
    not_before,
    overall_goodput,
    time_at_pace,
)
from chares.run.work import Job, Pace, speed_of_chips
from chares.spec import Case
from chares.units import DAY

if TYPE_CHECKING:
    from chares.build import Timeline

GENERAL = "data-centre"
NO_PROGRESS = 1e-6  # goodput: a day of work takes 2,700 years


@dataclass(frozen=True, slots=True)
class Setting:
    """What checkpoints and failures cost here: rate per chip [1/s], write and restart time [s]."""

    hazard: Hazard
    write: Figure
    restart: Figure

    def mtti(self, chips: Figure | float) -> Figure:
        """Mean time to interruption of a job on so many chips [s]."""
        return mean_time_to_interruption(chips, self.hazard.rate)

    def interval(self, chips: Figure | float) -> Figure:
        """The best useful time between checkpoints [s]."""
        return daly_interval(self.write, self.mtti(chips))

    def goodput(self, chips: Figure | float, restart: Figure | None = None) -> Figure:
        """What failures leave of the speed, at the best interval."""
        M = self.mtti(chips)
        tau = daly_interval(self.write, M)
        return goodput(tau, self.write, restart or self.restart, M)


@dataclass(frozen=True, slots=True)
class Weeks:
    """The run: ``rows`` by week, ``stretches`` by pace used, ``causes`` of interruptions, figures.

    ``end`` is None where the job would outlast the calendar.
    """

    start: Figure
    end: Figure | None
    rows: tuple[Week, ...]
    stretches: tuple[Stretch, ...]
    causes: tuple[Cause, ...]
    figures: dict[str, Figure]
    job: Job = field(repr=False)
    setting: Setting = field(repr=False)

    def __repr__(self) -> str:
        days = self.figures["run.training_time"].value / DAY
        kept = self.figures["run.goodput"].value
        return f"<Weeks: {days:,.1f} days at {kept:.0%} goodput>"

    def figure(self, id: str) -> Figure | None:
        """The figure with an id, or None where there is none.

        Answered for any number of chips held constant: ``run.days(100000)`` (with failures),
        ``run.days_ideal(100000)`` (MFU alone), ``run.goodput(...)``, ``run.goodput_linear(...)``,
        ``run.mtti(...)``, ``run.checkpoint_interval(...)``.
        """
        if id in self.figures:
            return self.figures[id]
        match = re.fullmatch(r"run\.([a-z_]+)\(([1-9][\d_]{0,12})\)", id.replace(" ", ""))
        if not match or match[1] not in QUESTIONS:
            return None
        text, answer = QUESTIONS[match[1]]
        found = answer(self, float(match[2]))
        return found.named(id, text.format(f"{int(match[2]):,}")) if found else None


def simulate(
    case: Case, job: Job | NotAsked, site: Timeline | NotAsked | None, facts: Facts
) -> Weeks | NotAsked:
    """The weeks of a training job: what failures leave of its speed, and when it ends.

    Without a site there is no energy. Raises `NoPlan` (``no-progress``) where failures leave
    nothing.
    """
    if isinstance(job, NotAsked) or case.train is None:
        return NotAsked(job.reason if isinstance(job, NotAsked) else "the case has no train part")
    setting, figures = _setting(case, job, facts)
    paces = sorted(job.paces, key=lambda p: float(p.online.value))
    start = paces[0].online
    if case.train.start:
        asked = case.given("train.start", case.train.start, "date", "first day of training")
        start = not_before(asked, start)
    start = start.named("run.start", "first day of training")
    stretches = _stretches(job, paces, start, setting, _powers(job, paces, site, facts))
    figures |= _figures(job, paces, start, stretches, setting, facts)
    end = _end(start, figures["run.training_time"])
    figures |= {end.id: end} if end else {}
    causes = _causes(setting.hazard, figures["run.interruptions"], facts)
    rows = calendar(float(start.value), float(job.compute.value), stretches)
    used = tuple(s for s in stretches if s.time.value > 0)
    return Weeks(start, end, rows, used, causes, figures, job, setting)


def _setting(case: Case, job: Job, facts: Facts) -> tuple[Setting, dict[str, Figure]]:
    """Failure rate, checkpoint and restart of the case, and the figures that say so."""
    state = job.state
    if state is None:
        tokens = facts.figure(RECOVERY, "tokens_per_parameter", label="tokens per parameter")
        per_parameter = facts.figure(CHECKPOINTING, "state_per_parameter")
        state = state_from_compute(job.compute, tokens, per_parameter)
    given = case.train.checkpoint_bandwidth if case.train else None
    if given:
        bandwidth = case.given("train.checkpoint_bandwidth", given, "B/s", "storage bandwidth")
    else:
        bandwidth = facts.figure(CHECKPOINTING, "storage_bandwidth", label="storage bandwidth")
    state = state.named("run.state", "training state in a checkpoint")
    write = write_time(state, bandwidth)
    write = write.named("run.checkpoint_time", "time to write a checkpoint")
    restart = facts.figure(RECOVERY, "restart_time", label="restart after a failure")
    restart = restart.named("run.restart_time", unit="s")
    setting = Setting(hazard(job.chip, facts), write, restart)
    return setting, {f.id: f for f in (setting.hazard.rate, state, write, restart)}


def _powers(
    job: Job, paces: list[Pace], site: Timeline | NotAsked | None, facts: Facts
) -> list[Figure | None]:
    """Mean power of the job at each pace, where there is a site."""
    kind = "tpu" if facts.subject(job.chip).tags.get("kind") == "tpu" else "gpu"
    draw = f"power_over_tdp_{kind}"
    if site is None or isinstance(site, NotAsked) or not facts.has(GENERAL, draw):
        return [None] * len(paces)
    use = facts.figure(GENERAL, draw, label="mean draw over rated power")
    fleet = site.fleet
    return [
        mean_power(use, fleet.facility_power(p.online), p.chips, fleet.chips(p.online))
        for p in paces
    ]


def _stretches(
    job: Job,
    paces: list[Pace],
    start: Figure,
    setting: Setting,
    powers: list[Figure | None],
) -> tuple[Stretch, ...]:
    kept = [setting.goodput(p.chips) for p in paces]
    for pace, share in zip(paces, kept, strict=True):
        if share.value < NO_PROGRESS:
            raise _stuck(pace, setting)
    rates = [kept_speed(p.speed, g) for p, g in zip(paces, kept, strict=True)]
    onlines = [p.online for p in paces]
    return tuple(
        Stretch(
            not_before(start, p.online),
            p.chips,
            p.speed,
            setting.mtti(p.chips),
            setting.interval(p.chips),
            kept[k],
            time_at_pace(k, job.compute, start, onlines, rates),
            powers[k],
        )
        for k, p in enumerate(paces)
    )


def _stuck(pace: Pace, setting: Setting) -> NoPlan:
    chips, mtti = pace.chips.value, setting.mtti(pace.chips).value
    return NoPlan(
        "no-progress",
        f"a job on {chips:,.0f} chips makes no progress: it is interrupted every {mtti:,.3g} s, a"
        f" checkpoint takes {setting.write.value:,.3g} s and a restart"
        f" {setting.restart.value:,.3g} s",
        hint="train on fewer chips (`train.chips`) or set a faster `train.checkpoint_bandwidth`",
    )


def _figures(
    job: Job,
    paces: list[Pace],
    start: Figure,
    stretches: tuple[Stretch, ...],
    setting: Setting,
    facts: Facts,
) -> dict[str, Figure]:
    times = [s.time for s in stretches]
    speeds = [s.speed for s in stretches]
    chips = [s.chips for s in stretches]
    time = total(times).named("run.training_time", "training time", "s")
    breaks = expected_interruptions(times, [s.mtti for s in stretches])
    breaks = breaks.named("run.interruptions", "interruptions")
    kept = overall_goodput(job.compute, times, speeds).named("run.goodput", "goodput")
    used = [s for s in stretches if s.time.value > 0]
    found = [
        start,
        time,
        _ideal(job, paces, start, speeds).named(
            "run.training_time_ideal", "training time without failures", "s"
        ),
        kept,
        breaks,
        ratio(time, breaks).named("run.mtti", "mean time to interruption", "s"),
        used[0].checkpoint_interval.named(
            "run.checkpoint_interval", "useful time between checkpoints"
        ),
        chip_time(chips, times).named("run.chip_time", "chip-time"),
        *_spares(setting, used[-1].chips, facts),
        *_isolated(job, paces, start, setting, facts),
    ]
    powers = [s.power for s in stretches]
    if all(powers):
        energy = energy_of(powers, times)
        found.append(energy.named("run.energy", "energy at the meter"))
    if job.mfu:
        found.append(job.mfu.named("run.mfu", "model FLOP utilisation"))
        found.append(product(job.mfu, kept).named("run.mfu_kept", "utilisation with failures"))
    return {f.id: f for f in found}


def _ideal(job: Job, paces: list[Pace], start: Figure, speeds: list[Figure]) -> Figure:
    """Time of the job at given speeds, by the same calendar."""
    onlines = [p.online for p in paces]
    times = [time_at_pace(k, job.compute, start, onlines, speeds) for k in range(len(paces))]
    return total(times)


def _isolated(
    job: Job, paces: list[Pace], start: Figure, setting: Setting, facts: Facts
) -> tuple[Figure, ...]:
    """The same job where one failed part restarts while the rest goes on."""
    if not facts.has(RECOVERY, "isolated_stall"):
        return ()
    stall = facts.figure(RECOVERY, "isolated_stall", label="stall with fault isolation")
    speeds = [kept_speed(p.speed, setting.goodput(p.chips, stall)) for p in paces]
    time = _ideal(job, paces, start, speeds)
    ideal = _ideal(job, paces, start, [p.speed for p in paces])
    return (
        time.named("run.training_time_isolated", "training time with fault isolation", "s"),
        ratio(ideal, time).named("run.goodput_isolated", "goodput with fault isolation"),
    )


def _spares(setting: Setting, chips: Figure, facts: Facts) -> tuple[Figure, ...]:
    """Spare nodes for the largest pace; the hardware's share of failures is that of the window."""
    needed = [(WINDOW, "hardware_rate"), (WINDOW, "failure_rate"), (CHECKPOINTING, "repair_time")]
    if not all(facts.has(*n) for n in needed):
        return ()
    hardware, every, repair = (facts.figure(*n) for n in needed)
    share = ratio(hardware, every)
    away = nodes_in_repair(chips, setting.hazard.rate, share, repair)
    spare = spare_nodes(away)
    return (
        away.named("run.nodes_in_repair", "nodes away for repair, mean"),
        spare.named("run.spare_nodes", "spare nodes that suffice 99 % of the time"),
    )


def _end(start: Figure, time: Figure) -> Figure | None:
    end = day_after(start, time)
    fine = end.value <= date.max.toordinal()
    return end.named("run.end", "last day of training") if fine else None


def _causes(found: Hazard, breaks: Figure, facts: Facts) -> tuple[Cause, ...]:
    """Interruptions by cause, where the hazard's source counted them, the most frequent first."""
    names = [q for q in facts.quantities(found.subject) if q.startswith("cause_")]
    if not names:
        return ()
    every = facts.figure(found.subject, "unexpected")
    rows = []
    for name in names:
        count = facts.figure(found.subject, name)
        share = ratio(count, every)
        id = name.removeprefix("cause_")
        expected = interruptions_of_cause(share, breaks)
        rows.append(Cause(id, id.replace("_", " "), count, share, expected))
    return tuple(sorted(rows, key=lambda c: -float(c.count.value)))


# figures answered by id -----------------------------------------------------------------------


def _pace_for(weeks: Weeks, chips: float) -> Pace:
    """The first pace with so many chips, or the largest."""
    paces = sorted(weeks.job.paces, key=lambda p: float(p.chips.value))
    return next((p for p in paces if p.chips.value >= chips), paces[-1])


def _speed(weeks: Weeks, chips: float) -> Figure:
    pace = _pace_for(weeks, chips)
    return speed_of_chips(pace.speed, chips, pace.chips)


def _days_ideal(weeks: Weeks, chips: float) -> Figure:
    return ratio(weeks.job.compute, _speed(weeks, chips)).named("", unit="s")


def _days(weeks: Weeks, chips: float) -> Figure | None:
    rate = kept_speed(_speed(weeks, chips), weeks.setting.goodput(chips))
    if rate.value <= 0.0:  # so many chips that the job never gets on
        return None
    return ratio(weeks.job.compute, rate).named("", unit="s")


def _linear(weeks: Weeks, chips: float) -> Figure:
    s = weeks.setting
    M = s.mtti(chips)
    return linear_goodput(daly_interval(s.write, M), s.write, s.restart, M)


QUESTIONS: dict[str, tuple[str, Callable[[Weeks, float], Figure | None]]] = {
    "days": ("training time on {} chips", _days),
    "days_ideal": ("training time on {} chips without failures", _days_ideal),
    "mtti": ("mean time to interruption of {} chips", lambda w, n: w.setting.mtti(n)),
    "goodput": ("goodput of {} chips", lambda w, n: w.setting.goodput(n)),
    "goodput_linear": ("goodput of {} chips, first order", _linear),
    "checkpoint_interval": (
        "useful time between checkpoints on {} chips", lambda w, n: w.setting.interval(n),
    ),
}  # fmt: skip
