"""Claims with their verdict and one sentence."""

from __future__ import annotations

from typing import Any

from chares.report.numerals import shown
from chares.report.view import View, plain


def claims(view: View) -> list[dict[str, Any]]:
    """The claims of a plan as rows, in the order of the case."""
    return [_row(view, held) for held in view.plan.held]


def _row(view: View, held: Any) -> dict[str, Any]:
    claim = held.claim
    label = _label(view, claim.about, held.label)
    figure = view.figures.get(claim.about)
    low, high = view.ends(figure) if figure else (None, None)
    row = {
        "id": claim.id,
        "says": claim.says,
        "who": claim.who,
        "through": claim.through or "",
        "on": claim.on.isoformat() if claim.on else "",
        "status": claim.status,
        "scope": claim.scope or "",
        "about": claim.about,
        "claimed": plain(held.claimed),
        "computed": plain(held.computed),
        "computed_low": low,
        "computed_high": high,
        "unit": held.unit,
        "off_by": plain(held.off_by),
        "verdict": held.verdict,
        "reason": held.reason,
        "label": label,
        "claimed_shown": _number(view, held, held.claimed, exact=True),
        "computed_shown": _number(view, held, held.computed),
        "verdict_shown": view.named("verdict", held.verdict),
        "status_shown": view.named("status", claim.status),
    }
    return row | {"why": _sentence(view, held, row)}


def _label(view: View, about: str, otherwise: str) -> str:
    figure = view.figures.get(about)
    if figure is not None:
        return view.label(figure)
    from chares.ledger import leaf

    return view.label(leaf(about, 0.0, "1", label=otherwise or about).named(about))


def _number(view: View, held: Any, value: float | None, exact: bool = False) -> str:
    if value is None:
        return str(held.claim.value) if exact else ""
    figure = view.figures.get(held.claim.about)
    unit = view.unit(figure) if figure else held.unit
    low, high = (None, None) if exact or not figure else view.ends(figure)
    return shown(value, unit, low, high, view.lang)


def _sentence(view: View, held: Any, row: dict[str, Any]) -> str:
    """Why the verdict is what it is, in one sentence."""
    places = {
        "label": row["label"],
        "claimed": row["claimed_shown"],
        "computed": row["computed_shown"],
        "tolerance": shown(held.claim.tolerance, "%", lang=view.lang),
        "scope": view.named("scope", held.claim.scope or ""),
        "computed_scope": view.named("scope", held.computed_scope),
        "unit": held.unit,
    }
    key = f"why.{held.reason}"
    if held.reason == "difference":
        key, places["off"] = _difference(view, held)
    return view.t(key, **places)


def _difference(view: View, held: Any) -> tuple[str, str]:
    above = held.claimed > held.computed
    if held.unit == "date":
        days = shown(abs(held.claimed - held.computed) * 86400.0, "s", lang=view.lang)
        return f"why.{'later' if above else 'earlier'}", days
    if held.off_by is None:
        return "why.other", ""
    ratio = held.claimed / held.computed
    if ratio > 2 or (0 < ratio < 0.5):
        times = shown(ratio if ratio > 1 else 1 / ratio, "1", lang=view.lang)
        return f"why.{'times' if above else 'fraction'}", times
    return f"why.{'above' if above else 'below'}", shown(
        round(abs(held.off_by), 2), "%", lang=view.lang
    )
