"""Predictions held against what was published: ``chares validate``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model.predictions import GB, Predictions, memory_kind, predict_rows, reported_memory
from chares.model.validation import (
    amount,
    by_source,
    measured_step_time,
    null_scores,
    same_jobs,
    score,
    source_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.facts import Facts

    Array = NDArray[np.float64]

Row = Mapping[str, str]
MEMORY_KINDS = ("allocated", "reserved", "device")


def validate(
    rows: Sequence[Row], facts: Facts, document: Mapping[str, Any] | None = None, *,
    gold: bool = True,
) -> dict[str, Any]:  # fmt: skip
    """Predicted against published: ``overall``, ``by_source``, ``null``, ``memory``, ``table``.

    Errors are fractions of the measured step time; of tokens/s or TFLOP/s where only that was
    published. ``gold``: only pretraining runs that the table marks so (a table that marks none
    counts whole). ``document`` is a calibration record in the place of the project's own.
    """
    kept = _kept(rows, gold)
    found = predict_rows(kept, facts, document)
    predicted, low, high, ideal = np.full((4, len(kept)), np.nan)
    index = found.runs.index
    predicted[index], low[index], high[index] = found.step.step_time_s, found.low, found.high
    ideal[index] = found.step.step_time_s * found.step.mfu
    measured = _measured(kept, found)
    overall = score(kept, predicted, measured, low, high)
    sources = by_source(kept, predicted, measured, low, high)
    errors = [s["grouped_error"] for s in sources.values() if s["grouped_error"] is not None]
    regret = source_regret(kept, predicted, measured)
    return {
        "overall": overall
        | {
            "grouped_error_mean": float(np.mean(errors)) if errors else None,
            "regret_worst_source": max(regret.values(), default=None),
        },
        "by_source": sources,
        "null": null_scores(kept, ideal, measured),
        "memory": _memory(kept, found),
        "table": {
            "rows": len(rows),
            "compared": len(kept),
            "not_predicted": dict(Counter(e for e in found.runs.errors if e).most_common()),
        },
    }


def _kept(rows: Sequence[Row], gold: bool) -> list[Row]:
    """Rows with something to compare with; LoRA and fine-tuning count FLOPs otherwise."""
    marked = gold and any(r.get("gold") == "1" for r in rows)
    return [
        r
        for r in rows
        if _has_measurement(r)
        and r.get("task", "") in ("", "pretrain")
        and (not marked or r.get("gold") == "1")
    ]


def _has_measurement(row: Row) -> bool:
    rate = amount(row, "measured_tflops_per_accel")
    return bool(np.isfinite(measured_step_time(row)) or rate > 0.0)


def _measured(rows: Sequence[Row], found: Predictions) -> Array:
    """Measured step times; where only FLOP/s was published, the time that they are of the
    predicted step's FLOPs."""
    measured = np.array([measured_step_time(r) for r in rows], dtype=float)
    rate = np.array([amount(r, "measured_tflops_per_accel") for r in rows], dtype=float)
    index = found.runs.index
    alone = np.flatnonzero(~np.isfinite(measured[index]) & (rate[index] > 0.0))
    work = np.broadcast_to(found.step.step_time_s * found.step.tflops_per_chip, index.shape)
    measured[index[alone]] = work[alone] / rate[index[alone]]
    return measured


def source_regret(rows: Sequence[Row], predicted: Array, measured: Array) -> dict[str, float]:
    """By source: how much slower than the best measured is the run that ranks first (median over
    the sets of one job)."""
    known = np.flatnonzero(np.isfinite(predicted) & np.isfinite(measured))
    kept = [rows[i] for i in known.tolist()]
    found: dict[str, list[float]] = {}
    for job in same_jobs(kept):
        p, m = predicted[known[job]], measured[known[job]]
        found.setdefault(source_of(kept[job[0]]), []).append(
            float(np.mean(m[p == p.min()]) / m.min() - 1.0)
        )
    return {s: float(np.median(v)) for s, v in found.items()}


def _memory(rows: Sequence[Row], found: Predictions) -> dict[str, Any]:
    """Peak memory by convention, and the runs that ran though called unfit."""
    index = found.runs.index
    measured = np.array([amount(rows[i], "peak_mem_GB") for i in index.tolist()])
    error = np.abs(reported_memory(rows, found) / GB / measured - 1.0)
    kinds = np.array([memory_kind(rows[i]) for i in index.tolist()])
    table = {}
    for code, name in enumerate(MEMORY_KINDS):
        of = error[(kinds == code) & np.isfinite(error)]
        if len(of):
            table[name] = {"n": len(of), "median_abs_error": float(np.median(of))}
    fits = np.broadcast_to(found.step.memory.fits, index.shape) > 0
    unfit = [found.runs.ids[j] for j in np.flatnonzero(~fits)]
    return {"by_convention": table, "ran_but_called_unfit": len(unfit), "unfit_ids": unfit[:20]}
