"""The answer: a few lines that a minister could read."""

from __future__ import annotations

from collections import Counter

from chares.report.shown import shown
from chares.report.view import View


def answer(view: View) -> list[str]:
    """What is built, how long it takes, what it costs, and whether what was said is true."""
    lines = [_site(view), _run(view), _money(view), _claims(view)]
    return [line for line in lines if line]


def _first(view: View, *ids: str) -> str:
    """The first of some figures that the plan has, as text."""
    return next((text for id_ in ids if (text := view.get(id_))), "")


def _site(view: View) -> str:
    chips, power = view.get("site.chips"), view.get("site.power")
    if not chips:
        return ""
    days = sorted(f.value for k, f in view.figures.items() if k.endswith(".online"))
    if not power or not days:
        return view.t("answer.chips", chips=chips)
    return view.t("answer.site", chips=chips, power=power, day=shown(days[-1], "date"))


def _run(view: View) -> str:
    time = view.get("run.training_time")
    if not time:
        return ""
    train = view.plan.case.train
    name = (train.name or train.model) if train else ""
    key = "answer.run" if name else "answer.run_unnamed"
    text = view.t(key, name=name, time=time, end=view.get("run.end", interval=False) or "-")
    if mtti := view.get("run.mtti"):
        text += view.t("answer.breaks", mtti=mtti, goodput=view.get("run.goodput") or "-")
    return text + view.t("answer.stop")


def _money(view: View) -> str:
    total = _first(view, "bill.total")
    return view.t("answer.money", total=total) if total else ""


def _claims(view: View) -> str:
    held = view.plan.held
    if not held:
        return ""
    counts = Counter(h.verdict for h in held)
    words = [
        view.t("answer.verdict", count=n, verdict=view.named("verdict", v))
        for v, n in counts.items()
    ]
    return view.t("answer.claims", count=len(held), verdicts=view.t("word.comma").join(words))
