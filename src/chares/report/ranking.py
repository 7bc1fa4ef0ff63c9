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
from chares.report.messages import Messages
from chares.report.numerals import shown
from chares.report.plain import SCHEMA_VERSION
from chares.report.ranking_figures import charts_of
from chares.report.ranking_words import ALWAYS, SPLIT, assumed_lines, evidence_lines, split_text
from chares.report.view import chart, table

if TYPE_CHECKING:
    from chares.search import Answer, Ranked, Size, Trust

#: column of a ranking -> its unit (the JSON says it in the name)
UNITS = {
    "step_time_s": "s", "mfu": "%", "tokens_per_s": "token/s", "peak_memory_bytes": "B",
    "days": "s", "cost_usd": "USD", "slower_by": "%", "chips": "1",
}  # fmt: skip
DAY = 86400.0


def ranking_outline(answer: Answer, sizes: Sequence[Size] = (), lang: str = "en") -> dict[str, Any]:
    """The answer as an outline in one language, with a section on scale where ``sizes`` are
    given."""
    t = Messages(lang)
    sections = [_best(answer, t), _values(answer, t), _rejected(answer, t)]
    if sizes:
        sections.insert(1, _scale(sizes, t))
    asked = answer.asked
    return {
        "schema_version": SCHEMA_VERSION,
        "facts_hash": "",
        "chares_version": __version__,
        "name": t("ranking.name", model=answer.model, count=f"{asked.n_chips:,}", chip=answer.chip),
        "about": t(
            "ranking.about", length=f"{asked.seq_len:,}", batch=f"{asked.global_batch:,}",
            precision=answer.question.precision,
        ),
        "as_of": (answer.question.on or date.today()).isoformat(),
        "known_by": None,
        "lang": lang,
        "answer": _answer(answer, t),
        "sections": [s for s in sections if s["tables"] or s["charts"] or s["notes"]],
        "claims": [],
        "figures": {},
        "sources": [],
        "assumed": [],
        "not_asked": [],
        "warnings": [
            *assumed_lines(answer.question.assumed, t),
            *evidence_lines(answer.trust.warning if answer.trust else "", t),
        ],
    }  # fmt: skip


def print_ranking(
    answer: Answer, sizes: Sequence[Size] = (), stream: IO[str] | None = None, lang: str = "en"
) -> None:
    """Print the answer, with a bar of where each strategy's time goes."""
    from chares.report.ranking_text import print_bars
    from chares.report.terminal import print_outline

    print_outline(ranking_outline(answer, sizes, lang), stream)
    print_bars(answer.best, stream, lang)


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


def _answer(answer: Answer, t: Messages) -> list[str]:
    found = answer.found
    counts = {"legal": found.legal, "size": found.space.size, "fit": found.feasible}
    numbers = {n: shown(v, "1", lang=t.lang) for n, v in counts.items()}
    searched = t("ranking.searched", seconds=shown(found.seconds, "s", lang=t.lang), **numbers)
    limit = shown(answer.asked.memory_limit, "B", lang=t.lang)
    if not answer.best:
        least = found.smallest
        if least:
            needs = shown(least.memory_bytes, "B", lang=t.lang)
            return [t("ranking.unfit", needs=needs, limit=limit), searched]
        reason = next(iter(found.rejected), "nothing is legal")
        return [t("ranking.illegal", reason=t.find(f"rejected.{reason}", reason)), searched]
    first = answer.best[0]
    run = t("ranking.run", time=shown(first.days * DAY, "s", lang=t.lang)) if first.days else ""
    bill = first.cost_usd
    return [
        t("ranking.best", split=split_text(first)),
        t(
            "ranking.step", time=shown(first.step_time_s, "s", lang=t.lang),
            mfu=shown(first.mfu, "%", lang=t.lang), run=run, limit=limit,
            bill=t("ranking.bill", cost=shown(bill, "USD", lang=t.lang)) if bill else "",
            memory=shown(first.peak_memory_bytes, "B", lang=t.lang),
        ),
        *_trust(answer, t),
        searched,
    ]  # fmt: skip


