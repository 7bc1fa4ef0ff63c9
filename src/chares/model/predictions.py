"""Columns of published runs in, one prediction per row out (``chares predict``, ``validate``)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model.calibration import Table, table_of
from chares.model.intervals import (
    GRADES,
    Evidence,
    coordinates,
    evidence_of,
    grades,
    interval,
    labels,
)
from chares.model.parameters import parameters
from chares.model.published import Runs, prepare
from chares.model.stepping import PARTS, Step, predict
from chares.model.strategy import FULL, OPERAND_BITS
from chares.model.wording import family_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.facts import Facts
    from chares.ledger import Num

CALIBRATION = "calibration/training"
GB, MIB = 1e9, 2**20


@dataclass(frozen=True, slots=True)
class Predictions:
    """Predictions of rows that could be read; ``runs.index`` says which rows these are."""

    runs: Runs
    step: Step
    low: NDArray[np.float64]  # s
    high: NDArray[np.float64]
    grade: NDArray[np.intp]
    warnings: list[str]


def predict_rows(
    rows: Sequence[Mapping[str, str]], facts: Facts, document: Mapping[str, Any] | None = None
) -> Predictions:
    """Predict every row. ``document`` is a calibration record (default: the project's own)."""
    document = document or facts.document(CALIBRATION)
    runs = prepare(rows, facts)
    return predict_runs(runs, table_of(document), evidence_of(document))


def predict_runs(runs: Runs, table: Table, evidence: Evidence) -> Predictions:
    """Predictions with intervals and grades."""
    calibration = table.rows(runs.settings)
    step = predict(runs.shape, runs.strategy, runs.hardware, calibration)
    forced = _must_recompute(runs, step)
    if forced.any():
        s = runs.strategy
        kind = np.where(forced, float(FULL), s.recompute)
        share = np.where(forced, 1.0, s.recompute_share)
        runs = replace(runs, strategy=replace(s, recompute=kind, recompute_share=share))
        step = predict(runs.shape, runs.strategy, runs.hardware, calibration)
    names = labels(runs.settings, runs.shape, runs.strategy)
    at = coordinates(runs.shape, runs.strategy, parameters(runs.shape).total)
    grade, warnings = grades(evidence, runs.settings, names, at)
    low, high = interval(evidence, grade, step.step_time_s)
    return Predictions(runs, step, np.asarray(low), np.asarray(high), grade, warnings)


def _must_recompute(runs: Runs, step: Step) -> NDArray[np.bool_]:
    """The rows that do not say what they recompute and would not fit otherwise."""
    unsaid = np.array(["recompute" in names for names in runs.inferred], dtype=bool)
    unfit = np.broadcast_to(np.equal(step.memory.fits, 0), unsaid.shape)
    forced: NDArray[np.bool_] = np.logical_and(unsaid, unfit)
    return forced


def prediction_table(
    rows: Sequence[Mapping[str, str]], facts: Facts, document: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """One dictionary per input row, in order, with the columns of ``chares predict``.

    A row that cannot be predicted has its reason in ``error`` and nothing else.
    """
    found = predict_rows(rows, facts, document)
    table: list[dict[str, Any]] = [
        {"id": row.get("id", ""), "error": why}
        for row, why in zip(rows, found.runs.errors, strict=True)
    ]
    step, n = found.step, np.asarray(found.runs.strategy.n_chips)
    columns = {
        "predicted_step_time_s": step.step_time_s,
        "step_time_low_s": found.low,
        "step_time_high_s": found.high,
        "predicted_tokens_per_s_per_accel": step.tokens_per_s / n,
        "predicted_tflops_per_accel": step.tflops_per_chip,
        "predicted_mfu": step.tflops_per_chip * 1e12 / operand_peak(found.runs),
        "predicted_peak_mem_GB": reported_memory(rows, found) / GB,
    }
    plain = {k: np.broadcast_to(v, len(n)).tolist() for k, v in columns.items()}
    fits, bottleneck = (
        np.broadcast_to(step.memory.fits, len(n)),
        np.broadcast_to(step.bottleneck, len(n)),
    )
    for j, i in enumerate(found.runs.index.tolist()):
        if not all(0.0 < values[j] < math.inf for values in plain.values()):
            table[i]["error"] = "the model has no finite answer for these values"
            continue
        table[i] = {
            "id": rows[i].get("id", ""),
            **{k: v[j] for k, v in plain.items()},
            "fits": bool(fits[j]),
            "bottleneck": PARTS[int(bottleneck[j])],
            "error": "",
            "inferred": " ".join(found.runs.inferred[j]),
            "grade": GRADES[int(found.grade[j])],
            "warning": found.warnings[j],
        }
    return table


def operand_peak(runs: Runs) -> Num:
    """Dense peak of the format that a run's GEMMs use, FLOP/s: what published MFU are of."""
    h = runs.hardware
    bits = OPERAND_BITS[np.asarray(runs.strategy.precision, dtype=np.intp)]
    peak = np.where(bits == 8.0, h.peak_8, np.where(bits == 4.0, h.peak_4, h.peak_16))
    return np.where(peak > 0.0, peak, h.peak_16)


def reported_memory(rows: Sequence[Mapping[str, str]], found: Predictions) -> Num:
    """Peak bytes in the convention that each row states: nvidia-smi, reserved or allocated."""
    memory = found.step.memory
    size = len(found.runs.ids)
    shown = memory.device * (GB / (1000 * MIB))  # nvidia-smi counts MiB; sources print thousands
    plain = [np.broadcast_to(m, size) for m in (memory.allocated, memory.reserved, shown)]
    kinds = [memory_kind(rows[i]) for i in found.runs.index]
    return np.stack(plain)[kinds, np.arange(size)]


def memory_kind(row: Mapping[str, str]) -> int:
    """0 allocated, 1 reserved, 2 what the device shows, as a row's notes say."""
    text = (row.get("notes", "") + row.get("flops_convention", "")).lower()
    family = family_of(row.get("framework", ""), row.get("published", ""))
    if "nvidia-smi" in text or family == "megatron-classic":
        return 2
    return 1 if "reserved" in text or "titan" in row.get("framework", "").lower() else 0
