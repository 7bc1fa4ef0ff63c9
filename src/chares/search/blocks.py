"""Legal layouts x free options, evaluated block by block on arrays.

Four axes: layouts, options that touch a layer (recomputation, overlap of tensor parallelism, fused
kernels), the size of gradients, and options that touch the step only (sharding, offload...). A term
is computed on the axes that it depends on, and broadcasting does the rest; layers are computed once
for each distinct combination of the few fields they depend on, and gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model import Layers, Strategy, layer_times, step_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.model import Calibration, Hardware, Shape
    from chares.search.space import Layouts, Space

#: values by field, one group for each axis of a block: of the layer, of the gradients, of the step
Options = tuple[dict[str, "NDArray[np.float64]"], ...]
BLOCK = 24_000  # rows in a block: the arrays of a block stay in the second-level cache
NO_EFFECT = "option without effect here (nothing to overlap or to shard)"
LAYER_FIELDS = ("tp", "sp", "cp", "ep", "etp", "micro_batch")


@dataclass(frozen=True)
class Asked:
    """What a search is asked for. ``template`` holds every field that the space leaves alone."""

    shape: Shape
    hardware: Hardware
    calibration: Calibration
    n_chips: int
    global_batch: int
    seq_len: int
    template: Strategy
    memory_limit: float  # bytes of an accelerator that a strategy may use
    tokens: float = 0.0  # of the whole run; 0 where only the step is asked for
    hourly_price: float = 0.0  # USD per chip and hour

    @property
    def steps(self) -> float:
        """Steps of the run."""
        return self.tokens / (self.global_batch * self.seq_len)

    @property
    def usd_per_step_second(self) -> float:
        """USD of the whole run for each second that a step takes."""
        return self.steps * self.n_chips * self.hourly_price / 3600.0


@dataclass(frozen=True)
class Block:
    """Time and memory of rows: layouts (first axis) x options (an axis for each group)."""

    first: int  # number of the first row over the whole search
    kind: int  # number of the class of layouts that share one set of options
    layouts: NDArray[np.intp]  # rows of the table of layouts
    options: Options
    strategy: Strategy  # fields broadcast to ``shape``
    shape: tuple[int, ...]
    step_time: NDArray[np.float64]  # flat
    memory: NDArray[np.float64]  # flat, bytes on the device
    cost: NDArray[np.float64]  # flat, USD of the whole run

    def strategy_at(self, row: int) -> Strategy:
        """The strategy of one flat row, as plain numbers."""
        index = np.unravel_index(row, self.shape)
        picked = {}
        for f in fields(self.strategy):
            value = getattr(self.strategy, f.name)
            if getattr(value, "ndim", 0):
                at = tuple(i if n > 1 else 0 for i, n in zip(index, value.shape, strict=True))
                picked[f.name] = float(value[at])
        return replace(self.strategy, **picked)


def evaluate(
    asked: Asked, space: Space, table: Layouts, rejected: dict[str, int]
) -> Iterator[Callable[[], Block]]:
    """All legal rows as work to be done, block by block in a fixed order.

    Adds to ``rejected`` what options break. A block may be worked out by any thread.
    """
    first = 0
    ranks = table.columns["dp"] * table.columns["cp"]
    domain = int(asked.hardware.scale_up_size)
    split = table.columns["tp"] > 1
    in_node = np.maximum(1, domain // table.columns["tp"])
    kinds = (
        ("alone", ranks == 1),
        ("node", (ranks > 1) & ((ranks <= in_node) | (in_node == 1))),
        ("many", (ranks > in_node) & (in_node > 1)),
    )
    full = _full_size(space)
    number = 0
    for tensor, (kind, has) in product((False, True), kinds):
        chosen = np.flatnonzero((split == tensor) & has)
        groups = [o for o in (_options(space, tensor, kind, z) for z in (False, True)) if o]
        size = sum(_size(o) for o in groups)
        if len(chosen) and size < full:
            rejected[NO_EFFECT] = rejected.get(NO_EFFECT, 0) + len(chosen) * (full - size)
        if not len(chosen) or not groups:
            continue
        columns = {k: v[chosen].astype(np.float64) for k, v in table.columns.items()}
        if not np.any(columns["balance"]):
            del columns["balance"]  # as in the template: no rows of zeros
        layers, which = _layer_table(asked, columns, groups[0][0])
        for options in groups:
            rows = max(1, BLOCK // _size(options))
            for start in range(0, len(chosen), rows):
                part = slice(start, start + rows)
                axis = {k: v[part, None, None, None] for k, v in columns.items()}
                yield partial(
                    _block, asked, layers, which[part], axis, options, first, number, chosen[part]
                )
                first += len(chosen[part]) * _size(options)
            number += 1


def _size(options: Options) -> int:
    return prod(len(next(iter(group.values()))) for group in options)


def _options(space: Space, tensor: bool, kind: str, sharded: bool) -> Options | None:
    """Free options that make a difference for layouts of this class; with sharded weights (ZeRO 3)
    or without, for these share few terms."""
    layer = _product(
        choice=list(range(len(space.recompute))),
        overlap_tp=list(space.overlap_tp) if tensor else [max(space.overlap_tp)],
        fused=list(space.fused),
    )
    which = layer["choice"].astype(int)
    codes = np.array([c for c, _ in space.recompute], dtype=np.float64)
    shares = np.array([s for _, s in space.recompute])
    layer["recompute"], layer["recompute_share"] = codes[which], shares[which]
    zero = [0] if kind == "alone" else list(space.zero)
    step = _product(
        zero=[z for z in zero if (z == 3) == sharded],
        sharded_in_node=list(space.sharded_in_node) if kind == "many" else [0],
        overlap_dp=[max(space.overlap_dp)] if kind == "alone" else list(space.overlap_dp),
        offload_optimizer=list(space.offload_optimizer),
        offload_activations=list(space.offload_activations),
        offload_weights=list(space.offload_weights),
    )
    useful = (step["sharded_in_node"] == 0) | (step["zero"] > 0)  # ZeRO 0 shards nothing
    if not np.any(useful):
        return None
    gradient = {"gradient_bytes": np.array(space.gradient_bytes, dtype=np.float64)}
    return layer, gradient, {k: v[useful] for k, v in step.items()}


def _full_size(space: Space) -> int:
    step = len(space.zero) * len(space.sharded_in_node) * len(space.overlap_dp)
    step *= len(space.gradient_bytes) * len(space.offload_optimizer)
    layer = len(space.recompute) * len(space.overlap_tp) * len(space.fused)
    return layer * step * len(space.offload_activations) * len(space.offload_weights)


def _product(**values: list[int]) -> dict[str, NDArray[np.float64]]:
    grids = np.meshgrid(*[np.array(v, dtype=np.float64) for v in values.values()], indexing="ij")
    return {k: g.ravel() for k, g in zip(values, grids, strict=True)}


def _block(
    asked: Asked,
    layers: Layers,
    which: NDArray[np.intp],
    axis: dict[str, NDArray[np.float64]],
    options: Options,
    first: int,
    kind: int,
    numbers: NDArray[np.intp],
) -> Block:
    """Time, memory and cost of some layouts (``axis``) with all their options."""
    of_layer, of_gradient, of_step = options
    free = {k: v[None, :, None, None] for k, v in of_layer.items() if k != "choice"}
    free |= {k: v[None, None, :, None] for k, v in of_gradient.items()}
    free |= {k: v[None, None, None, :] for k, v in of_step.items()}
    in_node = free.pop("sharded_in_node")
    group = np.maximum(1.0, asked.hardware.scale_up_size / axis["tp"])
    shard = in_node * group if np.any(in_node) else 0.0
    strategy = replace(asked.template, **axis, **free, shard_group=shard)
    step = step_of(_gather(layers, which), asked.shape, strategy, asked.hardware, asked.calibration)
    shape = (len(which), *(len(next(iter(group.values()))) for group in options))
    seconds = np.broadcast_to(step.step_time_s, shape).ravel()
    memory = np.broadcast_to(step.memory.device, shape).ravel()
    cost = seconds * asked.usd_per_step_second
    return Block(first, kind, numbers, options, strategy, shape, seconds, memory, cost)


def _layer_table(
    asked: Asked, columns: dict[str, NDArray[np.float64]], options: dict[str, NDArray[np.float64]]
) -> tuple[Layers, NDArray[np.intp]]:
    """Layers of the distinct combinations (axis 0) x layer options (axis 1), and for every layout
    the combination it has."""
    code = np.zeros(len(columns["tp"]), dtype=np.int64)
    for name in LAYER_FIELDS:  # mixed-radix number of the combination
        values = np.unique(columns[name])
        code = code * len(values) + np.searchsorted(values, columns[name])
    present = np.zeros(int(code.max()) + 1, dtype=bool)
    present[code] = True
    number = np.cumsum(present) - 1
    one = np.zeros(int(number[-1]) + 1, dtype=np.intp)
    one[number[code]] = np.arange(len(code))  # a layout that has each combination
    fields_ = {name: columns[name][one][:, None] for name in LAYER_FIELDS}
    fields_["dp"] = columns["dp"][one][:, None]
    strategy = replace(
        asked.template, **fields_, **{k: v[None, :] for k, v in options.items() if k != "choice"}
    )
    layers = layer_times(asked.shape, strategy, asked.hardware, asked.calibration)
    return layers, number[code]


def _gather(layers: Layers, which: NDArray[np.intp]) -> Layers:
    """Rows of the layer table on the axes of a block."""
    picked: dict[str, Any] = {}
    for f in fields(layers):
        value = np.asarray(getattr(layers, f.name))
        if value.ndim == 2:
            picked[f.name] = (value[which] if value.shape[0] > 1 else value)[:, :, None, None]
        else:
            picked[f.name] = value
    return Layers(**picked)
