"""A user's own measured steps adjust the published parameters: ``chares calibrate``.

Few parameters move, each by one shift for each generation of chip that was measured, on the scale
on which effects add. The shifts are the maximum a posteriori under priors around the published
values that are narrow and have long tails (Gauss-Newton on the linearised model): most clusters are
what the model says, so few rows move them little; one that is not is followed by the rows that say
so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.errors import CharesError, InputError, raise_all
from chares.model.calibration import Table, table_of, to_value
from chares.model.intervals import coordinates, evidence_of, labels
from chares.model.parameters import parameters
from chares.model.predictions import CALIBRATION
from chares.model.published import Runs, prepare
from chares.model.stepping import predict
from chares.model.validation import measured_step_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.facts import Facts

    Array = NDArray[np.float64]

Row = Mapping[str, str]

#: what may move -> (prior spread of its shift on the free scale, parameters that shift together).
#: Less than the published fit allows whole generations and families (three eighths for most): with
#: a source left out of the fit, its other runs were then predicted best from 1, 3 and 10 of them.
ADJUSTED: dict[str, tuple[float, tuple[str, ...]]] = {
    "gemm": (0.12, ("gemm", "gemm_8", "gemm_4")),
    "attention": (0.15, ("attention",)),
    "memory": (0.09, ("memory",)),
    "up": (0.12, ("up",)),
    "out": (0.12, ("out",)),
    "overlap_dp": (0.24, ("overlap_dp",)),
    "host": (0.24, ("host",)),
    "step": (0.24, ("step",)),
    "straggler": (0.24, ("straggler",)),
}
MODEL_SPREAD = 0.07  # of the logarithm of a step time about the model, one configuration
REPEAT_SPREAD = 0.02  # of repeats of one configuration about each other
SMALL = 1e-3  # step of the finite differences, free scale
ENOUGH = 3  # runs of one kind that count as measured nearby
FOLDS = 10  # at most, for the error on runs left out
#: what makes two rows repeats of one configuration: everything but these
LABELS = ("id", "source_title", "source_ref", "published", "notes", "group", "source_key")


@dataclass(frozen=True, slots=True)
class Shift:
    """One parameter of one generation: published and own value (of the common effects)."""

    parameter: str
    generation: str
    published: float
    own: float


@dataclass(frozen=True, slots=True)
class OwnFit:
    """What a user's runs say. ``document`` is the calibration record that holds it.

    Errors are medians of |predicted / measured - 1|; ``error_left_out`` predicts each
    configuration from the others (None with a single one).
    """

    document: dict[str, Any]
    shifts: tuple[Shift, ...]
    rows: int
    configurations: int
    error_before: float
    error_after: float
    error_left_out: float | None
    unused: dict[str, int]  # reason -> rows


def fit_own_runs(
    rows: Sequence[Row], facts: Facts, document: Mapping[str, Any] | None = None, where: str = ""
) -> OwnFit:
    """Adjust the published parameters to measured rows (``measured_step_time_s`` or tokens/s).

    Raises `InputError` or `InputErrors` (``no-usable-row``) where no row can be used, with the
    reason of each. ``where`` is the file, for messages.
    """
    document = document or facts.document(CALIBRATION)
    measured = np.array([measured_step_time(r) for r in rows])
    good = [i for i, m in enumerate(measured.tolist()) if np.isfinite(m) and m > 0.0]
    runs = prepare([rows[i] for i in good], facts)
    unused = Counter(e for e in runs.errors if e)
    if len(good) < len(rows):
        unused["no measured step time or tokens/s"] = len(rows) - len(good)
    if not len(runs.index):
        raise_all(list(_reasons(rows, good, runs.errors, where)))
    used = [good[i] for i in runs.index.tolist()]
    return _fitted(runs, np.log(measured[used]), [rows[i] for i in used], document, dict(unused))


def _reasons(
    rows: Sequence[Row], good: Sequence[int], errors: Sequence[str], where: str
) -> list[CharesError]:
    why = dict(zip(good, errors, strict=True))
    none = "no `measured_step_time_s` and no `measured_tokens_per_s_per_accel`"
    return [
        InputError("no-usable-row", why.get(i) or none, where=f"{where}, row {i + 1}")
        for i in range(min(len(rows), 50))
    ]


def _fitted(
    runs: Runs, log_measured: Array, rows: Sequence[Row], document: Mapping[str, Any],
    unused: dict[str, int],
) -> OwnFit:  # fmt: skip
    published = table_of(document)
    keys = [
        (name, generation)
        for generation in dict.fromkeys(s.generation for s in runs.settings)
        for name in ADJUSTED
    ]
    spread = np.array([ADJUSTED[name][0] for name, _ in keys])

    def log_time(x: Array) -> Array:
        table = shifted(published, dict(zip(keys, x.tolist(), strict=True)))
        step = predict(runs.shape, runs.strategy, runs.hardware, table.rows(runs.settings))
        seconds: Array = np.broadcast_to(step.step_time_s, log_measured.shape)
        logarithm: Array = np.log(seconds)
        return logarithm

    kind = _configurations(rows)
    repeats: Array = np.bincount(kind)[kind].astype(np.float64)
    weight = 1.0 / (repeats * MODEL_SPREAD**2 + REPEAT_SPREAD**2)
    x = gauss_newton(log_time, log_measured, weight, spread)
    found = {k: float(v) for k, v in zip(keys, x, strict=True)}
    own = shifted(published, found)
    shifts = tuple(_shift(published, own, name, g) for name, g in keys)
    errors = (
        _median_error(log_time(np.zeros(len(keys))), log_measured),
        _median_error(log_time(x), log_measured),
        _left_out(log_time, log_measured, weight, spread, kind),
    )
    return OwnFit(
        _record(document, found, runs, errors, len(rows)),
        shifts, len(rows), int(kind.max()) + 1, errors[0], errors[1], errors[2], unused,
    )  # fmt: skip


def shifted(table: Table, shifts: Mapping[tuple[str, str], float]) -> Table:
    """The table with shifts of (parameter, generation) added on the free scale."""
    effects = {n: {level: dict(v) for level, v in e.items()} for n, e in table.effects.items()}
    for (name, generation), value in shifts.items():
        for together in ADJUSTED[name][1]:
            of = effects.setdefault(together, {}).setdefault("generation", {})
            of[generation] = of.get(generation, 0.0) + value
    return Table(table.base, effects, table.watts)


def gauss_newton(
    log_time: Callable[[Array], Array], log_measured: Array, weight: Array, spread: Array
) -> Array:
    """The shifts that minimise sum(rho(weight residual^2)) + sum(rho((shift / spread)^2)).

    ``rho(z) = 2 (sqrt(1 + z) - 1)`` is quadratic near zero and linear far off (reweighted each
    step): one bad row does not carry the fit, and a parameter that is far off may go there.
    """
    x = np.zeros(len(spread))
    damping = 1e-3
    at = log_time(x)
    best = _loss(at - log_measured, x, weight, spread)
    for _ in range(25):
        columns = [(log_time(x + SMALL * e) - at) / SMALL for e in np.eye(len(x))]
        jacobian = np.stack(columns, axis=1)
        residual = log_measured - at
        robust = weight / np.sqrt(1.0 + residual**2 * weight)
        held = 1.0 / (spread**2 * np.sqrt(1.0 + (x / spread) ** 2))
        a = jacobian.T @ (robust[:, None] * jacobian) + np.diag((1.0 + damping) * held)
        step = np.linalg.solve(a, jacobian.T @ (robust * residual) - held * x)
        trial = x + np.clip(step, -1.0, 1.0)
        then = log_time(trial)
        loss = _loss(then - log_measured, trial, weight, spread)
        if loss > best:
            damping *= 30.0
            if damping > 1e9:
                break
            continue
        small = best - loss < 1e-7 * best + 1e-12
        x, at, best, damping = trial, then, loss, damping / 5.0
        if small:
            break
    return x


def _loss(residual: Array, x: Array, weight: Array, spread: Array) -> float:
    squares = np.concatenate([residual**2 * weight, (x / spread) ** 2])
    return float(np.sum(2.0 * (np.sqrt(1.0 + squares) - 1.0)))


def _median_error(log_predicted: Array, log_measured: Array) -> float:
    return float(np.median(np.abs(np.exp(log_predicted - log_measured) - 1.0)))


def _left_out(
    log_time: Callable[[Array], Array], log_measured: Array, weight: Array, spread: Array,
    kind: NDArray[np.intp],
) -> float | None:  # fmt: skip
    """Median error of configurations predicted by a fit to the others (at most `FOLDS` fits)."""
    count = int(kind.max()) + 1
    if count < 2:
        return None
    fold = kind % min(count, FOLDS)
    predicted = np.empty(len(log_measured))
    for f in range(int(fold.max()) + 1):
        out = fold == f
        x = gauss_newton(log_time, log_measured, weight * ~out, spread)
        predicted[out] = log_time(x)[out]
    return _median_error(predicted, log_measured)


def _configurations(rows: Sequence[Row]) -> NDArray[np.intp]:
    """The number of each row's configuration; repeats of a run share it."""
    known: dict[tuple[str, ...], int] = {}
    found = []
    for row in rows:
        parts = (
            v for k, v in row.items() if k not in LABELS and not k.startswith(("measured", "deriv"))
        )
        found.append(known.setdefault(tuple(parts), len(known)))
    return np.array(found, dtype=np.intp)


