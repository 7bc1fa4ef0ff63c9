"""Look a fact up by day: which record holds, and which was known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any

from chares.errors import InputError, UnknownName
from chares.facts import files
from chares.facts.labels import find_label
from chares.facts.records import Fact, Source, Subject, plain_name
from chares.ledger import KINDS, Figure


class Facts:
    """All facts of the project, looked up by subject, quantity and day.

    ``known_by`` limits every look-up to what was published by that day.
    """

    def __init__(
        self,
        content: Mapping[str, Any],
        known_by: date | None = None,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        self._content = content
        self.known_by = known_by
        self._changes = dict(changes or {})

    def __repr__(self) -> str:
        subjects = self._content["subjects"]
        count = sum(len(r) for s in subjects.values() for r in s["facts"].values())
        return f"<Facts: {count} records on {len(subjects)} subjects, hash {self.hash}>"

    @property
    def hash(self) -> str:
        """A digest of all fact files."""
        return str(self._content["hash"])

    def known(self, by: date | None) -> Facts:
        """The same facts as they were published by a day (None: all)."""
        return Facts(self._content, by, self._changes)

    def with_values(self, changes: Mapping[str, Any]) -> Facts:
        """The same facts, with other values (SI) for the records with these keys."""
        return Facts(self._content, self.known_by, {**self._changes, **changes})

    def with_document(self, path: str, document: Mapping[str, Any]) -> Facts:
        """The same facts with other plain data in the place of a file's `document`."""
        id_ = path.rsplit("/", 1)[-1]
        subjects = self._content["subjects"]
        digest = sha256(f"{self.hash}{path}{document!r}".encode()).hexdigest()[:16]
        changed = {**subjects, id_: {**self._raw(id_), "document": dict(document)}}
        content = {**self._content, "subjects": changed, "hash": digest}
        return Facts(content, self.known_by, self._changes)

    @cached_property
    def newest(self) -> date:
        """The last day on which a source of theirs was published, by `known_by`."""
        by = self.known_by or date.max
        days = [date.fromisoformat(s["published"]) for s in self._content["sources"].values()]
        return max((d for d in days if d <= by), default=by)

    @property
    def as_written(self) -> Facts:
        """The same facts without the values of `with_values`."""
        return Facts(self._content, self.known_by)

    def changed(self, key: str, value: Any) -> Any:
        """What `with_values` put in the place of a value that is read from a `document`."""
        return self._changes.get(key, value)

    # subjects -------------------------------------------------------------------------------

    def ids(self, collection: str) -> list[str]:
        """The subjects of a collection (``chips``), sorted."""
        return [i for i, s in self._content["subjects"].items() if s["collection"] == collection]

    def __contains__(self, subject: str) -> bool:
        return subject in self._content["subjects"]

    def collections(self) -> list[str]:
        """The names of all collections (``chips``, ``law/us``), sorted."""
        return sorted({str(s["collection"]) for s in self._content["subjects"].values()})

    def subject(self, id: str) -> Subject:
        """A subject's name, aliases and tags."""
        raw = self._raw(id)
        rest = raw["document"]
        return Subject(
            id,
            raw["collection"],
            str(rest.get("name", id)),
            raw["file"],
            tuple(map(str, rest.get("aliases", ()))),
            {k: str(v) for k, v in rest.get("tags", {}).items()},
        )

    def document(self, path: str) -> dict[str, Any]:
        """What a fact file holds beside its facts, as plain data (``law/us/3a090``)."""
        return dict(self._raw(path.rsplit("/", 1)[-1])["document"])

    def resolve(self, collection: str, name: str) -> str:
        """The id that an id or alias stands for, whatever its case. Raises `UnknownName`.

        A chip is also found by a label with its maker, form, memory or count (`labels`).
        """
        found = self._aliases.get((collection, plain_name(name)))
        if found is None and collection == "chips":
            names = [(alias, id_) for (c, alias), id_ in self._spelled.items() if c == collection]
            found = find_label(name, names, self._memory)
        if found is None:
            raise UnknownName(collection.rstrip("s"), name, self.ids(collection))
        return found

    @cached_property
    def _spelled(self) -> dict[tuple[str, str], str]:
        """(collection, id, name or alias as written) -> id."""
        table = {}
        for id_, raw in self._content["subjects"].items():
            rest = raw["document"]
            for alias in (id_, str(rest.get("name", id_)), *rest.get("aliases", ())):
                table[raw["collection"], str(alias)] = id_
        return table

    @cached_property
    def _aliases(self) -> dict[tuple[str, str], str]:
        return {(c, plain_name(alias)): id_ for (c, alias), id_ in self._spelled.items()}

    def _memory(self, subject: str) -> float:
        """A chip's memory in bytes; infinite, which no label states, where it is not known."""
        records = self._raw(subject)["facts"].get("memory")
        return float(records[0]["value"]) if records else float("inf")

    def _raw(self, id: str) -> dict[str, Any]:
        try:
            return self._content["subjects"][id]  # type: ignore[no-any-return]
        except KeyError:
            raise UnknownName("subject", id, self._content["subjects"]) from None

    # records --------------------------------------------------------------------------------

    def quantities(self, subject: str) -> list[str]:
        """What is known about a subject."""
        return list(self._raw(subject)["facts"])

    def all(self, subject: str, quantity: str) -> list[Fact]:
        """Every record of one quantity that was published by ``known_by``, as written."""
        records = self._raw(subject)["facts"].get(quantity, [])
        facts = [self._fact(subject, quantity, i, r) for i, r in enumerate(records)]
        by = self.known_by
        return [f for f in facts if by is None or (f.published or f.source.published) <= by]

    def has(self, subject: str, quantity: str, on: date | None = None) -> bool:
        """Whether `get` would find a record."""
        return bool(_holding(self.all(subject, quantity), on))

    def get(
        self,
        subject: str,
        quantity: str,
        on: date | None = None,
        known_by: date | None = None,
    ) -> Fact:
        """The record that holds on a day: the latest that began by then, the strongest kind
        first where several began together, then the order of the file.

        Raises `InputError` (``no-fact``, or ``no-fact-yet`` where records begin later).
        """
        facts = self if known_by is None else self.known(known_by)
        records = facts.all(subject, quantity)
        holding = _holding(records, on)
        if holding:
            return min(
                holding,
                key=lambda f: (-(f.valid_from or date.min).toordinal(), KINDS.index(f.kind)),
            )
        key = f"{subject}.{quantity}"
        if records:
            first = min(f.valid_from for f in records if f.valid_from)
            raise InputError(
                "no-fact-yet", f"`{key}` is not known for {on}", hint=f"records begin on {first}"
            )
        if quantity in self._raw(subject)["facts"]:
            raise InputError(
                "no-fact-yet",
                f"nothing was published about `{key}` by {facts.known_by}",
                hint="set `known_by` later",
            )
        raise UnknownName("fact", key, (f"{subject}.{q}" for q in self.quantities(subject)))

    def figure(
        self, subject: str, quantity: str, on: date | None = None, label: str = ""
    ) -> Figure:
        """The record that holds on a day, as a leaf of the ledger."""
        return self.get(subject, quantity, on).figure(label)

    def source(self, id: str) -> Source:
        """A source document by id."""
        table = self._content["sources"]
        if id not in table:
            raise UnknownName("source", id, table)
        return _source(tuple(table[id].items()))

    def search(self, words: Iterable[str]) -> list[Fact]:
        """Facts whose subject, quantity, note or source contain all the words."""
        wanted = [w.lower() for w in words]
        found = []
        for id_, raw in self._content["subjects"].items():
            about = " ".join([id_, str(raw["document"].get("name", "")), raw["collection"]])
            for quantity, records in raw["facts"].items():
                text = f"{about} {quantity} {id_}.{quantity}".lower()
                if all(w in text for w in wanted) and records:
                    found += self.all(id_, quantity)
        return found

    def _fact(self, subject: str, quantity: str, index: int, record: dict[str, Any]) -> Fact:
        key = f"{subject}.{quantity}"
        if "valid_from" in record:
            key += f"@{record['valid_from']}"
        if index:
            key += f"#{index + 1}"
        rest = {k: v for k, v in record.items() if k not in ("source", "valid_from", "published")}
        days: dict[str, Any] = {
            k: date.fromisoformat(record[k]) for k in ("valid_from", "published") if k in record
        }
        rest["guard"] = str(record.get("guard", ""))
        source = self.source(record["source"])
        fact = Fact(key, subject, quantity, source=source, **rest, **days)
        if key in self._changes:
            return replace(fact, value=self._changes[key])
        return fact


def _holding(records: list[Fact], on: date | None) -> list[Fact]:
    if on is None:
        return records
    return [f for f in records if f.valid_from is None or f.valid_from <= on]


@lru_cache(maxsize=4096)
def _source(fields: tuple[tuple[str, Any], ...]) -> Source:
    raw = dict(fields)
    accessed = raw.get("accessed")
    return Source(
        str(raw["id"]),
        str(raw["publisher"]),
        str(raw["title"]),
        str(raw["url"]),
        date.fromisoformat(raw["published"]),
        date.fromisoformat(accessed) if accessed else None,
        str(raw.get("licence", "")),
        str(raw.get("note", "")),
    )


@lru_cache(maxsize=1)
def load() -> Facts:
    """The facts that come with chares, compiled anew where a fact file has changed."""
    content = files.compiled()
    if content is None:
        from chares.facts.compiling import compile_to

        content = compile_to(files.COMPILED)
    return Facts(content)