def _trust(answer: Answer, t: Messages) -> list[str]:
    trust = answer.trust
    if trust is None:
        return []
    low, high = (shown(x, "s", lang=t.lang) for x in (trust.low_s, trust.high_s))
    grade = t.find(f"grade.{trust.grade}", trust.grade)
    return [t("ranking.trust", low=low, high=high, grade=grade)]


def _cell(value: float | None, unit: str, t: Messages) -> dict[str, Any]:
    if value is None or not math.isfinite(value):
        return {"value": None, "shown": t("number.none")}
    return {"value": value, "shown": shown(value, unit, lang=t.lang)}


def _row(row: Ranked, columns: Iterable[str], t: Messages) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    for name in columns:
        if name in row.strategy:
            value = row.strategy[name]
            text = isinstance(value, str)
            cells[name] = {"value": value, "shown": value} if text else _cell(value, "1", t)
        elif name == "lacks":
            cells[name] = lacks_text(row, t)
        elif name == "days":
            cells[name] = _cell(row.days * DAY if row.days is not None else None, "s", t)
        else:
            cells[name] = _cell(getattr(row, name), UNITS[name], t)
    return cells


def lacks_text(row: Ranked, t: Messages) -> str:
    """Where a strategy loses against the first: its three largest losses."""
    lost = list(row.lacks.items())[:3]
    told = (f"{t.find(f'breakdown.{name}', name)} +{share:.1%}" for name, share in lost)
    return t("word.comma").join(told)


def _named(columns: Iterable[str], t: Messages) -> list[tuple[str, str]]:
    return [(c, t.find(f"ranked.{c}", c)) for c in columns]


def varying(rows: Sequence[Ranked]) -> list[str]:
    """The settings on which rows differ, and the degrees that are always told."""
    return [n for n in SPLIT if n in ALWAYS or len({str(r.strategy[n]) for r in rows}) > 1]


def _best(answer: Answer, t: Messages) -> dict[str, Any]:
    best, front = answer.best, answer.pareto
    given = [n for n in ("days", "cost_usd") if best and getattr(best[0], n) is not None]
    numbers = ["step_time_s", "mfu", "peak_memory_bytes", *given]
    first = [*varying(best), *numbers]
    if len(first) > 11:  # cost follows the days, which stay
        first = [n for n in first if n != "cost_usd"]
    second = [*varying(front), *numbers, "slower_by"]
    tables = [
        table(
            "best", t("ranking.fastest", count=len(best)), [("rank", "#"), *_named(first, t)],
            [{"rank": str(i)} | _row(r, first, t) for i, r in enumerate(best, 1)],
        ),
        table(
            "lacks", t("ranking.lacks"),
            [("rank", "#"), *_named(("slower_by", "lacks"), t)],
            [{"rank": str(i)} | _row(r, ("slower_by", "lacks"), t)
             for i, r in enumerate(best, 1) if r.lacks],
        ),
        table(
            "pareto", t("ranking.pareto"), _named(second, t),
            [_row(r, second, t) for r in front], fold=len(front) > 24,
        ),
    ]  # fmt: skip
    return {
        "id": "best",
        "title": t("ranking.strategies"),
        "notes": [],
        "tables": [x for x in tables if x["rows"]],
        "charts": charts_of(answer, t) if best else [],
    }


