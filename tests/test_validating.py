"""The numbers of ``chares validate``, against hand calculations and scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from chares.facts import Facts
from chares.model import prediction_table, validate
from chares.model.comparison import source_regret
from chares.model.validation import (
    by_source,
    constant_utilisation,
    grouped_error,
    measured_step_time,
    null_scores,
    rank_correlation,
    same_jobs,
    score,
)

KEYS = {
    "n", "predicted", "median_abs_error", "mean_abs_error", "p90_abs_error", "grouped_error",
    "coverage80", "rank_correlation", "regret",
}  # fmt: skip
RUN = {
    "id": "a", "framework": "Megatron-LM", "accelerator": "H100-SXM", "n_accel": "64",
    "n_layers": "40", "d_model": "5120", "n_heads": "40", "vocab": "51200", "gated_ffn": "0",
    "seq_len": "4096", "tp": "4", "pp": "1", "micro_batch": "1", "global_batch": "512",
    "precision": "bf16", "recompute": "selective", "published": "2024-06",
}  # fmt: skip


def row(source: str, group: str, **more: str) -> dict[str, str]:
    return {"source_key": source, "group": group, **more}


def test_errors_are_averaged_by_group_and_then_by_source() -> None:
    """Source a: groups with medians 0.2 and 0.4, so 0.3; source b: 0.1. Median of both: 0.2."""
    rows = [row("a", "x"), row("a", "x"), row("a", "x"), row("a", "y"), row("b", "z")]
    predicted = np.array([1.1, 0.8, 1.3, 1.4, 0.9])
    measured = np.ones(5)
    low, high = np.full(5, 0.85), np.full(5, 1.25)
    found = score(rows, predicted, measured, low, high)
    assert found["n"] == found["predicted"] == 5
    assert found["median_abs_error"] == pytest.approx(0.2)
    assert found["mean_abs_error"] == pytest.approx((0.1 + 0.2 + 0.3 + 0.4 + 0.1) / 5)
    assert found["p90_abs_error"] == pytest.approx(0.36)  # 0.6 of the way from 0.3 to 0.4
    assert found["grouped_error"] == pytest.approx(0.2)
    assert found["coverage80"] == 1.0
    sources = by_source(rows, predicted, measured, low, high)
    assert sources["a"]["grouped_error"] == pytest.approx(0.3)
    assert sources["b"]["grouped_error"] == pytest.approx(0.1)
    assert set(found) == KEYS


def test_what_was_not_predicted_is_counted() -> None:
    rows = [row("a", "x")] * 3
    nothing = np.full(3, np.nan)
    found = score(rows, np.array([1.1, np.nan, 1.2]), np.ones(3), nothing, nothing)
    assert (found["n"], found["predicted"]) == (3, 2)
    assert found["coverage80"] is None  # no interval was given
    none = score(rows, nothing, np.ones(3), nothing, nothing)
    assert none["predicted"] == 0
    assert none["median_abs_error"] is None


def test_coverage_counts_what_lies_inside() -> None:
    rows = [row("a", "x")] * 4
    measured = np.array([1.0, 2.0, 3.0, 4.0])
    low, high = np.array([0.9, 2.1, 2.0, 4.0]), np.array([1.1, 2.5, 2.9, 4.0])
    assert score(rows, measured, measured, low, high)["coverage80"] == 0.5


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.floats(0.1, 10)), min_size=3, max_size=30
    )
)  # fmt: skip
def test_rank_correlation_is_spearmans(pairs: list[tuple[float, float]]) -> None:
    a, b = (np.array([float(p[k]) for p in pairs]) for k in (0, 1))
    found = rank_correlation(a, b)
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        assert np.isnan(found)
    else:
        assert found == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)


def test_regret_is_what_the_first_in_rank_costs() -> None:
    """The three ways take 10, 11 and 12 s; the second is predicted fastest: 10 % over the best."""
    job = dict.fromkeys(("model_name", "accelerator", "n_accel", "global_batch", "seq_len"), "1")
    rows = [row("a", str(i), precision="bf16", **job) for i in range(3)]
    rows += [row("a", "other", precision="fp8", **job)]
    assert same_jobs(rows) == [[0, 1, 2]]
    predicted, measured = np.array([9.0, 8.0, 12.0, 1.0]), np.array([10.0, 11.0, 12.0, 5.0])
    found = score(rows, predicted, measured, predicted, predicted)
    assert found["regret"] == pytest.approx(0.1)
    assert found["rank_correlation"] == pytest.approx(0.5)  # ranks 2 1 3 against 1 2 3
    assert source_regret(rows, predicted, measured) == {"a": pytest.approx(0.1)}


def test_a_constant_utilisation_is_the_median_of_the_others() -> None:
    """Ideal times of 1 s. Groups of the chip have medians 2 and 4, so the constant is 3."""
    keys = [("h",), ("h",), ("h",), ("t",)]
    cells = [("a", "x"), ("a", "x"), ("b", "y"), ("c", "z")]
    measured = np.array([1.5, 2.5, 4.0, 10.0])
    fitted = np.array([True, True, True, False])
    found = constant_utilisation(keys, np.ones(4), measured, cells, fitted)
    assert found.tolist() == [3.0, 3.0, 3.0, 3.0]  # a chip without runs gets the median of all
    ideal = np.array([2.0, 1.0, 1.0, 1.0])
    found = constant_utilisation(keys, ideal, measured * ideal, cells, fitted)
    assert found[0] == 6.0


def test_null_models_leave_the_source_out() -> None:
    """Two sources on one chip at 2 and 3 times the ideal: each is predicted by the other."""
    rows = [row(s, s, accelerator="h", precision="bf16") for s in ("a", "b")]
    measured, ideal = np.array([2.0, 3.0]), np.ones(2)
    found = null_scores(rows, ideal, measured)
    assert found["source_chip_precision"]["median_abs_error"] == 0.0
    out = found["chip_precision_source_left_out"]
    assert out["mean_abs_error"] == pytest.approx((0.5 + 1 / 3) / 2)
    assert found["chip_precision"]["mean_abs_error"] == pytest.approx((0.25 + 0.5 / 3) / 2)


def test_grouped_error_of_one_group_is_its_median() -> None:
    error = np.array([0.1, 0.5, 0.2])
    assert grouped_error(error, ["a"] * 3, ["g"] * 3) == {"a": pytest.approx(0.2)}


def test_the_measured_step_time_comes_from_tokens_where_it_is_not_printed() -> None:
    tokens = {"global_batch": "512", "seq_len": "4096", "n_accel": "64"}
    assert measured_step_time({"measured_step_time_s": "3.5", **tokens}) == 3.5
    rate = {"measured_tokens_per_s_per_accel": "8192", **tokens}
    assert measured_step_time(rate) == pytest.approx(512 * 4096 / (8192 * 64))
    assert np.isnan(measured_step_time(tokens))


@pytest.fixture
def predicted(facts: Facts) -> dict[str, Any]:
    return prediction_table([RUN], facts)[0]


def test_validate_compares_step_time_tokens_or_flops(
    facts: Facts, predicted: dict[str, Any]
) -> None:
    """Measured at 1.25 times the predicted time, or 0.8 times its rate: an error of 20 %."""
    time = predicted["predicted_step_time_s"] * 1.25
    tokens = predicted["predicted_tokens_per_s_per_accel"] / 1.25
    flops = predicted["predicted_tflops_per_accel"] / 1.25
    rows = [
        RUN | {"measured_step_time_s": str(time)},
        RUN | {"measured_tokens_per_s_per_accel": str(tokens)},
        RUN | {"measured_tflops_per_accel": str(flops)},
        RUN | {"measured_mfu": "0.4"},  # no convention says what it counts
    ]
    for measured in rows[:3]:
        found = validate([measured], facts)["overall"]
        assert found["median_abs_error"] == pytest.approx(0.2, rel=1e-6)
    whole = validate(rows, facts)
    assert whole["overall"]["n"] == 3
    assert whole["table"]["rows"] == 4


def test_validate_keeps_its_contract(facts: Facts, predicted: dict[str, Any]) -> None:
    time = str(predicted["predicted_step_time_s"])
    rows = [
        RUN | {"source_key": s, "measured_step_time_s": time, "gold": g}
        for s, g in (("a", "1"), ("b", "1"), ("b", "0"))
    ]
    rows.append(RUN | {"source_key": "a", "measured_step_time_s": time, "gold": "1", "tp": "512"})
    found = validate(rows, facts)
    assert {"overall", "by_source", "null"} <= set(found)
    assert set(found["by_source"]) == {"a", "b"}
    for s in (found["overall"], *found["by_source"].values(), *found["null"].values()):
        assert set(s) >= KEYS
    assert (found["overall"]["n"], found["overall"]["predicted"]) == (3, 2)
    assert sum(found["table"]["not_predicted"].values()) == 1
    assert validate(rows, facts, gold=False)["overall"]["n"] == 4


def test_fine_tuning_is_left_out(facts: Facts) -> None:
    rows = [RUN | {"measured_step_time_s": "3", "task": t} for t in ("pretrain", "lora", "")]
    assert validate(rows, facts)["overall"]["n"] == 2


def test_peak_memory_is_compared_by_convention(facts: Facts, predicted: dict[str, Any]) -> None:
    gigabytes = predicted["predicted_peak_mem_GB"]
    run = RUN | {"measured_step_time_s": "3", "peak_mem_GB": str(gigabytes / 1.1)}
    memory = validate([run], facts)["memory"]
    assert memory["by_convention"]["allocated"]["median_abs_error"] == pytest.approx(0.1)
    assert memory["ran_but_called_unfit"] == (0 if predicted["fits"] else 1)
