"""What a plan says about the case itself: nothing is dropped without a word."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest

from chares import report
from chares.errors import CharesError, UnknownName
from chares.facts import Facts
from chares.planner import plan
from chares.report.messages import catalogue
from chares.spec import day_notices, notices, parse_case

HEAD = "name: x\nas_of: 2025-01-01\n"
CHIPS = "fleet: [{chip: h100-sxm, count: 64, online: 2024-06-01}]\n"
JOB = "train: {compute: 1e23 FLOP, mfu: 40 %}\n"
MODEL = (
    "train: {model: llama-3-8b, tokens: 1 Ttoken, seq_len: 8192, global_batch: 128, "
    "strategy: {tp: 2, zero: 3}}\n"
)


@pytest.mark.parametrize(
    ("text", "changes", "code", "says"),
    [
        (MODEL, ["train.mfu=45 %"], "mfu", "`train.mfu` (45 %) is not used"),
        (MODEL, ["train.precision=fp32"], "precision", "as in bf16"),
        (MODEL, ["train.compute=1e24 FLOP"], "compute", "`train.compute` is not used"),
        (JOB, ["train.tokens=1 Ttoken"], "without-model", "`train.tokens`: not used"),
        (JOB, ["train.strategy.tp=8"], "without-model", "`train.strategy`: not used"),
        (JOB, ["train.chips=65"], "chips", "65, and the fleet has 64"),
        (
            JOB,
            ["fleet=[{chip: h100, count: 8}, {chip: h20, count: 4}]", "train.chips=9"],
            "kinds",
            "counted as h100-sxm",
        ),
        (JOB, ["as_of=1900-01-01"], "early", "`as_of` 1900-01-01"),
        (JOB, ["train.start=1990-01-01"], "early", "`train.start` 1990-01-01"),
        (JOB, ["permit.bought=1990-01-01"], "early", "`permit.bought` 1990-01-01"),
        (JOB, ["fleet.online=1990-01-01"], "early", "`fleet[0].online` 1990-01-01"),
        (JOB, ["fleet.online=2022-09-19"], "launch", "came out on 2022-09-20"),
        (JOB, ["as_of=2099-01-01"], "far", "`as_of` 2099-01-01: years after"),
        (JOB, ["site.start=2099-01-01"], "far", "`site.start` 2099-01-01"),
        (JOB, ["train.start=2024-05-31"], "start", "training begins on 2024-06-01"),
        (JOB, ["staff.people=5"], "pay", "costs nothing here"),
        (JOB, ["market={company: a, price: 5 USD, shares: 5}"], "silent", "`market`"),
        (JOB, ["serve={model: llama-3-8b}"], "silent", "`serve`"),
    ],
)
def test_what_is_not_taken_as_it_stands_is_said(
    facts: Facts, text: str, changes: list[str], code: str, says: str
) -> None:
    case = parse_case(HEAD + CHIPS + text, changes=changes)
    found = {n.code: str(n) for n in notices(case, facts)}
    assert says in found[code]
    before = {n.code for n in notices(parse_case(HEAD + CHIPS + text), facts)}
    assert code not in before


@pytest.mark.parametrize(
    "setting",
    ["train.chips=64", "fleet.online=2022-09-20", "train.start=2024-06-01", "as_of=2017-06-21",
     "staff={people: 5, pay: 1 MUSD}"],
)  # fmt: skip
def test_at_the_border_nothing_is_said(facts: Facts, setting: str) -> None:
    assert notices(parse_case(HEAD + CHIPS + JOB, changes=[setting]), facts) == ()


def test_the_first_accelerator_is_the_border(facts: Facts) -> None:
    first = min(facts.get(i, "launch").day for i in facts.ids("chips") if facts.has(i, "launch"))
    for day, wanted in ((first, False), (first - timedelta(1), True)):
        case = parse_case(HEAD + JOB, changes=[f"as_of={day}"])
        assert ("early" in {n.code for n in notices(case, facts)}) is wanted


def test_the_day_of_one_question(facts: Facts) -> None:
    def told(day: date) -> list[str]:
        return [n.code for n in day_notices(day, "h100-sxm", facts)]

    assert told(date(2022, 9, 19)) == ["before-launch"]
    assert told(date(2022, 9, 20)) == []
    assert told(date(2099, 1, 1)) == ["far"]


def test_an_unknown_place_is_said(facts: Facts) -> None:
    for place, code in (("memphis", set()), ("nowhere", {"place"})):
        case = parse_case(HEAD + CHIPS + f"site: {{place: {place}}}")
        assert {n.code for n in notices(case, facts)} == code


def test_the_newest_source_is_one_that_was_known(facts: Facts) -> None:
    known = facts.known(date(2024, 6, 1))
    assert known.newest <= date(2024, 6, 1) < facts.newest
    assert facts.known(date(1990, 1, 1)).newest == date(1990, 1, 1)


def test_every_notice_is_in_the_catalogue_word_for_word(facts: Facts) -> None:
    """English is that of the notice, Japanese is there and has the same places."""
    case = parse_case(
        HEAD + CHIPS + MODEL,
        changes=["train.mfu=0.4", "train.compute=1e24 FLOP", "train.chips=1000", "as_of=1900-01-01",
                 "fleet.online=1990-01-01", "site.start=2099-01-01", "train.start=1950-01-01",
                 "staff.people=5", "serve={model: a}", "train.precision=tf32", "site.place=x"],
    )  # fmt: skip
    kinds = "fleet=[{chip: h100-sxm, count: 8}, {chip: h20, count: 4}]"
    other = parse_case(HEAD + JOB, changes=["train.tokens=1 Ttoken", kinds, "train.chips=9"])
    found = {n.code: n for n in (*notices(case, facts), *notices(other, facts))}
    assert len(found) == 13
    for notice in found.values():
        texts = catalogue()[f"warning.{notice.code}"]
        assert texts["en"] == notice.text
        assert texts["ja"].format(**notice.places) != str(notice)


def test_a_plan_shows_them_in_both_languages() -> None:
    found = plan(parse_case(HEAD + CHIPS + MODEL, changes=["train.mfu=45 %"]))
    assert found.figure("train.mfu").value != 0.45  # predicted, as without it
    assert "is not used" in " ".join(report.outline(found)["warnings"])
    assert "使われない" in " ".join(report.outline(found, "ja")["warnings"])


def test_evidence_outside_of_the_fit_is_told_in_japanese() -> None:
    text = "fleet: [{chip: tpu-v7, count: 64}]\n" + MODEL
    said = report.outline(plan(parse_case(HEAD.replace("2025", "2026") + text)), "ja")["warnings"]
    assert said[0].startswith("モデルの較正")
    assert all("fitted" not in line for line in said)


def test_chips_of_a_job_are_no_more_than_the_fleet_has() -> None:
    """A strategy for 1,000 chips would not run on 64."""
    asked = plan(parse_case(HEAD + CHIPS + MODEL, changes=["train.chips=1000"]))
    whole = plan(parse_case(HEAD + CHIPS + MODEL))
    assert asked.steps.chips.value == 64
    assert asked.figure("train.step_time").value == whole.figure("train.step_time").value


def test_a_destination_without_chips_says_that_chips_are_missing() -> None:
    found = plan(parse_case(HEAD + "permit: {destination: CN, bought: 2024-01-01}"))
    assert found.verdicts.reason == "the case names a destination and no chip to send there"
    (law,) = [x for x in report.outline(found)["not_asked"] if x["stage"] == "law"]
    assert "no chip" in law["reason"]


def test_a_value_that_is_not_given_is_not_said_to_stand_in_the_case() -> None:
    bare = "train: {model: llama-3-8b, tokens: 1 Ttoken, strategy: {tp: 2, zero: 3}}\n"
    rows = {
        r["key"]: r["why"]
        for r in report.outline(plan(parse_case(HEAD + CHIPS + bare, "x.yaml")))["assumed"]
    }
    assert rows["case:train.global_batch"] == "not given: the usual value"
    assert rows["case:train.tokens"] == "the case says so (x.yaml:4)"


CONFIG = {  # Llama 3 8B, as its config.json has it
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8,
    "vocab_size": 128256,
}  # fmt: skip


def test_a_model_of_a_case_may_be_a_config_json(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(CONFIG))
    text = HEAD + CHIPS + MODEL
    own = plan(parse_case(text.replace("llama-3-8b", str(path))))
    kept = plan(parse_case(text))
    for id_ in ("train.parameters", "train.step_time", "train.compute"):
        assert own.figure(id_).value == kept.figure(id_).value
    assert str(path) in own.why("train.parameters")


def test_a_model_that_is_not_there_may_be_a_file_that_is_not_there() -> None:
    with pytest.raises(UnknownName) as caught:
        plan(parse_case(HEAD + CHIPS + MODEL.replace("llama-3-8b", "llama-3-9b")))
    assert "llama-3-8b" in caught.value.hint
    assert "path of a `config.json`" in caught.value.hint
    with pytest.raises(CharesError, match="no-file"):
        plan(parse_case(HEAD + CHIPS + MODEL.replace("llama-3-8b", "nowhere/config.json")))
