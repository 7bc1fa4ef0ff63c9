"""How accurate the training model is: ``python bench/accuracy.py`` (``--quick``: no refits).

Prints each measure beside its aim: errors by source in sample and with the source left out of the
fit, both null models, ranking, coverage, share of rows predicted, memory, runs kept out of the fit,
a calibration by few runs of one's own, and the time of a cold prediction.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

import numpy as np

import calibrate as fitting
from calibration_report import by_source, nulls
from chares.facts import Facts, load, read_table
from chares.model import fit_own_runs, prediction_table, read_rows, validate
from chares.model.calibration import Table, to_value
from chares.model.comparison import source_regret
from chares.model.intervals import GRADES
from chares.model.predictions import CALIBRATION, predict_rows
from chares.model.validation import rank_correlation, same_jobs

PERCENT = 100.0
DOCS = fitting.ROOT / "docs/measuring.md"
BEGIN, END = "<!-- accuracy: begin -->", "<!-- accuracy: end -->"
OWN = (1, 3, 10)  # runs of one's own
DRAWS = 4
MOST_OWN = 120  # rows of a source on which they are tried


@dataclass
class Board:
    """Lines with a value, its aim and whether it is met."""

    missed: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Print a line and keep it."""
        print(line)
        self.lines.append(line)

    def show(self, name: str, value: float, aim: str = "", unit: str = " %") -> None:
        """Print one measure; ``aim`` is like ``<= 9`` or ``72 to 88``."""
        words = aim.split()
        low = float(words[0]) if "to" in words else float(words[1]) if ">=" in words else -np.inf
        high = float(words[2]) if "to" in words else float(words[1]) if "<=" in words else np.inf
        verdict = ("ok" if low <= value <= high else "MISSED") if aim else ""
        if verdict == "MISSED":
            self.missed.append(name)
        self.say(f"  {name:<66}{value:9.2f}{unit:<3} {aim:>9}  {verdict}".rstrip())


def main() -> None:
    """Everything that the measures of the training model ask for."""
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--quick", action="store_true", help="without leaving sources out")
    quick = options.parse_args().quick
    board, facts = Board(), load()
    rows = read_rows(read_table("published/training.csv"))
    data = fitting.load_data(facts, rows)
    data = data.take(np.flatnonzero(data.fitted > 0))
    inside = np.asarray(predict_rows(data.rows, facts).step.step_time_s)
    in_sample(board, data, inside)
    if not quick:
        left_out(board, data, facts)
        labels_out(board, data, facts)
    coverage_of_rows(board, rows, facts)
    memory(board, rows, facts)
    kept_out(board, facts)
    cold(board)
    print(f"\nmissed: {', '.join(board.missed) or 'nothing'}")
    if not quick:
        page = DOCS.read_text(encoding="utf-8")
        head, rest = page.split(BEGIN)
        text = "\n".join(["", "```text", *board.lines, "```", ""])
        DOCS.write_text(head + BEGIN + text + END + rest.split(END)[1], encoding="utf-8")


def in_sample(board: Board, data: fitting.Data, predicted: np.ndarray) -> None:
    """The published fit on what it was fitted to, beside the null models."""
    keep = data.gold
    columns = {"model": by_source(predicted, data, keep)}
    columns |= {name: by_source(p, data, keep) for name, p in nulls(data, keep).items()}
    board.say(f"step time, {int(keep.sum())} gold rows; error by source, percent")
    board.say("  source        rows  " + "  ".join(columns))
    for s in columns["model"]:
        cells = (f"{PERCENT * c[s]:{len(n)}.1f}" for n, c in columns.items())
        board.say(f"  {s:<12}{int(np.sum(keep & (data.source == s))):6}  " + "  ".join(cells))
    for name, found in columns.items():
        aims = ("<= 5", "<= 8") if name == "model" else ("", "")
        errors = PERCENT * np.array(list(found.values()))
        label = "model, in sample" if name == "model" else f"constant per {name}"
        board.show(f"{label}: median of sources", float(np.median(errors)), aims[0])
        board.show(f"{label}: mean of sources", float(np.mean(errors)), aims[1])
    ranking(board, data, predicted, "in sample", aims=True)


