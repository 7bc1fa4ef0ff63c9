"""What the search hands over: configurations, a trace, tables."""

from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from chares.errors import InputError, NoPlan
from chares.facts import Facts
from chares.search import (
    Answer,
    ask,
    launch_text,
    question_for,
    space_for,
    write_all,
    write_table,
)

OPTIONS: dict[str, Any] = json.loads(
    (Path(__file__).parent / "against" / "launch_options.json").read_text()
)
JOBS = [
    ("llama-2-70b", "h100-sxm", 64, 256),
    ("mixtral-8x7b", "h100-sxm", 64, 256),
    ("deepseek-v3", "h800-sxm", 2048, 4096),
    ("gpt3-175b", "a100-sxm-80gb", 512, 512),
]


KNOWN: dict[tuple[tuple[str, str, int, int], bool], Answer] = {}


def answer(facts: Facts, job: tuple[str, str, int, int], framework: str) -> Answer:
    """The answer for a framework; all but torchtitan have the same schedules."""
    model, chip, count, batch = job
    key = job, framework == "torchtitan"
    if key not in KNOWN:
        KNOWN[key] = ask(model, chip, count, facts, global_batch=batch, framework=framework, keep=1)
    return KNOWN[key]


@pytest.mark.parametrize("job", JOBS, ids=[j[0] for j in JOBS])
def test_megatron_arguments_are_its_own(facts: Facts, job: tuple[str, str, int, int]) -> None:
    text = launch_text(answer(facts, job, "megatron"), "megatron")
    published = OPTIONS["megatron"]
    given = dict(line.removeprefix("--").partition(" ")[::2] for line in text.splitlines())
    assert given.keys() <= {*published["options"], *published["newer"]}
    for name, choices in published["choices"].items():
        assert given.get(name, choices[0]) in choices
    ways = [int(given[f"{n}-model-parallel-size"]) for n in ("tensor", "pipeline")]
    dp = job[2] // (ways[0] * ways[1] * int(given["context-parallel-size"]))
    assert int(given["global-batch-size"]) % (dp * int(given["micro-batch-size"])) == 0


@pytest.mark.parametrize("job", JOBS, ids=[j[0] for j in JOBS])
def test_torchtitan_sections_are_its_own(facts: Facts, job: tuple[str, str, int, int]) -> None:
    found = tomllib.loads(launch_text(answer(facts, job, "torchtitan"), "torchtitan"))
    published = OPTIONS["torchtitan"]["sections"]
    for section, values in found.items():
        assert values.keys() <= set(published[section]), section
    split = found["parallelism"]
    ranks = split["data_parallel_replicate_degree"] * split["data_parallel_shard_degree"]
    ranks *= split["tensor_parallel_degree"] * split["pipeline_parallel_degree"]
    assert ranks * split["context_parallel_degree"] == job[2]


@pytest.mark.parametrize("job", JOBS, ids=[j[0] for j in JOBS])
def test_deepspeed_configuration_is_its_own(facts: Facts, job: tuple[str, str, int, int]) -> None:
    found = answer(facts, job, "deepspeed")
    told = json.loads(launch_text(found, "deepspeed"))
    published = OPTIONS["deepspeed"]
    assert told.keys() <= set(published["options"])
    for section in ("zero_optimization", "activation_checkpointing"):
        assert told.get(section, {}).keys() <= set(published[section])
    dp = found.found.best[0].strategy.dp
    micro = told["train_micro_batch_size_per_gpu"] * told["gradient_accumulation_steps"]
    assert micro * dp == told["train_batch_size"]


@pytest.mark.parametrize("job", JOBS, ids=[j[0] for j in JOBS])
def test_maxtext_keys_are_its_own(facts: Facts, job: tuple[str, str, int, int]) -> None:
    found = yaml.safe_load(launch_text(answer(facts, job, "maxtext"), "maxtext"))
    published = OPTIONS["maxtext"]
    assert found.keys() <= set(published["options"])
    assert found["remat_policy"] in published["choices"]["remat_policy"]
    assert found["per_device_batch_size"] * job[2] == pytest.approx(job[3])


def test_a_schedule_that_a_framework_lacks_is_refused(facts: Facts) -> None:
    space = replace(space_for(question_for("llama-2-70b", "h100-sxm", 64, facts).asked),
                    schedule=(2,), pp=(4,))  # fmt: skip
    found = ask("llama-2-70b", "h100-sxm", 64, facts, space=space, keep=1)
    assert found.best[0].strategy["schedule"] == "zbv"
    with pytest.raises(NoPlan, match="no schedule zbv"):
        launch_text(found, "megatron")


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
