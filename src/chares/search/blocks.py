"""Legal layouts x free options, evaluated block by block on arrays.

Three axes: layouts, options that touch a layer (recomputation, overlap of tensor parallelism) and
options that touch the step (sharding, offload...). A term is computed on the axes that it depends
on, and broadcasting does the rest; layers are computed once for each distinct combination of the
few fields they depend on, and gathered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model import Layers, Strategy, layer_times, step_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.model import Calibration, Hardware, Shape
    from chares.search.space import Layouts, Space

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
    """Time and memory of rows: layouts (first axis) x options of layer and step."""

    first: int  # number of the first row over the whole search
    kind: int  # number of the class of layouts that share one set of options
    layouts: NDArray[np.intp]  # rows of the table of layouts
    options: tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]
    strategy: Strategy  # fields broadcast to ``shape``
    shape: tuple[int, int, int]
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
        ("node", (ranks > 1) & (ranks <= in_node)),
        ("many", (ranks > in_node) & (ranks > 1)),
    )
    full = _full_size(space)
    for number, (tensor, (kind, has)) in enumerate(product((False, True), kinds)):
        chosen = np.flatnonzero((split == tensor) & has)
        if not len(chosen):
            continue
        options = _options(space, tensor, kind)
        size = len(options[0]["recompute"]) * len(options[1]["zero"])
        if size < full:
            rejected[NO_EFFECT] = rejected.get(NO_EFFECT, 0) + len(chosen) * (full - size)
        columns = {k: v[chosen].astype(np.float64) for k, v in table.columns.items()}
        layers, which = _layer_table(asked, columns, options[0])
        rows = max(1, BLOCK // size)
        for start in range(0, len(chosen), rows):
            part = slice(start, start + rows)
            axis = {k: v[part, None, None] for k, v in columns.items()}
            yield partial(
                _block, asked, layers, which[part], axis, options, first, number, chosen[part]
            )
            first += len(chosen[part]) * size


def _options(
    space: Space, tensor: bool, kind: str
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Free options that make a difference for layouts of this class."""
    layer = _product(
        recompute=list(range(len(space.recompute))),
        overlap_tp=list(space.overlap_tp) if tensor else [max(space.overlap_tp)],
        fused=list(space.fused),
    )
    layer["choice"] = layer["recompute"]
    which = layer["recompute"].astype(int)
    codes = np.array([c for c, _ in space.recompute], dtype=np.float64)
    shares = np.array([s for _, s in space.recompute])
    layer["recompute"], layer["recompute_share"] = codes[which], shares[which]
    step = _product(
        zero=[0] if kind == "alone" else list(space.zero),
        sharded_in_node=list(space.sharded_in_node) if kind == "many" else [0],
        overlap_dp=[max(space.overlap_dp)] if kind == "alone" else list(space.overlap_dp),
        gradient_bytes=list(space.gradient_bytes),
        offload_optimizer=list(space.offload_optimizer),
        offload_activations=list(space.offload_activations),
    )
    useful = (step["sharded_in_node"] == 0) | (step["zero"] > 0)  # nothing is sharded with ZeRO 0
    return layer, {k: v[useful] for k, v in step.items()}


def _full_size(space: Space) -> int:
    step = len(space.zero) * len(space.sharded_in_node) * len(space.overlap_dp)
    step *= len(space.gradient_bytes) * len(space.offload_optimizer)
    layer = len(space.recompute) * len(space.overlap_tp) * len(space.fused)
    return layer * step * len(space.offload_activations)


def _product(**values: list[int]) -> dict[str, NDArray[np.float64]]:
    grids = np.meshgrid(*[np.array(v, dtype=np.float64) for v in values.values()], indexing="ij")
    return {k: g.ravel() for k, g in zip(values, grids, strict=True)}


def _block(
    asked: Asked,
    layers: Layers,
    which: NDArray[np.intp],
    axis: dict[str, NDArray[np.float64]],
    options: tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]],
    first: int,
    kind: int,
    numbers: NDArray[np.intp],
) -> Block:
    """Time, memory and cost of some layouts (``axis``) with all their options."""
    of_layer, of_step = options
    fields_ = {k: v[None, :, None] for k, v in of_layer.items() if k != "choice"}
    step_axis = {k: v[None, None, :] for k, v in of_step.items()}
    in_node = step_axis.pop("sharded_in_node")
    group = np.maximum(1.0, asked.hardware.scale_up_size / axis["tp"])
    strategy = replace(asked.template, **axis, **fields_, **step_axis, shard_group=in_node * group)
    step = step_of(_gather(layers, which), asked.shape, strategy, asked.hardware, asked.calibration)
    shape = (len(which), len(of_layer["recompute"]), len(of_step["zero"]))
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
            picked[f.name] = (value[which] if value.shape[0] > 1 else value)[:, :, None]
        else:
            picked[f.name] = value
    return Layers(**picked)
