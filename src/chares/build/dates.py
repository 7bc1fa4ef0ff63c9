"""Dates of a build: which chips are online on a day, on which day a number is reached.

Days are proleptic day numbers (`date.toordinal`), durations are seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np

from chares.ledger import Num, formula
from chares.units import DAY


def is_on(start: Num, day: Num) -> Num:
    """1 on the days from ``start``, 0 before."""
    return cast("Num", np.where(np.asarray(start) <= np.asarray(day), 1.0, 0.0)[()])


@formula("sum of n over batches online by the day", unit="chip")
def chips_on(day: Num, onlines: Sequence[Num], counts: Sequence[Num]) -> Num:
    """Chips that are online on a day."""
    terms = [n * is_on(t, day) for t, n in zip(onlines, counts, strict=True)]
    return sum(terms[1:], terms[0])


@formula("k-th different day on which chips come online", unit="date")
def day_of_phase(k: int, onlines: Sequence[float]) -> float:
    """The day of phase ``k`` (from 1): batches of one day are one phase."""
    return sorted(set(onlines))[k - 1]


@formula("first day with at least N chips online", unit="date")
def day_of_chips(N: Num, onlines: Sequence[Num], counts: Sequence[Num]) -> Num:
    """The first day on which ``N`` chips are online; not a number where that never comes."""
    best = np.asarray(np.nan)
    for day in onlines:
        reached = np.asarray(chips_on(day, onlines, counts)) >= N
        best = np.asarray(np.fmin(best, np.where(reached, day, np.nan)))
    return cast("Num", best[()])  # a plain number where no argument is an array


@formula("t1 - t0", unit="s")
def elapsed(t0: Num, t1: Num) -> Num:
    """Time between two days [s], calendar days and not working days."""
    return (t1 - t0) * DAY
