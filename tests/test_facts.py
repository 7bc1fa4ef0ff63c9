"""Facts: which record holds and which was known, and what is said about a bad one."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chares.errors import CharesError, InputError, UnknownName
from chares.facts import Facts, files, load, read_document, read_table
from chares.facts.compiling import QUOTE_WORDS, compile_all, compile_to
from chares.ledger import KINDS

SOURCES = """\
sources:
  - {id: early, publisher: A, title: First list, url: none, published: 2024-01-10}
  - {id: late, publisher: B, title: Second list, url: none, published: 2025-03-01,
      accessed: 2025-03-02, licence: CC-BY-4.0, note: monthly}
"""
CHIP = """\
id: abacus-9
name: Abacus 9
aliases: [A9, "Abacus 9 (80 GB)"]
tags: {vendor: lindos, generation: bronze}
facts:
  memory: {value: 80, unit: GB, per: chip, kind: stated, source: early, where: p. 3}
  price:
    - {value: 30, low: 25, high: 40, unit: kUSD, kind: assumed, source: early,
        valid_from: 2024-02-01}
    - {value: 20, unit: kUSD, kind: derived, source: late, valid_from: 2025-02-01}
    - {value: 22, unit: kUSD, kind: measured, source: late, valid_from: 2025-02-01, where: table 1}
  tdp:
    - {value: 700, unit: W, kind: derived, source: early}
    - {value: 690, unit: W, kind: measured, source: late, opened: false, note: at the wall}
  launch: {value: 2024-06-01, unit: date, low: 2024-05-01, kind: stated, source: early}
  form: {value: SXM, unit: text, kind: stated, source: early}
