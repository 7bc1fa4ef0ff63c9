"""The command ``chares``: words in, text out. Data to stdout, the rest to stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import click

from chares import __version__
from chares.errors import CharesError

# command -> (module, one line for the list); a module is loaded only when its command runs
COMMANDS = {
    "plan": ("planning", "Plan a case: site, training, days, power, money, law, claims."),
    "why": ("planning", "Print the tree behind one figure, down to its sources."),
    "train": ("searching", "Search every legal strategy for a model on a fleet."),
    "size": ("sizing", "Chips for a deadline; days, tokens or a model for a budget."),
    "compare-chips": ("sizing", "The same job on several chips, or on a mixed fleet."),
    "sweep": ("sweeping", "Cross models, chips, counts; stream rows to Parquet, resumable."),
    "predict": ("measuring", "Predict step time and memory for a table of runs."),
    "validate": ("measuring", "Hold predictions against published runs, by source."),
    "calibrate": ("measuring", "Adjust the model to your cluster from a few measured steps."),
    "permit": ("permits", "Ask the law one question, on a day."),
    "facts": ("lookups", "Look facts up, with their sources, side by side."),
    "law": ("lookups", "Print the text of a rule that was in force on a day."),
    "cases": ("lookups", "List the worked cases that come with chares."),
    "schema": ("lookups", "Print the JSON Schema of a case, for editors."),
}
# raised by newer releases of click for a group without a command; older ones print and exit
_NO_WORDS: Any = getattr(click.exceptions, "NoArgsIsHelpError", ())
EXAMPLES = """\b
Examples:
  chares plan colossus-1
  chares plan colossus-1 --set fleet.0.count=50000 --html plan.html
  chares why colossus-1 bill.total
  chares permit export --chip h20 --to CN --on 2025-04-15
  chares facts h100-sxm memory
"""


def unknown_command(name: str, known: Iterable[str]) -> CharesError:
    """The nearest commands first, then all of them."""
    from chares.errors import UnknownName

    found = UnknownName("command", name, known)
    near = f"{found.hint} " if found.hint.startswith("did you mean") else ""
    found.hint = f"{near}commands: {', '.join(known)}"
    return found


class LazyGroup(click.Group):
    """Knows its commands by name and loads a module only when one of its commands runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"chares.faces.{COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader that went away (head, less) is no error."""
        try:
            code = super().invoke(ctx)
            sys.stdout.flush()  # else what is left would fail at exit
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return code

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise unknown_command(args[0], COMMANDS)
        return super().resolve_command(ctx, args)


@click.group(
    cls=LazyGroup, epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="chares")
def cli() -> None:
    """What it takes to train and serve a model on these accelerators: how to split the work, days,
    memory, power, money; what breaks; who may; and whether what was published is true."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command and exit: 0 fine, 1 no plan fits (or a claim fails with --strict), 2 bad
    input."""
    try:
        code = cli.main(arguments, prog_name="chares", standalone_mode=False)
    except CharesError as bad:
        click.echo(str(bad), err=True)
        code = bad.exit_code
    except _NO_WORDS as bad:  # a group alone: its help is the answer
        click.echo(bad.format_message())
        code = 0
    except click.ClickException as bad:
        context = getattr(bad, "ctx", None)
        hint = f"see `{context.command_path} --help`" if context else "see `chares --help`"
        click.echo(f"error[bad-option]: {bad.format_message()}\nhint: {hint}", err=True)
        code = 2
    except click.Abort:
        click.echo("stopped", err=True)
        code = 130
    sys.exit(code if isinstance(code, int) else 0)
