"""What all sections share: a table of the stage's other figures, and the frame."""

from __future__ import annotations

import re
from typing import Any

from chares.ledger import Figure
from chares.report.view import Chart, Section, Table, View, table

# figures that belong to a row of some table, and stand there or nowhere
_PART_OF_A_TABLE = re.compile(
    r"\.phase\d|^train\.(time|memory)\.|^site\.compare\.|^bill\.(own|loan)\b"
)


def section(
    view: View, id: str, tables: list[Table], charts: list[Chart], notes: list[str] | None = None
) -> Section:
    """A section with its title; empty tables and charts of one point are left out."""
    return {
        "id": id,
        "title": view.t(f"section.{id}"),
        "notes": notes or [],
        "tables": [t for t in tables if t["rows"]],
        "charts": [c for c in charts if len(c["x"]["values"]) > 1],
    }


def rest_of_figures(view: View, stage: str) -> Table:
    """The figures of a stage that none of its tables has shown."""
    found = [
        f
        for id_, f in view.figures.items()
        if id_.startswith(f"{stage}.") and id_ not in view.used and not _PART_OF_A_TABLE.search(id_)
    ]
    return figure_table(view, f"{stage}-figures", view.t("table.figures"), found)


def figure_table(view: View, id: str, title: str, figures: list[Figure]) -> Table:
    """Figures one below the other: what, how much, of what kind."""
    columns = [
        ("figure", view.t("column.figure")),
        ("value", view.t("column.value")),
        ("kind", view.t("column.kind")),
        ("id", view.t("column.id")),
    ]
    rows: list[Any] = [
        {
            "figure": view.label(f),
            "value": view.cell(f, interval=True),
            "kind": view.named("kind", f.kind),
            "id": f.id,
        }
        for f in figures
    ]
    return table(id, title, columns, rows)


def columns_of(view: View, *keys: str) -> list[tuple[str, str]]:
    """Columns by key, with their names from the catalogue."""
    return [(key, view.t(f"column.{key}")) for key in keys]
