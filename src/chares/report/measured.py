"""Predictions of runs, their comparison with measurements, and a user's calibration, as text."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any
from unicodedata import east_asian_width

from chares.report.messages import Messages

COLUMNS = (
    "id", "predicted_step_time_s", "step_time_low_s", "step_time_high_s",
    "predicted_tokens_per_s_per_accel", "predicted_tflops_per_accel", "predicted_mfu",
    "predicted_peak_mem_GB", "fits", "bottleneck", "error", "inferred", "grade", "warning",
)  # fmt: skip
HEADINGS = (
    "rows",
    "column_predicted",
    "median",
    "mean",
    "p90",
    "grouped",
    "cover",
    "rank",
    "regret",
)
COLUMN = 9  # cells of a number
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


def prediction_summary(table: Sequence[Mapping[str, Any]], most: int = 12, lang: str = "en") -> str:
    """How many rows were predicted, and why the others were not."""
    reasons: dict[str, int] = {}
    for row in table:
        if row["error"]:
            reasons[row["error"]] = reasons.get(row["error"], 0) + 1
    good = len(table) - sum(reasons.values())
    return "\n".join(_counted(good, len(table), reasons, Messages(lang), most))


def _counted(
    good: int, every: int, reasons: Mapping[str, int], t: Messages, most: int = 12
) -> list[str]:
    lines = [t("measured.predicted", good=good, every=every)]
    ordered = sorted(reasons.items(), key=lambda kv: -kv[1])
    lines += [t("measured.without", count=n, why=why) for why, n in ordered[:most]]
    if len(ordered) > most:
        lines.append(t("measured.others", count=sum(n for _, n in ordered[most:])))
    return lines


def validation_text(result: Mapping[str, Any], lang: str = "en") -> str:
    """The table of ``chares validate``: each source, all, and the null models beside them."""
    t = Messages(lang)
    overall, sources = result["overall"], result["by_source"]
    nulls = {t.find(f"null.{name}", name): s for name, s in result["null"].items()}
    width = max(map(_cells, [*sources, *nulls, t("measured.all")])) + 2
    lines = [" " * width + "".join(_right(t(f"measured.{h}")) for h in HEADINGS)]
    lines += [_line(name or t("measured.no_source"), s, width) for name, s in sources.items()]
    lines += ["", _line(t("measured.all"), overall, width)]
    if overall["grouped_error"] is not None:
        median, mean = (_percent(overall[k]) for k in ("grouped_error", "grouped_error_mean"))
        lines.append(t("measured.sources", median=median, mean=mean))
    lines += ["", t("measured.nulls")]
    lines += [_line(name, s, width) for name, s in nulls.items()]
    lines += ["", *_memory_lines(result["memory"], t)]
    table = result["table"]
    lines += _counted(overall["predicted"], table["compared"], table["not_predicted"], t)
    notes = [t(f"measured.note{i}") for i in range(1, 5)]
    return "\n".join([*lines, "", *notes])


def _cells(text: str) -> int:
    """Columns that a text takes on a terminal: Japanese letters take two."""
    return sum(2 if east_asian_width(c) in "WF" else 1 for c in text)


def _right(text: str, width: int = COLUMN) -> str:
    return " " * (width - _cells(text)) + text


def _left(text: str, width: int) -> str:
    return text + " " * (width - _cells(text))


def _line(name: str, s: Mapping[str, Any], width: int) -> str:
    cells = [f"{s['n']:>{COLUMN}}", f"{s['predicted']:>{COLUMN}}"]
    for key in KEYS:
        value = s[key]
        shown = "" if value is None else f"{value:.2f}" if key[:4] == "rank" else _percent(value)
        cells.append(_right(shown))
    return (_left(name, width) + "".join(cells)).rstrip()


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100.0 * value:.1f} %"


def _memory_lines(memory: Mapping[str, Any], t: Messages) -> list[str]:
    lines = [
        t("measured.memory", name=name, error=_percent(s["median_abs_error"]), count=s["n"])
        for name, s in memory["by_convention"].items()
    ]
    if memory["ran_but_called_unfit"]:
        lines.append(t("measured.unfit", count=memory["ran_but_called_unfit"]))
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


def own_fit_text(fit: Any, lang: str = "en") -> str:
    """What a user's runs changed: errors before and after, then the parameters."""
    t = Messages(lang)
    before, after = _percent(fit.error_before), _percent(fit.error_after)
    lines = [
        t("fit.rows", rows=fit.rows, configurations=fit.configurations),
        t("fit.error", before=before, after=after),
    ]
    if fit.error_left_out is not None:
        lines.append(t("fit.left_out", error=_percent(fit.error_left_out)))
        if fit.error_left_out > fit.error_before:
            lines.append(t("fit.worse"))
    head = [_left(t(f"fit.{k}"), 14) for k in ("parameter", "generation")]
    head += [_right(t(f"fit.{k}"), 12) for k in ("published", "yours")]
    lines += ["", "".join(head)]
    for s in fit.shifts:
        lines.append(f"{s.parameter:<14}{s.generation:<14}{s.published:>12.4g}{s.own:>12.4g}")
    lines += [t("fit.unused", count=n, why=why) for why, n in fit.unused.items()]
    return "\n".join(lines)
