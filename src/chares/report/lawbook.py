"""An instrument of law as text: its state on a day, and its numbers with their places."""

from __future__ import annotations

from datetime import date
from typing import Any

from chares.report.listing import fact_rows, fact_text


def law_rows(facts: Any, on: date) -> list[dict[str, str]]:
    """Every instrument kept: id, name, citation, jurisdiction, and its status on a day."""
    rows = []
    for id_ in sorted(i for place in _places(facts) for i in facts.ids(place)):
        subject = facts.subject(id_)
        rows.append(
            {
                "id": id_,
                "jurisdiction": subject.tags.get("jurisdiction", ""),
                "name": subject.name,
                "citation": subject.tags.get("citation", ""),
                "status": status_on(facts.document(id_), on),
            }
        )
    return rows


def law_text(facts: Any, on: date, id: str = "") -> str:
    """One instrument with its numbers on a day; without an id the list of all."""
    rows = law_rows(facts, on)
    if not id:
        width = max(len(r["id"]) for r in rows)
        lines = [
            f"{r['id']:{width}}  {r['jurisdiction'] or '-':5}  {r['status']:14}  {r['name']}"
            for r in rows
        ]
        return "\n".join(lines)
    row = next(r for r in rows if r["id"] == id)
    document = facts.document(id)
    lines = [row["name"], f"{row['citation']}; on {on}: {row['status']}", ""]
    for event in document.get("history", ()):
        note = f"  ({event['note']})" if event.get("note") else ""
        lines.append(f"  {event['on']}  {event['status']}{note}")
    lines += ["", *(f"  {r['paragraph']}" for r in document.get("rules", ()))]
    records = [f for q in facts.quantities(id) for f in facts.all(id, q)]
    return "\n".join([*lines, "", fact_text(fact_rows(records, facts, on))])


def status_on(document: dict[str, Any], on: date) -> str:
    """The last step of an instrument's history by a day."""
    past = [e for e in document.get("history", ()) if date.fromisoformat(str(e["on"])) <= on]
    return str(past[-1]["status"]) if past else "not yet" if document.get("history") else "kept"


def _places(facts: Any) -> list[str]:
    return [c for c in facts.collections() if c.split("/")[0] == "law"]
