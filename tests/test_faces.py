"""The command line: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from chares.faces.cli import COMMANDS, main

CASE = """\
name: a small case
as_of: 2025-01-01
fleet: [{chip: h100-sxm, count: 1000, online: 2024-06-01}]
train: {compute: 1e24 FLOP, mfu: 40 %}
claims:
  - {id: wrong, says: a million chips, about: site.chips, value: 1000000}
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command in this process; gives (exit code, stdout, stderr)."""

    def call(*words: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main(list(words))
        out = capsys.readouterr()
        return int(stop.value.code or 0), out.out, out.err

    return call


@pytest.fixture
def case(tmp_path: Path) -> str:
    path = tmp_path / "case.yaml"
    path.write_text(CASE)
    return str(path)


def test_help_names_every_command_with_examples(run: Any) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(name in out for name in COMMANDS)
    assert "Examples:" in out


@pytest.mark.parametrize("words", [(), ("permit",)])
def test_a_group_alone_prints_its_help(run: Any, words: tuple[str, ...]) -> None:
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: chares")
    assert "Examples:" in out


def test_an_unknown_command_names_the_nearest_and_then_all(run: Any) -> None:
    err = run("plna")[2]
    assert "hint: did you mean `plan`? commands: plan, why, train," in err
    hint = run("zzz")[2].partition("hint: ")[2].strip()
    assert hint == "commands: " + ", ".join(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(run: Any, command: str) -> None:
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage: chares " + command in out


def test_plan_answers_first_and_exits_0_although_a_claim_fails(run: Any, case: str) -> None:
    code, out, err = run("plan", case)
    assert code == 0
    assert err == ""
    assert out.startswith("a small case")
    assert out.index("days") < out.index("Sources")
    assert "fails" in out


def test_strict_exits_1_when_a_claim_fails(run: Any, case: str) -> None:
    assert run("plan", case, "--strict")[0] == 1
    right = ("--set", "claims.0.value=1000")
    assert run("plan", case, "--strict", *right)[0] == 0


def test_json_is_the_outline_with_the_contract_of_claims(run: Any, case: str) -> None:
    code, out, _ = run("plan", case, "--json")
    outline = json.loads(out)
    assert code == 0
    assert outline["schema_version"] == 1
    assert re.fullmatch(r"[0-9a-f]{16}", outline["facts_hash"])
    (claim,) = outline["claims"]
    contract = {
        "id", "says", "who", "through", "on", "status", "scope", "claimed", "computed", "unit",
        "off_by", "verdict", "why",
    }  # fmt: skip
    assert contract <= set(claim)
    assert claim["off_by"] == pytest.approx(999)
    assert {s["stage"] for s in outline["not_asked"]} or outline["not_asked"] == []


def test_html_is_one_page_that_needs_no_network(run: Any, case: str, tmp_path: Path) -> None:
    page = tmp_path / "plan.html"
    code, out, err = run("plan", case, "--html", str(page))
    assert code == 0
    assert out == ""
    assert str(page) in err
    text = page.read_text()
    assert text.lower().startswith("<!doctype html>")
    assert "<svg" in text
    assert not re.search(r'(?:src|href)\s*=\s*"(?:https?:)?//', re.sub(r"<a [^>]*>", "", text))


def test_a_page_that_cannot_be_written_leaves_nothing(run: Any, case: str, tmp_path: Path) -> None:
    code, _, err = run("plan", case, "--html", str(tmp_path / "no" / "plan.html"))
    assert code == 2
    assert err.startswith("error[cannot-write]")
    assert not list(tmp_path.glob("**/*.part"))


def test_japanese(run: Any, case: str) -> None:
    _, out, _ = run("plan", case, "--lang", "ja")
    assert re.search(r"[ぁ-ん]", out)


def test_settings_change_the_plan(run: Any, case: str) -> None:
    days = []
    for count in (1000, 2000):
        _, out, _ = run("plan", case, "--set", f"fleet.count={count}", "--json")
        days.append(json.loads(out)["figures"]["run.training_time_ideal"]["value"])
    assert days[0] == pytest.approx(2 * days[1])


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["plan", "no-such-case"], "unknown-case"),
        (["plna"], "unknown-command"),
        (["plan"], "bad-option"),
        (["plan", "colossus-1", "--set", "fleet"], "bad-set"),
        (["plan", "colossus-1", "--set", "train.mfu=200 %"], "out-of-range"),
        (["plan", "colossus-1", "--as-of", "yesterday"], "not-a-day"),
        (["why", "colossus-1", "bill.totl"], "unknown-figure"),
        (["facts", "h1000"], "unknown-fact"),
        (["law", "no-such-law"], "unknown-law"),
        (["permit", "export", "--chip", "h21", "--to", "CN", "--on", "2025-01-01"], "unknown-chip"),
        (["permit", "export", "--chip", "h20", "--to", "CN", "--on", "2025-13-01"], "not-a-day"),
        (["permit", "report", "--on", "2024-06-01", "--compute", "3 W"], "unit-mismatch"),
        (["train", "--model", "gpt3-175b", "--chip", "a100", "--count", "0"], "bad-option"),
        (
            ["permit", "export", "--chip", "h20", "--to", "UK", "--on", "2025-01-01"],
            "not-a-country",
        ),
        (
            [
                "size",
                "--model",
                "llama-3-8b",
                "--chip",
                "h20",
                "--deadline",
                "9 day",
                "--budget",
                "1 MUSD",
            ],
            "several-questions",
        ),
        (["size", "--model", "llama-3-8b", "--chip", "h20", "--most-tokens"], "no-question"),
        (["size", "--model", "llama-3-8b", "--chip", "h20"], "no-question"),
        (["compare-chips", "--model", "llama-3-8b", "--chip", " ,"], "not-a-fleet"),
        (["train", "--model", "gpt9", "--chip", "h100-sxm", "--count", "8"], "unknown-model"),
    ],
)
def test_bad_words_get_one_clear_error_and_exit_2(run: Any, words: list[str], code: str) -> None:
    status, out, err = run(*words)
    assert status == 2
    assert out == ""
    assert err.startswith(f"error[{code}]")
    assert "hint:" in err
    assert "Traceback" not in err


def test_nothing_fits_exits_1(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_text(
        "name: too big\nas_of: 2025-01-01\nfleet: [{chip: h100-sxm, count: 8}]\n"
        "train: {model: llama-3.1-405b, tokens: 1 Ttoken, seq_len: 8192, global_batch: 64}\n"
    )
    status, _, err = run("plan", str(path))
    assert status == 1
    assert "does not fit" in err


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["train", "--model", "llama-3-8b", "--chip", "h20", "--count", "8", "--tokens", "15T"],
         "hint: a number of tokens is wanted, such as `14.8 Ttoken`; units look like"),
        (["plan", "colossus-1", "--set", "train.tokens=15T"], "such as `14.8 Ttoken`; units"),
        (["permit", "export", "--chip", "h20", "--to", "china", "--on", "2025-01-01"],
         "`CN` is China"),
        (["permit", "export", "--chip", "h20", "--to", "UK", "--on", "2025-01-01"],
         "`GB` is Britain (UK)"),
        (["facts", "zzz"], "such as `chares facts h100 memory`"),
        (["why", "deepseek-v3", "zzz"], "all stand under `figures`"),
        (["train", "--model", "llama-3-9b", "--chip", "h20", "--count", "8"],
         ", or give the path of a `config.json`"),
    ],
)  # fmt: skip
def test_hints_say_what_to_write(run: Any, words: list[str], hint: str) -> None:
    assert hint in run(*words)[2]


def test_a_day_out_of_reach_is_said_on_stderr(run: Any) -> None:
    words = ("train", "--model", "llama-3-8b", "--chip", "h100-sxm", "--count", "8", "--on")
    code, out, err = run(*words, "1999-01-01")
    assert code == 0
    assert "warning" not in out
    assert err.startswith("warning: 1999-01-01: h100-sxm came out on 2022-09-20")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("count: [8, x]", "`count` is x"),
        ("count: [0]", "whole numbers from 1 to 10,000,000"),
        ("count: []", "`count` is empty"),
        ("count: [true]", "`count` is True"),
        ("count:", "give `count: [1024, 2048]`"),
        ("count: [8]\nseq_len: [1.5]", "`seq_len` is 1.5"),
        ("count: [8]\nday: [2025-02-29]", "`day` is 2025-02-29"),
        ("count: [8]\nprecision: [fp8]", "one of bf16"),
        ("count: [8]\ntokens: 5 W", "`tokens`: `5 W` is a power"),
        ("count: [8]\nsed_len: 5", "did you mean `seq_len`?"),
    ],
)
def test_a_sweep_that_makes_no_sense_is_refused(
    run: Any, tmp_path: Path, line: str, says: str
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(f"model: [llama-3-8b]\nchip: [h100-sxm]\n{line}\n")
    code, _, err = run("sweep", str(path))
    assert (code, list(tmp_path.glob("*.parquet"))) == (2, [])
    assert err.startswith("error[bad-sweep]")
    assert says in err


def test_rows_of_a_sweep_without_an_answer_are_counted(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text("model: [llama-3-8b, llama-3.1-405b]\nchip: h100-sxm\ncount: 8\n")
    code, _, err = run("sweep", str(path), "--workers", "1")
    assert code == 0
    assert "2 rows" in err
    assert "1 without a strategy: does not fit in memory" in err
    assert run("sweep", str(path), "--out", str(tmp_path / "x.csv"))[0] == 2


def test_permit_export_has_the_shape_of_the_contract(run: Any) -> None:
    words = ("--chip", "NVIDIA H20", "--to", "cn", "--on", "2025-04-15", "--json")
    status, out, _ = run("permit", "export", *words)
    answer = json.loads(out)
    assert status == 0
    assert {"verdict", "policy", "paragraph", "because", "facts", "flips"} <= set(answer)
    assert answer["verdict"] == "licence"


@pytest.mark.parametrize(("day", "verdict"), [("2025-04-08", "allowed"), ("2025-04-09", "licence")])
def test_permit_text_begins_with_the_verdict(run: Any, day: str, verdict: str) -> None:
    out = run("permit", "export", "--chip", "h20", "--to", "CN", "--on", day)[1]
    assert out.startswith(verdict)


def test_permit_import_report_and_power(run: Any) -> None:
    words = ("permit", "import", "--chip", "h20", "--into", "CN", "--on", "2025-09-20")
    assert run(*words)[0] == 0
    out = run("permit", "report", "--on", "2024-06-01", "--compute", "4.64e26 FLOP")[1]
    assert out.startswith("notify")
    words = ("--site", "colossus-1", "--place", "memphis", "--on", "2025-06-01")
    assert run("permit", "power", *words)[0] == 0


def test_facts_stand_side_by_side(run: Any) -> None:
    out = run("facts", "h800-sxm", "peak_fp8")[1]
    assert "1,979" in out
    assert "1,513" in out
    rows = json.loads(run("facts", "h800-sxm", "peak_fp8", "--json")[1])
    assert len(rows) == 2
    assert sum(r["holds"] for r in rows) == 1


def test_law_lists_and_shows(run: Any) -> None:
    assert "3a090-2023" in run("law")[1]
    shown = run("law", "law/us/eo-14110", "--as-of", "2025-01-21")[1]
    assert "rescinded" in shown
    assert "in force" in run("law", "eo-14110", "--as-of", "2025-01-19")[1].splitlines()[1]


def test_schema_describes_a_case(run: Any) -> None:
    schema = json.loads(run("schema")[1])
    assert {"fleet", "site", "train", "claims"} <= set(schema["properties"])


def test_cases_are_listed(run: Any) -> None:
    out = run("cases")[1]
    assert "colossus-1" in out
    assert "deepseek-v3" in out


def test_why_goes_down_to_sources(run: Any) -> None:
    out = run("why", "colossus-1", "run.training_time")[1]
    assert "Epoch" in out
    assert "mfu" in out.lower()
    assert len(run("why", "colossus-1", "run.training_time", "--depth", "1")[1]) < len(out)


SMALL = "train --model llama-2-7b --chip h100-sxm --count 16"


@pytest.mark.parametrize(
    "command", ["plan colossus-1", SMALL, f"{SMALL} --json", f"{SMALL} --launch megatron"]
)
@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_closed_pipe_is_no_error(command: str, reader: str) -> None:
    script = f"{sys.executable} -m chares {command} | {reader}; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "0"
    assert done.stderr == ""


def test_a_ranking_is_as_of_the_day_that_was_asked_for(run: Any) -> None:
    first = run(*SMALL.split(), "--on", "2024-03-01")[1].splitlines()[0]
    assert first.endswith("as of 2024-03-01")


@pytest.mark.parametrize("option", [("--tokens", "-5 Ttoken"), ("--price", "0 USD/chip/h")])
def test_an_amount_of_nothing_or_less_is_refused_by_its_option(
    run: Any, option: tuple[str, str]
) -> None:
    code, out, err = run("train", "--model", "llama-3-8b", "--chip", "h100-sxm", "--count", "8",
                         *option)  # fmt: skip
    assert (code, out) == (2, "")
    assert err.startswith(f"error[not-positive]: `{option[1]}` must be above 0, at {option[0]}")


def printed(table: dict[str, Any], width: int) -> str:
    """A table alone, on a terminal so wide."""
    from io import StringIO

    from chares.report.terminal import print_outline

    section = {"title": "S", "notes": [], "tables": [table], "charts": []}
    outline = {"name": "n", "lang": "en", "as_of": "2025-01-01", "known_by": None, "answer": [],
               "warnings": [], "sections": [section], "claims": [], "sources": [], "assumed": [],
               "not_asked": []}  # fmt: skip
    text = StringIO()
    print_outline(outline, text, width)
    return text.getvalue()


@pytest.mark.parametrize("width", [30, 60, 100])
def test_a_number_is_never_cut_however_narrow_the_terminal(width: int) -> None:
    columns = [f"a rather long heading {i}" for i in range(12)]
    row = {c: {"value": 1, "shown": f"123,4{i:02} s"} for i, c in enumerate(columns)}
    table = {"id": "t", "title": "T", "fold": False, "rows": [row],
             "columns": [{"key": c, "label": c, "unit": ""} for c in columns]}  # fmt: skip
    text = printed(table, width)
    assert all(cell["shown"] in text for cell in row.values())


@pytest.mark.parametrize("width", [33, 34, 35, 60])
def test_a_rank_is_never_cut_either(width: int) -> None:
    cells = {c: {"value": 1, "shown": "123.45 s"} for c in "abc"}  # 3 x 8, gaps, and the rank: 35
    table = {"id": "t", "title": "T", "fold": False,
             "rows": [{"rank": str(i)} | cells for i in range(1, 11)],
             "columns": [{"key": k, "label": k[0], "unit": ""}
                         for k in ("rank", *cells)]}  # fmt: skip
    text = printed(table, width)
    assert re.findall(r"^ *(\d+) ", text, re.MULTILINE) == [str(i) for i in range(1, 11)]
