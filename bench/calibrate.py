"""Fit the training model to published runs: ``python bench/calibrate.py`` (see --help).

Writes the parameters (src/chares/data/calibration/training.yaml) and the tables of docs/model.md.
Fitted are step times only, never printed utilisation. The loss is robust in the logarithm of
predicted over measured, averaged by group and then by source; every effect of a generation or a
framework family is shrunk towards its parent. Leave-one-source-out is part of every run.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.optimize import least_squares

from calibration_design import LEAST_GROUPS, MOST_GROUPS, NOISE, Design, robust
from calibration_kernels import Kernels, load_kernels
from calibration_memory import fit_memory
from calibration_report import report, write_between_markers
from chares.facts import Facts, load, read_table
from chares.model import hardware_of, model_flops, predict
from chares.model.calibration import Table, to_value
from chares.model.intervals import GRADES, Evidence, coordinates, grades, labels
from chares.model.parameters import parameters
from chares.model.published import Runs, prepare, read_rows

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "src/chares/data/calibration/training.yaml"
DOCS = ROOT / "docs/model.md"
REFERENCE_PARTS = {
    "volta": "v100-sxm2-32gb", "ampere": "a100-sxm-80gb", "hopper": "h100-sxm",
    "blackwell": "gb200", "cdna3": "mi300x",
}  # fmt: skip
UNITS = dict.fromkeys(
    ("up_latency", "out_latency", "broadcast", "host", "moe_host", "expert_host", "step"), "s"
) | {"context_memory": "B"}  # fmt: skip


@dataclass
class Data:
    """Prepared runs with what was measured."""

    runs: Runs
    measured: np.ndarray  # s
    source: np.ndarray
    group: np.ndarray
    fitted: np.ndarray  # weight class: 1 gold, less for the rest, 0 never
    gold: np.ndarray
    rows: list[dict[str, str]]
    flops: np.ndarray  # model FLOPs of a step
    kernels: Kernels  # measured apart from any run

    def take(self, keep: np.ndarray) -> Data:
        r = self.runs
        runs = Runs(
            [r.ids[i] for i in keep], r.shape.rows(keep), r.strategy.rows(keep),
            r.hardware.rows(keep), [r.settings[i] for i in keep],
            [r.source[i] for i in keep],
            [r.inferred[i] for i in keep], [], r.index[keep],
        )  # fmt: skip
        return Data(
            runs, self.measured[keep], self.source[keep], self.group[keep], self.fitted[keep],
            self.gold[keep], [self.rows[i] for i in keep], self.flops[keep], self.kernels,
        )  # fmt: skip


SILVER = 0.25  # weight of a row that is consistent but not gold
ENOUGH = 3  # runs of one kind that count as measured
UNSEEN = 1.4  # the intervals of extrapolated cases are so much wider than those of known parts
STEP = 1e-3


def load_data(facts: Facts, rows: list[dict[str, str]]) -> Data:
    """All runs that can be predicted and have a step time."""
    runs = prepare(rows, facts)
    picked = [rows[i] for i in runs.index]
    measured = np.array([float(r.get("derived_step_time_s") or "nan") for r in picked])
    task = np.array([r.get("task", "pretrain") == "pretrain" for r in picked])
    gold = np.array([r.get("gold") == "1" for r in picked]) & task & np.isfinite(measured)
    tier = np.array([r.get("tier", "A") for r in picked])
    silver = (tier != "C") & task & np.isfinite(measured)
    failed = np.array([bool(r.get("failed_checks")) for r in picked])
    s = runs.strategy
    flops = np.asarray(model_flops(runs.shape, s.seq_len) * s.global_batch * s.seq_len)
    weight = np.where(gold, 1.0, np.where(silver & ~failed, SILVER, 0.0))
    return Data(
        runs, measured, np.array([r.get("source_key", "") for r in picked]),
        np.array([r.get("group", r["id"]) for r in picked]), weight, gold, picked, flops,
        load_kernels(facts),
    )  # fmt: skip


def weights(data: Data) -> np.ndarray:
    """Weight of each row's squared residual: groups share a source, rows share a group."""
    w = np.zeros(len(data.measured))
    for s in np.unique(data.source):
        of = data.source == s
        groups = np.unique(data.group[of])
        share = min(max(len(groups), LEAST_GROUPS), MOST_GROUPS) / len(groups)
        for g in groups:
            here = of & (data.group == g)
            total = data.fitted[here].sum()
            if total:
                w[here] = data.fitted[here] / total * share * min(1.0, data.fitted[here].max())
    return w


