"""The calendar of a job that speeds up as chips come online, in closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import cast

import numpy as np

from chares.ledger import Figure, Num, formula
from chares.units import DAY

WEEK = 7 * DAY
ROWS = 80  # a longer calendar is told in longer periods


@formula("max(t, t_first)", unit="date")
def not_before(t: Num, first: Num) -> Num:
    """The first day of the job: as asked, but not before there are chips."""
    return cast("Num", 1.0 * np.maximum(t, first))


@formula("v g", unit="FLOP/s")
def kept_speed(v: Num, g: Num) -> Num:
    """Useful FLOP/s that failures leave."""
    return v * g


@formula("min(time to the next pace, C left / rate)", unit="s")
def time_at_pace(k: int, C: Num, start: Num, onlines: Sequence[Num], rates: Sequence[Num]) -> Num:
    """Time [s] that a job of ``C`` FLOP begun on day ``start`` spends at pace ``k`` (from 0).

    A pace holds from its day to that of the next, the last one for ever; ``rates`` are FLOP/s.
    """
    left, spent = C, 0.0 * C / rates[0]
    for i in range(k + 1):
        left = np.maximum(left - spent * rates[i - 1], 0.0) if i else C  # rounding
        begin = np.maximum(onlines[i], start)
        if i + 1 < len(onlines):
            span = (np.maximum(onlines[i + 1], start) - begin) * DAY
            spent = np.minimum(span, left / rates[i])
        else:
            spent = left / rates[i]
    return spent


@formula("t0 + T", unit="date")
def day_after(t0: Num, T: Num) -> Num:
    """The day ``T`` [s] after day ``t0``; a part of a day counts as its fraction."""
    return t0 + T / DAY


@formula("C / sum of t v", unit="1")
def overall_goodput(C: Num, times: Sequence[Num], speeds: Sequence[Num]) -> Num:
    """The job's FLOP over those that its chips would have done without a failure."""
    done = [t * v for t, v in zip(times, speeds, strict=True)]
    return C / sum(done[1:], done[0])


@formula("sum of N t", unit="s")
def chip_time(chips: Sequence[Num], times: Sequence[Num]) -> Num:
    """Chips times the time they are held [chip s]."""
    parts = [n * t for n, t in zip(chips, times, strict=True)]
    return sum(parts[1:], parts[0])


@formula("u P N / n", unit="W")
def mean_power(u: Num, P: Num, N: Num, n: Num) -> Num:
    """Mean power [W] at the meter of ``N`` of a site's ``n`` chips that draws ``P`` at its rated
    load; ``u`` is the mean draw in training over the rated one."""
    return u * P * N / n


@formula("sum of P t", unit="J")
def energy_of(powers: Sequence[Num], times: Sequence[Num]) -> Num:
    """Energy [J] at the meter."""
    parts = [p * t for p, t in zip(powers, times, strict=True)]
    return sum(parts[1:], parts[0])


@dataclass(frozen=True, slots=True)
class Stretch:
    """The job at one pace: from which day, on how many chips, what failures leave, how long."""

    start: Figure
    chips: Figure
    speed: Figure
    mtti: Figure
    checkpoint_interval: Figure
    goodput: Figure
    time: Figure
    power: Figure | None


@dataclass(frozen=True, slots=True)
class Week:
    """One row of the calendar: a week, or a longer period where the job takes years.

    ``done`` is the share of the job that is finished by its end, ``energy`` in J (None without a
    site).
    """

    start: str
    days: float
    chips: float
    done: float
    interruptions: float
    energy: float | None


def calendar(start: float, compute: float, stretches: Sequence[Stretch]) -> tuple[Week, ...]:
    """The weeks of a job from day ``start``; a week with a change of pace holds parts of both."""
    spans = [(float(s.time.value), s) for s in stretches if s.time.value > 0]
    total = sum(t for t, _ in spans)
    if not math.isfinite(total) or start + total / DAY > date.max.toordinal() - 400:
        return ()
    period = WEEK * max(1, math.ceil(total / WEEK / ROWS))
    rows, done = [], 0.0
    for i in range(math.ceil(total / period - 1e-9)):
        begin, end = i * period, min((i + 1) * period, total)
        parts = _overlaps(spans, begin, end)
        done += sum(t * s.speed.value * s.goodput.value for t, s in parts)
        powered = all(s.power is not None for _, s in parts)
        rows.append(
            Week(
                (date.fromordinal(int(start)) + timedelta(seconds=begin)).isoformat(),
                (end - begin) / DAY,
                sum(t * s.chips.value for t, s in parts) / (end - begin),
                min(done / compute, 1.0),
                sum(t / s.mtti.value for t, s in parts),
                sum(t * s.power.value for t, s in parts if s.power) if powered else None,
            )
        )
    return tuple(rows)


def _overlaps(
    spans: Sequence[tuple[float, Stretch]], begin: float, end: float
) -> list[tuple[float, Stretch]]:
    """How long each stretch lasts between two times of the job [s]."""
    found, at = [], 0.0
    for length, stretch in spans:
        overlap = min(end, at + length) - max(begin, at)
        if overlap > 0:
            found.append((overlap, stretch))
        at += length
    return found
