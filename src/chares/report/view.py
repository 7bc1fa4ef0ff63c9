"""What every part of the outline needs: figures, their intervals, one language."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from chares.ledger import Estimate, Figure, NotAsked, children
from chares.report.messages import Messages
from chares.report.numerals import as_written, rounded, shown

# pure numbers that people read as per cent
_SHARE = re.compile(
    r"(^|[._ ])(mfu|hfu|goodput|share|utilisation|break_even|interest|utilization)([._ ]|$)"
)
_CHIP_TIME = re.compile(r"chip_(time|hours)$")
_INDEX = re.compile(r"\[\d+\]")
_FACT = re.compile(
    r"(?P<subject>[^.:@]+)\.(?P<quantity>[a-z0-9_]+)(@(?P<day>\d{4}-\d\d-\d\d))?(#\d+)?"
)
# ids that end in a word of some family of the catalogue
_FAMILIES = (
    (re.compile(r"(?:case:train\.strategy\.|search:)(\w+)"), "strategy"),
    (re.compile(r"site\.phase(\d+)\.(\w+)"), "phase"),
    (re.compile(r"train\.time\.(\w+)"), "breakdown"),
    (re.compile(r"train\.memory\.(\w+)"), "memory"),
)
_CALL = re.compile(r"(?P<name>[^()]+)\((?P<arguments>[^()]*)\)")

_SI = ("s", "W", "J", "B", "B/s", "FLOP/s", "USD/s", "1/s")  # read better in larger units

Table = dict[str, Any]
Chart = dict[str, Any]
Section = dict[str, Any]


class View:
    """Turns figures into what is shown, in one language."""

    def __init__(self, plan: Any, lang: str, estimates: Mapping[str, Estimate]) -> None:
        self.plan = plan
        self.lang = lang
        self.t = Messages(lang)
        self.estimates = estimates
        self.figures: Mapping[str, Figure] = plan.figures
        self.used: set[str] = set()  # figures that some table already shows

    def stage(self, name: str) -> Any:
        """A stage's result, or None where the case did not ask."""
        result = getattr(self.plan, name, None)
        return None if isinstance(result, NotAsked) else result

    def ends(self, figure: Figure) -> tuple[float | None, float | None]:
        """The interval of a figure: its own, or the one that its leaves give it."""
        if figure.low is not None and figure.high is not None:
            return float(figure.low), float(figure.high)
        found = self.estimates.get(figure.id) if figure.id else None
        if found is None or not found.low < found.high or not math.isfinite(found.high):
            return None, None
        return float(found.low), float(found.high)

    def show(self, figure: Figure | None, interval: bool = True, unit: str = "") -> str:
        """The figure as text, without its interval if so wished, but rounded by it."""
        if figure is None:
            return self.t("number.none")
        low, high = self.ends(figure)
        unit = unit or self.unit(figure)
        if interval or low is None or high is None:
            return shown(figure.value, unit, low, high, self.lang)
        return rounded(figure.value, unit, low, high, self.lang)

    def get(self, id: str, interval: bool = True) -> str:
        """The figure with an id as text; empty where the plan has none."""
        figure = self.figures.get(id)
        return "" if figure is None else self.show(figure, interval)

    def unit(self, figure: Figure) -> str:
        """The unit to show it in: per cent for shares, chip-hours for chip time."""
        name = f"{figure.id or figure.key} {figure.label}".lower()
        if figure.unit == "1" and _SHARE.search(name):
            return "%"
        chip_time = figure.unit == "s" and _CHIP_TIME.search(figure.id or figure.key)
        return "chip*s" if chip_time else figure.unit

    def count(self, figure: Figure) -> str:
        """A count without its noun."""
        return shown(figure.value, "1", lang=self.lang)

    def cell(
        self, figure: Figure | None, interval: bool = False, unit: str = "", none: str = "none"
    ) -> dict[str, Any]:
        """A cell of a table: the number in SI and what is shown (in ``unit`` if one is given;
        ``none`` names the message for a figure that is not there)."""
        if figure is None:
            return {"value": None, "shown": self.t(f"number.{none}")}
        cell = {"value": plain(figure.value), "shown": self.show(figure, interval, unit)}
        if figure.id in self.figures:
            self.used.add(figure.id)
            cell["figure"] = figure.id
        return cell

    def label(self, figure: Figure) -> str:
        """What a figure is called, with a capital where its first word is a plain one."""
        text = self._label(figure)
        first = text.split(" ", 1)[0]
        plain_word = len(first) > 2 and first.isalpha() and first.islower()
        return text[:1].upper() + text[1:] if plain_word else text

    def _label(self, figure: Figure) -> str:
        id_ = figure.id or figure.key
        if call := _CALL.fullmatch(id_):
            arguments = [self._argument(a) for a in call["arguments"].split(",")]
            text = self.t.find(f"figure.{call['name']}()", "")
            return text.format(*arguments) if text else figure.label or id_
        for form, family in _FAMILIES:
            if match := form.fullmatch(id_):
                *places, name = match.groups()
                return self.t.find(f"{family}.{name}", figure.label or name).format(*places)
        if text := self.t.find(f"figure.{id_}", ""):
            return text
        parent, _, last = id_.rpartition(".")
        if text := self.t.find(f"figure.{parent}.*", ""):
            return text.format(last)
        return figure.label if figure.label and self.lang == "en" else self._translated(figure)

    def _translated(self, leaf: Figure) -> str:
        """The label of a leaf by its key, where the label that a stage gave is in English."""
        if leaf.key.startswith("case:"):
            path = _INDEX.sub("", leaf.key.removeprefix("case:"))
            about, colon, _ = leaf.label.rpartition(": ")
            text = self.t.find(f"case.{path}", "")
            return f"{about}{colon}{text}" if text else leaf.label
        match = _FACT.fullmatch(leaf.key)
        text = self.t.find(f"quantity.{match['quantity']}", "") if match else ""
        if not match or not text:
            return leaf.label or leaf.id or leaf.key
        day = f"（{match['day']}）" if match["day"] else ""
        return f"{match['subject']}: {text}{day}"

    def _argument(self, text: str) -> str:
        try:
            return shown(float(text), "1", lang=self.lang)
        except ValueError:
            return text.strip()

    def named(self, family: str, name: str) -> str:
        """A word of a family of the catalogue (``verdict``, ``kind``), or the word itself."""
        return self.t.find(f"{family}.{name}", name)

    def entry(self, figure: Figure) -> dict[str, Any]:
        """A figure in the outline, with its parts one level down."""
        low, high = self.ends(figure)
        parts = [self.part(n, f) for n, f in children(figure)][:24]
        return {
            "label": self.label(figure),
            "value": plain(figure.value),
            "low": low,
            "high": high,
            "unit": figure.unit,
            "kind": figure.kind,
            "shown": self.show(figure),
            "formula": figure.call.text if figure.call else "",
            "parts": parts,
        }

    def part(self, name: str, figure: Figure) -> dict[str, Any]:
        """One part of a figure: what it is called in the formula, and what it is."""
        return {
            "name": name,
            "label": self.label(figure),
            "id": figure.id or figure.key,
            "shown": self.leaf(figure),
            "kind": figure.kind,
            "source": figure.source,
        }

    def leaf(self, figure: Figure) -> str:
        """A leaf in the unit of its record, any other figure in human units."""
        if figure.call is None and self.unit(figure) == figure.unit and figure.unit not in _SI:
            return as_written(figure.value, figure.unit, figure.low, figure.high, self.lang)
        return self.show(figure)


def plain(value: Any) -> Any:
    """A value that JSON can hold: text, a finite number or None."""
    if value is None or isinstance(value, (str, bool)):
        return value
    if getattr(value, "ndim", 0):
        return [plain(v) for v in value.tolist()]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    if not math.isfinite(number):
        return None
    return int(number) if number == int(number) and abs(number) < 2**53 else number


def table(
    id: str,
    title: str,
    columns: Iterable[tuple[str, str]],
    rows: list[Any],
    fold: bool = False,
) -> Table:
    """A table of the outline; ``columns`` are (key, label). One that is folded is detail: a page
    opens it on demand, a terminal leaves it out."""
    listed = [{"key": k, "label": label, "unit": ""} for k, label in columns]
    return {"id": id, "title": title, "columns": listed, "rows": rows, "fold": fold}


def chart(
    id: str,
    title: str,
    kind: str,
    x: Mapping[str, Any],
    series: list[dict[str, Any]],
    y: Mapping[str, str],
) -> Chart:
    """A chart of the outline: ``kind`` is line, step, bar or stacked."""
    return {"id": id, "title": title, "kind": kind, "x": dict(x), "series": series, "y": dict(y)}