def predict_all(data: Data, design: Design, x: np.ndarray) -> np.ndarray:
    r = data.runs
    return np.asarray(predict(r.shape, r.strategy, r.hardware, design.calibration(x)).step_time_s)


def fit(
    data: Data,
    design: Design,
    start: np.ndarray | None = None,
    weight: np.ndarray | None = None,
    **kw,
) -> np.ndarray:
    """The standardised effects that minimise the robust loss plus the priors."""
    w = np.sqrt(weights(data) if weight is None else weight) / NOISE
    log_measured = np.log(data.measured)

    def residuals(x: np.ndarray) -> np.ndarray:
        unit = (np.log(predict_all(data, design, x)) - log_measured) / NOISE
        return np.concatenate([robust(unit) * w * NOISE, measured_alone(x), x])

    def measured_alone(x: np.ndarray) -> np.ndarray:
        return data.kernels.residuals(design.of_kernels(x), design.gain_of_kernels(x))

    def jacobian(x: np.ndarray) -> np.ndarray:
        at = residuals(x)
        return np.stack([(residuals(x + STEP * e) - at) / STEP for e in np.eye(len(x))], axis=1)

    x0 = np.zeros(len(design.names)) if start is None else start
    return least_squares(
        residuals, x0, jac=jacobian, max_nfev=kw.get("nfev", 30), ftol=1e-5, xtol=1e-4
    ).x


def evidence(data: Data, keep: np.ndarray, widths: dict[str, tuple[float, float]]) -> Evidence:
    """What these rows would let a prediction lean on."""
    part = data.take(np.flatnonzero(keep))
    names = labels(part.runs.settings, part.runs.shape, part.runs.strategy)
    near = [n for n in dict.fromkeys(names) if names.count(n) >= ENOUGH]
    seen = {x.generation for x in part.runs.settings} | {x.family for x in part.runs.settings}
    at = coordinates(part.runs.shape, part.runs.strategy, parameters(part.runs.shape).total)
    ranges = {k: (float(np.min(v)), float(np.max(v))) for k, v in at.items()}
    return Evidence(frozenset(near), frozenset(seen), ranges, widths)


def graded(data: Data, found: Evidence) -> np.ndarray:
    r = data.runs
    names = labels(r.settings, r.shape, r.strategy)
    at = coordinates(r.shape, r.strategy, parameters(r.shape).total)
    return grades(found, r.settings, names, at)[0]


def leave_one_out(data: Data, design: Design) -> tuple[np.ndarray, np.ndarray]:
    """Prediction of each source by a fit without it, and the grade it would have had."""
    every = weights(data)
    predicted, grade = np.full(len(every), np.nan), np.zeros(len(every), dtype=np.intp)
    for source in np.unique(data.source[data.fitted > 0]):
        out = data.source == source
        x = fit(data, design, weight=every * ~out)
        predicted[out] = predict_all(data, design, x)[out]
        grade[out] = graded(data, evidence(data, ~out & data.gold, {}))[out]
    return predicted, grade


def spreads(data: Data, predicted: np.ndarray, grade: np.ndarray) -> dict[str, tuple[float, float]]:
    """10 % and 90 % quantiles of log(measured / predicted) by grade, each source alike.

    A weaker grade is never narrower than a stronger one.
    """
    found: dict[str, tuple[float, float]] = {}
    widest = (0.0, 0.0)
    for g, name in enumerate(GRADES):
        of = np.flatnonzero(data.gold & (grade == g))
        if len(of):
            log = np.log(data.measured[of] / predicted[of])
            share = {s: np.sum(data.source[of] == s) for s in np.unique(data.source[of])}
            weight = np.array([1.0 / np.sqrt(share[s]) for s in data.source[of]])
            order = np.argsort(log)
            sums = (np.cumsum(weight[order]) - 0.5 * weight[order]) / weight.sum()
            low, high = np.interp([0.1, 0.9], sums, log[order])
            widest = (min(widest[0], float(low)), max(widest[1], float(high)))
        found[name] = widest
    low, high = found[GRADES[-1]]
    found[GRADES[-1]] = (UNSEEN * low, UNSEEN * high)
    return found


