"""Seconds of single operations from their shape: GEMMs, attention, memory-bound work.

A GEMM of m x n x k costs its FLOPs at the attainable rate, what its last wave of tiles leaves idle
(counted where the chip's cores are known, half a wave on average elsewhere), the filling and
draining of each tile's pipeline (as if k were deeper by a constant), and its bytes. Operations and
bytes overlap: the root of the sum of squares is the roofline with its corner rounded.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chares.model.shape import LATENT
from chares.model.strategy import OPERAND_BITS

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.calibration import Calibration
    from chares.model.hardware import Hardware
    from chares.model.shape import Shape


#: tiles of the output that one core computes, and the speed of their kernels against the first's
#: (assumed): a smaller one reads its operands more often, and fills the last wave better
TILES = ((256.0, 128.0, 1.0), (128.0, 128.0, 0.9), (128.0, 64.0, 0.75), (64.0, 64.0, 0.5))
WIDEST = TILES[0][0] * TILES[0][1]


@dataclass(frozen=True, slots=True)
class Rates:
    """Seconds per FLOP, per byte, and the output elements that the last wave wastes."""

    linear: Num  # s/FLOP of the block's GEMMs in their precision
    linear_bytes: Num  # bytes per operand element
    head: Num  # s/FLOP of GEMMs that stay in 16 bits
    attention: Num  # s/FLOP of the attention core with head size 128
    byte: Num  # s/byte of memory traffic
    wave: Num  # on average
    depth: Num
    cores: Num  # 0: not known
    tail: Num

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
            np.where(
                np.greater(hardware.cores, 0),
                0.5 * calibration.tail * hardware.cores * WIDEST,
                calibration.wave,
            ),
            calibration.depth,
            hardware.cores,
            calibration.tail,
        )


def wasted(m: Num, n: Num, rates: Rates) -> Num:
    """Output elements of m x n that the last wave of tiles computes in vain, with the tile that
    is the fastest for it, the better way round. What splitting k regains is in ``tail``."""
    if not np.any(rates.cores):
        return rates.wave
    cores = np.maximum(rates.cores, 1.0)
    busy: Num = np.inf
    for long, short, speed in TILES:
        tiles = np.ceil(m / long) * np.ceil(n / short)
        if long > short:
            tiles = np.minimum(tiles, np.ceil(m / short) * np.ceil(n / long))
        busy = np.minimum(busy, np.ceil(tiles / cores) * (cores * long * short / speed))
    return np.where(np.greater(rates.cores, 0), rates.tail * (busy - m * n), rates.wave)


def gemm_time(m: Num, n: Num, k: Num, flop: Num, element_bytes: Num, rates: Rates) -> Num:
    """Seconds of C[m,n] = A[m,k] B[k,n]; ``flop`` is seconds per FLOP. C is in 16 bits."""
    area = m * n
    operations = 2.0 * (k + rates.depth) * (area + wasted(m, n, rates)) * flop
    traffic = (element_bytes * (m + n) * k + 2.0 * area) * rates.byte
    return np.sqrt(operations * operations + traffic * traffic)


def cut_gemm_time(
    m: Num, n: Num, k: Num, pieces: Num, share: Num, flop: Num, element_bytes: Num, rates: Rates
) -> Num:
    """Seconds of a GEMM of which ``share`` runs as ``pieces`` along m, one after the other."""
    whole = gemm_time(m, n, k, flop, element_bytes, rates)
    if not np.any(share):
        return whole
    cut = pieces * gemm_time(m / pieces, n, k, flop, element_bytes, rates)
    return whole + share * (cut - whole)


def attended(seq_len: Num, window: Num, share: Num) -> Num:
    """Mean tokens that a token attends to: (s+1)/2, and w(1 - w/2s) in windowed layers."""
    full = 0.5 * (seq_len + 1.0)
    w = np.minimum(np.where(np.asarray(window) > 0, window, seq_len), seq_len)
    return full + share * (w * (1.0 - 0.5 * w / seq_len) - 0.5 * seq_len)


def attention_dimensions(shape: Shape) -> tuple[Num, Num, Num]:
    """Width of the query and of the value (all heads), and whether attention is latent."""
    latent = np.asarray(shape.attention) == LATENT
    d_query = np.where(latent, shape.d_nope + shape.d_rope, shape.d_head)
    d_value = np.where(latent, shape.d_v, shape.d_head)
    return shape.n_heads * d_query, shape.n_heads * d_value, latent
