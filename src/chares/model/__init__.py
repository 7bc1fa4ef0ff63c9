"""The training model: time and memory of one step, for one strategy or for rows of them.

    step = predict(shape, strategy, hardware, calibration)

`layer_times` and `step_of` are its two halves: the first depends on few fields of the strategy, so
that a search computes it once for each combination and gathers.
"""

from chares.model.by_stage import StageWork, stage_work
from chares.model.calibration import Calibration, load_calibration
from chares.model.cells import read_rows
from chares.model.comparison import validate
from chares.model.hardware import Hardware, hardware_of, hardware_rows
from chares.model.huggingface import from_config
from chares.model.intervals import GRADES
from chares.model.layers import Layers, layer_times, model_flops
from chares.model.leaves import (
    calibration_figures,
    error_figure,
    framework_for,
    habits,
    hardware_figures,
    setting_of,
    shape_figures,
)
from chares.model.memory import Memory
from chares.model.own_record import record_text, with_calibration
from chares.model.own_runs import OwnFit, fit_own_runs
from chares.model.parameters import Parameters
from chares.model.parameters import parameters as count_parameters
from chares.model.predictions import prediction_table
from chares.model.schedule import SCHEDULE_RULES, SCHEDULES, Stages, allowed
from chares.model.shape import Shape, shape_of
from chares.model.spans import Span
from chares.model.staging import (
    StagedStep,
    Stretch,
    pace_of,
    staged_step,
    straggling,
    sum_between,
)
from chares.model.stepping import PARTS, Breakdown, Step, parts_of, predict, step_of
from chares.model.strategy import PRECISIONS, RECOMPUTATIONS, Strategy

__all__ = [
    "GRADES", "PARTS", "PRECISIONS", "RECOMPUTATIONS", "SCHEDULES", "SCHEDULE_RULES", "Breakdown",
    "Calibration", "Hardware", "Layers", "Memory", "OwnFit", "Parameters", "Shape", "Span",
    "StageWork", "StagedStep", "Stages", "Step", "Strategy", "Stretch", "allowed",
    "calibration_figures", "count_parameters", "error_figure", "fit_own_runs", "framework_for",
    "from_config", "habits", "hardware_figures", "hardware_of", "hardware_rows", "layer_times",
    "load_calibration", "model_flops", "pace_of", "parts_of", "predict", "prediction_table",
    "read_rows", "record_text", "setting_of", "shape_figures", "shape_of", "stage_work",
    "staged_step", "step_of", "straggling", "sum_between", "validate", "with_calibration",
]  # fmt: skip
