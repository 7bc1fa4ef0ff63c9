"""Candidates as people read them: words for codes, days, cost, and where the time goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from chares.model import PRECISIONS, SCHEDULES, Strategy, parts_of, predict
from chares.search.blocks import Asked
from chares.search.space import recompute_name

if TYPE_CHECKING:
    from chares.search.reducing import Candidate

DAY = 86400.0
#: fields that name a strategy; the rest of `Strategy` is the same for a whole search
TOLD = (
    "tp", "pp", "vp", "cp", "ep", "etp", "dp", "micro_batch", "sp", "zero", "shard_group",
    "overlap_tp", "overlap_dp", "fused", "gradient_bytes", "offload_optimizer",
    "offload_activations", "offload_weights", "balance",
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
    slower_by: float = 0.0  # share of the first one's step time
    lacks: dict[str, float] = field(default_factory=dict)  # where it loses, same unit, worst first
    chips: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for JSON and tables."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


def ranked(asked: Asked, candidates: Sequence[Candidate]) -> list[Ranked]:
    """Every candidate predicted alone, with its breakdown and what it lacks against the first."""
    rows = [_ranked(asked, c) for c in candidates]
    return [replace(r, slower_by=_slower(r, rows[0]), lacks=_lacks(r, rows[0])) for r in rows]


def _slower(row: Ranked, first: Ranked) -> float:
    return row.step_time_s / first.step_time_s - 1.0


def _lacks(row: Ranked, first: Ranked) -> dict[str, float]:
    """The parts of a step on which a strategy loses at least a tenth of a per cent."""
    lost = {
        name: (seconds - first.time_s[name]) / first.step_time_s
        for name, seconds in row.time_s.items()
    }
    return {n: v for n, v in sorted(lost.items(), key=lambda kv: -kv[1]) if v >= 1e-3}


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
        chips=asked.n_chips,
    )


def words(strategy: Strategy) -> dict[str, Any]:
    """A strategy as plain data, with words for codes."""
    told: dict[str, Any] = {name: int(getattr(strategy, name)) for name in TOLD}
    told["schedule"] = SCHEDULES[int(strategy.schedule)]
    told["recompute"] = recompute_name(int(strategy.recompute), float(strategy.recompute_share))
    told["precision"] = PRECISIONS[int(strategy.precision)]
    return told
