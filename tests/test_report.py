"""What readers see: numbers, the outline, the terminal, trees, the page, both languages."""

from __future__ import annotations

import io
import json
import math
import re
from datetime import date
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares import report
from chares.claims import VERDICTS, hold
from chares.errors import InputError
from chares.facts import Facts
from chares.ledger import KINDS, Estimate, Figure, NotAsked, formula, leaf
from chares.model import Breakdown
from chares.planner import Plan, plan
from chares.report.messages import Messages, catalogue
from chares.report.numerals import as_written, rounded, shown
from chares.spec import Case, Claim, read_case, shipped_cases

DAY = 86400.0
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
REPORT = Path(report.__file__).parent


@cache
def planned(name: str) -> Plan:
    return plan(read_case(name))


@cache
def outlined(name: str, lang: str = "en") -> dict[str, Any]:
    return report.outline(planned(name), lang)


@formula("C / r", unit="s")
def duration(C: float, r: float) -> float:
    return C / r


@formula("a + b", unit="s")
def together(a: float, b: float) -> float:
    return a + b


def small_plan(name: str = "Small", says: str = "done in 100 days") -> Any:
    """A plan of one run: 1.2e12 FLOP at 1e5 FLOP/s, which the case guesses between 0.8 and 1.25."""
    work = leaf("case:train.compute", 1.2e12, "FLOP", kind="stated", source="the case")
    rate = leaf("h100-sxm.peak_bf16", 1e5, "FLOP/s", kind="assumed", low=8e4, high=1.25e5,
                source="nvidia-h100-datasheet", where="table 1")  # fmt: skip
    time = duration(work, rate)
    assert isinstance(time, Figure)
    time = time.named("run.training_time", "Training time")
    claim = Claim(id="c", says=says, about="run.training_time", value="100 day", status="done")
    estimate = Estimate(96 * DAY, time.value, 174 * DAY)
    found = hold([claim], lambda _: time, lambda _: estimate, lambda _: "")
    case = Case(name=name, as_of=date(2025, 1, 1), claims=(claim,))
    nothing = NotAsked("the case has no fleet")
    return SimpleNamespace(
        case=case, facts=planned("colossus-1").facts, site=nothing, steps=nothing, weeks=nothing,
        bill=nothing, verdicts=nothing, held=found, figures={"run.training_time": time},
        estimates={"run.training_time": estimate},
    )  # fmt: skip


# numbers ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "low", "high", "english", "japanese"),
    [
        (136 * DAY, "s", 121 * DAY, 158 * DAY, "136 (121 to 158) days", "136（121〜158）日"),
        (168 * DAY, "s", None, None, "168 days", "168日"),
        (1 * 3600, "s", None, None, "60 minutes", "60分"),
        (0.5, "s", None, None, "500 ms", "500ミリ秒"),
        (1.5e8, "W", None, None, "150 MW", "150 MW"),
        (2.1e9, "W", 1.7e9, 2.6e9, "2.1 (1.7 to 2.6) GW", "2.1（1.7〜2.6）GW"),
        (5.576e6, "USD", None, None, "5.58 M USD", "558万ドル"),
        (9.3e9, "USD", 8.1e9, 10.4e9, "9.3 (8.1 to 10.4) B USD", "93（81〜104）億ドル"),
        (1.2e12, "USD", None, None, "1.2 T USD", "1.2兆ドル"),
        (9.3e9, "USD2025", None, None, "9.3 B USD (2025)", "93億ドル（2025年）"),
        (2 / 3600, "USD/s", None, None, "2 USD/hour", "2ドル/時間"),
        (62 / 3.6e9, "USD/J", None, None, "62 USD/MWh", "62ドル/MWh"),
        (4.64e26, "FLOP", None, None, "4.64e26 FLOP", "4.64e26 FLOP"),
        (100000, "chip", None, None, "100,000 chips", "10万基"),
        (102400, "chip", None, None, "102,400 chips", "10万2400基"),
        (1, "chip", None, None, "1 chip", "1基"),
        (0.4, "%", 0.34, 0.46, "40 (34 to 46) %", "40（34〜46）%"),
        (0.0004, "%", None, None, "0.04 %", "0.04%"),
        (80e9, "B", None, None, "80 GB", "80 GB"),
        (3.35e12, "B/s", None, None, "3.35 TB/s", "3.35 TB/s"),
        (14.8e12, "token", None, None, "14.8 T tokens", "14.8兆トークン"),
        (3.6e9 * 2.788e6 / 1e6, "chip*s", None, None, "2.79 M chip-hours", "278万8000チップ時間"),
        (date(2025, 2, 17).toordinal(), "date", None, None, "2025-02-17", "2025-02-17"),
        (0.0, "USD", None, None, "0 USD", "0ドル"),
        (-5.2e6, "USD", None, None, "-5.2 M USD", "-520万ドル"),
        (math.inf, "s", None, None, "never", "到達せず"),
        ("grid", "text", None, None, "grid", "grid"),
        (None, "s", None, None, "–", "–"),
    ],
)
def test_numbers_as_readers_want_them(
    value: Any, unit: str, low: Any, high: Any, english: str, japanese: str
) -> None:
    assert shown(value, unit, low, high) == english
    assert shown(value, unit, low, high, "ja") == japanese


