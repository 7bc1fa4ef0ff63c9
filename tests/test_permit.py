"""The law of a day: cases written as sentences, every limit on both sides, and the flips."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chares import permit
from chares.errors import InputError, UnknownName
from chares.facts import load, read_document
from chares.ledger import Figure, NotAsked, replay
from chares.permit import Item, PowerSource
from chares.spec import Case, Site

ROOT = Path(__file__).parent.parent
LAW = ROOT / "tests" / "law"
GB, MM2, MW = 1e9, 1e-6, 1e6


def sentences() -> list[Any]:
    return [*_sentences()]


def _sentences() -> Iterator[Any]:
    for path in sorted(LAW.glob("*.yaml")):
        for case in read_document(path.read_bytes(), path.name).plain():
            yield pytest.param(case, id=f"{path.stem}: {case['says'][:70]}")


def design(raw: dict[str, Any]) -> Item:
    """An item from a sentence: TPP, TPP/mm2 and GB/s to SI."""
    raw = {"vendor": "nvidia", "datacentre": True, **raw}
    if "memory_density" in raw:
        density = raw["memory_density"] * GB / MM2
        return Item("memory", memory_part=True, memory_bandwidth_density=density, tpp=0.0,
                    memory_bandwidth=0.0, io_bandwidth=0.0, die_area=1.0)  # fmt: skip
    return permit.from_numbers(
        "a design",
        tpp=raw["tpp"],
        die_area=raw["tpp"] / raw["density"] * MM2 if "density" in raw else None,
        memory_bandwidth=raw["memory"] * GB if "memory" in raw else None,
        io_bandwidth=raw["io"] * GB if "io" in raw else None,
        vendor=raw["vendor"],
        datacentre=raw["datacentre"],
    )


def ask(raw: dict[str, Any]) -> Any:
    raw = dict(raw)
    door, on = raw.pop("door", "export"), date.fromisoformat(raw.pop("on"))
    if door in ("export", "import", "tariff"):
        thing = raw.pop("chip") if "chip" in raw else design(raw.pop("item"))
        if door == "tariff":
            return permit.tariff(thing, on, **raw)
        to = raw.pop("to")
        if door == "import":
            return permit.importing(thing, to, on)
        return permit.export(thing, to, on, **raw)
    if door == "report":
        network = raw.pop("network", None)
        if "training" in raw:
            raw["training_operations"] = raw.pop("training")
        return permit.report(on, network=network * 1e9 / 8 if network else None, **raw)
    sources = [
        PowerSource(kind, watts * MW, date.fromisoformat(day))
        for kind in ("grid", "turbines")
        for day, watts in raw.get(kind, ())
    ]
    limits = permit.lawful_power(sources, raw["place"])
    return permit.power(sources, raw["place"], on), limits.lawful(on)


@pytest.mark.parametrize("case", sentences())
def test_sentence(case: dict[str, Any]) -> None:
    found, wanted = ask(case["ask"]), dict(case["answer"])
    if "lawful" in wanted:
        found, watts = found
        assert watts == pytest.approx(wanted.pop("lawful") * MW)
    assert found.verdict == wanted.pop("verdict"), found
    for key in ("policy", "rate"):
        if key in wanted:
            assert getattr(found, key) == wanted.pop(key)
    assert wanted.pop("paragraph", "") in found.paragraph
    for key, text in wanted.items():  # because, flips, status
        assert any(text in line for line in getattr(found, key)), getattr(found, key)


def test_every_row_of_the_status_table_has_a_sentence() -> None:
    rows = {c.values[0].get("row") for c in sentences()}
    assert {f"F{n:04d}" for n in range(332, 346)} <= rows


def test_the_rows_that_sentences_rest_on_exist() -> None:
    table = ROOT.parent / "shared" / "data" / "law_verified.csv"
    if not table.is_file():
        pytest.skip("the reading of the law is not beside this checkout")
    with table.open(encoding="utf-8") as lines:
        rows = {row["fact_id"] for row in csv.DictReader(lines)}
    rows |= {"F0414", "F0416", "F0417"}  # site power, in the table of facts
    cited = {c.values[0]["row"] for c in sentences() if "row" in c.values[0]}
    assert cited <= rows


def test_the_page_names_every_instrument() -> None:
    page = (ROOT / "docs" / "permit.md").read_text(encoding="utf-8")
    listed = load().document("law/instruments")
    ids = [i for door in ("export", "import", "tariff", "report", "power") for i in listed[door]]
    assert not [i for i in ids if f"`{i}`" not in page]


# the two formulas -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chip", "tpp", "density"),
    [  # by hand: the best peak times its bits; over the die area
        ("a100-sxm-80gb", 312 * 16, 312 * 16 / 826),
        ("h20", 148 * 16, 148 * 16 / 814),
        ("l20", 119.5 * 16, 119.5 * 16 / 609),
        ("rtx-4090", 660.6 * 8, 660.6 * 8 / 609),
        ("mi300x", 1307.45 * 16, 1307.45 * 16 / 1017),
        ("mi250x", 383 * 16, 383 * 16 / (2 * 724)),
    ],
)
def test_tpp_and_density_of_known_chips(chip: str, tpp: float, density: float) -> None:
    item = permit.chip(chip, load())
    assert item.tpp == pytest.approx(tpp, rel=2e-4)
    assert item.density is not None
    assert item.density * MM2 == pytest.approx(density, rel=2e-3)
    figure = item.figures["tpp"]
    assert isinstance(figure, Figure)
    assert figure.id == "permit.tpp"


def test_tpp_follows_its_peak_in_the_tree() -> None:
    figure = permit.chip("h20", load()).figures["tpp"]
    assert replay(figure, {"h20.peak_bf16": 400e12}) == pytest.approx(400 * 16)


def test_formulas_take_rows() -> None:
    peaks = [np.array([312e12, 100e12]), np.array([624e12, 400e12])]
    tpp = permit.total_processing_performance(peaks, [16, 8])
    assert tpp.tolist() == [312 * 16, 400 * 8]
    assert permit.performance_density(tpp, 800 * MM2).tolist() == pytest.approx([6.24e6, 4e6])
    assert permit.cluster_operations(100_000, 1979e12) == pytest.approx(1.979e20)


# the days ---------------------------------------------------------------------------------

CHANGES = {  # chip -> the days on which its answer for China changes
    "a100-sxm-80gb": ["2022-08-26", "2022-10-21", "2026-01-15"],
    "h800-sxm": ["2022-08-26", "2023-10-23", "2023-11-17", "2026-01-15"],
    "h20": ["2022-08-26", "2025-04-09", "2025-07-14", "2025-08-08", "2026-01-15"],
    "l20": ["2022-08-26"],
    "rtx-4090": ["2022-08-26", "2023-11-17"],
    "tpu-v5p": ["2022-10-21", "2026-01-15"],
    "b200": ["2022-08-26", "2022-10-21"],
}


@pytest.mark.parametrize("chip", CHANGES)
def test_answers_change_on_these_days_and_no_others(chip: str) -> None:
    listed = [date.fromisoformat(text) for text in CHANGES[chip]]
    days = {date(2022, 8, 1) + timedelta(days=15 * n) for n in range(96)}
    days |= {d - timedelta(days=k) for d in listed for k in (0, 1)}
    found = {day: permit.export(chip, "CN", day) for day in sorted(days)}
    answers = [(day, (v.verdict, v.policy)) for day, v in found.items()]
    changed = [str(b[0]) for a, b in pairwise(answers) if a[1] != b[1]]
    assert changed == CHANGES[chip]


def test_what_was_not_published_is_not_used() -> None:
    on = date(2025, 4, 12)
    assert permit.export("h20", "CN", on).verdict == "licence"
    assert permit.export("h20", "CN", on, load().known(on)).verdict == "allowed"
    assert permit.export("h20", "CN", on, load().known(date(2025, 4, 15))).verdict == "licence"
    early = load().known(date(2022, 1, 1))
    assert permit.export("a100-sxm-80gb", "CN", date(2023, 1, 1), early).verdict == "no-rule"
    asked = permit.report(date(2024, 6, 1), early, training_operations=5e26)
    assert asked.verdict == "no-rule"
    assert permit.tariff("h200-sxm", date(2026, 2, 1), early).verdict == "no-rule"


# flips ------------------------------------------------------------------------------------


@pytest.mark.parametrize("chip", ["h100-sxm", "h20", "l20", "rtx-4090", "mi325x", "b200"])
@pytest.mark.parametrize("day", ["2023-05-01", "2024-05-01", "2025-07-18", "2026-02-01"])
def test_days_among_the_flips_are_true(chip: str, day: str) -> None:
    found = permit.export(chip, "CN", date.fromisoformat(day))
    for flip in found.flips:
        word, _, rest = flip.partition(" ")
        if word in ("before", "from"):
            when, _, told = rest.partition(": ")
            moved = date.fromisoformat(when) - timedelta(days=word == "before")
            then = permit.export(chip, "CN", moved)
            assert ", ".join(filter(None, (then.verdict, then.policy))) == told
            assert (then.verdict, then.policy) != (found.verdict, found.policy)


def test_numbers_among_the_flips_are_true() -> None:
    found = permit.export("h100-sxm", "CN", date(2024, 5, 1))
    # at TPP 4,800 a die of 814 mm2 has density 5.90: just below, the H100 would be 3A090.b
    told = [f for f in found.flips if f.startswith("TPP below 4,800 (now 15,8")]
    assert told
    assert told[0].endswith("): notify, licence exception NAC with notice")
    h800 = permit.export("h800-sxm", "CN", date(2023, 5, 1))
    assert any("input-output bandwidth at least 600 GB/s" in f for f in h800.flips)


def test_the_nearest_line_of_a_report_is_told() -> None:
    day = date(2024, 6, 1)
    grok = permit.report(day, training_operations=4.64e26)
    assert [f for f in grok.flips if f.startswith("training")] == [
        "training at most 1e26 FLOP (now 4.64e26 FLOP): allowed"
    ]
    cells = permit.report(day, training_operations=5e22, biological=True)
    assert cells.flips[0] == "training above 1e23 FLOP (now 5e22 FLOP): notify"


def test_h20_leaves_the_letters_below_800_gb_per_second() -> None:
    # 1,700 - 900 = 800 GB/s of DRAM, where the sum is met first
    found = permit.export("h20", "CN", date(2025, 5, 1))
    assert "DRAM bandwidth below 800 GB/s (now 4,000 GB/s): allowed" in found.flips


# shape ------------------------------------------------------------------------------------


def test_the_json_shape() -> None:
    plain = permit.export("h20", "CN", date(2025, 4, 15)).as_dict()
    assert {"verdict", "policy", "paragraph", "because", "facts", "flips"} <= set(plain)
    assert plain["verdict"] in permit.VERDICTS
    assert "letters-2025-04.memory_bandwidth@2025-04-09" in plain["facts"]
    assert "h20.memory_bandwidth" in plain["facts"]
    assert str(permit.export("h20", "CN", date(2025, 4, 15))).startswith("licence, not stated")


def test_every_key_that_an_answer_names_is_a_record() -> None:
    facts = load()
    for chip in facts.ids("chips"):
        for to, day in (("CN", date(2022, 11, 1)), ("AE", date(2024, 6, 1)), ("CN", date.max)):
            found = permit.export(chip, to, day if day != date.max else date(2026, 3, 1))
            assert found.verdict in permit.VERDICTS
            for key in found.facts:
                subject, quantity = key.split("@")[0].split("#")[0].split(".", 1)
                assert facts.has(subject, quantity)


def test_it_says_when_the_law_was_read() -> None:
    found = permit.export("h100-sxm", "CN", date(2026, 11, 23))
    assert any("read as of 2026-07-23" in line for line in found.because)
    asked = permit.report(date(2026, 11, 23), instrument="ai-act", training_operations=2e25)
    assert any("read as of 2026-07-23" in line for line in asked.because)


def test_bad_questions_are_refused() -> None:
    day = date(2024, 1, 1)
    with pytest.raises(UnknownName, match="h1000"):
        permit.export("h1000", "CN", day)
    with pytest.raises(InputError, match="destination"):
        permit.export("h20", "China", day)
    with pytest.raises(InputError, match="route"):
        permit.export("h20", "CN", day, route="smuggle")
    with pytest.raises(InputError, match="neither"):
        permit.report(day)
    with pytest.raises(InputError, match="not kept"):
        permit.report(day, instrument="eo-1", training_operations=1e26)
    with pytest.raises(InputError, match="exempt"):
        permit.tariff("h20", date(2026, 2, 1), use="games")


def test_an_unknown_market_gives_no_answer_where_it_matters() -> None:
    card = permit.from_numbers(
        "card", tpp=5000, die_area=600 * MM2, memory_bandwidth=GB, io_bandwidth=GB, datacentre=None
    )
    found = permit.export(card, "CN", date(2024, 1, 1))
    assert found.verdict == "unknown"
    whether = "knowing whether it is designed or marketed for data centres"
    assert [f for f in found.flips if f.startswith("knowing")] == [whether]


# the doors of the planner -----------------------------------------------------------------


def test_limits_of_colossus_1_from_its_records() -> None:
    found = permit.limits(Site(id="colossus-1", place="memphis"))
    assert not isinstance(found, NotAsked)
    # turbines alone before the first substation (2025-05-01)
    assert found.on(date(2024, 9, 2)).because == (  # type: ignore[union-attr]
        "temporary use, 364 days from first run: 181 MW.",
    )
    assert found.lawful(date(2024, 6, 1)) == 0
    assert found.lawful(date(2025, 5, 1)) == pytest.approx((150 + 421) * MW)
    # a year after the last temporary units the permit of 247 MW is what is left of 421
    later = found.on(date(2026, 4, 1))
    assert later is not None
    assert later.lawful_turbines == pytest.approx(247 * MW)
    assert later.excess == pytest.approx((421 - 247) * MW)
    assert later.battery == pytest.approx(150 * MW)
    assert "shelby-turbines.exemption" in found.facts
    assert found.as_dict()["steps"][-1]["lawful_turbines_w"] == pytest.approx(247 * MW)


def test_limits_takes_the_sources_of_the_case() -> None:
    supplies = [
        {"kind": "grid", "power": "150 MW", "online": "2025-05-01"},
        {"kind": "turbines", "power": "100 MW", "online": "2024-07-01", "permit": "permitted"},
    ]
    found = permit.limits(Site.model_validate({"place": "memphis", "supplies": supplies}))
    assert not isinstance(found, NotAsked)
    assert found.lawful(date(2026, 1, 1)) == pytest.approx(250 * MW)
    assert isinstance(permit.limits(None), NotAsked)
    assert isinstance(permit.limits(Site(place="memphis")), NotAsked)
    # a site that names no place is where its record says
    assert not isinstance(permit.limits(Site(id="colossus-1")), NotAsked)


def test_check_puts_the_numbers_to_every_law() -> None:
    case = Case.model_validate({
        "name": "DeepSeek-V3", "as_of": "2024-12-26",
        "fleet": [{"chip": "h800-sxm", "count": 2048}],
        "permit": {"destination": "CN", "bought": "2023-05-18", "network": "50 GB/s"},
    })  # fmt: skip
    found = permit.check(
        case, training_operations=3.29e24, cluster={"fp8": 2048 * 1979e12}, network=None
    )
    assert not isinstance(found, NotAsked)
    assert found["export.h800-sxm"].verdict == "allowed"
    assert found["report.eo-14110"].verdict == "allowed"
    assert found["cluster.eo-14110"].verdict == "allowed"
    assert "cluster.ai-act" not in found
    nothing = Case.model_validate({"name": "nothing", "as_of": "2024-12-26"})
    assert isinstance(permit.check(nothing), NotAsked)


def test_colossus_cluster_crosses_at_8_bits_with_the_first_half() -> None:
    facts = load()
    peaks = {d: facts.get("h100-sxm", f"peak_{d}").value for d in ("int8", "bf16")}
    half = {d: 100_000 * p for d, p in peaks.items()}
    assert half["int8"] == pytest.approx(1.98e20, rel=1e-3)
    assert half["bf16"] == pytest.approx(9.9e19, rel=1e-3)
    asked = permit.report(date(2024, 9, 2), cluster=half, network=50 * GB)
    assert asked.verdict == "notify"
    assert any("counting bf16 alone" in f for f in asked.flips)
    whole = {"bf16": 2 * half["bf16"]}
    assert permit.report(date(2025, 1, 19), cluster=whole, network=50 * GB).verdict == "notify"
    after = permit.report(date(2025, 2, 17), cluster=whole, network=50 * GB)
    assert after.verdict == "no-rule"


def test_a_rule_that_is_not_understood_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from chares.errors import DataError
    from chares.permit.rulebook import read_instrument

    facts = load()
    raw = facts.document("law/us/3a090-2023")
    bad_rule = {"id": "x", "paragraph": "x", "when": [{"measure": "tpp"}], "outcomes": []}
    bad_word = [{"status": "rumoured", "on": "2023-01-01"}]
    for change in ({"rules": [bad_rule]}, {"history": bad_word}):
        patched = {**raw, **change}
        monkeypatch.setattr(type(facts), "document", lambda self, path, p=patched: p)
        with pytest.raises(DataError):
            read_instrument(facts, "3a090-2023")
        monkeypatch.undo()


def test_a_duty_as_plain_data() -> None:
    plain = permit.tariff("h200-sxm", date(2026, 2, 1)).as_dict()
    assert plain["rate"] == 0.25
    assert "section-232-2026.rate@2026-01-15" in plain["facts"]


def test_the_sources_of_a_known_site() -> None:
    sources = permit.power_sources("colossus-1")
    assert sum(s.power for s in sources if s.kind == "turbines") == pytest.approx(421 * MW)
    found = permit.power(sources, "memphis", date(2026, 4, 1))
    assert found.verdict == "denied"
    with pytest.raises(InputError, match="no source of power"):
        permit.power_sources("memphis")


def test_power_before_anything_runs() -> None:
    source = [PowerSource("grid", 150 * MW, date(2025, 5, 1), until=date(2026, 5, 1))]
    assert permit.power(source, "memphis", date(2025, 4, 30)).paragraph == "nothing runs"
    assert permit.power(source, "memphis", date(2025, 5, 1)).verdict == "allowed"
    assert permit.lawful_power(source, "memphis").lawful(date(2026, 5, 1)) == 0
