"""What chares offers, name by name: a change here is a change for its users."""

from __future__ import annotations

import runpy
import subprocess
import sys
from importlib import import_module

import pytest

import chares

TOP = """
Case CharesError Facts Plan __version__ load_facts parse_case plan read_case shipped_cases
strategies
"""
DOORS = {
    "build": """
        Chain Comparison Fleet Hold Lot Phase Source Timeline chips_on elapsed
        facility_power_per_chip it_power_per_chip power_on powered_chips supply_on timeline
    """,
    "claims": """
        Held VERDICTS hold
    """,
    "facts": """
        Fact Facts Node Source Subject load read_document read_table
    """,
    "model": """
        Breakdown Calibration GRADES Hardware Layers Memory OwnFit PARTS PRECISIONS Parameters
        RECOMPUTATIONS SCHEDULES SCHEDULE_RULES Shape Span StageWork StagedStep Stages Step
        Strategy Stretch allowed calibration_figures count_parameters
        error_figure fit_own_runs framework_for from_config habits hardware_figures hardware_of
        hardware_rows layer_times load_calibration model_flops pace_of parts_of predict
        prediction_table read_rows record_text setting_of shape_figures shape_of stage_work
        staged_step step_of straggling sum_between validate with_calibration
    """,
    "money": """
        Bill Line LoanYear Ownership SCOPES Scope Stand Use chips_for level_payment
        loan_balance loan_to_value price rent value_after
    """,
    "permit": """
        Duty Item LawfulPower Limits PowerSource VERDICTS Verdict check chip
        cluster_operations export from_numbers importing lawful_power limits
        performance_density power power_sources report reports tariff
        total_processing_performance
    """,
    "report": """
        LANGUAGES SCHEMA_VERSION csv_text fact_rows fact_text law_text outline own_fit_data
        own_fit_text page plan_html plan_text prediction_csv prediction_summary
        print_outline print_ranking ranking_csv ranking_outline sheet shown split_text
        mixed_outline sides_outline size_outline sized_columns sized_row
        validation_text verdict_text why_text
    """,
    "run": """
        Cause Hazard Job Pace Setting Stretch Week Weeks daly_interval
        expected_interruptions goodput linear_goodput mean_time_to_interruption simulate
        spare_nodes speed_from_mfu speed_from_steps state_from_compute time_at_pace
        write_time
    """,
    "search": """
        Answer Asked Candidate Found HeatMap Mixed Question Ranked Side Size Space Steps
        Sweep Table Trust Way all_rows ask best best_batch days_for default_space explore
        fewest_chips front_of largest_model launch_notes launch_text layouts mixed most_tokens
        optimal_tokens question_for ranked recompute_name scaled_shape side_by_side sizes space_for
        suited_batch sweep table_of trace_of words write_all write_table
    """,
    "spec": """
        Batch Case Claim Finance Market Notice Permit Serve Site Split Staff Stage Supply Train
        day_notices notices parse_case read_case shipped_cases
    """,
}


def test_the_top_offers_these_names() -> None:
    assert sorted(chares.__all__) == sorted(TOP.split())
    assert all(getattr(chares, name) is not None for name in chares.__all__)
    assert set(chares.__all__) <= set(dir(chares))
    with pytest.raises(AttributeError, match="no attribute 'plann'"):
        _ = chares.plann


@pytest.mark.parametrize("stage", DOORS)
def test_a_front_door_offers_these_names(stage: str) -> None:
    door = import_module(f"chares.{stage}")
    assert sorted(door.__all__) == sorted(DOORS[stage].split())
    assert all(hasattr(door, name) for name in door.__all__)


def test_no_front_door_is_forgotten() -> None:
    from test_shape import SOURCE

    doors = {p.parent.name for p in SOURCE.glob("*/__init__.py")}
    assert doors - {"faces"} == set(DOORS)  # faces is the end of the line: nothing imports it


def test_importing_chares_loads_nothing_else() -> None:
    code = "import sys; old = set(sys.modules); import chares; print(*set(sys.modules) - old)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    other = {m for m in done.stdout.split() if m.split(".")[0] not in sys.stdlib_module_names}
    assert other == {"chares"}


def test_the_package_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", ["chares", "--version"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("chares", run_name="__main__")
    assert end.value.code == 0
    assert chares.__version__ in capsys.readouterr().out
