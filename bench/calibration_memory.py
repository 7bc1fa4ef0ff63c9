"""The fit of the memory parameters to published peaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import least_squares

from calibration_design import MEMORY_NOISE, MEMORY_PRIORS, MOST_GROUPS, Design, robust
from chares.facts import Facts
from chares.model.calibration import Calibration, Table
from chares.model.hardware import Hardware
from chares.model.layers import layer_times
from chares.model.memory import DOUBT, memory_use
from chares.model.predictions import GB, MIB, memory_kind
from chares.model.published import prepare


def fit_memory(rows: list[dict[str, str]], facts: Facts) -> tuple[Table, str]:
    """Parameters of memory from the runs that print a peak, bounded by those that only ran.

    A run without a peak pulls only while the model says that it does not fit.
    """
    rows = [r for r in rows if r.get("task") == "pretrain"]
    runs = prepare(rows, facts)
    taken = [rows[i] for i in runs.index]
    measured = np.array([1e9 * float(r.get("peak_mem_GB") or "nan") for r in taken])
    printed = np.isfinite(measured)
    kinds = np.array([memory_kind(r) for r in taken])
    nothing = np.ones(len(taken))
    labels_ = {"family": [x.family for x in runs.settings]}
    design = Design(labels_, nothing, nothing, priors=MEMORY_PRIORS)
    layers = layer_times(runs.shape, runs.strategy, runs.hardware, Calibration())
    cells = [f"{r['source_key']} {p}" for r, p in zip(taken, printed, strict=True)]
    weight = np.sqrt([MOST_GROUPS / cells.count(c) for c in cells])
    gold = np.array([r.get("gold") == "1" for r in taken])
    complete = np.array(["recompute" not in i for i in runs.inferred])
    weight = weight * (printed | (gold & complete))

    room = runs.hardware.memory
    strict = replace(runs.hardware, memory=room / DOUBT)  # the fit itself asks for a plain fit

    def peaks(x: np.ndarray, hardware: Hardware = strict) -> tuple[np.ndarray, np.ndarray]:
        m = memory_use(layers, runs.shape, runs.strategy, hardware, design.calibration(x))
        shown = m.device * (GB / (1000 * MIB))
        told = np.broadcast_arrays(m.allocated, m.reserved, shown, measured)[:3]
        excess = np.log(m.device / room) * np.less(m.fits, 1)
        return np.stack(told)[kinds, np.arange(len(taken))], excess

    def residuals(x: np.ndarray) -> np.ndarray:
        peak, excess = peaks(x)
        unit = np.where(printed, np.log(peak / measured), 0.5 * excess) / MEMORY_NOISE
        return np.concatenate([robust(unit) * weight, x])

    x = least_squares(residuals, np.zeros(len(design.names)), diff_step=1e-3).x
    peak, excess = peaks(x, runs.hardware)
    error = np.abs(peak / measured - 1.0)
    told = ("allocated", "reserved", "nvidia-smi")
    line = "; ".join(
        f"{name} {100 * np.median(error[printed & (kinds == k)]):.1f} % "
        f"({int(np.sum(printed & (kinds == k)))} runs)"
        for k, name in enumerate(told)
    )
    unfit = int(np.sum((excess > 0) & complete))
    return design.table(x, {}), (
        f"Peak memory, median error in sample by convention: {line}. "
        f"Of {int(complete.sum())} runs that ran and say what they recompute, "
        f"{unfit} are said not to fit."
    )
