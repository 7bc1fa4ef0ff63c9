"""Law: one answer per question, with its paragraph, why, and what would change it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from chares.report.sections.common import columns_of, section
from chares.report.view import Section, View, table

_QUESTIONS = {
    "question.export": re.compile(r"export of (.+) to ([A-Z]{2})"),
    "question.report": re.compile(r"report under (.+)"),
}

if TYPE_CHECKING:
    from chares.permit import Verdict


def permit_section(view: View) -> Section | None:
    """The verdicts of the law on the days they were asked for; what had no rule comes last."""
    verdicts: dict[str, Verdict] | None = view.stage("verdicts")
    if not verdicts:
        return None
    columns = columns_of(view, "question", "on", "answer", "paragraph", "because", "flips")
    ordered = sorted(verdicts.items(), key=lambda item: item[1].verdict == "no-rule")
    rows = [_row(view, id_, v) for id_, v in ordered]
    found = table("verdicts", view.t("table.verdicts"), columns, rows)
    found["layout"] = "verdicts"
    return section(view, "permit", [found], [])


def _row(view: View, id: str, verdict: Verdict) -> dict[str, Any]:
    answer = view.named("law", verdict.verdict)
    if verdict.policy:
        answer += f" ({view.named('policy', verdict.policy)})"
    return {
        "id": id,
        "about": view.named("about", id.partition(".")[0]),
        "question": question(view, verdict),
        "on": verdict.on.isoformat(),
        "answer": {"value": verdict.verdict, "shown": answer},
        "paragraph": verdict.paragraph,
        "because": list(verdict.because),
        "flips": list(verdict.flips),
        "status": list(verdict.status),
    }


def question(view: View, verdict: Verdict) -> str:
    """What was asked, without its day, in the view's language where its form is known."""
    text = verdict.question.removesuffix(f" on {verdict.on.isoformat()}")
    for key, form in _QUESTIONS.items():
        if match := form.fullmatch(text):
            return view.t(key).format(*(view.named("place", g) for g in match.groups()))
    return text
