"""Types of options: days and quantities, with errors in the one shape."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import click

from chares import units
from chares.errors import CharesError, InputError, shorten


class DayType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases only
    """A day on the command line."""

    name = "DAY"

    def convert(self, value: Any, param: Any, ctx: Any) -> date:
        """``2025-07-22`` as a date. Raises `InputError` (``not-a-day``)."""
        if isinstance(value, date):
            return value
        try:
            if len(value) == 10:
                return date.fromisoformat(value)
        except ValueError:
            pass
        raise InputError(
            "not-a-day",
            f"`{shorten(value)}` is not a day",
            where=f"--{getattr(param, 'name', 'on').replace('_', '-')}",
            hint="write 2025-07-22",
        )


DAY = DayType()


def quantity(unit: str) -> Callable[[Any, Any, Any], float | None]:
    """A callback that reads an option as a quantity with this unit, in SI."""

    def read(ctx: Any, param: Any, value: Any) -> float | None:
        if value is None:
            return None
        try:
            return units.parse(value, unit)
        except CharesError as bad:
            raise bad.at(f"--{param.name.replace('_', '-')}") from None

    return read
