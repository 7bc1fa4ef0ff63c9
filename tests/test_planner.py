"""The main path: two real cases, and the tree behind every figure of a plan."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

import chares
from chares.facts import load
from chares.ledger import Estimate, Figure, leaves, replay
from chares.planner import Plan, plan, strategies
from chares.spec import Case, read_case

WHOLE = ("seq_len", "global_batch")
#: what the case says in words, and a stand-in for "any amount"
NOT_MOVED = {
    "any power",
    "strategy.precision",
    # DualPipe has no chunks, and no tensor ranks can split the experts
    *(f"case:train.strategy.{n}" for n in ("schedule", "recompute", "vp", "etp")),
}
CASES = ("colossus-1", "deepseek-v3")


@pytest.fixture(scope="module", params=CASES)
def planned(request: pytest.FixtureRequest) -> Plan:
    return plan(request.param)


def changed_case(case: Case, path: str, value: Any) -> Case:
    """The case with one value replaced, given the path of a leaf (``fleet[0].count``)."""
    head, _, rest = path.partition(".")
    name, _, index = head.partition("[")
    part = getattr(case, name)
    if index:
        entries = list(part)
        place = int(index.rstrip("]"))
        entries[place] = changed_case(entries[place], rest, value) if rest else value
        return case.model_copy(update={name: tuple(entries)})
    if rest:
        return case.model_copy(update={name: changed_case(part, rest, value)})
    return case.model_copy(update={name: value})


def moved(leaf: Figure) -> float:
    """Another value for a leaf, near enough that nothing becomes absurd."""
    if leaf.unit == "date":
        # chips a day earlier, the job a day later: which phases it runs on stays
        return leaf.value + (1 if leaf.key.endswith("start") else -1)
    if leaf.key.endswith(("train.chips", "n_experts", *WHOLE)) or "train.strategy" in leaf.key:
        return leaf.value * 2  # must divide
    if float(leaf.value).is_integer() and abs(leaf.value) < 1e4:
        return (
            leaf.value + 1.0 if leaf.value else 0.0
        )  # counts stay whole; a switch that is off stays
    return float(leaf.value) * 1.01


def fresh(planned: Plan, changes: dict[str, float]) -> Plan:
    """A new plan in which the leaves have these values from the start."""
    facts = {k: v for k, v in changes.items() if not k.startswith("case:")}
    case = planned.case
    for key in changes.keys() - facts.keys():
        path, value = key.removeprefix("case:"), changes[key]
        given: Any = value
        if path.endswith(("online", "start", "as_of")):
            given = date.fromordinal(int(value))
        elif path == "train.mfu":
            given = Estimate(value, value, value)
        elif path.endswith(WHOLE) or ("strategy" in path and value.is_integer()):
            given = int(value)
        case = changed_case(case, path, given)
    return plan(case, load().with_values(facts))


def together(planned: Plan, leaf: Figure, value: float) -> dict[str, float]:
    """The change of a leaf; batches of one phase move together, else the phase would split."""
    if not leaf.key.endswith(".online"):
        return {leaf.key: value}
    same = [
        f"case:fleet[{i}].online"
        for i, batch in enumerate(planned.case.fleet)
        if batch.online and batch.online.toordinal() == leaf.value
    ]
    return dict.fromkeys(same, value)


@pytest.mark.slow
def test_replaying_a_changed_leaf_equals_a_fresh_plan(planned: Plan) -> None:
    """Every leaf of the whole plan is moved in turn; every figure must follow."""
    figures = planned.figures
    tested = 0
    for key, leaf in leaves(figures.values()).items():
        value = moved(leaf) if isinstance(leaf.value, (int, float)) else leaf.value
        if value == leaf.value or key in NOT_MOVED:
            continue
        changes = together(planned, leaf, value)
        again = fresh(planned, changes)
        tested += 1
        dated = key.endswith(
            (".online", ".start")
        )  # another day looks up other prices and software
        for id_, figure in figures.items():
            if dated and not id_.startswith("site." if planned.steps.model else ("site.", "run.")):
                continue
            if key.endswith(".count") and id_.startswith(("bill.own.", "bill.loan.")):
                continue  # stands on published capital only for the very count published
            if id_ in again.figures and isinstance(figure.value, (int, float)):
                replayed = replay(figure, changes)
                assert replayed == pytest.approx(again.figures[id_].value, rel=1e-9), (key, id_)
    assert tested > 40


def test_every_figure_reaches_leaves_with_a_source(planned: Plan) -> None:
    for key, leaf in leaves(planned.figures.values()).items():
        assert leaf.kind in ("stated", "measured", "derived", "assumed"), key
        assert leaf.source or leaf.kind == "assumed" or leaf.where, key


def test_colossus_shows_what_the_article_says_and_what_holds() -> None:
    """Hand calculation: 2024-04-24 to 2024-09-02 are 131 days, to 2025-02-17 another 168;
    4.64e26 / (100,000 x 989.4e12 x 0.40 x 86,400) = 135.7 days without failures."""
    p = plan("colossus-1")
    assert p.figure("site.days_to_chips(100000)").value / 86400 == 131
    assert p.figure("site.days_between_chips(100000,200000)").value / 86400 == 168
    ideal = p.figure("run.training_time_ideal").value / 86400
    assert ideal == pytest.approx(4.64e26 / (1e5 * 989.4e12 * 0.40 * 86400), rel=1e-3)
    verdicts = {h.claim.id: h.verdict for h in p.held}
    assert verdicts == {
        "built-in-122-days": "holds-within",
        "doubled-in-92-days": "fails",
        "first-100k": "holds",
        "then-200k": "holds",
    }
    first = next(h for h in p.held if h.claim.id == "built-in-122-days")
    assert first.off_by == pytest.approx(122 / 131 - 1)


def test_the_order_of_2023_counts_the_fastest_format() -> None:
    """100,000 H100 at 8 bits make 1.98e20 OP/s and are reported; the same at 16 bits are not."""
    verdicts = plan("colossus-1").verdicts
    assert isinstance(verdicts, dict)
    at_100k = verdicts["cluster.eo-14110 on 2024-09-02"]
    assert at_100k.verdict == "notify"
    assert any("bf16" in sentence for sentence in at_100k.because)
    assert verdicts["report.eo-14110"].verdict == "notify"
    assert verdicts["cluster.eo-14110 on 2025-02-17"].verdict == "no-rule"


def test_deepseek_shows_what_5_6_million_counts() -> None:
    """2.788 M hours x 2 USD; 2.788 M / 2,048 / 24 = 56.7 days; 6 x 37 G x 14.8 T = 3.29e24."""
    p = plan("deepseek-v3")
    assert p.figure("bill.total").value == pytest.approx(2.788e6 * 2)
    assert p.figure("train.reported_time").value / 86400 == pytest.approx(2.788e6 / 2048 / 24)
    assert p.figure("train.compute_6nd").value == pytest.approx(3.29e24, rel=0.02)
    assert p.figure("train.implied_mfu_bf16").value == pytest.approx(0.35, abs=0.005)
    assert p.figure("train.implied_mfu_fp8").value == pytest.approx(0.17, abs=0.007)
    assert p.figure("train.implied_mfu_fp8_2").value == pytest.approx(0.23, abs=0.005)
    verdicts = {h.claim.id: h.verdict for h in p.held}
    assert verdicts["final-run-cost"] == "holds"
    assert verdicts["developed-for-that"] == "mixes-scopes"
    assert isinstance(p.verdicts, dict)
    assert p.verdicts["export.h800-sxm"].verdict == "allowed"


@pytest.mark.parametrize(
    ("bought", "verdict"), [("2023-10-22", "allowed"), ("2023-10-23", "licence")]
)
def test_the_day_of_purchase_decides_about_an_h800(bought: str, verdict: str) -> None:
    p = plan(read_case("deepseek-v3", [f"permit.bought={bought}"]))
    assert isinstance(p.verdicts, dict)
    assert p.verdicts["export.h800-sxm"].verdict == verdict


def test_doubling_the_price_doubles_the_bill() -> None:
    once = plan(read_case("deepseek-v3", ["finance.hourly_price=2 USD/chip/h"]))
    twice = plan(read_case("deepseek-v3", ["finance.hourly_price=4 USD/chip/h"]))
    assert twice.figure("bill.total").value == 2 * once.figure("bill.total").value


def test_a_case_may_have_one_part_only() -> None:
    p = plan(chares.parse_case("name: chips\nas_of: 2025-01-01\nfleet: [{chip: h100, count: 8}]"))
    assert not p.steps
    assert not p.weeks
    assert p.figure("site.chips").value == 8
    empty = plan(chares.parse_case("name: nothing\nas_of: 2025-01-01"))
    assert not any((empty.site, empty.steps, empty.weeks, empty.bill, empty.limits))


def test_a_part_that_no_stage_answers_is_named() -> None:
    text = "name: x\nas_of: 2025-01-01\nmarket: {company: a, price: 10 USD, shares: 5}"
    (warning,) = plan(chares.parse_case(text)).warnings
    assert "market" in str(warning)


@pytest.mark.parametrize(("setting", "code"), [("train.precision=fp4", "no-such-format")])
def test_a_format_that_the_chip_lacks_is_refused(setting: str, code: str) -> None:
    text = (
        "name: x\nas_of: 2025-01-01\nfleet: [{chip: h100-sxm, count: 64}]\n"
        "train: {model: llama-3-8b, tokens: 1 Ttoken, seq_len: 8192, global_batch: 128}"
    )
    with pytest.raises(chares.CharesError) as caught:
        plan(chares.parse_case(text, changes=[setting]))
    assert caught.value.code == code
    assert caught.value.where.startswith("train.")


def test_an_unknown_figure_is_named_with_its_neighbours() -> None:
    with pytest.raises(chares.CharesError, match=r"bill\.total"):
        plan("colossus-1").figure("bill.totl")


def test_known_by_hides_what_was_published_later() -> None:
    day = date(2025, 8, 15)
    p = plan(read_case("colossus-1", [f"known_by={day}"]))
    facts = load()
    used = {k.split("@")[0].split("#")[0] for k in leaves(p.figures.values())}
    seen = 0
    for key in used:
        subject, _, quantity = key.partition(".")
        if not key.startswith("case:") and subject in facts and quantity:
            records = facts.known(day).all(subject, quantity)
            assert all((r.published or r.source.published) <= day for r in records)
            assert records, key
            seen += 1
    assert seen > 10


def test_nothing_fits_is_an_answer_of_its_own() -> None:
    text = """
name: too big
as_of: 2025-01-01
fleet: [{chip: h100-sxm, count: 8}]
train: {model: llama-3.1-405b, tokens: 1 Ttoken, seq_len: 8192, global_batch: 64}
"""
    with pytest.raises(chares.CharesError, match="GB") as caught:
        plan(chares.parse_case(text))
    assert caught.value.exit_code == 1


def test_a_searched_strategy_is_the_first_of_the_search() -> None:
    text = """
name: small
as_of: 2025-01-01
fleet: [{chip: h100-sxm, count: 64}]
train: {model: llama-3-8b, tokens: 1 Ttoken, seq_len: 8192, global_batch: 128}
"""
    p = plan(chares.parse_case(text))
    answer = strategies("llama-3-8b", "h100-sxm", 64, tokens=1e12, seq_len=8192, global_batch=128)
    assert p.figure("train.step_time").value > 0
    assert p.steps.strategy["tp"] * p.steps.strategy["pp"] <= 64
    assert answer.found.feasible > 0


def test_a_plan_shows_itself() -> None:
    p = plan("colossus-1")
    assert "Colossus 1" in repr(p)
    assert p._repr_html_().startswith("<")
    assert "H100" in p.why("bill.total") or "h100" in p.why("bill.total")
