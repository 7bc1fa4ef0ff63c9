"""Money: the lines of the bill, by scope; scopes are never added to one another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chares.ledger import Figure
from chares.report.numerals import shown
from chares.report.sections.common import columns_of, rest_of_figures, section
from chares.report.view import Chart, Section, Table, View, chart, plain, table

if TYPE_CHECKING:
    from chares.money import Bill, Line, Scope, Stand


def money_section(view: View) -> Section | None:
    """The scopes with their totals, one table of lines for each, own against rent, the loan."""
    bill: Bill | None = view.stage("bill")
    if bill is None:
        return None
    tables = [_scopes(view, bill)]
    charts = []
    for scope in bill.scopes:
        lines = [x for x in bill.lines if x.scope == scope.id]
        if len(lines) > 1:
            tables.append(_lines(view, scope, lines))
            charts.append(_bars(view, scope, lines))
        else:
            view.used.update(x.amount.id for x in lines)
    view.used.update(("bill.total", "bill.run_energy"))
    tables += [_stands(view, bill), _ownership(view, bill), _loan(view, bill)]
    tables.append(rest_of_figures(view, "bill"))
    notes = [view.t("note.scopes")] if len(bill.scopes) > 1 else []
    return section(view, "money", tables, charts, [*notes, *bill.missing])


def _scopes(view: View, bill: Bill) -> Table:
    columns = columns_of(view, "scope", "amount", "counts", "leaves_out")
    rows: list[Any] = [
        {
            "scope": view.t.find(f"scope.{s.id}", s.label),
            "amount": view.cell(s.total, interval=True),
            "counts": view.t.find(f"counts.{s.id}", s.counts),
            "leaves_out": view.t.find(f"leaves_out.{s.id}", s.leaves_out),
        }
        for s in bill.scopes
    ]
    return table("scopes", view.t("table.scopes"), columns, rows)


def _lines(view: View, scope: Scope, lines: list[Line]) -> Table:
    columns = columns_of(view, "line", "amount", "share")
    whole = float(scope.total.value)
    rows: list[Any] = []
    for x in lines:
        part = float(x.amount.value) / whole if whole else 0.0
        rows.append(
            {
                "line": view.label(x.amount),
                "amount": view.cell(x.amount, interval=True),
                "share": {"value": plain(part), "shown": shown(part, "%", lang=view.lang)},
            }
        )
    return table(f"bill-{scope.id}", _title(view, scope), columns, rows)


def _title(view: View, scope: Scope) -> str:
    name = view.t.find(f"scope.{scope.id}", scope.label)
    return view.t("table.bill", scope=name[:1].upper() + name[1:])


def _bars(view: View, scope: Scope, lines: list[Line]) -> Chart:
    return chart(
        f"bill-{scope.id}",
        _title(view, scope),
        "bar",
        {"label": "", "unit": "", "values": [view.label(x.amount) for x in lines]},
        [{"name": view.t("column.amount"), "values": [float(x.amount.value) for x in lines]}],
        {"label": view.t("column.amount"), "unit": "USD"},
    )


def _stands(view: View, bill: Bill) -> Table:
    columns = columns_of(view, "online", "chips", "capital", "published")
    rows: list[Any] = [
        {
            "online": view.cell(s.online),
            "chips": view.cell(s.chips, unit="1"),
            "capital": view.cell(_named(view, s), interval=True),
            "published": view.cell(s.published),
        }
        for s in bill.stands
    ]
    view.used.update(i for i in view.figures if i.startswith("bill.capital_"))
    return table("stands", view.t("table.stands"), columns, rows if len(rows) > 1 else [])


def _named(view: View, stand: Stand) -> Figure:
    """The stand's capital as the registry names it, so that its interval is known."""
    return view.figures.get(f"bill.capital_at({stand.chips.value:.0f})", stand.capital)


def _ownership(view: View, bill: Bill) -> Table:
    columns = columns_of(view, "capital", "interest", "own_rate", "break_even")
    rows: list[Any] = []
    for o in bill.ownership:
        for way in ("opening", "annuity"):
            rows.append(
                {
                    "capital": view.named("basis", o.basis),
                    "interest": view.named("interest", way),
                    "own_rate": view.cell(getattr(o, way), interval=True),
                    "break_even": view.cell(getattr(o, f"break_even_{way}"), interval=True),
                }
            )
    found = table("ownership", view.t("table.ownership"), columns, rows)
    if rent := view.figures.get("bill.rent_rate"):
        found["note"] = view.t("note.rent", rent=view.show(rent))
    return found


def _loan(view: View, bill: Bill) -> Table:
    columns = columns_of(view, "year", "worth", "level", "bullet")
    rows: list[Any] = [
        {
            "year": str(y.year),
            "worth": view.cell(y.value),
            "level": view.cell(y.level, unit="%"),
            "bullet": view.cell(y.bullet, unit="%"),
        }
        for y in bill.loan
    ]
    found = table("loan", view.t("table.loan"), columns, rows, fold=True)
    if payment := view.figures.get("bill.loan.payment"):
        found["note"] = view.t("note.payment", payment=view.show(payment))
    return found
