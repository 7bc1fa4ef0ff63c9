"""What a plan looks like at a prompt and in a notebook."""

from __future__ import annotations

from typing import Any

from chares.report.page_html import fragment
from chares.report.plain import outline


def plan_text(plan: Any, lang: str = "en") -> str:
    """A few lines: name and day, the answer, and where more is."""
    content = outline(plan, lang)
    lines = [f"<Plan {content['name']}, {content['as_of']}>", *content["answer"]]
    return "\n".join(lines)


def plan_html(plan: Any, lang: str = "en") -> str:
    """The answer, tables, charts and claims as a piece of HTML with its own style."""
    return fragment(outline(plan, lang))