@given(st.floats(1e-6, 1e15), st.floats(0.001, 0.9), st.floats(0.001, 3.0))
def test_rounding_follows_the_interval(value: float, below: float, above: float) -> None:
    """What is printed is within a fifth of half the interval of what was computed."""
    low, high = value * (1 - below), value * (1 + above)
    words = re.findall(r"-?\d[\d,]*\.?\d*", shown(value, "TPP", low, high))
    numbers = [float(w.replace(",", "")) for w in words]
    half = (high - low) / 2
    for printed, exact in zip(numbers, (value, low, high), strict=False):
        assert abs(printed - exact) <= 0.51 * half
    assert len({len(w.partition(".")[2]) for w in words}) == 1  # all to the same place
    assert rounded(value, "TPP", low, high).startswith(words[0])


def test_a_fact_is_shown_as_its_source_wrote_it() -> None:
    assert as_written(989.4e12, "TFLOP/s") == "989 TFLOP/s"
    assert as_written(30000.0, "USD/chip", 20000.0, 45000.0) == "30,000 (20,000 to 45,000) USD/chip"
    assert as_written(0.125 / (365.25 * DAY), "1/year") == "12.5 %/year"


# messages ---------------------------------------------------------------------------------------


def test_every_message_is_in_both_languages_with_the_same_places() -> None:
    for key, texts in catalogue().items():
        assert set(texts) == {"en", "ja"}, key
        assert all(texts.values()), key
        places = [sorted(set(re.findall(r"{(\w+)}", t))) for t in texts.values()]
        assert places[0] == places[1], key


def test_no_message_is_unused() -> None:
    """A key stands in the code in full, or belongs to a family whose name does."""
    code = "\n".join(p.read_text("utf-8") for p in REPORT.rglob("*") if p.suffix in (".py", ".j2"))
    for key in catalogue():
        family = key.partition(".")[0]
        named = (
            re.search(rf"""["']{family}["']|["']{family}\.\{{|["']{family}\.["'] ~""", code)
            is not None
        )
        assert f'"{key}"' in code or f"'{key}'" in code or named, key


def test_names_in_the_catalogue_exist_elsewhere(facts: Facts) -> None:
    """Labels of figures are of ids that a stage gives, those of quantities of kept facts."""
    stages = "\n".join(
        p.read_text("utf-8") for p in REPORT.parent.rglob("*.py") if REPORT not in p.parents
    )
    subjects = [i for c in facts.collections() for i in facts.ids(c)]
    quantities = {q for i in subjects for q in facts.quantities(i)}
    known = {i for name in shipped_cases() for i in planned(name).figures} | {
        *quantities,
        *subjects,
    }
    for key in catalogue():
        family, _, name = key.partition(".")
        last = re.split(r"\W", name.removesuffix("()").removesuffix(".*"))[-1]
        if family == "figure":
            assert name in known or last in known or last in stages, key
        if family in ("quantity", "cause"):
            assert name in quantities or f"cause_{name}" in quantities, key


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("kind", KINDS),
        ("verdict", VERDICTS),
        ("breakdown", tuple(Breakdown.__dataclass_fields__)),
        ("status", ("sought", "forecast", "announced", "booked", "done", "estimate")),
        ("law", ("allowed", "notify", "licence", "denied", "no-rule", "unknown")),
    ],
)
def test_words_of_other_stages_are_all_translated(family: str, names: tuple[str, ...]) -> None:
    known = {k.partition(".")[2] for k in catalogue() if k.startswith(f"{family}.")}
    assert known == set(names)


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(InputError, match="unknown-language"):
        Messages("fr")


# the outline ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", shipped_cases())
def test_the_outline_is_json_and_says_what_it_was_made_from(name: str) -> None:
    o = outlined(name)
    assert json.loads(json.dumps(o, allow_nan=False)) == o
    assert o["schema_version"] == report.SCHEMA_VERSION
    assert o["facts_hash"] == planned(name).facts.hash
    assert set(o["figures"]) == set(planned(name).figures)
    for figure in o["figures"].values():
        assert figure["kind"] in KINDS
        assert figure["low"] is None or figure["low"] <= figure["high"]


