"""Training: how the work is split, where a step's time goes, what memory holds, the runners-up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chares.ledger import Figure
from chares.report.sections.common import rest_of_figures, section
from chares.report.shown import shown
from chares.report.view import Chart, Section, Table, View, chart, plain, table


def training_section(view: View) -> Section | None:
    """The chosen strategy, the breakdown of its step and memory, and what came second."""
    steps = view.stage("steps")
    if steps is None:
        return None
    times, memory = _parts(steps, "breakdown"), _parts(steps, "memory")
    tables = [
        _strategy(view, getattr(steps, "strategy", None)),
        _shares(view, "breakdown", times, "s"),
        _shares(view, "memory", memory, "B"),
        _runners_up(view, list(getattr(steps, "runners_up", ()))),
        rest_of_figures(view, "step"),
    ]
    charts = [_bars(view, "breakdown", times, "s"), _bars(view, "memory", memory, "B")]
    return section(view, "training", tables, charts)


def _parts(steps: Any, name: str) -> dict[str, float]:
    """The parts of a breakdown as plain numbers, largest first, without those that are nothing."""
    found = getattr(steps, name, None) or {}
    if not isinstance(found, Mapping):
        found = {n: getattr(found, n) for n in getattr(found, "__dataclass_fields__", {})}
    numbers = {n: float(v.value if isinstance(v, Figure) else v) for n, v in found.items()}
    return dict(sorted(((n, v) for n, v in numbers.items() if v), key=lambda item: -item[1]))


def _strategy(view: View, strategy: Any) -> Table:
    columns = [("setting", view.t("column.setting")), ("value", view.t("column.value"))]
    fields = strategy if isinstance(strategy, Mapping) else _fields(strategy)
    rows = [
        {"setting": view.named("strategy", n), "value": shown(plain(v), "1", lang=view.lang)}
        for n, v in fields.items()
    ]
    return table("strategy", view.t("table.strategy"), columns, rows)


def _fields(thing: Any) -> dict[str, Any]:
    return {n: getattr(thing, n) for n in getattr(thing, "__dataclass_fields__", {})}


def _shares(view: View, id: str, parts: dict[str, float], unit: str) -> Table:
    columns = [
        ("part", view.t("column.part")),
        ("amount", view.t(f"column.{id}")),
        ("share", view.t("column.share")),
    ]
    whole = sum(parts.values())
    rows = [
        {
            "part": view.named(id, name),
            "amount": {"value": value, "shown": shown(value, unit, lang=view.lang)},
            "share": {"value": value / whole, "shown": shown(value / whole, "%", lang=view.lang)},
        }
        for name, value in parts.items()
    ]
    return table(id, view.t(f"table.{id}"), columns, rows)


def _runners_up(view: View, rows: list[Any]) -> Table:
    """Strategies that came next, with what they lack, as the search gives them."""
    plain_rows = [r if isinstance(r, Mapping) else _fields(r) for r in rows]
    names = list(plain_rows[0]) if plain_rows else []
    columns = [(n, view.t.find(f"strategy.{n}", n.replace("_", " "))) for n in names]
    listed = [{n: _cell(view, row.get(n)) for n in names} for row in plain_rows]
    return table("runners-up", view.t("table.runners-up"), columns, listed)


def _cell(view: View, value: Any) -> Any:
    if isinstance(value, Figure):
        return view.cell(value)
    if isinstance(value, (bool, str)) or value is None:
        return shown(value, "text", lang=view.lang)
    return {"value": plain(value), "shown": shown(plain(value), "1", lang=view.lang)}


def _bars(view: View, id: str, parts: dict[str, float], unit: str) -> Chart:
    return chart(
        id,
        view.t(f"table.{id}"),
        "bar",
        {"label": "", "unit": "", "values": [view.named(id, n) for n in parts]},
        [{"name": view.t(f"column.{id}"), "values": list(parts.values())}],
        {"label": view.t(f"column.{id}"), "unit": unit},
    )
