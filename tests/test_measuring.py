"""``chares predict``, ``validate`` and ``calibrate``: tables in, tables out, what is refused."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from copy import deepcopy
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from chares.errors import CharesError
from chares.faces.cli import main
from chares.facts import Facts, load
from chares.model import fit_own_runs, prediction_table, read_rows, record_text, with_calibration
from chares.model.cells import AMOUNTS, COUNTS, FLAGS
from chares.model.own_runs import gauss_newton
from chares.model.predictions import CALIBRATION
from test_validating import RUN

COLUMNS = (
    "id predicted_step_time_s step_time_low_s step_time_high_s predicted_tokens_per_s_per_accel"
    " predicted_tflops_per_accel predicted_mfu predicted_peak_mem_GB fits bottleneck error"
).split()
MOE = RUN | {
    "id": "b", "accelerator": "H800", "n_accel": "2048", "n_layers": "61", "d_model": "7168",
    "n_heads": "128", "d_head": "128", "d_ff": "18432", "vocab": "129280", "gated_ffn": "1",
    "n_experts": "256", "top_k": "8", "d_expert": "2048", "n_shared_experts": "1",
    "n_dense_layers": "3", "attention": "mla", "tp": "1", "pp": "16", "ep": "64",
    "global_batch": "15360", "precision": "fp8 block",
}  # fmt: skip
TPU = {
    "id": "c", "framework": "MaxText", "accelerator": "TPU v5p", "n_accel": "512",
    "n_layers": "80", "d_model": "8192", "n_heads": "64", "n_kv_heads": "8",
}  # fmt: skip
FACTS = load()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command in this process; gives (exit code, stdout, stderr)."""

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as stop:
            main([str(w) for w in words])
        out = capsys.readouterr()
        return int(stop.value.code or 0), out.out, out.err

    return call


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "runs.csv", [RUN, MOE | {"tp": "4096"}, TPU, MOE])


# predict ----------------------------------------------------------------------------------------


def test_predict_writes_one_row_for_each_in_order(run: Any, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    code, text, said = run("predict", table, "--out", out)
    assert (code, text) == (0, "")
    assert "predicted 3 of 4 rows" in said
    with out.open(newline="") as file:
        found = list(csv.DictReader(file))
    assert set(found[0]) >= set(COLUMNS)
    assert [r["id"] for r in found] == ["a", "b", "c", "b"]
    good = found[0]
    low, middle, high = (
        float(good[k]) for k in ("step_time_low_s", "predicted_step_time_s", "step_time_high_s")
    )
    assert 0 < low < middle < high
    assert good["fits"] in ("true", "false")
    tokens = 512 * 4096 / middle / 64
    assert float(good["predicted_tokens_per_s_per_accel"]) == pytest.approx(tokens, rel=1e-5)
    assert good["grade"]
    assert "recompute" in found[2]["inferred"]
    bad = found[1]
    assert bad["error"] == "tp x pp x cp = 65536 exceeds 2048 accelerators"
    assert not [k for k, v in bad.items() if v and k not in ("id", "error")]


def test_predict_prints_csv_or_json(run: Any, table: Path) -> None:
    _, text, _ = run("predict", table)
    assert text.splitlines()[0].startswith(",".join(COLUMNS))
    _, text, _ = run("predict", table, "--json")
    found = json.loads(text)
    assert found["schema_version"]
    assert len(found["facts_hash"]) == 16
    assert [p["id"] for p in found["predictions"]] == ["a", "b", "c", "b"]
    assert set(found["predictions"][1]) == {"id", "error"}


def test_predict_never_reads_what_was_measured(run: Any, table: Path, tmp_path: Path) -> None:
    columns = (
        "measured_step_time_s measured_tokens_per_s_per_accel measured_tflops_per_accel"
        " measured_mfu peak_mem_GB derived_step_time_s gold params_B"
    )
    measured = dict.fromkeys(columns.split(), "1")
    other = write(tmp_path / "other.csv", [r | measured for r in read_rows(table)])
    assert run("predict", table)[1] == run("predict", other)[1]


def test_a_row_of_its_own_predicts_as_among_others() -> None:
    together = prediction_table([RUN, MOE, TPU], FACTS)
    for row, found in zip([RUN, MOE, TPU], together, strict=True):
        alone = prediction_table([row], FACTS)[0]
        for name, value in found.items():
            same = pytest.approx(value, rel=1e-12) if isinstance(value, float) else value
            assert alone[name] == same, name


def test_what_was_inferred_is_said() -> None:
    (found,) = prediction_table([TPU], FACTS)
    for name in ("seq_len", "global_batch", "vocab"):
        assert name in found["inferred"].split()
    (word,) = prediction_table([RUN | {"vocab": "many"}], FACTS)
    assert "vocab" in word["inferred"].split()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"accelerator": "H1000"}, "H1000"),
        ({"accelerator": ""}, "accelerator"),
        ({"n_layers": ""}, "`n_layers` is needed"),
        ({"n_layers": "forty"}, "`n_layers` is needed"),
        ({"d_model": "-1"}, "`d_model` is `-1`"),
        ({"n_accel": "nan"}, "`n_accel` is `nan`"),
        ({"n_heads": "0"}, "`n_heads` is `0`"),
        ({"tp": "1.5"}, "whole number"),
        ({"seq_len": "1e400"}, "`seq_len`"),
        ({"micro_batch": "0"}, "above 0"),
        ({"n_kv_heads": "80"}, "more than `n_heads`"),
        ({"pp": "64"}, "more stages than 40 layers"),
        ({"tp": "64", "pp": "2"}, "exceeds 64 accelerators"),
        ({"sp": "7"}, "`sp` is `7`"),
    ],
)
def test_a_row_that_cannot_be_predicted_says_why(change: dict[str, str], reason: str) -> None:
    found = prediction_table([RUN | change, RUN], FACTS)
    assert set(found[0]) == {"id", "error"}
    assert reason in found[0]["error"]
    assert found[1]["error"] == ""


