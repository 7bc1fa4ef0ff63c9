"""What ``chares size`` and ``compare-chips`` print: one strategy a row, an answer in a sentence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chares.report.messages import Messages
from chares.report.numerals import shown
from chares.report.ranking_words import evidence_lines, split_text
from chares.report.sheets import WORD, Grid, Ranged, sheet

if TYPE_CHECKING:
    from chares.search import Question, Ranked, Side, Trust

DAY = 86400.0
Column = tuple[str, str, str]  # key, label, unit
UNITS = {
    "chips": "1", "global_batch": "1", "split": "", "step_time_s": "s", "mfu": "%", "memory": "B",
    "time": "s", "cost_usd": "USD", "chip": "", "way": "", "layers": "1", "tpp": "1", "energy": "J",
    "against": "1", "grade": WORD,
}  # fmt: skip
TIMES = ("step_time_s", "time", "cost_usd", "grade")


def sized_columns(names: Iterable[str], lang: str = "en") -> list[Column]:
    """Columns of a table of sizes or chips, in one language."""
    t = Messages(lang)
    return [(n, t(f"ranked.{n}"), UNITS[n]) for n in names]


def sized_row(best: Ranked | None, trust: Trust | None, lang: str = "en") -> dict[str, Any]:
    """The cells of the best strategy; nothing but a word where none fits."""
    if best is None:
        word = Messages(lang)("size.nothing_fits")
        return {"split": word, "grade": word}
    found = {"split": split_text(best), "mfu": best.mfu, "memory": best.peak_memory_bytes}
    return found | timed_row(best.step_time_s, best.days, best.cost_usd, trust, lang)


def timed_row(
    step_time_s: float, days: float | None, cost_usd: float | None, trust: Trust | None,
    lang: str = "en",
) -> dict[str, Any]:  # fmt: skip
    """Cells of a step, its run and its cost with their intervals, and the grade of the evidence."""
    time = days * DAY if days else None
    values = {"step_time_s": step_time_s, "time": time, "cost_usd": cost_usd}
    found = {key: ranged(value, trust) for key, value in values.items()}
    grade = trust.grade if trust else ""
    return found | {"grade": Messages(lang).find(f"grade.short.{grade}", grade)}


def ranged(value: float | None, trust: Trust | None) -> float | Ranged | None:
    """What grows with the time of a step, with the interval of that time where it has one."""
    return Ranged(value, *trust.around(value)) if value and trust else value


def told(value: float | None, unit: str, trust: Trust | None, lang: str = "en") -> str:
    """A value that grows with the time of a step as text, with its interval."""
    low, high = trust.around(value) if trust and value else (None, None)
    return shown(value, unit, low, high, lang)


def trust_lines(trust: Trust | None, lang: str = "en") -> list[str]:
    """The sentence on intervals and the evidence behind them."""
    t = Messages(lang)
    if trust is None:
        return []
    return [t("trust.one", grade=t.find(f"grade.{trust.grade}", trust.grade))]


def size_outline(question: Question, found: Any, lang: str = "en") -> dict[str, Any]:
    """The answer to a question asked backwards, and every size that was tried."""
    t = Messages(lang)
    rows = [
        {"chips": s.chips, "global_batch": s.global_batch} | sized_row(s.best, s.trust, lang)
        for s in found.tried
    ]
    fitting = [row for row, s in zip(rows, found.tried, strict=True) if s.best]
    others = ("chips", "global_batch", "split", "mfu", "memory")
    grids = [
        Grid(t("size.times"), sized_columns(("chips", *TIMES), lang), rows),
        Grid(t("size.strategies"), sized_columns(others, lang), fitting),
    ]
    what = t.find(f"question.{found.what}", found.what)
    trust = found.answer.trust if found.answer else None
    lines = [t("size.found", question=what, answer=_answered(found, t)), *trust_lines(trust, lang)]
    outside = evidence_lines(trust.warning if trust else "", t)
    name = t("size.on", model=question.model, chip=question.chip)
    return sheet(name, lines, grids, question.assumed, outside, lang=lang, as_of=question.on)


def _answered(found: Any, t: Messages) -> str:
    """What does it: the value asked for, the fleet, its time and cost."""
    if found.answer is None or found.answer.best is None:
        return t("size.none")
    best, trust = found.answer.best, found.answer.trust
    bill = told(best.cost_usd, "USD", trust, t.lang)
    return t(
        "size.answer",
        value=_value(found, t),
        chips=_told(found.answer.chips, "chip", t),
        time=told((best.days or 0.0) * DAY, "s", trust, t.lang),
        cost=t("size.cost", cost=bill) if best.cost_usd else "",
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
        {"chip": s.chip, "tpp": s.tpp, "energy": ranged(s.energy_j, s.trust)}
        | sized_row(s.best, s.trust, lang)
        | ({"against": times[s.chip] / fastest} if s.best else {})
        | {"export": t.find(f"law.{exports.get(s.chip)}", exports.get(s.chip, ""))}
        for s in sides
    ]
    time = "time" if question.asked.tokens else "step_time_s"
    columns = sized_columns(("chip", time, "cost_usd", "against", "grade"), lang)
    others = sized_columns(("chip", "tpp", "mfu", "memory", "energy"), lang)
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
    lines += [t("trust.each")] if any(s.trust for s in sides) else []
    grids = [Grid(t("size.times"), columns, rows), Grid(t("size.chips"), others, rows)]
    name = t("size.each", model=question.model, count=f"{question.asked.n_chips:,}")
    outside = _outside(sides, t)
    return sheet(name, lines, grids, question.assumed, outside, lang=lang, as_of=question.on)


def _outside(sides: Sequence[Side], t: Messages) -> list[str]:
    """What lies outside the fitted runs, each sentence once, with its chips unless it is of all."""
    chips: dict[str, list[str]] = {}
    trusted = [(s.chip, s.trust) for s in sides if s.trust]
    for chip, trust in trusted:
        for line in evidence_lines(trust.warning, t):
            chips.setdefault(line, []).append(chip)
    return [
        line if len(names) == len(trusted) else t("trust.of", chips=", ".join(names), line=line)
        for line, names in chips.items()
    ]
