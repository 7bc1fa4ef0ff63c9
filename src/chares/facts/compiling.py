"""Fact files -> one JSON of checked records in SI. Every bad record is named by file, line, key."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

from chares import units
from chares.errors import CharesError, DataError, did_you_mean, raise_all, shorten
from chares.facts import files
from chares.facts.documents import Node, read_document
from chares.facts.records import plain_name
from chares.ledger import KINDS

SOURCE_KEYS = {"id", "publisher", "title", "url", "published", "accessed", "licence", "note"}
RECORD_KEYS = {
    "value", "unit", "per", "low", "high", "kind", "source", "where", "quote", "valid_from",
    "published", "opened", "reason", "guard", "note",
}  # fmt: skip
DAYS = ("valid_from", "published")
TEXTS = ("unit", "per", "source", "where", "quote", "reason", "guard", "note")
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
        self.names: dict[tuple[str, str], str] = {}  # (collection, plain alias) -> subject

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
            for node in entries if isinstance(entries, list) else [root]:
                self.source(path, node)
        else:
            self.subject(path, root)

    def source(self, path: str, node: Node) -> None:
        where = f"{path}:{node.line}"
        if not isinstance(node.value, dict):
            self.fail("bad-source", "a source is a mapping", where, "{id: ..., publisher: ...}")
            return
        plain = {key: _text(child.plain()) for key, child in node.value.items()}
        self.check_keys(plain, SOURCE_KEYS, where)
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
        table = top["facts"].value if "facts" in top else {}
        if not isinstance(table, dict):
            self.fail("bad-record", "`facts` is a mapping", f"{path}:{top['facts'].line}")
            return
        for quantity, node in table.items():
            entries = node.value if isinstance(node.value, list) else [node]
            records = [self.record(path, name, quantity, entry) for entry in entries]
            facts[quantity] = [r for r in records if r]
        rest = {k: n.plain() for k, n in top.items() if k not in ("id", "facts")}
        self.check_names(path, name, "/".join(parts[:-1]), rest)
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
        self.check_keys(record, RECORD_KEYS, where)
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
        if not isinstance(record.get("opened", True), bool):
            self.fail("bad-record", "`opened` is true or false", where)
        record |= {key: _text(record[key]) for key in TEXTS if key in record}
        self.cited.append((str(record["source"]), where))
        self.to_si(record, where)
        return record if len(self.errors) == before else None

    def to_si(self, record: dict[str, Any], where: str) -> None:
        """Replace value, low and high by SI numbers (a day number for ``date``)."""
        if record["unit"] == "text":
            record["value"] = str(record["value"])
            return
        try:
            factor = 1.0 if record["unit"] == "date" else units.unit(record["unit"]).factor
        except CharesError as bad:
            self.errors.append(DataError(bad.code, bad.message, where=where, hint=bad.hint))
            return
        for key in ("value", "low", "high"):
            if key not in record:
                continue
            if record["unit"] == "date":
                if not _is_day(record[key]):
                    self.fail("bad-day", f"`{key}` is not a day (YYYY-MM-DD)", where)
                    return
                record[key] = date.fromisoformat(record[key]).toordinal()
            elif isinstance(record[key], bool) or not isinstance(record[key], (int, float)):
                self.fail("not-a-number", f"`{key}` must be a number", where)
                return
            else:
                record[key] = record[key] * factor
        low, high = record.get("low", record["value"]), record.get("high", record["value"])
        if not low <= record["value"] <= high:
            self.fail("bad-interval", "low <= value <= high must hold", where)

    def check_keys(self, found: dict[str, Any], known: set[str], where: str) -> None:
        for key in sorted(set(found) - known):
            hint = did_you_mean(key, known)
            self.fail("unknown-key", f"unknown key `{shorten(key)}`", where, hint)

    def check_names(self, path: str, name: str, collection: str, rest: dict[str, Any]) -> None:
        """Aliases are a list of texts, tags a mapping; a name means one subject of a collection."""
        where = f"{path}:1"
        aliases, tags = rest.setdefault("aliases", []), rest.setdefault("tags", {})
        if not isinstance(aliases, list) or not all(isinstance(a, str) for a in aliases):
            self.fail("bad-alias", "`aliases` is a list of texts", where, "quote numbers")
            return
        if not isinstance(tags, dict):
            self.fail("bad-tags", "`tags` is a mapping", where)
        for alias in (name, str(rest.get("name", name)), *aliases):
            other = self.names.setdefault((collection, plain_name(alias)), name)
            if other != name:
                self.fail("duplicate-alias", f"`{alias}` also means `{other}`", where)

    def check_sources(self) -> None:
        for source, where in self.cited:
            if source not in self.sources:
                self.fail("unknown-source", f"no source `{source}`", where, "add it to sources/")


def _is_day(text: object) -> bool:
    try:
        return isinstance(text, str) and date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _text(value: Any) -> str:
    return "" if value is None else str(value)