@pytest.mark.parametrize("name", shipped_cases())
def test_rows_fit_their_columns_and_cells_name_figures_that_exist(name: str) -> None:
    o = outlined(name)
    for table in [t for s in o["sections"] for t in s["tables"]]:
        for row in table["rows"]:
            assert {c["key"] for c in table["columns"]} <= set(row)
            cells = [v for v in row.values() if isinstance(v, dict)]
            assert all(c["figure"] in o["figures"] for c in cells if "figure" in c)
    for chart in [c for s in o["sections"] for c in s["charts"]]:
        lengths = {len(chart["x"]["values"]), *(len(s["values"]) for s in chart["series"])}
        assert len(lengths) == 1


def test_claims_have_the_keys_that_others_rely_on() -> None:
    keys = "id says who through on status scope claimed computed unit off_by verdict why".split()
    rows = {c["id"]: c for c in outlined("colossus-1")["claims"]}
    assert all(set(keys) <= set(row) for row in rows.values())
    second = rows["doubled-in-92-days"]
    assert second["verdict"] == "fails"
    assert second["off_by"] == pytest.approx(92 / 168 - 1)  # 2024-09-02 to 2025-02-17: 168 days
    assert "168 days" in second["why"]
    assert "45 %" in second["why"]


@pytest.mark.parametrize(
    ("value", "computed", "unit", "words"),
    [
        ("100 day", 139 * DAY, "s", "139 days; 100 days is 28 % too low"),  # 100 / 139 = 0.72
        ("180 day", 139 * DAY, "s", "139 days; 180 days is 29 % too high"),  # 180 / 139 = 1.29
        ("417 day", 139 * DAY, "s", "417 days is 3 times that"),
        ("20 day", 140 * DAY, "s", "140 days, 7 times the 20 days that was said"),
        ("2025-01-11", date(2025, 1, 1).toordinal(), "date", "2025-01-11 is 10 days later"),
        ("2024-12-30", date(2025, 1, 1).toordinal(), "date", "2024-12-30 is 2 days earlier"),
        ("5 MW", 139 * DAY, "s", "computed in another unit (s)"),
        ("133 day", 139 * DAY, "s", "133 days is within 5 % of it"),
    ],
)
def test_a_claim_has_one_plain_sentence(value: str, computed: float, unit: str, words: str) -> None:
    p = small_plan()
    claim = Claim(id="c", says="so", about="x.y", value=value, status="done", tolerance=0.05)
    figure = leaf("x.y", computed, unit, label="the thing").named("x.y")
    sharp = Estimate(computed, computed, computed)
    p.held = hold([claim], lambda _: figure, lambda _: sharp, lambda _: "")
    p.figures = {"x.y": figure}
    assert words in report.outline(p)["claims"][0]["why"]


def test_a_claim_about_nothing_that_is_computed_says_so() -> None:
    p = small_plan()
    claim = Claim(id="c", says="so", about="x.y", value="5 MW")
    p.held = hold([claim], lambda _: None, lambda _: Estimate(0, 0, 0), lambda _: "")
    o = report.outline(p)
    assert o["claims"][0]["why"] == "The plan computes no such figure."
    assert "“so”: unchecked" in o["answer"][-1]


@pytest.mark.parametrize("name", shipped_cases())
def test_sources_stand_weakest_first(name: str) -> None:
    o = outlined(name)
    kinds = [KINDS.index(s["kind"]) for s in o["sources"]]
    assert kinds == sorted(kinds, reverse=True)
    assert all(s["used_for"] for s in o["sources"])
    assert {a["key"] for a in o["assumed"]} >= {
        f.key for f in planned(name).figures.values() if not f.call and f.kind == "assumed"
    }


def test_numbers_beyond_words_are_powers() -> None:
    assert shown(1.25e26 * 365.25 * 86400, "s") == "1.25e26 years"
    assert shown(1.25e33, "USD") == "1.25e33 USD"
    assert shown(9.99e15, "1") == "9,990 T"


def test_one_claim_is_told_as_one() -> None:
    assert report.outline(small_plan(says="done in 100 days"))["answer"][-1] == "The claim holds."


