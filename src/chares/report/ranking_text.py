"""Bars of where the time of each strategy goes, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, TYPE_CHECKING

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


def bars_text(rows: Sequence[Ranked]) -> str:
    """One bar for each strategy and a legend; parts that are nothing anywhere are left out."""
    if not rows:
        return ""
    largest = max(r.step_time_s for r in rows)
    names = [n for n in rows[0].time_s if any(r.time_s[n] > 0.002 * largest for r in rows)]
    marks = dict(zip(names, MARKS, strict=False))
    lines = ["", "Where the time of a step goes"]
    for i, row in enumerate(rows, 1):
        told = {n: row.time_s[n] for n in names}
        lines.append(f"{i:>3} {bar(told, marks, largest)} {row.step_time_s:.3g} s")
    legend = [
        f"{mark} {name} {rows[0].time_s[name] / rows[0].step_time_s:.1%}"
        for name, mark in marks.items()
    ]
    lines.append("    of the first: " + "  ".join(legend[:6]))
    for start in range(6, len(legend), 6):
        lines.append(" " * 18 + "  ".join(legend[start : start + 6]))
    return "\n".join(lines)


def print_bars(rows: Sequence[Ranked], stream: IO[str] | None = None) -> None:
    """Print the bars."""
    print(bars_text(rows), file=stream)
