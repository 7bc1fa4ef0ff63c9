"""The parameters of the performance model: what datasheets do not say.

Each is physical, bounded and named; it depends on the generation of the chip and on the family of
the framework, never on a model or a run. The values are fitted by ``bench/calibrate.py``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chares.ledger import Num


@dataclass(frozen=True, slots=True)
class Calibration:
    """Numbers, or arrays with one entry a row. Fractions are of the datasheet's figure."""

    # computation
    gemm: Num = 0.75  # of the 16-bit peak, large matrices
    gemm_8: Num = 0.65  # of the 8-bit peak
    gemm_4: Num = 0.50  # of the 4-bit peak
    wave: Num = 2.2e6  # output elements lost to the last wave (half of what the chip does at once)
    attention: Num = 0.55  # of the 16-bit peak, fused attention with head size 128, forward
    attention_backward: Num = 0.80  # speed of the backward kernel against the forward one
    memory: Num = 0.75  # of the memory bandwidth
    passes: Num = 1.0  # memory traffic of elementwise operations against the fused minimum
    cast: Num = 1.0  # memory traffic of casts to 8 and 4 bits against the fused minimum
    grouped: Num = 0.85  # speed of grouped expert GEMMs against plain ones
    imbalance: Num = 1.05  # load of the busiest expert rank against the mean
    permute: Num = 1.0  # memory traffic of routing tokens against the minimum
    # communication
    up: Num = 0.75  # of the scale-up bandwidth, collectives
    out: Num = 0.75  # of the scale-out bandwidth, collectives
    up_latency: Num = 5e-6  # s per step of a collective inside the scale-up domain
    out_latency: Num = 15e-6  # s per step across domains
    all_to_all: Num = 0.7  # speed of an all-to-all against other collectives
    congestion: Num = 0.02  # loss of scale-out bandwidth per doubling of domains
    overlap_tp: Num = 0.3  # share of a GEMM's time that may hide communication
    overlap_dp: Num = 0.8
    overlap_pp: Num = 0.5
    overlap_cp: Num = 0.8
    overlap_ep: Num = 0.7
    # host and scale
    host: Num = 300e-6  # s of host work per layer and micro-batch, forward and backward
    moe_host: Num = 500e-6  # s more per layer with experts
    step: Num = 0.02  # s per step: data, logging, gradient norm
    straggler: Num = 0.01  # time lost per doubling of nodes

    def rows(self, index: Any) -> Calibration:
        """The parameters of the selected rows; fields that are single numbers stay so."""
        picked = {
            f.name: v[index] for f in fields(self) if getattr(v := getattr(self, f.name), "ndim", 0)
        }
        return replace(self, **picked)
