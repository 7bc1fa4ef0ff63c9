"""What the model needs to know of an accelerator and the network around it, in SI numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from chares.facts import Facts
    from chares.ledger import Num


@dataclass(frozen=True, slots=True)
class Hardware:
    """One accelerator as the framework sees it. Numbers, or arrays with one entry a row.

    Peaks are dense, in FLOP/s; 0 where the format is not there. Bandwidths are bytes/s per
    accelerator and direction.
    """

    peak_16: Num  # bf16 / fp16
    peak_8: Num
    peak_4: Num
    memory: Num  # bytes
    memory_bandwidth: Num
    scale_up_bandwidth: Num  # NVLink, Infinity Fabric, ICI, NeuronLink, HCCS
    scale_up_size: Num  # accelerators in one scale-up domain
    scale_out_bandwidth: Num  # InfiniBand, RoCE, EFA, DCN: the accelerator's share of the NICs
    node_size: Num
    tdp: Num  # W
    host_bandwidth: Num = 32e9  # to the host's memory: PCI Express 4.0 x16
    cores: Num = 0.0  # streaming multiprocessors, each with a tile of a GEMM; 0 where not known

    def rows(self, index: Any) -> Hardware:
        """The hardware of the selected rows; fields that are single numbers stay so."""
        picked = {
            f.name: v[index] for f in fields(self) if getattr(v := getattr(self, f.name), "ndim", 0)
        }
        return replace(self, **picked)


#: field -> name of the fact, and what stands in where a chip has no such record
FACT_NAMES: dict[str, tuple[str, float | None]] = {
    "peak_16": ("peak_bf16", None),
    "peak_8": ("peak_fp8", 0.0),
    "peak_4": ("peak_fp4", 0.0),
    "memory": ("memory", None),
    "memory_bandwidth": ("memory_bandwidth", None),
    "scale_up_bandwidth": ("scale_up_bandwidth", None),
    "scale_up_size": ("scale_up_size", 8.0),
    "scale_out_bandwidth": ("scale_out_bandwidth", 25e9),
    "node_size": ("node_size", 8.0),
    "tdp": ("tdp", 500.0),
    "host_bandwidth": ("host_bandwidth", 32e9),
    "cores": ("cores", 0.0),
}


def quantity_for(quantity: str, known: Sequence[str]) -> str:
    """The record that stands for a quantity: fp16's peak where there is no bf16 (Volta), the
    memory that software sees where that is on record."""
    if quantity == "peak_bf16" and quantity not in known:
        return "peak_fp16"
    return "memory_usable" if quantity == "memory" and "memory_usable" in known else quantity


def hardware_of(facts: Facts, chip: str) -> Hardware:
    """The accelerator with this id, from its records. Raises `UnknownName` for an unknown id."""
    known = facts.quantities(chip)
    values: dict[str, Any] = {}
    for name, (quantity, default) in FACT_NAMES.items():
        quantity = quantity_for(quantity, known)
        if quantity in known or default is None:
            values[name] = float(facts.get(chip, quantity).value)
        else:
            values[name] = default
    return Hardware(**values)


def hardware_rows(table: Sequence[Hardware], index: Any) -> Hardware:
    """Rows of hardware: row i is ``table[index[i]]``."""
    return Hardware(
        **{f.name: np.array([getattr(h, f.name) for h in table])[index] for f in fields(Hardware)}
    )
