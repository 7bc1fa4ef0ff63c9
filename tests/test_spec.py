"""Cases: what is read, what is refused and how; settings; hostile input."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares.errors import CharesError, InputError, InputErrors, UnknownName
from chares.ledger import Estimate
from chares.spec import Case, parse_case, read_case, shipped_cases
from chares.spec.findings import EXAMPLES
from chares.spec.intake import MAX_BYTES, MAX_FINDINGS, MAX_NODES

FULL = """\
name: Everything
about: one of each
as_of: 2025-07-22
known_by: 2025-08-01
fleet:
  - {chip: h100-sxm, count: 100000, online: 2024-09-02, source: epoch}
  - {chip: h200-sxm, count: "50,000", online: 2025-02-17}
site:
  place: memphis
  start: 2024-04-24
  pue: 1.2
  supplies:
    - {kind: grid, power: 150 MW, online: 2025-05-01}
    - {kind: turbines, power: 421 MW, online: 2024-06-01, until: 2025-06-01, permit: temporary}
train:
  name: grok-3
  compute: 4.64e26 FLOP
  mfu: {low: 25 %, likely: 0.4, high: 0.54}
  precision: bf16
  strategy: {tp: 8, pp: 4}
  reported: [{name: pre-training, chip_hours: 2.664e6 chip*h, source: paper}]
  checkpoint_bandwidth: 2 TB/s
serve: {model: grok-1, requests_per_second: 12.5}
finance: {hourly_price: 2 USD/chip/h, energy_price: 62 USD/MWh, interest: 12.5 %, life: 4 year}
staff: {people: 160, pay: 1.3 MUSD, months: 12}
permit: {destination: CN, bought: 2022-12-01, network: 50 GB/s}
market: {company: nvidia, price: 142.62 USD, shares: 24.5e9}
claims:
  - {id: built, says: "100k GPUs in 122 days", about: site.days_to_chips(100000), value: 122 day}
