"""What one kind of chip may do in a pipeline that it shares with another kind."""

from __future__ import annotations

from dataclasses import replace
from math import lcm
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model import SCHEDULES, Layers, Strategy, layer_times
from chares.search.asking import space_for
from chares.search.space import layouts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.search.blocks import Asked

    Array = NDArray[np.float64]

#: one run of layers a device; with chunks a device would have layers of both ends
ONE_RUN = tuple(SCHEDULES.index(name) for name in ("1f1b", "zb-h1"))


class Choices:
    """One kind's layouts (pp: its own stages) times its ways to recompute, as columns."""

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        space = space_for(asked)
        one = replace(space, micro_batch=(1,), vp=(1,), schedule=ONE_RUN[:1])
        unit = asked.n_chips * lcm(*one.pp)
        columns = dict(layouts(one, asked.shape, asked.n_chips, unit, asked.seq_len).columns)
        lean = columns["sp"] == (columns["tp"] > 1)  # sharing the sequence never loses
        ways = np.arange(len(space.recompute))
        size = int(lean.sum())
        self.columns: dict[str, Array] = {
            k: np.repeat(columns[k][lean], len(ways)).astype(np.float64)
            for k in ("tp", "pp", "cp", "sp", "ep", "etp", "dp")
        }
        codes = np.array(space.recompute)[np.tile(ways, size)]
        self.columns |= {"recompute": codes[:, 0], "recompute_share": codes[:, 1]}
        self.gradient_bytes = float(min(space.gradient_bytes))
        self.layers: dict[int, tuple[Layers, Array]] = {}

    def strategy(self, rows: Any, **fields: Any) -> Strategy:
        """Strategies of these rows; ``fields`` are the rest."""
        own = {k: v[rows] for k, v in self.columns.items()}
        fields = own | {"gradient_bytes": self.gradient_bytes} | fields
        return replace(self.asked.template, **fields)

    def layers_of(self, micro_batch: int) -> tuple[Layers, Array]:
        """The layers of all rows, and their seconds but for what depends on the sharding."""
        if micro_batch not in self.layers:
            asked = self.asked
            s = self.strategy(slice(None), micro_batch=float(micro_batch))
            a = layer_times(asked.shape, s, asked.hardware, asked.calibration)
            seconds: Any = a.linear + a.attention + a.experts + a.elementwise + a.routing
            seconds = seconds + a.tp_exposed + a.cp_exposed + a.ep_exposed
            self.layers[micro_batch] = a, np.broadcast_to(seconds, self.columns["tp"].shape)
        return self.layers[micro_batch]


def splits(depth: int, a: int, b: int) -> list[int]:
    """Layers of the first ``a`` stages that can be best, the last ``b`` having the rest.

    Between multiples of ``a`` and (from the end) of ``b`` the fullest stages stay as they are and
    the sum of all changes in one direction, so only these and their neighbours can win.
    """
    edges = {n * a for n in range(1, depth // a + 1)}
    edges |= {depth - n * b for n in range(1, depth // b + 1)}
    near = {e + d for e in edges for d in (-1, 0, 1)}
    return sorted(x for x in near if a <= x <= depth - b)
