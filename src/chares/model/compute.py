"""Seconds of single operations from their shape: GEMMs, attention, memory-bound work.

A GEMM of m x n x k costs its FLOPs at the attainable rate, half a wave of tiles more (the last wave
is on average half empty: a library picks tiles so that the loss is no worse), the filling and
draining of each tile's pipeline (as if k were deeper by a constant), and its bytes. Operations and
bytes overlap: the root of the sum of squares is the roofline with its corner rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chares.model.strategy import OPERAND_BITS

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.calibration import Calibration
    from chares.model.hardware import Hardware


@dataclass(frozen=True, slots=True)
class Rates:
    """Seconds per FLOP, per byte, and the output elements that the last wave wastes."""

    linear: Num  # s/FLOP of the block's GEMMs in their precision
    linear_bytes: Num  # bytes per operand element
    head: Num  # s/FLOP of GEMMs that stay in 16 bits
    attention: Num  # s/FLOP of the attention core with head size 128
    byte: Num  # s/byte of memory traffic
    wave: Num
    depth: Num

    @classmethod
    def of(cls, hardware: Hardware, calibration: Calibration, precision: Num) -> Rates:
        """The attainable rates. A format that the chip lacks runs at the next wider one."""
        bits = OPERAND_BITS[np.asarray(precision, dtype=np.intp)]
        wide = hardware.peak_16 * calibration.gemm
        eight = np.maximum(hardware.peak_8 * calibration.gemm_8, wide)
        four = np.maximum(hardware.peak_4 * calibration.gemm_4, eight)
        rate = np.where(bits == 16, wide, np.where(bits == 8, eight, four))
        return cls(
            1.0 / rate,
            bits / 8.0,
            1.0 / wide,
            1.0 / (hardware.peak_16 * calibration.attention),
            1.0 / (hardware.memory_bandwidth * calibration.memory),
            calibration.wave,
            calibration.depth,
        )


def gemm_time(m: Num, n: Num, k: Num, flop: Num, element_bytes: Num, rates: Rates) -> Num:
    """Seconds of C[m,n] = A[m,k] B[k,n]; ``flop`` is seconds per FLOP. C is in 16 bits."""
    area = m * n
    operations = 2.0 * (k + rates.depth) * (area + rates.wave) * flop
    traffic = (element_bytes * (m + n) * k + 2.0 * area) * rates.byte
    return np.sqrt(operations * operations + traffic * traffic)


def attended(seq_len: Num, window: Num, share: Num) -> Num:
    """Mean tokens that a token attends to: (s+1)/2, and w(1 - w/2s) in windowed layers."""
    full = 0.5 * (seq_len + 1.0)
    w = np.minimum(np.where(np.asarray(window) > 0, window, seq_len), seq_len)
    return full + share * (w * (1.0 - 0.5 * w / seq_len) - 0.5 * seq_len)
