"""What a step is computed from, as leaves of the ledger: chip, shape and calibration."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from typing import TYPE_CHECKING

import numpy as np

from chares.ledger import Figure, leaf
from chares.model.calibration import (
    REFERENCE_AGE,
    Calibration,
    Setting,
    load_calibration,
)
from chares.model.hardware import FACT_NAMES, Hardware, quantity_for
from chares.model.intervals import (
    GRADES,
    coordinates,
    evidence_of,
    grades,
    interval,
    labels,
)
from chares.model.parameters import parameters
from chares.model.run_library import generation_launches
from chares.model.shape import Shape, shape_of
from chares.model.wording import HABITS

if TYPE_CHECKING:
    from chares.facts import Facts
    from chares.model.strategy import Strategy

TABLE = "docs/model.md"  # where the fit is written down
PUBLISHED = "calibration/training"


def hardware_figures(facts: Facts, chip: str) -> tuple[Figure, ...]:
    """An accelerator as leaves, in the order of `Hardware`'s fields."""
    return tuple(_hardware(facts, chip, f.name) for f in fields(Hardware))


def _hardware(facts: Facts, chip: str, name: str) -> Figure:
    quantity, default = FACT_NAMES[name]
    quantity = quantity_for(quantity, facts.quantities(chip))
    if default is None or facts.has(chip, quantity):
        return facts.figure(chip, quantity)
    key = f"{chip}.{quantity}"
    value = float(facts.changed(key, default))
    note = "no record: the usual value stands in"
    return leaf(key, value, "1", kind="assumed", label=f"{chip} {quantity}", note=note)


def shape_figures(facts: Facts, model: str) -> tuple[Figure, ...]:
    """The shape of a model as leaves, in the order of `Shape`'s fields."""
    shape = shape_of(facts, model)
    block = facts.document(f"models/{model}")["shape"]
    kind, source, where = (str(block.get(k, "")) for k in ("kind", "source", "where"))
    found = []
    for f in fields(Shape):
        key = f"{model}.shape.{f.name}"
        value = float(facts.changed(key, getattr(shape, f.name)))
        found.append(leaf(key, value, "1", kind=kind, label=f.name, source=source, where=where))
    return tuple(found)


def setting_of(facts: Facts, chip: str, family: str, on: date | None = None) -> Setting:
    """What decides the calibration of a chip under a framework family, with software of a day.

    The fit belongs to the chip as it is: asking "what if its peak were higher" does not change it.
    """
    facts = facts.as_written
    tags = facts.subject(chip).tags
    launched = generation_launches(facts).get(tags.get("generation", ""))
    age = REFERENCE_AGE
    if on is not None and launched:
        age = max(0.0, on.year + (on.timetuple().tm_yday - 1) / 365.25 - launched)
    tdp, peak = (_hardware(facts, chip, name).value for name in ("tdp", "peak_16"))
    vendor, generation = tags.get("vendor", ""), tags.get("generation", "")
    return Setting(vendor, generation, family, tdp, peak, age)


def calibration_figures(
    facts: Facts, chip: str, family: str, on: date | None = None
) -> tuple[Figure, ...]:
    """The fitted parameters for a chip under a framework family, as leaves, in the order of
    `Calibration`'s fields. ``on``: the day of the software (None: two years after launch)."""
    fitted = load_calibration(facts).calibration(setting_of(facts, chip, family, on))
    table = _written(facts)
    found = []
    for f in fields(Calibration):
        key = f"calibration.{chip}.{family}.{f.name}"
        value = float(facts.changed(key, getattr(fitted, f.name)))
        found.append(leaf(key, value, "1", kind="derived", label=f.name, where=table))
    return tuple(found)


def _written(facts: Facts) -> str:
    """Where the parameters are written down: the user's own file, or the project's page."""
    file = facts.document(PUBLISHED).get("file")
    return f"own calibration {file}" if file else TABLE


def framework_for(facts: Facts, chip: str) -> str:
    """The framework family that a plan runs on, where it names none."""
    return "jax" if facts.subject(chip).tags.get("kind") == "tpu" else "megatron-core"


def habits(family: str) -> dict[str, float]:
    """Fields of a strategy that a framework family decides by itself."""
    return dict(HABITS.get(family, {}))


def error_figure(
    facts: Facts, setting: Setting, shape: Shape, strategy: Strategy
) -> tuple[Figure, str, str]:
    """Measured over predicted step time, as a leaf of value 1 with the interval of its evidence;
    the grade of the evidence, and a warning where the case lies outside the fitted runs."""
    evidence = evidence_of(facts.document(PUBLISHED))
    at = coordinates(shape, strategy, parameters(shape).total)
    (grade,), (warning,) = grades(evidence, [setting], labels([setting], shape, strategy), at)
    low, high = (float(np.max(x)) for x in interval(evidence, np.array([grade]), 1.0))
    word = GRADES[int(grade)]
    key = "calibration.error"
    return (
        leaf(
            key, float(facts.changed(key, 1.0)), "1", kind="derived",
            label="measured over predicted step time", low=low, high=high,
            where=_written(facts), note=f"{word}; from sources left out of the fit",
        ),
        word,
        warning,
    )  # fmt: skip
