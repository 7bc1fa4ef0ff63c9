"""Results as tables: Arrow, and by it pandas, Polars and DuckDB; units are in the column names.

pyarrow is an optional extra (``pip install 'chares[tables]'``), loaded when a table is exported.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.errors import InputError
from chares.model import RECOMPUTATIONS, SCHEDULES
from chares.search.blocks import evaluate
from chares.search.space import layouts

if TYPE_CHECKING:
    from chares.search.asking import Answer
    from chares.search.blocks import Block
    from chares.search.ranking import Ranked

SUFFIXES = (".parquet", ".csv", ".jsonl")


@dataclass(frozen=True)
class Table:
    """Columns of equal length. Any library that reads Arrow or the dataframe interchange protocol
    takes it: ``polars.DataFrame(table)``, ``pandas.DataFrame(table.columns)``,
    ``pyarrow.table(table)``, ``duckdb.from_arrow(table.arrow())``.
    """

    columns: dict[str, list[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def rows(self) -> list[dict[str, Any]]:
        """The same as rows."""
        return [
            dict(zip(self.columns, values, strict=True))
            for values in zip(*self.columns.values(), strict=True)
        ]

    def arrow(self) -> Any:
        """As a ``pyarrow.Table``. Raises `InputError` without pyarrow."""
        return _pyarrow().table(self.columns)

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        """The Arrow C stream interface (PyCapsule)."""
        return self.arrow().__arrow_c_stream__(requested_schema)

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True) -> Any:
        """The dataframe interchange protocol."""
        return self.arrow().__dataframe__(nan_as_null, allow_copy)

    def __repr__(self) -> str:
        return f"Table of {len(self)} rows: {', '.join(self.columns)}"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(c)}</th>" for c in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(_cell(v))}</td>" for v in row.values()) + "</tr>"
            for row in self.rows()[:50]
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def table_of(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A table with all columns that any row has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Table({name: [row.get(name) for row in rows] for name in names})


def flat_row(row: Ranked) -> dict[str, Any]:
    """One strategy as one row of plain values."""
    plain = {f.name: getattr(row, f.name) for f in fields(row)}
    return (
        dict(row.strategy)
        | {k: v for k, v in plain.items() if not isinstance(v, dict)}
        | {f"time_{k}_s": v for k, v in row.time_s.items()}
        | {f"memory_{k}_bytes": v for k, v in row.memory_bytes.items()}
    )


def write_table(table: Table, path: Path) -> None:
    """Write a Parquet file in one step."""
    pyarrow = _pyarrow()
    import pyarrow.parquet as parquet

    draft = path.with_name(path.name + ".part")
    parquet.write_table(pyarrow.table(table.columns), draft)
    draft.replace(path)


def write_all(answer: Answer, path: Path, told: Callable[[int], None] | None = None) -> int:
    """Write every legal strategy, fitting or not, in the order of the search; returns the rows.

    Streamed block by block: the whole is never in memory. The format is that of the suffix.
    """
    if path.suffix not in SUFFIXES:
        raise InputError(
            "unknown-format", f"`{path.name}` is no {', '.join(SUFFIXES)}", where="--all",
            hint="choose one of these endings",
        )  # fmt: skip
    draft = path.with_name(path.name + ".part")
    writer = {".parquet": _to_parquet, ".csv": _to_csv, ".jsonl": _to_jsonl}[path.suffix]
    done = 0
    write = writer(draft)
    next(write)
    for columns in all_rows(answer):
        write.send(columns)
        done += len(columns["row"])
        if told:
            told(done)
    write.close()
    draft.replace(path)
    return done


def all_rows(answer: Answer) -> Iterator[dict[str, Any]]:
    """Every legal strategy, block by block, as columns."""
    asked, space = answer.asked, answer.found.space
    table = layouts(space, asked.shape, asked.n_chips, asked.global_batch, asked.seq_len)
    for task in evaluate(asked, space, table, {}):
        yield _columns(task(), answer)


TOLD = (
    "tp", "pp", "vp", "cp", "ep", "etp", "dp", "micro_batch", "sp", "zero", "shard_group",
    "overlap_tp", "overlap_dp", "fused", "gradient_bytes", "offload_optimizer",
    "offload_activations", "offload_weights", "balance",
)  # fmt: skip


def _columns(block: Block, answer: Answer) -> dict[str, Any]:
    asked, s = answer.asked, block.strategy

    def wide(value: Any) -> Any:
        return np.broadcast_to(value, block.shape).ravel()

    columns: dict[str, Any] = {"row": block.first + np.arange(block.step_time.size)}
    columns |= {n: wide(getattr(s, n)).astype(np.int32) for n in TOLD}
    schedules, kinds = np.array(SCHEDULES), np.array(RECOMPUTATIONS)
    columns["schedule"] = schedules[wide(s.schedule).astype(int)]
    columns["recompute"] = kinds[wide(s.recompute).astype(int)]
    columns["recompute_share"] = wide(s.recompute_share)
    columns["step_time_s"] = block.step_time
    columns["peak_memory_bytes"] = block.memory
    columns["fits"] = block.memory <= asked.memory_limit
    if asked.tokens:
        columns["days"] = block.step_time * asked.steps / 86400.0
        if asked.hourly_price:
            columns["cost_usd"] = block.cost
    return columns


def _to_parquet(path: Path) -> Any:
    pyarrow = _pyarrow()
    import pyarrow.parquet as parquet

    writer = None
    try:
        while True:
            columns = yield
            table = pyarrow.table(columns)
            writer = writer or parquet.ParquetWriter(path, table.schema)
            writer.write_table(table)
    finally:
        if writer:
            writer.close()


def _to_csv(path: Path) -> Any:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        first = True
        while True:
            columns = yield
            if first:
                writer.writerow(columns)
                first = False
            writer.writerows(zip(*(c.tolist() for c in columns.values()), strict=True))


def _to_jsonl(path: Path) -> Any:
    with path.open("w", encoding="utf-8") as file:
        while True:
            columns = yield
            for values in zip(*(c.tolist() for c in columns.values()), strict=True):
                file.write(json.dumps(dict(zip(columns, values, strict=True))) + "\n")


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise InputError(
            "no-pyarrow", "Parquet and Arrow need pyarrow, which is not installed",
            hint="pip install 'chares[tables]'",
        ) from None  # fmt: skip
    return pyarrow
