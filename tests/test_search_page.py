"""What people see of the search: the terminal, the page, JSON, CSV, and the commands."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from chares import report
from chares.errors import InputError, UnknownName
from chares.faces.searching import train
from chares.faces.sizing import compare_chips, size
from chares.faces.sweeping import sweep
from chares.facts import Facts, load
from chares.search import Answer, ask, sizes

SMALL = ["--model", "llama-2-7b", "--chip", "a100-sxm-80gb", "--count", "16", "--batch", "64"]


@pytest.fixture(scope="module")
def answer(facts: Facts) -> Answer:
    return ask("llama-2-7b", "a100-sxm-80gb", 16, facts, global_batch=64, hourly_price=1.5,
               heat=("tp", "recompute"))  # fmt: skip


def test_the_terminal_says_best_rest_and_why(answer: Answer) -> None:
    out = io.StringIO()
    report.print_ranking(answer, [], out)
    text = out.getvalue()
    for wanted in ("Best: tp", "What each choice costs", "Why the rest is out", "does not fit",
                   "Where the time of a step goes", "What the others lack"):  # fmt: skip
        assert wanted in text
    bars = [line for line in text.splitlines() if re.match(r" +\d+ █", line)]
    assert len(bars) == len(answer.best)


def test_the_page_has_its_charts_and_needs_no_network(answer: Answer) -> None:
    found = list(sizes(answer.question, [8, 16, 32]))
    page = report.page(report.ranking_outline(answer, found))
    titles = ("Pareto front: step time against memory", "Where the time of a step goes",
              "Memory of the fullest chip against its limit", "MFU against scale",
              "Slower than the best, by tp and recompute")  # fmt: skip
    for title in titles:
        assert title in page
    assert page.count("<svg") >= 5
    assert not re.search(r'(src|href)="https?://', page.split("<main>")[0])
    drawn = "".join(re.findall(r"<svg.*?</svg>", page, re.S))
    assert "nan" not in drawn
    assert "None" not in drawn


def test_shares_of_the_rejected_sum_to_the_space(answer: Answer) -> None:
    outline = report.ranking_outline(answer)
    rows = next(s for s in outline["sections"] if s["id"] == "rejected")["tables"][0]["rows"]
    told = sum(r["share"]["value"] for r in rows)
    assert told + answer.found.feasible / answer.found.space.size == pytest.approx(1.0)


def test_csv_has_units_in_its_names(answer: Answer) -> None:
    rows = list(csv.DictReader(io.StringIO(report.ranking_csv(answer))))
    assert len(rows) == len(answer.best) + len(answer.pareto)
    assert float(rows[0]["step_time_s"]) == answer.best[0].step_time_s
    assert {"peak_memory_bytes", "cost_usd", "time_linear_s", "list"} <= rows[0].keys()


def test_what_a_runner_up_lacks_adds_up(answer: Answer) -> None:
    """All differences of parts together are the difference of the step."""
    first = answer.best[0]
    for row in answer.best[1:]:
        parts = sum(row.time_s[n] - first.time_s[n] for n in row.time_s)
        assert parts / first.step_time_s == pytest.approx(row.slower_by, abs=1e-9)


def test_the_command_prints_its_contract(tmp_path: Path) -> None:
    files = {n: tmp_path / f"o.{n}" for n in ("html", "csv", "parquet")}
    options = [x for n, path in files.items() for x in (f"--{n}", str(path))]
    whole = ["--all", str(tmp_path / "all.parquet"), "--trace", str(tmp_path / "t.json")]
    result = CliRunner().invoke(train, [*SMALL, "--json", "--scale", *options, *whole])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    for key in ("space", "dimensions", "legal", "evaluated", "feasible", "seconds", "best",
                "rejected", "pareto", "scale"):  # fmt: skip
        assert key in found
    best = found["best"][0]
    for key in ("strategy", "step_time_s", "mfu", "tokens_per_s", "peak_memory_bytes", "days",
                "cost_usd"):  # fmt: skip
        assert key in best
    assert found["legal"] == found["evaluated"]
    assert all(path.stat().st_size for path in files.values())
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]


def test_the_command_hands_over_a_configuration() -> None:
    result = CliRunner().invoke(train, [*SMALL, "--launch", "megatron"])
    assert result.exit_code == 0, result.output
    assert "--tensor-model-parallel-size" in result.stdout


def test_a_wrong_heat_map_is_named() -> None:
    with pytest.raises(InputError):
        CliRunner().invoke(train, [*SMALL, "--heat", "tp"], catch_exceptions=False)
    with pytest.raises(UnknownName):
        CliRunner().invoke(train, [*SMALL, "--heat", "tp,pq"], catch_exceptions=False)


@pytest.mark.parametrize(
    "question",
    [["--deadline", "200day"], ["--budget", "1 MUSD"], ["--budget", "1 MUSD", "--most-tokens"],
     ["--budget", "10 kUSD", "--largest", "chinchilla"], ["--batch-limit", "1Mtoken"]],
)  # fmt: skip
def test_backward_questions_have_a_command(question: list[str]) -> None:
    options = [*SMALL, "--price", "2 USD/chip/h", *question]
    result = CliRunner().invoke(size, [*options, "--json"], catch_exceptions=False)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["answer"]["best"]["days"] > 0


def test_a_backward_question_without_a_question() -> None:
    with pytest.raises(InputError, match="nothing is asked"):
        CliRunner().invoke(size, SMALL, catch_exceptions=False)
    shown = CliRunner().invoke(size, [*SMALL, "--batch-limit", "1Mtoken"])
    assert "best batch under a limit" in shown.output


def test_chips_are_compared_and_mixed() -> None:
    job = ["--model", "llama-2-7b", "--batch", "64"]
    sides = ["--chip", "h20,h800-sxm", "--count", "16", "--to", "CN", "--on", "2023-06-01"]
    result = CliRunner().invoke(compare_chips, [*job, *sides, "--json"], catch_exceptions=False)
    found = {s["chip"]: s for s in json.loads(result.stdout)["sides"]}
    assert found["h800-sxm"]["export"] == "allowed"
    shown = CliRunner().invoke(compare_chips, [*job, *sides], catch_exceptions=False)
    assert "Best that may ship to CN: h800-sxm" in shown.output
    fleet = ["--mixed", "h100-sxm:16,h200-sxm:8"]
    result = CliRunner().invoke(compare_chips, [*job, *fleet, "--json"], catch_exceptions=False)
    assert len(json.loads(result.stdout)["ways"]) == 4
    shown = CliRunner().invoke(compare_chips, [*job, *fleet], catch_exceptions=False)
    assert "Fastest: " in shown.output
    with pytest.raises(InputError):
        CliRunner().invoke(compare_chips, [*job, "--mixed", "h100"], catch_exceptions=False)


def test_a_sweep_has_a_command(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    file = tmp_path / "s.yaml"
    file.write_text("model: llama-2-7b\nchip: h100-sxm\ncount: [8, 16]\nday: 2025-06-01\n")
    result = CliRunner().invoke(sweep, [str(file), "--workers", "1"], catch_exceptions=False)
    assert result.exit_code == 0
    assert (tmp_path / "s.parquet").stat().st_size
    with pytest.raises(InputError, match="no engine"):
        CliRunner().invoke(sweep, [str(file), "--engine", "x"], catch_exceptions=False)
    file.write_text("- no\n- keys\n")
    with pytest.raises(InputError):
        CliRunner().invoke(sweep, [str(file)], catch_exceptions=False)


def test_the_answer_says_how_far_it_may_be_off() -> None:
    seen = ask("llama-3-8b", "h100-sxm", 64, load())
    unseen = ask("llama-3-8b", "mi325x", 64, load())
    assert seen.trust is not None
    assert unseen.trust is not None
    for found in (seen, unseen):
        assert found.trust.low_s < found.best[0].step_time_s < found.trust.high_s
    assert seen.trust.grade == "measured nearby"
    assert unseen.trust.grade == "extrapolated"
    width = {f.chip: f.trust.high_s / f.trust.low_s for f in (seen, unseen)}
    assert width["mi325x"] > width["h100-sxm"]
    assert unseen.as_dict()["trust"]["warning"] == unseen.trust.warning
    outline = report.ranking_outline(unseen)
    assert any("extrapolated" in line for line in outline["answer"])
    assert any("cdna3" in line for line in outline["warnings"])
