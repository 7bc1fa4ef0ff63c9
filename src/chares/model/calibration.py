"""The parameters of the performance model: what datasheets do not say.

Each is physical, bounded and named; it depends on the generation of the chip and on the family of
the framework, never on a model or a run. ``bench/calibrate.py`` fits them and writes the record
that `load_calibration` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from chares.facts import Facts
    from chares.ledger import Num


@dataclass(frozen=True, slots=True)
class Calibration:
    """Numbers, or arrays with one entry a row. Fractions are of the datasheet's figure."""

    # computation
    gemm: Num = 0.75  # of the 16-bit peak, large matrices
    gemm_8: Num = 0.65  # of the 8-bit peak
    gemm_4: Num = 0.50  # of the 4-bit peak
    wave: Num = 2.2e6  # output elements lost to the last wave, where the chip's cores are not known
    tail: Num = 0.9  # of the last wave's idle part, where they are
    depth: Num = 200.0  # steps of k that filling and draining a tile's pipeline cost
    attention: Num = 0.55  # of the 16-bit peak, fused attention with head size 128, forward
    attention_backward: Num = 0.80  # speed of the backward kernel against the forward one
    unaligned: Num = 16.0  # times longer for unfused attention, heads not a multiple of 8 wide
    memory: Num = 0.75  # of the memory bandwidth
    passes: Num = 1.0  # memory traffic of elementwise operations against the fused minimum
    unfused: Num = 1.6  # times more where elementwise kernels of GPT's kind are not fused
    cast: Num = 1.0  # memory traffic of casts to 8 and 4 bits against the fused minimum
    grouped: Num = 0.85  # speed of grouped expert GEMMs against plain ones
    imbalance: Num = 1.05  # load of the busiest expert rank against the mean
    permute: Num = 1.0  # memory traffic of routing tokens against the minimum
    # communication
    up: Num = 0.75  # of the scale-up bandwidth, collectives
    out: Num = 0.75  # of the scale-out bandwidth, collectives
    up_latency: Num = 5e-6  # s per step of a collective inside the scale-up domain
    out_latency: Num = 15e-6  # s per step across domains
    all_to_all: Num = 0.7  # speed of an all-to-all against other collectives, scale-up
    all_to_all_out: Num = 0.9  # the same, scale-out
    broadcast: Num = 3e-3  # s per broadcast of one rank's share (ZeRO without an all-gather)
    congestion: Num = 0.02  # loss of scale-out bandwidth per doubling of domains
    overlap_tp: Num = 0.3  # share of a GEMM's time that may hide communication
    overlap_dp: Num = 0.8
    overlap_pp: Num = 0.5
    overlap_cp: Num = 0.8
    overlap_ep: Num = 0.7
    # host and scale
    host: Num = 300e-6  # s of host work per layer and micro-batch, forward and backward
    ramp: Num = 0.25  # s in which kernels start and drain on the device, per s that launches them
    blocked: Num = 1.4  # times that, where the host waits for each kernel before the next
    moe_host: Num = 500e-6  # s more per layer with experts
    expert_host: Num = 200e-6  # s more per local expert whose 8-bit products are launched alone
    step: Num = 0.02  # s per step: data, logging, gradient norm
    straggler: Num = 0.01  # time lost per doubling of nodes
    cp_loss: Num = 0.15  # attention time added by context parallelism: smaller kernels, merging
    progress: Num = 0.12  # exponent of the software's age: kernels mature after a chip's launch
    progress_8: Num = 0.2  # the same of GEMMs in 8 and 4 bits, whose recipes mature later
    power: Num = 0.3  # exponent of W per FLOP/s against the generation's reference part

    # memory
    activation_memory: Num = 1.15  # activations kept against the count of Korthikanti et al.
    workspace: Num = 2.0  # layers' worth of activations that a layer's backward pass works with
    logit_bytes: Num = 12.0  # per token and vocabulary entry: 16 and 32 bits, and their gradients
    fragmentation: Num = 1.05  # reserved against allocated
    context_memory: Num = 4e9  # bytes of driver context and communication buffers

    def rows(self, index: Any) -> Calibration:
        """The parameters of the selected rows; fields that are single numbers stay so."""
        picked = {
            f.name: v[index] for f in fields(self) if getattr(v := getattr(self, f.name), "ndim", 0)
        }
        return replace(self, **picked)


