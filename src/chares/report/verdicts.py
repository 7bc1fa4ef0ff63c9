"""A verdict of the law as text."""

from __future__ import annotations

import textwrap
from typing import Any

WIDTH = 96


def verdict_text(answer: Any) -> str:
    """The answer first, then the paragraph, the reasons, and what would change it."""
    policy = f" ({answer.policy})" if answer.policy else ""
    lines = [f"{answer.verdict}{policy}", f"  {answer.paragraph}"]
    for title, sentences in (
        ("because", answer.because),
        ("status", answer.status),
        ("what would change it", answer.flips),
        ("facts", answer.facts),
    ):
        if sentences:
            lines.append(f"{title}:")
            lines += [
                textwrap.fill(s, WIDTH, initial_indent="  - ", subsequent_indent="    ")
                for s in sentences
            ]
    return "\n".join(lines)
