"""Law: one row per question, with its paragraph, why, and what would change the answer."""

from __future__ import annotations

from typing import Any

from chares.report.sections.common import rest_of_figures, section
from chares.report.view import Section, View, table


def permit_section(view: View) -> Section | None:
    """The verdicts of the law on the days they were asked for."""
    permit = view.stage("permit")
    if permit is None:
        return None
    verdicts = list(getattr(permit, "verdicts", permit) or ())
    columns = [
        (k, view.t(f"column.{k}"))
        for k in ("question", "on", "answer", "paragraph", "because", "flips")
    ]
    rows = [_row(view, v) for v in verdicts]
    tables = [
        table("verdicts", view.t("table.verdicts"), columns, rows),
        rest_of_figures(view, "permit"),
    ]
    return section(view, "permit", tables, []) if any(t["rows"] for t in tables) else None


def _row(view: View, verdict: Any) -> dict[str, Any]:
    answer = view.named("law", verdict.verdict)
    if verdict.policy:
        answer += f" ({view.named('policy', verdict.policy)})"
    return {
        "question": verdict.question,
        "on": verdict.on.isoformat(),
        "answer": {"value": verdict.verdict, "shown": answer},
        "paragraph": verdict.paragraph,
        "because": "; ".join(verdict.because),
        "flips": "; ".join(verdict.flips),
    }
