"""``chares size`` and ``chares compare-chips``: the search asked backwards and side by side."""

from __future__ import annotations

import json
import sys
from datetime import date
from typing import TYPE_CHECKING, Any

import click

from chares.errors import InputError, NoPlan
from chares.faces.options import LANGUAGE, mind_day, quantity
from chares.faces.searching import job

if TYPE_CHECKING:
    from chares.facts import Facts
    from chares.search import Question

CHIPS = (
    "h100-sxm,h800-sxm,h20,a100-sxm-80gb,h200-sxm,b200,gb200,mi300x,tpu-v5p,trainium2,ascend-910c"
)


def _question(facts: Facts, model: str, chip: str, count: int, options: dict[str, Any]) -> Question:
    from chares.planner import rent_of
    from chares.search import question_for

    price, on = options.get("hourly_price"), options.get("on")
    mind_day(on, chip, facts)
    known = {k: options.get(k) for k in ("tokens", "seq_len", "global_batch")}
    return question_for(
        model, chip, count, facts, precision=options["precision"],
        hourly_price=price * 3600.0 if price else rent_of(chip, on or date.today(), facts),
        on=on, **known,
    )  # fmt: skip


@click.command(
    epilog="\b\nExamples:\n  chares size --model llama-3.1-405b --chip h100-sxm --deadline 90day"
    "\n  chares size --model gpt3-175b --chip a100-sxm-80gb --budget '2 MUSD'"
    "\n  chares size --model llama-3-70b --chip h100-sxm --count 2048 --budget '5 MUSD'"
    " --largest chinchilla"
    "\n  chares size --model llama-3-70b --chip h100-sxm --count 2048 --batch-limit 16Mtoken"
)
@job
@click.option("--chip", required=True, help="Id or name of a chip.")
@click.option("--count", type=click.IntRange(1, 10**7), default=1024, show_default=True)
@click.option("--deadline", callback=quantity("s"), help="Fewest chips that are done in it: 90day.")
@click.option("--budget", callback=quantity("USD"), help="Fewest days for it: '100 MUSD'.")
@click.option("--most-tokens", is_flag=True, help="With --budget: most tokens on --count chips.")
@click.option(
    "--largest",
    type=click.Choice(["chinchilla", "llama-3"]),
    help="With --budget: largest model on --count chips by this rule.",
)
@click.option("--batch-limit", callback=quantity("token"), help="Best batch up to so many tokens.")
@click.option("--critical-batch", callback=quantity("token"), help="With --batch-limit.")
@click.option("--json", "as_json", is_flag=True, help="Print plain data.")
@LANGUAGE
def size(model: str, chip: str, count: int, as_json: bool, lang: str, **options: Any) -> int:
    """The search asked backwards: chips for a deadline, days, tokens or a model for a budget."""
    from chares import report
    from chares.facts import load

    facts = load()
    asked = _question(facts, model, chip, count, options)
    found = _answer(asked, options, facts)
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1, allow_nan=False))
        return 0 if found.answer else NoPlan.exit_code
    report.print_outline(report.size_outline(asked, found, lang), sys.stdout)
    return 0 if found.answer else NoPlan.exit_code


def _answer(asked: Question, options: dict[str, Any], facts: Facts) -> Any:
    from chares.search import best_batch, days_for, fewest_chips, largest_model, most_tokens

    budget = options["budget"]
    _one_question(options)
    if options["deadline"]:
        return fewest_chips(asked, options["deadline"] / 86400.0)
    if options["batch_limit"]:
        return best_batch(asked, options["batch_limit"], options["critical_batch"] or 0.0)
    if budget and options["largest"]:
        return largest_model(asked, budget, options["largest"], facts)
    if budget and options["most_tokens"]:
        return most_tokens(asked, budget)
    if budget:
        return days_for(asked, budget)
    raise InputError(
        "no-question", "nothing is asked", hint="give --deadline, --budget or --batch-limit"
    )


