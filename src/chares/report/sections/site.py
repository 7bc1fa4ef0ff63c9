"""The site: its phases, chips and power by date, and what holds it up."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from chares.ledger import Figure
from chares.report.numerals import scale_of
from chares.report.sections.common import columns_of, rest_of_figures, section
from chares.report.view import Chart, Section, Table, View, chart, table

if TYPE_CHECKING:
    from chares.build import Phase, Timeline

_POWERS = ("facility_power", "published_power", "supply", "lawful_supply", "headroom")


def site_section(view: View) -> Section | None:
    """Phases with their chips and megawatts, charts of both by date, and what else takes long."""
    site: Timeline | None = view.stage("site")
    if site is None:
        return None
    phases = list(site.phases)
    tables = [_phases(view, phases), _carried(view, phases), _chains(view, site)]
    tables.insert(1, rest_of_figures(view, "site"))
    tables += [_supplies(view, site), _compared(view, site)]
    found = section(view, "site", tables, [_chips(view, phases), _power(view, phases)])
    if view.plan.case.site is None:
        found["title"] = view.t("section.fleet")
    return found


def _phases(view: View, phases: list[Phase]) -> Table:
    present = [p for p in _POWERS if any(_of(phase, p) for phase in phases)]
    columns = columns_of(view, "online", "added", "chips", *present)
    rows = []
    for phase in phases:
        added = ", ".join(f"{view.count(c)} {chip}" for chip, c in phase.batches)
        row = {"online": view.cell(phase.online), "added": added}
        row["chips"] = view.cell(phase.chips, unit="1")
        rows.append(row | {p: view.cell(_of(phase, p)) for p in present})
    return table("phases", view.t("table.phases"), columns, rows)


def _of(phase: Any, name: str) -> Figure | None:
    found: Figure | None = getattr(phase, name, None)
    return found


def _carried(view: View, phases: list[Phase]) -> Table:
    """When known sources of power carry each phase, and which of them it hangs on."""
    columns = columns_of(view, "online", "carried", "grid_only", "critical")
    rows: list[Any] = []
    for phase in phases:
        if phase.supply is None:
            continue
        kinds = [view.named("supply", k) for k in phase.critical.split(", ") if k]
        rows.append(
            {
                "online": view.cell(phase.online),
                "carried": view.cell(phase.carried, none="never_known"),
                "grid_only": view.cell(phase.grid_only, none="never_known"),
                "critical": view.t("word.comma").join(kinds),
            }
        )
    return table("carried", view.t("table.carried"), columns, rows)


def _chains(view: View, site: Timeline) -> Table:
    columns = columns_of(view, "chip", "tdp", "server", "it", "facility")
    rows: list[Any] = []
    for chain in site.chains:
        links = {n: view.cell(getattr(chain, n)) for n in ("tdp", "server", "it")}
        facility = view.cell(chain.facility, interval=True)
        rows.append({"chip": chain.chip, **links, "facility": facility})
    return table("power-chain", view.t("table.power-chain"), columns, rows)


def _supplies(view: View, site: Timeline) -> Table:
    columns = columns_of(view, "supply_kind", "power", "from", "until")
    rows: list[Any] = [
        {
            "supply_kind": view.named("supply", source.kind),
            "power": view.cell(source.power, interval=True),
            "from": _day(view, source.start),
            "until": _day(view, source.end),
        }
        for source in site.sources
    ]
    return table("supplies", view.t("table.supplies"), columns, rows, fold=True)


def _day(view: View, when: Any) -> Any:
    if isinstance(when, Figure):
        return view.cell(when)
    open_ended = when is None or not abs(when) < 4e6
    return "" if open_ended else date.fromordinal(int(when)).isoformat()


def _compared(view: View, site: Timeline) -> Table:
    columns = columns_of(view, "figure", "time", "kind")
    rows: list[Any] = [
        {
            "figure": view.label(c.duration),
            "time": view.cell(c.duration, interval=True),
            "kind": view.named("kind", c.duration.kind),
        }
        for c in site.comparisons
    ]
    return table("compared", view.t("table.compared"), columns, rows, fold=True)


def _days(phases: list[Phase]) -> list[str]:
    return [date.fromordinal(int(p.online.value)).isoformat() for p in phases]


def _chips(view: View, phases: list[Phase]) -> Chart:
    return chart(
        "chips",
        view.t("chart.chips"),
        "step",
        {"label": view.t("axis.day"), "unit": "date", "values": _days(phases)},
        [{"name": view.t("column.chips"), "values": [float(p.chips.value) for p in phases]}],
        {"label": view.t("column.chips"), "unit": ""},
    )


def _power(view: View, phases: list[Phase]) -> Chart:
    present = [n for n in ("facility_power", "supply", "lawful_supply") if _of(phases[-1], n)]
    values = {n: [_watts(p, n) for p in phases] for n in present}
    if values.get("lawful_supply") == values.get("supply"):
        values.pop("lawful_supply", None)
    top = max((v for row in values.values() for v in row if v), default=0.0)
    scale = scale_of(top, "W")
    series = [
        {
            "name": view.t(f"column.{n}"),
            "values": [None if v is None else v / scale.factor for v in row],
        }
        for n, row in values.items()
    ]
    return chart(
        "power",
        view.t("chart.power"),
        "step",
        {"label": view.t("axis.day"), "unit": "date", "values": _days(phases)},
        series,
        {"label": view.t("axis.power"), "unit": scale.unit},
    )


def _watts(phase: Any, name: str) -> float | None:
    figure = _of(phase, name)
    return None if figure is None else float(figure.value)
