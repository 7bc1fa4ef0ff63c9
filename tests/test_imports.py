"""What each command may load: start-up time is paid by imports.

A command that is not in the table fails the test below it; add it with the least it needs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from chares.faces.cli import COMMANDS

HEAVY = set(
    "click duckdb hypothesis jinja2 numba numpy pandas pint plotly polars pyarrow pydantic rich"
    " scipy yaml".split()
)
LIGHT = {"click"}
CASE = LIGHT | {"yaml", "pydantic"}
PLAN = CASE | {"numpy"}

# words -> the heavy packages that may be loaded (the folder of the test is the working directory)
MAY_LOAD: dict[str, set[str]] = {
    "--help": LIGHT,
    "--version": LIGHT,
    **{f"{command} --help": LIGHT for command in COMMANDS},
    "plan colossus-1": PLAN | {"rich"},
    "plan colossus-1 --json": PLAN,
    "plan colossus-1 --html page.html": PLAN | {"jinja2"},
    "plan colossus-1 --lang ja": PLAN | {"rich"},
    "plan deepseek-v3": PLAN | {"rich"},
    "why colossus-1 bill.total": PLAN,
    "cases": CASE,
    "schema": CASE,
    "facts h100-sxm memory": LIGHT,
    "facts h100-sxm memory --json": LIGHT,
    "permit export --chip h20 --to CN --on 2025-04-15": LIGHT | {"numpy"},
    "train --model llama-3-8b --chip h100-sxm --count 16 --json": PLAN,
    "plna": LIGHT,  # an unknown command
}
SCRIPT = """
import sys
from chares.faces.cli import main
try:
    main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print("LOADED", code, *{m.split(".")[0] for m in sys.modules}, file=sys.stderr)
"""


def loaded(words: str, folder: Path) -> tuple[int, set[str]]:
    """Exit code of a command and the heavy packages that it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *words.split()],
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=60,
    )
    last = done.stderr.splitlines()[-1].split()
    assert last[0] == "LOADED", done.stderr[-2000:]
    return int(last[1]), HEAVY & set(last[2:])


@pytest.mark.parametrize("words", MAY_LOAD)
def test_a_command_loads_no_more_than_it_may(words: str, tmp_path: Path) -> None:
    code, found = loaded(words, tmp_path)
    assert code == (2 if words == "plna" else 0)
    assert found <= MAY_LOAD[words], f"{words}: {sorted(found - MAY_LOAD[words])} too"


def test_the_table_keeps_the_promises() -> None:
    """Whatever is added to the table: help is light, and a plan loads none of these."""
    for words, may in MAY_LOAD.items():
        if "--help" in words:
            assert not may & {"numpy", "pydantic", "pint"}
        if words.startswith("plan"):
            assert not may & {"scipy", "pint", "pandas", "plotly"}