rules: [{from: 2024-01-01, text: one}]
"""


def stock(**more: str) -> Facts:
    texts = {"sources/lists.yaml": SOURCES, "chips/abacus-9.yaml": CHIP, **more}
    return Facts(compile_all((path, text.encode()) for path, text in texts.items()))


def findings(text: str, path: str = "chips/abacus-9.yaml") -> list[str]:
    """The errors of a fact file that stands beside the sources."""
    pairs = [("sources/lists.yaml", SOURCES.encode()), (path, text.encode())]
    with pytest.raises(CharesError) as caught:
        compile_all(pairs)
    return [str(e) for e in getattr(caught.value, "errors", [caught.value])]


# which record holds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("on", "value"),
    [
        (date(2024, 2, 1), 30e3),  # the first day of the first record
        (date(2025, 1, 31), 30e3),  # the last day before the second
        (date(2025, 2, 1), 22e3),  # its first day; measured goes before derived
        (date(2030, 1, 1), 22e3),
        (None, 22e3),
    ],
)
def test_the_latest_record_that_began_by_the_day_holds(on: date | None, value: float) -> None:
    assert stock().get("abacus-9", "price", on).value == value


def test_before_the_first_record_there_is_no_value() -> None:
    with pytest.raises(InputError) as caught:
        stock().get("abacus-9", "price", date(2024, 1, 31))
    assert caught.value.code == "no-fact-yet"
    assert caught.value.hint == "records begin on 2024-02-01"
    assert not stock().has("abacus-9", "price", date(2024, 1, 31))
    assert stock().has("abacus-9", "price", date(2024, 2, 1))


def test_a_record_without_a_day_holds_on_every_day() -> None:
    assert stock().get("abacus-9", "memory", date(1990, 1, 1)).value == 8e10


def test_what_could_be_known() -> None:
    """The list of 2025-03-01 is not known the day before, although its price held already."""
    on = date(2025, 2, 20)
    assert stock().get("abacus-9", "price", on, known_by=date(2025, 3, 1)).value == 22e3
    assert stock().get("abacus-9", "price", on, known_by=date(2025, 2, 28)).value == 30e3
    with pytest.raises(InputError) as caught:
        stock().get("abacus-9", "price", on, known_by=date(2024, 1, 9))
    assert caught.value.code == "no-fact-yet"
    assert "2024-01-09" in str(caught.value)


def test_known_by_can_be_set_once_for_all() -> None:
    then = stock().known(date(2024, 12, 31))
    assert [f.value for f in then.all("abacus-9", "tdp")] == [700]
    assert then.figure("abacus-9", "tdp").value == 700
    assert then.known(None).get("abacus-9", "tdp").value == 690


def test_a_record_may_have_been_published_before_its_source() -> None:
    text = CHIP.replace("source: late, opened", "source: late, published: 2024-02-02, opened")
    facts = stock(**{"chips/abacus-9.yaml": text})
    assert facts.get("abacus-9", "tdp", known_by=date(2024, 2, 2)).value == 690


def test_sources_that_disagree_stand_side_by_side() -> None:
    found = stock().all("abacus-9", "tdp")
    assert [(f.value, f.source.id, f.kind) for f in found] == [
        (700, "early", "derived"),
        (690, "late", "measured"),
    ]
    assert [f.key for f in found] == ["abacus-9.tdp", "abacus-9.tdp#2"]
    assert stock().get("abacus-9", "tdp").key == "abacus-9.tdp#2"


@given(st.permutations(range(4)), st.integers(0, 3))
def test_the_order_of_a_file_decides_only_between_equals(order: list[int], day: int) -> None:
    records = [
        f"    - {{value: {i}, unit: W, kind: {KINDS[i]}, source: early, valid_from: {day}}}"
        for i, day in ((i, date(2024, 1, i + 1)) for i in order)
    ]
    text = "id: x\nfacts:\n  p:\n" + "\n".join(records)
    facts = stock(**{"chips/x.yaml": text})
    assert facts.get("x", "p", date(2024, 1, 1) + timedelta(day)).value == day


# values -----------------------------------------------------------------------------------------


def test_values_are_si_and_days_are_day_numbers() -> None:
    facts = stock()
    price = facts.get("abacus-9", "price", date(2024, 3, 1))
    assert (price.value, price.low, price.high, price.unit) == (30e3, 25e3, 40e3, "kUSD")
    launch = facts.get("abacus-9", "launch")
    assert launch.day == date(2024, 6, 1)
    assert launch.low == date(2024, 5, 1).toordinal()
    assert facts.get("abacus-9", "form").value == "SXM"


def test_a_fact_becomes_a_leaf_with_its_source() -> None:
    figure = stock().figure("abacus-9", "tdp", label="Power of a chip")
    assert (figure.value, figure.unit, figure.kind) == (690, "W", "measured")
    assert (figure.key, figure.source, figure.label) == (
        "abacus-9.tdp#2",
        "late",
        "Power of a chip",
    )
    assert figure.note == "at the wall; source not opened"
    assert stock().figure("abacus-9", "memory").where == "p. 3"


def test_a_record_can_be_given_another_value() -> None:
    changed = stock().with_values({"abacus-9.price@2024-02-01": 1.0})
    assert changed.get("abacus-9", "price", date(2024, 3, 1)).value == 1.0
    assert changed.get("abacus-9", "price").value == 22e3
    again = changed.with_values({"abacus-9.memory": 2.0}).known(date(2024, 12, 1))
    assert again.get("abacus-9", "price").value == 1.0
    assert again.get("abacus-9", "memory").value == 2.0


def test_sources_of_two_stocks_do_not_mix() -> None:
    other = SOURCES.replace("2024-01-10", "2020-01-10")
    old = stock(**{"sources/lists.yaml": other})
    assert stock().source("early").published == date(2024, 1, 10)
    assert old.source("early").published == date(2020, 1, 10)
    assert old.source("late").licence == "CC-BY-4.0"
    assert old.source("late").cite() == "B: Second list (2025-03-01)"
    with pytest.raises(UnknownName):
        old.source("lat")


# names ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["abacus-9", "A9", "a9", "ABACUS 9", "Abacus 9 (80 GB)"])
def test_ids_and_aliases_in_any_case(name: str) -> None:
    assert stock().resolve("chips", name) == "abacus-9"


LABELS = {  # as drivers, clouds and papers write them
    "a100-sxm-80gb": "A100; 8xA100; 64 A100 GPUs; NVIDIA A100-SXM4-80GB; A100 (SXM, 80GB)",
    "a100-sxm-40gb": "A100 40GB; A100-40G; NVIDIA A100-SXM4-40GB; p4d.24xlarge",
    "a100-pcie-80gb": "NVIDIA A100 80GB PCIe; A100-PCIE-80GB",
    "h100-sxm": "H100-SXM-80GB; NVIDIA H100 80GB HBM3; 2,048 x H100 SXM5; DGX H100; H100 80GB x8",
    "h100-sxm-96gb-500w": "H100-SXM-96GB-HBM2e-500W; H100 96GB",
    "h100-pcie": "NVIDIA H100 PCIe; H100 80GB HBM2e; NVIDIA H100 80GB HBM2e",
    "h100-nvl": "NVIDIA H100 NVL; H100 NVL 94GB",
    "h800-pcie": "H800 PCIe 80GB",
    "h20-141gb": "H20 141GB; H20-3e",
    "b200": "B200 SXM; B200 192GB; B200 180GB; HGX B200",  # 180 of 192 GB are usable
    "gb200": "GB200 NVL72; GB200 NVL36; NVIDIA GB200 [general knowledge]",
    "v100-sxm2-32gb": "V100; Tesla V100-SXM2-32GB; V100 32GB",
    "v100-pcie-16gb": "Tesla V100-PCIE-16GB",
    "rtx-4090": "RTX4090; RTX 4090 GPUs; NVIDIA GeForce RTX 4090 24GB; 4090",
    "l40s": "L40S PCIe; NVIDIA L40S 48 GB",
    "mi250x": "AMD MI250X (GCD); MI250X 64GB",
    "mi300x": "AMD Instinct MI300X OAM 192GB; 8× MI300X",
    "tpu-v3": "TPU v3-1024; TPUv3; TPU v3 (1024 cores)",
    "tpu-v4": "TPU v4-256; v4-256; TPU v4 pod; Cloud TPU v4",
    "tpu-v5e": "v5litepod-256; TPU v5 lite; TPU v5e-256",
    "tpu-v5p": "TPUv5p-512; TPU v5p 95GB",
    "tpu-v6e": "Trillium; TPU v6e-256",
    "tpu-v7": "Ironwood; TPU7x; TPU v7",
    "trainium1": "trn1.32xlarge; AWS Trainium; Trn1",
    "trainium1-trn1n": "trn1n.32xlarge",
    "gaudi-2": "Gaudi2; Intel Gaudi 2; Habana Gaudi 2 (HL-225H)",
    "ascend-910b3": "Ascend910B3; Huawei Ascend 910B3 64GB",
    "ascend-910b": "Ascend 910B; Ascend 910B2",
}


@pytest.mark.parametrize("chip", LABELS)
def test_a_chip_is_found_by_what_publications_call_it(chip: str, facts: Facts) -> None:
    for label in LABELS[chip].split("; "):
        assert facts.resolve("chips", label) == chip, label


@pytest.mark.parametrize(
    "label",
    [
        "",
        "8x",
        "GPU",
        "CPU",
        "H1000",
        "A100/H100",
        "A100 63GB",
        "TPU v9-8",
        "MI250X 128GB",
        "H" * 500,
    ],
)
def test_a_label_of_no_chip_or_of_two_is_refused(label: str, facts: Facts) -> None:
    with pytest.raises(UnknownName):
        facts.resolve("chips", label)


@given(st.text(max_size=60))
def test_any_label_is_a_chip_or_an_error(label: str) -> None:
    facts = load()
    with suppress(UnknownName):
        assert facts.resolve("chips", label) in facts


def test_every_chip_has_what_the_training_model_reads(facts: Facts) -> None:
    needed = {"memory", "memory_bandwidth", "scale_up_bandwidth", "scale_up_size",
              "scale_out_bandwidth", "node_size", "tdp", "launch"}  # fmt: skip
    for chip in facts.ids("chips"):
        known = set(facts.quantities(chip))
        assert needed <= known, (chip, needed - known)
        assert known & {"peak_bf16", "peak_fp16"}, chip
        assert facts.subject(chip).tags["generation"], chip
        assert facts.resolve("chips", facts.subject(chip).name) == chip


def test_an_unknown_name_gets_a_suggestion() -> None:
    facts = stock()
    with pytest.raises(UnknownName) as chip:
        facts.resolve("chips", "abacus-8")
    assert (chip.value.code, chip.value.hint) == ("unknown-chip", "did you mean `abacus-9`?")
    with pytest.raises(UnknownName) as subject:
        facts.get("abacus9", "memory")
    assert "`abacus-9`" in subject.value.hint
    with pytest.raises(UnknownName) as quantity:
        facts.get("abacus-9", "memroy")
    assert quantity.value.hint.startswith("did you mean `abacus-9.memory`")


def test_a_name_means_one_subject() -> None:
    twin = "id: abacus-10\naliases: [a-9]\n"
    with pytest.raises(CharesError) as caught:
        stock(**{"chips/abacus-10.yaml": twin})
    assert caught.value.code == "duplicate-alias"
    assert stock(**{"sites/abacus-10.yaml": twin})  # a site may be called like a chip


def test_subjects_and_their_documents() -> None:
    facts = stock()
    subject = facts.subject("abacus-9")
    assert (subject.collection, subject.name, subject.aliases[0]) == ("chips", "Abacus 9", "A9")
    assert subject.tags == {"vendor": "lindos", "generation": "bronze"}
    assert facts.ids("chips") == ["abacus-9"]
    assert facts.ids("sites") == []
    assert facts.document("chips/abacus-9")["rules"] == [{"from": "2024-01-01", "text": "one"}]
    assert facts.quantities("abacus-9") == ["memory", "price", "tdp", "launch", "form"]


def test_search_takes_all_words() -> None:
    facts = stock()
    assert {f.quantity for f in facts.search(["abacus", "PRICE"])} == {"price"}
    assert len(facts.search(["abacus-9.price"])) == 3
    assert len(facts.known(date(2024, 12, 1)).search(["price"])) == 1
    assert facts.search(["price", "memory"]) == []


# bad records ------------------------------------------------------------------------------------

BAD = [  # what is wrong, its line of facts, what the message must hold
    ("value: 80, unit: GB, kind: stated", "missing-key", "a record needs ['source']"),
    ("value: 80, unit: GB, kind: sure, source: early", "bad-kind", "stated, measured"),
    ("value: 80, unit: GBB, kind: stated, source: early", "unknown-unit", "`GBB`"),
    ("value: many, unit: GB, kind: stated, source: early", "not-a-number", "`value`"),
    ("value: true, unit: GB, kind: stated, source: early", "not-a-number", "`value`"),
    ("value: .nan, unit: GB, kind: stated, source: early", "not-a-number", "`value`"),
    ("value: 80, low: 90, unit: GB, kind: stated, source: early", "bad-interval", "low <= value"),
    ("value: 80, unit: GB, kind: stated, source: nobody", "unknown-source", "`nobody`"),
    ("value: 80, unit: GB, kind: stated, source: early, form: x", "unknown-key", "`form`"),
    ("value: 80, unit: GB, kind: stated, source: early, valid_form: x", "unknown-key", "`valid_f"),
    ("value: 80, unit: GB, kind: stated, source: early, valid_from: 2024-2-1", "bad-day", "YYYY"),
    ("value: soon, unit: date, kind: stated, source: early", "bad-day", "`value`"),
    ("value: 80, unit: GB, kind: stated, source: early, opened: no", "bad-record", "`opened`"),
    (
        "value: 80, unit: GB, kind: stated, source: early, quote: " + "so " * (QUOTE_WORDS + 1),
        "long-quote",
        "15 words",
    ),
]


@pytest.mark.parametrize(("record", "code", "says"), BAD)
def test_a_bad_record_is_named_by_file_line_and_key(record: str, code: str, says: str) -> None:
    text = f"id: abacus-9\nname: A\nfacts:\n  memory:\n    - {{{record}}}\n"
    (found,) = findings(text)
    assert found.startswith(f"error[{code}]")
    assert says in found
    assert "at chips/abacus-9.yaml:5, abacus-9.memory" in found


def test_all_bad_records_at_once() -> None:
    text = (
        "id: abacus-9\nfacts:\n  memory: {value: 1}\n  tdp: 700\n"
        "  price:\n    - {value: 1, unit: USD, kind: stated, source: nobody}\n"
        "    - {value: 1, unit: dollars, kind: stated, source: early}\n"
    )
    lines = [f.split("abacus-9.yaml:")[1].split(",")[0] for f in sorted(findings(text))]
    assert sorted(lines) == ["3", "4", "6", "7"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[1, 2]", "bad-file"),
        ("id: other", "bad-id"),
        ("name: no id", "bad-id"),
        ("id: abacus-9\nfacts: 5", "bad-record"),
        ("id: abacus-9\naliases: [5]", "bad-alias"),
        ("id: abacus-9\naliases: A9", "bad-alias"),
        ("id: abacus-9\ntags: gpu", "bad-tags"),
        ("id: abacus-9\nid: abacus-9", "duplicate-key"),
        ("id: abacus-9\nx: *y", "alias"),
        ("id: abacus-9\nx: !!python/none x", "tag"),
    ],
)
def test_a_bad_file_is_named(text: str, code: str) -> None:
    (found,) = findings(text)
    assert found.startswith(f"error[{code}]")
    assert "abacus-9.yaml" in found


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("sources: 5", "unknown-key"),
        ("sources: [5]", "bad-source"),
        ("id: x", "missing-key"),
        ("{id: x, publisher: A, title: T, url: u, published: soon}", "bad-day"),
        ("{id: x, publisher: A, title: T, url: u, published: 2024-01-01, acessed: x}", "unknown"),
        ("{id: early, publisher: A, title: T, url: u, published: 2024-01-01}", "duplicate-id"),
    ],
)
def test_a_bad_source_is_named(text: str, code: str) -> None:
    found = findings(text, "sources/more.yaml")
    assert any(f.startswith(f"error[{code}") for f in found)
    assert all("sources/more.yaml:1" in f for f in found)


TEMPLATES = [yaml.safe_load(CHIP.replace("- {", "- {")), yaml.safe_load(SOURCES)]
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates().map(str)
)
JUNK = st.recursive(SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(
    st.text(max_size=5), x, max_size=3), max_leaves=5)  # fmt: skip


def mutate(tree: Any, data: st.DataObject) -> Any:
    """The tree with one of its nodes replaced by something else."""
    if isinstance(tree, (dict, list)) and tree and data.draw(st.integers(0, 4)):
        keys = list(tree) if isinstance(tree, dict) else list(range(len(tree)))
        key = data.draw(st.sampled_from(keys))
        changed = tree.copy()
        changed[key] = mutate(tree[key], data)
        return changed
    return data.draw(JUNK)


@given(st.sampled_from([0, 1]), st.data())
def test_any_change_to_a_file_is_a_stock_or_an_error(which: int, data: st.DataObject) -> None:
    """Never an exception of Python: and what compiles can be read."""
    path = ["chips/abacus-9.yaml", "sources/lists.yaml"][which]
    text = json.dumps(mutate(TEMPLATES[which], data), default=str)
    try:
        facts = stock(**{path: text})
        for fact in facts.search([]):
            assert fact.figure().key == fact.key
    except CharesError:
        pass


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_garbage_is_an_error_with_its_file(content: bytes) -> None:
    with pytest.raises(CharesError) as caught:
        compile_all([("chips/x.yaml", content)])
    assert "chips/x.yaml" in str(caught.value)


# documents --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("NO", "NO"),  # Norway: YAML 1.2, not 1.1
        ("yes", "yes"),
        ("on", "on"),
        ("1e26", 1e26),  # a number without a dot
        ("0o17", "0o17"),
        ("017", 17),
        ("12:30:45", "12:30:45"),
        ("2024-09-02", "2024-09-02"),
        ("true", True),
        ("True", True),
        ("tRUE", "tRUE"),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("-.5", -0.5),
        ("1_000", "1_000"),
        ("=", "="),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(text: str, value: object) -> None:
    assert read_document(f"a: {text}", "x").plain() == {"a": value}


def test_every_value_knows_its_line() -> None:
    root = read_document("a: 1\nb:\n  - x\n  - y: 2\n", "x.yaml")
    entry = root.value["b"].value[1].value["y"]
    assert (entry.value, entry.line, entry.file) == (2, 4, "x.yaml")
    assert root.value["b"].key_line == 2


# what comes with chares -------------------------------------------------------------------------


def test_every_record_that_comes_with_chares_can_be_read(facts: Facts) -> None:
    found = facts.search([])
    assert len(found) > 1000
    for fact in found:
        assert fact.kind in KINDS
        assert fact.source.published
        assert fact.published is None or fact.published <= date(2100, 1, 1)


def test_values_from_memory_are_assumed(facts: Facts) -> None:
    """A record whose source is nobody's document can at best be assumed."""
    loose = {"general-knowledge", "vendor-datasheet"}
    assert not [f.key for f in facts.search([]) if f.source.id in loose and f.kind != "assumed"]


