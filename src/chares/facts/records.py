"""What a fact is: a value with its unit, its day, its kind and its source."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from chares.ledger import Figure, leaf


@dataclass(frozen=True, slots=True)
class Source:
    """A document that facts were read from."""

    id: str
    publisher: str
    title: str
    url: str
    published: date
    accessed: date | None = None
    licence: str = ""
    note: str = ""

    def cite(self) -> str:
        """One line: publisher, title, day."""
        return f"{self.publisher}: {self.title} ({self.published})"


@dataclass(frozen=True, slots=True)
class Fact:
    """One record. ``value``, ``low`` and ``high`` are SI; ``unit`` is the unit as written.

    ``value`` is text where the unit is ``text`` and a proleptic day number where it is ``date``.
    """

    key: str  # subject.quantity, with @day where the record is dated and #n where several agree
    subject: str
    quantity: str
    value: Any
    unit: str
    kind: str
    source: Source
    where: str = ""
    per: str = ""
    low: float | None = None
    high: float | None = None
    valid_from: date | None = None
    published: date | None = None
    opened: bool = True
    quote: str = ""
    reason: str = ""
    guard: str = ""
    note: str = ""

    @property
    def day(self) -> date:
        """The fact's value as a day (unit ``date``)."""
        return date.fromordinal(int(self.value))

    def figure(self, label: str = "") -> Figure:
        """The fact as a leaf of the ledger."""
        opened = "" if self.opened else "source not opened"
        return leaf(
            self.key,
            self.value,
            self.unit,
            kind=self.kind,
            label=label or f"{self.subject} {self.quantity.replace('_', ' ')}",
            low=self.low,
            high=self.high,
            source=self.source.id,
            where=self.where,
            note="; ".join(filter(None, (self.note, opened))),
        )


def plain_name(name: str) -> str:
    """A name as it is compared: letters, digits and dots, in lower case."""
    return "".join(c for c in name.lower() if c.isalnum() or c == ".")


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that facts are about: a chip, a model, a site, a price list."""

    id: str
    collection: str
    name: str
    file: str
    aliases: tuple[str, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