NUMERIC = sorted(COUNTS | AMOUNTS | FLAGS | {"micro_batch"})
WORDS = sorted(set(RUN) | set(TPU) | {"overlap_notes", "zero_stage_or_fsdp", "interconnect"})
ODD = st.sampled_from(
    ["", "0", "-1", "nan", "-inf", "1e400", "1e12", "1e-9", "0.5", "3", "7", "1e6", "x", "1,024"]
)
ODD_WORDS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["zero 9", "fsdp over 0 chips", "full 0 of 0 layers", "0 x 0 gb/s", "across 0 slices",
         "group 99999999999999999999", "fp4", "mla", "9999-99", "v29.99.9", "1gb/s per gpu"]
    ),
)  # fmt: skip


@given(
    st.sampled_from([RUN, MOE, TPU]),
    st.dictionaries(st.sampled_from(NUMERIC), ODD, max_size=4),
    st.dictionaries(st.sampled_from([w for w in WORDS if w not in NUMERIC]), ODD_WORDS, max_size=2),
)
def test_mutilated_rows_get_an_answer_or_a_reason(
    row: dict[str, str], numbers: dict[str, str], words: dict[str, str]
) -> None:
    """Never a traceback, a NaN or a zero."""
    (found,) = prediction_table([row | numbers | words], FACTS)
    if found["error"]:
        assert set(found) == {"id", "error"}
    else:
        values = [v for v in found.values() if isinstance(v, float)]
        assert len(values) == 7
        assert all(0.0 < v < math.inf for v in values)
        assert found["step_time_low_s"] <= found["predicted_step_time_s"]
        assert found["predicted_step_time_s"] <= found["step_time_high_s"]


