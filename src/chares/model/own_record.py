"""The file that ``chares calibrate`` writes and every command reads with ``--calibration``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chares.errors import CharesError, InputError, did_you_mean, raise_all, shorten
from chares.facts import Node, read_document
from chares.model.calibration import LEVELS, SHARES
from chares.model.intervals import GRADES, RANGES
from chares.model.predictions import CALIBRATION

if TYPE_CHECKING:
    from chares.facts import Facts

AGAIN = "write it anew with `chares calibrate`"
FARTHEST = 8.0  # an effect on the free scale
HEAD = "# Written by `chares calibrate`; every command reads it with --calibration.\n"


def record_text(document: Mapping[str, Any], facts: Facts) -> str:
    """A calibration record as YAML, with the mark of the published one that it is based on."""
    import yaml

    body = {"based_on": published_mark(facts), **document}
    return HEAD + str(
        yaml.safe_dump(
            body, sort_keys=False, default_flow_style=None, width=100, allow_unicode=True
        )
    )


def published_mark(facts: Facts) -> str:
    """A digest of the project's own parameters."""
    content = facts.document(CALIBRATION)["parameters"]
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return f"fit-{digest[:12]}"  # a word: twelve hexadecimal digits alone may read as a number


def with_calibration(facts: Facts, path: str | Path) -> tuple[Facts, str]:
    """The facts with a user's calibration in the place of the published one, and a warning
    (empty, or that the file was made from other published parameters).

    Raises `InputError` or `InputErrors`: every finding with file, line and key.
    """
    name = str(path)
    try:
        content = Path(path).read_bytes()
    except OSError as bad:
        raise InputError(
            "cannot-read", f"cannot read the calibration: {bad.strerror}", where=name,
            hint="`chares calibrate RUN.csv --out FILE` writes one",
        ) from None  # fmt: skip
    root = read_document(content, name)
    raise_all(list(_findings(root, facts.document(CALIBRATION), name)))
    document = root.plain() | {"file": name}  # leaves of the ledger say where they come from
    old = document.get("based_on") != published_mark(facts)
    warning = f"{name} was made from other published parameters; {AGAIN}" if old else ""
    return facts.with_document(CALIBRATION, document), warning


def _findings(root: Node, published: Mapping[str, Any], name: str) -> Iterator[CharesError]:
    blocks: dict[str, Node] = {}
    for key in ("parameters", "reference_watts", "evidence"):
        node = root.value.get(key) if isinstance(root.value, dict) else None
        if node is None or not isinstance(node.value, dict):
            yield InputError(
                "bad-calibration", f"`{key}` is missing", where=f"{name}:1", hint=AGAIN
            )
        else:
            blocks[key] = node
    if "parameters" in blocks:
        yield from _parameters(blocks["parameters"], published["parameters"], name)
    for label, node in (
        blocks["reference_watts"].value if "reference_watts" in blocks else {}
    ).items():
        if not _number(node) or node.value <= 0.0:
            yield _bad(f"`reference_watts.{shorten(label)}` is not a number above 0", node, name)
    if "evidence" in blocks:
        yield from _evidence(blocks["evidence"], name)


def _parameters(block: Node, published: Mapping[str, Any], name: str) -> Iterator[CharesError]:
    for key in sorted(published.keys() - block.value.keys()):
        yield _bad(f"parameter `{key}` is missing", block, name)
    for key, entry in block.value.items():
        if key not in published:
            hint = did_you_mean(key, published)
            yield _bad(f"unknown parameter `{shorten(key)}`", entry, name, hint)
        elif not isinstance(entry.value, dict) or "value" not in entry.value:
            yield _bad(f"parameter `{key}` has no `value`", entry, name)
        else:
            yield from _entry(key, entry, name)


def _entry(key: str, entry: Node, name: str) -> Iterator[CharesError]:
    value = entry.value["value"]
    most = 1.0 if key in SHARES else 1e30
    if not _number(value) or not 0.0 < value.value < most:
        span = "between 0 and 1" if key in SHARES else "above 0"
        yield _bad(f"`{key}.value` is `{shorten(value.value)}`; a number {span}", value, name)
    for level, node in entry.value.items():
        if level == "value":
            continue
        if level not in LEVELS or not isinstance(node.value, dict):
            yield _bad(f"`{key}.{shorten(level)}` is no level", node, name, ", ".join(LEVELS))
            continue
        for label, effect in node.value.items():
            if not _number(effect) or abs(effect.value) > FARTHEST:
                where = f"{key}.{level}.{shorten(label)}"
                yield _bad(f"`{where}` is not a number within {FARTHEST:g} of 0", effect, name)


def _evidence(block: Node, name: str) -> Iterator[CharesError]:
    for key in ("near", "seen"):
        node = block.value.get(key)
        if node is None or not isinstance(node.value, list):
            yield _bad(f"`evidence.{key}` is not a list", node or block, name)
    for key, wanted in (("ranges", RANGES), ("widths", GRADES)):
        node = block.value.get(key)
        table = node.value if node is not None and isinstance(node.value, dict) else {}
        for entry in wanted:
            pair = table.get(entry)
            parts = pair.value if pair is not None and isinstance(pair.value, list) else []
            fine = len(parts) == 2 and all(_number(p) for p in parts)
            fine = fine and parts[0].value <= parts[1].value
            if not fine or (key == "widths" and not -FARTHEST < parts[0].value <= 0.0):
                message = f"`evidence.{key}.{entry}` is not a low and a high number"
                yield _bad(message, pair or node or block, name)


def _number(node: Node) -> bool:
    return isinstance(node.value, (int, float)) and not isinstance(node.value, bool)


def _bad(message: str, node: Node, name: str, hint: str = AGAIN) -> InputError:
    return InputError("bad-calibration", message, where=f"{name}:{node.line}", hint=hint)
