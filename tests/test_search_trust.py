"""Every predicted time has an interval, a grade of evidence, and a warning far from all runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from chares import report
from chares.faces.sizing import compare_chips, size
from chares.facts import Facts
from chares.model.intervals import GRADES as GRADES_OF_THE_MODEL
from chares.search import (
    Question,
    Size,
    Sweep,
    Trust,
    best_batch,
    days_for,
    fewest_chips,
    largest_model,
    mixed,
    most_tokens,
    question_for,
    side_by_side,
    sizes,
    sweep,
)
from chares.search.trusting import GRADES, beside, trust, widest

KEYS = {
    "step_time_low_s", "step_time_high_s", "days_low", "days_high", "cost_low_usd",
    "cost_high_usd", "grade", "warning",
}  # fmt: skip
NEAR = Trust(9.0, 10.0, 12.0, "measured nearby", "")
FAR = Trust(14.0, 20.0, 26.0, "extrapolated", "no run of a; seq_len is outside")


@pytest.fixture(scope="module")
def unseen(facts: Facts) -> str:
    """A chip of a generation that no fitted run has."""
    seen = facts.document("calibration/training")["evidence"]["seen"]
    chips = ("ascend-910c", "trainium2", "mi325x", "h20")
    return next(c for c in chips if facts.subject(c).tags["generation"] not in seen)


def job(facts: Facts, chip: str = "h100-sxm", count: int = 32, batch: int = 256) -> Question:
    return question_for(
        "llama-2-7b", chip, count, facts, tokens=1e12, seq_len=4096, global_batch=batch,
        hourly_price=2.0,
    )  # fmt: skip


def holds(plain: dict[str, Any]) -> None:
    """Low, likely and high stand in order, and days and cost have the shares of the step."""
    low, high = (plain[f"step_time_{end}_s"] / plain["step_time_s"] for end in ("low", "high"))
    assert low < 1.0 < high
    for name, unit in (("days", ""), ("cost", "_usd")):
        likely = plain[name + unit]
        assert plain[f"{name}_low{unit}"] == pytest.approx(likely * low, rel=1e-12)
        assert plain[f"{name}_high{unit}"] == pytest.approx(likely * high, rel=1e-12)
    assert plain["grade"] in GRADES


def test_the_grades_are_those_of_the_model_in_its_order() -> None:
    assert GRADES == GRADES_OF_THE_MODEL


def test_several_kinds_are_as_sure_as_the_weakest() -> None:
    """Ratios 0.9 to 1.2 and 0.7 to 1.3, of a step of 30 s."""
    both = widest([NEAR, FAR], 30.0)
    assert both is not None
    assert (both.low_s, both.likely_s, both.high_s) == pytest.approx((21.0, 30.0, 39.0))
    assert (both.grade, both.warning) == (FAR.grade, FAR.warning)
    fitted = replace(NEAR, grade="fitted", warning="no run of a")
    assert widest([fitted, NEAR], 1.0) == Trust(0.9, 1.0, 1.2, "fitted", "no run of a")
    again = widest([FAR, fitted, FAR], 1.0)
    assert again is not None
    assert again.warning == FAR.warning  # each once
    assert widest([NEAR, None], 30.0) is None


def test_what_has_no_days_has_none_beside_it() -> None:
    found = beside(NEAR, None, 100.0)
    assert found.keys() == KEYS
    assert (found["days_low"], found["days_high"]) == (None, None)
    assert (found["cost_low_usd"], found["cost_high_usd"]) == pytest.approx((90.0, 120.0))
    assert set(beside(None, 1.0, 1.0).values()) == {None}


def test_answers_to_backward_questions_carry_the_interval(facts: Facts) -> None:
    asked = job(facts)
    for found in (
        fewest_chips(asked, 40.0),
        days_for(asked, 150_000.0),
        most_tokens(asked, 50_000.0),
        best_batch(asked, 4e6),
        largest_model(asked, 20_000.0, "chinchilla", facts),
    ):
        holds(found.as_dict()["answer"]["best"])
        for tried in found.as_dict()["tried"]:
            assert tried["best"] is None or tried["best"].keys() >= KEYS


def test_a_size_where_nothing_fits_has_no_interval(facts: Facts) -> None:
    asked = question_for("llama-3.1-405b", "h100-sxm", 8, facts, global_batch=8)
    (found,) = sizes(asked, [8], grow=False)
    assert (found.best, found.trust) == (None, None)
    assert found.as_dict()["best"] is None


def test_a_question_made_by_hand_has_times_without_interval(facts: Facts) -> None:
    asked = job(facts)
    bare = Question(asked.model, asked.chip, asked.precision, asked.asked)
    found: Size = next(sizes(bare, [32]))
    assert found.best is not None
    assert found.trust is None
    assert trust(bare, asked.asked.template, 1.0) is None
    outline = report.size_outline(bare, fewest_chips(bare, 40.0))
    assert "Intervals" not in " ".join(outline["answer"])


def test_a_chip_without_runs_is_extrapolated_with_a_warning(facts: Facts, unseen: str) -> None:
    questions = [job(facts, chip) for chip in ("h100-sxm", unseen)]
    known, far = (side.as_dict() for side in side_by_side(questions, facts))
    for side in (known, far):
        holds(side["best"])
        share = side["energy_low_j"] / side["energy_j"]
        assert share == pytest.approx(side["best"]["days_low"] / side["best"]["days"], rel=1e-12)
    assert known["best"]["warning"] == ""
    assert far["best"]["grade"] == "extrapolated"
    generation = facts.subject(unseen).tags["generation"]
    assert far["best"]["warning"] == f"no fitted run has the chip generation `{generation}`"
    outline = report.sides_outline(questions[0], side_by_side(questions, facts))
    (line,) = [w for w in outline["warnings"] if generation in w]
    assert line.startswith(f"{unseen}: ")


def test_a_mixed_fleet_is_as_sure_as_its_least_known_kind(facts: Facts, unseen: str) -> None:
    alone, far, *both = mixed([job(facts, c, 16, 64) for c in ("h100-sxm", unseen)]).ways
    assert alone.trust is not None
    assert far.trust is not None
    (only,) = alone.parts
    assert only.trust is not None
    assert (alone.trust.grade, far.trust.grade) == (only.trust.grade, "extrapolated")
    low, high = zip(*(t.around(1.0) for t in (alone.trust, far.trust)), strict=True)
    for way in (w for w in both if w.step_time_s):
        assert way.trust is not None
        assert way.trust.likely_s == way.step_time_s
        assert way.trust.around(1.0) == pytest.approx((min(low), max(high)), rel=1e-12)
        assert (way.trust.grade, way.trust.warning) == ("extrapolated", far.trust.warning)
    assert any(w.step_time_s for w in both)


# the commands ------------------------------------------------------------------------------------

JOB = ["--model", "llama-2-7b", "--seq", "4096", "--tokens", "1 Ttoken", "--batch", "64"]


def said(command: Any, *words: str) -> str:
    result = CliRunner().invoke(command, [*JOB, *words], catch_exceptions=False)
    return str(result.stdout)


def test_size_tells_the_days_of_its_answer_with_their_interval(unseen: str) -> None:
    words = ["--chip", unseen, "--deadline", "100day"]
    plain = json.loads(said(size, *words, "--json"))
    best = plain["answer"]["best"]
    assert best.keys() >= KEYS
    assert best["days_low"] < best["days"] <= 100.0
    text = said(size, *words)
    days, low, high = (best[k] * 86400.0 for k in ("days", "days_low", "days_high"))
    assert f", {report.shown(days, 's', low, high)}" in text.splitlines()[2]
    assert "Intervals are meant to hold four times in five (evidence: extrapolated)." in text
    assert "no run that the model was fitted to has a chip of the generation" in text
    japanese = said(size, *words, "--lang", "ja")
    assert "区間には5回に4回入る見込み（根拠: 実測のない範囲への外挿）。" in japanese
    assert "世代のチップはない" in japanese
    assert "外挿" in japanese.partition("時間と費用")[2]


def test_chips_side_by_side_show_intervals_and_evidence(unseen: str) -> None:
    words = ["--chip", f"h100-sxm,{unseen}", "--count", "16"]
    sides = json.loads(said(compare_chips, *words, "--json"))["sides"]
    assert all(s["best"].keys() >= KEYS for s in sides)
    assert sides[1]["best"]["grade"] == "extrapolated"
    assert all(s["energy_low_j"] < s["energy_j"] < s["energy_high_j"] for s in sides)
    for lang, head, to, grade in (("en", "evidence", " to ", "extrapolated"),
                                  ("ja", "根拠", "〜", "外挿")):  # fmt: skip
        lines = said(compare_chips, *words, "--lang", lang).splitlines()
        assert any(head in line for line in lines)
        assert any(line.startswith(unseen) and to in line and grade in line for line in lines)


def test_a_mixed_fleet_shows_intervals_and_evidence(unseen: str) -> None:
    words = ["--mixed", f"h100-sxm:8,{unseen}:8"]
    found = json.loads(said(compare_chips, *words, "--json"))
    assert found.keys() >= KEYS
    for way in found["ways"]:
        assert way.keys() >= KEYS
        assert all(p["best"].keys() >= KEYS for p in way["parts"])
        assert (way["grade"] is None) == (way["step_time_s"] is None)
    fastest = next(w for w in found["ways"] if w["step_time_s"] == found["step_time_s"])
    assert {k: found[k] for k in KEYS} == {k: fastest[k] for k in KEYS}
    text, japanese = said(compare_chips, *words), said(compare_chips, *words, "--lang", "ja")
    assert "Time and cost" in text
    assert "extrapolated" in text
    assert "時間と費用" in japanese
    assert "区間には5回に4回入る見込み" in japanese


def test_rows_of_a_sweep_have_the_columns(tmp_path: Path, unseen: str) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    plan = Sweep.of({"model": ["llama-2-7b", "nothing"], "chip": ["h100-sxm", unseen], "count": 8})
    sweep(plan, tmp_path / "s.parquet", lambda chip, day: 2.0, workers=1)
    near, far, *errors = parquet.read_table(tmp_path / "s.parquet").to_pylist()
    for row in (near, far):
        holds(row)
    assert near["grade"] != "extrapolated"
    assert far["grade"] == "extrapolated"
    assert "no fitted run has the chip generation" in far["warning"]
    assert [(r["step_time_low_s"], r["grade"]) for r in errors] == [(None, None)] * 2
