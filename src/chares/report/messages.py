"""Every fixed sentence of the reports, in one catalogue (``messages.json``: key -> en, ja)."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from chares.errors import InputError

LANGUAGES = ("en", "ja")
_FILE = Path(__file__).with_name("messages.json")


@lru_cache(maxsize=1)
def catalogue() -> dict[str, dict[str, str]]:
    """All messages: key -> language -> text with ``{places}``."""
    content: dict[str, dict[str, str]] = json.loads(_FILE.read_bytes())
    return content


class Messages:
    """The catalogue in one language: ``t("claims.title")``, ``t("unit.day", count=3)``."""

    def __init__(self, lang: str = "en") -> None:
        if lang not in LANGUAGES:
            raise InputError(
                "unknown-language", f"there is no language `{lang}`", hint="known: `en`, `ja`"
            )
        self.lang = lang

    def __call__(self, key: str, **places: object) -> str:
        text = catalogue()[key][self.lang]
        return text.format(**places) if places else text

    def find(self, key: str, otherwise: str) -> str:
        """The message, or ``otherwise`` where the catalogue has none: names that stages give."""
        return self(key) if key in catalogue() else otherwise
