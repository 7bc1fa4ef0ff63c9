"""What failures leave of the speed: checkpoints, their best interval, goodput.

J. T. Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", Future
Generation Computer Systems 22 (2006) 303-312. M: mean time to interruption; R: restart, from the
failure to the next useful step without the work that is done again; delta: time to write a
checkpoint while the job waits; tau: useful work between two of them. All in seconds.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from chares.ledger import Num, formula


@formula("b sqrt(C / (6 D/N))", unit="B")
def state_from_compute(C: Num, tokens_per_parameter: Num, b: Num) -> Num:
    """Training state [B] of a model of which only its FLOP are known: C = 6 N D gives N from an
    assumed number of tokens per parameter (Hoffmann et al. 2022); ``b`` bytes for each."""
    return cast("Num", b * np.sqrt(C / (6.0 * tokens_per_parameter)))


@formula("S / B", unit="s")
def write_time(S: Num, B: Num) -> Num:
    """Time to write a checkpoint [s]: state [B] over the storage's bandwidth [B/s]."""
    return S / B


@formula(
    "sqrt(2 delta M) (1 + sqrt(delta/2M)/3 + (delta/2M)/9) - delta; M if delta >= 2M", unit="s"
)
def daly_interval(delta: Num, M: Num) -> Num:
    """The useful work between checkpoints that wastes least, Daly's higher-order estimate."""
    x = delta / (2.0 * M)
    best = np.sqrt(2.0 * delta * M) * (1.0 + np.sqrt(x) / 3.0 + x / 9.0) - delta
    return cast("Num", np.where(np.asarray(x) < 1.0, best, M)[()])


@formula("tau e^(-R/M) / (M (e^((tau + delta)/M) - 1))", unit="1")
def goodput(tau: Num, delta: Num, R: Num, M: Num) -> Num:
    """Useful time over wall time, Daly's complete model: T_s / T_w with
    T_w = M e^(R/M) (e^((tau + delta)/M) - 1) T_s / tau.

    Failures strike during work, checkpoints and restarts alike. Between 0 and 1 for any M.
    """
    with np.errstate(over="ignore"):  # M far below tau: nothing is left, and 1 / inf says so
        return cast("Num", tau / M * np.exp(-R / M) / np.expm1((tau + delta) / M))


@formula("1 - delta/tau - (tau/2 + R)/M", unit="1")
def linear_goodput(tau: Num, delta: Num, R: Num, M: Num) -> Num:
    """The first-order form, to compare with: good for rare failures, negative for frequent ones."""
    return 1.0 - delta / tau - (tau / 2.0 + R) / M
