"""One shape for every error: code, place, message, hint, exit code."""

from __future__ import annotations

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares.errors import (
    CharesError,
    DataError,
    InputError,
    InputErrors,
    NoPlan,
    UnknownName,
    did_you_mean,
    raise_all,
    shorten,
)
from conftest import ROOT


def test_the_shape_is_the_one_that_is_published() -> None:
    bad = InputError(
        "unit-mismatch",
        "`site.power` is `150 MWh`, an energy",
        where="cases/x.yaml:14",
        hint="a power is wanted, such as `150 MW`",
    )
    assert str(bad) == (
        "error[unit-mismatch]: `site.power` is `150 MWh`, an energy, at cases/x.yaml:14\n"
        "hint: a power is wanted, such as `150 MW`"
    )


def test_place_and_hint_may_be_missing() -> None:
    assert str(CharesError("odd", "it is odd")) == "error[odd]: it is odd"


def test_a_place_is_named_once() -> None:
    bad = InputError("odd", "it is odd")
    assert bad.at("a.yaml:1").at("b.yaml:2") is bad
    assert bad.where == "a.yaml:1"


def test_exit_codes() -> None:
    """2 for what the user gave, 1 for a question without an answer."""
    assert InputError("a", "b").exit_code == DataError("a", "b").exit_code == 2
    assert InputErrors([InputError("a", "b")]).exit_code == 2
    assert NoPlan("no-fit", "nothing fits").exit_code == 1


def test_all_findings_at_once() -> None:
    two = [InputError("a", "first"), InputError("b", "second", hint="do this")]
    raise_all([])
    with pytest.raises(InputError) as one:
        raise_all(two[:1])
    assert one.value is two[0]
    with pytest.raises(InputErrors) as both:
        raise_all(two)
    assert both.value.errors == tuple(two)
    assert str(both.value) == "error[a]: first\nerror[b]: second\nhint: do this"


def test_an_unknown_name_comes_with_its_neighbours() -> None:
    bad = UnknownName("chip", "h10O-sxm", ["h100-sxm", "h100-pcie", "mi300x"])
    assert bad.code == "unknown-chip"
    assert "`h100-sxm`" in bad.hint
    assert "mi300x" not in bad.hint
    far = UnknownName("chip", "zzz", ["h100-sxm", "mi300x"])
    assert far.hint == "known: `h100-sxm`, `mi300x`"
    assert did_you_mean("x", []) == "none is known"
    assert did_you_mean("zzz", [f"a{i}" for i in range(30)]).endswith("and 18 more")


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200), st.integers()))
def test_quoted_input_is_one_short_printable_line(text: object) -> None:
    line = shorten(text)
    assert len(line) <= 60
    assert line.isprintable()


def test_an_int_that_python_does_not_print() -> None:
    assert shorten(10**5000) == "a huge number"


RAISED_BY = {"InputError", "DataError", "NoPlan", "CharesError", "PydanticCustomError", "fail"}


def codes_of_the_source() -> set[str]:
    """Every code that the source spells out; they are part of the interface."""
    codes = {"bad-option"}  # made of a message of click
    for path in (ROOT / "src").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = ast.unparse(node.func).split(".")[-1]
            texts = [n.value for n in ast.walk(node.args[0]) if isinstance(n, ast.Constant)]
            if name in RAISED_BY:
                codes |= set(map(str, texts))
            elif name == "UnknownName" and isinstance(node.args[0], ast.Constant):
                codes |= {f"unknown-{text}".replace(" ", "-") for text in texts}
            elif name == "UnknownName" and "collection" in ast.unparse(node.args[0]):
                codes.add("unknown-chip")  # and so for each collection
    return codes


def test_codes_are_lower_case_with_dashes() -> None:
    found = codes_of_the_source()
    assert len(found) > 40
    assert not [code for code in found if not re.fullmatch(r"[a-z]+(-[a-z]+)*", code)]


def test_the_docstring_draws_the_tree() -> None:
    import chares.errors

    names = {
        n
        for n, v in vars(chares.errors).items()
        if getattr(v, "__module__", "") == "chares.errors" and isinstance(v, type)
    }
    assert all(name in (chares.errors.__doc__ or "") for name in names)
