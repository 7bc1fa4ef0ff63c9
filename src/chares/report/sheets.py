"""A sheet of a few tables as an outline: what small commands print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

from chares import __version__
from chares.report.messages import Messages
from chares.report.numerals import shown
from chares.report.plain import SCHEMA_VERSION
from chares.report.ranking_words import assumed_lines
from chares.report.view import table

WORD = "word"  # unit of a column of single words, which are not broken


class Ranged(NamedTuple):
    """A number with its interval, in SI."""

    value: float
    low: float
    high: float


class Grid(NamedTuple):
    """A table of a sheet. ``columns`` are key, label and unit; values of ``rows`` are SI numbers,
    `Ranged` ones, texts or None."""

    title: str
    columns: Sequence[tuple[str, str, str]]
    rows: Iterable[Mapping[str, Any]]


def sheet(
    name: str, lines: Sequence[str], grids: Iterable[Grid], notes: Sequence[str] = (),
    evidence: Sequence[str] = (), *, lang: str = "en", as_of: date | None = None,
) -> dict[str, Any]:  # fmt: skip
    """An outline with the lines of an answer and its tables. ``notes`` are what a search assumed,
    ``evidence`` sentences on what lies outside the fitted runs."""
    t = Messages(lang)
    tables = [_table(grid, i, t) for i, grid in enumerate(grids)]
    tables = [found for found in tables if found["rows"]]
    section = {"id": "sheet", "title": t("size.table"), "notes": [], "tables": tables, "charts": []}
    return {
        "schema_version": SCHEMA_VERSION, "facts_hash": "", "chares_version": __version__,
        "name": name, "about": "", "as_of": (as_of or date.today()).isoformat(),
        "known_by": None, "lang": lang, "answer": list(lines),
        "sections": [section] if tables else [],
        "claims": [], "figures": {}, "sources": [], "assumed": [], "not_asked": [],
        "warnings": [*assumed_lines(notes, t), *evidence],
    }  # fmt: skip


def _table(grid: Grid, number: int, t: Messages) -> dict[str, Any]:
    cells = [{key: _cell(row.get(key), unit, t) for key, _, unit in grid.columns}
             for row in grid.rows]  # fmt: skip
    columns = [(key, label) for key, label, _ in grid.columns]
    return table(f"sheet.{number}" if number else "sheet", grid.title, columns, cells)


def _cell(value: Any, unit: str, t: Messages) -> Any:
    if isinstance(value, str):
        return {"value": value, "shown": value} if unit == WORD else value
    if value is None:
        return {"value": None, "shown": t("number.none")}
    if isinstance(value, Ranged):
        told = shown(value.value, unit, value.low, value.high, t.lang)
        return {"value": value.value, "shown": told}
    return {"value": value, "shown": shown(value, unit, lang=t.lang)}
