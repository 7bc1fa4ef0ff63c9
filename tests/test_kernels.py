"""Kernels measured alone, by others: the records, and what the fit makes of them."""

from __future__ import annotations

import csv
from typing import cast

import numpy as np
import pytest

from chares.facts import load, read_table
from chares.model import hardware_of, load_calibration
from chares.model.compute import Rates
from chares.model.hardware import Hardware
from chares.model.leaves import setting_of
from chares.model.strategy import PRECISIONS

FACTS = load()
with read_table("published/kernels.csv").open(encoding="utf-8", newline="") as file:
    ROWS = list(csv.DictReader(file))
BEST = [r for r in ROWS if r["best"] == "1"]
FORMATS = {"bf16": "bf16", "fp16": "bf16", "fp8": "fp8", "fp4": "nvfp4"}
TURBO = 1.02  # cards that clock above their data sheet


def peak(h: Hardware, precision: str) -> float:
    peaks = {"fp8": h.peak_8, "fp4": h.peak_4}
    return cast(float, peaks.get(precision, h.peak_16))


def test_every_row_has_a_chip_a_source_and_a_number_of_its_own() -> None:
    assert len({r["id"] for r in ROWS}) == len(ROWS) > 300
    for r in ROWS:
        assert r["chip"] in FACTS.ids("chips")
        assert r["source_title"]
        assert r["source_ref"]
        assert r["kind"] in {"gemm", "grouped", "attention", "attention_backward"}
        shape = [r["m"], r["n"], r["k"]] if "g" in r["kind"][:2] else [r["heads"], r["seq"]]
        assert all(shape) or "not stated" in r["note"] or "mix of shapes" in r["note"], r["id"]


def test_no_kernel_beats_its_peak() -> None:
    for r in ROWS:
        assert (
            0.0
            < 1e12 * float(r["tflops"])
            <= TURBO * peak(hardware_of(FACTS, r["chip"]), r["precision"])
        )


def model_rate(row: dict[str, str]) -> float:
    """FLOP/s that a large product, or attention, approaches in training on the row's chip."""
    c = load_calibration(FACTS).calibration(setting_of(FACTS, row["chip"], ""))
    rates = Rates.of(
        hardware_of(FACTS, row["chip"]), c, np.array(PRECISIONS.index(FORMATS[row["precision"]]))
    )
    return float(1.0 / (rates.attention if row["kind"] == "attention" else rates.linear))


@pytest.mark.parametrize("kind", ["gemm", "attention"])
def test_training_is_slower_than_the_best_kernel_everywhere(kind: str) -> None:
    shares = [model_rate(r) / 1e12 / float(r["tflops"]) for r in BEST if r["kind"] == kind]
    # the T4's 70 W do not carry the long product of the benchmark
    bound = [1.02 if r["chip"] == "t4" else 1.0 for r in BEST if r["kind"] == kind]
    assert (np.array(shares) < np.array(bound)).all()
    assert min(shares) > 0.5
    middle = np.median(shares)
    assert np.mean(np.abs(np.array(shares) / middle - 1.0) < 0.12) > 0.85  # one gain for all chips


def test_what_has_no_runs_takes_the_order_of_its_kernels() -> None:
    """A Gaudi 2 reaches more of its peak than an MI300X, in benchmarks and in the model."""
    shares = {}
    for r in BEST:
        if r["kind"] == "gemm" and r["precision"] == "bf16":
            shares[r["chip"]] = model_rate(r) / peak(hardware_of(FACTS, r["chip"]), "bf16")
    assert shares["gaudi-2"] > shares["mi250x"] > shares["mi325x"] > shares["mi300x"]
