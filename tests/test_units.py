"""Numbers with units: the published grammar, what is refused, and that nothing else comes out."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chares.errors import CharesError, InputError
from chares.units import DAY, MONTH, YEAR, describe, parse, read, unit

# SI values worked out by hand from the definitions of the units
READ = [
    ("150 MW", "W", 1.5e8),
    ("4.64e26 FLOP", "FLOP", 4.64e26),
    ("989.4 TFLOP/s", "FLOP/s", 9.894e14),
    ("2.79 USD/chip/h", "USD/s", 2.79 / 3600),
    ("62 USD/MWh", "USD/J", 62 / 3.6e9),
    ("40 %", "1", 0.4),
    ("35 %", "1", 0.35),
    ("100,000 chip", "chip", 1e5),
    ("12_000", "1", 12000.0),
    ("80 GB", "B", 8e10),
    ("80 GiB", "B", 80 * 2**30),
    ("400 Gb/s", "B/s", 5e10),
    ("400 Gbit/s", "B/s", 5e10),
    ("90 day", "s", 90 * 86400),
    ("90 days", "s", 90 * 86400),
    ("4 year", "s", 4 * 365.25 * 86400),
    ("1 month", "s", 30.4375 * 86400),
    ("2 week", "s", 14 * 86400),
    ("1.5 h", "s", 5400),
    ("250 ms", "s", 0.25),
    ("814 mm2", "m2", 814e-6),
    ("14.8 Ttoken", "token", 1.48e13),
    ("2.664e6 chip*h", "chip*s", 2.664e6 * 3600),
    ("5.5 BUSD", "USD", 5.5e9),
    ("54400 USD2025/chip", "USD", 54400),
    ("1 kWh", "J", 3.6e6),
    ("0.5 1/node/day", "1/s", 0.5 / 86400),
    ("3 GPUs", "chip", 3),
    ("-4 W", "W", -4),
    ("1e5W", "W", 1e5),
    (" 7   kW ", "W", 7000),
    (".5 W", "W", 0.5),
    ("30 POP/s", "FLOP/s", 3e16),
]


@pytest.mark.parametrize(("text", "wanted", "value"), READ)
def test_published_examples(text: str, wanted: str, value: float) -> None:
    assert parse(text, wanted) == pytest.approx(value, rel=1e-15)


REFUSED = [
    ("150 MWh", "W", "unit-mismatch"),
    ("150", "W", "unit-missing"),
    (150, "W", "unit-missing"),
    (1.5, "B/s", "unit-missing"),
    ("150 MWatts", "W", "unknown-unit"),
    ("9**9**9 W", "W", "unknown-unit"),
    ("5 kmin", "s", "unknown-unit"),
    ("100 K", "chip", "unit-mismatch"),  # kelvin; "100k" is not a number of chips
    ("10 TFLOP", "FLOP/s", "unit-mismatch"),
    ("10 EUR", "USD", "unit-mismatch"),
    ("1,5 MW", "W", "not-a-quantity"),  # 1.5 or 15? half of the world reads it the other way
    ("1,00 W", "W", "not-a-quantity"),
    ("1.5.2 W", "W", "not-a-quantity"),
    ("0x10 W", "W", "unknown-unit"),
    ("", "W", "not-a-quantity"),
    ("MW", "W", "not-a-quantity"),
    ("nan W", "W", "not-a-quantity"),
    ("inf", "1", "not-a-quantity"),
    ("1e400 W", "W", "out-of-range"),
    ("1e299 PW", "W", "out-of-range"),
    (math.nan, "1", "out-of-range"),
    (math.inf, "1", "out-of-range"),
    (10**400, "1", "out-of-range"),
    (True, "1", "not-a-quantity"),
    (None, "1", "not-a-quantity"),
    ([1], "1", "not-a-quantity"),
    ("9" * 100, "1", "not-a-quantity"),
    ("1 " + "W*" * 30, "W", "unknown-unit"),
]


@pytest.mark.parametrize(("text", "wanted", "code"), REFUSED)
def test_refused(text: object, wanted: str, code: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(text, wanted)
    assert caught.value.code == code
    assert caught.value.hint
    assert len(str(caught.value)) < 400


def test_the_error_says_what_stands_there_and_what_is_wanted() -> None:
    """The example of the design, word for word but for the place, which the case adds."""
    with pytest.raises(InputError) as caught:
        parse("150 MWh", "W")
    assert str(caught.value) == (
        "error[unit-mismatch]: `150 MWh` is an energy\nhint: a power is wanted, such as `150 MW`"
    )


def test_a_bare_number_is_taken_for_counts_and_shares_only() -> None:
    assert parse(100000, "chip") == 1e5
    assert parse("0.4", "1") == 0.4
    for wanted in ("W", "B", "FLOP", "USD", "s", "token", "USD/chip/h"):
        with pytest.raises(InputError, match="has no unit"):
            parse(5, wanted)


def test_gigabyte_is_decimal_and_a_bit_is_an_eighth() -> None:
    assert unit("GB").factor == 1e9
    assert unit("GiB").factor == 2**30
    assert unit("Gb").factor * 8 == unit("GB").factor
    assert unit("mW").factor * 1e9 == unit("MW").factor


def test_twelve_months_are_a_year() -> None:
    assert 12 * MONTH == YEAR == 365.25 * DAY


def test_money_keeps_its_currency_and_drops_the_price_year() -> None:
    assert unit("USD2025").dimension == unit("USD").dimension != unit("EUR").dimension
    with pytest.raises(InputError):
        unit("USD1825")


def test_counts_have_no_dimension() -> None:
    assert unit("USD/chip/h") == unit("USD/h")
    assert unit("chip*h") == unit("h")


def test_dimensions_have_names() -> None:
    assert describe(unit("MW").dimension) == ("a power", "150 MW")
    assert describe(unit("TPP/mm2").dimension) == ("a quantity in TPP m^-2", "")


NAMES = ["W", "Wh", "B", "b", "FLOP", "s", "h", "day", "USD", "token", "chip", "m2", "TPP", "K"]
FACTORS = st.tuples(
    st.sampled_from(["", "k", "M", "G", "T", "P", "E", "m"]), st.sampled_from(NAMES)
)
FACTORS = FACTORS.filter(lambda f: f[1] not in ("h", "day", "m2") or not f[0]).map("".join)


@given(FACTORS, FACTORS, st.sampled_from("*/"))
def test_a_product_of_units_is_the_product_of_their_factors(a: str, b: str, sign: str) -> None:
    power = 1 if sign == "*" else -1
    whole = unit(f"{a}{sign}{b}")
    assert whole.factor == pytest.approx(unit(a).factor * unit(b).factor ** power, rel=1e-15)
    exponents = dict(unit(a).dimension)
    for base, exponent in unit(b).dimension:
        exponents[base] = exponents.get(base, 0) + power * exponent
    assert dict(whole.dimension) == {k: v for k, v in exponents.items() if v}


@given(st.floats(-1e270, 1e270, allow_nan=False), FACTORS)
def test_what_python_prints_is_read_back(value: float, name: str) -> None:
    found = read(f"{value!r} {name}")
    assert found.value == pytest.approx(value * unit(name).factor, rel=1e-15)
    assert found.dimension == unit(name).dimension


def outcome(call: Callable[[], float]) -> float | CharesError:
    try:
        return call()
    except CharesError as bad:
        return bad


def check(found: float | CharesError) -> None:
    if isinstance(found, CharesError):
        assert found.exit_code == 2
        assert "\n" not in found.message
    else:
        assert math.isfinite(found)


@given(st.one_of(st.text(max_size=90), st.integers(), st.floats(), st.none(), st.binary()))
def test_anything_is_a_finite_number_or_an_error(text: object) -> None:
    for wanted in ("1", "W", "USD/chip/h"):
        check(outcome(lambda unit=wanted: parse(text, unit)))


@given(st.text("0123456789.,eE+-_ kMGTPE*/WhBsUSD%", max_size=30))
def test_nearly_right_text_is_a_finite_number_or_an_error(text: str) -> None:
    check(outcome(lambda: read(text).value))


@pytest.mark.parametrize("wanted", ["1", "W"])
def test_an_int_that_python_does_not_print(wanted: str) -> None:
    check(outcome(lambda: parse(10**6000, wanted)))
