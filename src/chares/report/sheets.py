"""A sheet of one table as an outline: what small commands print."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from chares import __version__
from chares.report.messages import Messages
from chares.report.numerals import shown
from chares.report.plain import SCHEMA_VERSION
from chares.report.ranking_words import assumed_lines
from chares.report.view import table


def sheet(
    name: str, lines: Sequence[str], columns: Sequence[tuple[str, str, str]],
    rows: Iterable[Mapping[str, Any]], notes: Sequence[str] = (), *, lang: str = "en",
    as_of: date | None = None,
) -> dict[str, Any]:  # fmt: skip
    """An outline with the lines of an answer and one table. ``columns`` are key, label and unit;
    values are SI numbers, texts or None. ``notes`` are what a search assumed."""
    t = Messages(lang)
    cells = [{key: _cell(row.get(key), unit, t) for key, _, unit in columns} for row in rows]
    made = table("sheet", "", [(key, label) for key, label, _ in columns], cells)
    section = {"id": "sheet", "title": t("size.table"), "notes": [], "tables": [made], "charts": []}
    return {
        "schema_version": SCHEMA_VERSION, "facts_hash": "", "chares_version": __version__,
        "name": name, "about": "", "as_of": (as_of or date.today()).isoformat(),
        "known_by": None, "lang": lang, "answer": list(lines),
        "sections": [section] if cells else [],
        "claims": [], "figures": {}, "sources": [], "assumed": [], "not_asked": [],
        "warnings": assumed_lines(notes, t),
    }  # fmt: skip


def _cell(value: Any, unit: str, t: Messages) -> Any:
    if isinstance(value, str):
        return value
    if value is None:
        return {"value": None, "shown": t("number.none")}
    return {"value": value, "shown": shown(value, unit, lang=t.lang)}
