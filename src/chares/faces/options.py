"""Types of options: days and quantities, with errors in the one shape."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chares import units
from chares.errors import CharesError, InputError, shorten

if TYPE_CHECKING:
    from chares.facts import Facts


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
LANGUAGE = click.option(
    "--lang", type=click.Choice(["en", "ja"]), default="en", show_default=True, help="Of the text."
)
CALIBRATION = click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Your own calibration, of `chares calibrate`.",
)


def calibrated(path: Path | None) -> Facts:
    """The facts, with the calibration of a file where one is given."""
    from chares.facts import load

    if path is None:
        return load()
    from chares.model import with_calibration

    facts, warning = with_calibration(load(), path)
    if warning:
        click.echo(f"warning: {warning}", err=True)
    return facts


def mind_day(on: date | None, chip: str, facts: Facts) -> None:
    """Say on stderr what there is to mind about the day of a question."""
    from chares.spec import day_notices

    for notice in day_notices(on, facts.resolve("chips", chip), facts) if on else ():
        click.echo(f"warning: {notice}", err=True)


def quantity(unit: str) -> Callable[[Any, Any, Any], float | None]:
    """A callback that reads an option as a quantity above zero with this unit, in SI."""

    def read(ctx: Any, param: Any, value: Any) -> float | None:
        if value is None:
            return None
        where = param.opts[0]
        try:
            found = units.parse(value, unit)
        except CharesError as bad:
            if bad.code == "unknown-unit":
                bad.hint = f"{units.wanted(unit)}; {bad.hint}"
            raise bad.at(where) from None
        if found <= 0:
            raise InputError("not-positive", f"`{shorten(value)}` must be above 0", where=where)
        return found

    return read
