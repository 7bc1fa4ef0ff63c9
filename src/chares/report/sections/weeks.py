"""The run: its calendar, what failures leave of the speed, and what breaks."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from chares.report.numerals import shown
from chares.report.sections.common import columns_of, rest_of_figures, section
from chares.report.view import Chart, Section, Table, View, chart, plain, table

if TYPE_CHECKING:
    from chares.run import Cause, Weeks

_SHOWN_CAUSES = 8


def run_section(view: View) -> Section | None:
    """Figures of the run, its paces, a fleet held constant, interruptions, the calendar."""
    weeks: Weeks | None = view.stage("weeks")
    if weeks is None:
        return None
    causes = list(weeks.causes)
    view.used.update(f"run.{n}" for n in ("mfu", "state") if f"train.{n}" in view.figures)
    tables = [_paces(view, weeks), _constant(view, weeks), _causes(view, causes)]
    tables.append(_calendar(view, weeks))
    tables.insert(0, rest_of_figures(view, "run"))
    return section(view, "run", tables, [_progress(view, weeks), _bars(view, causes)])


def _paces(view: View, weeks: Weeks) -> Table:
    columns = columns_of(view, "from", "chips", "mtti", "checkpoint", "goodput", "time", "power")
    rows: list[Any] = [
        {
            "from": view.cell(s.start),
            "chips": view.cell(s.chips, unit="1"),
            "mtti": view.cell(s.mtti),
            "checkpoint": view.cell(s.checkpoint_interval),
            "goodput": view.cell(s.goodput, unit="%"),
            "time": view.cell(s.time),
            "power": view.cell(s.power),
        }
        for s in weeks.stretches
    ]
    return table("paces", view.t("table.paces"), columns, rows)


def _constant(view: View, weeks: Weeks) -> Table:
    """The whole job on each of the fleet's sizes, held constant."""
    columns = columns_of(view, "chips", "days_ideal", "mtti", "goodput", "days")
    sizes = sorted({int(p.chips.value) for p in weeks.job.paces})
    rows: list[Any] = []
    for n in sizes:
        row = {"chips": {"value": n, "shown": shown(n, "1", lang=view.lang)}}
        for name in ("days_ideal", "mtti", "goodput", "days"):
            unit = "%" if name == "goodput" else ""
            row[name] = view.cell(weeks.figure(f"run.{name}({n})"), unit=unit)
        rows.append(row)
    return table("constant", view.t("table.constant"), columns, rows if len(rows) > 1 else [])


def _calendar(view: View, weeks: Weeks) -> Table:
    columns = columns_of(view, "from", "days", "chips", "done", "interruptions", "energy")
    rows: list[Any] = [
        {
            "from": row.start,
            "days": _number(view, row.days, "1"),
            "chips": _number(view, row.chips, "1"),
            "done": _number(view, row.done, "%"),
            "interruptions": _number(view, row.interruptions, "1"),
            "energy": _number(view, row.energy, "J"),
        }
        for row in weeks.rows
    ]
    return table("calendar", view.t("table.calendar"), columns, rows, fold=True)


def _number(view: View, value: Any, unit: str) -> dict[str, Any]:
    return {"value": plain(value), "shown": shown(value, unit, lang=view.lang)}


def _causes(view: View, causes: list[Cause]) -> Table:
    columns = columns_of(view, "cause", "interruptions", "share")
    rows: list[Any] = [
        {
            "cause": _cause(view, c),
            "interruptions": view.cell(c.interruptions),
            "share": view.cell(c.share, unit="%"),
        }
        for c in causes
    ]
    found = table("causes", view.t("table.causes"), columns, rows)
    return found | {"limit": _SHOWN_CAUSES}


def _cause(view: View, cause: Cause) -> str:
    return view.t.find(f"cause.{cause.id}", cause.label)


def _bars(view: View, causes: list[Cause]) -> Chart:
    return chart(
        "causes",
        view.t("table.causes"),
        "bar",
        {"label": "", "unit": "", "values": [_cause(view, c) for c in causes]},
        [
            {
                "name": view.t("column.interruptions"),
                "values": [float(c.interruptions.value) for c in causes],
            }
        ],
        {"label": view.t("column.interruptions"), "unit": ""},
    )


def _progress(view: View, weeks: Weeks) -> Chart:
    """The share of the work that is done, at the start and at the end of every row."""
    days = [w.start for w in weeks.rows[:1]]
    for w in weeks.rows:
        days.append((date.fromisoformat(w.start) + timedelta(days=float(w.days))).isoformat())
    done = [0.0, *(100.0 * float(w.done) for w in weeks.rows)]
    return chart(
        "progress",
        view.t("chart.progress"),
        "line",
        {"label": view.t("axis.day"), "unit": "date", "values": days},
        [{"name": view.t("column.done"), "values": done[: len(days)]}],
        {"label": view.t("column.done"), "unit": "%"},
    )
