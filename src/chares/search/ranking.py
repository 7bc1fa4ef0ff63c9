"""Candidates as people read them: words for codes, days, cost, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from chares.model import PRECISIONS, SCHEDULES, Strategy, parts_of, predict
from chares.search.blocks import Asked
from chares.search.space import recompute_name

if TYPE_CHECKING:
    from chares.search.exploring import Candidate

DAY = 86400.0
#: fields that name a strategy; the rest of `Strategy` is the same for a whole search
TOLD = (
    "tp", "pp", "vp", "cp", "ep", "etp", "dp", "micro_batch", "sp", "zero", "shard_group",
    "overlap_tp", "overlap_dp", "gradient_bytes", "offload_optimizer", "offload_activations",
)  # fmt: skip


@dataclass(frozen=True)
class Ranked:
    """One strategy in words, with what it gives. ``days`` and ``cost_usd`` are of the whole run
    without failures (None where no tokens, or no price, were given)."""

    strategy: dict[str, Any]
    step_time_s: float
    mfu: float
    tokens_per_s: float
    tflops_per_chip: float
    peak_memory_bytes: float
    days: float | None
    cost_usd: float | None
    time_s: dict[str, float]
    memory_bytes: dict[str, float]
    bottleneck: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and tables."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def ranked(asked: Asked, candidates: Sequence[Candidate]) -> list[Ranked]:
    """Every candidate predicted alone, with its breakdown."""
    return [_ranked(asked, c) for c in candidates]


def _ranked(asked: Asked, candidate: Candidate) -> Ranked:
    step = predict(asked.shape, candidate.strategy, asked.hardware, asked.calibration)
    seconds = float(step.step_time_s)
    time_s = {name: float(value) for name, value in parts_of(step).items()}
    memory = {
        f.name: float(getattr(step.memory, f.name))
        for f in fields(step.memory)
        if f.name not in ("fits", "stage")
    }
    return Ranked(
        words(candidate.strategy),
        seconds,
        float(step.mfu),
        float(step.tokens_per_s),
        float(step.tflops_per_chip),
        float(step.memory.device),
        seconds * asked.steps / DAY if asked.tokens else None,
        candidate.cost_usd if asked.tokens and asked.hourly_price else None,
        time_s,
        memory,
        max(time_s, key=lambda name: time_s[name]),
    )


def words(strategy: Strategy) -> dict[str, Any]:
    """A strategy as plain data, with words for codes."""
    told: dict[str, Any] = {name: int(getattr(strategy, name)) for name in TOLD}
    told["schedule"] = SCHEDULES[int(strategy.schedule)]
    told["recompute"] = recompute_name(int(strategy.recompute), float(strategy.recompute_share))
    told["precision"] = PRECISIONS[int(strategy.precision)]
    return told