NAMES = tuple(f.name for f in fields(Calibration))
#: parameters that are shares of a whole: their effects add on the logit, others' on the logarithm
SHARES = frozenset(
    "gemm gemm_8 gemm_4 attention memory up out overlap_tp overlap_dp overlap_pp overlap_cp "
    "overlap_ep grouped all_to_all all_to_all_out".split()
)
LEVELS = ("vendor", "generation", "family")
#: families without runs of their own, and the one whose effects they take
RELATIVES = {"deepspeed": "fsdp"}


def to_free(name: str, value: Num) -> Num:
    """A parameter on the scale on which effects add."""
    return np.log(value / (1.0 - value)) if name in SHARES else np.log(value)


def to_value(name: str, free: Num) -> Num:
    """The inverse of `to_free`."""
    return 1.0 / (1.0 + np.exp(-free)) if name in SHARES else np.exp(free)


@dataclass(frozen=True, slots=True)
class Setting:
    """What decides the parameters: the chip, the framework family and the software's age."""

    vendor: str
    generation: str
    family: str
    tdp: float  # W
    peak_16: float  # FLOP/s
    age: float = 2.0  # years from the chip's launch to the software's release


@dataclass(frozen=True, slots=True)
class Table:
    """Base values and effects by level and label, on the free scale; what a fit writes.

    ``effects[name][level][label]``; a label that has none adds 0, so that an unknown chip or
    framework gets its vendor's, or the common, value.
    """

    base: Mapping[str, float]
    effects: Mapping[str, Mapping[str, Mapping[str, float]]]
    watts: Mapping[str, float]  # W per FLOP/s (16 bits) of each generation's reference part

    def calibration(self, at: Setting) -> Calibration:
        """The parameters of one chip under one framework family."""
        family = RELATIVES.get(at.family, at.family)
        labels = {"vendor": at.vendor, "generation": at.generation, "family": family}
        free = {
            name: base + sum(
                self.effects.get(name, {}).get(level, {}).get(label, 0.0)
                for level, label in labels.items()
            )
            for name, base in self.base.items()
        }  # fmt: skip
        found = {name: float(to_value(name, np.float64(v))) for name, v in free.items()}
        reference = self.watts.get(at.generation, 0.0)
        watts = at.tdp / at.peak_16 / reference if reference and at.peak_16 else 1.0
        return Calibration(**(found | attainable(found, watts, at.age)))

    def rows(self, settings: Sequence[Setting]) -> Calibration:
        """The parameters of rows: looked up once per distinct setting."""
        kinds = {key: i for i, key in enumerate(dict.fromkeys(settings))}
        found = [self.calibration(key) for key in kinds]
        index = np.array([kinds[key] for key in settings], dtype=np.intp)
        return Calibration(
            **{n: np.array([getattr(c, n) for c in found], dtype=float)[index] for n in NAMES}
        )


REFERENCE_AGE = 2.0  # years
OLDEST = 4.0
YOUNGEST = 1.2  # below, too few runs say how much slower young software is


def attainable(found: Mapping[str, Any], watts: Num, age: Num) -> dict[str, Any]:
    """GEMM and attention rates of a part with ``watts`` times the reference's W per FLOP/s, under
    software of an ``age`` in years since the chip's launch.

    A part whose power limit is low for its peak clocks down; kernels get faster for some years.
    """
    years = np.clip(age, YOUNGEST, OLDEST) / REFERENCE_AGE
    power = np.clip(np.asarray(watts) ** found["power"], 0.5, 1.3)
    wide, low = power * years ** found["progress"], power * years ** found["progress_8"]
    factors = {"gemm": wide, "attention": wide, "gemm_8": low, "gemm_4": low}
    return {name: np.minimum(found[name] * f, 0.98) for name, f in factors.items()}


def load_calibration(facts: Facts) -> Table:
    """The project's own fit."""
    return table_of(facts.document("calibration/training"))


def table_of(document: Mapping[str, Any]) -> Table:
    """The table in a record (of this project, or a user's own calibration file)."""
    base, effects = {}, {}
    for name, entry in document["parameters"].items():
        base[name] = float(to_free(name, np.float64(entry["value"])))
        effects[name] = {
            level: {k: float(v) for k, v in entry[level].items()}
            for level in LEVELS
            if level in entry
        }
    return Table(base, effects, {k: float(v) for k, v in document["reference_watts"].items()})
