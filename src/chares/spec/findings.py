"""What pydantic finds wrong with a case, in our own words: code, message, hint with an example."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydantic.fields import FieldInfo

from chares.errors import did_you_mean, shorten
from chares.spec.case import Case

Words = tuple[str, str, str]  # code, what follows the name of the key, hint

# how a part is written; a list is shown with its brackets, as it is forgotten most often
EXAMPLES = {
    "fleet": "[{chip: h100-sxm, count: 8192, online: 2025-01-15}]",
    "fleet[]": "{chip: h100-sxm, count: 8192, online: 2025-01-15}",
    "site": "{place: memphis, start: 2024-05-01}",
    "site.supplies": "[{kind: grid, power: 150 MW, online: 2025-05-01}]",
    "site.supplies[]": "{kind: grid, power: 150 MW, online: 2025-05-01}",
    "train": "{model: llama-3-70b, tokens: 15 Ttoken, seq_len: 8192, global_batch: 2048}",
    "train.strategy": "{tp: 8, pp: 4}",
    "train.reported": "[{name: pre-training, chip_hours: 2.664e6 chip*h}]",
    "train.reported[]": "{name: pre-training, chip_hours: 2.664e6 chip*h}",
    "serve": "{model: llama-3-70b}",
    "finance": "{hourly_price: 2 USD/chip/h}",
    "staff": "{people: 160}",
    "permit": "{destination: CN, bought: 2024-01-01}",
    "market": "{company: xAI, price: 10 USD, shares: 1e9}",
    "claims": "[{id: cost, says: it cost 5.6 million, about: bill.total, value: 5.6 MUSD}]",
    "claims[]": "{id: cost, says: it cost 5.6 million, about: bill.total, value: 5.6 MUSD}",
}
SCHEMA = "see `chares schema`"


def in_words(error: Mapping[str, Any], loc: Sequence[Any]) -> Words:
    """Code, message and hint for one finding of pydantic at the place ``loc``."""
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind == "extra_forbidden":
        return (
            "unknown-key",
            "is not a key that is read here",
            did_you_mean(str(loc[-1]), keys(loc)),
        )
    if kind == "missing":
        return "missing-key", "is needed and missing", f"add it{_example(loc, ', such as ')}"
    if context.get("hint") is not None:  # one of our own, with code and hint
        message = str(error["msg"])
        return kind, _of(message[0].lower() + message[1:]), context["hint"]
    say = KINDS.get(kind)
    if say is not None:
        return say(shorten(error["input"]), context, loc)
    message = str(error["msg"])
    return kind.replace("_", "-"), f"is {message[0].lower() + message[1:]}", SCHEMA


def _of(message: str) -> str:
    """A message that begins with the quoted value, made to follow the key's name."""
    if not message.startswith("`"):
        return message
    lead, word, rest = message.partition(" is ")
    return f"is {lead}, {rest}" if word else f"is {message.replace(' has ', ', which has ', 1)}"


def _example(loc: Sequence[Any], lead: str = "write ") -> str:
    """How the part at a place is written, or a pointer to the schema."""
    path = "".join("[]" if isinstance(p, int) else f".{p}" for p in loc).lstrip(".")
    if path not in EXAMPLES:
        return f"; {SCHEMA}" if lead.startswith(",") else SCHEMA
    if path.endswith("[]"):
        return f"{lead}`- {EXAMPLES[path]}`"
    return f"{lead}`{path.rpartition('.')[2]}: {EXAMPLES[path]}`"


def _beyond(words: str, bound: str) -> Callable[[str, Mapping[str, Any], Sequence[Any]], Words]:
    """A number on the wrong side of a bound."""

    def say(given: str, context: Mapping[str, Any], loc: Sequence[Any]) -> Words:
        limit = f"{float(context[bound]):,.12g}"
        return "out-of-range", f"is {given}; it must be {words} {limit}", _range(loc) or SCHEMA

    return say


def _range(loc: Sequence[Any]) -> str:
    """From where to where a number may lie, read from the field."""
    ends: dict[str, str] = {}
    for bound in _bounds(field(loc)):
        for name, text in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
            if (limit := getattr(bound, name, None)) is not None:
                ends[name] = f"{text} {float(limit):,.12g}"
    return "a number " + " and ".join(ends.values()) if ends else ""


