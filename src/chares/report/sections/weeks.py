"""The run: its calendar, what failures leave of the speed, and what breaks."""

from __future__ import annotations

from typing import Any

from chares.ledger import Figure
from chares.report.sections.common import rest_of_figures, section
from chares.report.shown import shown
from chares.report.view import Chart, Section, Table, View, chart, plain, table

_NONE: tuple[Any, ...] = ()


def run_section(view: View) -> Section | None:
    """Figures of the run, its calendar and interruptions by cause."""
    weeks = view.stage("weeks")
    if weeks is None:
        return None
    causes = list(getattr(weeks, "causes", _NONE))
    tables = [_calendar(view, list(getattr(weeks, "rows", _NONE))), _causes(view, causes)]
    figures = rest_of_figures(view, "run")
    return section(view, "run", [figures, *tables], [_bars(view, causes)])


def _calendar(view: View, rows: list[Any]) -> Table:
    """The calendar as the stage gives it: one column per field of its rows."""
    if not rows:
        return table("calendar", view.t("table.calendar"), [], [])
    names = list(getattr(rows[0], "__dataclass_fields__", {}))
    columns = [(n, view.t.find(f"column.{n}", n.replace("_", " "))) for n in names]
    listed = [{n: _cell(view, getattr(row, n)) for n in names} for row in rows]
    return table("calendar", view.t("table.calendar"), columns, listed)


def _causes(view: View, causes: list[Any]) -> Table:
    columns = [("cause", view.t("column.cause")), ("count", view.t("column.interruptions"))]
    rows = [{"cause": _cause(view, c), "count": _cell(view, _count(c))} for c in causes]
    return table("causes", view.t("table.causes"), columns, rows)


def _cause(view: View, cause: Any) -> str:
    name = str(getattr(cause, "id", getattr(cause, "name", "")))
    return view.t.find(f"cause.{name}", str(getattr(cause, "label", name)))


def _count(cause: Any) -> Any:
    return getattr(cause, "interruptions", getattr(cause, "count", None))


def _cell(view: View, value: Any) -> Any:
    if isinstance(value, Figure):
        return view.cell(value)
    if isinstance(value, (int, float)):
        return {"value": plain(value), "shown": shown(value, "1", lang=view.lang)}
    return str(value)


def _bars(view: View, causes: list[Any]) -> Chart:
    counts = [_count(c) for c in causes]
    values = [float(c.value if isinstance(c, Figure) else c or 0.0) for c in counts]
    return chart(
        "causes",
        view.t("table.causes"),
        "bar",
        {"label": "", "unit": "", "values": [_cause(view, c) for c in causes]},
        [{"name": view.t("column.interruptions"), "values": values}],
        {"label": view.t("column.interruptions"), "unit": ""},
    )