def _one_question(options: dict[str, Any]) -> None:
    """Refuse options that another question would leave unused."""
    asked = [o for o in ("deadline", "budget", "batch_limit") if options[o]]
    if len(asked) > 1:
        told = " and ".join("--" + o.replace("_", "-") for o in asked)
        raise InputError("several-questions", f"{told} are questions of their own", hint="ask one")
    needs = {"most_tokens": "budget", "largest": "budget", "critical_batch": "batch_limit"}
    for option, other in needs.items():
        if options[option] and not options[other]:
            name, wanted = option.replace("_", "-"), other.replace("_", "-")
            raise InputError("no-question", f"--{name} needs --{wanted}", hint="see --help")
    if options["most_tokens"] and options["largest"]:
        message = "--most-tokens and --largest are questions of their own"
        raise InputError("several-questions", message, hint="ask one")


@click.command(
    "compare-chips",
    epilog="\b\nExamples:\n  chares compare-chips --model llama-3.1-405b --count 16384 --to CN"
    "\n  chares compare-chips --model llama-3.1-405b --mixed h100-sxm:100000,h200-sxm:50000"
    " --batch 15000",
)
@job
@click.option("--chip", "chips", default=CHIPS, show_default=True, help="Chips, with commas.")
@click.option("--count", type=click.IntRange(1, 10**7), default=8192, show_default=True)
@click.option("--to", "destination", help="Also: may each chip be exported there (CN)?")
@click.option(
    "--mixed",
    "fleet",
    metavar="A:N,B:M",
    help="Instead: one fleet of these kinds, as data-parallel groups and as pipeline stages.",
)
@click.option("--json", "as_json", is_flag=True, help="Print plain data.")
@LANGUAGE
def compare_chips(
    model: str, chips: str, count: int, destination: str | None, fleet: str | None, as_json: bool,
    lang: str, **options: Any,
) -> None:  # fmt: skip
    """The same job on several chips side by side, and what export thresholds cost in time."""
    from chares import report
    from chares.facts import load
    from chares.search import side_by_side

    facts = load()
    if fleet:
        _mixed(facts, model, fleet, as_json, lang, options)
        return
    names = list(dict.fromkeys(c.strip() for c in chips.split(",") if c.strip()))
    if not names:
        raise InputError("not-a-fleet", "no chip is named", where="--chip", hint="h100-sxm,h20")
    questions = [_question(facts, model, name, count, options) for name in names]
    sides = side_by_side(questions, facts)
    to = (destination or "").upper()
    exports = {s.chip: _export(s.chip, to, options.get("on"), facts) for s in sides} if to else {}
    if as_json:
        plain = [s.as_dict() | {"export": exports.get(s.chip)} for s in sides]
        click.echo(json.dumps({"sides": plain}, indent=1, allow_nan=False))
        return
    report.print_outline(report.sides_outline(questions[0], sides, to, exports, lang), sys.stdout)


def _export(chip: str, destination: str, on: date | None, facts: Facts) -> str:
    from chares.permit import export

    return str(export(chip, destination, on or date.today(), facts=facts).verdict)


def _mixed(
    facts: Facts, model: str, fleet: str, as_json: bool, lang: str, options: dict[str, Any]
) -> None:
    from chares import report
    from chares.search import mixed

    try:
        kinds = [(chip, int(n)) for chip, n in (part.split(":") for part in fleet.split(","))]
    except ValueError:
        raise InputError(
            "not-a-fleet", f"`{fleet}` is no fleet", where="--mixed",
            hint="write h100-sxm:100000,h200-sxm:50000",
        ) from None  # fmt: skip
    if any(n < 1 for _, n in kinds):
        raise InputError(
            "not-a-fleet", f"`{fleet}` has a kind with no chips", where="--mixed",
            hint="write h100-sxm:100000,h200-sxm:50000",
        )  # fmt: skip
    questions = [_question(facts, model, chip.strip(), n, options) for chip, n in kinds]
    batch = questions[0].asked.global_batch
    found = mixed([q.at(q.asked.n_chips, batch) for q in questions])
    if as_json:
        click.echo(json.dumps(found.as_dict(), indent=1, allow_nan=False))
        return
    report.print_outline(report.mixed_outline(questions[0], fleet, found, lang), sys.stdout)
