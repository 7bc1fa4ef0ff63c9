"""One fleet of several kinds of chip: each kind alone, data-parallel groups, pipeline stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from math import isfinite
from typing import TYPE_CHECKING, Any

from chares.errors import InputError, NoPlan
from chares.model import Memory, Stretch, model_flops
from chares.search.mixed_groups import Kind, between, divide
from chares.search.mixed_stages import Chain, chained
from chares.search.ranking import Ranked, ranked, words
from chares.search.trusting import Trust, beside, trust, widest

if TYPE_CHECKING:
    from chares.search.asking import Question

DAY = 86400.0
ALONE, GROUPS, STAGES = "alone", "groups", "stages"
UNFIT = "nothing fits in memory"
TWO_ONLY = "searched over two kinds of chip only"
NO_GAIN = "the other kinds add nothing"


@dataclass(frozen=True)
class Part:
    """One kind of chip of a mixed fleet, its sequences of each batch, and its layers where kinds
    share the layers (None where each has them all)."""

    chip: str
    chips: int
    global_batch: int
    layers: int | None
    best: Ranked
    trust: Trust | None = None  # in the time of the best

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        best = self.best
        return {
            "chip": self.chip, "count": self.chips, "global_batch": self.global_batch,
            "layers": self.layers,
            "best": best.as_dict() | beside(self.trust, best.days, best.cost_usd),
        }  # fmt: skip


@dataclass(frozen=True)
class Way:
    """One way to use the fleet: ``alone`` (one kind, the others idle), ``groups`` (data-parallel
    groups) or ``stages`` (pipeline stages).

    ``between_s`` is the sum of gradients between kinds, part of the step and of ``dp`` in
    ``time_s``, which is the breakdown of the kind that ends last. ``trust`` is the widest of those
    of its parts. Without ``parts``, ``why_not`` says why.
    """

    way: str
    chip: str = ""  # the one kind, where it is alone
    parts: tuple[Part, ...] = ()
    step_time_s: float | None = None
    between_s: float = 0.0
    mfu: float | None = None  # of the peaks of the chips in use
    days: float | None = None
    cost_usd: float | None = None  # of the chips in use
    time_s: dict[str, float] = field(default_factory=dict)
    why_not: str = ""
    trust: Trust | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "trust"}
        plain |= beside(self.trust, self.days, self.cost_usd)
        return plain | {"parts": [p.as_dict() for p in self.parts]}

    def loses(self, other: Way) -> dict[str, float]:
        """Where this way loses against another, in shares of the other's step, worst first."""
        if not other.step_time_s:
            return {}
        lost = {
            name: (seconds - other.time_s.get(name, 0.0)) / other.step_time_s
            for name, seconds in self.time_s.items()
        }
        return {n: v for n, v in sorted(lost.items(), key=lambda kv: -kv[1]) if v >= 1e-3}


@dataclass(frozen=True)
class Mixed:
    """All ways to use a fleet of several kinds of chip; first each kind alone, in order."""

    ways: tuple[Way, ...]

    @property
    def best(self) -> Way:
        """The fastest way; the earlier one of equals."""
        return min((w for w in self.ways if w.step_time_s), key=lambda w: w.step_time_s or 0.0)

    @property
    def step_time_s(self) -> float:
        """Of the fastest way."""
        return self.best.step_time_s or 0.0

    @property
    def alone(self) -> dict[str, float | None]:
        """Step times of each kind with the whole batch (None where nothing fits)."""
        kinds = [w for w in self.ways if w.way == ALONE]
        return {w.chip: w.step_time_s for w in kinds}

    @property
    def added_s(self) -> float | None:
        """Seconds of a step if the speeds that the kinds have alone added up."""
        times = [w.step_time_s for w in self.ways if w.way == ALONE]
        speeds = [1.0 / t for t in times if t]
        return 1.0 / sum(speeds) if len(speeds) == len(times) else None

    def as_dict(self) -> dict[str, Any]:
        """Plain data: every way, and the fastest one's parts."""
        best = self.best
        return {
            "best": best.way,
            "parts": [p.as_dict() for p in best.parts],
            "step_time_s": best.step_time_s, "between_s": best.between_s, "days": best.days,
            **beside(best.trust, best.days, best.cost_usd),
            "alone_step_time_s": self.alone, "speeds_added_step_time_s": self.added_s,
            "ways": [
                w.as_dict() | {"loses_on": w.loses(best) if w.step_time_s else {}}
                for w in self.ways
            ],
        }  # fmt: skip


