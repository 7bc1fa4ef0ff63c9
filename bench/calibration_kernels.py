"""Published measurements of single kernels, as evidence for the speed of chips.

A matrix product or an attention kernel alone, in the best shape that somebody found: what a chip
reaches at most. The fit holds the model's attainable rates against them, times a gain for each
kind of kernel that all chips share (a benchmark runs on a cool chip and chooses its shape), so that
chips without training runs, and generations against each other, rest on measurements.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass

import numpy as np

from calibration_design import GAINS, robust
from chares.facts import Facts, read_table
from chares.model import hardware_of
from chares.model.calibration import Calibration, Setting
from chares.model.compute import Rates
from chares.model.hardware import Hardware, hardware_rows
from chares.model.leaves import setting_of
from chares.model.strategy import PRECISIONS

TABLE = "published/kernels.csv"
FORMAT = {"bf16": "bf16", "fp16": "bf16", "fp8": "fp8", "fp4": "nvfp4"}
SPREAD = 0.08  # of a kernel about the model, of its logarithm: other shapes, other software
MATRIX = 0  # of `GAINS`
NO_FAMILY = ""  # a kernel alone has no framework


@dataclass(frozen=True)
class Kernels:
    """Measured kernels: rows of one chip, one operation and its FLOP/s."""

    hardware: Hardware
    settings: list[Setting]
    chips: list[str]
    kind: np.ndarray  # index in `GAINS`
    precision: np.ndarray  # codes of `PRECISIONS`
    measured: np.ndarray  # FLOP/s
    weight: np.ndarray  # measurements of one chip, kind and format count as one

    def residuals(self, c: Calibration, gain: np.ndarray) -> np.ndarray:
        """`errors` in spreads, robust, weighted."""
        return robust(self.errors(c, gain) / SPREAD) * np.sqrt(self.weight)

    def errors(self, c: Calibration, gain: np.ndarray) -> np.ndarray:
        """log(rate of the model, with its gain / measured). ``gain``: logarithm, by kind."""
        rates = Rates.of(self.hardware, c, self.precision)
        rate = 1.0 / np.where(self.kind == MATRIX, rates.linear, rates.attention)
        found: np.ndarray = np.log(rate / self.measured) + gain[self.kind]
        return found

    def line(self, c: Calibration, gain: np.ndarray) -> str:
        """How near the fit comes to the measured kernels, in a sentence."""
        error = 100.0 * np.abs(np.expm1(self.errors(c, gain)))
        gains = ", ".join(f"{g:.2f} ({k})" for k, g in zip(GAINS, np.exp(gain), strict=True))
        return (
            f"Kernels measured alone: {len(error)} on {len(set(self.chips))} chips, the model is "
            f"{np.median(error):.1f} % off (median; {error.max():.0f} % at worst). A benchmark is "
            f"faster than the same kernel in training by {gains}."
        )


def load_kernels(facts: Facts) -> Kernels:
    """The project's records of kernels at their best: those that are marked so."""
    with read_table(TABLE).open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["best"] == "1"]
    chips = {r["chip"]: hardware_of(facts, r["chip"]) for r in rows}
    place = {chip: i for i, chip in enumerate(chips)}
    settings = {chip: setting_of(facts, chip, NO_FAMILY) for chip in chips}
    cells = [(r["chip"], r["kind"], FORMAT[r["precision"]]) for r in rows]
    return Kernels(
        hardware_rows(list(chips.values()), np.array([place[r["chip"]] for r in rows])),
        [settings[r["chip"]] for r in rows],
        [r["chip"] for r in rows],
        np.array([list(GAINS).index(kind) for _, kind, _ in cells]),
        np.array([PRECISIONS.index(precision) for *_, precision in cells]),
        1e12 * np.array([float(r["tflops"]) for r in rows]),
        np.array([1.0 / cells.count(cell) for cell in cells]),
    )
