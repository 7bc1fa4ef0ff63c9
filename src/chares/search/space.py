"""The space of strategies: a finite, printed list of values for every dimension, and its law.

Legality is tested on the few fields that a rule needs, then crossed with the free ones, so the
product is never written out. Every point that falls is counted under the first rule it breaks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model import RECOMPUTATIONS, SCHEDULE_RULES, SCHEDULES, Stages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.model import Hardware, Shape, Strategy

Ints = "NDArray[np.int64]"

#: the fields of a layout, which legality ties together; the rest is free (`Options`)
LAYOUT = ("tp", "pp", "cp", "sp", "ep", "etp", "micro_batch", "vp", "schedule", "balance")
ONE_F_ONE_B, ZB_H1, ZBV, DUALPIPE = (
    SCHEDULES.index(name) for name in ("1f1b", "zb-h1", "zbv", "dualpipe")
)
#: how layers are divided over stages, by the code of `Strategy.balance`
BALANCES = ("equal layers", "equal time", "whole layers of equal time")
EQUAL_LAYERS, WHOLE_LAYERS = 0, 2


@dataclass(frozen=True)
class Space:
    """The values that every dimension may take. ``dp`` follows: chips / (tp pp cp)."""

    tp: tuple[int, ...]
    pp: tuple[int, ...]
    cp: tuple[int, ...]
    ep: tuple[int, ...]
    micro_batch: tuple[int, ...]
    vp: tuple[int, ...]
    sp: tuple[int, ...] = (0, 1)
    etp: tuple[int, ...] = (0, 1)  # 1: experts are split over the tensor ranks too
    schedule: tuple[int, ...] = (ONE_F_ONE_B, ZB_H1, ZBV, DUALPIPE)
    balance: tuple[int, ...] = (EQUAL_LAYERS,)
    recompute: tuple[tuple[int, float], ...] = ()  # (code, share of the layers)
    overlap_tp: tuple[int, ...] = (0, 1)
    fused: tuple[int, ...] = (0, 1)  # 1: fused elementwise kernels
    zero: tuple[int, ...] = (0, 1, 2, 3)
    sharded_in_node: tuple[int, ...] = (0, 1)  # 1: state is sharded inside a node only (HSDP)
    overlap_dp: tuple[int, ...] = (0, 1)
    gradient_bytes: tuple[int, ...] = (2, 4)
    offload_optimizer: tuple[int, ...] = (0,)
    offload_activations: tuple[int, ...] = (0,)
    offload_weights: tuple[int, ...] = (0,)

    @property
    def dimensions(self) -> dict[str, list[Any]]:
        """Values by dimension, in words where the field is a code."""
        shown: dict[str, list[Any]] = {k: list(v) for k, v in self.__dict__.items()}
        shown["balance"] = [BALANCES[c] for c in self.balance]
        shown["schedule"] = [SCHEDULES[c] for c in self.schedule]
        shown["recompute"] = [recompute_name(c, share) for c, share in self.recompute]
        return shown

    @property
    def size(self) -> int:
        """How many points the whole product has."""
        return prod(len(v) for v in self.__dict__.values())


@dataclass
class Layouts:
    """The legal layouts as columns of equal length, and the count of what fell by reason."""

    columns: dict[str, NDArray[np.int64]]
    rejected: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.columns["tp"])


def recompute_name(code: int, share: float) -> str:
    """``selective``, or ``full (half of the layers)``."""
    return RECOMPUTATIONS[code] if share == 1 else f"{RECOMPUTATIONS[code]} ({share:.0%} of layers)"


def default_space(
    shape: Shape, hardware: Hardware, n_chips: int, global_batch: int, seq_len: int
) -> Space:
    """A space that holds what the public frameworks can run on this fleet."""
    layers, experts = int(shape.n_layers), int(shape.n_experts)
    domain = int(hardware.scale_up_size)
    chunks = [v for v in range(1, layers + 1) if layers % v == 0 or v <= 2]
    return Space(
        tp=tuple(_powers(min(int(shape.n_heads), max(16, domain), n_chips))),
        pp=tuple(p for p in _divisors(n_chips) if p <= layers),
        cp=tuple(_powers(max(1, min(n_chips, seq_len // 4096)))),
        ep=tuple(e for e in _divisors(experts) if e <= n_chips) if experts else (1,),
        micro_batch=tuple(m for m in _divisors(global_batch) if m <= 64),
        vp=tuple(v for v in chunks if v <= 16),
        sp=(0, 1),
        etp=(0, 1) if experts else (0,),
        recompute=tuple(
            (RECOMPUTATIONS.index(n), share)
            for n, share in (
                ("none", 1.0),
                ("selective", 1.0),
                ("full", 0.25),
                ("full", 0.5),
                ("full", 1.0),
            )
        ),
    )


def layouts(space: Space, shape: Shape, n_chips: int, global_batch: int, seq_len: int) -> Layouts:
    """Every legal layout of the space, and why the others are not."""
    table = _Table(space)
    heads, layers, experts = int(shape.n_heads), int(shape.n_layers), int(shape.n_experts)
    table.cross("tp", "pp", "cp")
    table.keep("heads do not divide by tp", lambda t: heads % t["tp"] == 0)
    table.keep("chips do not divide by tp pp cp", lambda t: n_chips % _ways(t) == 0)
    table.keep(
        "sequence does not divide by 2 cp",
        lambda t: (t["cp"] == 1) | (seq_len % (2 * t["cp"]) == 0),
    )
    table.keep("batch does not divide by dp", lambda t: global_batch % _dp(t, n_chips) == 0)
    table.cross("sp", "ep", "etp")
    table.keep("no tensor ranks to share a sequence", lambda t: (t["sp"] == 0) | (t["tp"] > 1))
    table.keep("no tensor ranks to split experts", lambda t: (t["etp"] == 0) | (t["tp"] > 1))
    table.keep(
        "expert ranks do not divide the replicas",
        lambda t: (_dp(t, n_chips) * t["cp"] * t["tp"]) % (t["ep"] * _etp(t)) == 0,
    )
    if experts:
        width = int(shape.d_expert)
        table.keep("experts do not divide", lambda t: (experts % t["ep"]) + width % _etp(t) == 0)
    table.cross("micro_batch", "vp", "schedule", "balance")
    table.keep(
        "batch does not divide by micro-batches",
        lambda t: global_batch % (_dp(t, n_chips) * t["micro_batch"]) == 0,
    )
    for reason, rule in SCHEDULE_RULES.items():
        micro = _micro(table.columns, n_chips, global_batch)
        t: dict[str, Any] = table.columns
        table.keep(
            reason, rule(Stages(t["schedule"], t["pp"], t["vp"], micro, layers, t["balance"]))
        )
    found = Layouts(table.columns, table.rejected)
    found.columns["dp"] = _dp(found.columns, n_chips)
    found.columns["etp"] = _etp(found.columns)
    return found


def broken_rule(strategy: Strategy, shape: Shape, n_chips: int) -> str:
    """The first rule that one strategy breaks, in the words of the search; "" where none."""
    names = ("tp", "pp", "cp", "ep", "micro_batch", "vp", "schedule")
    one: dict[str, Any] = {name: (int(getattr(strategy, name)),) for name in names}
    split = strategy.tp > 1  # without tensor ranks, sharing among them changes nothing
    space = Space(
        **one, sp=(int(strategy.sp) if split else 0,), etp=(int(strategy.etp > 1),),
        balance=(int(strategy.balance > 0 and strategy.pp > 1),), recompute=((0, 1.0),),
    )  # fmt: skip
    batch, length = int(strategy.global_batch), int(strategy.seq_len)
    return next(iter(layouts(space, shape, n_chips, batch, length).rejected), "")


class _Table:
    """Columns that grow by crossing with a dimension and shrink by rules."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.columns: dict[str, NDArray[np.int64]] = {}
        self.rejected: dict[str, int] = {}
        self.left = space.size  # points of the product that one row stands for
        self.rows = 1

    def cross(self, *names: str) -> dict[str, NDArray[np.int64]]:
        for name in names:
            values = np.array(getattr(self.space, name), dtype=np.int64)
            self.columns = {k: np.repeat(v, len(values)) for k, v in self.columns.items()}
            self.columns[name] = np.tile(values, self.rows)
            self.rows *= len(values)
            self.left //= len(values)
        return self.columns

    def keep(self, reason: str, rule: Any) -> None:
        mask = rule(self.columns) if callable(rule) else rule
        fallen = int(self.rows - np.count_nonzero(mask))
        if fallen:
            self.rejected[reason] = self.rejected.get(reason, 0) + fallen * self.left
            self.columns = {k: v[mask] for k, v in self.columns.items()}
            self.rows -= fallen


def _ways(t: dict[str, Any]) -> Any:
    return t["tp"] * t["pp"] * t["cp"]


def _dp(t: dict[str, Any], n_chips: int) -> Any:
    return n_chips // _ways(t)


def _etp(t: dict[str, Any]) -> Any:
    return np.where(t["etp"] == 1, t["tp"], 1)


def _micro(t: dict[str, Any], n_chips: int, global_batch: int) -> Any:
    return global_batch // (_dp(t, n_chips) * t["micro_batch"])


def _powers(limit: int) -> list[int]:
    return [2**i for i in range(max(1, int(limit)).bit_length())]


def _divisors(n: int) -> list[int]:
    small = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return sorted({*small, *(n // d for d in small)})