def _values(answer: Answer, t: Messages) -> dict[str, Any]:
    """What each dimension is worth: the best strategy for each of its values."""
    rows: list[Any] = []
    best = answer.found.best[0].step_time_s if answer.found.best else math.inf
    for name, values in answer.found.by_value.items():
        fitting = [v for v, time in values.items() if math.isfinite(time)]
        if len(values) > 1 and fitting:
            order = sorted(fitting, key=lambda v: values[v])
            told = [f"{v}" + (f" +{values[v] / best - 1:.1%}" if i else "")
                    for i, v in enumerate(order)]  # fmt: skip
            unfit = [str(v) for v in values if v not in fitting]
            rows.append(
                {"dimension": name, "values": ", ".join(told), "unfit": ", ".join(unfit) or "–"}
            )
    columns = [
        (n, t(f"ranking.{k}"))
        for n, k in (("dimension", "dimension"), ("values", "by_value"), ("unfit", "none_fits"))
    ]
    return {
        "id": "values", "title": t("ranking.values"), "notes": [], "charts": [],
        "tables": [table("values", "", columns, rows)] if rows else [],
    }  # fmt: skip


def _rejected(answer: Answer, t: Messages) -> dict[str, Any]:
    found = answer.found
    rows: list[Any] = [
        {
            "reason": t.find(f"rejected.{reason}", reason),
            "count": _cell(n, "1", t),
            "share": _cell(n / found.space.size, "%", t),
        }
        for reason, n in found.rejected.items()
    ]
    columns = [(n, t(f"ranking.{n}")) for n in ("reason", "count", "share")]
    sides = " x ".join(str(len(v)) for v in found.space.dimensions.values())
    values: list[Any] = [
        {"dimension": n, "values": ", ".join(map(str, v))}
        for n, v in found.space.dimensions.items()
    ]
    return {
        "id": "rejected",
        "title": t("ranking.rejected"),
        "notes": [t("ranking.sides", sides=sides, size=f"{found.space.size:,}")],
        "tables": [
            table("rejected", "", columns, rows),
            table(
                "space",
                t("ranking.space"),
                [("dimension", t("ranking.dimension")), ("values", t("ranking.setting"))],
                values,
            ),
        ],
        "charts": [],
    }


def _doubt(trust: Trust | None, t: Messages) -> str:
    """How far a time may be off, in percent."""
    if trust is None:
        return t("number.none")
    low, high = (100.0 * end / trust.likely_s - 100.0 for end in (trust.low_s, trust.high_s))
    return t("ranking.doubt", low=f"{low:+.0f}", high=f"{high:+.0f}")


def _scale(sizes: Sequence[Size], t: Messages) -> dict[str, Any]:
    columns = ["chips", "batch", "tp", "pp", "dp", "step_time_s", "mfu", "peak_memory_bytes",
               "days", "cost_usd"]  # fmt: skip
    rows = []
    for s in sizes:
        cells = _row(s.best, columns[2:], t) if s.best else dict.fromkeys(columns[2:], "–")
        cells["doubt"] = _doubt(s.trust, t)
        batch = f"{s.global_batch:,}" + (t("ranking.grown") if s.grown else "")
        rows.append({"chips": _cell(s.chips, "1", t), "batch": batch} | cells)
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
        for name, grown in ((t("ranking.as_asked"), False), (t("ranking.grows"), True))
    ]  # fmt: skip
    drawn = chart(
        "scale", t("ranking.mfu_scale"), "log-line",
        {"label": t("ranked.chips"), "unit": "", "values": counts}, lines,
        {"label": t("ranked.mfu"), "unit": "%"},
    )  # fmt: skip
    from chares.search import front_of

    front = front_of(r for s in sizes for r in s.pareto)
    shown_columns = ["chips", *ALWAYS, "step_time_s", "peak_memory_bytes", "days", "cost_usd"]
    return {
        "id": "scale", "title": t("ranking.scale"), "notes": [],
        "tables": [
            table("scale", t("ranking.by_chips"), _named([*columns, "doubt"], t), rows),
            table("front", t("ranking.front"), _named(shown_columns, t),
                  [_row(r, shown_columns, t) for r in front], fold=True),
        ],
        "charts": [drawn],
    }  # fmt: skip
