"""Hold what was said against what was computed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from chares import units
from chares.errors import CharesError
from chares.ledger import Estimate, Figure

if TYPE_CHECKING:
    from chares.spec import Claim

VERDICTS = ("holds", "holds-within", "fails", "mixes-scopes", "unchecked")


@dataclass(frozen=True, slots=True)
class Held:
    """A claim with its verdict. ``claimed`` and ``computed`` are SI (days as day numbers);
    ``off_by`` = claimed / computed - 1; ``reason`` is one of a few codes, ``why`` its sentence."""

    claim: Claim
    verdict: str
    reason: str
    claimed: float | None = None
    computed: float | None = None
    unit: str = ""
    off_by: float | None = None
    label: str = ""
    computed_scope: str = ""


def hold(
    claims: Iterable[Claim],
    find: Callable[[str], Figure | None],
    intervals: Callable[[Figure], Estimate],
    scopes: Callable[[str], str],
) -> tuple[Held, ...]:
    """Check every claim against the figure that it is about.

    ``find`` gives the figure with an id (or None), ``intervals`` its estimate and ``scopes`` the
    scope it counts (empty where it has none).
    """
    return tuple(_one(claim, find, intervals, scopes) for claim in claims)


def _one(
    claim: Claim,
    find: Callable[[str], Figure | None],
    intervals: Callable[[Figure], Estimate],
    scopes: Callable[[str], str],
) -> Held:
    figure = find(claim.about)
    if figure is None or isinstance(figure.value, (str, bool)):
        return Held(claim, "unchecked", "no-figure")
    try:
        claimed = _read(claim.value, figure.unit)
    except CharesError:
        return Held(claim, "unchecked", "other-unit", unit=figure.unit, label=figure.label)
    computed = float(figure.value)
    scope = scopes(claim.about)
    dated = figure.unit == "date"  # a day has no sensible quotient
    off_by = claimed / computed - 1 if computed and not dated else None
    verdict, reason = judge(claim, claimed, computed, intervals(figure), dated)
    if claim.scope and scope and claim.scope != scope:
        verdict, reason = "mixes-scopes", "scope"
    return Held(
        claim, verdict, reason, claimed, computed, figure.unit, off_by, figure.label, scope
    )  # fmt: skip


def judge(
    claim: Claim, claimed: float, computed: float, interval: Estimate, dated: bool = False
) -> tuple[str, str]:
    """The verdict on two numbers of one unit, and what decided it.

    ``holds``: equal to the precision with which the claim was written. ``holds-within``: inside
    the claim's tolerance (of a number, not of a day) or inside the interval of the computed value.
    """
    half = 0.5 if dated else precision(claim.value) * abs(claimed)
    if abs(claimed - computed) <= half * (1 + 1e-9):
        return "holds", "precision"
    if not dated and computed and abs(claimed / computed - 1) <= claim.tolerance:
        return "holds-within", "tolerance"
    if interval.low <= claimed <= interval.high:
        return "holds-within", "interval"
    return "fails", "difference"


def precision(value: str | float) -> float:
    """Half a unit of the last digit that was written, relative to the number.

    Trailing zeros of a whole number are taken as exact to half a per cent (``100000``).
    """
    match = re.match(r"\s*([+-]?[\d,_]*\.?\d*)(?:[eE][+-]?\d+)?", str(value))
    digits = (match[1] if match else "").replace(",", "").replace("_", "").lstrip("+-")
    whole, dot, decimals = digits.partition(".")
    number = float(digits) if digits.strip(".") else 0.0
    if not number:
        return 0.0
    if not dot and whole.endswith("0"):
        return 0.005
    return float(0.5 * 10.0 ** -len(decimals) / number)


def _read(value: str | float, unit: str) -> float:
    if unit == "date":
        return _read_day(str(value))
    return units.parse(value, unit)


def _read_day(text: str) -> float:
    try:
        if re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII):
            return float(date.fromisoformat(text).toordinal())
    except ValueError:  # such as 30 February
        pass
    raise CharesError("not-a-day", "a day is wanted")