def _bounds(info: FieldInfo | None) -> Iterator[Any]:
    """What a field or an alternative of it (``X | None``) is bounded by."""
    if info is None:
        return
    yield from info.metadata
    for kind in getattr(info.annotation, "__args__", ()):
        for entry in getattr(kind, "__metadata__", ()):
            yield from getattr(entry, "metadata", (entry,))


def _wrong(
    wanted: str, code: str = "wrong-type"
) -> Callable[[str, Mapping[str, Any], Sequence[Any]], Words]:
    """A value of another type than is wanted."""

    def say(given: str, context: Mapping[str, Any], loc: Sequence[Any]) -> Words:
        part = given[:1] in "{[" or code == "wrong-type"
        shown = "" if part and given[:1] in "{[" else f"is `{given}`, and "
        shown = "is empty, and " if given == "None" else shown
        hint = _example(loc) if part else _range(loc) or SCHEMA
        return code, f"{shown}must be {wanted}", hint

    return say


def _choice(given: str, context: Mapping[str, Any], loc: Sequence[Any]) -> Words:
    return "not-a-choice", f"is {given}", f"choose {context['expected']}"


def _yes_no(given: str, context: Mapping[str, Any], loc: Sequence[Any]) -> Words:
    return "not-a-choice", f"is {given}", "choose `true` or `false`"


def _pattern(given: str, context: Mapping[str, Any], loc: Sequence[Any]) -> Words:
    if loc and loc[-1] in ("destination", "headquarters"):
        return "not-a-country", f"is `{given}`, not a country of two letters", "such as `CN`"
    return (
        "bad-name",
        f"is `{given}`; it takes lower case letters, digits, dots and dashes",
        "such as `final-run-cost`",
    )


def _long(given: str, context: Mapping[str, Any], loc: Sequence[Any]) -> Words:
    return "bad-name", f"is longer than {context['max_length']} characters", "shorten it"


_WHOLE, _NUMBER = _wrong("a whole number", "not-a-number"), _wrong("a number", "not-a-number")
KINDS: dict[str, Callable[[str, Mapping[str, Any], Sequence[Any]], Words]] = {
    "literal_error": _choice, "bool_parsing": _yes_no, "bool_type": _yes_no,
    "greater_than": _beyond("above", "gt"), "greater_than_equal": _beyond("at least", "ge"),
    "less_than": _beyond("below", "lt"), "less_than_equal": _beyond("at most", "le"),
    "int_parsing": _WHOLE, "int_type": _WHOLE, "int_from_float": _WHOLE,
    "int_parsing_size": _WHOLE, "float_parsing": _NUMBER, "float_type": _NUMBER,
    "finite_number": _wrong("a finite number", "not-a-number"), "string_type": _wrong("a text"),
    "tuple_type": _wrong("a list"), "list_type": _wrong("a list"),
    "model_type": _wrong("a mapping of keys"), "model_attributes_type": _wrong("a mapping of keys"),
    "string_pattern_mismatch": _pattern, "string_too_long": _long,
}  # fmt: skip


# the model, walked along a place ------------------------------------------------------------------


def keys(loc: Sequence[Any]) -> list[str]:
    """The keys that the part around the last word of ``loc`` takes."""
    return list(_part(loc[:-1]).model_fields)


def field(loc: Sequence[Any]) -> FieldInfo | None:
    """The field at a place, None where there is none."""
    found: FieldInfo | None = _part(loc[:-1]).model_fields.get(loc[-1]) if loc else None
    return found


def _part(loc: Sequence[Any]) -> Any:
    model: Any = Case
    for word in loc:
        if isinstance(word, int):
            continue
        info: FieldInfo | None = model.model_fields.get(word)
        model = next((m for m in _models(info.annotation if info else None)), model)
    return model


def _models(annotation: Any) -> Iterator[Any]:
    if hasattr(annotation, "model_fields"):
        yield annotation
    for inner in getattr(annotation, "__args__", ()):
        yield from _models(inner)
