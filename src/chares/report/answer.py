"""The answer: a few lines that a minister could read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chares.report.claimed import claims
from chares.report.numerals import shown
from chares.report.sections import question
from chares.report.view import View

if TYPE_CHECKING:
    from chares.money import Bill
    from chares.permit import Verdict

_SCOPES = ("site-capital", "final-run-rented", "final-run-owned", "programme")
_GOOD = ("holds", "holds-within")


def answer(view: View) -> list[str]:
    """What is built, how long it takes, what it costs, what the law says of the chips, and whether
    what was said is true."""
    lines = [_site(view), _run(view), _reported(view), _money(view), _law(view), _claims(view)]
    return [line for line in lines if line]


def _site(view: View) -> str:
    chips, power = view.get("site.chips", interval=False), view.get("site.power")
    if not chips:
        return ""
    days = [f.value for k, f in view.figures.items() if k.endswith(".online")]
    if not power or not days:
        return view.t("answer.chips", chips=chips)
    return view.t("answer.site", chips=chips, power=power, day=shown(max(days), "date"))


def _run(view: View) -> str:
    time = view.get("run.training_time")
    if not time:
        return ""
    train = view.plan.case.train
    name = (train.name or train.model) if train else ""
    key = "answer.run" if name else "answer.run_unnamed"
    end = view.get("run.end", interval=False) or view.t("number.none")
    text = view.t(key, name=name, time=time, end=end)
    mtti, kept = view.get("run.mtti", interval=False), view.get("run.goodput", interval=False)
    if mtti and kept:
        text += view.t("answer.breaks", mtti=mtti, goodput=kept)
    return text + view.t("answer.stop")


def _reported(view: View) -> str:
    """How long the run took by its own account."""
    time = view.get("train.reported_time")
    return view.t("answer.reported", time=time) if time else ""


def _money(view: View) -> str:
    """The totals of the scopes that people mix up, side by side."""
    bill: Bill | None = view.stage("bill")
    if bill is None:
        return ""
    totals = {s.id: s.total for s in bill.scopes}
    if view.plan.case.site is None and bill.scope != "site-capital":
        totals.pop("site-capital", None)  # chips that merely stand somewhere
    parts = [
        view.t(f"answer.scope.{id_}", total=view.show(totals[id_]))
        for id_ in dict.fromkeys((bill.scope, *_SCOPES))
        if id_ in totals
    ]
    text = view.t("word.semicolon").join(parts)
    return text[:1].upper() + text[1:] + view.t("answer.stop") if parts else ""


def _law(view: View) -> str:
    """The answers about sending the chips abroad: the first thing that would stop a plan."""
    verdicts: dict[str, Verdict] = view.stage("verdicts") or {}
    found = [
        view.t(
            "answer.law",
            question=question(view, v),
            day=v.on.isoformat(),
            answer=view.named("law", v.verdict),
        )
        for id_, v in verdicts.items()
        if id_.startswith("export.")
    ]
    return view.t("word.semicolon").join(found) + view.t("answer.stop") if found else ""


def _claims(view: View) -> str:
    rows = claims(view)
    bad = [r for r in rows if r["verdict"] not in _GOOD]
    if not rows:
        return ""
    if not bad:
        one = len(rows) == 1
        return view.t("answer.one_holds") if one else view.t("answer.all_hold", count=len(rows))
    rest = [
        view.t(
            "answer.said" if r["computed_shown"] else "answer.said_only",
            says=r["says"],
            verdict=r["verdict_shown"],
            computed=r["computed_shown"],
        )
        for r in bad
    ]
    told = view.t("word.semicolon").join(rest)
    if len(rows) == 1:
        return view.t("answer.one_fails", rest=told)
    return view.t("answer.some_hold", count=len(rows), good=len(rows) - len(bad), rest=told)
