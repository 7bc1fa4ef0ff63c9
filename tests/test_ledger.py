"""The tree behind every number: same values as plain calls, weakest kind, replay, intervals."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares.ledger import (
    KINDS,
    Estimate,
    Figure,
    NotAsked,
    children,
    formula,
    intervals,
    leaf,
    leaves,
    nodes,
    pick,
    product,
    ratio,
    replay,
    show_value,
    total,
    weakest,
)


@formula("C / (N r u)", unit="s")
def days(C: Any, N: Any, r: Any, u: Any = 1.0) -> Any:
    return C / (N * r * u)


def test_without_figures_a_formula_is_the_function() -> None:
    assert days(12.0, 2.0, 3.0) == 2.0
    rows = days(np.array([12.0, 24.0]), 2.0, 3.0)
    np.testing.assert_array_equal(rows, [2.0, 4.0])
    assert days.__name__ == "days"


def test_with_a_figure_it_remembers_the_call() -> None:
    made = days(leaf("C", 12.0, "FLOP", kind="stated"), 2.0, r=3.0)
    assert isinstance(made, Figure)
    assert (made.value, made.unit, made.kind) == (2.0, "s", "derived")
    assert made.call is not None
    assert made.call.text == "C / (N r u)"
    assert [name for name, _ in made.parts] == ["C", "N", "r", "u"]
    assert [name for name, _ in children(made)] == ["C"]


@pytest.mark.parametrize(
    "use",
    [
        lambda f: f + 1,
        lambda f: 1 - f,
        lambda f: f * 2.0,
        lambda f: 2 / f,
        lambda f: -f,
        lambda f: f**2,
        lambda f: f < 1,
        lambda f: f >= 1,
        float,
        int,
        abs,
        math.sqrt,
        sum,
        lambda f: sum([f, f]),
        lambda f: np.float64(2) * f,
        lambda f: f * np.ones(3),
        lambda f: np.exp(f),
        lambda f: operator.matmul(f, f),
    ],
)
def test_figures_have_no_operators(use: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        use(leaf("a", 1.0, "1"))


def test_figures_do_not_change() -> None:
    figure = leaf("a", 1.0, "1")
    with pytest.raises(FrozenInstanceError):
        figure.value = 2.0  # type: ignore[misc]
    assert figure.named("run.a", "A").key == "a"
    assert figure.id == ""


def test_the_weakest_kind_travels() -> None:
    for weak, strong in [(i, j) for i in range(4) for j in range(i)]:
        figures = [leaf("a", 1.0, "1", kind=KINDS[weak]), leaf("b", 1.0, "1", kind=KINDS[strong])]
        kind = total(figures).kind
        assert kind == weakest([KINDS[weak], "derived"])
    assert total([leaf("a", 1.0, "1"), leaf("b", 1.0, "1")]).kind == "derived"  # never stated
    assert weakest([]) == "stated"


def tree(values: list[float]) -> Figure:
    """A tree in which leaves are shared and stand at several depths."""
    leaves_ = [leaf(f"x{i}", v, "1") for i, v in enumerate(values)]
    first = total(leaves_)
    second = product(first, leaves_[0])
    third = ratio(second, total([first, leaves_[-1]]))
    return total([third, second, product(3.0, leaves_[-1])]).named("t.all")


def by_hand(x: list[float]) -> float:
    first = sum(x[1:], x[0])
    second = first * x[0]
    third = second / (first + x[-1])
    return third + second + 3.0 * x[-1]


NUMBERS = st.lists(st.floats(0.1, 1e6), min_size=2, max_size=6)


@given(NUMBERS, st.data())
def test_replay_is_a_fresh_evaluation_to_the_last_bit(x: list[float], data: st.DataObject) -> None:
    figure = tree(x)
    assert figure.value == by_hand(x)
    which = data.draw(st.integers(0, len(x) - 1))
    changed = [*x]
    changed[which] = data.draw(st.floats(0.1, 1e6))
    assert replay(figure, {f"x{which}": changed[which]}) == by_hand(changed)
    assert replay(figure, {}) == figure.value
    everything = {f"x{i}": v * 2 for i, v in enumerate(x)}
    assert replay(figure, everything) == by_hand([v * 2 for v in x])


def test_replay_computes_only_what_a_change_reaches() -> None:
    calls: list[str] = []

    @formula("a + 1")
    def near(a: Any) -> Any:
        calls.append("near")
        return a + 1

    @formula("b + 1")
    def far(b: Any) -> Any:
        calls.append("far")
        return b + 1

    figure = total([near(leaf("a", 1.0, "1")), far(leaf("b", 2.0, "1"))])
    calls.clear()
    assert replay(figure, {"a": 5.0}) == 9.0
    assert calls == ["near"]


def test_draws_go_through_a_tree_as_arrays() -> None:
    figure = tree([2.0, 3.0])
    drawn = replay(figure, {"x0": np.array([2.0, 4.0])})
    np.testing.assert_allclose(drawn, [by_hand([2.0, 3.0]), by_hand([4.0, 3.0])])


def test_nodes_come_once_and_parts_first() -> None:
    figure = tree([1.0, 2.0, 3.0])
    found = nodes([figure, figure])
    assert len({id(f) for f in found}) == len(found)
    place = {id(f): i for i, f in enumerate(found)}
    assert all(place[id(p)] < place[id(f)] for f in found for _, p in children(f))
    assert set(leaves([figure])) == {"x0", "x1", "x2"}


def test_a_tree_may_be_deeper_than_python_recurses() -> None:
    figure = leaf("a", 1.0, "1")
    for _ in range(5000):
        figure = total([figure, 1.0])
    assert figure.value == 5001.0
    assert replay(figure, {"a": 2.0}) == 5002.0


def test_intervals_of_the_first_order() -> None:
    """Independent moves add as squares: 3 and 4 make 5; a shared leaf moves both its uses."""
    a = leaf("a", 10.0, "1", low=7.0, high=13.0)
    b = leaf("b", 20.0, "1", low=16.0, high=24.0)
    exact = leaf("c", 5.0, "1")
    both = total([a, b, exact]).named("t.sum")
    assert intervals([both])["t.sum"] == Estimate(30.0, 35.0, 40.0)
    twice = total([a, a]).named("t.twice")
    assert intervals([twice])["t.twice"] == Estimate(14.0, 20.0, 26.0)
    certain = product(exact, 2.0).named("t.certain")
    assert intervals([certain])["t.certain"] == Estimate(10.0, 10.0, 10.0)


def test_an_interval_may_be_one_sided_and_a_formula_may_fall() -> None:
    a = leaf("a", 10.0, "1", high=20.0)
    falling = ratio(100.0, a).named("t.falling")
    assert intervals([falling])["t.falling"] == Estimate(5.0, 10.0, 10.0)


@given(NUMBERS, st.floats(0.01, 0.5))
def test_an_interval_holds_its_value_and_grows_with_its_leaves(x: list[float], w: float) -> None:
    def width(share: float) -> float:
        parts = [leaf(f"x{i}", v, "1", low=v * (1 - share), high=v) for i, v in enumerate(x)]
        found = intervals([total(parts).named("t")])["t"]
        assert found.low <= found.likely <= found.high
        return found.high - found.low

    assert width(w) <= width(w + 0.1) * (1 + 1e-12)


def test_text_and_other_results_are_nodes_too() -> None:
    @formula("a simulated week")
    def week(a: Any) -> Any:
        return Estimate(a, a + 1, a + 2)

    found = pick(week(leaf("a", 1.0, "1")), "high").named("run.high", unit="s")
    assert (found.value, found.unit) == (3.0, "s")
    assert replay(found, {"a": 5.0}) == 7.0
    assert intervals([leaf("name", "h100", "text")]) == {}


def test_a_figure_shows_what_it_is() -> None:
    assert repr(leaf("case:train.compute", 4.64e26, "FLOP", kind="assumed")) == (
        "<Figure case:train.compute = 4.64e+26 FLOP (assumed)>"
    )
    made = days(leaf("C", 12.0, "FLOP"), 2.0, 3.0)
    assert repr(made) == "<Figure days = 2 s (derived)>"
    assert repr(made.named("run.days")) == "<Figure run.days = 2 s (derived)>"
    shown = [show_value(v) for v in (100000, 0.5, math.inf, math.nan, True, "x", [1])]
    assert shown == ["100,000", "0.5", "inf", "nan", "True", "x", "list"]


def test_not_asked_is_false_and_says_why() -> None:
    answer = NotAsked("the case has no site")
    assert not answer
    assert answer.reason == "the case has no site"
