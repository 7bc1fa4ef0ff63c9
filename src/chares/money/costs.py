"""Formulas of cost: what a run, a cluster and its electricity cost.

All arguments are SI (s, W, J, USD, 1/s); floats or arrays alike. The cost model is that of Epoch AI
(B. Cottier et al., The rising costs of training frontier AI models, arXiv:2405.21015, section 2,
and its program ``cost_analysis_standalone.py``). A year has 365.25 days, 8,766 hours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chares.ledger import Num, formula
from chares.units import DAY, YEAR


@formula("t = max(0, end - start)", unit="s")
def elapsed(start: Num, end: Num) -> Num:
    """Seconds between two days (day numbers), none where the end comes first."""
    return np.maximum(end - start, 0.0) * DAY


@formula("P k", unit="USD")
def server_price(P: Num, k: Num) -> Num:
    """Price of a server per chip: chip ``P`` times server factor ``k``."""
    return P * k


@formula("P / (1 - s)", unit="USD")
def system_price(P: Num, s: Num) -> Num:
    """Price per chip with its part of the cluster network; ``s`` is the network's share of all."""
    return P / (1.0 - s)


@formula("K = sum n P", unit="USD")
def purchase(n: Sequence[Num], P: Sequence[Num]) -> Num:
    """Cost of some batches of ``n`` systems at the price ``P`` of their day."""
    return _weighted(n, P)


@formula("K = P_facility c", unit="USD")
def construction(P_facility: Num, c: Num) -> Num:
    """Building, power and cooling: facility power (W) times cost per power (USD/W)."""
    return P_facility * c


@formula("V(t) = P 10^(-r t)", unit="USD")
def value_after(P: Num, r: Num, t: Num) -> Num:
    """What hardware bought at ``P`` is worth after ``t`` seconds.

    ``r`` is the trend of price-performance in orders of magnitude per second (0.14 per year).
    """
    return P * 10.0 ** (-r * t)


@formula("A = V T r ln 10", unit="USD")
def amortised_hardware(V: Num, T: Num, r: Num) -> Num:
    """Cost of ``T`` chip-seconds on servers worth ``V`` per chip at the start of the run.

    Hardware that improves by ``r`` orders of magnitude a year is replaced at the rate r ln 10.
    """
    return V * T * r * math.log(10.0)


@formula("A s / (1 - s)", unit="USD")
def network_on_top(A: Num, s: Num) -> Num:
    """Cluster network that goes with hardware of cost ``A``, as share ``s`` of both together."""
    return A * s / (1.0 - s)


@formula("sum n x / sum n", unit="1")
def mean_by_count(n: Sequence[Num], x: Sequence[Num]) -> Num:
    """Mean over a mixed fleet, each kind by its count."""
    return _weighted(n, x) / sum(n)


@formula("E = T P_server f PUE", unit="J")
def run_energy(T: Num, P_server: Num, f: Num, PUE: Num) -> Num:
    """Energy of ``T`` chip-seconds: rated server power per chip, mean draw over rated, PUE."""
    return T * P_server * f * PUE


@formula("E p", unit="USD")
def energy_cost(E: Num, p: Num) -> Num:
    """Energy (J) at a price (USD/J)."""
    return E * p


@formula("T p", unit="USD")
def rent(T: Num, p: Num) -> Num:
    """Chip time (chip s) at an hourly price (USD per chip and second)."""
    return T * p


@formula("P_facility = sum n P_server PUE", unit="W")
def fleet_power(n: Sequence[Num], P_server: Sequence[Num], PUE: Num) -> Num:
    """Facility power of a fleet at its rated power, where no site says it."""
    return _weighted(n, P_server) * PUE


@formula("E = P u L", unit="J")
def energy_over(P: Num, u: Num, L: Num) -> Num:
    """Energy of facility power ``P`` over a time ``L`` at use ``u``."""
    return P * u * L


@formula("C m", unit="USD")
def experiments(C: Num, m: Num) -> Num:
    """Experiments, as a multiple ``m`` of the final run's cost ``C``."""
    return C * m


@formula("people pay months / 12", unit="USD")
def staff_cost(people: Num, pay: Num, months: Num) -> Num:
    """Pay of ``people`` at ``pay`` a year for some months."""
    return people * pay * months / 12.0


@formula("T / (n 1 year)", unit="1")
def share_of_fleet_year(T: Num, n: Num) -> Num:
    """Chip time of a run as a share of what ``n`` chips give in a year."""
    return T / (n * YEAR)


@formula("n = amount / (P k / (1 - s))", unit="chip")
def chips_for(amount: Num, P: Num, k: Num, s: Num) -> Num:
    """How many chips an amount buys with their servers and network."""
    return amount / (P * k / (1.0 - s))


def _weighted(n: Sequence[Num], x: Sequence[Num]) -> Num:
    terms = [a * b for a, b in zip(n, x, strict=True)]
    return sum(terms[1:], terms[0])
