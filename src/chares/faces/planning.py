"""``chares plan`` and ``chares why``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chares.errors import InputError, NoPlan
from chares.faces.options import CALIBRATION, LANGUAGE, calibrated

if TYPE_CHECKING:
    from chares.planner import Plan

SET = click.option(
    "--set", "changes", multiple=True, metavar="A.B=C", help="Lay a setting over the case."
)
AS_OF = click.option("--as-of", metavar="DAY", help="Look everything up for this day.")
KNOWN_BY = click.option("--known-by", metavar="DAY", help="Use only what was published by then.")


def _plan(
    case: str, changes: tuple[str, ...], as_of: str | None, known_by: str | None,
    calibration: Path | None,
) -> Plan:  # fmt: skip
    from chares.planner import plan
    from chares.spec import read_case

    days = [f"{k}={v}" for k, v in (("as_of", as_of), ("known_by", known_by)) if v]
    return plan(read_case(case, [*changes, *days]), calibrated(calibration))


@click.command(
    epilog="\b\nExamples:\n  chares plan colossus-1\n  chares plan my.yaml --set train.mfu=0.45"
    " --html plan.html\n  chares plan deepseek-v3 --lang ja"
)
@click.argument("case")
@SET
@AS_OF
@KNOWN_BY
@CALIBRATION
@click.option("--json", "as_json", is_flag=True, help="Print the outline as JSON.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page.")
@LANGUAGE
@click.option("--strict", is_flag=True, help="Exit with 1 when a claim fails.")
def plan(
    case: str,
    changes: tuple[str, ...],
    as_of: str | None,
    known_by: str | None,
    calibration: Path | None,
    as_json: bool,
    html: Path | None,
    lang: str,
    strict: bool,
) -> int:
    """Plan CASE: a YAML file, or the name of a case that comes with chares (`chares cases`)."""
    from chares import report

    result = _plan(case, changes, as_of, known_by, calibration)
    outline = report.outline(result, lang)
    if html:
        write_text(html, report.page(outline))
        click.echo(f"wrote {html}", err=True)
    if as_json:
        click.echo(json.dumps(outline, ensure_ascii=False, indent=1, allow_nan=False))
    elif not html:
        report.print_outline(outline, sys.stdout)
    failed = any(held.verdict in ("fails", "mixes-scopes") for held in result.held)
    return NoPlan.exit_code if strict and failed else 0


@click.command(
    epilog="\b\nExamples:\n  chares why colossus-1 bill.total\n  chares why deepseek-v3 run.mfu"
)
@click.argument("case")
@click.argument("figure")
@SET
@AS_OF
@KNOWN_BY
@CALIBRATION
@click.option("--depth", type=click.IntRange(1, 60), default=60, help="How deep to print.")
@LANGUAGE
def why(
    case: str,
    figure: str,
    changes: tuple[str, ...],
    as_of: str | None,
    known_by: str | None,
    calibration: Path | None,
    depth: int,
    lang: str,
) -> None:
    """Print the tree behind FIGURE of CASE: formulas and parts, down to facts with sources."""
    from chares import report

    result = _plan(case, changes, as_of, known_by, calibration)
    click.echo(report.why_text(result.figure(figure), result.facts, lang=lang, depth=depth))


def write_text(path: Path, text: str) -> None:
    """Write a file in one step, so that nothing half written stays behind."""
    draft = path.with_name(path.name + ".part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as bad:
        draft.unlink(missing_ok=True)
        raise InputError(
            "cannot-write", f"cannot write {path}: {bad.strerror}", hint="choose another folder"
        ) from None
