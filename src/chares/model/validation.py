"""How far predictions are from what was published: the numbers of ``chares validate``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

Row = Mapping[str, str]
NAMES = (
    "n", "predicted", "median_abs_error", "mean_abs_error", "p90_abs_error", "grouped_error",
    "coverage80", "rank_correlation", "regret",
)  # fmt: skip
SAME_JOB = (
    "model_name", "accelerator", "n_accel", "global_batch", "seq_len", "precision",
)  # fmt: skip


def number(row: Row, column: str) -> float:
    """The column as a number, NaN where it is empty or no number."""
    try:
        return float(row.get(column) or "nan")
    except ValueError:
        return float("nan")


def amount(row: Row, column: str) -> float:
    """The column as a number above 0; NaN where it is none."""
    value = number(row, column)
    return value if 0.0 < value < np.inf else float("nan")


def measured_step_time(row: Row) -> float:
    """Seconds of a step as published, or from tokens/s; NaN where neither is, or is above 0."""
    for column in ("derived_step_time_s", "measured_step_time_s"):
        if np.isfinite(found := amount(row, column)):
            return found
    rate = amount(row, "measured_tokens_per_s_per_accel") * amount(row, "n_accel")
    return amount(row, "global_batch") * amount(row, "seq_len") / rate


def source_of(row: Row) -> str:
    """The family of sources a row belongs to."""
    return row.get("source_key") or row.get("source_title", "")


def group_of(row: Row) -> str:
    """Rows of one sweep, which are not independent."""
    return row.get("group") or "|".join(row.get(c, "") for c in SAME_JOB)


def grouped_error(error: Array, source: Sequence[str], group: Sequence[str]) -> dict[str, float]:
    """E(source): the median over groups of the group's median absolute error."""
    cells: dict[str, dict[str, list[float]]] = {}
    for e, s, g in zip(error.tolist(), source, group, strict=True):
        cells.setdefault(s, {}).setdefault(g, []).append(e)
    return {
        s: float(np.median([np.median(v) for v in groups.values()])) for s, groups in cells.items()
    }


def rank_correlation(a: Array, b: Array) -> float:
    """Spearman's rho with mean ranks for ties; NaN where one side is all ties."""
    ra, rb = 2.0 * _ranks(a), 2.0 * _ranks(b)  # whole numbers, so that the sums are exact
    if np.ptp(ra) == 0 or np.ptp(rb) == 0:
        return float("nan")

    def moment(x: Array, y: Array) -> float:
        return float(len(x) * (x @ y) - x.sum() * y.sum())

    return moment(ra, rb) / float(np.sqrt(moment(ra, ra) * moment(rb, rb)))


def _ranks(values: Array) -> Array:
    """Ranks from 0, the mean of the ranks for ties."""
    order = np.sort(values)
    left = np.searchsorted(order, values, "left")
    right = np.searchsorted(order, values, "right")
    return np.asarray(0.5 * (left + right - 1.0), dtype=np.float64)


def same_jobs(rows: Sequence[Row], least: int = 3) -> list[list[int]]:
    """Sets of rows that differ in how they ran one job: model, chip, count, batch, length."""
    sets: dict[tuple[str, ...], list[int]] = {}
    for i, row in enumerate(rows):
        sets.setdefault((source_of(row), *(row.get(c, "") for c in SAME_JOB)), []).append(i)
    return [s for s in sets.values() if len(s) >= least]


def _choice(predicted: Array, measured: Array, sets: list[list[int]]) -> tuple[float, float]:
    """Median rank correlation over the sets, and median regret of running what ranks first."""
    rho, regret = [], []
    for s in sets:
        p, m = predicted[s], measured[s]
        rho.append(rank_correlation(p, m))
        regret.append(float(np.mean(m[p == p.min()])) / m.min() - 1.0)
    known = [r for r in rho if np.isfinite(r)]
    middle = float(np.median(known)) if known else float("nan")
    return middle, float(np.median(regret)) if regret else float("nan")


