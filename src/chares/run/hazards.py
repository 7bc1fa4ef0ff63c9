"""What breaks, how often, and how many spare nodes that takes.

Failures are a Poisson process: each chip brings its share, so the rate of a job is proportional to
its chips (a series system; Kokolis et al. 2024 find it to hold from 32 to 4,096 GPUs). Rates come
from counts of events, never from printed shares.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from chares.facts import Facts
from chares.ledger import Figure, Num, formula

WINDOW = "llama-3-405b-54-days"  # the best counted job: by cause, and the default for any chip
RECOVERY = "recovery"
CHECKPOINTING = "checkpointing"


@formula("k / (T N)", unit="1/s")
def rate_from_counts(k: Num, T: Num, N: Num) -> Num:
    """Failures per chip and second: ``k`` events in a window ``T`` [s] on ``N`` chips."""
    return k / (T * N)


@formula("r_node / g", unit="1/s")
def rate_from_nodes(r_node: Num, g: Num) -> Num:
    """Failures per chip and second from those per node [1/s] of ``g`` chips."""
    return r_node / g


@formula("f r", unit="1/s")
def rate_elsewhere(f: Num, r: Num) -> Num:
    """The rate of another cluster, ``f`` times the one that was counted."""
    return f * r


@formula("1 / (N r)", unit="s")
def mean_time_to_interruption(N: Num, r: Num) -> Num:
    """Mean time between interruptions [s] of a job on ``N`` chips that fails with any of them."""
    return 1.0 / (N * r)


@formula("sum of t / M", unit="1")
def expected_interruptions(times: list[Num], mttis: list[Num]) -> Num:
    """Interruptions to expect while stretches of ``times`` [s] run at these mean times [s]."""
    parts = [t / m for t, m in zip(times, mttis, strict=True)]
    return sum(parts[1:], parts[0])


@formula("share x interruptions", unit="1")
def interruptions_of_cause(share: Num, interruptions: Num) -> Num:
    """Interruptions of one cause."""
    return share * interruptions


@formula("N r share T_repair", unit="node")
def nodes_in_repair(N: Num, r: Num, share: Num, T_repair: Num) -> Num:
    """Mean number of nodes away for repair (Little's law): a hardware failure takes one node."""
    return N * r * share * T_repair


@formula("99 % quantile of a Poisson variable of mean m", unit="node")
def spare_nodes(m: Num) -> Num:
    """Spare nodes that suffice 99 % of the time, by the Cornish-Fisher expansion of the Poisson
    quantile, m + z sqrt(m) + (z^2 - 1) / 6, rounded up; within one of the exact quantile."""
    z = 2.3263478740408408  # of the normal distribution at 99 %
    return cast("Num", np.ceil(m + z * np.sqrt(m) + (z * z - 1.0) / 6.0))


@dataclass(frozen=True, slots=True)
class Cause:
    """One kind of failure: its count in the window, its share, and what to expect of it."""

    id: str
    label: str
    count: Figure
    share: Figure
    interruptions: Figure


@dataclass(frozen=True, slots=True)
class Hazard:
    """How often one chip interrupts the job [1/s], and where that was counted."""

    subject: str
    rate: Figure


def hazard(chip: str, facts: Facts) -> Hazard:
    """The rate of failure of a chip: counted on it, on its generation, or else on H100s."""
    subject = _counted_on(chip, facts)
    counts = ("unexpected", "window", "chips")
    if all(facts.has(subject, q) for q in counts):
        rate = rate_from_counts(*(facts.figure(subject, q) for q in counts))
    else:
        host = facts.subject(subject).tags.get("chip", chip)
        per_node = facts.figure(subject, "failure_rate", label="failures per node")
        size = facts.figure(host, "node_size", label="chips in a node")
        rate = rate_from_nodes(per_node, size)
    if facts.has(RECOVERY, "cluster_factor"):
        factor = facts.figure(RECOVERY, "cluster_factor", label="this cluster over that one")
        rate = rate_elsewhere(factor, rate)
    return Hazard(subject, rate.named("run.failure_rate", "failures per chip"))


def _counted_on(chip: str, facts: Facts) -> str:
    """The subject of `failures` that is nearest to a chip; the first by id where several are."""
    generation = facts.subject(chip).tags.get("generation")
    same: dict[int, str] = {}
    for subject in facts.ids("failures"):
        host = facts.subject(subject).tags.get("chip")
        if host is None or not facts.has(subject, "failure_rate"):
            continue
        if host == chip:
            same.setdefault(0, subject)
        elif generation and facts.subject(host).tags.get("generation") == generation:
            same.setdefault(1, subject)
    return same[min(same)] if same else WINDOW
