"""How far a predicted time may be off: an interval, the grade of the evidence, and a warning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chares.model import GRADES

if TYPE_CHECKING:
    from chares.ledger import Figure
    from chares.model import Shape, Strategy
    from chares.search.asking import Question

    #: measured over predicted step time of a strategy, the grade of the evidence, and a warning
    Evidence = Callable[[Shape, Strategy], tuple[Figure, str, str]]


@dataclass(frozen=True)
class Trust:
    """How far the time of a step may be off: an interval meant to hold four times in five, the
    grade of the evidence, and what lies outside the fitted runs."""

    low_s: float
    likely_s: float
    high_s: float
    grade: str
    warning: str

    def around(self, value: float) -> tuple[float, float]:
        """Low and high of what grows with the time of a step: days, cost, energy."""
        return value * (self.low_s / self.likely_s), value * (self.high_s / self.likely_s)


def trust(question: Question, strategy: Strategy, step_time_s: float) -> Trust | None:
    """How far the time of a strategy may be believed; None for a question without evidence."""
    if question.evidence is None:
        return None
    error, grade, warning = question.evidence(question.asked.shape, strategy)
    assert error.low is not None
    assert error.high is not None
    return Trust(step_time_s * error.low, step_time_s, step_time_s * error.high, grade, warning)


def widest(parts: Sequence[Trust | None], step_time_s: float) -> Trust | None:
    """The trust in a step of several kinds of chip: the lowest low, the highest high and the
    weakest grade of them, with every warning once."""
    known = [p for p in parts if p]
    if not known or len(known) < len(parts):
        return None
    warnings = dict.fromkeys(w for p in known for w in p.warning.split("; ") if w)
    return Trust(
        min(p.around(step_time_s)[0] for p in known),
        step_time_s,
        max(p.around(step_time_s)[1] for p in known),
        max((p.grade for p in known), key=GRADES.index),
        "; ".join(warnings),
    )


def beside(trust: Trust | None, days: float | None, cost_usd: float | None) -> dict[str, Any]:
    """Plain data that stands beside a step time, its days and its cost; None for what is not
    known."""
    seconds = trust.likely_s if trust else None
    found: dict[str, Any] = {}
    for key, value in (("step_time{}_s", seconds), ("days{}", days), ("cost{}_usd", cost_usd)):
        ends = trust.around(value) if trust and value is not None else (None, None)
        found |= {key.format("_low"): ends[0], key.format("_high"): ends[1]}
    return found | {
        "grade": trust.grade if trust else None, "warning": trust.warning if trust else None,
    }  # fmt: skip
