"""The site: its phases, chips and power by date."""

from __future__ import annotations

from datetime import date
from typing import Any

from chares.ledger import Figure
from chares.report.sections.common import rest_of_figures, section
from chares.report.shown import scale_of
from chares.report.view import Chart, Section, Table, View, chart, table

_POWERS = ("it_power", "facility_power", "supply", "headroom")


def site_section(view: View) -> Section | None:
    """Phases with their chips and megawatts, and two charts of both by date."""
    site = view.stage("site")
    if site is None:
        return None
    phases = list(site.phases)
    tables = [_phases(view, phases)]
    charts = [_chips(view, phases), _power(view, phases)]
    return section(view, "site", [*tables, rest_of_figures(view, "site")], charts)


def _phases(view: View, phases: list[Any]) -> Table:
    columns = [
        ("online", view.t("column.online")),
        ("added", view.t("column.added")),
        ("chips", view.t("column.chips")),
    ]
    present = [p for p in _POWERS if any(_of(phase, p) is not None for phase in phases)]
    columns += [(p, view.t(f"column.{p}")) for p in present]
    rows = []
    for phase in phases:
        row = {
            "online": view.cell(phase.online),
            "added": ", ".join(f"{view.show(c)} {chip}" for chip, c in phase.batches),
            "chips": view.cell(phase.chips),
        }
        rows.append(row | {p: view.cell(_of(phase, p)) for p in present})
    return table("phases", view.t("table.phases"), columns, rows)


def _of(phase: Any, name: str) -> Figure | None:
    found: Figure | None = getattr(phase, name, None)
    return found


def _days(phases: list[Any]) -> list[str]:
    return [date.fromordinal(int(p.online.value)).isoformat() for p in phases]


def _chips(view: View, phases: list[Any]) -> Chart:
    return chart(
        "chips",
        view.t("chart.chips"),
        "step",
        {"label": view.t("axis.day"), "unit": "date", "values": _days(phases)},
        [{"name": view.t("column.chips"), "values": [float(p.chips.value) for p in phases]}],
        {"label": view.t("column.chips"), "unit": ""},
    )


def _power(view: View, phases: list[Any]) -> Chart:
    names = [n for n in ("facility_power", "it_power", "supply") if any(_of(p, n) for p in phases)]
    top = max((float(f.value) for p in phases for n in names if (f := _of(p, n))), default=0.0)
    scale = scale_of(top, "W")
    series = [
        {
            "name": view.t(f"column.{n}"),
            "values": [float(f.value) / scale.factor if (f := _of(p, n)) else None for p in phases],
        }
        for n in names
    ]
    return chart(
        "power",
        view.t("chart.power"),
        "step",
        {"label": view.t("axis.day"), "unit": "date", "values": _days(phases) if names else []},
        series,
        {"label": view.t("axis.power"), "unit": scale.unit},
    )
