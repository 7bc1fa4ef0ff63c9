"""Single operations: the last wave of a matrix product against tiles laid one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares.facts import load
from chares.model import hardware_of
from chares.model.calibration import Calibration
from chares.model.compute import TILES, Rates, cut_gemm_time, gemm_time, wasted

A100 = hardware_of(load(), "a100-sxm-80gb")
PLAIN = replace(Calibration(), tail=1.0)
sizes = st.integers(1, 20_000)


def rates(cores: float = 108.0) -> Rates:
    return Rates.of(replace(A100, cores=cores), PLAIN, np.array(0.0))


def laid(m: int, n: int, cores: int) -> float:
    """Output elements that all cores could have computed in the time of the product."""
    best = np.inf
    for height, width, speed in TILES:
        for rows, columns in ((height, width), (width, height)):
            tiles = -(-m // int(rows)) * -(-n // int(columns))
            waves = -(-tiles // cores)
            best = min(best, waves * cores * rows * columns / speed)
    return float(best)


def test_the_cores_of_the_a100_are_on_record() -> None:
    assert A100.cores == 108  # of the 128 of the full chip


def test_a_product_of_whole_waves_wastes_nothing() -> None:
    # 6 x 18 tiles of 256 x 128: one on each of 108 cores
    assert wasted(6 * 256, 18 * 128, rates()) == 0.0


def test_one_tile_more_costs_a_wave() -> None:
    """109 tiles on 108 cores take two turns, unless smaller ones soften the step."""
    one, more = (float(gemm_time(256.0, n * 128.0, 8192.0, 1.0, 2.0, rates())) for n in (108, 109))
    assert 1.05 < more / one < 2.0


@given(sizes, sizes, st.integers(1, 200))
def test_waste_is_that_of_tiles_laid_one_by_one(m: int, n: int, cores: int) -> None:
    found = wasted(float(m), float(n), rates(float(cores)))
    assert found == pytest.approx(laid(m, n, cores) - m * n)
    assert found >= -1e-6


@given(sizes, sizes, st.integers(1, 500))
def test_a_larger_product_is_never_faster(m: int, n: int, more: int) -> None:
    k, r = 4096.0, rates()
    small = gemm_time(float(m), float(n), k, 1.0, 2.0, r)
    assert gemm_time(float(m + more), float(n), k, 1.0, 2.0, r) >= small
    assert gemm_time(float(m), float(n + more), k, 1.0, 2.0, r) >= small


def test_without_a_count_of_cores_the_average_is_lost() -> None:
    assert wasted(1000.0, 1000.0, rates(0.0)) == PLAIN.wave
    both = Rates.of(replace(A100, cores=np.array([0.0, 108.0])), PLAIN, np.array(0.0))
    found = wasted(1000.0, 1000.0, both)
    assert found[0] == PLAIN.wave
    assert found[1] == wasted(1000.0, 1000.0, rates())


@given(sizes, sizes, st.sampled_from([1, 2, 4, 8]), st.floats(0.0, 1.0))
def test_pieces_of_a_product_are_never_faster_than_the_whole(
    m: int, n: int, pieces: int, share: float
) -> None:
    k, r = 4096.0, rates()
    whole = gemm_time(float(m), float(n), k, 1.0, 2.0, r)
    cut = cut_gemm_time(float(m), float(n), k, pieces, share, 1.0, 2.0, r)
    every = pieces * gemm_time(m / pieces, float(n), k, 1.0, 2.0, r)
    assert whole <= cut * (1 + 1e-12)
    assert cut == pytest.approx((1 - share) * whole + share * every)
    assert cut_gemm_time(float(m), float(n), k, 1, share, 1.0, 2.0, r) == pytest.approx(whole)
