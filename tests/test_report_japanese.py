"""Searches in Japanese: every heading and sentence of train, size and compare-chips."""

from __future__ import annotations

import io
import re
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from chares import report
from chares.faces.cli import main
from chares.facts import Facts
from chares.model import SCHEDULE_RULES
from chares.report.messages import catalogue
from chares.search import Answer, ask, fewest_chips, largest_model, side_by_side, sizes

JAPANESE = re.compile(r"[぀-ヿ一-鿿]")
KEPT = {"MFU", "TPP", "#", "チップ"}  # words of the field


@pytest.fixture(scope="module")
def answer(facts: Facts) -> Answer:
    return ask(
        "mixtral-8x7b", "h100-sxm", 32, facts, tokens=1e12, hourly_price=2.0, heat=("tp", "ep")
    )


def sentences(outline: dict[str, Any]) -> list[str]:
    """Whatever an outline says in words: names of settings (tp, zero) stay as they are typed."""
    found = [outline["name"], *outline["answer"], *outline["warnings"]]
    for section in outline["sections"]:
        found += [section["title"], *section["notes"]]
        found += [c["title"] for c in section["charts"]]
        for table in section["tables"]:
            found += [table["title"]] if table["title"] else []
            found += [c["label"] for c in table["columns"] if len(c["label"]) > 5]
    return [text for text in found if text not in KEPT]


def test_a_ranking_is_japanese_throughout(answer: Answer) -> None:
    outline = report.ranking_outline(answer, list(sizes(answer.question, [16, 32])), "ja")
    lines = [s for s in sentences(outline) if s not in answer.found.space.dimensions]
    assert [s for s in lines if not JAPANESE.search(s)] == []
    page = report.page(outline)
    assert '<html lang="ja">' in page
    text = io.StringIO()
    report.print_ranking(answer, [], text, "ja")
    assert "Where" not in text.getvalue()
    assert "1位の内訳" in text.getvalue()


def test_every_reason_of_a_rejection_has_its_sentence(answer: Answer) -> None:
    reasons = {*answer.found.rejected, *SCHEDULE_RULES}
    assert [r for r in reasons if f"rejected.{r}" not in catalogue()] == []


def test_the_sides_of_the_space_multiply_to_its_size(answer: Answer) -> None:
    (note,) = report.ranking_outline(answer)["sections"][-1]["notes"]
    sides, _, size = note.removeprefix("The space: ").removesuffix("strategies; dp follows.") \
        .partition("=")  # fmt: skip
    assert prod(map(int, sides.split("x"))) == int(size.replace(",", ""))


def test_sizes_and_sides_are_japanese(answer: Answer, facts: Facts) -> None:
    asked = answer.question
    outlines = [
        report.size_outline(asked, fewest_chips(asked, 200.0), "ja"),
        report.size_outline(asked, largest_model(asked, 1e6, "chinchilla", facts), "ja"),
        report.sides_outline(asked, side_by_side([asked], facts), "CN", {"h100-sxm": "denied"},
                             "ja"),
    ]  # fmt: skip
    for outline in outlines:
        assert [s for s in sentences(outline) if not JAPANESE.search(s)] == []
    (row,) = outlines[-1]["sections"][0]["tables"][0]["rows"]
    assert row["export"] == "不可"


def test_no_chip_that_fits_may_ship_although_one_that_does_not_is_free(facts: Facts) -> None:
    questions = [ask("llama-3-70b", chip, 16, facts).question for chip in ("h20", "v100-sxm2-32gb")]
    sides = side_by_side(questions, facts)
    exports = {"h20": "licence", "v100-sxm2-32gb": "allowed"}
    lines = report.sides_outline(questions[0], sides, "CN", exports)["answer"]
    assert lines == [
        "None that runs the job may ship to CN.", "v100-sxm2-32gb: does not fit in memory.",
        "Intervals are meant to hold four times in five.",
    ]  # fmt: skip


MEASURED = """\
id,source,framework,accelerator,n_accel,n_layers,d_model,n_heads,tp,pp,global_batch,seq_len,\
measured_step_time_s
a,,Megatron-LM,H100-SXM,64,40,5120,40,4,1,512,4096,9.5
b,x,Megatron-LM,H100-SXM,128,40,5120,40,4,2,512,4096,5.1
"""


def test_tables_of_runs_are_japanese_and_stand_in_columns(tmp_path: Path, run: Any) -> None:
    table = tmp_path / "runs.csv"
    table.write_text(MEASURED)
    said = run("validate", str(table), "--rows", "all", "--lang", "ja")
    assert not re.search(r"median|grouped|utilisation|predicted", said)
    head, *rows = [line for line in said.splitlines() if re.search(r"損失$|  .*%$", line)]
    ends = {cell_len(line[: line.index("%") + 1]) for line in rows}  # of the median's column
    assert ends == {cell_len(head[: head.index("中央値") + 3])}
    fitted = run("calibrate", str(table), "--out", str(tmp_path / "m.yaml"), "--lang", "ja")
    assert "構成2通り" in fitted
    assert "generation" not in fitted
    english = run("validate", str(table), "--rows", "all")
    assert "(no source)" in english
    assert all(line == line.rstrip() for line in english.splitlines())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command prints to stdout."""

    def call(*words: str) -> str:
        with pytest.raises(SystemExit) as stop:
            main(list(words))
        assert not stop.value.code
        return capsys.readouterr().out

    return call


def test_a_search_in_vain_has_no_empty_sections(facts: Facts) -> None:
    found = ask("llama-3-8b", "h100-sxm", 1, facts)
    assert not found.best
    outline = report.ranking_outline(found)
    assert [s["id"] for s in outline["sections"]] == ["rejected"]
    assert outline["answer"][0].startswith("Nothing fits: the smallest needs")


@pytest.mark.parametrize("lang", ["en", "ja"])
def test_names_of_a_legend_do_not_overlap(answer: Answer, lang: str) -> None:
    """Letters are 8 px wide at most, Japanese ones 15 px, at the size of the page."""
    page = report.page(report.ranking_outline(answer, lang=lang))
    for drawn in re.findall(r"<svg.*?</svg>", page, re.S):
        names = re.findall(r'<text x="([\d.]+)" y="([\d.]+)" class="name"[^>]*>([^<]+)<', drawn)
        for (x, y, name), (after, line, _) in pairwise(names):
            wide = cell_len(name) * (7.5 if JAPANESE.search(name) else 8.0)
            assert y != line or float(x) + wide <= float(after) - 17
            assert float(x) + wide <= 700
