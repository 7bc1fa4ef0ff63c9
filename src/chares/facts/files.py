"""The only module that opens ``chares/data``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent.parent / "data"
COMPILED = DATA / "facts.json"


def yaml_files() -> Iterator[tuple[str, bytes]]:
    """Every fact file as (path below ``data``, content), in a stable order."""
    for path in sorted(DATA.rglob("*.yaml")):
        yield path.relative_to(DATA).as_posix(), path.read_bytes()


def read_table(path: str) -> Path:
    """The place of a table (CSV) below ``data``, for a reader that streams it."""
    found = DATA / path
    if not found.is_file():
        raise FileNotFoundError(f"no table {path} in the project's data")
    return found


def newest_change() -> float:
    """The time of the last change below ``data`` (0 where no fact file is shipped)."""
    files = list(DATA.rglob("*.yaml"))  # a deleted file shows in its folder's time
    return max(
        (p.stat().st_mtime for p in {*files, *(f.parent for f in files)} - {DATA}), default=0.0
    )


def compiled() -> dict[str, Any] | None:
    """The compiled facts; None where a fact file is younger (a source checkout)."""
    if not COMPILED.is_file() or COMPILED.stat().st_mtime < newest_change():
        return None
    content: dict[str, Any] = json.loads(COMPILED.read_bytes())
    return content


def write_compiled(path: Path, content: dict[str, Any]) -> None:
    """Write the compiled facts in one step, so that no reader sees half a file."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    draft = path.with_suffix(f".{id(content)}.part")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError:  # a read-only installation compiles in memory
        draft.unlink(missing_ok=True)
