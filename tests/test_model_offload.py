"""State in host memory: what it frees and what the host link charges for it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares.facts import Facts
from chares.model import Calibration, Hardware, Shape, Step, Strategy, predict, shape_of

#: an accelerator of round numbers; the host link carries 32 GB/s each way
CHIP = Hardware(
    peak_16=300e12, peak_8=0.0, peak_4=0.0, memory=80e9, memory_bandwidth=2e12,
    scale_up_bandwidth=300e9, scale_up_size=8, scale_out_bandwidth=25e9, node_size=8, tdp=400,
    host_bandwidth=32e9,
)  # fmt: skip
LAYER = 4 * 4096**2 + 3 * 4096 * 11008  # Llama 2 7B: attention, gated FFN
NORMS = 2 * 4096
PLAIN = Strategy(micro_batch=1, global_batch=8, seq_len=4096, zero=0)


@pytest.fixture(scope="module")
def llama(facts: Facts) -> Shape:
    return shape_of(facts, "llama-2-7b")


def step(shape: Shape, strategy: Strategy, **changes: float) -> Step:
    return predict(shape, replace(strategy, **changes), CHIP, Calibration())


def freed(shape: Shape, strategy: Strategy) -> float:
    """Bytes of weights that leave the accelerator."""
    here, away = (step(shape, strategy, offload_weights=o) for o in (0.0, 1.0))
    for tenant in ("gradients", "optimizer", "activations", "logits", "buffers"):
        assert getattr(away.memory, tenant) == getattr(here.memory, tenant)
    return float(here.memory.weights - away.memory.weights)


def test_all_but_two_layers_leave(llama: Shape) -> None:
    # 16-bit weights, 32 layers: 30 go. The calculation by hand leaves the norms out
    assert freed(llama, PLAIN) == pytest.approx(30 * LAYER * 2, rel=2e-4)
    # four stages of eight layers: six go, split over two tensor ranks
    split = replace(PLAIN, pp=4, tp=2)
    assert freed(llama, split) == pytest.approx(6 * LAYER / 2 * 2, rel=2e-4)
    # ZeRO 3 over eight replicas: only the owner's eighth was there
    sharded = replace(PLAIN, zero=3, dp=8)
    assert freed(llama, sharded) == pytest.approx(30 * LAYER / 8 * 2, rel=2e-4)
    # DualPipe holds two stages
    both = replace(PLAIN, pp=4, schedule=3)
    assert freed(llama, both) == pytest.approx(2 * 6 * LAYER * 2, rel=2e-4)
    # two layers a stage: both are at hand anyway
    assert freed(llama, replace(PLAIN, pp=16)) == 0


def test_the_way_back_and_forth_takes_the_link(llama: Shape) -> None:
    """With next to nothing to compute the host link sets the pace: weights come in twice a
    micro-batch and go out once a step; 8 micro-batches."""
    tiny = replace(PLAIN, seq_len=16)
    once = 32 * LAYER * 2 / 32e9
    gap = step(llama, tiny, offload_weights=1.0).step_time_s - step(llama, tiny).step_time_s
    assert gap <= 17 * once * (1 + 1e-3)
    assert step(llama, tiny, offload_weights=1.0).step_time_s >= 17 * once


def test_activations_share_the_way_in(llama: Shape) -> None:
    """Forward: out and in run side by side. Backward: both come in."""
    alone = {n: step(llama, PLAIN, **{n: 1.0}) for n in ("offload_weights", "offload_activations")}
    both = step(llama, PLAIN, offload_weights=1.0, offload_activations=1.0)
    base = step(llama, PLAIN).step_time_s
    times = [x.step_time_s - base for x in alone.values()]
    assert max(times) <= both.step_time_s - base
    assert both.memory.allocated < min(x.memory.allocated for x in alone.values())


@given(
    micro=st.integers(1, 4), tp=st.sampled_from([1, 2, 8]), pp=st.sampled_from([1, 2, 8]),
    zero=st.integers(0, 3), schedule=st.sampled_from([0, 1, 3]), length=st.sampled_from([64, 8192]),
    name=st.sampled_from(["offload_weights", "offload_activations", "offload_optimizer"]),
)  # fmt: skip
def test_offload_is_never_faster_nor_larger(
    llama: Shape, micro: int, tp: int, pp: int, zero: int, schedule: int, length: int, name: str
) -> None:
    strategy = replace(
        PLAIN, micro_batch=micro, tp=tp, pp=pp, zero=zero, dp=4, global_batch=64 * micro,
        schedule=schedule if pp > 1 else 0, seq_len=length,
    )  # fmt: skip
    here, away = (step(llama, strategy, **{name: o}) for o in (0.0, 1.0))
    assert away.step_time_s >= here.step_time_s
    assert away.memory.allocated <= here.memory.allocated
    slower = replace(CHIP, host_bandwidth=16e9)
    assert (
        predict(llama, replace(strategy, **{name: 1.0}), slower, Calibration()).step_time_s
        >= away.step_time_s
    )
