"""Many searches: models x chips x counts x lengths x batches x days, as one Parquet file.

Rows have a fixed order and are written in parts of fixed ranges, each renamed into place when it is
whole; so a sweep that is killed at any moment goes on where it was, and no row is lost or written
twice. The parts are joined at the end. One machine by default (a process for each core), or a Ray
cluster (``pip install 'chares[ray]'``).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from chares import units
from chares.errors import CharesError, InputError, did_you_mean, raise_all, shorten
from chares.facts import load
from chares.model import PRECISIONS
from chares.search.asking import question_for, space_for
from chares.search.exploring import UNFIT, explore
from chares.search.ranking import ranked
from chares.search.scaling import lean
from chares.search.tables import flat_row, table_of, write_table
from chares.search.trusting import beside, trust

AXES = ("model", "chip", "count", "seq_len", "global_batch", "day")
OTHERS = ("precision", "tokens")
PART = 16  # rows in a part
FORM = 2  # of a row: parts with other columns are not joined with these
KNOCKS = 5  # attempts to join a cluster that listens


@dataclass(frozen=True)
class Sweep:
    """Values by axis; the rows are their product, the last axis fastest."""

    axes: dict[str, tuple[Any, ...]]
    precision: str = "bf16"
    tokens: float | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Sweep:
        """From the plain data of a sweep file. Raises `InputError` for what it cannot use."""
        found: list[CharesError] = []
        for key in document.keys() - {*AXES, *OTHERS}:
            hint = did_you_mean(str(key), (*AXES, *OTHERS))
            found.append(_bad(f"`{shorten(key)}` is not a key of a sweep", hint))
        for name in ("model", "chip", "count"):
            if document.get(name) is None:
                found.append(_bad(f"`{name}` is missing", f"give `{name}: {LIMITS[name][0]}`"))
        raise_all(found)
        axes = {name: _axis(name, document.get(name)) for name in AXES}
        precision, tokens = document.get("precision", "bf16"), document.get("tokens")
        if precision not in PRECISIONS:
            raise _bad(f"`precision` is {shorten(precision)}", "one of " + ", ".join(PRECISIONS))
        try:
            bare = isinstance(tokens, (int, float)) and not isinstance(tokens, bool)
            tokens = units.parse(f"{tokens} token" if bare else tokens, "token") if tokens else None
        except CharesError as bad:
            raise _bad(f"`tokens`: {bad.message}", bad.hint) from None
        return cls(axes, precision, tokens)

    def rows(self) -> list[dict[str, Any]]:
        """What each row asks, in order."""
        names = list(self.axes)
        return [
            dict(zip(names, values, strict=True)) | {"row": i}
            for i, values in enumerate(product(*self.axes.values()))
        ]

    @property
    def key(self) -> str:
        """A hash of everything that decides the rows, facts included."""
        told = [self.axes, self.precision, self.tokens, PART, FORM, load().hash]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


# of each axis: an example, and the least and the most of a number
LIMITS: dict[str, tuple[str, int, int]] = {
    "model": ("[llama-3-70b]", 0, 0), "chip": ("[h100-sxm]", 0, 0), "day": ("[2025-06-01]", 0, 0),
    "count": ("[1024, 2048]", 1, 10**7), "seq_len": ("[4096, 8192]", 16, 10**8),
    "global_batch": ("[1024]", 1, 10**8),
}  # fmt: skip


def _bad(message: str, hint: str) -> InputError:
    return InputError("bad-sweep", message, hint=hint)


def _axis(name: str, value: Any) -> tuple[Any, ...]:
    """The values of one axis: names, whole numbers within their limits, or days as text."""
    values = tuple(value) if isinstance(value, list) else (value,)
    if not values:
        raise _bad(f"`{name}` is empty", f"give `{name}: {LIMITS[name][0]}`")
    return tuple(_entry(name, v) for v in values)


def _entry(name: str, value: Any) -> Any:
    example, least, most = LIMITS[name]
    numbers = ""
    if value is None and name in ("seq_len", "global_batch", "day"):
        return None  # chosen to suit
    if name == "day":
        try:
            return date.fromisoformat(str(value)).isoformat()
        except ValueError:
            pass
    elif most:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if whole and least <= value <= most:
            return value
        numbers = f", whole numbers from {least:,} to {most:,}"
    elif isinstance(value, str) and value.strip():
        return value
    raise _bad(f"`{name}` is {shorten(value)}", f"such as `{name}: {example}`{numbers}")


Price = Callable[[str, str | None], float | None]  # USD per chip and hour, by chip and day


def sweep(
    plan: Sweep,
    out: Path,
    price: Price,
    engine: str = "local",
    workers: int | None = None,
    told: Callable[[int, int], None] | None = None,
) -> int:
    """Run a sweep into a Parquet file and return its rows. What is there already is not run again.

    ``told`` is called with the rows done and all rows. Raises `InputError` where the parts beside
    ``out`` belong to another sweep.
    """
    asked = plan.rows()
    for row in asked:
        row["price"] = price(row["chip"], row["day"])
    folder = out.with_name(out.name + ".parts")
    _claim(folder, plan.key)
    parts = [asked[i : i + PART] for i in range(0, len(asked), PART)]
    missing = [i for i in range(len(parts)) if not _path(folder, i).exists()]
    done = sum(len(parts[i]) for i in range(len(parts)) if i not in set(missing))
    tasks = [(parts[i], plan.precision, plan.tokens, str(_path(folder, i))) for i in missing]
    for number in _run(tasks, engine, workers):
        done += number
        if told:
            told(done, len(asked))
    _join([_path(folder, i) for i in range(len(parts))], out)
    shutil.rmtree(folder)
    return len(asked)


def _claim(folder: Path, key: str) -> None:
    folder.mkdir(exist_ok=True, parents=True)
    mark = folder / "sweep"
    if not mark.exists():
        draft = folder / "sweep.part"
        draft.write_text(key)
        draft.replace(mark)
    if mark.read_text() != key:
        raise InputError(
            "another-sweep", f"{folder} holds parts of another sweep, or of other facts",
            hint="take another --out, or remove the folder",
        )  # fmt: skip
    for draft in folder.glob("*.parquet.part*"):
        draft.unlink()


def _path(folder: Path, part: int) -> Path:
    return folder / f"{part:06d}.parquet"


Task = tuple[list[dict[str, Any]], str, "float | None", str]


def _run(tasks: Sequence[Task], engine: str, workers: int | None) -> Iterator[int]:
    """Rows of each part as it is done, in any order."""
    if engine.startswith("ray"):
        yield from _on_ray(tasks, engine)
    elif (workers or os.cpu_count() or 1) == 1 or len(tasks) < 2:
        yield from map(run_part, tasks)
    else:
        from concurrent.futures import as_completed
        from multiprocessing import get_context

        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for future in as_completed([pool.submit(run_part, t) for t in tasks]):
                yield future.result()


def _on_ray(tasks: Sequence[Task], engine: str) -> Iterator[int]:
    """On a Ray cluster (``ray://host:port``, or ``ray`` for a local one); a task whose worker dies
    runs again. Parts come back as rows and are written here."""
    try:
        import ray
    except ImportError:
        raise InputError(
            "no-ray", "this engine needs Ray, which is not installed",
            hint="pip install 'chares[ray]'",
        ) from None  # fmt: skip
    if not ray.is_initialized():
        _join_cluster(ray.init, engine)
    work = ray.remote(max_retries=8)(compute_part)
    waiting = {work.remote(task): task for task in tasks}
    while waiting:
        (ready, *_), _ = ray.wait(list(waiting), num_returns=1)
        task = waiting.pop(ready)
        yield _write(ray.get(ready), task[3])


def _join_cluster(init: Callable[..., Any], engine: str) -> None:
    """Raises `InputError` where no cluster answers (Ray itself knocks for half a minute)."""
    if not engine.startswith("ray://"):
        init(log_to_driver=False)
        return
    try:
        place = urlsplit(engine)
        socket.create_connection((place.hostname or "", place.port or 10001), 10.0).close()
        _knock(init, engine)
    except (OSError, ValueError) as bad:
        raise InputError(
            "no-cluster", f"no Ray cluster answers at `{engine}`: {bad}",
            hint="as in ray://10.0.0.1:10001; RAY_AUTH_MODE=token where it asks for a token",
        ) from None  # fmt: skip


def compute_part(task: Task) -> list[dict[str, Any]]:
    """The rows of a part."""
    asked, precision, tokens, _ = task
    return [_row(row, precision, tokens) for row in asked]


def run_part(task: Task) -> int:
    """Compute a part and put it into place; returns its rows."""
    return _write(compute_part(task), task[3])


def _write(rows: list[dict[str, Any]], path: str) -> int:
    write_table(table_of([{"row": r["row"], "cells": json.dumps(r)} for r in rows]), Path(path))
    return len(rows)


def _row(asked: Mapping[str, Any], precision: str, tokens: float | None) -> dict[str, Any]:
    """The best strategy for one row; a row that cannot be searched says why in ``error``."""
    facts = load()
    told = {n: asked[n] for n in ("row", *AXES)}
    try:
        question = question_for(
            asked["model"], asked["chip"], asked["count"], facts, tokens=tokens,
            seq_len=asked["seq_len"], global_batch=asked["global_batch"], precision=precision,
            hourly_price=asked["price"],
            on=date.fromisoformat(asked["day"]) if asked["day"] else None,
        )  # fmt: skip
    except CharesError as bad:
        return told | {"error": f"{bad.code}: {bad.message}"}
    job = question.asked
    found = explore(job, lean(space_for(job)), keep=1)
    best = ranked(job, found.best)
    told |= {"seq_len": job.seq_len, "global_batch": job.global_batch, "legal": found.legal,
             "feasible": found.feasible, "error": None}  # fmt: skip
    if not best:
        reason = UNFIT if found.legal else next(iter(found.rejected), "nothing is legal")
        return told | {"error": reason}
    first = best[0]
    trusted = trust(question, found.best[0].strategy, first.step_time_s)
    return told | flat_row(first) | beside(trusted, first.days, first.cost_usd)


def _join(parts: Sequence[Path], out: Path) -> None:
    """All parts as one file, in the order of the rows."""
    import pyarrow.parquet as parquet

    rows: list[dict[str, Any]] = []
    for part in parts:
        rows += [json.loads(cells) for cells in parquet.read_table(part)["cells"].to_pylist()]
    assert [r["row"] for r in rows] == list(range(len(rows)))
    write_table(table_of(rows), out)


def _knock(init: Callable[..., Any], engine: str) -> None:
    """Join; a cluster that listens may still fail to start its side at the first attempts."""
    for left in reversed(range(KNOCKS)):
        try:
            init(address=engine, log_to_driver=False)
            return
        except ConnectionError:
            if not left:
                raise
            time.sleep(1.0)
