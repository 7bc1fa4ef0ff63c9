"""Where a plan's numbers come from: sources used, weakest first, and what was assumed."""

from __future__ import annotations

from typing import Any

from chares.errors import CharesError
from chares.ledger import KINDS, Figure, leaves
from chares.report.view import View

THE_CASE = "the case"
_LABELS = 6  # labels listed per source


def used_sources(view: View) -> list[dict[str, Any]]:
    """Every source below the plan's figures: weakest kind first, then the most used."""
    found: dict[str, list[Figure]] = {}
    for leaf in leaves(view.figures.values()).values():
        if leaf.source and leaf.source != THE_CASE:
            found.setdefault(leaf.source, []).append(leaf)
    rows = [_row(view, id_, used) for id_, used in found.items()]
    return sorted(rows, key=lambda r: (-KINDS.index(r["kind"]), -r["uses"], r["id"]))


def _row(view: View, id: str, used: list[Figure]) -> dict[str, Any]:
    kinds = [f.kind for f in used]
    labels = list(dict.fromkeys(view.label(f) for f in used))
    row: dict[str, Any] = {"id": id, "kind": max(kinds, key=KINDS.index), "uses": len(used)}
    try:
        source = view.plan.facts.source(id)
    except (CharesError, AttributeError):
        row |= {"publisher": id, "title": "", "url": "", "published": ""}
    else:
        row |= {
            "publisher": source.publisher,
            "title": source.title,
            "url": source.url,
            "published": source.published.isoformat(),
        }
    return row | {"used_for": labels[:_LABELS], "kind_shown": view.named("kind", row["kind"])}


def assumptions(view: View) -> list[dict[str, Any]]:
    """Every assumed leaf below the plan's figures, those of the case first."""
    found = [f for f in leaves(view.figures.values()).values() if f.kind == "assumed"]
    found.sort(key=lambda f: (f.source != THE_CASE, f.key))
    return [
        {"key": f.key, "label": view.label(f), "shown": view.leaf(f), "why": _why(view, f)}
        for f in found
    ]


def _why(view: View, leaf: Figure) -> str:
    if leaf.source == THE_CASE:
        return view.t("assumed.case", where=leaf.where or leaf.key.removeprefix("case:"))
    return view.t.find(f"reason.{leaf.note}", leaf.note) or leaf.where or leaf.source
