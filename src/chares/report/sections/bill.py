"""Money: the lines of the bill, by scope; scopes are never added to one another."""

from __future__ import annotations

from typing import Any

from chares.report.sections.common import rest_of_figures, section
from chares.report.shown import scale_of, shown
from chares.report.view import Chart, Section, Table, View, chart, plain, table


def money_section(view: View) -> Section | None:
    """One table per scope with each line's share, and bars of where the money goes."""
    bill = view.stage("bill")
    if bill is None:
        return None
    scopes: dict[str, list[Any]] = {}
    for line in bill.lines:
        scopes.setdefault(line.scope, []).append(line)
    tables = [_lines(view, scope, lines) for scope, lines in scopes.items()]
    charts = [_bars(view, scope, lines) for scope, lines in scopes.items()]
    notes = [view.t("note.scopes")] if len(scopes) > 1 else []
    return section(view, "money", [*tables, rest_of_figures(view, "bill")], charts, notes)


def _name(view: View, line: Any) -> str:
    return view.t.find(f"line.{line.id}", line.label)


def _lines(view: View, scope: str, lines: list[Any]) -> Table:
    columns = [
        ("line", view.t("column.line")),
        ("amount", view.t("column.amount")),
        ("share", view.t("column.share")),
        ("note", view.t("column.note")),
    ]
    whole = sum(float(x.amount.value) for x in lines)
    rows = []
    for x in lines:
        part = float(x.amount.value) / whole if whole else 0.0
        rows.append(
            {
                "line": _name(view, x),
                "amount": view.cell(x.amount, interval=True),
                "share": {"value": plain(part), "shown": shown(part, "%", lang=view.lang)},
                "note": getattr(x, "note", "") or "",
            }
        )
    if len(columns) and not any(r["note"] for r in rows):
        columns.pop()
    return table(f"bill-{_slug(scope)}", view.named("scope", scope), columns, rows)


def _bars(view: View, scope: str, lines: list[Any]) -> Chart:
    scale = scale_of(0.0, "USD")
    return chart(
        f"bill-{_slug(scope)}",
        view.named("scope", scope),
        "bar",
        {"label": "", "unit": "", "values": [_name(view, x) for x in lines]},
        [{"name": view.t("column.amount"), "values": [float(x.amount.value) for x in lines]}],
        {"label": view.t("column.amount"), "unit": scale.unit},
    )


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "-" for c in text.lower()).strip("-")
