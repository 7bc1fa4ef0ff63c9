"""What ``chares compare-chips --mixed`` prints: the ways to use one fleet of several kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chares.report.messages import Messages
from chares.report.numerals import shown
from chares.report.ranking_words import ALWAYS, SPLIT, evidence_lines
from chares.report.sheets import Grid, sheet
from chares.report.sizing_words import (
    TIMES,
    sized_columns,
    sized_row,
    timed_row,
    told,
    trust_lines,
)

if TYPE_CHECKING:
    from chares.search import Mixed, Question, Ranked, Way

DAY = 86400.0
COLUMNS = ("way", "chip", "global_batch", "layers", "split", "step_time_s", "mfu", "memory")
SHORT = {"micro_batch": "mb", "shard_group": "shard", "schedule": ""}


def mixed_outline(question: Question, fleet: str, found: Mixed, lang: str = "en") -> dict[str, Any]:
    """Each kind alone, data-parallel groups and pipeline stages side by side: which is fastest, by
    how much, on what the others lose; one row for each kind of chip in use."""
    t = Messages(lang)
    lines = [_best(found, t), *trust_lines(found.best.trust, lang)]
    lines += [_other(w, found, t) for w in found.ways if w is not found.best]
    if found.added_s:
        time = shown(found.added_s, "s", lang=lang)
        share = shown(found.added_s / found.step_time_s, "%", lang=lang)
        lines.append(t("mixed.added", time=time, share=share))
    rows = [row for way in found.ways for row in _rows(way, t)]
    times = [_time(w, t) for w in found.ways if w.step_time_s]
    grids = [
        Grid(t("size.times"), sized_columns(("way", *TIMES), lang), times),
        Grid(t("size.strategies"), sized_columns(COLUMNS, lang), rows),
    ]
    warnings = "; ".join(w.trust.warning for w in found.ways if w.trust)
    outside = list(dict.fromkeys(evidence_lines(warnings, t)))
    name = t("size.on", model=question.model, chip=fleet)
    return sheet(name, lines, grids, question.assumed, outside, lang=lang, as_of=question.on)


def _name(way: Way, t: Messages) -> str:
    """``h100-sxm alone``, ``data-parallel groups`` or ``pipeline stages``."""
    return t(f"mixed.{way.way}", chip=way.chip) if way.chip else t(f"mixed.{way.way}")


def _best(found: Mixed, t: Messages) -> str:
    best, lang = found.best, t.lang
    days = told(best.days * DAY, "s", best.trust, lang) if best.days else ""
    cost = told(best.cost_usd, "USD", best.trust, lang)
    run = t("ranking.run", time=days) if days else ""
    bill = t("size.cost", cost=cost) if best.cost_usd else ""
    return t(
        "mixed.best", way=_name(best, t), time=told(found.step_time_s, "s", best.trust, lang),
        mfu=shown(best.mfu or 0.0, "%", lang=t.lang), run=run + bill,
    )  # fmt: skip


def _other(way: Way, found: Mixed, t: Messages) -> str:
    """How much slower a way is and, where both kinds work, its three largest losses."""
    name = _name(way, t)
    name = name if way.chip else name[0].upper() + name[1:]
    if not way.step_time_s:
        return t("mixed.none", way=name, why=t.find(f"mixed.{way.why_not}", way.why_not))
    slower = shown(way.step_time_s / found.step_time_s - 1.0, "%", lang=t.lang)
    lost = list(way.loses(found.best).items())[:3] if not way.chip else []
    parts = ", ".join(
        f"{t.find(f'breakdown.{part}', part)} +{shown(share, '%', lang=t.lang)}"
        for part, share in lost
    )
    lost_on = t("mixed.lost", parts=parts) if parts else ""
    return t("mixed.slower", way=name, slower=slower, lost=lost_on)


def _time(way: Way, t: Messages) -> dict[str, Any]:
    """Step, run and cost of a way."""
    name = _name(way, t) if way.chip else t(f"mixed.table.{way.way}")
    seconds = way.step_time_s or 0.0
    return {"way": name} | timed_row(seconds, way.days, way.cost_usd, way.trust, t.lang)


def _rows(way: Way, t: Messages) -> Iterator[dict[str, Any]]:
    """One row for each kind in use, or the reason why none is."""
    name = t(f"mixed.table.{way.way}")
    if not way.parts:
        why = t.find(f"mixed.{way.why_not}", way.why_not)
        yield {"way": name, "chip": way.chip or None, "split": why}
    for part in way.parts:
        own = {
            "way": name, "chip": part.chip, "layers": part.layers,
            "global_batch": part.global_batch,
        }  # fmt: skip
        yield own | sized_row(part.best, part.trust, t.lang) | {"split": _split(part.best)}


def _split(row: Ranked) -> str:
    """The strategy in short: degrees, and what differs from nothing."""
    told = []
    for name in SPLIT:
        value = row.strategy[name]
        if name in ALWAYS or (name != "gradient_bytes" and value not in (0, 1, "none", "1f1b")):
            told.append(f"{SHORT.get(name, name)} {value}".strip())
    return ", ".join(told)
