"""The same job on several chips side by side, and on a fleet of two kinds of chip."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from chares.errors import InputError
from chares.search.asking import space_for
from chares.search.exploring import explore
from chares.search.ranking import Ranked, ranked
from chares.search.scaling import lean

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

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "chip": self.chip, "count": self.chips, "legal": self.legal,
            "feasible": self.feasible, "tpp": self.tpp, "energy_j": self.energy_j,
            "why_not": self.why_not, "best": self.best.as_dict() if self.best else None,
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
    )  # fmt: skip


# fleets of two kinds ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One kind of chip of a mixed fleet, with its share of each batch."""

    chip: str
    chips: int
    global_batch: int
    best: Ranked


@dataclass(frozen=True)
class Mixed:
    """A fleet of several kinds: data-parallel groups with uneven shares of the batch.

    ``step_time_s`` is that of the slowest kind and the sum of gradients between kinds; ``alone``
    are the step times of each kind with the whole batch.
    """

    parts: tuple[Part, ...]
    step_time_s: float
    between_s: float
    days: float | None
    alone: dict[str, float | None]

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "parts": [
                {"chip": p.chip, "count": p.chips, "global_batch": p.global_batch,
                 "best": p.best.as_dict()}
                for p in self.parts
            ],
            "step_time_s": self.step_time_s, "between_s": self.between_s, "days": self.days,
            "alone_step_time_s": self.alone,
        }  # fmt: skip


def mixed(questions: Sequence[Question], shares: int = 64) -> Mixed:
    """The best division of a batch over two kinds of chip, each with a strategy of its own.

    Every division into ``shares`` parts that both kinds can take is searched. Gradients are summed
    inside each kind as in a search of its own, then once between the kinds over the slower
    scale-out links, not hidden. Raises `InputError` for other than two kinds or where no division
    fits.
    """
    if len(questions) != 2:
        raise InputError("not-two-kinds", "a mixed fleet has two kinds of chip here")
    one, two = questions
    batch = one.asked.global_batch
    unit = max(1, batch // shares)
    best: tuple[float, list[Part], float] | None = None
    for first in range(unit, batch, unit):
        parts = [_part(one, first), _part(two, batch - first)]
        if parts[0] is None or parts[1] is None:
            continue
        both = [p for p in parts if p is not None]
        between = max(_between(q, p.best) for q, p in zip(questions, both, strict=True))
        seconds = max(p.best.step_time_s for p in both) + between
        if best is None or seconds < best[0]:
            best = seconds, both, between
    if best is None:
        raise InputError(
            "no-division", f"no division of {batch} sequences suits both kinds",
            hint="give a batch with more divisors",
        )  # fmt: skip
    alone = {q.chip: (p.best.step_time_s if (p := _part(q, batch)) else None) for q in questions}
    steps = one.asked.steps
    days = best[0] * steps / DAY if one.asked.tokens else None
    return Mixed(tuple(best[1]), best[0], best[2], days, alone)


def _part(question: Question, batch: int) -> Part | None:
    asked = question.at(question.asked.n_chips, batch).asked
    found = explore(asked, replace(lean(space_for(asked)), recompute=((0, 1.0), (2, 1.0))), keep=1)
    rows = ranked(asked, found.best)
    return Part(question.chip, asked.n_chips, batch, rows[0]) if rows else None


def _between(question: Question, row: Ranked) -> float:
    """Seconds in which one chip's own slice of the gradients is exchanged with the other kind."""
    ranks = row.strategy["dp"] * row.strategy["cp"]
    size = row.memory_bytes["gradients"] / (ranks if row.strategy["zero"] < 2 else 1)
    links = question.asked.hardware.scale_out_bandwidth * question.asked.calibration.out
    return float(2.0 * size / links)
