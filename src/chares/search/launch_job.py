"""What a launch configuration is written from: one strategy, its layers on their stages."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chares.errors import NoPlan
from chares.model import RECOMPUTATIONS, SCHEDULES, layer_times

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model import Shape, Strategy
    from chares.search.asking import Answer
    from chares.search.blocks import Asked

HEADS, LATENT = 0, 1  # codes of `Shape.attention`
RING, ALL_GATHER, ULYSSES = range(3)  # codes of `Strategy.cp_kind`
ONE_F_ONE_B, ZB_H1, ZBV, DUALPIPE, GPIPE = (
    SCHEDULES.index(name) for name in ("1f1b", "zb-h1", "zbv", "dualpipe", "gpipe")
)
NONE, SELECTIVE, FULL = (RECOMPUTATIONS.index(name) for name in ("none", "selective", "full"))
STEPS = 100  # of a job whose tokens are not known


@dataclass(frozen=True)
class Job:
    """One strategy for one model, as a framework is told it. ``notes`` grow while it is written:
    what the configuration cannot say, or says otherwise than the strategy."""

    model: str
    chip: str
    precision: str
    shape: Shape
    strategy: Strategy
    steps: int
    head: float = 0.0  # time of the output head, in layers
    notes: list[str] = field(default_factory=list)

    @property
    def ranks(self) -> int:
        """Ranks over which data-parallel state may be sharded: dp cp."""
        return whole(self.strategy.dp * self.strategy.cp)

    @property
    def shard(self) -> int:
        """Ranks that share one copy of the sharded state."""
        group = whole(self.strategy.shard_group)
        return min(group, self.ranks) if group else self.ranks

    @property
    def chunks(self) -> int:
        """Stretches of layers in the pipeline: stages times the chunks that each holds."""
        s = self.strategy
        two = whole(s.schedule) in (ZBV, DUALPIPE) and s.pp > 1
        return whole(s.pp) * (2 if two else whole(s.vp))

    @property
    def even(self) -> bool:
        """Whether every stretch has the same number of layers."""
        return self.shape.n_layers % self.chunks == 0 and not self.strategy.balance

    @property
    def title(self) -> str:
        """The job in a line."""
        s = self.strategy
        ways = {"tp": s.tp, "pp": s.pp, "cp": s.cp, "ep": s.ep, "dp": s.dp}
        told = " ".join(f"{name} {whole(n)}" for name, n in ways.items() if n > 1)
        return f"{self.model} on {whole(s.n_chips)} {self.chip}: {told or 'one'}"

    def says(self, what: str) -> None:
        """Leave a note for the reader of the configuration."""
        if what not in self.notes:
            self.notes.append(what)


def job_of(answer: Answer, rank: int) -> Job:
    """The job of the strategy that is ``rank``-th in the search."""
    strategy, asked = answer.found.best[rank].strategy, answer.asked
    return Job(
        answer.model, answer.chip, answer.question.precision, asked.shape, strategy,
        round(asked.steps) or STEPS, head_of(asked, strategy),
    )  # fmt: skip


def head_of(asked: Asked, strategy: Strategy) -> float:
    """Time of the output head, in layers of the same strategy."""
    a = layer_times(asked.shape, strategy, asked.hardware, asked.calibration)
    layer = (
        a.linear + a.attention + a.experts + a.elementwise + a.routing
        + a.tp_exposed + a.cp_exposed + a.ep_exposed
    )  # fmt: skip
    return float(a.head / layer)


def refuse(framework: str, what: str) -> NoPlan:
    """The error for a strategy that a framework cannot run."""
    return NoPlan(
        "not-in-framework",
        f"{framework} has no {what}",
        hint="keep more strategies: `--best 200`, or `keep=200` beside `framework=` in Python",
    )


def needs_schedule(framework: str, strategy: Strategy, *allowed: int) -> None:
    """Raises `NoPlan` (``schedule-not-there``) where the pipeline has another schedule."""
    code = whole(strategy.schedule)
    if strategy.pp > 1 and code not in allowed:
        raise NoPlan(
            "schedule-not-there",
            f"{framework} has no schedule {SCHEDULES[code]}",
            hint="search for this framework: `--launch`, or `framework=` in Python",
        )


def whole(value: Num) -> int:
    """A field of a strategy or shape that counts something."""
    return round(float(value))


def layers_of(job: Job, extra: int = 0) -> tuple[int, ...]:
    """Layers of each stretch in the order in which a token passes; ``extra`` layers (multi-token
    prediction) lie behind the last and count to its share.

    As the model reckons: where layers do not divide, the last stretch gets one less, then the
    first, then those before the last; with ``balance`` each layer goes where least work lies, the
    output head counted.
    """
    n, depth = job.chunks, whole(job.shape.n_layers) + extra
    if job.strategy.balance:
        counts, load = [0] * n, [0.0] * n
        load[-1] = job.head
        for _ in range(depth):
            least = min(range(n), key=lambda i: (load[i], i in (0, n - 1), i))
            counts[least] += 1
            load[least] += 1.0
    else:
        short = -depth % n
        spared = [n - 1, 0, *range(n - 2, 0, -1)][:short]
        counts = [-(-depth // n) - (i in spared) for i in range(n)]
    while counts[-1] < extra:
        counts[counts.index(max(counts))] -= 1
        counts[-1] += 1
    counts[-1] -= extra
    return tuple(counts)


def recomputed_layers(job: Job, most: int) -> int:
    """Layers that recompute in a stretch of ``most`` layers, at least the share that the strategy
    asks for."""
    share = float(job.strategy.recompute_share)
    found = max(1, -int(-(most * share) // 1))
    if found != most * share:
        job.says(f"{share:.0%} of {most} layers are not whole: {found} of them recompute")
    return found