def ranking(
    board: Board, data: fitting.Data, predicted: np.ndarray, name: str, *, aims: bool = False
) -> None:
    """Whether the best way to run a job is found: sets of one job, three rows or more."""
    index = np.flatnonzero(data.gold)
    rows = [data.rows[i] for i in index]
    p, m = predicted[index], data.measured[index]
    sets = same_jobs(rows)
    rho = [rank_correlation(p[s], m[s]) for s in sets]
    worst = source_regret(rows, p, m)
    cost = [float(np.mean(m[s][p[s] == p[s].min()]) / m[s].min() - 1.0) for s in sets]
    label = f"{name}, {len(sets)} sets of one job"
    board.show(f"{label}: rank correlation", float(np.nanmedian(rho)), ">= 0.9" * aims, unit="")
    board.show(f"{label}: regret", PERCENT * float(np.median(cost)), "<= 2" * aims)
    board.show(f"{label}: worst source", PERCENT * max(worst.values()), "<= 8" * aims)


def left_out(board: Board, data: fitting.Data, facts: Facts) -> None:
    """Each source predicted by a fit without it."""
    board.say("each source left out of the fit (this takes some minutes)")
    design = fitting.design_of(data, fitting.reference_watts(facts))
    every, size = fitting.weights(data), len(data.measured)
    predicted, grade = np.full(size, np.nan), np.zeros(size, dtype=np.intp)
    own: dict[int, list[float]] = {k: [] for k in (0, *OWN)}
    for s in np.unique(data.source[data.gold]):
        out = data.source == s
        x = fitting.fit(data, design, weight=every * ~out)
        predicted[out] = fitting.predict_all(data, design, x)[out]
        near = fitting.evidence(data, ~out & data.gold, {})
        grade[out] = fitting.graded(data, near)[out]
        table = design.table(x, fitting.reference_watts(facts))
        of = [data.rows[i] for i in np.flatnonzero(out & data.gold)]
        for k, error in with_own_runs(of, facts, record(table, facts)).items():
            own[k].append(error)
        print(f"  {s}", file=sys.stderr)
    errors = by_source(predicted, data, data.gold)
    for s, error in errors.items():
        board.show(s, PERCENT * error)
    found = PERCENT * np.array(list(errors.values()))
    board.show("model, source left out: median of sources", float(np.median(found)), "<= 9")
    board.show("model, source left out: mean of sources", float(np.mean(found)), "<= 13")
    moe = data.gold & (np.asarray(data.runs.shape.n_experts) > 0)
    error = np.abs(predicted / data.measured - 1.0)
    board.show("rows with experts, source left out: median", PERCENT * median(error[moe]), "<= 12")
    covered = nested_coverage(data, predicted, grade)
    board.show("80 % interval, source left out of it too", PERCENT * covered, "72 to 88")
    ranking(board, data, predicted, "source left out")
    for k, values in own.items():
        name = f"source left out, then calibrated by {k} of its own runs"
        board.show(f"{name}: median", PERCENT * float(np.median(values)))
        board.show(f"{name}: mean", PERCENT * float(np.mean(values)))


def labels_out(board: Board, data: fitting.Data, facts: Facts) -> None:
    """Each generation of chips, and each family of frameworks, predicted by a fit without its runs:
    what a chip or a framework without runs may expect. Kernels stay in."""
    design = fitting.design_of(data, fitting.reference_watts(facts))
    every = fitting.weights(data)
    for level in ("generation", "family"):
        labels = np.array([getattr(s, level) for s in data.runs.settings])
        predicted = np.full(len(every), np.nan)
        for label in np.unique(labels[data.gold]):
            out = labels == label
            x = fitting.fit(data, design, weight=every * ~out)
            predicted[out] = fitting.predict_all(data, design, x)[out]
            print(f"  {label}", file=sys.stderr)
        found = PERCENT * np.array(list(by_source(predicted, data, data.gold).values()))
        board.show(f"{level} left out: median of sources", float(np.median(found)))
        board.show(f"{level} left out: mean of sources", float(np.mean(found)))


