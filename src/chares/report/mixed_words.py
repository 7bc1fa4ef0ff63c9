"""What ``chares compare-chips --mixed`` prints: the ways to use one fleet of several kinds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chares.report.messages import Messages
from chares.report.numerals import shown
from chares.report.ranking_words import ALWAYS, SPLIT
from chares.report.sheets import sheet
from chares.report.sizing_words import sized_columns, sized_row

if TYPE_CHECKING:
    from chares.search import Mixed, Question, Ranked, Way

DAY = 86400.0
COLUMNS = (
    "way", "chip", "chips", "global_batch", "layers", "split", "step_time_s", "mfu", "memory",
)  # fmt: skip
SHORT = {"micro_batch": "mb", "shard_group": "shard", "schedule": ""}


def mixed_outline(question: Question, fleet: str, found: Mixed, lang: str = "en") -> dict[str, Any]:
    """Each kind alone, data-parallel groups and pipeline stages side by side: which is fastest, by
    how much, on what the others lose; one row for each kind of chip in use."""
    t = Messages(lang)
    lines = [_best(found, t), *(_other(w, found, t) for w in found.ways if w is not found.best)]
    if found.added_s:
        time = shown(found.added_s, "s", lang=lang)
        share = shown(found.added_s / found.step_time_s, "%", lang=lang)
        lines.append(t("mixed.added", time=time, share=share))
    rows = [row for way in found.ways for row in _rows(way, t)]
    name = t("size.on", model=question.model, chip=fleet)
    columns = sized_columns(COLUMNS, lang)
    return sheet(name, lines, columns, rows, question.assumed, lang=lang, as_of=question.on)


def _name(way: Way, t: Messages) -> str:
    """``h100-sxm alone``, ``data-parallel groups`` or ``pipeline stages``."""
    return t(f"mixed.{way.way}", chip=way.chip) if way.chip else t(f"mixed.{way.way}")


def _best(found: Mixed, t: Messages) -> str:
    best = found.best
    run = t("ranking.run", time=shown(best.days * DAY, "s", lang=t.lang)) if best.days else ""
    bill = t("size.cost", cost=shown(best.cost_usd, "USD", lang=t.lang)) if best.cost_usd else ""
    return t(
        "mixed.best", way=_name(best, t), time=shown(found.step_time_s, "s", lang=t.lang),
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


def _rows(way: Way, t: Messages) -> Iterator[dict[str, Any]]:
    """One row for each kind in use, or the reason why none is."""
    name = t(f"mixed.table.{way.way}")
    if not way.parts:
        why = t.find(f"mixed.{way.why_not}", way.why_not)
        yield {"way": name, "chip": way.chip or None, "split": why}
    for part in way.parts:
        own = {
            "way": name, "chip": part.chip, "chips": part.chips, "layers": part.layers,
            "global_batch": part.global_batch,
        }  # fmt: skip
        yield own | sized_row(part.best, t.lang) | {"split": _split(part.best)}


def _split(row: Ranked) -> str:
    """The strategy in short: degrees, and what differs from nothing."""
    told = []
    for name in SPLIT:
        value = row.strategy[name]
        if name in ALWAYS or (name != "gradient_bytes" and value not in (0, 1, "none", "1f1b")):
            told.append(f"{SHORT.get(name, name)} {value}".strip())
    return ", ".join(told)