def test_compiling_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    assert compile_to(first) == compile_to(second)
    assert first.read_bytes() == second.read_bytes()
    assert Facts(json.loads(first.read_bytes())).hash == load().hash
    assert not list(tmp_path.glob("*.part"))


def test_a_folder_that_cannot_be_written_is_no_obstacle(tmp_path: Path) -> None:
    assert compile_to(tmp_path / "missing" / "a.json")["hash"] == load().hash


def test_a_younger_fact_file_makes_the_compiled_ones_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = tmp_path / "chips" / "x.yaml"
    chip.parent.mkdir()
    chip.write_text("id: x", encoding="utf-8")
    monkeypatch.setattr(files, "DATA", tmp_path)
    monkeypatch.setattr(files, "COMPILED", tmp_path / "facts.json")
    assert files.compiled() is None
    compile_to(files.COMPILED)
    later = chip.parent.stat().st_mtime + 5
    os.utime(files.COMPILED, (later, later))
    assert (files.compiled() or {})["subjects"].keys() == {"x"}
    os.utime(chip, (later + 5, later + 5))
    assert files.compiled() is None
    load.cache_clear()
    try:
        assert load().ids("chips") == ["x"]  # compiled anew
    finally:
        load.cache_clear()


def test_tables_are_found_by_their_path() -> None:
    assert read_table("published/training.csv").is_file()
    with pytest.raises(FileNotFoundError, match=r"no/such\.csv"):
        read_table("no/such.csv")


def test_the_stock_describes_itself(facts: Facts) -> None:
    assert repr(facts).startswith("<Facts: ")
    assert facts.hash in repr(facts)
