"""A number as a reader wants it: human units, and no more digits than its interval bears out.

>>> shown(136 * 86400, "s", 121 * 86400, 158 * 86400)
'136 (121 to 158) days'
>>> shown(9.3e9, "USD", lang="ja")
'93億ドル'
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date
from typing import Any

from chares import units
from chares.errors import CharesError
from chares.report.messages import Messages, catalogue

SHARES = ("%",)  # units of pure numbers that are read as per cent
FIGURES = 3  # significant digits of a number without an interval
_NOUNS = "chip node person people event token layer rank sequence step job unit phase order".split()

# dimension -> (smallest magnitude, factor, unit as shown), largest first
_S = (
    (3 * units.YEAR, units.YEAR, "year"),
    (2 * units.DAY, units.DAY, "day"),
    (2 * 3600.0, 3600.0, "hour"),
    (120.0, 60.0, "minute"),
    (1.0, 1.0, "s"),
    (1e-3, 1e-3, "ms"),
    (0.0, 1e-6, "us"),
)
_HUMAN: dict[str, tuple[tuple[float, float, str], ...]] = {
    "s": _S,
    "W": ((1e9, 1e9, "GW"), (1e6, 1e6, "MW"), (1e3, 1e3, "kW"), (0, 1, "W")),
    "J": (
        (3.6e15, 3.6e15, "TWh"), (3.6e12, 3.6e12, "GWh"), (3.6e9, 3.6e9, "MWh"),
        (3.6e6, 3.6e6, "kWh"), (0, 1, "J"),
    ),
    "B": (
        (1e18, 1e18, "EB"), (1e15, 1e15, "PB"), (1e12, 1e12, "TB"), (1e9, 1e9, "GB"),
        (1e6, 1e6, "MB"), (1e3, 1e3, "kB"), (0, 1, "B"),
    ),
    "B/s": (
        (1e15, 1e15, "PB/s"), (1e12, 1e12, "TB/s"), (1e9, 1e9, "GB/s"), (1e6, 1e6, "MB/s"),
        (0, 1, "B/s"),
    ),
    "FLOP/s": (
        (1e21, 1e21, "ZFLOP/s"), (1e18, 1e18, "EFLOP/s"), (1e15, 1e15, "PFLOP/s"),
        (1e12, 1e12, "TFLOP/s"), (1e9, 1e9, "GFLOP/s"), (0, 1, "FLOP/s"),
    ),
    "m2": ((1e6, 1e6, "km2"), (0.1, 1, "m2"), (0, 1e-6, "mm2")),
    "1/s": (
        (1 / 3600, 1, "/s"), (1 / 86400, 1 / 3600, "/hour"), (1e-2 / 86400, 1 / 86400, "/day"),
        (0, 1 / units.YEAR, "/year"),
    ),
    "USD/J": ((0, 1 / 3.6e9, "USD/MWh"),),
    "USD/s": ((0, 1 / 3600, "USD/hour"),),
    "token/s": ((0, 1, "tokens/s"),),
}  # fmt: skip
_BIG = {  # words for large counts and sums of money
    "en": ((1e12, "T"), (1e9, "B"), (1e6, "M")),
    "ja": ((1e12, "兆"), (1e8, "億"), (1e4, "万")),
}


@dataclass(frozen=True, slots=True)
class Scale:
    """How numbers of one unit are shown: divided by ``factor``, between prefix and suffix."""

    factor: float
    unit: str  # key of a unit in the catalogue, or the unit itself
    style: str = "plain"  # plain, count (large numbers get words), power (4.64e26), date, text


def scale_of(value: float, unit: str) -> Scale:
    """The scale on which a value of this magnitude is best read."""
    if unit in ("date", "text"):
        return Scale(1.0, "", unit)
    if unit in SHARES:
        return Scale(0.01, "%")
    if unit == "FLOP":
        return Scale(1.0, "FLOP", "power")
    try:
        known = units.unit(unit)
    except CharesError:
        return Scale(1.0, unit)
    if unit in ("chip*s", "chip*h"):
        return Scale(3600.0, "chip-hour", "count")
    nouns = unit.split("/")
    per = "".join(f"/{n.rstrip('s')}" for n in nouns[1:] if n.rstrip("s") in _NOUNS)
    for name, steps in _HUMAN.items():
        if units.unit(name).dimension == known.dimension:
            best = next((s for s in steps if abs(value) >= s[0]), steps[-1])
            if value == 0:
                best = next(s for s in steps if s[1] == 1 or s is steps[-1])
            return Scale(best[1], best[2] + per)
    if known.dimension in (units.unit("USD").dimension, units.unit("token").dimension):
        return Scale(1.0, nouns[0] + per, "count")
    if not known.dimension and known.factor == 1.0:
        return Scale(1.0, "" if unit == "1" else unit, "count")
    return Scale(known.factor, unit)


def shown(
    value: Any, unit: str, low: float | None = None, high: float | None = None, lang: str = "en"
) -> str:
    """Value, interval (where it has one) and unit as one text. ``value`` is in SI."""
    if not _is_number(value):
        return _words(value, lang)
    value = float(value)
    if not math.isfinite(value):
        return Messages(lang)("number.never" if value > 0 else "number.none")
    if not (_is_number(low) and _is_number(high)) or not float(low) < float(high):  # type: ignore[arg-type]
        low = high = None
    return in_scale(value, scale_of(value, unit), low, high, lang)


def rounded(value: Any, unit: str, low: float, high: float, lang: str = "en") -> str:
    """Value and unit, with no more digits than the interval bears out, but without it."""
    if not _is_number(value) or not math.isfinite(value) or not low < high:
        return shown(value, unit, lang=lang)
    scale = scale_of(float(value), unit)
    return in_scale(float(value), scale, low, high, lang, interval=False)


def in_scale(
    value: float,
    scale: Scale,
    low: float | None = None,
    high: float | None = None,
    lang: str = "en",
    interval: bool = True,
) -> str:
    """The same on a given scale; ``interval`` False rounds by it without printing it."""
    t = Messages(lang)
    ends = [] if low is None or high is None else [float(low), float(high)]
    if scale.style == "date":
        texts = [_day(v) for v in (value, *ends)]
        word = ""
    elif scale.style == "power":
        texts, word = [_power(v, value, ends) for v in (value, *ends)], ""
    else:
        texts, word = _numbers([value, *ends], scale, lang)
    if len(set(texts)) == 1 or not interval:
        texts = texts[:1]
    number = texts[0] if len(texts) == 1 else t("number.interval").format(*texts)
    return _join(number, word, scale.unit, t, plural=texts != ["1"])


def as_written(value: Any, unit: str, low: Any = None, high: Any = None, lang: str = "en") -> str:
    """A fact in the unit of its record, so that a reader finds it again in the source."""
    if not _is_number(value) or unit in ("date", "text", "1", "%", "FLOP"):
        return shown(value, unit, low, high, lang)
    try:
        factor = units.unit(unit).factor
    except CharesError:
        factor = 1.0
    money = re.match(r"[A-Z]{3}(?![A-Za-z])|[A-Z]{3}\d{4}", unit) is not None
    style = "count" if factor == 1.0 or money else "plain"
    if unit == "1/year":  # a rate of interest or of loss
        factor, unit = 0.01 / units.YEAR, "%/year"
    if not _is_number(low) or not _is_number(high):
        low = high = None
    return in_scale(float(value), Scale(factor, unit, style), low, high, lang)


def _is_number(value: Any) -> bool:
    if isinstance(value, (bool, str)) or value is None:
        return False
    return isinstance(value, (int, float)) or (
        hasattr(value, "dtype") and getattr(value, "ndim", 1) == 0
    )


def _words(value: Any, lang: str) -> str:
    t = Messages(lang)
    if value is None:
        return t("number.none")
    if isinstance(value, bool):
        return t("word.yes" if value else "word.no")
    if isinstance(value, str):
        return value
    size = getattr(value, "size", None)
    if size is None:
        return type(value).__name__
    return t("number.many", count=size)


def _day(value: float) -> str:
    number = round(value)
    return date.fromordinal(number).isoformat() if 1 <= number <= 3652059 else "-"


def _step(value: float, ends: list[float]) -> float:
    """The last decimal place to print, as a power of ten: half the interval to two figures if
    they are small (10 to 35), else to one; three figures of a number without an interval."""
    half = (ends[1] - ends[0]) / 2 if ends else 0.0
    if half > 0 and (not value or half > 5e-5 * abs(value)):
        power = 10.0 ** math.floor(math.log10(half) + 1e-9)
        return power / 10 if half / power < 3.55 else power
    return 10.0 ** (math.floor(math.log10(abs(value)) + 1e-12) - FIGURES + 1) if value else 1.0


def _power(v: float, value: float, ends: list[float]) -> str:
    if not v:
        return "0"
    exponent = math.floor(math.log10(abs(value or v)))
    digits = max(0, exponent - math.floor(math.log10(_step(value, ends)) + 1e-9))
    if abs(value) < 1e6:
        return f"{v:,.0f}"
    own = math.floor(math.log10(abs(v)))
    return f"{v:.{max(0, digits + own - exponent)}e}".replace("e+", "e")


def _numbers(values: list[float], scale: Scale, lang: str) -> tuple[list[str], str]:
    """The numbers as text, and the word that multiplies all of them (M, B, 万, 億)."""
    scaled = [v / scale.factor for v in values]
    first, ends = scaled[0], scaled[1:]
    exact = not ends and abs(first - round(first)) < 1e-9 * max(1.0, abs(first))
    largest = max(map(abs, scaled))
    if largest >= 1e16:  # beyond words and digits
        return [f"{v:.3g}".replace("e+", "e") for v in scaled], ""
    if scale.style == "count":
        if exact and lang == "ja" and 1e4 <= abs(first) < 1e8 and scale.unit[:3] != "USD":
            man, rest = divmod(round(first), 10000)
            return [f"{man}万{rest or ''}"], ""
        if exact and abs(first) < 1e6 and lang != "ja":
            return [f"{round(first):,}"], ""
        place = _step(first, ends)
        printed = abs(round(first / place) * place)
        for factor, word in _BIG[lang]:
            if (printed or largest) >= factor:
                return [_fixed(v / factor, place / factor, not ends) for v in scaled], word
    if exact and abs(first) < 1e6:
        return [f"{round(first):,}"], ""
    place = _step(first, ends)
    if scale.unit == "%" and not ends:  # tenths will do, and one figure of what is smaller
        place = max(place, 0.1) if abs(first) >= 0.05 else 100 * place
    return [_fixed(v, place, not ends) for v in scaled], ""


def _fixed(value: float, place: float, alone: bool) -> str:
    """To a decimal place; a number without an interval that is shorter stays short (9.3)."""
    decimals = -math.floor(math.log10(place) + 1e-9)
    text = f"{round(value, decimals):,.{max(0, decimals)}f}"
    if alone and "." in text and abs(value - round(value, decimals)) <= 1e-9 * abs(value):
        text = text.rstrip("0").rstrip(".")
    return text[1:] if text.startswith("-") and not text.strip("-0.,") else text


def _join(number: str, word: str, unit: str, t: Messages, plural: bool) -> str:
    if not unit:
        return number + (f" {word}" if word and t.lang == "en" else word)
    head, *per = unit.split("/")
    name = _unit(head, t, plural) if head else ""
    tail = "".join("/" + (p if p == "s" else _unit(p, t, False)) for p in per)
    if t.lang == "ja":
        glued = name != head or head == "%" or number.endswith("）")
        glue = "" if glued else " "
        return f"{number}{word}{glue}{name}{tail}"
    return f"{number} {word} {name}{tail}".replace("  ", " ").replace(" /", "/")


def _unit(name: str, t: Messages, plural: bool) -> str:
    if re.fullmatch(r"[A-Z]{3}\d{4}", name):  # money of a year's prices
        return t("unit.of_year", unit=_unit(name[:3], t, plural), year=name[3:])
    if f"unit.{name}" not in catalogue():
        return name
    one, _, many = t(f"unit.{name}").partition("|")
    return many if plural and many else one