def score(
    rows: Sequence[Row], predicted: Array, measured: Array, low: Array, high: Array
) -> dict[str, float | None]:
    """The numbers of ``NAMES`` for rows; NaN predictions count as not predicted."""
    known = np.isfinite(predicted) & np.isfinite(measured)
    kept = [r for r, k in zip(rows, known, strict=True) if k]
    p, m = predicted[known], measured[known]
    if not kept:
        return {"n": len(rows), "predicted": 0} | dict.fromkeys(NAMES[2:])
    error = np.abs(p / m - 1.0)
    groups = grouped_error(error, [source_of(r) for r in kept], [group_of(r) for r in kept])
    rho, regret = _choice(p, m, same_jobs(kept))
    found = (
        len(rows),
        len(kept),
        float(np.median(error)),
        float(np.mean(error)),
        float(np.quantile(error, 0.9)),
        float(np.median(list(groups.values()))),
        float(np.mean((low[known] <= m) & (m <= high[known])))
        if np.isfinite(low[known]).all()
        else float("nan"),
        rho,
        regret,
    )
    return {k: None if v != v else v for k, v in zip(NAMES, found, strict=True)}


def by_source(
    rows: Sequence[Row], predicted: Array, measured: Array, low: Array, high: Array
) -> dict[str, dict[str, float | None]]:
    """`score` of each source."""
    source = np.array([source_of(r) for r in rows])
    found = {}
    for s in sorted(set(source.tolist())):
        of = np.flatnonzero(source == s).tolist()
        found[s] = score(
            [rows[i] for i in of], predicted[of], measured[of], low[of], high[of]
        )  # fmt: skip
    return found


def constant_utilisation(
    keys: Sequence[tuple[str, ...]],
    ideal: Array,
    measured: Array,
    weight: Sequence[tuple[str, str]],
    fitted: NDArray[np.bool_],
) -> Array:
    """The null model: step time at one utilisation per key (chip and precision, say).

    ``ideal`` is the step time at the peak. The constant is the median over the groups of the
    ``fitted`` rows with that key; a key without any gets the median of all.
    """
    ratio = measured / ideal
    found = np.full(len(keys), np.nan)
    cells: dict[tuple[str, ...], dict[tuple[str, str], list[float]]] = {}
    for i in np.flatnonzero(fitted & np.isfinite(ratio)).tolist():
        cells.setdefault(keys[i], {}).setdefault(weight[i], []).append(float(ratio[i]))
    medians = {
        k: float(np.median([np.median(v) for v in groups.values()])) for k, groups in cells.items()
    }
    common = float(np.median(list(medians.values()))) if medians else float("nan")
    for i, key in enumerate(keys):
        found[i] = ideal[i] * medians.get(key, common)
    return found


def null_scores(
    rows: Sequence[Row], ideal: Array, measured: Array
) -> dict[str, dict[str, float | None]]:
    """Scores of the constants: per chip and precision (in sample, and source left out), and per
    source, chip and precision."""
    cell = [(source_of(r), group_of(r)) for r in rows]
    chip = [(r.get("accelerator", ""), r.get("precision", "")[:4]) for r in rows]
    own = [(source_of(r), *k) for r, k in zip(rows, chip, strict=True)]
    every = np.ones(len(rows), dtype=bool)
    nothing = np.full(len(rows), np.nan)
    source = np.array([source_of(r) for r in rows])
    left_out = np.full(len(rows), np.nan)
    for s in set(source.tolist()):
        others = constant_utilisation(chip, ideal, measured, cell, source != s)
        left_out[source == s] = others[source == s]
    tables: dict[str, Any] = {
        "chip_precision": constant_utilisation(chip, ideal, measured, cell, every),
        "chip_precision_source_left_out": left_out,
        "source_chip_precision": constant_utilisation(own, ideal, measured, cell, every),
    }
    return {k: score(rows, p, measured, nothing, nothing) for k, p in tables.items()}
