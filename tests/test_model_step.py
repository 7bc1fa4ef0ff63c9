"""The training model: properties that hold whatever the calibration, and a few published runs."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from chares.facts import load
from chares.model import (
    Calibration,
    Hardware,
    Shape,
    Strategy,
    hardware_of,
    layer_times,
    load_calibration,
    model_flops,
    parts_of,
    predict,
)
from chares.model.leaves import setting_of
from chares.model.memory import tenants_of
from chares.model.network import Group, Links, exchange_time, gather_time, reduce_time
from chares.model.strategy import FULL, NONE, PRECISIONS, RECOMPUTATIONS, RECOMPUTED, SELECTIVE

GPT3 = Shape(96, 12288, 96, 96, 128, 49152, 51200, gated=0, tied=1)
LLAMA3_70B = Shape(80, 8192, 64, 8, 128, 28672, 128256)
QWEN3_235B = Shape(
    94, 4096, 64, 4, 128, 0, 151936, n_experts=128, top_k=8, d_expert=1536, n_moe_layers=94
)
A100 = Hardware(312e12, 0.0, 0.0, 85e9, 2.039e12, 300e9, 8, 25e9, 8, 400)
H100 = Hardware(989e12, 1979e12, 0.0, 85e9, 3.35e12, 450e9, 8, 50e9, 8, 700)
JOB = Strategy(tp=8, pp=8, dp=8, micro_batch=1, global_batch=512, seq_len=2048)
MOE_JOB = replace(JOB, tp=1, pp=4, dp=64, ep=32, seq_len=4096, global_batch=2048)


def seconds(shape: Shape = GPT3, s: Strategy = JOB, h: Hardware = H100) -> float:
    return float(predict(shape, s, h, Calibration()).step_time_s)


@pytest.mark.parametrize(("shape", "job"), [(GPT3, JOB), (LLAMA3_70B, JOB), (QWEN3_235B, MOE_JOB)])
def test_the_breakdown_sums_to_the_step(shape: Shape, job: Strategy) -> None:
    step = predict(shape, job, H100, Calibration())
    assert sum(parts_of(step).values()) == pytest.approx(step.step_time_s, rel=1e-12)
    assert all(v >= 0 for v in parts_of(step).values())


@pytest.mark.parametrize(
    "name",
    ["memory_bandwidth", "scale_up_bandwidth", "scale_out_bandwidth", "peak_16"],
)
@pytest.mark.parametrize(("shape", "job"), [(GPT3, JOB), (QWEN3_235B, MOE_JOB)])
def test_time_falls_with_every_rate(name: str, shape: Shape, job: Strategy) -> None:
    times = [
        seconds(shape, job, replace(H100, **{name: getattr(H100, name) * k}))
        for k in (0.5, 1.0, 2.0)
    ]
    assert times[0] >= times[1] >= times[2]  # a collective may hide altogether
    assert times[0] > times[2]


def test_time_is_above_the_bound_of_computation_and_of_bandwidth() -> None:
    for shape, job in ((GPT3, JOB), (LLAMA3_70B, JOB), (QWEN3_235B, MOE_JOB)):
        step = predict(shape, job, H100, Calibration())
        assert step.step_time_s > step.flops / (job.n_chips * H100.peak_16)
        # every weight of the accelerator is read at least once for each micro-batch
        weights = step.memory.weights * job.micro_batches
        assert step.step_time_s > weights / H100.memory_bandwidth


def test_flops_of_gpt3_as_the_paper_of_megatron_counts_them() -> None:
    # Narayanan et al. 2021, eq. 3 without recomputation, per token, causal attention halved:
    # 72 l h^2 (1 + s/(12 h) + V/(12 l h))
    layers, h, vocab, seq = 96, 12288, 51200, 2048
    paper = 72 * layers * h**2 * (1 + seq / (12 * h) + vocab / (12 * layers * h))
    assert float(model_flops(GPT3, 2048)) == pytest.approx(paper, rel=1e-3)


def test_flops_add_up_over_layers() -> None:
    one, two, three = (float(model_flops(replace(LLAMA3_70B, n_layers=n), 4096)) for n in (1, 2, 3))
    assert three - two == pytest.approx(two - one, rel=1e-12)


def test_top_k_scales_the_flops_of_the_experts() -> None:
    per_k = 6 * 94 * 3 * 4096 * 1536  # three matrices of every expert layer, hand count
    four, eight = (float(model_flops(replace(QWEN3_235B, top_k=k), 4096)) for k in (4, 8))
    assert eight - four == pytest.approx(4 * per_k, rel=1e-12)
    small, large = (
        predict(replace(QWEN3_235B, top_k=k), MOE_JOB, H100, Calibration()) for k in (4, 8)
    )
    assert large.breakdown.experts > small.breakdown.experts


def test_selective_recomputation_is_never_slower_than_full() -> None:
    for shape, job in ((GPT3, JOB), (LLAMA3_70B, JOB), (QWEN3_235B, MOE_JOB)):
        none, selective, full = (
            seconds(shape, replace(job, recompute=r)) for r in (NONE, SELECTIVE, FULL)
        )
        assert none <= selective <= full


def test_no_kind_of_recomputation_is_slower_than_full_or_faster_than_none() -> None:
    assert RECOMPUTED.shape == (len(RECOMPUTATIONS), 7)
    assert (RECOMPUTED >= 0).all()
    assert (RECOMPUTED <= 1).all()
    times = [seconds(QWEN3_235B, replace(MOE_JOB, recompute=r)) for r in range(len(RECOMPUTATIONS))]
    assert min(times) == times[NONE]
    assert max(times) == times[FULL]


def test_a_checkpoint_that_stops_early_saves_the_last_gemm_of_full_recomputation_only() -> None:
    # no tensor ranks, so that nothing hides behind the GEMM that falls away
    job = replace(JOB, tp=1, pp=1, dp=64, global_batch=64, recompute=FULL)
    whole, early = (
        predict(LLAMA3_70B, replace(job, early_stop=e), H100, Calibration()).breakdown
        for e in (0.0, 1.0)
    )
    h, ff, kv = 8192, 28672, 1024
    last = h * ff  # of 4 passes over all weights of a layer, one over its last matrix is saved
    passes = 4 * (2 * h * h + 2 * h * kv + 3 * h * ff)
    assert 1 - early.linear / whole.linear == pytest.approx(last / passes, rel=0.03)
    assert early.attention == whole.attention
    half = predict(
        LLAMA3_70B, replace(job, early_stop=1.0, recompute_share=0.5), H100, Calibration()
    )
    assert early.linear > half.breakdown.linear
    for other in (NONE, SELECTIVE):
        plain = replace(job, recompute=other)
        assert seconds(LLAMA3_70B, plain) == seconds(LLAMA3_70B, replace(plain, early_stop=1.0))


def test_sends_hide_behind_a_stage_that_is_slower_than_the_others() -> None:
    def exposed(vocab: int, job: Strategy) -> float:
        return float(predict(replace(GPT3, vocab=vocab), job, H100, Calibration()).breakdown.pp)

    job = replace(JOB, overlap_pp=0.0)
    even, heavy = exposed(51_200, replace(job, balance=1.0)), exposed(2_000_000, job)
    # every hop once, there and back: a tensor rank's slice of a micro-batch over its NIC
    hop = 2 * 2048 * 12288 / 8 / (50e9 * Calibration().out) + Calibration().out_latency
    assert heavy == pytest.approx(2 * 7 * hop)
    assert even == pytest.approx(2 * (7 + 64) * hop)  # stages of equal time hide nothing
    for vocab in (8, 50_000, 2_000_000):
        assert exposed(vocab, replace(job, overlap_pp=1.0)) <= exposed(vocab, job)


def test_launches_that_block_cost_the_host_s_time_in_full() -> None:
    job = replace(JOB, pp=1, dp=64)
    plain, blocking = (
        predict(GPT3, replace(job, blocking=b), H100, Calibration()) for b in (0.0, 1.0)
    )
    c = Calibration()
    launched = 96 * job.micro_batches * 1.4 * c.host * c.blocked  # tensor ranks: 40 % more
    assert blocking.breakdown.host == pytest.approx(launched + c.step)
    assert plain.breakdown.host < blocking.breakdown.host


def test_kernels_start_and_drain_however_little_they_do() -> None:
    c = Calibration(ramp=0.25)

    def ramp(shape: Shape = GPT3, **fields: float) -> float:
        job = replace(JOB, **({"tp": 1, "recompute": 0} | fields))
        with_ramps, without = (
            float(layer_times(shape, job, H100, x).elementwise) for x in (c, replace(c, ramp=0.0))
        )
        return with_ramps - without

    assert ramp() == pytest.approx(0.25 * c.host)
    assert ramp(micro_batch=8) == pytest.approx(ramp())
    assert ramp(tp=8) == pytest.approx(1.4 * ramp())
    assert ramp(graphs=1.0) == pytest.approx(ramp() / 2)
    assert ramp(QWEN3_235B) == pytest.approx(0.25 * (c.host + c.moe_host))
    # a step has a quarter of them with four times the micro-batch
    one, four = (
        predict(GPT3, replace(JOB, micro_batch=b), H100, c).breakdown.elementwise
        - predict(
            GPT3, replace(JOB, micro_batch=b), H100, replace(c, ramp=0.0)
        ).breakdown.elementwise
        for b in (1, 4)
    )
    assert one == pytest.approx(4 * four)


def test_experts_in_a_loop_cost_the_host_each() -> None:
    c = Calibration()
    job = replace(MOE_JOB, expert_loop=1.0, precision=PRECISIONS.index("mxfp8"))

    def host(**fields: float) -> float:
        return float(layer_times(QWEN3_235B, replace(job, **fields), H100, c).host)

    plain = host(expert_loop=0.0)
    assert plain == pytest.approx(c.host + c.moe_host)
    assert host() == pytest.approx(plain + 4 * c.expert_host)  # 128 experts on 32 ranks
    assert host(ep=8) == pytest.approx(plain + 16 * c.expert_host)
    assert host(precision=PRECISIONS.index("bf16")) < host()  # nothing to cast
    # a graph of some parts leaves the experts out, one of the whole iteration has them
    assert host(graphs=0.6) == pytest.approx(0.4 * plain + 4 * c.expert_host)
    assert host(graphs=0.95) == pytest.approx(0.05 * host())
    dense = [
        float(layer_times(GPT3, replace(JOB, expert_loop=e), H100, c).host) for e in (0.0, 1.0)
    ]
    assert dense[0] == dense[1]


def test_gradients_kept_twice_are_added_and_reduced_as_their_wide_copy() -> None:
    quiet = Calibration(out_latency=1e-12, up_latency=1e-12, congestion=1e-12)
    bare = replace(JOB, overlap_dp=0.0, gradient_bytes=2.0)
    copied = replace(bare, gradient_copy_bytes=4.0)
    one, two = (predict(GPT3, job, H100, quiet) for job in (bare, copied))
    # reduce-scatter of 2 bytes and all-gather of 2, against all-reduce of 4 and all-gather of 2
    assert two.breakdown.dp / one.breakdown.dp == pytest.approx((2 * 4 + 2) / (2 + 2))
    # each micro-batch the copy is read and written as well
    weights = 12 * (12 * 12288**2 + 2 * 12288 * 8) / 8  # of 12 layers on 8 tensor ranks
    traffic = 64 * weights * 2 * 4.0
    more = two.breakdown.elementwise - one.breakdown.elementwise
    assert more == pytest.approx(traffic / (3.35e12 * quiet.memory), rel=1e-3)
    whole = replace(copied, zero=0.0, gradient_bytes=4.0, gradient_copy_bytes=0.0)
    kept = replace(whole, gradient_copy_bytes=4.0)
    assert predict(GPT3, kept, H100, quiet).breakdown.dp == pytest.approx(
        predict(GPT3, whole, H100, quiet).breakdown.dp
    )


def test_a_hindered_machine_is_slower_by_its_share() -> None:
    assert seconds(s=replace(JOB, hindered=0.05)) > 1.04 * seconds()
    straggler = [
        predict(GPT3, replace(JOB, hindered=h), H100, Calibration(straggler=1e-12)).breakdown
        for h in (0.0, 0.05)
    ]
    rest = sum(getattr(straggler[1], f.name) for f in fields(straggler[1])) - straggler[1].straggler
    assert straggler[1].straggler == pytest.approx(0.05 * rest)
    assert straggler[0].straggler == pytest.approx(0.0, abs=1e-9)


def test_eager_kernels_of_llama_move_each_operation_s_bytes() -> None:
    c = Calibration(ramp=0.0)
    job = Strategy(dp=8, micro_batch=2, seq_len=8192, global_batch=16)
    llama = Shape(32, 4096, 32, 8, 128, 14336, 128256)

    def bytes_of(shape: Shape, fused: float, **fields: float) -> float:
        layer = layer_times(shape, replace(job, fused=fused, **fields), H100, c)
        return float(layer.elementwise / 2.5 / c.passes * 3.35e12 * c.memory / (2 * 8192))

    # LlamaRMSNorm: to 32 bits (r2 w4), square (r4 w4), mean (r4), scale (r4 w4), back (r4 w2),
    # weight (r2 w2); x + y; rotation as complex numbers; silu(gate) * up
    norm, add = (2 + 4) + (4 + 4) + 4 + (4 + 4) + (4 + 2) + (2 + 2), 2 + 2 + 2
    rotation, gate = (2 + 4) + (4 + 4) + (4 + 2), (2 + 2) + (2 + 2 + 2)
    eager = 2 * (norm + add) * 4096 + rotation * (4096 + 1024) + gate * 14336
    assert bytes_of(llama, 0.0) == pytest.approx(eager)
    assert 2.5 < bytes_of(llama, 0.0) / bytes_of(llama, 1.0) < 3.5
    assert bytes_of(llama, 0.0, tp=4, sp=1) == pytest.approx(eager / 4)
    replicated = 2 * (norm + add) * 4096
    assert bytes_of(llama, 0.0, tp=4, sp=0) == pytest.approx(replicated + (eager - replicated) / 4)
    assert bytes_of(GPT3, 0.0) == pytest.approx(c.unfused * bytes_of(GPT3, 1.0))
    # latent attention rotates 64 of each head, and one key of 64 for all
    latent = Shape(
        61, 7168, 128, 128, 128, 18432, 129280, attention=1, q_lora_rank=1536, kv_lora_rank=512,
        d_nope=128, d_rope=64, d_v=128,
    )  # fmt: skip
    eager = 2 * (norm + add) * 7168 + rotation * (128 + 1) * 64 + gate * 18432
    assert bytes_of(latent, 0.0) == pytest.approx(eager)
    mixed = layer_times(llama, replace(job, fused=np.array([0.0, 1.0])), H100, c).elementwise
    alone = [layer_times(llama, replace(job, fused=f), H100, c).elementwise for f in (0.0, 1.0)]
    assert mixed == pytest.approx(np.array(alone))


def test_tensor_parallel_inputs_are_gathered_in_8_bits() -> None:
    quiet = replace(JOB, overlap_tp=0.0)

    def exposed(precision: str, sp: float = 1.0) -> float:
        job = replace(quiet, sp=sp, precision=PRECISIONS.index(precision))
        return float(layer_times(GPT3, job, H100, c).tp_exposed)

    c = Calibration()
    # both ways, two all-reduces, a gather and a scatter each, a step for each of eight ranks
    launched = 2 * 2 * 2 * 8 * c.up_latency
    moved = [exposed(p) - launched for p in ("bf16", "fp8")]
    assert moved[1] / moved[0] == pytest.approx((1 + 2) / (2 + 2))
    assert exposed("nvfp4") == exposed("fp8")
    assert exposed("fp8", sp=0.0) == exposed("bf16", sp=0.0) == pytest.approx(exposed("bf16"))


def test_frozen_weights_save_their_gradients() -> None:
    job = replace(JOB, tp=1, pp=1, dp=64, gradient_bytes=0.1, optimizer_bytes=0.1)
    whole, frozen = (
        predict(LLAMA3_70B, replace(job, frozen=f), H100, Calibration()) for f in (0, 1)
    )
    assert frozen.breakdown.linear == pytest.approx(whole.breakdown.linear * 2 / 3)
    assert frozen.breakdown.attention == whole.breakdown.attention
    h, kv, ff, vocab = 8192, 1024, 28672, 128256
    weights = 80 * (2 * h * h + 2 * h * kv + 3 * h * ff) + h * vocab
    tokens = 512 * 2048
    assert whole.flops - frozen.flops == pytest.approx(2 * weights * tokens, rel=1e-9)
    again = predict(LLAMA3_70B, replace(job, frozen=1, recompute=FULL), H100, Calibration())
    assert again.breakdown.linear == pytest.approx(whole.breakdown.linear)


def test_products_whose_communication_is_overlapped_run_in_pieces() -> None:
    chip = replace(H100, cores=132.0)
    times = {
        (tp, overlap): float(
            predict(
                LLAMA3_70B,
                replace(JOB, tp=tp, pp=1, dp=64 // tp, global_batch=64, overlap_tp=overlap),
                chip,
                Calibration(),
            ).breakdown.linear
        )
        for tp in (1, 8)
        for overlap in (0.0, 1.0)
    }
    assert times[1, 0.0] == times[1, 1.0]  # one rank has nothing to overlap
    assert times[8, 0.0] < times[8, 1.0] < 1.2 * times[8, 0.0]


def test_one_expert_on_a_rank_is_a_plain_gemm_and_many_are_not() -> None:
    def experts(ep: int, grouped: float) -> float:
        job = replace(MOE_JOB, ep=ep, pp=1, dp=256)
        found = predict(QWEN3_235B, job, H100, replace(Calibration(), grouped=grouped))
        return float(found.breakdown.experts)

    assert experts(128, 0.5) == pytest.approx(experts(128, 1.0))  # 128 experts on 128 ranks
    assert experts(64, 0.5) == pytest.approx(experts(64, 1.0) * 2**0.5)
    assert experts(1, 0.5) == pytest.approx(experts(1, 1.0) * 2 ** (127 / 128))


def test_stragglers_count_domains_where_these_are_larger_than_nodes() -> None:
    def share(domain: int, node: int) -> float:
        chip = replace(H100, scale_up_size=domain, node_size=node)
        parts = predict(GPT3, JOB, chip, replace(Calibration(), straggler=0.01)).breakdown
        others = sum(getattr(parts, f.name) for f in fields(parts)) - parts.straggler
        return float(parts.straggler / others)

    assert share(8, 8) == pytest.approx(0.01 * 6)  # 512 accelerators, 64 nodes: 6 doublings
    assert share(64, 4) == pytest.approx(0.01 * 3)  # 8 domains
    assert share(1, 8) == pytest.approx(0.01 * 6)


def test_an_exchange_hides_behind_all_work_of_a_layer_where_it_may() -> None:
    free = replace(Calibration(), overlap_ep=1.0)
    for job in (MOE_JOB, replace(MOE_JOB, ep=8)):
        exposed = predict(QWEN3_235B, job, H100, free).breakdown
        hidden = predict(QWEN3_235B, replace(job, overlap_ep=1.0), H100, free).breakdown
        work = (
            sum(getattr(exposed, n) for n in ("linear", "attention", "experts", "routing"))
            + exposed.elementwise
        )
        assert exposed.ep > hidden.ep >= max(0.0, exposed.ep - work)


def test_one_stage_has_no_bubble_and_more_micro_batches_have_less() -> None:
    alone = predict(LLAMA3_70B, replace(JOB, pp=1, dp=64), H100, Calibration())
    assert alone.breakdown.bubble == 0
    share = []
    for batch in (64, 256, 1024, 4096):
        step = predict(GPT3, replace(JOB, global_batch=batch), H100, Calibration())
        share.append(float(step.breakdown.bubble / step.step_time_s))
    assert share == sorted(share, reverse=True)
    assert share[-1] < 0.02 < share[0]


def test_no_pipeline_beats_perfect_scaling() -> None:
    one = seconds(GPT3, replace(JOB, pp=1, dp=1, global_batch=64))
    for stages in (2, 4, 8, 16, 32):
        many = seconds(GPT3, replace(JOB, pp=stages, dp=1, global_batch=64))
        assert many > one / stages


def test_layers_that_do_not_divide_are_not_padded() -> None:
    uneven = replace(GPT3, n_layers=94)
    assert seconds(uneven) <= seconds(GPT3)
    assert seconds(uneven) > 0.9 * seconds(GPT3)


def test_the_same_bytes_over_more_ranks_take_longer() -> None:
    links = Links.of(H100, Calibration())
    volume = 1e9
    for time in (gather_time, reduce_time, exchange_time):
        few = float(time(volume, Group.place(16, 1, 8), links))
        many = float(time(volume, Group.place(4096, 1, 8), links))
        assert many > few
    inside = float(gather_time(volume, Group.place(8, 1, 8), links))
    across = float(gather_time(volume, Group.place(8, 8, 8), links))
    assert across > 2 * inside  # one member in each of eight nodes


def test_a_group_inside_the_domain_sends_nothing_outside() -> None:
    slow = Links.of(replace(H100, scale_out_bandwidth=1.0), Calibration())
    fast = Links.of(H100, Calibration())
    group = Group.place(8, 1, 8)
    assert gather_time(1e9, group, slow) == gather_time(1e9, group, fast)


def test_a_ring_takes_a_step_for_each_rank() -> None:
    c = Calibration()
    links = Links.of(H100, c)
    steps = [float(gather_time(0.0, Group.place(n, 1, 72), links)) for n in (1, 2, 8, 16, 72)]
    assert np.array(steps) / c.up_latency == pytest.approx([0, 2, 8, 16, 16])


def test_rings_are_near_what_nccl_expects_and_measures() -> None:
    facts = load()
    table = load_calibration(facts)
    c = table.calibration(setting_of(facts, "a100-sxm-80gb", ""))
    links = Links.of(A100, c)
    # nccl-tests of eight A100 of 40 GB, kept in AFDWang/Hetu-Galvatron,
    # tests/profiler/test_hardware_profile.py: 67 MB at 178.7 GB/s on the bus, 1 GB at 230.8
    lost = 67108864 * 2 * 7 / 8 * (1 / 178.7e9 - 1 / 230.8e9)
    assert float(reduce_time(0.0, Group.place(8, 1, 8), links)) == pytest.approx(lost, rel=0.35)
    # NCCL's own tuning: 8.4 us for the kernel and 3.4 for each of 2 (n - 1) steps of an all-reduce
    for n in (2, 4, 8):
        nccl = 8.4e-6 + 3.4e-6 * 2 * (n - 1)
        assert 1.0 < float(reduce_time(0.0, Group.place(n, 1, 8), links)) / nccl < 2.5


def test_an_exchange_loses_its_own_share_on_each_tier() -> None:
    c = Calibration(up_latency=1e-12, out_latency=1e-12, congestion=1e-12)
    links = Links.of(H100, c)
    inside = exchange_time(1e9, Group.place(8, 1, 8), links)
    assert inside == pytest.approx(1e9 * 7 / 8 / (450e9 * c.up * c.all_to_all))
    across = exchange_time(1e9, Group.place(4, 8, 8), links)  # one rank in each of four domains
    assert across == pytest.approx(1e9 * 3 / 4 / (50e9 * c.out * c.all_to_all_out))


def test_an_exchange_uses_both_tiers_at_once() -> None:
    c = Calibration(up_latency=1e-12, out_latency=1e-12, congestion=1e-12)
    group = Group.place(32, 1, 8)
    links, no_nvlink, no_nics = (
        Links.of(replace(H100, **slow), c)
        for slow in ({}, {"scale_up_bandwidth": 1e15}, {"scale_out_bandwidth": 1e15})
    )
    far, near = (float(exchange_time(1e9, group, x, 0.3)) for x in (no_nvlink, no_nics))
    both = float(exchange_time(1e9, group, links, 0.3))
    assert max(far, near) < both < far + near
    assert both == pytest.approx(np.hypot(far, near), rel=1e-3)


def test_splitting_conserves_parameters() -> None:
    def total(shape: Shape, s: Strategy) -> float:
        a = layer_times(shape, s, H100, Calibration())
        dense = a.dense_parameters - 2.0 * shape.d_model  # norms are held by every rank
        router = shape.n_moe_layers / shape.n_layers * shape.d_model * shape.n_experts
        return float((dense - router) * s.tp + a.expert_parameters * s.ep * s.etp)

    for shape in (LLAMA3_70B, QWEN3_235B):
        whole = total(shape, Strategy())
        for tp, ep, etp in ((2, 1, 1), (4, 8, 1), (4, 8, 4)):
            assert total(shape, Strategy(tp=tp, ep=ep, etp=etp)) == pytest.approx(whole, rel=1e-12)


def test_memory_tenants_sum_to_what_is_allocated() -> None:
    for shape, job in ((GPT3, JOB), (LLAMA3_70B, JOB), (QWEN3_235B, MOE_JOB)):
        memory = predict(shape, job, H100, Calibration()).memory
        assert sum(tenants_of(memory).values()) == pytest.approx(memory.allocated, rel=1e-12)
        assert memory.allocated <= memory.reserved <= memory.device


def test_more_memory_never_makes_a_fitting_strategy_unfit() -> None:
    for bytes_ in (40e9, 80e9, 160e9, 320e9):
        small = predict(GPT3, JOB, replace(H100, memory=bytes_), Calibration()).memory.fits
        large = predict(GPT3, JOB, replace(H100, memory=2 * bytes_), Calibration()).memory.fits
        assert large >= small


def test_rows_and_single_cases_agree() -> None:
    tp, pp = np.array([1.0, 2.0, 4.0, 8.0]), np.array([8.0, 8.0, 4.0, 2.0])
    job = replace(JOB, tp=tp, pp=pp, dp=512 / (tp * pp))
    rows = predict(LLAMA3_70B, job, H100, Calibration())
    for i in range(4):
        single = predict(LLAMA3_70B, job.rows(i), H100, Calibration())
        assert float(single.step_time_s) == pytest.approx(float(rows.step_time_s[i]), rel=1e-12)
        assert float(single.memory.device) == pytest.approx(
            float(np.broadcast_to(rows.memory.device, 4)[i]), rel=1e-12
        )


def test_lower_precision_is_faster_and_a_missing_format_is_no_slower() -> None:
    sixteen, eight = (seconds(GPT3, replace(JOB, precision=p)) for p in (0, 2))
    assert eight < sixteen
    plain = predict(GPT3, replace(JOB, precision=0), A100, Calibration())
    fallback = predict(GPT3, replace(JOB, precision=2), A100, Calibration())
    assert fallback.breakdown.linear <= plain.breakdown.linear * 1.001


def test_every_calibration_parameter_matters() -> None:
    job = replace(
        MOE_JOB, tp=2, dp=16, cp=2, etp=1, pp=4, global_batch=64, precision=np.array([0.0, 5.0]),
        fused=0.0, overlap_ep=1.0, broadcast=1.0, expert_loop=1.0, flash=np.array([1.0, 0.0]),
        schedule=0, balance=1.0,
    )  # fmt: skip
    shape = replace(QWEN3_235B, d_head=100)
    hardware = replace(H100, peak_4=4e15, scale_up_bandwidth=20e9, cores=np.array([0.0, 132.0]))
    before = predict(shape, job, hardware, Calibration())
    memory = {"activation_memory", "workspace", "logit_bytes", "fragmentation", "context_memory"}
    elsewhere = {"progress", "progress_8", "power", "gemm_8"}  # act on others, or on 8 bits alone
    job = replace(job, blocking=np.array([0.0, 1.0]))
    for f in fields(Calibration):
        if f.name not in memory | elsewhere:
            value = getattr(Calibration(), f.name)
            after = predict(shape, job, hardware, replace(Calibration(), **{f.name: value * 0.5}))
            assert not np.array_equal(before.step_time_s, after.step_time_s), f.name


@pytest.fixture(scope="module")
def published() -> list[tuple[str, Shape, Strategy, str, float]]:
    """Runs with their source: Narayanan et al. 2021, table 1 (TFLOP/s per GPU with recomputation);
    Megatron-LM's README is not used."""
    full = replace(
        JOB, sp=0.0, recompute=FULL, flash=0.0, zero=0.0, overlap_tp=0.0, overlap_dp=0.0,
        overlap_pp=0.0, gradient_bytes=2.0,
    )  # fmt: skip
    return [
        ("39.1B", Shape(48, 8192, 64, 64, 128, 32768, 51200, gated=0, tied=1),
         replace(full, tp=8, pp=2, dp=32, global_batch=1536, micro_batch=4), "a100-sxm-80gb", 138),
        ("145.6B", Shape(80, 12288, 96, 96, 128, 49152, 51200, gated=0, tied=1),
         replace(full, tp=8, pp=8, dp=24, global_batch=2304, micro_batch=2), "a100-sxm-80gb", 148),
    ]  # fmt: skip


def test_published_utilisation_within_a_quarter(
    published: list[tuple[str, Shape, Strategy, str, float]],
) -> None:
    facts = load()
    for name, shape, job, chip, rate in published:
        step = predict(shape, job, hardware_of(facts, chip), Calibration())
        # the paper counts full attention and the recomputed forward pass
        h, layers, seq = shape.d_model, shape.n_layers, job.seq_len
        counted = 96 * job.global_batch * seq * layers * h**2 * (
            1 + seq / (6 * h) + shape.vocab / (16 * layers * h)
        )  # fmt: skip
        found = counted / (float(step.step_time_s) * float(job.n_chips)) / 1e12
        assert found == pytest.approx(rate, rel=0.25), name
