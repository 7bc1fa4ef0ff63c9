"""Compile the fact files into the one file that is read at run time: ``make facts``."""

from __future__ import annotations

import sys
from pathlib import Path

from chares.errors import CharesError
from chares.facts.compiling import compile_to

TARGET = Path(__file__).resolve().parent.parent / "src" / "chares" / "data" / "facts.json"


def main() -> int:
    """Compile, and say how many records there are or what is wrong with them."""
    try:
        content = compile_to(TARGET)
    except CharesError as bad:
        print(bad, file=sys.stderr)
        return bad.exit_code
    subjects = content["subjects"].values()
    records = sum(len(r) for s in subjects for r in s["facts"].values())
    print(f"{records:,} records on {len(subjects)} subjects, {len(content['sources'])} sources")
    return 0


if __name__ == "__main__":
    sys.exit(main())
