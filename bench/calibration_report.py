"""The tables of docs/model.md, from a fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from chares.model.calibration import to_value
from chares.model.intervals import GRADES
from chares.model.validation import (
    constant_utilisation,
    grouped_error,
    rank_correlation,
    same_jobs,
)

if TYPE_CHECKING:
    from calibrate import Data
    from chares.model.calibration import Table
    from chares.model.intervals import Evidence

BEGIN, END = "<!-- calibration: begin -->", "<!-- calibration: end -->"
PERCENT = 100.0


def by_source(predicted: np.ndarray, data: Data, keep: np.ndarray) -> dict[str, float]:
    """E(source) over the kept rows."""
    error = np.abs(predicted / data.measured - 1.0)[keep]
    return grouped_error(error, data.source[keep].tolist(), data.group[keep].tolist())


def nulls(data: Data, keep: np.ndarray) -> dict[str, np.ndarray]:
    """Step times of the constants, on all rows; constants from the kept ones."""
    hardware, flops = data.runs.hardware, data.flops
    ideal = flops / (data.runs.strategy.n_chips * hardware.peak_16)
    cell = list(zip(data.source.tolist(), data.group.tolist(), strict=True))
    chip = [(r["accelerator"], r["precision"][:4]) for r in data.rows]
    own = [(s, *k) for s, k in zip(data.source.tolist(), chip, strict=True)]
    outside = np.full(len(ideal), np.nan)
    for s in np.unique(data.source):
        of = data.source == s
        outside[of] = constant_utilisation(chip, ideal, data.measured, cell, keep & ~of)[of]
    return {
        "chip and precision": constant_utilisation(chip, ideal, data.measured, cell, keep),
        "chip and precision, source left out": outside,
        "source, chip and precision": constant_utilisation(own, ideal, data.measured, cell, keep),
    }


def choice(data: Data, predicted: np.ndarray, keep: np.ndarray) -> str:
    """One line: rank correlation and regret over the sets of one job."""
    index = np.flatnonzero(keep)
    rho, regret, source = [], [], []
    for s in same_jobs([data.rows[i] for i in index]):
        p, m = predicted[index[s]], data.measured[index[s]]
        rho.append(rank_correlation(p, m))
        regret.append(float(np.mean(m[p == p.min()]) / m.min() - 1.0))
        source.append(data.source[index[s[0]]])
    known = [r for r in rho if np.isfinite(r)]
    worst = max(
        (float(np.median([r for r, t in zip(regret, source, strict=True) if t == s])), s)
        for s in set(source)
    )
    return (
        f"{len(rho)} sets of one job: median rank correlation {np.median(known):.2f} "
        f"({len(known)} sets where it exists), median regret {PERCENT * np.median(regret):.1f} %, "
        f"worst source {PERCENT * worst[0]:.1f} % ({worst[1]})."
    )


def report(
    data: Data, table: Table, found: Evidence, inside: np.ndarray, outside: np.ndarray,
    grade: np.ndarray,
) -> str:  # fmt: skip
    """All tables as Markdown."""
    keep = data.gold
    constants = nulls(data, keep)
    columns = {
        "in sample": inside, "source left out": outside,
        "constant, in sample": constants["chip and precision"],
        "constant, left out": constants["chip and precision, source left out"],
        "constant per source": constants["source, chip and precision"],
    }  # fmt: skip
    cells = {name: by_source(p, data, keep) for name, p in columns.items()}
    sources = sorted(cells["in sample"])
    lines = ["| source | rows | " + " | ".join(columns) + " |", "|---" * (len(columns) + 2) + "|"]
    for s in sources:
        rows = int(np.sum(keep & (data.source == s)))
        values = " | ".join(f"{PERCENT * c[s]:.1f}" for c in cells.values())
        lines.append(f"| {s} | {rows} | {values} |")
    for name, middle in (("median", np.median), ("mean", np.mean)):
        values = " | ".join(f"**{PERCENT * middle(list(c.values())):.1f}**" for c in cells.values())
        lines.append(f"| **{name} of sources** | {int(keep.sum())} | {values} |")
    moe = keep & (np.asarray(data.runs.shape.n_experts) > 0)
    error = np.abs(outside / data.measured - 1.0)
    low, high = (np.array([found.widths[GRADES[g]][k] for g in grade]) for k in (0, 1))
    log = np.log(data.measured / outside)
    covered = float(np.mean(((low <= log) & (log <= high))[keep]))
    lines += [
        "",
        f"Errors in percent of the measured step time. Rows with experts, source left out: "
        f"{PERCENT * np.median(error[moe]):.1f} % (median of {int(moe.sum())} rows). The 80 % "
        f"interval held {PERCENT * covered:.0f} % of the rows of sources left out.",
        "",
        "In sample: " + choice(data, inside, keep),
        "",
        "Source left out: " + choice(data, outside, keep),
        "",
        *parameter_table(table),
        "",
        *width_table(found, grade[keep]),
    ]
    return "\n".join(lines)


def parameter_table(table: Table) -> list[str]:
    """Base values and what the labels make of them."""
    lines = [
        "| parameter | base | with the effect of a vendor, generation or family |",
        "|---|---|---|",
    ]
    for name, base in table.base.items():
        effects = [
            f"{label} {float(to_value(name, np.float64(base + v))):.3g}"
            for level in table.effects.get(name, {}).values()
            for label, v in level.items()
            if abs(v) > 0.02
        ]
        value = float(to_value(name, np.float64(base)))
        lines.append(f"| `{name}` | {value:.3g} | {', '.join(effects)} |")
    return lines


def width_table(found: Evidence, grade: np.ndarray) -> list[str]:
    """The interval of each grade."""
    lines = ["| evidence | rows, source left out | low | high |", "|---|---|---|---|"]
    for g, name in enumerate(GRADES):
        low, high = (PERCENT * (np.exp(w) - 1.0) for w in found.widths[name])
        lines.append(f"| {name} | {int(np.sum(grade == g))} | {low:+.0f} % | {high:+.0f} % |")
    return lines


def write_between_markers(path: Path, text: str) -> None:
    """Replace what stands between the markers of a page."""
    page = path.read_text(encoding="utf-8")
    head, rest = page.split(BEGIN)
    _, tail = rest.split(END)
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}", encoding="utf-8")
