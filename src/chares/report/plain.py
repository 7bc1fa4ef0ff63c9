"""Plan -> plain dicts. This is the JSON, and all that the terminal and the page know."""

from __future__ import annotations

from typing import Any

from chares import __version__
from chares.ledger import Estimate, Figure, NotAsked, intervals
from chares.report.answer import answer
from chares.report.claimed import claims
from chares.report.ranking_words import evidence_lines
from chares.report.sections import SECTIONS
from chares.report.sources import assumptions, used_sources
from chares.report.view import View

SCHEMA_VERSION = 1
STAGES = ("site", "steps", "weeks", "bill", "verdicts")


def outline(plan: Any, lang: str = "en") -> dict[str, Any]:
    """Everything that a plan says, as plain data in one language.

    Values are SI numbers; ``shown`` texts are for people. Raises `InputError` for a language that
    the catalogue lacks.
    """
    view = View(plan, lang, _estimates(plan))
    case = plan.case
    return {
        "schema_version": SCHEMA_VERSION,
        "facts_hash": plan.facts.hash,
        "chares_version": __version__,
        "name": case.name,
        "about": case.about,
        "as_of": case.as_of.isoformat(),
        "known_by": case.known_by.isoformat() if case.known_by else None,
        "lang": lang,
        "answer": answer(view),
        "sections": [s for build in SECTIONS if (s := build(view)) is not None],
        "claims": claims(view),
        "figures": {id_: view.entry(f) for id_, f in plan.figures.items()},
        "sources": used_sources(view),
        "assumed": assumptions(view),
        "not_asked": _not_asked(view),
        "warnings": _warnings(view),
    }


def _estimates(plan: Any) -> dict[str, Estimate]:
    """The intervals of all figures: the plan's own if it has them, else of first order."""
    own: dict[str, Estimate] = getattr(plan, "estimates", None) or {}
    figures: list[Figure] = list(plan.figures.values())
    return own or intervals(figures)


def _not_asked(view: View) -> list[dict[str, str]]:
    found = []
    for name in STAGES:
        result = getattr(view.plan, name, None)
        if isinstance(result, NotAsked):
            stage = view.named("stage", name)
            found.append(
                {"stage": stage, "reason": view.t.find(f"reason.{result.reason}", result.reason)}
            )
    return found


def _warning(view: View, warning: Any) -> list[str]:
    """A notice about the case, or what the model says of its evidence, in the view's language."""
    if hasattr(warning, "code"):
        text: str = view.t.find(f"warning.{warning.code}", warning.text)
        return [text.format(**warning.places)]
    return evidence_lines(warning, view.t)


def _warnings(view: View) -> list[str]:
    """What a reader should mind before believing the rest."""
    found = [line for w in getattr(view.plan, "warnings", ()) for line in _warning(view, w)]
    step = getattr(view.stage("steps"), "step", None)
    if step is not None and not step.memory.fits:
        found.append(view.t("warning.unfit", memory=view.get("train.peak_memory")))
    return found
