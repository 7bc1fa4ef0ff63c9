"""Predictions of published runs that lie beside the checkout, as an outsider would ask for them."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from chares.facts import Facts
from chares.model import fit_own_runs, prediction_table, read_rows, validate
from chares.model.validation import measured_step_time

pytestmark = pytest.mark.slow
CHARES = (sys.executable, "-m", "chares")
ROUND = 1e-4  # six digits are printed


@pytest.fixture(scope="module")
def points(request: pytest.FixtureRequest) -> Path:
    shared: Path = request.getfixturevalue("shared_data")
    return shared / "training_points.csv"


@pytest.fixture(scope="module")
def rows(points: Path) -> list[dict[str, str]]:
    return read_rows(points)


@pytest.fixture(scope="module")
def predicted(points: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    """The file that ``chares predict`` writes; the whole process within two seconds."""
    out = tmp_path_factory.mktemp("predicted") / "out.csv"
    words = (*CHARES, "predict", str(points), "--out", str(out))
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run(words, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    assert min(times) < 2.0, times
    with out.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_row_has_an_answer_or_a_reason(
    rows: list[dict[str, str]], predicted: list[dict[str, str]]
) -> None:
    assert [p["id"] for p in predicted] == [r["id"] for r in rows]
    for p in predicted:
        if p["error"]:
            assert not [k for k, v in p.items() if v and k not in ("id", "error")]
            continue
        low, likely, high = (
            float(p[k]) for k in ("step_time_low_s", "predicted_step_time_s", "step_time_high_s")
        )
        assert 0 < low <= likely <= high < math.inf
        assert 0 < float(p["predicted_mfu"]) < 1
        assert 0 < float(p["predicted_peak_mem_GB"]) < math.inf
        assert p["fits"] in ("true", "false")
        assert p["bottleneck"]


def test_most_rows_are_predicted(
    rows: list[dict[str, str]], predicted: list[dict[str, str]]
) -> None:
    good = np.array([not p["error"] for p in predicted])
    gold = np.array([r["gold"] == "1" for r in rows])
    assert gold.sum() == 1056
    assert good[gold].mean() >= 0.99
    assert good.mean() >= 0.85


def test_the_columns_agree_with_each_other(
    rows: list[dict[str, str]], predicted: list[dict[str, str]]
) -> None:
    """tokens/s x step time = batch x length, for the rows that give all of them."""
    checked = 0
    for r, p in zip(rows, predicted, strict=True):
        complete = all(r[c] for c in ("global_batch", "seq_len", "tp", "pp", "cp", "dp"))
        if p["error"] or not complete:
            continue
        ranks = math.prod(int(r[c]) for c in ("tp", "pp", "cp", "dp"))
        if ranks != int(r["n_accel"]):
            continue
        rate = float(p["predicted_tokens_per_s_per_accel"]) * ranks
        tokens = rate * float(p["predicted_step_time_s"])
        assert tokens == pytest.approx(float(r["global_batch"]) * float(r["seq_len"]), rel=ROUND)
        checked += 1
    assert checked > 1200


def test_the_model_beats_both_nulls_where_they_know_no_more(points: Path) -> None:
    words = (*CHARES, "validate", str(points), "--json")
    found = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    overall, null = found["overall"], found["null"]
    assert overall["n"] >= 1042
    assert overall["predicted"] == overall["n"]
    assert overall["grouped_error"] <= 0.07
    assert overall["grouped_error_mean"] <= 0.08
    assert overall["regret"] <= 0.02
    assert overall["regret_worst_source"] <= 0.08
    assert overall["grouped_error"] < 0.6 * null["chip_precision"]["grouped_error"]
    assert overall["median_abs_error"] < 0.7 * null["source_chip_precision"]["median_abs_error"]
    left_out = null["chip_precision_source_left_out"]["grouped_error"]
    assert left_out > 1.3 * null["chip_precision"]["grouped_error"]


def test_rows_without_gold_marks_are_all_compared(rows: list[dict[str, str]], facts: Facts) -> None:
    """An outsider's table has no such columns, and then every measured row counts."""
    kept = [r for r in rows if r["source_key"] == "torchtitan"]
    plain = [
        {k: v for k, v in r.items() if k not in ("gold", "tier", "derived_step_time_s")}
        for r in kept
    ]
    found = validate(plain, facts)["overall"]
    assert found["n"] == len(kept)
    assert found["median_abs_error"] < 0.15


def test_single_node_runs_that_no_fit_saw(shared_data: Path, facts: Facts) -> None:
    runs = read_rows(shared_data / "training_points_vtrain_single.csv")
    found = validate(runs, facts)["overall"]
    assert found["predicted"] == len(runs) == 1440
    assert found["median_abs_error"] <= 0.12


@pytest.mark.parametrize("source", ["mbridge", "bigscience", "maxtext", "vtrain"])
def test_ten_runs_of_a_source_do_not_spoil_its_others(
    rows: list[dict[str, str]], facts: Facts, source: str
) -> None:
    """The published fit knows these runs already: a calibration by ten of them may gain little."""
    own = [r for r in rows if r["source_key"] == source and r["gold"] == "1"]
    own = [r for r in own if np.isfinite(measured_step_time(r))]
    picked = Random(3).sample(own, 10)
    rest = [r for r in own if r not in picked]
    fit = fit_own_runs(picked, facts)
    before = validate(rest, facts)["overall"]["median_abs_error"]
    after = validate(rest, facts, fit.document)["overall"]["median_abs_error"]
    assert after < before + 0.03


def mutilate(row: dict[str, str], random: Random) -> dict[str, str]:
    """A few cells emptied, swapped or overwritten."""
    cells: list[Any] = [
        "",
        "0",
        "-1",
        "nan",
        "inf",
        "1e400",
        "x",
        "1.5",
        "999999",
        "\x00",
        "2" * 50,
    ]
    columns = [c for c in row if c != "id"]
    changed = dict(row)
    for column in random.sample(columns, random.randint(1, 5)):
        changed[column] = random.choice([*cells, row[random.choice(columns)]])
    return changed


def test_mutilated_published_rows_never_break_the_table(
    rows: list[dict[str, str]], facts: Facts
) -> None:
    random = Random(20)
    bad = [mutilate(random.choice(rows), random) for _ in range(3000)]
    table = prediction_table(bad, facts)
    assert len(table) == len(bad)
    for found in table:
        values = [v for v in found.values() if isinstance(v, float)]
        assert all(0.0 < v < math.inf for v in values)
        assert bool(found["error"]) != bool(values)
    assert sum(not t["error"] for t in table) > 1000
    validate(bad, facts)
    validate(bad, facts, gold=False)