def nested_coverage(data: fitting.Data, predicted: np.ndarray, grade: np.ndarray) -> float:
    """Share of gold rows inside the interval whose width the row's source did not help to set."""
    inside = np.zeros(len(predicted), dtype=bool)
    log = np.log(data.measured / predicted)
    for s in np.unique(data.source[data.gold]):
        of = data.source == s
        widths = fitting.spreads(replace(data, gold=data.gold & ~of), predicted, grade)
        low, high = (np.array([widths[g][k] for g in GRADES])[grade] for k in (0, 1))
        inside |= of & (low <= log) & (log <= high)
    return float(np.mean(inside[data.gold]))


def record(table: Table, facts: Facts) -> dict[str, Any]:
    """The project's calibration record with another fit in it."""
    document = deepcopy(facts.document(CALIBRATION))
    for name, base in table.base.items():
        effects = {level: dict(v) for level, v in table.effects.get(name, {}).items()}
        value = float(to_value(name, np.float64(base)))
        document["parameters"][name] = {"value": value} | effects
    return document


def with_own_runs(
    rows: list[dict[str, str]], facts: Facts, document: dict[str, Any]
) -> dict[int, float]:
    """Median error of a source's runs when k of its others adjust a fit that never saw it."""
    rows = Random(1).sample(rows, min(len(rows), MOST_OWN))
    measured = np.array([float(r["derived_step_time_s"]) for r in rows])

    def errors(record: dict[str, Any]) -> np.ndarray:
        return np.abs(np.asarray(predict_rows(rows, facts, record).step.step_time_s) / measured - 1)

    found = {0: float(np.median(errors(document)))}
    for k in OWN:
        draws = []
        for seed in range(DRAWS):
            picked = Random(seed).sample(range(len(rows)), min(k, len(rows) // 2))
            own = fit_own_runs([rows[i] for i in picked], facts, document)
            draws.append(float(np.median(np.delete(errors(own.document), picked))))
        found[k] = float(np.mean(draws))
    return found


def coverage_of_rows(board: Board, rows: list[dict[str, str]], facts: Facts) -> None:
    """How many rows get an answer."""
    good = np.array([not t["error"] for t in prediction_table(rows, facts)])
    gold = np.array([r["gold"] == "1" for r in rows])
    board.say("rows predicted")
    board.show(f"gold rows ({int(gold.sum())})", PERCENT * float(good[gold].mean()), ">= 99")
    board.show(f"all rows ({len(rows)})", PERCENT * float(good.mean()), ">= 85")


def memory(board: Board, rows: list[dict[str, str]], facts: Facts) -> None:
    """Peak memory by convention."""
    board.say("peak memory")
    found = validate(rows, facts)["memory"]
    for name, s in found["by_convention"].items():
        error = PERCENT * s["median_abs_error"]
        board.show(f"{name} ({s['n']} rows): median error", error, "<= 5")
    board.show("runs that ran, called unfit", found["ran_but_called_unfit"], "<= 0", unit="")


def kept_out(board: Board, facts: Facts) -> None:
    """Single-node runs of vTrain, which no fit sees."""
    rows = read_rows(read_table("published/training-vtrain-single.csv"))
    measured = np.array([float(r["measured_step_time_s"]) for r in rows])
    error = np.abs(np.asarray(predict_rows(rows, facts).step.step_time_s) / measured - 1.0)
    board.say("runs kept out of the fit")
    board.show(
        f"vTrain on one node ({len(rows)} rows): median error", PERCENT * median(error), "<= 12"
    )


def cold(board: Board) -> None:
    """Wall time of the whole command, median of five."""
    table, times = read_table("published/training.csv"), []
    command = [sys.executable, "-m", "chares", "predict", str(table), "--out"]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(5):
            start = time.perf_counter()
            subprocess.run([*command, str(Path(folder) / "x.csv")], check=True, capture_output=True)
            times.append(time.perf_counter() - start)
    board.say("speed")
    board.show("`chares predict`, 1,625 rows, whole process", median(times), "<= 2", unit=" s")


if __name__ == "__main__":
    main()
