"""The answer of the search as an outline: best strategies, front, what the others lack, why not.

outline = ranking_outline(answer)        # plain dicts, as of a plan
print_ranking(answer)                    # on a terminal
page(ranking_outline(answer, sizes))     # one page with charts
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import IO, TYPE_CHECKING, Any

from chares import __version__
from chares.report.numerals import shown
from chares.report.plain import SCHEMA_VERSION
from chares.report.view import chart, table

if TYPE_CHECKING:
    from chares.search import Answer, Ranked, Size

#: column of a ranking -> its unit (the JSON says it in the name)
UNITS = {
    "step_time_s": "s", "mfu": "%", "tokens_per_s": "token/s", "peak_memory_bytes": "B",
    "days": "s", "cost_usd": "USD", "slower_by": "%", "chips": "1",
}  # fmt: skip
TITLES = {
    "step_time_s": "step", "mfu": "MFU", "tokens_per_s": "speed", "peak_memory_bytes": "memory",
    "days": "run", "cost_usd": "cost", "slower_by": "slower", "chips": "chips",
    "micro_batch": "mb", "shard_group": "shard",
    "gradient_bytes": "grad", "overlap_tp": "o.tp", "overlap_dp": "o.dp", "fused": "fus",
    "schedule": "sched", "recompute": "recomp",
}  # fmt: skip
SPLIT = (
    "tp", "pp", "vp", "cp", "ep", "etp", "dp", "micro_batch", "sp", "zero", "shard_group",
    "recompute", "schedule", "overlap_tp", "overlap_dp", "fused", "gradient_bytes",
    "offload_optimizer", "offload_activations", "offload_weights", "balance",
)  # fmt: skip
ALWAYS = ("tp", "pp", "dp", "micro_batch")
TENANTS = ("weights", "gradients", "optimizer", "activations", "logits", "buffers")
DAY = 86400.0


def ranking_outline(answer: Answer, sizes: Sequence[Size] = ()) -> dict[str, Any]:
    """The answer as an outline, with a section on scale where ``sizes`` are given."""
    sections = [_best(answer), _values(answer), _rejected(answer)]
    if sizes:
        sections.insert(1, _scale(sizes))
    asked = answer.asked
    return {
        "schema_version": SCHEMA_VERSION,
        "facts_hash": "",
        "chares_version": __version__,
        "name": f"{answer.model} on {asked.n_chips:,} {answer.chip}",
        "about": f"sequences of {asked.seq_len:,} tokens, {asked.global_batch:,} in a step, "
        f"{answer.question.precision}",
        "as_of": (answer.question.on or date.today()).isoformat(),
        "known_by": None,
        "lang": "en",
        "answer": _answer(answer),
        "sections": sections,
        "claims": [],
        "figures": {},
        "sources": [],
        "assumed": [],
        "not_asked": [],
        "warnings": [f"assumed {line}" for line in answer.question.assumed],
    }


def print_ranking(
    answer: Answer, sizes: Sequence[Size] = (), stream: IO[str] | None = None
) -> None:
    """Print the answer, with a bar of where each strategy's time goes."""
    from chares.report.ranking_text import print_bars
    from chares.report.terminal import print_outline

    print_outline(ranking_outline(answer, sizes), stream)
    print_bars(answer.best, stream)


