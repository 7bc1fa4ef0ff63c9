"""The shape on record for the name that a publication gives its model, or none.

Publications write `LLaMA3-8B`, `llama3 8b` or `Llama 3 8B Instruct`. A name is read as its words,
its size and its active size; it stands for a record where one of the record's labels (id, name,
alias) reads the same. There is no near guess: every word counts but those of `NOISE`, which say how
a model is trained or run, and a size counts with the digits that it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
from math import nan
from typing import TYPE_CHECKING, NamedTuple

from chares.errors import CharesError
from chares.model.parameters import parameters
from chares.model.shape import Shape, shape_of

if TYPE_CHECKING:
    from chares.facts import Facts

# Words of a name that do not tell one shape from another. Neither `moe` nor `proxy` is one.
NOISE = frozenset(
    """
    base bf16 block chat dense dpo dropless fine finetune finetuned finetuning fp16 fp4 fp8 hf
    instruct instruction it llm lora maxtext meta mlperf model models mtp mxfp8 nvfp4 parameter
    parameters params presumed pretrain pretrained pretraining qlora rl sft the tokendrop training
    tuned tuning v0.1 w with without wo
    """.split()
)
_UNITS = {"m": 1e6, "b": 1e9, "t": 1e12}
_ORGANISATION = re.compile(r"^[\w.-]+/(?=\S+$)")
_SPELT = re.compile(r"(?<=\d)[ _-]*(million|billion|trillion|bn)\b")
_EXPERTS = re.compile(r"(\d+) ?[x×*] ?(\d+(?:\.\d+)?) ?b(?![a-z0-9])")
_ACTIVE = re.compile(r"(?<![a-z0-9])a ?(\d+(?:\.\d+)?)([bm])(?![a-z0-9])")
_SPLIT_SIZE = re.compile(r"(?<![\d.])(\d+)b(\d)(?![a-z0-9])")  # BLOOM's 7b1
_SIZE = re.compile(r"(?<![\d.])(\d+(?:\.\d+)?)[ _]?([mbt])(?![a-z0-9])")
_VERSION = re.compile(r"v(?=\d)")  # Llama v2 is Llama 2
_BETWEEN = re.compile(r"[^a-z0-9.]+")
_TOLERANCE = 0.03  # between a count beside the name and that of the record: what sources leave out
_SAME = 0.005  # where the count alone picks one size of a family


_Key = tuple[str, tuple[float, ...], tuple[float, ...]]  # words, sizes, active sizes


class _Size(NamedTuple):
    """A number of parameters as written: 6.7B is 6.7e9 with a last digit of 1e8."""

    value: float
    digit: float

    def rounds(self, count: float) -> bool:
        """Whether a count, rounded to the digits written, is this size."""
        return abs(count - self.value) <= self.digit / 2.0


class _Name(NamedTuple):
    """A name as it is compared."""

    words: str
    sizes: tuple[_Size, ...] = ()
    active: tuple[_Size, ...] = ()

    @property
    def key(self) -> _Key:
        """What two ways to write one name have in common."""
        return self.words, _values(self.sizes), _values(self.active)


def _values(sizes: Iterable[_Size]) -> tuple[float, ...]:
    return tuple(sorted(s.value for s in sizes))


def _size(number: str, unit: str) -> _Size:
    decimals = len(number.partition(".")[2])
    return _Size(round(float(number) * _UNITS[unit]), _UNITS[unit] / 10.0**decimals)


@lru_cache(maxsize=4096)
def _read(name: str) -> _Name:
    """The words, sizes and active sizes of a name."""
    text = _ORGANISATION.sub("", name.strip().lower()).replace("α", "alpha")
    text = _SPELT.sub(lambda m: m[1][0], text)
    text = _EXPERTS.sub(lambda m: f" {m[1]}x{m[2]} ", text)
    found: dict[str, list[_Size]] = {"active": [], "sizes": []}

    def taken(kind: str, match: re.Match[str]) -> str:
        found[kind].append(_size(match[1], match[2]))
        return " "

    text = _ACTIVE.sub(lambda m: taken("active", m), text)
    text = _SPLIT_SIZE.sub(lambda m: f"{m[1]}.{m[2]}b", text)
    text = _SIZE.sub(lambda m: taken("sizes", m), text)
    words = (word.strip(".") for word in _BETWEEN.split(text))
    kept = _VERSION.sub("", "".join(word for word in words if word not in NOISE))
    return _Name(kept, tuple(found["sizes"]), tuple(found["active"]))


class _Stock:
    """The labels of all models on record, as they are compared, and the shapes asked for."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.exact: dict[_Key, set[str]] = {}
        self.total: dict[_Key, set[str]] = {}  # labels with an active size, by the total one alone
        self.bare: dict[str, set[str]] = {}  # labels without a size, by their words
        self.family: dict[str, set[str]] = {}  # every label, by its words
        self.sizes: dict[str, set[float]] = {}  # in the labels of a record
        self.shapes: dict[str, Mapping[str, float] | None] = {}
        self.counts: dict[str, float] = {}
        for id_ in facts.ids("models"):
            subject = facts.subject(id_)
            for label in (id_, subject.name, *subject.aliases):
                self._enter(id_, _read(label))

    def _enter(self, id_: str, name: _Name) -> None:
        self.exact.setdefault(name.key, set()).add(id_)
        self.family.setdefault(name.words, set()).add(id_)
        self.sizes.setdefault(id_, set()).update(s.value for s in name.sizes)
        if name.active:
            self.total.setdefault((name.words, _values(name.sizes), ()), set()).add(id_)
        if not name.sizes:
            self.bare.setdefault(name.words, set()).add(id_)

    def candidates(self, name: _Name, size: float | None) -> set[str]:
        """The records that a name may stand for: by the first way of reading that finds one."""
        if not name.words:
            return set()
        ids = self.exact.get(name.key) or self.total.get(name.key)
        if ids:
            return ids
        if len(name.sizes) == 1:
            return {i for i in self.bare.get(name.words, ()) if self._rounds(i, name)}
        if size is not None and not name.sizes:
            return {i for i in self.family.get(name.words, ()) if self._is_size(i, size)}
        return set()

    def shape(self, id_: str) -> Mapping[str, float] | None:
        """The numbers of a record's shape; None where its architecture is not known."""
        if id_ not in self.shapes:
            try:
                shape = shape_of(self.facts, id_)
                self.shapes[id_] = {f.name: float(getattr(shape, f.name)) for f in fields(Shape)}
            except CharesError:
                self.shapes[id_] = None
        return self.shapes[id_]

    def count(self, id_: str) -> float:
        """How many parameters a record's shape has; nan where it is not known."""
        if id_ not in self.counts:
            shape = self.shape(id_)
            self.counts[id_] = float(parameters(Shape(**shape)).total) if shape else nan
        return self.counts[id_]

    def _rounds(self, id_: str, name: _Name) -> bool:
        """Whether the sizes in a name are the published counts of a record, rounded."""
        counts = (name.sizes, "published_parameters"), (name.active, "published_active_parameters")
        return all(
            self.facts.has(id_, quantity)
            and size.rounds(float(self.facts.get(id_, quantity).value))
            for sizes, quantity in counts
            for size in sizes
        )

    def _is_size(self, id_: str, size: float) -> bool:
        """Whether a count is that of a record, or the size in one of its labels."""
        return size in self.sizes[id_] or abs(self.count(id_) / size - 1.0) <= _SAME


@lru_cache(maxsize=8)
def _stock(facts: Facts) -> _Stock:
    return _Stock(facts)


def shape_named(facts: Facts, name: str, size: float | None = None) -> Mapping[str, float] | None:
    """The fields of the shape (see `Shape`) that a publication's name stands for, or None.

    ``size`` is the number of parameters that the publication gives beside the name, where it does:
    it picks among the sizes of a family (`Llama 3.1` with 405e9), and a record that is more than
    3 % away from it is not meant. None where no record has the name, and where several have it
    whose shapes differ.
    """
    if size is not None and not size > 0.0:
        return None
    stock, known = _stock(facts), _read(name)
    ids = [i for i in sorted(stock.candidates(known, size)) if stock.shape(i) is not None]
    if not ids or any(stock.shape(i) != stock.shape(ids[0]) for i in ids):
        return None
    if size is not None:
        near = abs(stock.count(ids[0]) / size - 1.0) <= _TOLERANCE
        if not near and not any(s.rounds(size) for s in known.sizes):
            return None
    return stock.shape(ids[0])
