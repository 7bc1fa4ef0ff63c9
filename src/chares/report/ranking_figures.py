"""Charts of a search as plain data: the front, where time and memory go, a heat map."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chares.report.messages import Messages
from chares.report.ranking_words import split_text
from chares.report.view import chart

if TYPE_CHECKING:
    from chares.search import Answer, Ranked

TENANTS = ("weights", "gradients", "optimizer", "activations", "logits", "buffers")


def charts_of(answer: Answer, t: Messages) -> list[dict[str, Any]]:
    """Front, time and memory of the best strategies, and a heat map where one was asked for."""
    best, front = answer.best, answer.pareto
    seconds, bytes_ = t("ranking.step_time"), t("ranked.peak_memory_bytes")
    labels = [f"{i}: {split_text(r)}" for i, r in enumerate(best, 1)]
    parts = [n for n in best[0].time_s if any(r.time_s[n] > 0 for r in best)]
    drawn = [
        chart(
            "front", t("ranking.front_chart"), "scatter",
            {"label": bytes_, "unit": "GB", "values": [r.peak_memory_bytes / 1e9 for r in front]},
            [{"name": seconds, "values": [r.step_time_s for r in front],
              "titles": [split_text(r) for r in front]}],
            {"label": seconds, "unit": "s"},
        ),
        chart(
            "time", t("ranking.time"), "stacked",
            {"label": "", "unit": "", "values": labels},
            [{"name": t.find(f"breakdown.{n}", n), "values": [r.time_s[n] for r in best]}
             for n in parts],
            {"label": seconds, "unit": "s"},
        ),
        chart(
            "memory", t("ranking.memory_chart"), "stacked",
            {"label": "", "unit": "", "values": labels},
            [{"name": t(f"memory.{n}"), "values": [r.memory_bytes[n] / 1e9 for r in best]}
             for n in TENANTS]
            + [{"name": t("memory.overhead"), "values": [_overhead(r) / 1e9 for r in best]}],
            {"label": bytes_, "unit": "GB"},
        ) | {"limit": answer.asked.memory_limit / 1e9},
    ]  # fmt: skip
    if answer.found.heat is not None:
        drawn.append(_heat(answer, t))
    return drawn


def _overhead(row: Ranked) -> float:
    """Bytes that the allocator holds beyond what it hands out, and the driver's."""
    return row.peak_memory_bytes - sum(row.memory_bytes[n] for n in TENANTS)


def _heat(answer: Answer, t: Messages) -> dict[str, Any]:
    """The fastest step by two dimensions, slower than the best by how much."""
    heat = answer.found.heat
    assert heat is not None
    best = heat.step_time_s.min()
    cells = [[float(v / best - 1.0) if math.isfinite(v) else None for v in row]
             for row in heat.step_time_s]  # fmt: skip
    return chart(
        "heat", t("ranking.heat", one=heat.names[0], two=heat.names[1]), "heat",
        {"label": heat.names[1], "unit": "", "values": heat.labels[1]},
        [{"name": str(label), "values": row}
         for label, row in zip(heat.labels[0], cells, strict=True)],
        {"label": heat.names[0], "unit": "%"},
    )  # fmt: skip
