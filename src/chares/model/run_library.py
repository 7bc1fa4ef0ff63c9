"""What rows of runs name and facts know: accelerators, models, launches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING

from chares.errors import CharesError
from chares.model.cells import CannotPredictError
from chares.model.hardware import Hardware, hardware_of
from chares.model.naming import shape_named
from chares.model.shape import Shape

if TYPE_CHECKING:
    from chares.facts import Facts


class Library:
    """Chips and models of one set of facts, remembered by the words that rows have for them."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.chips: dict[str, tuple[Hardware, str, str, float] | str] = {}
        self.models = _known_models(facts)
        self.names: dict[tuple[str, str], Mapping[str, float]] = {}
        self.launches = generation_launches(facts)

    def chip(self, label: str) -> tuple[Hardware, str, str, float]:
        """The accelerator of this label, its vendor, its generation and the year of its launch."""
        if label not in self.chips:
            try:
                id_ = self.facts.resolve("chips", label)
                tags = self.facts.subject(id_).tags
                self.chips[label] = (
                    hardware_of(self.facts, id_), tags.get("vendor", ""),
                    tags.get("generation", ""),
                    self.launches.get(tags.get("generation", ""), 0.0),
                )  # fmt: skip
            except CharesError as bad:
                self.chips[label] = f"accelerator `{label}`: {bad.message}"
        found = self.chips[label]
        if isinstance(found, str):
            raise CannotPredictError(found)
        return found

    def named(self, row: Mapping[str, str]) -> Mapping[str, float]:
        """The shape on record under the row's model name; empty where no record has it."""
        key = row.get("model_name") or "", row.get("params_B") or ""
        if key not in self.names:
            try:
                size = float(key[1]) * 1e9 or None
            except ValueError:
                size = None
            self.names[key] = (shape_named(self.facts, key[0], size) if key[0] else None) or {}
        return self.names[key]


def _known_models(facts: Facts) -> dict[tuple[int, int, int], dict[str, float]]:
    """Shapes on record by (layers, width, experts), for what a row's columns cannot say."""
    names = {f.name for f in fields(Shape)}
    found = {}
    for id_ in facts.ids("models"):
        shape = facts.document(id_).get("shape", {})
        kept = {k: float(v) for k, v in shape.items() if k in names}
        if "n_layers" in kept:
            key = (kept["n_layers"], kept["d_model"], kept.get("n_experts", 0.0))
            found[int(key[0]), int(key[1]), int(key[2])] = kept
    return found


def generation_launches(facts: Facts) -> dict[str, float]:
    """The year, with its fraction, in which the first chip of each generation was launched."""
    found: dict[str, float] = {}
    for chip in facts.ids("chips"):
        if facts.has(chip, "launch"):
            day = facts.get(chip, "launch").day
            year = day.year + day.timetuple().tm_yday / 366.0
            generation = facts.subject(chip).tags.get("generation", "")
            found[generation] = min(year, found.get(generation, year))
    return found
