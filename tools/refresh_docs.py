"""Run the code blocks of README and docs/, and write the blocks that show results: ``make docs``.

On each page, from top to bottom and in one name space:

- a ``python`` block is run;
- a ``text`` block below ``<!-- output: COMMAND -->`` holds what the command prints, or some of it
  with ``| lines 1-60`` after the command;
- a ``text`` block below ``<!-- output -->`` holds what the Python blocks above it printed.

The last two are generated: write the comment and an empty block, run this, and read what it wrote.
A test holds every page against a fresh run, so results that depend on the machine or the day go
into other blocks.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from pathlib import Path

from sybil import Document, Example, Region, Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 100
BLOCK = re.compile(
    r"^<!-- output(?:: (?P<command>.+?)(?: \| lines (?P<first>\d+)-(?P<last>\d+))?)? -->\n"
    r"```text\n(?P<shown>.*?)```$",
    re.MULTILINE | re.DOTALL,
)


def pages() -> list[Path]:
    """The pages that are run."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
    return [*top, *sorted((ROOT / "docs").glob("*.md"))]


class Page:
    """One page while it is run: what was printed, and what the generated blocks should hold."""

    def __init__(self, path: Path) -> None:
        self.printed = io.StringIO()
        self.fresh: list[tuple[int, int, str]] = []  # start, end, text
        self.document = Sybil([PythonCodeBlockParser(), self.blocks]).parse(path)

    def blocks(self, document: Document) -> Iterator[Region]:
        """The generated blocks, as Sybil wants to know them."""
        for match in BLOCK.finditer(document.text):
            yield Region(match.start(), match.end(), match, self.block)

    def render(self) -> str:
        """The page as it should read. Raises what an example raises."""
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            for example in self.document.examples():
                with redirect_stdout(self.printed):
                    example.evaluate()
        text = self.document.text
        for start, end, block in reversed(self.fresh):
            text = text[:start] + block + text[end:]
        return text

    def block(self, example: Example) -> None:
        match = example.parsed
        if match["command"]:
            lines = run(match["command"]).splitlines(keepends=True)
            if match["first"]:
                lines = lines[int(match["first"]) - 1 : int(match["last"])]
            text = tidy("".join(lines))
        else:
            text = tidy(self.printed.getvalue())
            self.printed.seek(0)
            self.printed.truncate()
        self.fresh.append((*match.span("shown"), text))


def run(command: str) -> str:
    """What a command prints, as on a terminal of one width without colours."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "COLUMNS": str(WIDTH), "NO_COLOR": "1", "PATH": path}
    done = subprocess.run(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        env=env,
    )
    if "Traceback" in done.stdout:
        raise RuntimeError(f"{command}\n{done.stdout}")
    return tidy(done.stdout)


def tidy(text: str) -> str:
    """No spaces at line ends, and one line feed at the end."""
    lines = "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
    return f"{lines}\n" if lines else ""


def main() -> int:
    """Refresh the pages named as arguments, or all; print which changed."""
    for path in [Path(a).resolve() for a in sys.argv[1:]] or pages():
        old, new = path.read_text(encoding="utf-8"), Page(path).render()
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"written anew: {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
