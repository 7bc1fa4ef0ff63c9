"""What ``chares size`` and ``compare-chips`` print: one strategy a row, an answer in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chares.report.messages import Messages
from chares.report.numerals import shown
from chares.report.ranking_words import split_text
from chares.report.sheets import sheet

if TYPE_CHECKING:
    from chares.search import Question, Ranked, Side

DAY = 86400.0
Column = tuple[str, str, str]  # key, label, unit
UNITS = {
    "chips": "1", "global_batch": "1", "split": "", "step_time_s": "s", "mfu": "%", "memory": "B",
    "time": "s", "cost_usd": "USD", "chip": "", "way": "", "layers": "1", "tpp": "1", "energy": "J",
    "against": "1",
}  # fmt: skip
STRATEGY = ("split", "step_time_s", "mfu", "memory", "time", "cost_usd")


def sized_columns(names: Iterable[str], lang: str = "en") -> list[Column]:
    """Columns of a table of sizes or chips, in one language."""
    t = Messages(lang)
    return [(n, t(f"ranked.{n}"), UNITS[n]) for n in names]


def sized_row(best: Ranked | None, lang: str = "en") -> dict[str, Any]:
    """The cells of the best strategy; nothing but a word where none fits."""
    if best is None:
        return {"split": Messages(lang)("size.nothing_fits")}
    return {
        "split": split_text(best), "step_time_s": best.step_time_s, "mfu": best.mfu,
        "memory": best.peak_memory_bytes, "cost_usd": best.cost_usd,
        "time": best.days * DAY if best.days else None,
    }  # fmt: skip


def size_outline(question: Question, found: Any, lang: str = "en") -> dict[str, Any]:
    """The answer to a question asked backwards, and every size that was tried."""
    t = Messages(lang)
    rows = [
        {"chips": s.chips, "global_batch": s.global_batch} | sized_row(s.best, lang)
        for s in found.tried
    ]
    what = t.find(f"question.{found.what}", found.what)
    line = t("size.found", question=what, answer=_answered(found, t))
    columns = sized_columns(("chips", "global_batch", *STRATEGY), lang)
    name = t("size.on", model=question.model, chip=question.chip)
    return sheet(name, [line], columns, rows, question.assumed, lang=lang, as_of=question.on)


def _answered(found: Any, t: Messages) -> str:
    """What does it: the value asked for, the fleet, its time and cost."""
    if found.answer is None or found.answer.best is None:
        return t("size.none")
    best = found.answer.best
    cost = t("size.cost", cost=_told(best.cost_usd, "USD", t)) if best.cost_usd else ""
    return t(
        "size.answer",
        value=_value(found, t),
        chips=_told(found.answer.chips, "chip", t),
        time=_told((best.days or 0.0) * DAY, "s", t),
        cost=cost,
    )


def _value(found: Any, t: Messages) -> str:
    if not found.value:
        return ""
    if "batch" in found.what:
        return t("size.sequences", count=_told(found.value, "1", t))
    if "tokens" in found.what:
        return t("size.tokens", count=_told(found.value, "1", t))
    tokens = _told(found.tokens, "1", t)
    return t("size.model", parameters=_told(found.value, "1", t), tokens=tokens)


def _told(value: float | None, unit: str, t: Messages) -> str:
    return shown(value, unit, lang=t.lang) if value is not None else t("number.none")


def sides_outline(
    question: Question, sides: Sequence[Side], destination: str = "",
    exports: Mapping[str, str] | None = None, lang: str = "en",
) -> dict[str, Any]:  # fmt: skip
    """The same job on chips side by side; with a ``destination`` and the law's answer by chip
    (``exports``), which may ship there and what that costs in time."""
    t, exports = Messages(lang), exports or {}
    times = {s.chip: s.best.days or s.best.step_time_s for s in sides if s.best}
    fastest = min(times.values(), default=1.0)
    rows = [
        {"chip": s.chip, "tpp": s.tpp, "energy": s.energy_j}
        | sized_row(s.best, lang)
        | ({"against": times[s.chip] / fastest} if s.best else {})
        | {"export": t.find(f"law.{exports.get(s.chip)}", exports.get(s.chip, ""))}
        for s in sides
    ]
    names = ("chip", "tpp", "mfu", "memory", "time", "cost_usd", "energy", "against")
    columns = sized_columns(names, lang)
    lines = []
    if destination:
        columns.append(("export", t("ranked.export", to=destination), ""))
        free = [c for c in times if exports.get(c) in ("allowed", "notify")]
        lines.append(t("compare.none", to=destination))
        if free:
            chip = min(free, key=lambda c: times[c])
            slower = f"{times[chip] / fastest:.2f}"
            lines = [t("compare.best", to=destination, chip=chip, times=slower)]
    lines += [
        t("compare.unfit", chip=s.chip, why=t.find(f"rejected.{s.why_not}", s.why_not))
        for s in sides
        if not s.best
    ]
    name = t("size.each", model=question.model, count=f"{question.asked.n_chips:,}")
    return sheet(name, lines, columns, rows, question.assumed, lang=lang, as_of=question.on)
