"""Bars of where the time of each strategy goes, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING

from chares.report.messages import Messages
from chares.report.numerals import shown

if TYPE_CHECKING:
    from chares.search import Ranked

MARKS = "█▓▒░▞▚▤▥▦▧▨▩◼◻◆"
WIDTH = 60


def bar(parts: Mapping[str, float], marks: Mapping[str, str], whole: float) -> str:
    """Parts as runs of marks whose lengths sum to their share of ``whole``."""
    text, reached = "", 0.0
    for name, value in parts.items():
        reached += value / whole * WIDTH
        text += marks.get(name, "·") * (round(reached) - len(text))
    return text


def bars_text(rows: Sequence[Ranked], lang: str = "en") -> str:
    """One bar for each strategy and a legend; parts that are nothing anywhere are left out."""
    from rich.cells import cell_len

    if not rows:
        return ""
    t = Messages(lang)
    largest = max(r.step_time_s for r in rows)
    names = [n for n in rows[0].time_s if any(r.time_s[n] > 0.002 * largest for r in rows)]
    marks = dict(zip(names, MARKS, strict=False))
    lines = ["", t("ranking.time")]
    for i, row in enumerate(rows, 1):
        told = {n: row.time_s[n] for n in names}
        lines.append(f"{i:>3} {bar(told, marks, largest)} {shown(row.step_time_s, 's', lang=lang)}")
    shares = {n: rows[0].time_s[n] / rows[0].step_time_s for n in marks}
    legend = [f"{m} {t.find(f'breakdown.{n}', n)} {shares[n]:.1%}" for n, m in marks.items()]
    lines.append(f"    {t('ranking.of_first')}:")
    for entry in legend:
        line = f"{lines[-1]}  {entry}"
        if cell_len(line) > WIDTH + 36 or lines[-1].endswith(":"):
            lines.append(f"    {entry}")
        else:
            lines[-1] = line
    return "\n".join(lines)


def print_bars(rows: Sequence[Ranked], stream: IO[str] | None = None, lang: str = "en") -> None:
    """Print the bars."""
    print(bars_text(rows, lang), file=stream)
