"""How sure a prediction is: its evidence, and the interval meant to hold four times in five.

The widths come from predictions of sources that were left out of the fit
(``bench/calibrate.py``): the spread of log(measured / predicted) by grade of evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model.strategy import OPERAND_BITS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.ledger import Num
    from chares.model.calibration import Setting
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy

GRADES = ("measured nearby", "fitted", "extrapolated")  # strongest first
#: what is compared with the fitted runs; the last four are ranges on a logarithmic scale
RANGES = ("n_chips", "parameters_per_chip", "tokens_per_micro_batch", "seq_len")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the fit saw: combinations of labels, and the ranges of `RANGES`.

    ``widths[grade]`` are the 10 % and 90 % quantiles of log(measured / predicted).
    """

    near: frozenset[str]  # "generation family bits kind"
    seen: frozenset[str]  # generations and families
    ranges: Mapping[str, tuple[float, float]]
    widths: Mapping[str, tuple[float, float]]


def evidence_of(document: Mapping[str, Any]) -> Evidence:
    """The evidence that a calibration record carries."""
    found = document["evidence"]
    return Evidence(
        frozenset(map(str, found["near"])),
        frozenset(map(str, found["seen"])),
        {k: (float(v[0]), float(v[1])) for k, v in found["ranges"].items()},
        {k: (float(v[0]), float(v[1])) for k, v in found["widths"].items()},
    )


def labels(settings: Sequence[Setting], shape: Shape, s: Strategy) -> list[str]:
    """What a run is, in words: generation, family, bits of the GEMMs, dense or experts."""
    n = len(settings)
    bits = np.broadcast_to(OPERAND_BITS[np.asarray(s.precision, dtype=np.intp)], n)
    moe = np.broadcast_to(np.asarray(shape.n_experts) > 0, n)
    return [
        f"{x.generation} {x.family} {b:.0f} {'experts' if e else 'dense'}"
        for x, b, e in zip(settings, bits, moe, strict=True)
    ]


def coordinates(shape: Shape, s: Strategy, parameters: Num) -> dict[str, Num]:
    """The values of `RANGES`."""
    return {
        "n_chips": s.n_chips,
        "parameters_per_chip": parameters / s.n_chips,
        "tokens_per_micro_batch": s.micro_batch * s.seq_len / s.cp,
        "seq_len": s.seq_len,
    }


def grades(
    evidence: Evidence, settings: Sequence[Setting], names: Sequence[str], at: Mapping[str, Num]
) -> tuple[NDArray[np.intp], list[str]]:
    """The grade of each row (index in `GRADES`) and the warnings, joined by semicolons."""
    grade = np.array([0 if name in evidence.near else 1 for name in names], dtype=np.intp)
    warnings: list[list[str]] = [[] for _ in names]
    for i, x in enumerate(settings):
        for kind, label in (("chip generation", x.generation), ("framework family", x.family)):
            if label not in evidence.seen:
                grade[i] = 2
                warnings[i].append(f"no fitted run has the {kind} `{label}`")
    for name, values in at.items():
        low, high = evidence.ranges[name]
        outside = np.broadcast_to((values < low) | (values > high), len(names))
        for i in np.flatnonzero(outside).tolist():
            grade[i] = 2
            warnings[i].append(f"{name} is outside the fitted range {low:.4g} to {high:.4g}")
    return grade, ["; ".join(w) for w in warnings]


def interval(evidence: Evidence, grade: NDArray[np.intp], step_time: Num) -> tuple[Num, Num]:
    """Low and high step time of each row (80 %)."""
    low = np.array([evidence.widths[g][0] for g in GRADES])[grade]
    high = np.array([evidence.widths[g][1] for g in GRADES])[grade]
    return step_time * np.exp(low), step_time * np.exp(high)
