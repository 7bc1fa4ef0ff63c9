"""An outline as one HTML page that needs no network: style, charts and script are inside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chares.ledger import KINDS
from chares.report.messages import Messages

_HERE = Path(__file__).parent / "templates"


def page(outline: Mapping[str, Any]) -> str:
    """The page. Its text is the outline's; nothing is computed here."""
    return _render("page.html.j2", outline)


def fragment(outline: Mapping[str, Any]) -> str:
    """A part of a page, for a notebook: the answer, the main tables and the claims."""
    return _render("fragment.html.j2", outline)


def _render(template: str, outline: Mapping[str, Any]) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from chares.report.drawing import claim_svg, svg

    env = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    lang = str(outline["lang"])
    t = Messages(lang)
    return env.get_template(template).render(
        o=outline,
        t=t,
        kinds={t(f"kind.{kind}"): kind for kind in KINDS},
        beside_rows=_beside_rows,
        svg=lambda chart: Markup(svg(chart, lang)),
        claim_svg=lambda claim: Markup(claim_svg(claim)),
    )


def _beside_rows(section: Mapping[str, Any]) -> dict[str, list[float]]:
    """Bar charts that repeat a table, as lengths by table: they are drawn beside its rows."""
    rows = {t["id"]: len(t["rows"]) for t in section["tables"]}
    charts = [c for c in section["charts"] if c["kind"] == "bar"]
    lengths = {c["id"]: [v or 0.0 for v in c["series"][0]["values"]] for c in charts}
    return {k: v for k, v in lengths.items() if len(v) == rows.get(k) and max(v) > 0}