@pytest.mark.parametrize("name", shipped_cases())
def test_japanese_leaves_no_title_column_or_label_in_english(name: str) -> None:
    o = outlined(name, "ja")
    texts = [s["title"] for s in o["sections"]] + o["answer"]
    for table in [t for s in o["sections"] for t in s["tables"]]:
        texts += [table["title"], *(c["label"] for c in table["columns"] if len(c["label"]) > 3)]
    texts += [f["label"] for f in o["figures"].values()]
    texts += [c["verdict_shown"] for c in o["claims"]] + [c["why"] for c in o["claims"]]
    assert [t for t in texts if not JAPANESE.search(t)] == []


def test_the_rows_of_memory_add_up_to_the_peak() -> None:
    o = outlined("deepseek-v3")
    (memory,) = [t for s in o["sections"] for t in s["tables"] if t["id"] == "memory"]
    peak = o["figures"]["train.peak_memory"]["value"]
    assert sum(r["amount"]["value"] for r in memory["rows"]) == pytest.approx(peak)
    assert sum(r["share"]["value"] for r in memory["rows"]) == pytest.approx(1.0)
    assert memory["rows"][-1]["part"] == "allocator, driver and libraries"


def test_a_stage_that_was_not_asked_says_so_and_prints_nothing_else() -> None:
    o = report.outline(small_plan())
    assert o["sections"] == []
    assert {n["reason"] for n in o["not_asked"]} == {"the case has no fleet"}
    assert o["answer"][-1] == "The claim holds."
    assert "入力にチップの記載がない" in json.dumps(
        report.outline(small_plan(), "ja"), ensure_ascii=False
    )


# the terminal -----------------------------------------------------------------------------------


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(o: dict[str, Any], width: int | None = None) -> str:
    stream = io.StringIO()
    report.print_outline(o, stream, width)
    return stream.getvalue()


@pytest.mark.parametrize("name", shipped_cases())
@pytest.mark.parametrize("lang", report.LANGUAGES)
@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_pipe_gets_plain_text_within_the_width(name: str, lang: str, width: int) -> None:
    from rich.cells import cell_len

    text = printed(outlined(name, lang), width)
    assert "\x1b" not in text
    assert max(map(cell_len, text.splitlines())) <= width
    assert all(line == line.rstrip() for line in text.splitlines())


def test_the_answer_comes_first_then_tables_claims_sources_assumptions() -> None:
    o = outlined("colossus-1")
    text = re.sub(r"\s+", " ", printed(o))
    t = Messages("en")
    order = [
        o["answer"][0], o["sections"][0]["title"], t("section.money"), t("section.claims"),
        o["claims"][1]["why"], t("section.sources"), t("section.assumed"),
    ]  # fmt: skip
    places = [text.index(re.sub(r"\s+", " ", part)) for part in order]
    assert places == sorted(places)


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = Screen()
    report.print_outline(outlined("colossus-1"), screen, 100)
    assert "\x1b[1;31m" in screen.getvalue()  # a claim that fails, bold red


# trees ------------------------------------------------------------------------------------------


def test_why_goes_from_the_figure_down_to_the_source() -> None:
    p = small_plan()
    lines = report.why_text(p.figures["run.training_time"], p.facts).splitlines()
    # 1.2e12 / 1e5 s = 138.9 days; at 1.25e5 111 days, at 8e4 173.6 days
    assert lines[0].startswith("Training time (run.training_time) = 139 (111 to 174) days")
    assert lines[0].endswith("assumed")
    assert lines[1].endswith("= C / r")
    assert any("1.20e12 FLOP" in line for line in lines)
    assert "table 1" in lines[-1]


def test_what_a_tree_uses_twice_is_printed_once() -> None:
    """Two figures that say the same are one, whether or not they are the same object."""

    def time() -> Any:
        work = leaf("case:train.compute", 6.0, "FLOP", source="the case")
        return duration(work, leaf("x.rate", 2.0, "FLOP/s", source="s"))

    text = report.why_text(together(time(), time()).named("t", "Both"), None)
    assert text.count("C / r") == 1
    assert "[1]" in text
    assert "(see [1] above)" in text


def test_depth_cuts_the_tree_and_says_how_much_is_left() -> None:
    p = planned("colossus-1")
    whole = report.why_text(p.figure("bill.total"), p.facts)
    top = report.why_text(p.figure("bill.total"), p.facts, depth=1)
    assert len(top.splitlines()) == 3 < len(whole.splitlines())
    assert "more below" in top


@pytest.mark.parametrize("name", shipped_cases())
def test_every_figure_has_a_tree_that_ends_in_sources(name: str) -> None:
    p = planned(name)
    for id_, figure in p.figures.items():
        text = report.why_text(figure, p.facts)
        assert id_ in text or figure.key
        assert max(map(len, text.splitlines())) <= 140