def ranking_csv(answer: Answer) -> str:
    """The best strategies and the front as a table; units are in the column names."""
    return csv_text(
        [flat(r) | {"list": "best"} for r in answer.best]
        + [flat(r) | {"list": "pareto"} for r in answer.pareto]
    )


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV, with all columns that any of them has."""
    out = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def flat(row: Ranked) -> dict[str, Any]:
    """One strategy as one row of plain values."""
    plain = row.as_dict()
    return (
        {k: v for k, v in plain.items() if not isinstance(v, dict)}
        | {f"strategy_{k}": v for k, v in row.strategy.items()}
        | {f"time_{k}_s": v for k, v in row.time_s.items()}
        | {f"memory_{k}_bytes": v for k, v in row.memory_bytes.items()}
    )


def _answer(answer: Answer) -> list[str]:
    found = answer.found
    searched = (
        f"{shown(found.legal, '1')} legal of {shown(found.space.size, '1')} strategies searched "
        f"in {shown(found.seconds, 's')}, {shown(found.feasible, '1')} fit in memory."
    )
    if not answer.best:
        least = found.smallest
        why = next(iter(found.rejected), "nothing is legal")
        if least:
            why = (
                f"the smallest needs {shown(least.memory_bytes, 'B')} of "
                f"{shown(answer.asked.memory_limit, 'B')}"
            )
        return [f"Nothing fits: {why}.", searched]
    first = answer.best[0]
    run = f", the run {shown(first.days * DAY, 's')}" if first.days else ""
    bill = f" and {shown(first.cost_usd, 'USD')}" if first.cost_usd else ""
    return [
        f"Best: {split_text(first)}.",
        f"A step takes {shown(first.step_time_s, 's')} (MFU {shown(first.mfu, '%')}){run}{bill}; "
        f"{shown(first.peak_memory_bytes, 'B')} of {shown(answer.asked.memory_limit, 'B')} memory.",
        searched,
    ]


def split_text(row: Ranked) -> str:
    """A strategy in one line: what differs from nothing."""
    told = []
    for name in SPLIT:
        value = row.strategy[name]
        if name in ALWAYS or value not in (0, 1, "none"):
            told.append(f"{name} {value}")
    return ", ".join(told)


def _cell(value: float | None, unit: str) -> dict[str, Any]:
    if value is None or not math.isfinite(value):
        return {"value": None, "shown": "–"}
    return {"value": value, "shown": shown(value, unit)}


def _row(row: Ranked, columns: Iterable[str]) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name in columns:
        if name in row.strategy:
            value = row.strategy[name]
            text = isinstance(value, str)
            cells[name] = {"value": value, "shown": value} if text else _cell(value, "1")
        elif name == "lacks":
            cells[name] = lacks_text(row)
        elif name == "days":
            cells[name] = _cell(row.days * DAY if row.days is not None else None, "s")
        else:
            cells[name] = _cell(getattr(row, name), UNITS[name])
    return cells


def lacks_text(row: Ranked) -> str:
    """Where a strategy loses against the first: its three largest losses."""
    lost = list(row.lacks.items())[:3]
    return ", ".join(f"{name} +{share:.1%}" for name, share in lost)


def _named(columns: Iterable[str]) -> list[tuple[str, str]]:
    return [(c, TITLES.get(c, c)) for c in columns]


def varying(rows: Sequence[Ranked]) -> list[str]:
    """The settings on which rows differ, and the degrees that are always told."""
    return [n for n in SPLIT if n in ALWAYS or len({str(r.strategy[n]) for r in rows}) > 1]


def _best(answer: Answer) -> dict[str, Any]:
    best, front = answer.best, answer.pareto
    given = [n for n in ("days", "cost_usd") if best and getattr(best[0], n) is not None]
    numbers = ["step_time_s", "mfu", "peak_memory_bytes", *given]
    first = [*varying(best), *numbers]
    if len(first) > 11:  # cost follows the days, which stay
        first = [n for n in first if n != "cost_usd"]
    second = [*varying(front), *numbers, "slower_by"]
    tables = [
        table(
            "best", f"Fastest {len(best)}", [("rank", "#"), *_named(first)],
            [{"rank": str(i)} | _row(r, first) for i, r in enumerate(best, 1)],
        ),
        table(
            "lacks", "What the others lack, in per cent of the first one's step",
            [("rank", "#"), ("slower_by", "slower"), ("lacks", "loses on")],
            [{"rank": str(i)} | _row(r, ("slower_by", "lacks"))
             for i, r in enumerate(best, 1) if r.lacks],
        ),
        table(
            "pareto", "Pareto front: no other is both faster and smaller", _named(second),
            [_row(r, second) for r in front], fold=len(front) > 24,
        ),
    ]  # fmt: skip
    return {
        "id": "best",
        "title": "Strategies",
        "notes": [],
        "tables": [t for t in tables if t["rows"]],
        "charts": _charts(answer) if best else [],
    }


def _charts(answer: Answer) -> list[dict[str, Any]]:
    best, front = answer.best, answer.pareto
    labels = [f"{i}: {split_text(r)}" for i, r in enumerate(best, 1)]
    parts = [n for n in best[0].time_s if any(r.time_s[n] > 0 for r in best)]
    drawn = [
        chart(
            "front", "Pareto front: step time against memory", "scatter",
            {"label": "memory", "unit": "GB", "values": [r.peak_memory_bytes / 1e9 for r in front]},
            [{"name": "step time", "values": [r.step_time_s for r in front],
              "titles": [split_text(r) for r in front]}],
            {"label": "step time", "unit": "s"},
        ),
        chart(
            "time", "Where the time of a step goes", "stacked",
            {"label": "", "unit": "", "values": labels},
            [{"name": n, "values": [r.time_s[n] for r in best]} for n in parts],
            {"label": "step time", "unit": "s"},
        ),
        chart(
            "memory", "Memory of the fullest chip against its limit", "stacked",
            {"label": "", "unit": "", "values": labels},
            [{"name": n, "values": [r.memory_bytes[n] / 1e9 for r in best]} for n in TENANTS]
            + [{"name": "reserved, context", "values": [_overhead(r) / 1e9 for r in best]}],
            {"label": "memory", "unit": "GB"},
        ) | {"limit": answer.asked.memory_limit / 1e9},
    ]  # fmt: skip
    if answer.found.heat is not None:
        drawn.append(heat_chart(answer))
    return drawn


def _overhead(row: Ranked) -> float:
    """Bytes that the allocator holds beyond what it hands out, and the driver's."""
    return row.peak_memory_bytes - sum(row.memory_bytes[n] for n in TENANTS)


