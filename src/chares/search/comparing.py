"""The same job on several chips side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chares.search.asking import space_for
from chares.search.exploring import explore
from chares.search.ranking import Ranked, ranked
from chares.search.scaling import lean
from chares.search.trusting import Trust, beside, trust

if TYPE_CHECKING:
    from chares.facts import Facts
    from chares.search.asking import Question

DAY = 86400.0


@dataclass(frozen=True)
class Side:
    """The best strategy on one chip. ``energy_j`` is at the power of the servers, with network and
    storage, before cooling."""

    chip: str
    chips: int
    best: Ranked | None
    legal: int
    feasible: int
    tpp: float | None
    energy_j: float | None
    why_not: str = ""
    trust: Trust | None = None  # in the time of the best

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        best, energy = self.best, self.energy_j
        ends = self.trust.around(energy) if self.trust and energy else (None, None)
        return {
            "chip": self.chip, "count": self.chips, "legal": self.legal,
            "feasible": self.feasible, "tpp": self.tpp, "energy_j": energy,
            "energy_low_j": ends[0], "energy_high_j": ends[1], "why_not": self.why_not,
            "best": best.as_dict() | beside(self.trust, best.days, best.cost_usd) if best else None,
        }  # fmt: skip


def side_by_side(questions: Iterable[Question], facts: Facts) -> list[Side]:
    """One side for each question; the fastest strategy of each by the same search."""
    return [_side(q, facts) for q in questions]


def _side(question: Question, facts: Facts) -> Side:
    asked, chip = question.asked, question.chip
    found = explore(asked, lean(space_for(asked)), keep=1)
    rows = ranked(asked, found.best)
    best = rows[0] if rows else None
    energy = None
    if best and best.days and facts.has(chip, "server_power"):
        watts = float(facts.get(chip, "server_power").value)
        watts *= float(facts.get("power-chain", "it_over_server").value)
        energy = watts * asked.n_chips * best.days * DAY
    tpp = float(facts.get(chip, "tpp").value) if facts.has(chip, "tpp") else None
    why = "" if best else next(iter(found.rejected), "nothing is legal")
    return Side(
        chip, asked.n_chips, best, found.legal, found.feasible, tpp, energy,
        "does not fit in memory" if found.legal and not best else why,
        trust(question, found.best[0].strategy, best.step_time_s) if best else None,
    )  # fmt: skip
