"""What is shipped: an integrated circuit, as the export rules measure it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from chares.facts import Facts
from chares.ledger import Figure, leaf
from chares.permit.measures import (
    of_the_package,
    performance_density,
    total_processing_performance,
)


@dataclass(frozen=True, slots=True)
class Item:
    """An integrated circuit. SI units: bandwidths in B/s (input-output: both directions together,
    memory left out), die area in m2 (all logic dies on a non-planar node). None: not known.

    ``keys`` names, by measure, the records that a value came from; ``figures`` holds those that
    were computed.
    """

    name: str
    id: str = ""
    vendor: str = ""
    tpp: float | None = None
    die_area: float | None = None
    memory_bandwidth: float | None = None
    io_bandwidth: float | None = None
    datacentre: bool | None = True
    memory_part: bool = False
    memory_bandwidth_density: float | None = None
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict, compare=False)
    figures: Mapping[str, Figure] = field(default_factory=dict, compare=False)

    @property
    def density(self) -> float | None:
        """Performance density in TPP/m2, where TPP and die area are known."""
        if self.tpp is None or not self.die_area:
            return None
        return float(performance_density(self.tpp, self.die_area))

    def measures(self) -> dict[str, float | bool | None]:
        """What the conditions of rules are put to."""
        known = None not in (self.memory_bandwidth, self.io_bandwidth)
        return {
            "tpp": self.tpp,
            "performance_density": self.density,
            "memory_bandwidth": self.memory_bandwidth,
            "io_bandwidth": self.io_bandwidth,
            "bandwidth_sum": (self.memory_bandwidth or 0) + (self.io_bandwidth or 0)
            if known
            else None,
            "datacentre": self.datacentre,
            "memory_part": self.memory_part,
            "memory_bandwidth_density": self.memory_bandwidth_density,
        }


def chip(name: str, facts: Facts) -> Item:
    """A chip of the fact files as an `Item`, with the figures for TPP and performance density.

    Chip facts are taken as they stand (a datasheet is timeless), whatever day is asked about.
    Raises `UnknownName` for a chip that does not exist.
    """
    stock = facts.known(None)
    id_ = stock.resolve("chips", name)
    subject = stock.subject(id_)
    found = {q: stock.figure(id_, q) for q in stock.quantities(id_)}
    package = found.get("package_size")
    figures = _figures(found, package, stock.document("law/us/3a090-2023")["bit_length"])
    values = {measure: float(figure.value) for measure, figure in figures.items()}
    market = subject.tags.get("marketed_for", "")
    return Item(
        subject.name, id_, subject.tags.get("vendor", ""),
        tpp=values.get("tpp"), die_area=values.get("die_area"),
        memory_bandwidth=values.get("memory_bandwidth"), io_bandwidth=values.get("io_bandwidth"),
        datacentre=market == "data-centre" if market else None,
        keys={measure: _keys(figure) for measure, figure in figures.items()},
        figures=figures,
    )  # fmt: skip


def _figures(
    found: Mapping[str, Figure], package: Figure | None, bits: Mapping[str, int]
) -> dict[str, Figure]:
    """The measures of a chip as figures: computed from its peaks, or its recorded TPP."""
    out: dict[str, Figure] = {}
    peaks = [q for q in bits if q in found]
    if peaks:
        parts = [found[q] for q in peaks]
        each = [float(bits[q]) for q in peaks]
        out["tpp"] = _call(total_processing_performance, parts, each, package or 1.0)
    elif "tpp" in found:
        out["tpp"] = found["tpp"]
    for quantity in ("die_area", "io_bandwidth"):  # recorded of the package that is sold
        if quantity in found:
            out[quantity] = found[quantity]
    if "memory_bandwidth" in found:
        one = found["memory_bandwidth"]
        out["memory_bandwidth"] = _call(of_the_package, one, package) if package else one
    if "tpp" in out and "die_area" in out:
        density = _call(performance_density, out["tpp"], out["die_area"])
        out["performance_density"] = density.named(
            "permit.performance_density", "Performance density"
        )
    if "tpp" in out:
        out["tpp"] = out["tpp"].named("permit.tpp", "Total processing performance (TPP)")
    return out


def _call(function: Callable[..., Any], *parts: Any) -> Figure:
    """A formula called with figures, which makes it return one."""
    return cast("Figure", function(*parts))


def _keys(figure: Figure) -> tuple[str, ...]:
    """The keys of the records below a figure; of the peaks only the one that decides."""
    if figure.call is None:
        return (figure.key,)
    parts = dict(figure.parts)
    if "peaks" in parts:
        package = parts["package"]
        factor = package.value if isinstance(package, Figure) else package
        for peak, bits in zip(parts["peaks"], parts["bits"], strict=True):
            if total_processing_performance([peak.value], [bits], factor) == figure.value:
                return (peak.key, *((package.key,) if isinstance(package, Figure) else ()))
    return tuple(k for p in parts.values() if isinstance(p, Figure) for k in _keys(p))


def from_numbers(
    name: str,
    *,
    tpp: float | None = None,
    die_area: float | None = None,
    memory_bandwidth: float | None = None,
    io_bandwidth: float | None = None,
    vendor: str = "",
    datacentre: bool | None = True,
) -> Item:
    """An item that no record describes, from plain SI numbers (a design, a hypothetical chip)."""
    given = {
        "tpp": (tpp, "TPP"), "die_area": (die_area, "mm2"),
        "memory_bandwidth": (memory_bandwidth, "GB/s"), "io_bandwidth": (io_bandwidth, "GB/s"),
    }  # fmt: skip
    figures = {
        m: leaf(f"asked:{m}", v, u, kind="assumed", label=m.replace("_", " "))
        for m, (v, u) in given.items()
        if v is not None
    }
    return Item(
        name, "", vendor, tpp, die_area, memory_bandwidth, io_bandwidth, datacentre,
        keys={m: (f.key,) for m, f in figures.items()}, figures=figures,
    )  # fmt: skip
