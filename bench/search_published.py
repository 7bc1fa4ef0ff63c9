"""Is the best that the search finds as good as the best that was published?

    python bench/search_published.py [POINTS.csv]

For each published job (same model, chip, count, batch, length, format and framework) the strategies
that were run and the one that the search finds are predicted by the same model. The search should
be at most 3 % slower; where it is not, what the published run did that the space lacks is said.
"""

from __future__ import annotations

import csv
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from chares.facts import load
from chares.model import RECOMPUTATIONS, SCHEDULES, Calibration, Hardware, Shape, Strategy
from chares.model.calibration import load_calibration
from chares.model.published import Runs, prepare
from chares.model.stepping import predict
from chares.search import Asked, Space, default_space, explore
from chares.search.asking import USABLE

POINTS = Path(__file__).parent.parent / "src/chares/data/published/training.csv"
TOLERANCE = 1.03


def row_of(kind: type[Any], table: Any, i: int) -> Any:
    """Row ``i`` of a record of arrays as a record of numbers."""
    return kind(
        **{f.name: float(np.asarray(getattr(table, f.name)).flat[i])
           if np.ndim(getattr(table, f.name)) else getattr(table, f.name)
           for f in fields(kind)}
    )  # fmt: skip


def lacking(s: Strategy, space: Space, batch: int) -> str:
    """What a published strategy does that the space lacks."""
    own = {"tp": s.tp, "pp": s.pp, "cp": s.cp, "ep": s.ep, "micro_batch": s.micro_batch, "vp": s.vp,
           "zero": s.zero, "schedule": s.schedule}  # fmt: skip
    missing = [f"{n} {int(v)}" for n, v in own.items() if int(v) not in getattr(space, n)]
    if int(s.schedule) not in space.schedule:
        missing.append(SCHEDULES[int(s.schedule)])
    code = int(s.recompute), float(s.recompute_share)
    if code not in space.recompute:
        missing.append(f"recompute {RECOMPUTATIONS[code[0]]} of {code[1]:.0%}")
    if batch % max(1, int(s.dp * s.micro_batch)):
        missing.append("a batch that its replicas do not divide")
    return ", ".join(missing) or "a layout that the rules refuse, or memory"


def jobs(runs: Runs, seconds: Any) -> dict[tuple[Any, ...], list[int]]:
    """Rows by job; rows of a job differ in how it was split."""
    found: dict[tuple[Any, ...], list[int]] = defaultdict(list)
    for i in range(len(runs.ids)):
        shape, hardware = row_of(Shape, runs.shape, i), row_of(Hardware, runs.hardware, i)
        s = row_of(Strategy, runs.strategy, i)
        key = (shape, hardware, runs.settings[i], s.n_chips, s.global_batch, s.seq_len, s.precision)
        if np.isfinite(seconds[i]):
            found[key].append(i)
    return found


def main(arguments: Sequence[str]) -> int:
    """Compare, print the shares and the reasons."""
    with Path(arguments[0] if arguments else POINTS).open(newline="", encoding="utf-8") as file:
        runs = prepare(list(csv.DictReader(file)), load())
    calibration = load_calibration(load()).rows(runs.settings)
    step = predict(runs.shape, runs.strategy, runs.hardware, calibration)
    ratios, reasons = [], Counter[str]()
    for (shape, hardware, _, chips, batch, length, _), rows in jobs(runs, step.step_time_s).items():
        best = min(rows, key=lambda i: float(step.step_time_s[i]))
        strategy = row_of(Strategy, runs.strategy, best)
        space = default_space(shape, hardware, int(chips), int(batch), int(length))
        limit = max(float(hardware.memory) * USABLE, float(step.memory.device[best]) * 1.001)
        asked = Asked(
            shape, hardware, row_of(Calibration, calibration, best), int(chips), int(batch),
            int(length), strategy, limit,
        )  # fmt: skip
        lean = replace(space, overlap_tp=(int(strategy.overlap_tp),), fused=(int(strategy.fused),),
                       overlap_dp=(int(strategy.overlap_dp),),
                       gradient_bytes=(int(strategy.gradient_bytes),))  # fmt: skip
        found = explore(asked, lean, keep=1)
        reason = lacking(strategy, lean, int(batch))
        if not found.best:
            reasons[f"nothing in the space: {reason}"] += 1
            continue
        ratio = found.best[0].step_time_s / float(step.step_time_s[best])
        ratios.append(ratio)
        if ratio > TOLERANCE:
            reasons[reason] += 1
    good = sum(r <= TOLERANCE for r in ratios)
    print(f"{len(ratios) + sum(v for k, v in reasons.items() if k.startswith('nothing'))} jobs; "
          f"the search is within 3 % of the best published, or faster, on {good} of {len(ratios)} "
          f"that it can search; median of search / published {median(ratios):.3f}")  # fmt: skip
    for reason, count in reasons.most_common(25):
        print(f"  {count:4d}  {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
