"""Facts side by side: what the sources say about one quantity, and which record holds."""

from __future__ import annotations

from datetime import date
from typing import Any

from chares.errors import CharesError
from chares.report.numerals import as_written
from chares.report.view import plain


def fact_rows(found: list[Any], facts: Any, on: date | None = None) -> list[dict[str, Any]]:
    """Facts as plain rows; ``holds`` marks the record that a look-up on the day would take."""
    taken: dict[tuple[str, str], str] = {}
    rows = []
    for fact in found:
        about = (fact.subject, fact.quantity)
        if about not in taken:
            taken[about] = _taken(facts, *about, on)
        rows.append(_row(fact, fact.key == taken[about]))
    return rows


def _taken(facts: Any, subject: str, quantity: str, on: date | None) -> str:
    try:
        return str(facts.get(subject, quantity, on).key)
    except CharesError:
        return ""


def _row(fact: Any, holds: bool) -> dict[str, Any]:
    return {
        "key": fact.key,
        "subject": fact.subject,
        "quantity": fact.quantity,
        "value": plain(fact.value),
        "low": plain(fact.low),
        "high": plain(fact.high),
        "unit": fact.unit,
        "per": fact.per,
        "shown": as_written(fact.value, fact.unit, *_as_si(fact)),
        "kind": fact.kind,
        "valid_from": fact.valid_from.isoformat() if fact.valid_from else None,
        "holds": holds,
        "source": fact.source.id,
        "cite": fact.source.cite(),
        "url": fact.source.url,
        "where": fact.where,
        "opened": fact.opened,
        "note": fact.note,
    }


def _as_si(fact: Any) -> tuple[float | None, float | None]:
    return (fact.low, fact.high) if fact.low is not None and fact.high is not None else (None, None)


def fact_text(rows: list[dict[str, Any]]) -> str:
    """Rows of facts as text: one block per quantity, one line per record, then its source."""
    lines: list[str] = []
    last = ""
    for row in rows:
        title = f"{row['subject']}  {row['quantity']}"
        if title != last:
            lines += ["", title] if lines else [title]
            last = title
        since = f" from {row['valid_from']}" if row["valid_from"] else ""
        per = f" per {row['per']}" if row["per"] else ""
        mark = "*" if row["holds"] else " "
        lines.append(f"  {mark} {row['shown']}{per}{since}  · {row['kind']}")
        unopened = "" if row["opened"] else " (source not opened)"
        lines.append(f"      {', '.join(filter(None, (row['cite'], row['where'])))}{unopened}")
        if row["note"]:
            lines.append(f"      {row['note']}")
    held = any(row["holds"] for row in rows)
    return "\n".join([*lines, "", "* holds on the day asked"] if held else lines)
