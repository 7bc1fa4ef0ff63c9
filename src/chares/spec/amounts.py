"""Field types of a case: text with a unit in, SI numbers out, JSON Schema for editors."""

from __future__ import annotations

from datetime import date
from functools import partial
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from chares import units
from chares.errors import CharesError, shorten
from chares.ledger import Estimate


def _convert(unit: str, value: Any) -> float:
    try:
        return units.parse(value, unit)
    except CharesError as bad:
        hint = bad.hint
        if bad.code == "unknown-unit":
            hint = f"{units.wanted(unit)}; {hint}"
        raise PydanticCustomError(bad.code, "{m}", {"m": bad.message, "hint": hint}) from None


LEAST, MOST = 1e-30, 1e45  # SI, any unit: products of a few amounts stay within a float's range
MOST_CHIPS = 1e9
A_SHARE = "a share is wanted, such as `40 %`"


def _positive(value: float) -> float:
    if value <= 0:
        raise PydanticCustomError("not-positive", "must be above 0", {"hint": ""})
    if not LEAST <= value <= MOST:
        raise PydanticCustomError(
            "out-of-range",
            "is {v}, beyond any sense",
            {"v": f"{value:g}", "hint": "check its unit"},
        )
    return value


def _whole(value: float) -> float:
    if value != round(value) or value > MOST_CHIPS:
        hint = f"a whole number up to {MOST_CHIPS:,.0f}"
        raise PydanticCustomError(
            "out-of-range", "is {v}, not a number of chips", {"v": f"{value:g}", "hint": hint}
        )
    return value


def _schema(unit: str, example: str, bare: bool = False) -> WithJsonSchema:
    text = {"type": "string", "examples": [example], "description": f"a number in {unit}"}
    return WithJsonSchema({"anyOf": [text, {"type": "number"}]} if bare else text)


def _reads(unit: str) -> BeforeValidator:
    return BeforeValidator(partial(_convert, unit))


_POSITIVE = AfterValidator(_positive)

Power = Annotated[float, _reads("W"), _POSITIVE, _schema("W", "150 MW")]
Flop = Annotated[float, _reads("FLOP"), _POSITIVE, _schema("FLOP", "4.64e26 FLOP")]
Tokens = Annotated[float, _reads("token"), _POSITIVE, _schema("token", "14.8 Ttoken")]
Money = Annotated[float, _reads("USD"), _POSITIVE, _schema("USD", "12e9 USD")]
HourlyPrice = Annotated[
    float, _reads("USD/chip/h"), _POSITIVE, _schema("USD/chip/h", "2 USD/chip/h")
]
EnergyPrice = Annotated[float, _reads("USD/MWh"), _POSITIVE, _schema("USD/MWh", "62 USD/MWh")]
Duration = Annotated[float, _reads("s"), _POSITIVE, _schema("s", "4 year")]
Bandwidth = Annotated[float, _reads("B/s"), _POSITIVE, _schema("B/s", "2 TB/s")]
ChipHours = Annotated[float, _reads("chip*h"), _POSITIVE, _schema("chip*h", "2.664e6 chip*h")]
Count = Annotated[
    float, _reads("chip"), _POSITIVE, AfterValidator(_whole), _schema("chip", "100000", bare=True)
]


def _share(value: Any) -> float:
    try:
        share = _convert("1", value)
    except PydanticCustomError as bad:
        if bad.type != "not-a-quantity":
            raise
        said = {"v": shorten(value), "hint": A_SHARE}
        raise PydanticCustomError("not-a-quantity", "is `{v}`, not a share", said) from None
    if not 0 <= share <= 1:
        said = {"v": shorten(value), "hint": A_SHARE}
        raise PydanticCustomError("out-of-range", "is {v}, not between 0 and 1", said)
    return share


Share = Annotated[float, BeforeValidator(_share), _schema("1", "40 %", bare=True)]
PositiveShare = Annotated[
    float, BeforeValidator(_share), _POSITIVE, _schema("1", "40 %", bare=True)
]


def _interval(value: Any) -> Estimate:
    """`0.4`, `40 %` or `{low: 0.35, likely: 0.4, high: 0.45}`, all above 0."""
    if isinstance(value, dict):
        keys = {"low", "likely", "high"}
        if set(value) != keys:
            raise PydanticCustomError(
                "bad-interval", "needs low, likely and high", {"hint": "or one number"}
            )
        found = Estimate(*(_positive(_share(value[k])) for k in ("low", "likely", "high")))
        if not found.low <= found.likely <= found.high:
            raise PydanticCustomError(
                "bad-interval", "must keep low <= likely <= high", {"hint": "check the order"}
            )
        return found
    share = _positive(_share(value))
    return Estimate(share, share, share)


ShareInterval = Annotated[
    Estimate,
    BeforeValidator(_interval),
    WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "string"}, {"type": "object"}]}),
]


def _day(value: Any) -> date:
    try:
        if isinstance(value, date):
            return value
        if isinstance(value, str) and len(value) == 10 and value[4] == value[7] == "-":
            return date.fromisoformat(value)
    except ValueError:
        pass
    raise PydanticCustomError(
        "not-a-day", "`{v}` is not a day", {"v": shorten(value), "hint": "write 2025-07-22"}
    )


Day = Annotated[date, BeforeValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
