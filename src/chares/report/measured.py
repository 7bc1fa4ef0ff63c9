"""Predictions of runs, their comparison with measurements, and a user's calibration, as text."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

COLUMNS = (
    "id", "predicted_step_time_s", "step_time_low_s", "step_time_high_s",
    "predicted_tokens_per_s_per_accel", "predicted_tflops_per_accel", "predicted_mfu",
    "predicted_peak_mem_GB", "fits", "bottleneck", "error", "inferred", "grade", "warning",
)  # fmt: skip
NULLS = {
    "chip_precision": "one utilisation per chip and precision",
    "chip_precision_source_left_out": "the same, its source left out",
    "source_chip_precision": "one per source, chip and precision",
}
HEADINGS = ("rows", "pred.", "median", "mean", "p90", "grouped", "cover", "rank", "regret")
KEYS = (
    "median_abs_error", "mean_abs_error", "p90_abs_error", "grouped_error", "coverage80",
    "rank_correlation", "regret",
)  # fmt: skip


def prediction_csv(table: Sequence[Mapping[str, Any]]) -> str:
    """One line per row, in order; six digits; what a row has not is an empty cell."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in table:
        writer.writerow([_cell(row.get(name, "")) for name in COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def prediction_summary(table: Sequence[Mapping[str, Any]], most: int = 12) -> str:
    """How many rows were predicted, and why the others were not."""
    reasons: dict[str, int] = {}
    for row in table:
        if row["error"]:
            reasons[row["error"]] = reasons.get(row["error"], 0) + 1
    return "\n".join(_counted(len(table) - sum(reasons.values()), len(table), reasons, most))


def _counted(good: int, every: int, reasons: Mapping[str, int], most: int = 12) -> list[str]:
    lines = [f"predicted {good} of {every} rows"]
    ordered = sorted(reasons.items(), key=lambda kv: -kv[1])
    lines += [f"  {n} without: {why}" for why, n in ordered[:most]]
    if len(ordered) > most:
        lines.append(f"  and {sum(n for _, n in ordered[most:])} rows for other reasons")
    return lines


def validation_text(result: Mapping[str, Any]) -> str:
    """The table of ``chares validate``: each source, all, and the null models beside them."""
    overall, sources = result["overall"], result["by_source"]
    width = max(map(len, [*sources, *NULLS.values(), "median of sources"])) + 2
    lines = [" " * width + "".join(f"{h:>9}" for h in HEADINGS)]
    lines += [_line(name, s, width) for name, s in sources.items()]
    lines += ["", _line("all rows", overall, width)]
    if overall["grouped_error"] is not None:
        lines.append(
            f"sources: median {_percent(overall['grouped_error'])}, "
            f"mean {_percent(overall['grouped_error_mean'])} (grouped error)"
        )
    lines += ["", "For comparison, a constant utilisation instead of the model:"]
    lines += [_line(NULLS.get(name, name), s, width) for name, s in result["null"].items()]
    lines += ["", *_memory_lines(result["memory"])]
    table = result["table"]
    lines += _counted(overall["predicted"], table["compared"], table["not_predicted"])
    return "\n".join([*lines, "", *NOTES])


NOTES = (
    "Errors are of step time. grouped: the median over groups of runs of each group's median;",
    "cover: share inside the 80 % interval; rank, regret: over sets of one job run in three ways",
    "or more, the rank correlation and what the way ranked first costs over the best.",
    "The project's own records were fitted; their errors with the source left out: docs/model.md.",
)


def _line(name: str, s: Mapping[str, Any], width: int) -> str:
    cells = [f"{s['n']:>9}", f"{s['predicted']:>9}"]
    for key in KEYS:
        value = s[key]
        shown = "" if value is None else f"{value:.2f}" if key[:4] == "rank" else _percent(value)
        cells.append(f"{shown:>9}")
    return f"{name:<{width}}" + "".join(cells)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100.0 * value:.1f} %"


def _memory_lines(memory: Mapping[str, Any]) -> list[str]:
    lines = [
        f"peak memory, {name}: median error {_percent(s['median_abs_error'])} of {s['n']} rows"
        for name, s in memory["by_convention"].items()
    ]
    if memory["ran_but_called_unfit"]:
        lines.append(f"{memory['ran_but_called_unfit']} runs that ran are called too large to fit")
    return lines


def own_fit_data(fit: Any) -> dict[str, Any]:
    """What a user's runs changed, as plain data (without the calibration itself)."""
    names = (
        "rows", "configurations", "error_before", "error_after", "error_left_out", "unused",
    )  # fmt: skip
    shifts = [
        {"parameter": s.parameter, "generation": s.generation, "published": s.published,
         "own": s.own}
        for s in fit.shifts
    ]  # fmt: skip
    return {name: getattr(fit, name) for name in names} | {"parameters": shifts}


def own_fit_text(fit: Any) -> str:
    """What a user's runs changed: errors before and after, then the parameters."""
    lines = [
        f"{fit.rows} measured rows, {fit.configurations} configurations",
        f"median error of step time: {_percent(fit.error_before)} before, "
        f"{_percent(fit.error_after)} after",
    ]
    if fit.error_left_out is not None:
        lines.append(
            f"each configuration predicted from the others: {_percent(fit.error_left_out)}"
        )
        if fit.error_left_out > fit.error_before:
            lines.append("That is no better than before: these runs do not speak with one voice.")
    lines += ["", f"{'parameter':<14}{'generation':<14}{'published':>12}{'yours':>12}"]
    for s in fit.shifts:
        lines.append(f"{s.parameter:<14}{s.generation:<14}{s.published:>12.4g}{s.own:>12.4g}")
    lines += [f"{n} rows not used: {why}" for why, n in fit.unused.items()]
    return "\n".join(lines)
