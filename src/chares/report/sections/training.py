"""Training: how the work is split, where a step's time goes, what memory holds, the runners-up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chares.report.numerals import shown
from chares.report.sections.common import columns_of, rest_of_figures, section
from chares.report.view import Chart, Section, Table, View, chart, plain, table

if TYPE_CHECKING:
    from chares.search import Steps

_UNITS = {"step_time_s": "s", "slower_by": "%", "peak_memory_bytes": "B"}


def training_section(view: View) -> Section | None:
    """The chosen strategy, the breakdown of its step and memory, and what came second."""
    steps: Steps | None = view.stage("steps")
    if steps is None:
        return None
    times, memory = _ordered(steps.breakdown), _memory(steps)
    tables = [
        rest_of_figures(view, "train"),
        _strategy(view, steps.strategy),
        _shares(view, "breakdown", times, "s"),
        _shares(view, "memory", memory, "B"),
        _runners_up(view, steps),
        _rejected(view, steps),
    ]
    charts = [_bars(view, "breakdown", times, "s"), _bars(view, "memory", memory, "B")]
    return section(view, "training", tables, charts, _space(view, steps))


def _ordered(parts: dict[str, float]) -> dict[str, float]:
    """The parts of a breakdown, largest first, without those that are nothing."""
    return dict(sorted(((n, v) for n, v in parts.items() if v > 0), key=lambda item: -item[1]))


def _memory(steps: Steps) -> dict[str, float]:
    """The tenants of the fullest chip, and what the allocator and the driver hold beside them, so
    that all add up to its peak."""
    held = _ordered(steps.memory)
    rest = float(steps.step.memory.device) - sum(held.values()) if steps.step is not None else 0.0
    return held | ({"overhead": rest} if rest > 0 else {})


def _space(view: View, steps: Steps) -> list[str]:
    """How much was searched, in a sentence."""
    if steps.found is None:
        return [view.t("note.fixed")] if steps.strategy else []
    numbers = {
        n: shown(getattr(steps.found, n), "1", lang=view.lang) for n in ("legal", "feasible")
    }
    seconds = shown(steps.found.seconds, "s", lang=view.lang)
    return [view.t("note.searched", seconds=seconds, **numbers)]


def _strategy(view: View, strategy: dict[str, Any]) -> Table:
    """The settings that differ from nothing: a degree of 1 and an option that is off stay away."""
    columns = columns_of(view, "setting", "value")
    told = {n: v for n, v in strategy.items() if n in ("tp", "pp", "dp") or v not in (0, 1, "none")}
    rows: list[Any] = [
        {"setting": view.named("strategy", n), "value": shown(v, "1", lang=view.lang)}
        for n, v in told.items()
    ]
    return table("strategy", view.t("table.strategy"), columns, rows)


def _shares(view: View, id: str, parts: dict[str, float], unit: str) -> Table:
    columns = [("part", view.t("column.part")), ("amount", view.t(f"column.{id}"))]
    columns += columns_of(view, "share")
    whole = sum(parts.values())
    rows: list[Any] = [
        {
            "part": view.named(id, name),
            "amount": {"value": plain(value), "shown": shown(value, unit, lang=view.lang)},
            "share": {"value": value / whole, "shown": shown(value / whole, "%", lang=view.lang)},
        }
        for name, value in parts.items()
    ]
    return table(id, view.t(f"table.{id}"), columns, rows)


def _runners_up(view: View, steps: Steps) -> Table:
    """The strategies that came next; a setting that all of them share is left out."""
    rows = list(steps.runners_up)
    names = [n for n in rows[0] if len({str(r[n]) for r in rows}) > 1] if rows else []
    columns = [(n, view.t.find(f"short.{n}", n)) for n in names]
    listed = [{n: _cell(view, n, row, steps) for n in names} for row in rows]
    return table("runners-up", view.t("table.runners-up"), columns, listed)


def _cell(view: View, name: str, row: dict[str, Any], steps: Steps) -> Any:
    value = row[name]
    if name == "bottleneck":
        return view.named("breakdown", str(value))
    if isinstance(value, str):
        return value
    return {"value": plain(value), "shown": shown(value, _UNITS.get(name, "1"), lang=view.lang)}


def _rejected(view: View, steps: Steps) -> Table:
    """How many strategies each rule or limit turned away."""
    columns = columns_of(view, "reason", "count")
    rejected = steps.found.rejected if steps.found else {}
    rows: list[Any] = [
        {
            "reason": view.named("rejected", reason),
            "count": {"value": count, "shown": shown(count, "1", lang=view.lang)},
        }
        for reason, count in sorted(rejected.items(), key=lambda item: -item[1])
        if count
    ]
    return table("rejected", view.t("table.rejected"), columns, rows, fold=True)


def _bars(view: View, id: str, parts: dict[str, float], unit: str) -> Chart:
    return chart(
        id,
        view.t(f"table.{id}"),
        "bar",
        {"label": "", "unit": "", "values": [view.named(id, n) for n in parts]},
        [{"name": view.t(f"column.{id}"), "values": list(parts.values())}],
        {"label": view.t(f"column.{id}"), "unit": unit},
    )
