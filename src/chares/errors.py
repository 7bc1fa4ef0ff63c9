"""One tree of errors; each knows its place and what to do next.

::

    CharesError            code, where, hint, exit code
    |- InputError      2   what the user gave cannot be used (one finding)
    |  `- UnknownName  2   an id or key that does not exist; carries "did you mean"
    |- InputErrors     2   all findings of one file at once
    |- DataError       2   a record of the project's own data is wrong: file, line, key
    `- NoPlan          1   everything was understood, and no plan fits
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence


class CharesError(Exception):
    """Base of all errors that chares raises on purpose.

    ``code`` is stable and lower case with dashes, ``where`` names file and line or the option,
    ``hint`` says what to do next.
    """

    exit_code = 2

    def __init__(self, code: str, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f", at {self.where}" if self.where else ""
        hint = f"\nhint: {self.hint}" if self.hint else ""
        return f"error[{self.code}]: {self.message}{place}{hint}"

    def at(self, where: str) -> CharesError:
        """The same error with its place named; a place that is already known stays."""
        if not self.where:
            self.where = where
        return self


class InputError(CharesError):
    """Something in a case, an option or a table cannot be used."""


class DataError(CharesError):
    """A record of the project's own data is wrong."""


class NoPlan(CharesError):
    """The question was understood and has no answer: nothing fits."""

    exit_code = 1


class InputErrors(CharesError):
    """All findings of one input at once."""

    def __init__(self, errors: Sequence[CharesError]) -> None:
        super().__init__("several", f"{len(errors)} errors")
        self.errors = tuple(errors)

    def __str__(self) -> str:
        return "\n".join(str(e) for e in self.errors)


class UnknownName(InputError):
    """An id or key that does not exist, with the nearest ones that do."""

    def __init__(self, what: str, name: str, known: Iterable[str], *, where: str = "") -> None:
        super().__init__(
            f"unknown-{what.replace(' ', '-')}",
            f"there is no {what} `{shorten(name)}`",
            where=where,
            hint=did_you_mean(name, known),
        )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A hint that names the closest known words, or the first few of them."""
    from difflib import get_close_matches

    words = sorted(set(known))
    close = get_close_matches(name.lower()[:80], words, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(f"`{c}`" for c in close) + "?"
    listed = ", ".join(f"`{w}`" for w in words[:12])
    more = f" and {len(words) - 12} more" if len(words) > 12 else ""
    return f"known: {listed}{more}" if words else "none is known"


def shorten(text: object, limit: int = 60) -> str:
    """One printable line of at most ``limit`` characters, for quoting input back."""
    try:
        shown = str(text)
    except ValueError:  # an int of more digits than Python prints
        shown = "a huge number"
    line = "".join(c if c.isprintable() else "?" for c in shown[: limit + 1])
    return line if len(line) <= limit else line[: limit - 3] + "..."


def raise_all(errors: Sequence[CharesError]) -> None:
    """Raise nothing, the one error, or all of them together."""
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise InputErrors(errors)
