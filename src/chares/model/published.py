"""Rows of published runs -> arrays that the model reads; what was inferred is said for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.model.calibration import Setting
from chares.model.cells import CannotPredictError, checked
from chares.model.cells import read_rows as read_rows
from chares.model.hardware import Hardware
from chares.model.row_reading import RowReader
from chares.model.run_library import Library
from chares.model.shape import Shape
from chares.model.strategy import Strategy

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.facts import Facts

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Runs:
    """Published runs as arrays; ``index`` is the input row of each row here."""

    ids: list[str]
    shape: Shape
    strategy: Strategy
    hardware: Hardware
    settings: list[Setting]
    source: list[str]
    inferred: list[tuple[str, ...]]
    errors: list[str]  # one per input row, empty where it is predicted
    index: NDArray[np.intp]  # input row of each row here


def prepare(rows: Sequence[Row], facts: Facts) -> Runs:
    """Read every row; one that cannot be predicted leaves its reason in ``errors``."""
    library = Library(facts)
    errors, index, taken = [], [], []
    for i, row in enumerate(rows):
        try:
            taken.append(RowReader(library, checked(row)).all())
            index.append(i)
            errors.append("")
        except CannotPredictError as bad:
            errors.append(bad.reason)
    columns = [dict(t[0]) for t in taken]
    return Runs(
        [str(rows[i].get("id", i)) for i in index],
        _gather(Shape, columns),
        _gather(Strategy, columns),
        _gather(Hardware, columns),
        [t[1] for t in taken],
        [rows[i].get("source_key") or rows[i].get("source_title", "") for i in index],
        [t[2] for t in taken],
        errors,
        np.array(index, dtype=np.intp),
    )


def _gather(kind: type[Any], columns: Sequence[Mapping[str, float]]) -> Any:
    names = [f.name for f in fields(kind)]
    default: dict[str, Any] = {f.name: f.default for f in fields(kind)}
    return kind(**{n: np.array([float(c.get(n, default[n])) for c in columns]) for n in names})
