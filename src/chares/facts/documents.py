"""YAML text -> a tree of values that know their line, safe against hostile input.

The text is read as a stream of parser events, so nothing recurses: depth, size and the number of
nodes are bounded, anchors and aliases are refused, and every key and value keeps its place.
Plain scalars mean what YAML 1.2 (core schema) says: ``NO`` is text, ``1e26`` is a number.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from chares.errors import CharesError, InputError, shorten

MAX_BYTES = 2_000_000
MAX_DEPTH = 24
MAX_NODES = 200_000
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(slots=True)
class Node:
    """A value with its place. ``value`` is a dict of nodes, a list of nodes or a scalar.

    ``file`` is what the text was called: the place of a value is ``file:line``.
    """

    value: Any
    line: int
    key_line: int = 0
    file: str = ""

    def plain(self) -> Any:
        """The value without places, as ordinary dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value


def read_document(
    text: str | bytes, name: str, max_bytes: int = MAX_BYTES, max_nodes: int = MAX_NODES
) -> Node:
    """Parse one YAML document. ``name`` is the file, for messages.

    Raises `InputError` (codes ``not-text``, ``too-large``, ``too-deep``, ``alias``, ``tag``,
    ``bad-yaml``, ``duplicate-key``, ``bad-number``) with the line.
    """
    if len(text) > max_bytes:
        raise InputError(
            "too-large", f"the file has more than {max_bytes:,} bytes", where=name,
            hint="a case is a page or two of text",
        )  # fmt: skip
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as bad:
            raise InputError(
                "not-text", f"the file is not UTF-8 text (byte {bad.start})", where=name,
                hint="is it the right file? cases are YAML text",
            ) from None  # fmt: skip
    return _Tree(name, max_nodes).build(text)


class _Tree:
    """Builds nodes from events with an explicit stack."""

    def __init__(self, name: str, max_nodes: int) -> None:
        self.name = name
        self.max_nodes = max_nodes
        self.stack: list[Node] = []
        self.keys: list[tuple[str, int] | None] = []  # the key that waits for its value
        self.root: Node | None = None
        self.count = 0

    def fail(self, code: str, message: str, line: int, hint: str) -> CharesError:
        return InputError(code, message, where=f"{self.name}:{line}", hint=hint)

    def build(self, text: str) -> Node:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            for event in yaml.parse(text, Loader=loader):
                self.take(event, yaml)
        except yaml.YAMLError as bad:
            mark = getattr(bad, "problem_mark", None)
            line = mark.line + 1 if mark else 1
            problem = shorten(getattr(bad, "problem", None) or getattr(bad, "reason", bad), 80)
            raise self.fail(
                "bad-yaml", f"not valid YAML: {problem}", line,
                "check indentation, quotes and colons near that line",
            ) from None  # fmt: skip
        return self.root or Node(None, 1, file=self.name)

    def take(self, event: Any, yaml: Any) -> None:
        kind = type(event)
        if kind in (yaml.SequenceEndEvent, yaml.MappingEndEvent):
            self.stack.pop()
            self.keys.pop()
            return
        if kind is yaml.DocumentStartEvent and self.root is not None:
            raise self.fail("bad-yaml", "a second document begins", self.line(event), "keep one")
        if kind is yaml.AliasEvent or getattr(event, "anchor", None):
            raise self.fail(
                "alias", "anchors and aliases are not read", self.line(event),
                "write the value out where it is used",
            )  # fmt: skip
        if getattr(event, "tag", None) not in (None, "!"):
            raise self.fail("tag", "tags are not read", self.line(event), "write the value alone")
        if kind is yaml.ScalarEvent:
            self.add(event, None)
        elif kind is yaml.SequenceStartEvent:
            self.add(event, [])
        elif kind is yaml.MappingStartEvent:
            self.add(event, {})

    @staticmethod
    def line(event: Any) -> int:
        return int(event.start_mark.line) + 1

    def add(self, event: Any, container: Any) -> None:
        self.count += 1
        line = self.line(event)
        if self.count > self.max_nodes:
            message = f"more than {self.max_nodes:,} values"
            raise self.fail("too-large", message, line, "split the file")
        if self.stack and isinstance(self.stack[-1].value, dict) and self.keys[-1] is None:
            self.take_key(event, container, line)
            return
        value = self.scalar(event, line) if container is None else container
        node = Node(value, line, file=self.name)
        if not self.stack:
            self.root = node
        elif isinstance(self.stack[-1].value, list):
            self.stack[-1].value.append(node)
        else:
            key, node.key_line = self.keys[-1] or ("", line)
            self.stack[-1].value[key] = node
            self.keys[-1] = None
        if container is not None:
            if len(self.stack) >= MAX_DEPTH:
                raise self.fail("too-deep", f"nested deeper than {MAX_DEPTH}", line, "flatten it")
            self.stack.append(node)
            self.keys.append(None)

    def take_key(self, event: Any, container: Any, line: int) -> None:
        if container is not None:
            raise self.fail("bad-yaml", "a key must be a word", line, "write `key: value`")
        key = str(event.value)
        if key in self.stack[-1].value:
            raise self.fail(
                "duplicate-key", f"`{shorten(key)}` stands twice", line, "keep one of them"
            )
        self.keys[-1] = (key, line)

    def scalar(self, event: Any, line: int) -> Any:
        text = event.value
        if not event.implicit[0]:
            return text  # quoted
        if text.lower() in _WORDS and text in (text.lower(), text.title(), text.upper()):
            return _WORDS[text.lower()]
        number = _INT.fullmatch(text) or _FLOAT.fullmatch(text)
        if not number:
            return text
        if _INT.fullmatch(text) and len(text) < 19:
            return int(text)
        value = float(text)
        if not math.isfinite(value):
            raise self.fail("bad-number", f"`{shorten(text)}` is too large", line, "up to 1e300")
        return value