"""
HEAD = "name: x\nas_of: 2025-01-01\n"


def found(text: str | bytes, *changes: str) -> list[CharesError]:
    """The errors of a case."""
    with pytest.raises(CharesError) as caught:
        parse_case(text, "x.yaml", changes)
    return list(getattr(caught.value, "errors", [caught.value]))


# what is read -----------------------------------------------------------------------------------


def test_a_case_with_every_part() -> None:
    case = parse_case(FULL)
    assert case.as_of == date(2025, 7, 22)
    assert [b.count for b in case.fleet] == [100000, 50000]
    assert case.site is not None
    assert case.site.supplies[0].power == 1.5e8
    assert case.train is not None
    assert case.train.compute == 4.64e26
    assert case.train.mfu == Estimate(0.25, 0.4, 0.54)
    assert case.train.reported[0].chip_hours == 2.664e6 * 3600
    assert case.train.checkpoint_bandwidth == 2e12
    assert case.finance is not None
    assert case.finance.hourly_price == pytest.approx(2 / 3600)
    assert case.finance.interest == 0.125
    assert case.finance.life == 4 * 365.25 * 86400
    assert case.permit is not None
    assert case.permit.network == 5e10


def test_every_part_may_be_left_out() -> None:
    case = parse_case(HEAD)
    assert case.fleet == case.claims == ()
    assert case.site is case.train is case.serve is case.finance is None


def test_a_case_does_not_change() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse_case(HEAD).name = "y"  # type: ignore[misc]


def test_what_the_case_says_knows_its_place_and_kind() -> None:
    case = parse_case(FULL, "full.yaml")
    assert case.train is not None
    own = case.given("train.compute", case.train.compute, "FLOP", "Training compute")
    assert (own.key, own.kind, own.where) == ("case:train.compute", "assumed", "full.yaml:17")
    sourced = case.given("fleet[0].count", 1e5, "chip", source="epoch")
    assert (sourced.kind, sourced.source, sourced.where) == ("stated", "epoch", "full.yaml:6")
    day = case.given("as_of", case.as_of, "")
    assert (day.value, day.unit) == (date(2025, 7, 22).toordinal(), "date")
    unsaid = case.given("train.strategy.etp", 1, "1")
    assert (unsaid.kind, unsaid.source, unsaid.where) == ("assumed", "", "")
    assert unsaid.note == "not given: the usual value"


@pytest.mark.parametrize("name", shipped_cases())
def test_cases_that_come_with_chares_are_read(name: str) -> None:
    case = read_case(name)
    assert case.about, "a worked case says what it is about"


def test_a_case_is_found_by_path_or_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(HEAD, encoding="utf-8")
    assert read_case(file).name == read_case(str(file)).name == "x"
    with pytest.raises(UnknownName) as caught:
        read_case("colossus-l")
    assert (caught.value.code, "`colossus-1`" in caught.value.hint) == ("unknown-case", True)
    for name in ("", "a" * 5000, "\0", str(tmp_path)):
        with pytest.raises(UnknownName):
            read_case(name)


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.yaml"
    file.touch()

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="Permission denied"):
        read_case(file)


def test_the_schema_is_plain_json() -> None:
    schema = json.loads(json.dumps(Case.model_json_schema()))
    assert schema["required"] == ["name", "as_of"]
    power = schema["$defs"]["Supply"]["properties"]["power"]
    assert power["examples"] == ["150 MW"]
    assert set(schema["properties"]) == set(Case.model_fields)


# what is refused --------------------------------------------------------------------------------

WRONG = [  # text below the head, code, place, what the message or the hint must hold
    ("site: {supplies: [{kind: grid, power: 150 MWh, online: 2025-05-01}]}", "unit-mismatch", 3,
     "a power is wanted, such as `150 MW`"),
    ("train:\n  compute: 4.64e26", "unit-missing", 4, "`4.6e26 FLOP`"),
    ("train:\n  compute: 4.64e26 FLOPS", "unknown-unit", 4, "`FLOPS`, not a unit"),
    ("fleat: []", "unknown-key", 3, "did you mean `fleet`?"),
    ("fleet:\n  - chip: h100\n    count: 5\n    onlien: 2025-01-01", "unknown-key", 6,
     "did you mean `online`?"),
    ("fleet:\n  - chip: h100", "missing-key", 4, "`fleet[0].count` is needed"),
    ("fleet: [{chip: h100, count: -5}]", "not-positive", 3, "must be above 0"),
    ("fleet: [{chip: h100, count: 5 W}]", "unit-mismatch", 3, "a pure number is wanted"),
    ("fleet: [{chip: '', count: 5}]", "bad-name", 3, "is empty"),
    ("fleet: {chip: h100, count: 5}", "wrong-type", 3,
     "must be a list, at x.yaml:3\nhint: write `fleet: [{chip: h100-sxm, count: 8192"),
    ("fleet: [h100]", "wrong-type", 3, "write `- {chip: h100-sxm,"),
    ("fleet:", "wrong-type", 3, "`fleet` is empty, and must be a list"),
    ("site: memphis", "wrong-type", 3, "write `site: {place: memphis,"),
    ("train: {model: 5}", "wrong-type", 3, "is `5`, and must be a text"),
    ("train: {seq_len: 1.5}", "not-a-number", 3, "a number above 0 and at most 1,000,000,000"),
    ("train: {mfu: [1]}", "not-a-quantity", 3, "a share is wanted, such as `40 %`"),
    ("train: {strategy: {overlap_tp: 3}}", "out-of-range", 3, "is 3, not between 0 and 1"),
    ("staff: {people: ten}", "not-a-number", 3, "must be a whole number"),
    ("market: {company: a, price: 5, shares: 1}", "unit-missing", 3, "is `5`, which has no unit"),
    ("permit: {biological: perhaps}", "not-a-choice", 3, "choose `true` or `false`"),
    ("claims: [{id: A b, says: b, about: c, value: 1}]", "bad-name", 3, "such as `final-run-cost`"),
    ("site: {pue: 0.5}", "out-of-range", 3, "at least 1, at x.yaml:3\nhint: a number at"),
    ("train: {mfu: 140 %}", "out-of-range", 3, "not between 0 and 1"),
    ("train: {mfu: {low: 0.5, likely: 0.4, high: 0.6}}", "bad-interval", 3, "low <= likely"),
    ("train: {mfu: {low: 0.5}}", "bad-interval", 3, "low, likely and high"),
    ("train: {precision: fp7}", "not-a-choice", 3, "'bf16'"),
    ("train: {seq_len: true}", "not-a-number", 3, "is not a number"),
    ("train: {seq_len: 0}", "out-of-range", 3, "`train.seq_len` is 0; it must be above 0"),
    ("train: {start: 2025-02-30}", "not-a-day", 3, "write 2025-07-22"),
    ("train: {start: 20250222}", "not-a-day", 3, "write 2025-07-22"),
    ("train: {start: 2025-W01-1}", "not-a-day", 3, "write 2025-07-22"),
    ("site: {pue: nan}", "out-of-range", 3, "`site.pue`"),
    ("staff: {people: 5, months: 1e400}", "bad-number", 3, "too large"),
    ("finance: {interest: 1e-400}", None, 0, ""),  # is zero, and zero is fine
    ("permit: {destination: China}", "not-a-country", 3, "such as `CN`"),
    ("claims: [{id: a, says: b, about: c, value: true}]", "not-a-quantity", 3, "`122 day`"),
    ("claims: [{id: a, says: b, about: c, value: [1]}]", "not-a-quantity", 3, "`122 day`"),
    ('about: "\\e[2J"', "bad-text", 3, "do not print"),
    ("about: !!python/object:os.system x", "tag", 3, "tags are not read"),
    ("a: &a [1]\nb: *a", "alias", 3, "aliases are not read"),
    ("<<: {a: 1}", "unknown-key", 3, "`<<`"),
    ("name: y", "duplicate-key", 3, "stands twice"),
    ("? {a: b}\n: c", "bad-yaml", 3, "a key must be a word"),
    ("a: 'b", "bad-yaml", 3, "not valid YAML"),
    ("---\na: b", "bad-yaml", 3, "a second document"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "code", "line", "says"), WRONG)
def test_refused(text: str, code: str | None, line: int, says: str) -> None:
    if code is None:
        assert parse_case(HEAD + text)
        return
    (bad,) = found(HEAD + text)
    assert bad.code == code
    assert bad.where.startswith(f"x.yaml:{line}") or (code == "bad-yaml" and bad.where)
    assert says in str(bad)
    assert bad.exit_code == 2


def test_all_errors_of_a_file_at_once_with_lines() -> None:
    text = FULL
    for right, wrong in [
        ("150 MW,", "150 MWh,"),
        ("count: 100000", "cuont: 100000"),
        ("pue: 1.2", "pue: 0.2"),
        ("precision: bf16", "precision: bf61"),
        ("62 USD/MWh", "62 USD"),
        ("people: 160", "people: many"),
    ]:
        assert right in text
        text = text.replace(right, wrong)
    bad = found(text)
    lines = sorted(int(b.where.split(":")[1]) for b in bad)
    assert lines == [6, 6, 11, 13, 19, 24, 25]  # count is missing, and `cuont` is no key
    assert all(b.hint for b in bad)
    with pytest.raises(InputErrors) as caught:
        parse_case(text)
    assert str(caught.value).count("error[") == 7


def test_very_many_errors_are_counted() -> None:
    bad = found(HEAD + "".join(f"k{i}: 1\n" for i in range(500)))
    assert len(bad) == MAX_FINDINGS + 1
    assert bad[-1].message == "and 450 more"


@pytest.mark.parametrize("text", ["", "# nothing", "[1]", "x", "null", "- a: b"])
def test_what_is_not_a_mapping(text: str) -> None:
    (bad,) = found(text)
    assert bad.code == "not-a-case"


# settings ---------------------------------------------------------------------------------------

ONE = HEAD + "fleet:\n  - {chip: h100-sxm, count: 8}\nfinance: {life: 4 year}\n"


@pytest.mark.parametrize(
    ("change", "path", "value"),
    [
        ("name=Y", "name", "Y"),
        ("name = Y", "name", "Y"),
        ("fleet.chip=h200-sxm", "fleet.0.chip", "h200-sxm"),  # a fleet of one kind
        ("fleet.0={chip: h20, count: 1}", "fleet.0.chip", "h20"),
        ("fleet.0.count=5,000", "fleet.0.count", 5000),
        ("finance.life=5 year", "finance.life", 5 * 365.25 * 86400),
        ("finance.interest=8 %", "finance.interest", 0.08),
        ("train.compute=1e26 FLOP", "train.compute", 1e26),  # a part that was not there
        ("train.strategy.tp=8", "train.strategy.tp", 8),
        ("train={tokens: 1 Ttoken}", "train.tokens", 1e12),
        ("fleet=[{chip: h20, count: 1}]", "fleet.0.chip", "h20"),
        ("as_of=2024-01-01", "as_of", date(2024, 1, 1)),
        ("site=", "site", None),  # asks no longer
        ("fleet=", "fleet", ()),
        ("finance.life=", "finance.life", None),
        ("about=a=b", "about", "a=b"),
    ],
)
def test_a_setting_is_laid_over_the_file(change: str, path: str, value: object) -> None:
    place: Any = parse_case(ONE, "x.yaml", [change])
    for word in path.split("."):
        place = place[int(word)] if word.isdigit() else getattr(place, word)
    assert place == value


def test_settings_are_taken_in_order() -> None:
    case = parse_case(ONE, "x.yaml", ["name=a", "fleet.count=5", "name=b"])
    assert (case.name, case.fleet[0].count) == ("b", 5)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ("name", "bad-set", "`a.b=c`"),
        ("=5", "bad-set", "`a.b=c`"),
        ("name.x=5", "bad-set", "has no parts"),
        ("name.x.y=5", "bad-set", "not a part"),
        ("flete.chip=h20", "unknown-key", "`fleet`"),
        ("fleet.chp=h20", "unknown-key", "`chip`"),
        ("fleet.7.chip=h20", "bad-set", "no entry"),
        ("finance.life=5 W", "unit-mismatch", "a duration is wanted"),
        ("fleet.²=5", "unknown-key", "`fleet[0].²`"),
        ("fleet." + "9" * 5000 + "=5", "bad-set", "no entry"),
        ("fleet.0=5", "wrong-type", "`fleet[0]`"),
        ("finance.life=[", "bad-yaml", "not valid YAML"),
        ("finance.life=*x", "alias", "aliases"),
        ("fleet=5", "wrong-type", "`fleet`"),
    ],
)
def test_a_setting_that_cannot_be_used_says_so_itself(change: str, code: str, says: str) -> None:
    bad = found(ONE, change)[0]
    assert bad.code == code
    assert f"--set {change[:20]}" in bad.where
    assert says in str(bad)


def test_two_kinds_of_chips_need_an_index() -> None:
    two = HEAD + "fleet:\n  - {chip: a, count: 8}\n  - {chip: b, count: 8}\n"
    (bad,) = found(two, "fleet.chip=h20")
    assert found(two, "fleet=[]", "fleet.chip=h20")[0].code == "ambiguous-set"
    assert (bad.code, "fleet.0.count=5000" in bad.hint) == ("ambiguous-set", True)
    assert parse_case(two, "x", ["fleet.1.chip=h20"]).fleet[1].chip == "h20"


def test_a_value_that_was_set_is_not_said_to_stand_in_the_file() -> None:
    case = parse_case(ONE, "x.yaml", ["finance.life=5 year"])
    assert case.given("finance.life", 1.0, "s").where == "--set finance.life=5 year"
    assert case.given("fleet[0].count", 8, "chip").where == "x.yaml:4"


# garbage and malice -----------------------------------------------------------------------------


def case_or_error(text: str | bytes, *changes: str) -> Case | CharesError:
    try:
        return parse_case(text, "x.yaml", changes)
    except CharesError as bad:
        assert len(str(bad)) < 100_000  # noqa: PT017
        return bad


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300)))
def test_garbage_is_refused(content: str | bytes) -> None:
    assert isinstance(case_or_error(content), CharesError)


ALPHABET = st.sampled_from(
    [*"{}[]:,-?&*!|>'\"%@`#~= \n\t", "a", "name", "fleet", "1e9", "2025-01-01"]
)


@given(st.lists(ALPHABET, max_size=60).map("".join))
def test_garbage_that_looks_like_yaml(text: str) -> None:
    case_or_error(HEAD + text)
    case_or_error(text)


@given(st.data())
def test_a_case_with_something_else_in_it(data: st.DataObject) -> None:
    """Each line of a good case may be cut, doubled, or have a part replaced."""
    lines = FULL.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        how = data.draw(st.sampled_from(["cut", "double", "replace", "indent"]))
        if how == "cut" and len(lines) > 1:
            del lines[at]
        elif how == "double":
            lines.insert(at, lines[at])
        elif how == "indent":
            lines[at] = " " * data.draw(st.integers(1, 4)) + lines[at]
        else:
            old = data.draw(st.sampled_from(lines[at].split() or [""]))
            new = data.draw(st.text(max_size=10) | st.floats().map(repr) | st.integers().map(str))
            lines[at] = lines[at].replace(old, new, 1)
    case_or_error("\n".join(lines))


@given(
    st.lists(
        st.sampled_from(["fleet", "0", "site", "train", "", "claims", "chip", "-1"]), max_size=4
    ),
    st.text(max_size=20),
)
def test_any_setting_ends_in_a_case_or_an_error(words: list[str], value: str) -> None:
    case_or_error(FULL, ".".join(words) + "=" + value)
    case_or_error(FULL, value)


HOSTILE = {
    "deep lists": HEAD + "a: " + "[" * 400_000,
    "deep mappings": "{a: " * 100_000,
    "deep blocks": "- " * 200_000,
    "many keys": HEAD + "".join(f"k{i}: 1\n" for i in range(MAX_NODES // 2 - 10)),
    "more keys": HEAD + "".join(f"k{i}: 1\n" for i in range(40_000)),
    "many bad entries": HEAD + "fleet: [" + "0," * (MAX_NODES - 20) + "]",
    "alias bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join('*' + a for _ in range(9))}]\n"
              for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
    "alias to itself": "a: &a [*a]",
    "huge float": HEAD + "staff: {people: 5, months: 1e400}",
    "huge int": HEAD + "staff: {people: " + "9" * 400_000 + "}",
    "huge int in a quantity": HEAD + "train: {compute: " + "9" * 400_000 + " FLOP}",
    "tower of powers": HEAD + "train: {compute: 9**9**9**9 FLOP}",
    "nan": HEAD + "site: {pue: .nan}",
    "long text": HEAD + "about: " + "a" * 450_000 + "\x07",
    "long key": "? " + "k" * 450_000,
    "long unit": HEAD + "train: {compute: 1 " + "k" * 50 + "FLOP}",
    "questions": "? " * 200_000,
    "quotes": "'" * 450_000,
    "colons": ":" * 450_000,
    "comment and nothing": "#" * 450_000,
    "binary": bytes(range(256)) * 1500,
    "utf-16": HEAD.encode("utf-16"),
    "half a character": HEAD.encode() + b"about: \xe2\x82",
    "nul": HEAD + "about: a\0b",
    "too large": "a" * (MAX_BYTES + 1),
    "python": HEAD + "about: !!python/object/apply:os.system ['true']",
}  # fmt: skip
RUN = """
import json, sys, time
from chares.errors import CharesError
from chares.spec import parse_case
parse_case("name: x\\nas_of: 2025-01-01")  # what every call needs, loaded
for name, text in json.load(sys.stdin).items():
    start = time.process_time()
    try:
        parse_case(text.encode("latin-1"))
        end = "a case"
    except CharesError as bad:
        end = bad.code
    print(json.dumps([name, end, time.process_time() - start]))