def _shift(published: Table, own: Table, name: str, generation: str) -> Shift:
    values = []
    for table in (published, own):
        effect = table.effects.get(name, {}).get("generation", {}).get(generation, 0.0)
        values.append(float(to_value(name, np.float64(table.base[name] + effect))))
    return Shift(name, generation, *values)


def _record(
    document: Mapping[str, Any], shifts: Mapping[tuple[str, str], float], runs: Runs,
    errors: tuple[float, float, float | None], rows: int,
) -> dict[str, Any]:  # fmt: skip
    """The published record with the shifts in it, and the own runs among its evidence."""
    found: dict[str, Any] = deepcopy(
        {k: document[k] for k in ("reference_watts", "parameters", "evidence")}
    )
    for (name, generation), value in shifts.items():
        for together in ADJUSTED[name][1]:
            of = found["parameters"][together].setdefault("generation", {})
            of[generation] = round(float(of.get(generation, 0.0)) + value, 5)
    evidence = evidence_of(document)
    names = Counter(labels(runs.settings, runs.shape, runs.strategy))
    near = evidence.near | {n for n, k in names.items() if k >= ENOUGH}
    seen = evidence.seen | {x for s in runs.settings for x in (s.generation, s.family) if x}
    at = coordinates(runs.shape, runs.strategy, parameters(runs.shape).total)
    ranges = {
        k: [
            min(evidence.ranges[k][0], np.min(v).item()),
            max(evidence.ranges[k][1], np.max(v).item()),
        ]
        for k, v in at.items()
    }
    found["evidence"] |= {"near": sorted(near), "seen": sorted(seen), "ranges": ranges}
    before, after, left_out = errors
    found["own"] = {
        "rows": rows,
        "generations": sorted({g for _, g in shifts}),
        "error_before": round(before, 5),
        "error_after": round(after, 5),
        "error_left_out": None if left_out is None else round(left_out, 5),
    }
    return found
