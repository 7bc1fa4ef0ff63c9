"""Fact files -> one JSON of checked records in SI. Every bad record is named by file, line, key."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

from chares import units
from chares.errors import CharesError, DataError, raise_all
from chares.facts import files
from chares.facts.documents import Node, read_document
from chares.ledger import KINDS

SOURCE_KEYS = {"id", "publisher", "title", "url", "published", "accessed", "licence", "note"}
RECORD_KEYS = {
    "value", "unit", "per", "low", "high", "kind", "source", "where", "quote", "valid_from",
    "published", "opened", "reason", "guard", "note",
}  # fmt: skip
DAYS = ("valid_from", "published")
QUOTE_WORDS = 15


def compile_to(path: Path) -> dict[str, Any]:
    """Compile every fact file and write the result to ``path``. Raises all findings at once."""
    content = compile_all(files.yaml_files())
    files.write_compiled(path, content)
    return content


def compile_all(texts: Any) -> dict[str, Any]:
    """Compile (path, content) pairs to ``{sources, subjects, hash}``."""
    build = _Build()
    digest = hashlib.sha256()
    for path, content in texts:
        digest.update(path.encode() + content)
        build.read(path, content)
    build.check_sources()
    raise_all(build.errors)
    return {"sources": build.sources, "subjects": build.subjects, "hash": digest.hexdigest()[:16]}


class _Build:
    def __init__(self) -> None:
        self.sources: dict[str, dict[str, Any]] = {}
        self.subjects: dict[str, dict[str, Any]] = {}
        self.errors: list[CharesError] = []
        self.cited: list[tuple[str, str]] = []  # (source id, place)

    def fail(self, code: str, message: str, where: str, hint: str = "") -> None:
        self.errors.append(DataError(code, message, where=where, hint=hint))

    def read(self, path: str, content: bytes) -> None:
        try:
            root = read_document(content, path)
        except CharesError as bad:
            self.errors.append(bad)
            return
        if not isinstance(root.value, dict):
            self.fail("bad-file", "a fact file is a mapping", f"{path}:1")
        elif path.startswith("sources/"):
            entries = root.value["sources"].value if "sources" in root.value else [root]
            for node in entries:
                self.source(path, node)
        else:
            self.subject(path, root)

    def source(self, path: str, node: Node) -> None:
        where = f"{path}:{node.line}"
        plain = node.plain()
        if unknown := set(plain) - SOURCE_KEYS:
            self.fail("unknown-key", f"unknown keys {sorted(unknown)}", where)
        if missing := {"id", "publisher", "title", "url", "published"} - set(plain):
            self.fail("missing-key", f"a source needs {sorted(missing)}", where)
            return
        for key in ("published", "accessed"):
            if key in plain and not _is_day(plain[key]):
                self.fail("bad-day", f"`{key}` is not a day (YYYY-MM-DD)", where)
        if plain["id"] in self.sources:
            self.fail("duplicate-id", f"source `{plain['id']}` stands twice", where)
        self.sources[plain["id"]] = plain

    def subject(self, path: str, root: Node) -> None:
        top = root.value
        parts = path.removesuffix(".yaml").split("/")
        name = str(top["id"].value) if "id" in top else ""
        if name != parts[-1]:
            self.fail("bad-id", f"`id` must be the file's name, `{parts[-1]}`", f"{path}:1")
            return
        if name in self.subjects:
            self.fail("duplicate-id", f"`{name}` stands in two files", f"{path}:1")
        facts = {}
        for quantity, node in (top["facts"].value if "facts" in top else {}).items():
            entries = node.value if isinstance(node.value, list) else [node]
            records = [self.record(path, name, quantity, entry) for entry in entries]
            facts[quantity] = [r for r in records if r]
        rest = {k: n.plain() for k, n in top.items() if k not in ("id", "facts")}
        self.subjects[name] = {
            "collection": "/".join(parts[:-1]), "file": path, "facts": facts, "document": rest,
        }  # fmt: skip

    def record(self, path: str, subject: str, quantity: str, node: Node) -> dict[str, Any] | None:
        where = f"{path}:{node.line}, {subject}.{quantity}"
        if not isinstance(node.value, dict):
            self.fail("bad-record", "a record is a mapping", where, "{value: 80, unit: GB, ...}")
            return None
        record = node.plain()
        before = len(self.errors)
        if unknown := set(record) - RECORD_KEYS:
            self.fail("unknown-key", f"unknown keys {sorted(unknown)}", where)
        if missing := {"value", "unit", "kind", "source"} - set(record):
            self.fail("missing-key", f"a record needs {sorted(missing)}", where)
            return None
        if record["kind"] not in KINDS:
            self.fail("bad-kind", f"kind is one of {', '.join(KINDS)}", where)
        if len(str(record.get("quote", "")).split()) > QUOTE_WORDS:
            self.fail("long-quote", f"a quote has at most {QUOTE_WORDS} words", where)
        for key in DAYS:
            if key in record and not _is_day(record[key]):
                self.fail("bad-day", f"`{key}` is not a day (YYYY-MM-DD)", where)
        self.cited.append((str(record["source"]), where))
        self.to_si(record, where)
        return record if len(self.errors) == before else None

    def to_si(self, record: dict[str, Any], where: str) -> None:
        """Replace value, low and high by SI numbers (a day number for ``date``)."""
        if record["unit"] == "text":
            record["value"] = str(record["value"])
            return
        if record["unit"] == "date":
            if not _is_day(record["value"]):
                self.fail("bad-day", "a day is YYYY-MM-DD", where)
                return
            record["value"] = date.fromisoformat(record["value"]).toordinal()
            return
        try:
            factor = units.unit(str(record["unit"])).factor
        except CharesError as bad:
            self.errors.append(DataError(bad.code, bad.message, where=where, hint=bad.hint))
            return
        for key in ("value", "low", "high"):
            if key not in record:
                continue
            if isinstance(record[key], bool) or not isinstance(record[key], (int, float)):
                self.fail("not-a-number", f"`{key}` must be a number", where)
                return
            record[key] = record[key] * factor
        low, high = record.get("low", record["value"]), record.get("high", record["value"])
        if not low <= record["value"] <= high:
            self.fail("bad-interval", "low <= value <= high must hold", where)

    def check_sources(self) -> None:
        for source, where in self.cited:
            if source not in self.sources:
                self.fail("unknown-source", f"no source `{source}`", where, "add it to sources/")


def _is_day(text: object) -> bool:
    try:
        date.fromisoformat(str(text))
    except ValueError:
        return False
    return len(str(text)) == 10