def rounded(value: float) -> float:
    return float(f"{value:.5g}")


def document(table: Table, found: Evidence) -> str:
    """The calibration record as YAML."""
    lines = [
        "# Written by bench/calibrate.py; do not edit by hand.",
        "id: training",
        "name: parameters of the training model",
        "reference_watts: " + flow({k: rounded(v) for k, v in table.watts.items()}),
        "parameters:",
    ]
    for name, base in table.base.items():
        entry: dict[str, object] = {"value": rounded(float(to_value(name, np.float64(base))))}
        entry |= {
            level: {k: round(v, 4) for k, v in effects.items()}
            for level, effects in table.effects.get(name, {}).items()
        }
        lines.append(f"  {name}: " + flow(entry))
    lines += [
        "evidence:",
        "  near:", *(f"    - {n}" for n in sorted(found.near)),
        "  seen: [" + ", ".join(sorted(found.seen)) + "]",
        "  ranges: " + flow({k: [rounded(x) for x in v] for k, v in found.ranges.items()}),
        "  widths: " + flow({k: [round(x, 4) for x in v] for k, v in found.widths.items()}),
        "facts:",
    ]  # fmt: skip
    for name, base in table.base.items():
        value = rounded(float(to_value(name, np.float64(base))))
        unit = UNITS.get(name, "1")
        lines.append(
            f"  {name}: {{value: {value:g}, unit: {unit}, kind: derived, "
            f"source: chares-training-fit, where: bench/calibrate.py}}"
        )
    return "\n".join(lines) + "\n"


def flow(value: object) -> str:
    """A value in YAML's flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(v) for v in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def reference_watts(facts: Facts) -> dict[str, float]:
    """W per FLOP/s of the part that stands for each generation."""
    chips = {g: hardware_of(facts, chip) for g, chip in REFERENCE_PARTS.items()}
    return {g: float(h.tdp / h.peak_16) for g, h in chips.items()}


def design_of(data: Data, watts: dict[str, float]) -> Design:
    """The parameters of the runs, then of the kernels."""
    settings = [*data.runs.settings, *data.kernels.settings]
    per_flop = [x.tdp / x.peak_16 for x in settings]
    ratio = [w / watts.get(x.generation, w) for w, x in zip(per_flop, settings, strict=True)]
    columns = {k: [getattr(x, k) for x in settings] for k in ("vendor", "generation", "family")}
    age = np.array([x.age for x in settings])
    return Design(columns, np.array(ratio), age, kernels=len(data.kernels.settings))


def main() -> None:
    """Fit, cross-validate, write the record and the tables."""
    facts = load()
    watts = reference_watts(facts)
    rows = read_rows(read_table("published/training.csv"))
    data = load_data(facts, rows)
    data = data.take(np.flatnonzero(data.fitted > 0))
    design = design_of(data, watts)
    x = fit(data, design)
    fitted = design.table(x, watts)
    memory, memory_line = fit_memory(rows, facts)
    table = Table(fitted.base | memory.base, fitted.effects | memory.effects, watts)
    inside = predict_all(data, design, x)
    outside, grade = leave_one_out(data, design)
    found = evidence(data, data.gold, spreads(data, outside, grade))
    RECORD.write_text(document(table, found), encoding="utf-8")
    tables = report(data, table, found, inside, outside, grade)
    kernels = data.kernels.line(design.of_kernels(x), design.gain_of_kernels(x))
    tables = f"{tables}\n\n{kernels}\n\n{memory_line}"
    write_between_markers(DOCS, tables)
    print(tables)


if __name__ == "__main__":
    main()
