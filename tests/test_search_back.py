"""Questions asked backwards, chips side by side, sweeps that are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chares.errors import CharesError, InputError
from chares.facts import Facts
from chares.model import count_parameters
from chares.search import (
    Question,
    Sweep,
    best_batch,
    days_for,
    fewest_chips,
    largest_model,
    most_tokens,
    optimal_tokens,
    question_for,
    scaled_shape,
    side_by_side,
    sweep,
)


@pytest.fixture(scope="module")
def job(facts: Facts) -> Question:
    return question_for(
        "llama-2-7b", "h100-sxm", 64, facts, tokens=1e12, seq_len=4096, global_batch=1024,
        hourly_price=2.0,
    )  # fmt: skip


def test_fewest_chips_are_enough_and_fewer_are_not(job: Question) -> None:
    found = fewest_chips(job, 20.0)
    assert found.answer is not None
    assert found.answer.best is not None
    assert found.answer.best.days is not None
    assert found.answer.best.days <= 20.0
    for size in found.tried:
        if size.chips < found.answer.chips:
            assert size.best is None or (size.best.days or 0.0) > 20.0
    assert fewest_chips(job, 1e-6).answer is None


def test_a_budget_buys_the_fewest_days_it_can(job: Question) -> None:
    budget = 150_000.0
    found = days_for(job, budget)
    assert found.answer is not None
    assert found.answer.best is not None
    assert (found.answer.best.cost_usd or 0.0) <= budget
    cheap = [s.best.days for s in found.tried if s.best and (s.best.cost_usd or 0.0) <= budget]
    assert found.answer.best.days == min(d for d in cheap if d)
    assert days_for(job, 1.0).answer is None


def test_most_tokens_use_the_budget_up(job: Question) -> None:
    found = most_tokens(job, 50_000.0)
    assert found.answer is not None
    assert found.answer.best is not None
    assert found.answer.best.cost_usd == pytest.approx(50_000.0, rel=1e-9)


def test_chinchilla_is_twenty_tokens_for_each_parameter(facts: Facts, job: Question) -> None:
    tokens = optimal_tokens(job.asked.shape, 4096, "chinchilla", facts)
    assert tokens == pytest.approx(20 * count_parameters(job.asked.shape).active)


def test_the_rule_of_llama_3_gives_its_own_model_back(facts: Facts) -> None:
    """3.8e25 FLOP: 402 B parameters on 16.55 T tokens (Llama 3, 3.2.1); 405 B at most 10 % off."""
    question = question_for("llama-3.1-405b", "h100-sxm", 8, facts, seq_len=8192)
    tokens = optimal_tokens(question.asked.shape, 8192, "llama-3", facts)
    assert tokens == pytest.approx(1.655e13, rel=0.15)


def test_a_larger_budget_trains_a_larger_model(facts: Facts, job: Question) -> None:
    small, large = (largest_model(job, usd, "chinchilla", facts) for usd in (20_000.0, 80_000.0))
    assert small.value is not None
    assert large.value is not None
    # compute grows as the square of the parameters: four times the money, twice the model
    assert large.value / small.value == pytest.approx(2.0, rel=0.25)
    assert large.answer is not None
    assert large.answer.best is not None
    assert (large.answer.best.cost_usd or 0.0) <= 80_000.0
    with pytest.raises(InputError):
        largest_model(job, 1e5, "no-rule", facts)


def test_a_scaled_shape_has_about_the_parameters(job: Question) -> None:
    base = count_parameters(job.asked.shape).total
    for factor in (0.3, 1.0, 5.0):
        scaled = count_parameters(scaled_shape(job.asked.shape, factor)).total
        assert scaled / base == pytest.approx(factor, rel=0.3)


def test_the_best_batch_respects_its_limit(job: Question) -> None:
    found = best_batch(job, 8e6)
    assert found.value is not None
    assert found.value * 4096 <= 8e6
    critical = best_batch(job, 8e6, critical=0.5e6)
    assert critical.value is not None
    assert critical.value <= found.value


def test_what_is_missing_is_asked_for(facts: Facts) -> None:
    bare = question_for("llama-2-7b", "h100-sxm", 8, facts, tokens=1e12)
    with pytest.raises(InputError, match="price"):
        days_for(bare, 1e6)


# side by side -----------------------------------------------------------------------------------


def test_chips_side_by_side(facts: Facts) -> None:
    chips = ("h100-sxm", "h800-sxm", "h20", "tpu-v5p", "trainium2", "ascend-910c", "mi300x")
    questions = [
        question_for("llama-2-70b", c, 256, facts, global_batch=512, seq_len=4096) for c in chips
    ]
    sides = {s.chip: s for s in side_by_side(questions, facts)}
    assert all(s.best for s in sides.values())
    best = {chip: s.best.days for chip, s in sides.items() if s.best and s.best.days}
    # the H20 has 148 of the H100's 989 TFLOP/s
    assert best["h20"] > 3 * best["h100-sxm"]
    # the same chip with slower links
    assert best["h800-sxm"] >= 0.9 * best["h100-sxm"]
    assert (sides["h20"].energy_j or 0.0) > 0
    assert sides["h20"].tpp is not None
    assert sides["h20"].tpp < 4800 < (sides["h100-sxm"].tpp or 0.0)


# sweeps -----------------------------------------------------------------------------------------

FILE = """
model: [llama-2-7b, llama-2-13b, nothing]
chip: [h100-sxm, a100-sxm-80gb]
count: [8, 16, 32, 64]
seq_len: [2048, 4096]
global_batch: [64, 128]
day: [2025-06-01]
"""


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "chares", "sweep", "s.yaml", "--out", "s.parquet"]
    return subprocess.Popen([*command, "--workers", "1"], cwd=folder, start_new_session=True)


@pytest.mark.slow
def test_a_sweep_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "s.yaml").write_text(FILE)
    parts = tmp_path / "s.parquet.parts"
    kills = 0
    for wanted in (1, 3):
        run = start(tmp_path)
        limit = time.monotonic() + 60
        while run.poll() is None and time.monotonic() < limit:
            if len(list(parts.glob("*.parquet"))) >= wanted:
                os.killpg(run.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.002)
        run.wait()
    left = {p.name: p.stat().st_mtime_ns for p in parts.glob("*.parquet")} if kills else {}
    assert kills
    assert start(tmp_path).wait() == 0
    assert left
    whole = parquet.read_table(tmp_path / "s.parquet").to_pylist()
    assert [r["row"] for r in whole] == list(range(96))
    assert not parts.exists()
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    (fresh / "s.yaml").write_text(FILE)
    assert start(fresh).wait() == 0
    assert (fresh / "s.parquet").read_bytes() == (tmp_path / "s.parquet").read_bytes()
    assert {r["error"] for r in whole if r["model"] == "nothing"} == {
        "unknown-model: there is no model `nothing`"
    }


def test_parts_of_another_sweep_are_not_mixed_in(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    plan = Sweep.of({"model": "llama-2-7b", "chip": "h100-sxm", "count": [8]})
    folder = tmp_path / "s.parquet.parts"
    folder.mkdir()
    (folder / "sweep").write_text("another")
    with pytest.raises(InputError, match="another sweep"):
        sweep(plan, tmp_path / "s.parquet", lambda chip, day: None)


@pytest.mark.parametrize("document", [{}, {"model": 1}, {"modell": 1}, {"model": [], "chip": "x"}])
def test_a_bad_sweep_says_so(document: dict[str, object]) -> None:
    with pytest.raises(CharesError, match="bad-sweep"):
        Sweep.of(document)