# the high water mark of this program; that of getrusage begins with the program that started it
print([line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")][0])
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_hostile_input_ends_in_an_error_within_a_second_and_200_mb() -> None:
    as_bytes = {k: v if isinstance(v, bytes) else v.encode() for k, v in HOSTILE.items()}
    texts = json.dumps({k: v.decode("latin-1") for k, v in as_bytes.items()})
    done = subprocess.run(
        [sys.executable, "-c", RUN], input=texts, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr[-2000:]
    *ends, peak = done.stdout.splitlines()
    for name, end, seconds in map(json.loads, ends):
        assert end != "a case", name
        assert seconds < 1, f"{name} took {seconds:.2f} s"
    assert len(ends) == len(HOSTILE)
    assert int(peak) < 200 * 1024, f"{int(peak) // 1024} MB"


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    file = tmp_path / "huge.yaml"
    with file.open("wb") as handle:
        handle.truncate(20 * 2**30)  # a sparse file of 20 GiB
    with pytest.raises(InputError) as caught:
        read_case(file)
    assert caught.value.code == "too-large"


WRONG_VALUES = [5, 1.5, -1, 10**12, "x" * 300, "A b", [], {}, [1], {"a": 1}, True, None]


def test_every_finding_of_the_library_is_put_in_our_words() -> None:
    """None speaks of tuples, models or patterns, nor has one of the library's names as its code."""
    parts = json.loads(json.dumps(Case.model_json_schema()))["$defs"]
    bodies = [{name: wrong} for name in Case.model_fields for wrong in WRONG_VALUES]
    for name, kind in [("site", "Site"), ("train", "Train"), ("permit", "Permit"),
                       ("finance", "Finance"), ("staff", "Staff"), ("market", "Market"),
                       ("serve", "Serve")]:  # fmt: skip
        bodies += [{name: {k: w}} for k in parts[kind]["properties"] for w in WRONG_VALUES]
    for name, kind in [("fleet", "Batch"), ("claims", "Claim")]:
        bodies += [{name: [{k: w}]} for k in parts[kind]["properties"] for w in WRONG_VALUES]
    split = parts["Split"]["properties"]
    bodies += [{"train": {"strategy": {k: w}}} for k in split for w in WRONG_VALUES]
    for body in bodies:
        content = {"name": "x", "as_of": "2025-07-22"} | body
        result = case_or_error(json.dumps(content))
        if isinstance(result, CharesError):
            text = str(result).replace("[wrong-type]", "")
            assert not re.search(r"tuple|valid|model_|pattern|[Ii]nput should|-type\]", text), text


@pytest.mark.parametrize("path", EXAMPLES)
def test_the_examples_of_the_hints_can_be_used_as_they_stand(path: str) -> None:
    *outer, last = path.replace("[]", "").split(".")
    body = f"{last}: " + (f"[{EXAMPLES[path]}]" if path.endswith("[]") else EXAMPLES[path])
    for part in reversed(outer):
        body = f"{part}: {{{body}}}"
    assert parse_case(HEAD + body)


def test_a_case_that_is_not_there_may_be_a_file_that_is_not_there() -> None:
    with pytest.raises(UnknownName, match=r"colossus-1.*path of a file: `my.yaml`"):
        read_case("colossus-2")