def test_a_name_stands_for_a_shape(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "named.csv"
    path.write_text("accelerator,n_accel,model_name\nH100,64,Llama 3 8B\nH100,64,Nobody's 8B\n")
    code, out, _ = run("predict", path)
    first, second = csv.DictReader(StringIO(out))
    assert code == 0
    assert {"n_layers", "d_model", "n_heads"} <= set(first["inferred"].split())
    (columns,) = prediction_table(
        [
            {"accelerator": "H100", "n_accel": "64", "n_layers": "32", "d_model": "4096",
             "n_heads": "32", "n_kv_heads": "8", "d_ff": "14336", "vocab": "128256"}
        ], FACTS,
    )  # fmt: skip
    seconds = columns["predicted_step_time_s"]
    assert float(first["predicted_step_time_s"]) == pytest.approx(seconds, rel=1e-4)
    assert second["error"].startswith("no shape of `Nobody's 8B` is on record; give `n_layers`")


def test_experts_are_spread_until_their_state_fits() -> None:
    row = {"accelerator": "H800", "framework": "Megatron-LM", "n_accel": "512", "tp": "1",
           "pp": "8", "model_name": "DeepSeek-V3", "global_batch": "4096"}  # fmt: skip
    unsaid, eight, sixteen = prediction_table([row, row | {"ep": "8"}, row | {"ep": "16"}], FACTS)
    # 58 layers of 256 experts, 3 x 7168 x 2048 each, in 8 stages: 82 billion parameters, of which
    # 60 % of 80 GB hold 6.4 billion with their state
    assert unsaid["predicted_step_time_s"] == sixteen["predicted_step_time_s"]
    assert unsaid["predicted_step_time_s"] != eight["predicted_step_time_s"]
    assert "ep" in unsaid["inferred"].split()


# bad tables -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (b"", "empty-table", "bad.csv:1"),
        (b"a,b\n", "missing-column", "bad.csv:1"),
        (b"accelerator,n_accel,n_layers,d_model,n_heads\n", "empty-table", "bad.csv:2"),
        (b"accelerator,n_accel,n_layers,d_model,n_heads\nH100,1,2,3,4,5\n", "too-many-cells",
         "bad.csv:2, column 6"),
        (b"accelerator,n_accel,n_layers,d_model,n_heads,tp,tp\nx,1,1,1,1,1,1\n",
         "duplicate-column", "bad.csv:1, column 7"),
        (b"accelerator,n_accel\n\xff\xfe,1\n", "not-text", "bad.csv:2"),
        (b'accelerator,n_accel,n_layers,d_model,n_heads\n"H100,1\n', "bad-csv", "bad.csv:2"),
        (b"accelerator,n_accel,n_layers,d_model,n_heads\n\x00\n" + b"x" * 200_000, "bad-csv",
         "bad.csv"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["predict", "validate", "calibrate"])
def test_a_bad_table_is_one_clear_error(
    run: Any, tmp_path: Path, command: str, content: bytes, code: str, place: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    exit_code, out, said = run(command, path)
    assert (exit_code, out) == (2, "")
    assert f"error[{code}]" in said
    assert place in said
    assert "Traceback" not in said


def test_all_findings_of_a_table_come_at_once(run: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("acelerator,n_accel,n_layers,d_model\nx,1,2,3,4\ny,1,2,3,4\n")
    _, _, said = run("predict", path)
    assert said.count("error[missing-column]") == 2
    assert said.count("error[too-many-cells]") == 2
    assert "did you mean `acelerator`?" in said


def test_a_table_that_is_not_there(run: Any, tmp_path: Path) -> None:
    code, _, said = run("predict", tmp_path / "none.csv")
    assert code == 2
    assert "error[cannot-read]" in said


def test_nothing_half_written_stays(run: Any, table: Path, tmp_path: Path) -> None:
    code, _, said = run("predict", table, "--out", tmp_path / "no" / "such" / "folder.csv")
    assert code == 2
    assert "error[cannot-write]" in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["runs.csv"]


# validate ---------------------------------------------------------------------------------------


def test_validate_prints_each_source_and_the_nulls(run: Any, tmp_path: Path) -> None:
    rows = [r | {"measured_step_time_s": "5", "source_key": s} for r, s in ((RUN, "x"), (TPU, "y"))]
    path = write(tmp_path / "runs.csv", rows)
    code, out, _ = run("validate", path)
    assert code == 0
    for text in ("x   ", "y   ", "all rows", "utilisation", "source left out", "regret"):
        assert text in out
    _, out, _ = run("validate", path, path, "--json")
    found = json.loads(out)
    assert found["overall"]["n"] == 4
    assert set(found["by_source"]) == {"x", "y"}
    assert set(found["null"]) >= {"chip_precision", "source_chip_precision"}


def test_validate_without_files_takes_the_projects_records(run: Any, tmp_path: Path) -> None:
    out = tmp_path / "v.json"
    code, _, _ = run("validate", "--json", "--out", out)
    found = json.loads(out.read_text())
    assert code == 0
    assert found["overall"]["predicted"] >= 1042
    assert found["overall"]["grouped_error"] < found["null"]["chip_precision"]["grouped_error"]


# calibrate --------------------------------------------------------------------------------------


def own_rows(factor: Callable[[int], float], count: int, repeats: int = 1) -> list[dict[str, str]]:
    """Runs of one cluster, measured at ``factor`` times what is predicted for them."""
    rows = [
        RUN | {"id": str(i), "micro_batch": str(1 + i % 2), "d_model": str(4096 + 512 * (i // 2))}
        for i in range(count)
    ]
    found = []
    for i, (row, p) in enumerate(zip(rows, prediction_table(rows, FACTS), strict=True)):
        time = p["predicted_step_time_s"] * factor(i)
        found += [row | {"measured_step_time_s": repr(time)}] * repeats
    return found


def slower(row: dict[str, str], document: dict[str, Any]) -> float:
    """The prediction for a row, as a multiple of the published one."""
    mine = prediction_table([row], FACTS, document)[0]["predicted_step_time_s"]
    return float(mine / prediction_table([row], FACTS)[0]["predicted_step_time_s"])


def test_few_runs_move_the_model_little_and_many_move_it_far() -> None:
    """A cluster 12 % slower throughout: each further run brings the prediction nearer to it."""
    new = RUN | {"d_model": "6144", "n_layers": "48"}
    moved = [
        slower(new, fit_own_runs(own_rows(lambda _: 1.12, k), FACTS).document) for k in (1, 3, 10)
    ]
    assert 1.005 < moved[0] < moved[1] < moved[2] < 1.13
    assert moved[2] > 1.09


def test_a_cluster_that_is_far_off_is_followed_more_closely_than_one_that_is_near() -> None:
    new = RUN | {"d_model": "6144", "n_layers": "48"}
    near, far = (
        slower(new, fit_own_runs(own_rows(lambda _, f=f: f, 5), FACTS).document)
        for f in (1.03, 1.25)
    )
    assert (near - 1.0) / 0.03 < 0.6  # the model may as well be right
    assert (far - 1.0) / 0.25 > 0.9


def test_repeats_of_one_run_count_less_than_other_runs() -> None:
    new, run = RUN | {"d_model": "6144"}, own_rows(lambda _: 1.0, 1)[0]
    once, repeated, various = (
        fit_own_runs(own_rows(lambda _: 1.12, count, repeats), FACTS).document
        for count, repeats in ((1, 1), (1, 10), (10, 1))
    )
    assert slower(run, once) <= slower(run, repeated) < slower(run, various)
    assert max(slower(new, once), slower(new, repeated)) < slower(new, various)


def test_runs_that_agree_with_the_model_change_nothing() -> None:
    fit = fit_own_runs(own_rows(lambda _: 1.0, 6), FACTS)
    assert all(s.own == pytest.approx(s.published, rel=1e-6) for s in fit.shifts)
    assert fit.error_after < 1e-6


def test_one_bad_row_does_not_carry_the_fit() -> None:
    fit = fit_own_runs(own_rows(lambda i: 5.0 if i == 3 else 1.0, 8), FACTS)
    assert fit.error_after < 0.05
    assert slower(RUN, fit.document) < 1.06


def test_other_generations_stay_as_published() -> None:
    fit = fit_own_runs(own_rows(lambda _: 1.2, 6), FACTS)
    assert {s.generation for s in fit.shifts} == {"hopper"}
    assert slower(TPU, fit.document) == pytest.approx(1.0)
    assert slower(RUN | {"accelerator": "A100-SXM-80GB"}, fit.document) == pytest.approx(1.0)


def test_gauss_newton_is_ridge_regression_where_the_model_is_linear() -> None:
    """Against the closed form (A'WA + S^-2)^-1 A'Wb; residuals small, so the loss is quadratic."""
    rng = np.random.default_rng(7)
    a, x = rng.normal(size=(40, 3)), np.array([0.02, -0.01, 0.03])
    b = a @ x + rng.normal(scale=1e-5, size=40)
    weight, spread = np.full(40, 200.0), np.array([0.3, 0.2, 0.1])
    expected = np.linalg.solve(
        a.T @ (weight[:, None] * a) + np.diag(1 / spread**2), a.T @ (weight * b)
    )
    found = gauss_newton(lambda v: a @ v, b, weight, spread)
    assert found == pytest.approx(expected, rel=1e-2)


def test_calibrate_writes_a_file_that_other_commands_read(run: Any, tmp_path: Path) -> None:
    rows = write(tmp_path / "mine.csv", [*own_rows(lambda _: 1.15, 8), RUN])
    kept = tmp_path / "mine.yaml"
    code, out, said = run("calibrate", rows, "--out", kept)
    assert code == 0
    assert f"wrote {kept}" in said
    assert "8 measured rows, 8 configurations" in out
    assert "1 rows not used: no measured step time" in out
    plain = json.loads(run("predict", rows, "--json")[1])
    mine = json.loads(run("predict", rows, "--json", "--calibration", kept)[1])
    assert plain["facts_hash"] != mine["facts_hash"]
    first = [t["predictions"][0]["predicted_step_time_s"] for t in (plain, mine)]
    assert first[1] > 1.08 * first[0]
    errors = [
        json.loads(run("validate", rows, "--json", *more)[1])["overall"]["median_abs_error"]
        for more in ((), ("--calibration", kept))
    ]
    assert errors[1] < 0.5 * errors[0]
    words = ("train", "--model", "llama-3-8b", "--chip", "h100-sxm", "--count", 16, "--json")
    best = [json.loads(run(*words, *more)[1])["best"][0] for more in ((), ("--calibration", kept))]
    assert best[1]["step_time_s"] > 1.03 * best[0]["step_time_s"]
    plans = [
        json.loads(run("plan", "deepseek-v3", "--json", *more)[1])["facts_hash"]
        for more in ((), ("--calibration", kept))
    ]
    assert plans[0] != plans[1]
    trees = [
        run("why", "deepseek-v3", "train.step_time", *more)[1]
        for more in ((), ("--calibration", kept))
    ]
    assert "docs/model.md" in trees[0]
    assert "docs/model.md" not in trees[1]
    assert f"own calibration {kept}" in re.sub(r"\s+[│ ]*", " ", trees[1])


def test_calibrate_says_why_no_row_can_be_used(run: Any, tmp_path: Path) -> None:
    measured = {"measured_step_time_s": "3"}
    rows = [RUN, RUN | measured | {"tp": "4096"}, RUN | measured | {"accelerator": "H1000"}]
    code, out, said = run("calibrate", write(tmp_path / "x.csv", rows), "--out", tmp_path / "y")
    assert (code, out) == (2, "")
    assert said.count("error[no-usable-row]") == 3
    assert "row 2" in said
    assert not (tmp_path / "y").exists()


# the calibration file ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    text = record_text(fit_own_runs(own_rows(lambda _: 1.1, 4), FACTS).document, FACTS)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    copy = deepcopy(document)
    *parents, last = path.split("/")
    at = copy
    for key in parents:
        at = at[key]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("parameters", None, "`parameters` is missing"),
        ("parameters/gemm", None, "parameter `gemm` is missing"),
        ("parameters/gem", {"value": 1}, "unknown parameter `gem`"),
        ("parameters/gemm/value", 1.5, "between 0 and 1"),
        ("parameters/host/value", -1, "above 0"),
        ("parameters/host/value", "much", "above 0"),
        ("parameters/gemm/generation", 3, "no level"),
        ("parameters/gemm/colour", {}, "no level"),
        ("parameters/gemm/generation/hopper", 99, "within 8 of 0"),
        ("reference_watts/hopper", 0, "above 0"),
        ("evidence/near", 1, "not a list"),
        ("evidence/ranges/n_chips", [5], "a low and a high"),
        ("evidence/widths/fitted", [0.5, 0.6], "a low and a high"),
    ],
)
def test_a_bad_calibration_is_refused(
    document: dict[str, Any], tmp_path: Path, path: str, value: Any, message: str
) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(changed(document, path, value)))
    with pytest.raises(CharesError) as caught:
        with_calibration(FACTS, file)
    assert message in str(caught.value)
    assert "bad.yaml:" in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "a: &x [*x, *x]", "parameters: 3", "\x00", "}{"])
def test_what_is_no_calibration_at_all_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(CharesError):
        with_calibration(FACTS, file)
    with pytest.raises(CharesError):
        with_calibration(FACTS, tmp_path / "none.yaml")


def test_a_calibration_of_other_parameters_warns(
    run: Any, table: Path, document: dict[str, Any], tmp_path: Path
) -> None:
    file = tmp_path / "old.yaml"
    file.write_text(yaml.safe_dump(document | {"based_on": "fit-0123456789ab"}))
    code, _, said = run("predict", table, "--calibration", file)
    assert code == 0
    assert "warning: " in said
    assert "chares calibrate" in said
    file.write_text(yaml.safe_dump(document))
    assert "warning" not in run("predict", table, "--calibration", file)[2]


def test_facts_with_another_document(facts: Facts) -> None:
    other = facts.with_document(CALIBRATION, {"parameters": {}})
    assert other.document(CALIBRATION) == {"parameters": {}}
    assert facts.document(CALIBRATION) != {"parameters": {}}
    assert other.hash != facts.hash
    assert other.get("h100-sxm", "memory").value == facts.get("h100-sxm", "memory").value
