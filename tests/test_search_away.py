"""What the search hands over: tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from chares.errors import InputError
from chares.facts import Facts
from chares.search import (
    Answer,
    ask,
    write_all,
    write_table,
)

# tables -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def little(facts: Facts) -> Answer:
    return ask("llama-2-7b", "a100-sxm-80gb", 8, facts, global_batch=16, seq_len=4096,
               hourly_price=1.0)  # fmt: skip


def test_tables_go_to_arrow_pandas_polars_and_duckdb(little: Answer, tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    table = little.table()
    arrow = pyarrow.table(table)
    assert arrow.num_rows == len(little.best) + len(little.pareto)
    assert {"step_time_s", "peak_memory_bytes", "cost_usd", "days"} <= set(arrow.column_names)
    polars = pytest.importorskip("polars")
    assert polars.DataFrame(table)["step_time_s"][0] == little.best[0].step_time_s
    pandas = pytest.importorskip("pandas")
    assert len(pandas.DataFrame(table.rows())) == len(table)
    write_table(table, tmp_path / "t.parquet")
    duckdb = pytest.importorskip("duckdb")
    query = f"select min(step_time_s) from '{tmp_path / 't.parquet'}'"
    assert duckdb.sql(query).fetchall()[0][0] == little.best[0].step_time_s
    assert "<table>" in table._repr_html_()
    assert "rows" in repr(table)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_the_whole_table_has_every_legal_strategy(
    little: Answer, suffix: str, tmp_path: Path
) -> None:
    polars = pytest.importorskip("polars")
    path = tmp_path / f"all.{suffix}"
    assert write_all(little, path) == little.found.legal
    read = {"parquet": polars.read_parquet, "csv": polars.read_csv, "jsonl": polars.read_ndjson}
    frame = read[suffix](path)
    assert len(frame) == little.found.legal
    assert frame["fits"].sum() == little.found.feasible
    best = frame.filter(polars.col("fits"))["step_time_s"].min()
    assert best == pytest.approx(little.best[0].step_time_s, rel=1e-12)


def test_an_unknown_ending_is_refused(little: Answer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.parquet"):
        write_all(little, tmp_path / "all.xls")
