"""The power chain: chip, server, IT, facility; and the power that sources give on a day.

Each link is one formula, so that the tree of a site's megawatts shows where the watts are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from chares.build.dates import is_on
from chares.facts import Facts
from chares.ledger import Figure, Num, formula
from chares.spec import Case

CHAIN = "power-chain"  # subject: what stands between a server and the meter
GENERAL = "data-centre"  # subject: a data centre in general


@formula("P_chip f_server", unit="W")
def server_power(P_chip: Num, f_server: Num) -> Num:
    """Rated power of a server per chip [W]."""
    return P_chip * f_server


@formula("P_server f_IT", unit="W")
def it_power_per_chip(P_server: Num, f_IT: Num) -> Num:
    """IT power per chip [W]: the server, and its share of network, storage and head nodes."""
    return P_server * f_IT


@formula("P_IT PUE", unit="W")
def facility_power_per_chip(P_IT: Num, PUE: Num) -> Num:
    """Power at the meter per chip [W]; PUE as The Green Grid defines it, facility over IT."""
    return P_IT * PUE


@formula("sum of n P over chips online by the day", unit="W")
def power_on(day: Num, onlines: Sequence[Num], counts: Sequence[Num], watts: Sequence[Num]) -> Num:
    """Power [W] of all chips that are online on a day. ``watts`` is power per chip by batch."""
    terms = [n * w * is_on(t, day) for t, n, w in zip(onlines, counts, watts, strict=True)]
    return sum(terms[1:], terms[0])


@formula("power of the first N chips, in the order in which they come online", unit="W")
def power_of_first(
    N: Num, onlines: Sequence[Num], counts: Sequence[Num], watts: Sequence[Num]
) -> Num:
    """Power [W] of the first ``N`` chips; batches of one day share what is wanted of that day.

    Not a number where fewer than ``N`` chips ever come online.
    """
    drawn: Num = 0.0
    have: Num = 0.0
    batches = list(zip(onlines, counts, watts, strict=True))
    for day in sorted(set(onlines)):
        today = [(n, w) for t, n, w in batches if t == day]
        chips = sum(n for n, _ in today)
        taken = np.clip(N - have, 0.0, chips)
        drawn = drawn + taken * sum(n * w for n, w in today) / chips
        have = have + chips
    enough = np.asarray(have) >= N
    return cast("Num", np.where(enough, drawn, np.nan)[()])


@formula("sum of P over sources that run on the day", unit="W")
def supply_on(day: Num, starts: Sequence[Num], ends: Sequence[Num], powers: Sequence[Num]) -> Num:
    """Power [W] of the sources that have started by a day and not ended."""
    terms = [
        p * (is_on(s, day) - is_on(e, day)) for s, e, p in zip(starts, ends, powers, strict=True)
    ]
    return sum(terms[1:], terms[0]) if terms else 0.0


@formula("first day from t0 on which the sources give P", unit="date")
def first_day_of_power(
    P: Num, t0: Num, starts: Sequence[Num], ends: Sequence[Num], powers: Sequence[Num]
) -> Num:
    """The first day, not before ``t0``, on which sources give at least ``P`` [W].

    Supply rises only where a source starts, so those days and ``t0`` are the candidates. Not a
    number where no day does; a source of no power (``P`` > 0 is wanted) never counts.
    """
    best = np.asarray(np.nan)
    for start in [t0, *starts]:
        day = np.maximum(start, t0)
        given = np.asarray(supply_on(day, starts, ends, powers))
        best = np.asarray(np.fmin(best, np.where((given >= P) & (given > 0), day, np.nan)))
    return cast("Num", best[()])


@formula("min(n, n P_supply / P_facility)", unit="chip")
def powered_chips(n: Num, P_facility: Num, P_supply: Num) -> Num:
    """How many of ``n`` chips of mean power the supply carries."""
    return n * np.minimum(1.0, P_supply / P_facility)


@formula("P_supply - P_facility", unit="W")
def headroom(P_supply: Num, P_facility: Num) -> Num:
    """What the supply leaves over [W]; negative where it does not carry the site."""
    return P_supply - P_facility


@formula("P - excess of the last step by the day", unit="W")
def lawful_supply(P: Num, day: Num, starts: Sequence[float], excess: Sequence[float]) -> Num:
    """What sources of ``P`` [W] may lawfully give on a day.

    ``starts`` and ``excess`` are the steps of the law: from each day on, so many watts stand
    there and may not run (neither exempt nor permitted).
    """
    held: Num = 0.0
    for start, watts in zip(starts, excess, strict=True):  # steps come first to last
        held = np.where(np.asarray(day) >= start, watts, held)
    return P - held


@dataclass(frozen=True, slots=True)
class Chain:
    """Power per chip of one kind, link by link [W]."""

    chip: str
    tdp: Figure
    server: Figure
    it: Figure
    facility: Figure


def chain(chip: str, pue: Figure, facts: Facts) -> Chain:
    """The power chain of a kind of chip. A chip without a known server takes the H100's factor;
    an overhead that was not known by the day asked for is left out."""
    tdp = facts.figure(chip, "tdp", label=f"{chip}: rated power of the chip")
    if facts.has(chip, "server_power"):
        server = facts.figure(chip, "server_power", label=f"{chip}: server power per chip")
    else:
        factor = facts.figure(GENERAL, "server_over_chip_power_h100", label="server over chip")
        server = server_power(tdp, factor)
    it = server
    if facts.has(CHAIN, "it_over_server"):
        overhead = facts.figure(CHAIN, "it_over_server", label="IT power over server power")
        it = it_power_per_chip(server, overhead)
    facility = facility_power_per_chip(it, pue)
    return Chain(
        chip,
        tdp,
        server.named(f"site.server_power({chip})", f"server power per {chip}"),
        it.named(f"site.it_power({chip})", f"IT power per {chip}"),
        facility.named(f"site.facility_power({chip})", f"facility power per {chip}"),
    )


def pue(case: Case, site: str | None, facts: Facts) -> Figure:
    """Power usage effectiveness: of the case, of its site, or of an operator in general."""
    if case.site and case.site.pue is not None:
        return case.given("site.pue", case.site.pue, "1", "power usage effectiveness")
    if site and facts.has(site, "pue", case.as_of):
        return facts.figure(site, "pue", case.as_of, "power usage effectiveness")
    general = "pue_other" if facts.has(GENERAL, "pue_other") else "pue_average"
    return facts.figure(GENERAL, general, case.as_of, "power usage effectiveness")
