"""What the rules measure: the two formulas of 3A090, and how each measure is written."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce

import numpy as np

from chares.ledger import Num, formula
from chares.units import unit

Measured = Mapping[str, float | bool | None]

TERA = 1e12
# measure -> (what it is called, the unit it is written in); flags have no unit
NAMES: dict[str, tuple[str, str]] = {
    "tpp": ("TPP", "TPP"),
    "performance_density": ("performance density", "TPP/mm2"),
    "die_area": ("die area", "mm2"),
    "memory_bandwidth": ("DRAM bandwidth", "GB/s"),
    "io_bandwidth": ("input-output bandwidth", "GB/s"),
    "bandwidth_sum": ("DRAM and input-output bandwidth together", "GB/s"),
    "memory_bandwidth_density": ("memory bandwidth density", "GB/s/mm2"),
    "training_operations": ("training", "FLOP"),
    "cluster_operations": ("cluster", "OP/s"),
    "cluster_network": ("network", "Gbit/s"),
    "revenue": ("revenue", "USD"),
    "volume_share": ("share of the TPP sold to US customers", "%"),
    "buyer_listed_share": ("share of the buyer held by listed entities", "%"),
    "datacentre": ("designed or marketed for data centres", ""),
    "memory_part": ("memory sold by itself", ""),
    "shipped_from_us": ("shipped from the United States", ""),
    "buyer_listed": ("buyer on the Entity List", ""),
    "biological": ("trained primarily on biological sequence data", ""),
    "one_site": ("in one data centre", ""),
}


@formula("max over dtypes of (package x peak x bit length)", unit="TPP")
def total_processing_performance(
    peaks: Sequence[Num], bits: Sequence[float], package: Num = 1.0
) -> Num:
    """TPP of an integrated circuit (15 CFR 774 supp. 1, ECCN 3A090, technical notes 1 to 3).

    2 x MacTOPS x bit length, the highest over the operations. ``peaks``: dense FLOP/s or OP/s by
    dtype (a multiply and an add count two, so 2 x MacTOPS is the datasheet's TOPS); ``bits``: the
    widest input of the multiply; ``package``: accelerators in one integrated circuit.
    """
    each = [package * peak / TERA * b for peak, b in zip(peaks, bits, strict=True)]
    return reduce(np.maximum, each) if len(each) > 1 else each[0]


@formula("TPP / A", unit="TPP/mm2")
def performance_density(tpp: Num, A: Num) -> Num:
    """TPP over the area ``A`` (m2) of all logic dies on a node with non-planar transistors, in
    TPP/m2 (ECCN 3A090, technical note 4)."""
    return tpp / A


@formula("package b", unit="GB/s")
def of_the_package(b: Num, package: Num) -> Num:
    """A bandwidth (B/s) of one accelerator as that of the integrated circuit that is sold."""
    return package * b


@formula("N peak", unit="OP/s")
def cluster_operations(N: Num, peak: Num) -> Num:
    """Theoretical maximum of a cluster (EO 14110 s. 4.2(b)(ii)): ``N`` accelerators at their dense
    peak (OP/s)."""
    return N * peak


def name(measure: str) -> str:
    """What a measure is called in a sentence."""
    return NAMES[measure][0]


def show(measure: str, value: float | bool | None) -> str:
    """A measure's value in the unit that the rules use, without the name."""
    if value is None:
        return "not known"
    written = NAMES[measure][1]
    if not written:
        return "yes" if value else "no"
    number = value / unit(written).factor
    text = _number(number)
    return f"{text} %" if written == "%" else text if written == "TPP" else f"{text} {written}"


def _number(number: float) -> str:
    if number and (abs(number) >= 1e7 or abs(number) < 1e-2):
        mantissa, exponent = f"{number:.2e}".split("e")
        return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    if math.isclose(number, round(number), rel_tol=1e-9):
        return f"{round(number):,}"
    return f"{number:,.2f}" if abs(number) < 100 else f"{number:,.1f}"


def at_least(a: float, b: float) -> bool:
    """a >= b; two numbers that differ in the last bits only (unit conversion) are equal."""
    return a > b or math.isclose(a, b, rel_tol=1e-9)