def mixed(questions: Sequence[Question]) -> Mixed:
    """Each kind of chip alone, data-parallel groups over all, pipeline stages over two.

    All questions ask for one model and batch. Raises `InputError` (``one-kind``) for fewer than two
    kinds, `NoPlan` (``no-strategy-fits``) where no way fits in memory.
    """
    if len(questions) < 2:
        raise InputError(
            "one-kind", "a mixed fleet has at least two kinds of chip",
            hint="write h100-sxm:100000,h200-sxm:50000",
        )  # fmt: skip
    kinds = [Kind(q) for q in questions]
    batch = questions[0].asked.global_batch
    ways = [_groups(ALONE, [k], [batch]) for k in kinds]
    seconds, shares = divide(kinds, batch)
    used = [(k, s) for k, s in zip(kinds, shares, strict=True) if s]
    if isfinite(seconds) and len(used) > 1:
        ways.append(_groups(GROUPS, [k for k, _ in used], [s for _, s in used]))
    else:
        ways.append(Way(GROUPS, why_not=NO_GAIN if used else UNFIT))
    ways.append(_stages(questions))
    if not any(w.step_time_s for w in ways):
        raise NoPlan(
            "no-strategy-fits", "no way to use this fleet fits in memory",
            hint="give more chips, or chips with more memory",
        )  # fmt: skip
    return Mixed(tuple(ways))


def _groups(way: str, kinds: Sequence[Kind], shares: Sequence[int]) -> Way:
    """Kinds with their shares of the batch, each with its fastest strategy for it."""
    found = [k.fastest(s) for k, s in zip(kinds, shares, strict=True)]
    rows = [f for f in found if f]
    chip = kinds[0].question.chip if way == ALONE else ""
    if len(rows) < len(found):
        return Way(way, chip, why_not=UNFIT)
    extra = between(kinds, rows)
    parts = []
    for kind, share, row in zip(kinds, shares, rows, strict=True):
        best = ranked(kind.asked, [row])[0]
        filled = share / float(row.strategy.global_batch)  # of its whole micro-batches
        best = replace(
            best, mfu=best.mfu * filled, tokens_per_s=best.tokens_per_s * filled,
            tflops_per_chip=best.tflops_per_chip * filled,
        )  # fmt: skip
        trusted = trust(kind.question, row.strategy, best.step_time_s)
        parts.append(Part(kind.question.chip, kind.asked.n_chips, share, None, best, trusted))
    last = max(parts, key=lambda p: p.best.step_time_s).best
    time_s = last.time_s | {"dp": last.time_s["dp"] + extra}
    whole = Way(way, chip, tuple(parts), last.step_time_s + extra, extra, time_s=time_s)
    whole = replace(whole, trust=widest([p.trust for p in parts], last.step_time_s + extra))
    return _used(whole, [k.question for k in kinds])


def _used(way: Way, questions: Sequence[Question]) -> Way:
    """The way with utilisation, days and cost of the run on the chips in use."""
    asked = questions[0].asked
    seconds = way.step_time_s or 0.0
    flops = float(model_flops(asked.shape, float(asked.seq_len)))
    flops *= asked.global_batch * asked.seq_len
    peak = sum(q.asked.n_chips * float(q.asked.hardware.peak_16) for q in questions)
    days = seconds * asked.steps / DAY if asked.tokens else None
    prices = [q.asked.usd_per_step_second for q in questions]
    cost = seconds * sum(prices) if asked.tokens and all(prices) else None
    return replace(way, mfu=flops / (seconds * peak), days=days, cost_usd=cost)


def _stages(questions: Sequence[Question]) -> Way:
    if len(questions) != 2:
        return Way(STAGES, why_not=TWO_ONLY)
    chain = chained(questions)
    if chain is None:
        return Way(STAGES, why_not=UNFIT)
    ordered = [questions[i] for i in chain.order]
    parts_s = chain.step.breakdown
    time_s = {f.name: float(getattr(parts_s, f.name)) for f in fields(parts_s)}
    seconds = float(chain.step.step_time_s)
    each = zip(ordered, chain.stretches, strict=True)
    trusted = widest([trust(q, x.strategy, seconds) for q, x in each], seconds)
    way = Way(STAGES, step_time_s=seconds, time_s=time_s, trust=trusted)
    way = _used(way, ordered)
    rows = zip(ordered, chain.stretches, chain.step.memory, strict=True)
    return replace(way, parts=tuple(_stage_part(q, x, m, chain, way) for q, x, m in rows))


def _stage_part(
    question: Question, stretch: Stretch, memory: Memory, chain: Chain, way: Way
) -> Part:
    """One kind of a pipeline: ``pp`` counts its own stages, times are those of the whole."""
    asked = question.asked
    seconds, mfu = float(chain.step.step_time_s), float(chain.step.mfu)
    bytes_ = {
        f.name: float(getattr(memory, f.name))
        for f in fields(memory)
        if f.name not in ("fits", "stage")
    }
    cost = seconds * asked.usd_per_step_second if asked.tokens else 0.0
    best = Ranked(
        words(stretch.strategy) | {"pp": int(stretch.span.stages)},
        seconds,
        mfu,
        float(chain.step.tokens_per_s),
        mfu * float(asked.hardware.peak_16) / 1e12,
        float(memory.device),
        way.days,
        cost or None,
        way.time_s,
        bytes_,
        max(way.time_s, key=lambda name: way.time_s[name]),
        chips=asked.n_chips,
    )
    layers = int(stretch.span.layers)
    return Part(question.chip, asked.n_chips, asked.global_batch, layers, best, way.trust)
