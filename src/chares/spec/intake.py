"""YAML, flags or a dict -> Case, with all errors at once, each with its line and a hint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chares.errors import (
    CharesError,
    InputError,
    UnknownName,
    raise_all,
    shorten,
)
from chares.facts import Node, read_document
from chares.spec.case import Case
from chares.spec.findings import in_words

MAX_BYTES = 500_000  # a case is a page or two; Colossus 1 has 6,000
MAX_NODES = 20_000
MAX_FINDINGS = 50
SHIPPED = Path(__file__).resolve().parent.parent / "cases"
CHECKOUT = Path(__file__).resolve().parents[3] / "cases"


def shipped_cases() -> dict[str, Path]:
    """The worked cases that come with chares, by name."""
    folder = SHIPPED if SHIPPED.is_dir() else CHECKOUT
    return {p.stem: p for p in sorted(folder.glob("*.yaml"))}


def read_case(name: str | Path, changes: Sequence[str] = ()) -> Case:
    """Read a case by file name or by the name of a shipped case.

    ``changes`` are ``a.b=c`` settings laid over the file. Raises `InputErrors` with every finding.
    """
    path = Path(name)
    if len(str(name)) > 1000 or not path.is_file():
        cases = shipped_cases()
        if str(name) not in cases:
            unknown = UnknownName("case", str(name), cases)
            unknown.hint = f"{unknown.hint.rstrip('?')}, or give the path of a file: `my.yaml`"
            raise unknown
        path = cases[str(name)]
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as bad:
        raise InputError("unreadable", f"cannot read {path}: {bad.strerror}") from None
    return parse_case(content, path.name, changes)


def parse_case(text: str | bytes, file: str = "case", changes: Sequence[str] = ()) -> Case:
    """Build a case from YAML text, with settings ``a.b=c`` laid over it.

    ``file`` is what messages call the text. Raises `InputError` or, for several findings,
    `InputErrors`.
    """
    root = read_document(text, file, MAX_BYTES, MAX_NODES)
    if not isinstance(root.value, dict):
        raise InputError(
            "not-a-case",
            "a case is a mapping of parts",
            where=f"{file}:1",
            hint="start with `name:` and `as_of:`; see `chares schema`",
        )
    for change in changes:
        _set(root, change)
    return _build(root, file)


def _build(root: Node, file: str) -> Case:
    try:
        case = Case.model_validate(root.plain())
    except ValidationError as bad:
        found = bad.errors(include_url=False)
        errors = [_finding(error, root) for error in found[:MAX_FINDINGS]]
        if more := len(found) - len(errors):
            errors.append(
                InputError("several", f"and {more:,} more", where=file, hint="mend these first")
            )
        raise_all(errors)
        raise AssertionError from bad
    case._file = file
    case._places.update(_places(root, ""))
    return case


def _place(node: Node, line: int) -> str:
    """``file:line``, or the setting of the command line alone."""
    return node.file if node.file.startswith("--set ") else f"{node.file}:{line}"


def _places(node: Node, path: str) -> Iterator[tuple[str, str]]:
    """(path, place) of every value; list entries are written ``fleet[0]``."""
    if path:
        yield path, _place(node, node.line)
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from _places(child, f"{path}.{key}" if path else key)
    elif isinstance(node.value, list):
        for i, child in enumerate(node.value):
            yield from _places(child, f"{path}[{i}]")


def _finding(error: Mapping[str, Any], root: Node) -> CharesError:
    """One pydantic error as ours: code, place with line, what is wanted, hint."""
    loc = [part for part in error["loc"] if not str(part).startswith("function-")]
    node, words = root, list[str]()
    for part in loc:
        node = _step_in(node, part)
        words.append(f"[{part}]" if isinstance(part, int) else f".{part}")
    path = "".join(words).lstrip(".") or "the case"
    line = node.line if error["type"] != "extra_forbidden" else (node.key_line or node.line)
    where = _place(node, line)
    code, message, hint = in_words(error, loc)
    return InputError(code, f"`{shorten(path, 80)}` {message}", where=where, hint=hint)


def _step_in(node: Node, part: Any) -> Node:
    """The child that ``part`` names, or the node itself where there is none."""
    inside = node.value
    if isinstance(inside, dict):
        child: Node = inside.get(part, node)
        return child
    if isinstance(inside, list) and isinstance(part, int) and part < len(inside):
        entry: Node = inside[part]
        return entry
    return node


def _set(root: Node, change: str) -> None:
    """Lay one ``a.b=c`` over the tree. A list of one entry may be addressed without its index."""
    path, equals, text = change.partition("=")
    where = f"--set {shorten(change)}"
    if not equals or not path.strip():
        raise InputError("bad-set", "a setting is written `a.b=c`", where=where, hint="see --help")
    value = read_document(text, where)
    node = root
    *parents, last = path.strip().split(".")
    for word in parents:
        node = _enter(node, word, where)
    if isinstance(node.value, list) and last.isdecimal():
        node.value[_index(node.value, last, where)] = value
        return
    if isinstance(node.value, list):
        node = _only(node.value, where)
    if node.value is None:
        node.value = {}
    if not isinstance(node.value, dict):
        raise InputError("bad-set", f"`{shorten(path)}` has no parts to set", where=where)
    if value.value is None:  # an empty value takes a part away
        node.value.pop(last, None)
        return
    node.value[last] = value


def _enter(node: Node, word: str, where: str) -> Node:
    """The part of ``node`` that a setting goes into; one that is not there is made."""
    if isinstance(node.value, list) and word.isdecimal():
        entry: Node = node.value[_index(node.value, word, where)]
        return entry
    if isinstance(node.value, list):
        return _enter(_only(node.value, where), word, where)
    if node.value is None:
        node.value = {}
    if isinstance(node.value, dict):
        child: Node = node.value.setdefault(word, Node({}, node.line, file=where))
        return child
    raise InputError("bad-set", f"`{shorten(word)}` is not a part", where=where)


def _index(entries: Sequence[Node], word: str, where: str) -> int:
    if len(word) > 9 or int(word) >= len(entries):
        hint = f"the first is 0, the last {len(entries) - 1}" if entries else "the list is empty"
        raise InputError("bad-set", f"there is no entry {shorten(word)}", where=where, hint=hint)
    return int(word)


def _only(entries: Sequence[Node], where: str) -> Node:
    if len(entries) != 1:
        raise InputError(
            "ambiguous-set",
            f"there are {len(entries)} entries here",
            where=where,
            hint="name one by its index, such as `fleet.0.count=5000`",
        )
    return entries[0]
