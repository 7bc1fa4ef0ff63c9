"""Numbers with units, read at the border and turned into plain SI floats.

The grammar is our own and small::

    quantity = number [unit]             "150 MW"  "4.64e26 FLOP"  "2.79 USD/chip/h"  "40 %"
    number   = digits [. digits] [e exponent]      commas only between thousands: "100,000"
    unit     = factor (("*" | "/") factor)*
    factor   = [prefix] name        names below; prefixes k M G T P E m u n, Ki Mi Gi Ti, B (1e9)

Nouns that count things (chip, node, people...) are read and have no dimension: a price per chip
and a price divide as they should, and ``3 chip`` is 3. Decimal prefixes: 1 GB = 1e9 B. A month is
1/12 of a year of 365.25 days (30.4375 days). Money keeps its currency as a dimension; a price year
may be glued on (``USD2025``).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

from chares.errors import InputError, shorten

Dimension = tuple[tuple[str, int], ...]  # sorted (base, exponent), exponents not zero

DAY = 86400.0
YEAR = 365.25 * DAY
MONTH = YEAR / 12
HOUR = 3600.0

# name -> (factor to SI, dimension); bases: s m B FLOP J K, token, TPP and one per currency
_BASE: dict[str, tuple[float, dict[str, int]]] = {
    "1": (1.0, {}),
    "%": (0.01, {}),
    "s": (1.0, {"s": 1}),
    "min": (60.0, {"s": 1}),
    "h": (HOUR, {"s": 1}),
    "hour": (HOUR, {"s": 1}),
    "d": (DAY, {"s": 1}),
    "day": (DAY, {"s": 1}),
    "week": (7 * DAY, {"s": 1}),
    "month": (MONTH, {"s": 1}),
    "yr": (YEAR, {"s": 1}),
    "year": (YEAR, {"s": 1}),
    "Hz": (1.0, {"s": -1}),
    "m": (1.0, {"m": 1}),
    "m2": (1.0, {"m": 2}),
    "mm2": (1e-6, {"m": 2}),
    "B": (1.0, {"B": 1}),
    "byte": (1.0, {"B": 1}),
    "b": (0.125, {"B": 1}),
    "bit": (0.125, {"B": 1}),
    "FLOP": (1.0, {"FLOP": 1}),
    "OP": (1.0, {"FLOP": 1}),
    "J": (1.0, {"J": 1}),
    "W": (1.0, {"J": 1, "s": -1}),
    "Wh": (HOUR, {"J": 1}),
    "K": (1.0, {"K": 1}),
    "token": (1.0, {"token": 1}),
    "TPP": (1.0, {"TPP": 1}),
}
_COUNTS = (
    "chip gpu accelerator node rack server cluster people person event count layer head expert"
    " rank parameter sequence sample job model company share order unit phase worker"
).split()
_CURRENCIES = ["USD", "EUR", "JPY", "CNY", "GBP", "KRW", "TWD", "AED", "CAD"]
_PREFIX = {"k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_PREFIX |= {"m": 1e-3, "u": 1e-6, "n": 1e-9}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40, "Pi": 2.0**50}
_NUMBER = re.compile(  # `1,5` is refused: half of the world means 1.5 by it
    r"\s*([+-]?(?:(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9][0-9_]*)(?:\.[0-9]*)?|\.[0-9]+)"
    r"(?:[eE][+-]?[0-9]{1,4})?)(?![0-9_,.])\s*(.*)",
    re.DOTALL,
)
_UNIT_HINT = "units look like `MW`, `GB/s`, `USD/chip/h`, `TFLOP/s`, `day`, `%`"
_KINDS = {  # what people call a dimension, and an example to hint with
    (("J", 1), ("s", -1)): ("a power", "150 MW"),
    (("J", 1),): ("an energy", "150 MWh"),
    (("s", 1),): ("a duration", "90 day"),
    (("B", 1),): ("an amount of data", "80 GB"),
    (("B", 1), ("s", -1)): ("a bandwidth", "400 GB/s"),
    (("FLOP", 1),): ("an amount of arithmetic", "4.6e26 FLOP"),
    (("FLOP", 1), ("s", -1)): ("a speed of arithmetic", "989 TFLOP/s"),
    (("USD", 1),): ("an amount of money", "12e9 USD"),
    (("USD", 1), ("s", -1)): ("a price per time", "2 USD/chip/h"),
    (("J", -1), ("USD", 1)): ("a price of energy", "62 USD/MWh"),
    (("token", 1),): ("a number of tokens", "14.8 Ttoken"),
    (("m", 2),): ("an area", "814 mm2"),
    (): ("a pure number", "0.4"),
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A factor to SI and a dimension."""

    factor: float
    dimension: Dimension


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number in SI with its dimension and the text it was read from."""

    value: float
    dimension: Dimension
    text: str


@lru_cache(maxsize=4096)
def unit(text: str) -> Unit:
    """Read a unit such as ``TFLOP/s`` or ``USD/chip/h``.

    Raises `InputError` (``unknown-unit``).
    """
    if len(text) > 40:
        raise InputError(
            "unknown-unit", f"`{shorten(text)}` is too long for a unit", hint=_UNIT_HINT
        )
    factor, dims = 1.0, dict[str, int]()
    for sign, name in _factors(text):
        one, dimension = _factor(name, text)
        factor *= one**sign
        for base, power in dimension.items():
            dims[base] = dims.get(base, 0) + sign * power
    return Unit(factor, tuple(sorted((b, p) for b, p in dims.items() if p)))


def wanted(name: str) -> str:
    """What a quantity with this unit is called, and an example: for hints."""
    kind, example = describe(unit(name).dimension)
    return f"{kind} is wanted, such as `{example or f'1 {name}'}`"


def parse(text: object, wanted: str) -> float:
    """The SI value of ``text``, which must have the dimension of the unit ``wanted``.

    A bare number is taken only where a pure number or a count is wanted. Raises `InputError` with
    one of the codes ``not-a-quantity``, ``unit-missing``, ``unknown-unit``, ``unit-mismatch``,
    ``out-of-range``.
    """
    target = unit(wanted)
    kind, example = describe(target.dimension)
    example = example or f"1 {wanted}"
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        if target.dimension:
            raise InputError(
                "unit-missing",
                f"`{shorten(text)}` has no unit",
                hint=f"{kind} is wanted, such as `{example}`",
            )
        return _finite(text, text)
    quantity = read(text)
    if quantity.dimension != target.dimension:
        if not quantity.dimension and target.dimension:
            code, what = "unit-missing", "has no unit"
        else:
            code, what = "unit-mismatch", f"is {describe(quantity.dimension)[0]}"
        message = f"`{shorten(text)}` {what}"
        raise InputError(code, message, hint=f"{kind} is wanted, such as `{example}`")
    return quantity.value


def read(text: object) -> Quantity:
    """Read a number and its unit, whatever the dimension."""
    match = _NUMBER.fullmatch(str(text)) if isinstance(text, str) and len(text) <= 80 else None
    if match is None:
        raise InputError(
            "not-a-quantity",
            f"`{shorten(text)}` is not a number with a unit",
            hint="write a number, a space and a unit, such as `150 MW`",
        )
    number, rest = match.groups()
    found = unit(rest.strip()) if rest.strip() else Unit(1.0, ())
    value, factor = float(number.replace(",", "").replace("_", "")), found.factor
    value = value * factor if factor >= 1 else value / (1 / factor)  # 35 % is 0.35 to the last bit
    return Quantity(_finite(value, text), found.dimension, str(text))


def describe(dimension: Dimension) -> tuple[str, str]:
    """What a dimension is called, and an example of it (empty if none is known)."""
    if dimension in _KINDS:
        return _KINDS[dimension]
    shown = " ".join(b if p == 1 else f"{b}^{p}" for b, p in dimension)
    return f"a quantity in {shown}", ""


def _finite(value: float, text: object) -> float:
    value = float(value) if abs(value) < 1e300 else math.inf  # int above 1e308 would raise
    if not math.isfinite(value):
        raise InputError(
            "out-of-range",
            f"`{shorten(text)}` is not a finite number",
            hint="numbers up to 1e300 are read",
        )
    return value


def _factors(text: str) -> list[tuple[int, str]]:
    parts = re.split(r"([*/·])", text.replace(" ", ""))
    signs = [1] + [-1 if op == "/" else 1 for op in parts[1::2]]
    return list(zip(signs, parts[0::2], strict=True))


def _factor(name: str, whole: str) -> tuple[float, dict[str, int]]:
    if found := _atom(name):
        return found
    for length in (2, 1):
        scale = (_BINARY if length == 2 else _PREFIX).get(name[:length])
        rest = _atom(name[length:]) if scale is not None and len(name) > length else None
        if scale is not None and rest and name[length:] not in ("1", "%", "min", "h", "d"):
            return scale * rest[0], rest[1]
    raise InputError(
        "unknown-unit",
        f"`{shorten(name or whole)}` is not a unit that chares knows",
        hint=_UNIT_HINT,
    )


def _atom(name: str) -> tuple[float, dict[str, int]] | None:
    """A unit without prefix: as it stands, in the singular, a currency with its price year."""
    singular = name[:-1] if name.endswith("s") and len(name) > 3 else name  # not `ms`
    for candidate in (name, singular):
        if candidate in _BASE:
            return _BASE[candidate]
        if candidate.lower() in _COUNTS:
            return 1.0, {}
    currency = re.fullmatch(r"([A-Z]{3})((?:19|20)\d\d)?", name)
    if currency and currency[1] in _CURRENCIES:
        return 1.0, {currency[1]: 1}
    return None