def heat_chart(answer: Answer) -> dict[str, Any]:
    """The fastest step by two dimensions, slower than the best by how much."""
    heat = answer.found.heat
    assert heat is not None
    best = heat.step_time_s.min()
    cells = [[float(v / best - 1.0) if math.isfinite(v) else None for v in row]
             for row in heat.step_time_s]  # fmt: skip
    return chart(
        "heat", f"Slower than the best, by {heat.names[0]} and {heat.names[1]}", "heat",
        {"label": heat.names[1], "unit": "", "values": heat.labels[1]},
        [{"name": str(label), "values": row}
         for label, row in zip(heat.labels[0], cells, strict=True)],
        {"label": heat.names[0], "unit": "%"},
    )  # fmt: skip


def _values(answer: Answer) -> dict[str, Any]:
    """What each dimension is worth: the best strategy for each of its values."""
    rows: list[Any] = []
    best = answer.found.best[0].step_time_s if answer.found.best else math.inf
    for name, values in answer.found.by_value.items():
        fitting = [v for v, t in values.items() if math.isfinite(t)]
        if len(values) > 1 and fitting:
            order = sorted(fitting, key=lambda v: values[v])
            told = [f"{v}" + (f" +{values[v] / best - 1:.1%}" if i else "")
                    for i, v in enumerate(order)]  # fmt: skip
            unfit = [str(v) for v in values if v not in fitting]
            rows.append(
                {"dimension": name, "values": ", ".join(told), "unfit": ", ".join(unfit) or "–"}
            )
    columns = [("dimension", "dimension"), ("values", "best strategy with each value, against the "
               "best of all"), ("unfit", "nothing legal fits")]  # fmt: skip
    return {
        "id": "values", "title": "What each choice costs", "notes": [], "charts": [],
        "tables": [table("values", "", columns, rows)] if rows else [],
    }  # fmt: skip


def _rejected(answer: Answer) -> dict[str, Any]:
    found = answer.found
    rows: list[Any] = [
        {"reason": reason, "count": _cell(n, "1"), "share": _cell(n / found.space.size, "%")}
        for reason, n in found.rejected.items()
    ]
    columns = [("reason", "reason"), ("count", "strategies"), ("share", "of the space")]
    values: list[Any] = [
        {"dimension": n, "values": ", ".join(map(str, v))}
        for n, v in found.space.dimensions.items()
    ]
    return {
        "id": "rejected",
        "title": "Why the rest is out",
        "notes": [
            f"The space: {' x '.join(str(len(r['values'].split(', '))) for r in values)} = "
            f"{found.space.size:,} strategies; dp follows."
        ],
        "tables": [
            table("rejected", "", columns, rows),
            table(
                "space",
                "Dimensions of the space",
                [("dimension", "dimension"), ("values", "values")],
                values,
            ),
        ],
        "charts": [],
    }


def _scale(sizes: Sequence[Size]) -> dict[str, Any]:
    columns = ["chips", "batch", "tp", "pp", "dp", "step_time_s", "mfu", "peak_memory_bytes",
               "days", "cost_usd"]  # fmt: skip
    rows = []
    for s in sizes:
        cells = _row(s.best, columns[2:]) if s.best else dict.fromkeys(columns[2:], "–")
        batch = f"{s.global_batch:,}" + (" (grown)" if s.grown else "")
        rows.append({"chips": _cell(s.chips, "1"), "batch": batch} | cells)
    counts = sorted({s.chips for s in sizes})
    lines = [
        {
            "name": name,
            "values": [
                next((s.best.mfu * 100 for s in sizes
                      if s.chips == n and s.grown == grown and s.best), None)
                for n in counts
            ],
        }
        for name, grown in (("batch as asked", False), ("batch grows with the fleet", True))
    ]  # fmt: skip
    drawn = chart(
        "scale", "MFU against scale", "log-line",
        {"label": "chips", "unit": "chips", "values": counts}, lines,
        {"label": "MFU", "unit": "%"},
    )  # fmt: skip
    from chares.search import front_of

    front = front_of(r for s in sizes for r in s.pareto)
    shown_columns = ["chips", *ALWAYS, "step_time_s", "peak_memory_bytes", "days", "cost_usd"]
    return {
        "id": "scale", "title": "Scale", "notes": [],
        "tables": [
            table("scale", "The best strategy by number of chips", _named(columns), rows),
            table("front", "Pareto front in time, memory, chips and cost", _named(shown_columns),
                  [_row(r, shown_columns) for r in front], fold=True),
        ],
        "charts": [drawn],
    }  # fmt: skip
