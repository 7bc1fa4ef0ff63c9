"""Claims held against figures: every verdict, both sides of every limit."""

from __future__ import annotations

import pytest

from chares.claims import VERDICTS, hold
from chares.claims.holding import judge, precision
from chares.ledger import Estimate, Figure, leaf
from chares.spec import Claim


def claim(value: str | float, tolerance: float = 0.1, scope: str | None = None) -> Claim:
    return Claim.model_validate(
        {"id": "c", "says": "so", "about": "x", "value": value, "tolerance": tolerance,
         "scope": scope}
    )  # fmt: skip


def held(value: str | float, figure: Figure | None, **how: object):  # type: ignore[no-untyped-def]
    scope = str(how.pop("computed_scope", ""))
    low, high = how.pop("interval", (None, None)) if "interval" in how else (None, None)
    (found,) = hold(
        [claim(value, **how)],  # type: ignore[arg-type]
        lambda id_: figure,
        lambda f: Estimate(
            low if low is not None else f.value, f.value, high if high is not None else f.value
        ),
        lambda id_: scope,
    )
    return found


@pytest.mark.parametrize(
    ("written", "half"),
    [
        ("122 day", 0.5 / 122),
        ("5.6e6 USD", 0.05 / 5.6),
        ("5.60e6 USD", 0.005 / 5.6),
        ("100000", 0.005),
        ("1,234", 0.5 / 1234),
        (0.54, 0.005 / 0.54),
        ("0", 0.0),
    ],
)
def test_precision_is_half_of_the_last_digit_written(written: str | float, half: float) -> None:
    assert precision(written) == pytest.approx(half)


def test_equal_to_the_digits_that_were_written_holds() -> None:
    found = held("5.6e6 USD", leaf("x", 5.576e6, "USD"))
    assert (found.verdict, found.reason) == ("holds", "precision")
    assert found.off_by == pytest.approx(5.6 / 5.576 - 1)


@pytest.mark.parametrize(
    ("computed", "verdict"),
    [(100.0, "holds"), (109.0, "holds-within"), (91.0, "holds-within"), (112.0, "fails")],
)
def test_inside_the_tolerance_holds_within(computed: float, verdict: str) -> None:
    assert held("100.0 W", leaf("x", computed, "W"), tolerance=0.1).verdict == verdict


@pytest.mark.parametrize(("claimed", "verdict"), [(89.9, "fails"), (90.0, "holds-within")])
def test_both_sides_of_the_tolerance(claimed: float, verdict: str) -> None:
    figure = leaf("x", 100.0, "W")
    assert held(f"{claimed} W", figure, tolerance=0.1).verdict == verdict


def test_inside_the_interval_of_the_computed_value_holds_within() -> None:
    found = held("150.0 W", leaf("x", 100.0, "W"), interval=(80.0, 160.0))
    assert (found.verdict, found.reason) == ("holds-within", "interval")
    assert held("161.0 W", leaf("x", 100.0, "W"), interval=(80.0, 160.0)).verdict == "fails"


def test_another_scope_is_not_an_error_of_number() -> None:
    found = held(
        "5.6e6 USD", leaf("x", 5.6e6, "USD"), scope="programme", computed_scope="final-run"
    )
    assert found.verdict == "mixes-scopes"
    assert held("5.6e6 USD", leaf("x", 5.6e6, "USD"), scope="final-run",
                computed_scope="final-run").verdict == "holds"  # fmt: skip


def test_what_cannot_be_compared_is_unchecked() -> None:
    assert held("1 W", None).reason == "no-figure"
    assert held("1 W", leaf("x", 1.0, "USD")).reason == "other-unit"
    assert held("1 W", leaf("x", "text", "text")).verdict == "unchecked"


def test_days_are_compared_as_days() -> None:
    figure = leaf("x", 739130.0, "date")  # 2024-09-02
    assert held("2024-09-02", figure).verdict in ("holds", "fails")
    assert judge(claim("2024-09-02"), 10.0, 10.0, Estimate(10, 10, 10), dated=True)[0] == "holds"
    assert judge(claim("2024-09-02"), 11.0, 10.0, Estimate(10, 10, 10), dated=True)[0] == "fails"
    assert held("tomorrow", figure).verdict == "unchecked"


def test_verdicts_are_the_five_of_the_contract() -> None:
    assert VERDICTS == ("holds", "holds-within", "fails", "mixes-scopes", "unchecked")
