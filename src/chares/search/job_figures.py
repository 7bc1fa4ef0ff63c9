"""The figures of a training job: its arithmetic, one step of it, and what was reported of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from chares.ledger import Figure, Num, formula, pick, total
from chares.model import (
    Calibration,
    Hardware,
    Shape,
    Step,
    Strategy,
    count_parameters,
    model_flops,
    predict,
)

if TYPE_CHECKING:
    from chares.facts import Facts
    from chares.spec import Case, Train

TENANTS = ("weights", "gradients", "optimizer", "activations", "logits", "buffers")


@formula("6 N D", "FLOP")
def dense_compute(active: Num, tokens: Num) -> Num:
    """Training FLOP without attention: forward 2, backward 4 per active parameter and token
    (Kaplan 2020, 2.1)."""
    return 6.0 * active * tokens


@formula("FLOP per token x D", "FLOP")
def compute_of(per_token: Num, tokens: Num) -> Num:
    """Model FLOP of a run, operation by operation, causal attention halved."""
    return per_token * tokens


@formula("sum over operations of 6 m n k, attention 6 s h d (causal)", "FLOP")
def flops_per_token(shape: Sequence[float], seq_len: float) -> float:
    """Model FLOP of one token, forward and backward."""
    return float(model_flops(Shape(*shape), seq_len))


@formula("sum of all weight matrices", "parameter")
def parameter_count(shape: Sequence[float]) -> float:
    """Parameters of the model, counted from its shape."""
    return float(count_parameters(Shape(*shape)).total)


@formula("parameters that one token meets", "parameter")
def active_count(shape: Sequence[float]) -> float:
    """Active parameters: the model less the experts that a token is not routed to."""
    return float(count_parameters(Shape(*shape)).active)


@formula("N x bytes per parameter", "B")
def state_bytes(parameters: Num, per_parameter: Num) -> Num:
    """What a checkpoint must hold to go on from: weights and optimizer state."""
    return parameters * per_parameter


@formula("C / (chip-time peak)")
def implied_mfu(compute: Num, chip_time: Num, peak: Num) -> Num:
    """Utilisation that reported chip-hours imply (PaLM, appendix B, without attention)."""
    return compute / (chip_time * peak)


@formula("N / (tp pp cp)")
def replicas(chips: Num, tp: Num, pp: Num, cp: Num) -> Num:
    """Data-parallel replicas of a fleet."""
    return chips / (tp * pp * cp)


@formula("chip-time / N", "s")
def reported_time(chip_time: Num, chips: Num) -> Num:
    """How long ``chips`` ran, if all ran all the time."""
    return chip_time / chips


@formula("D / (global batch x sequence length)", "1")
def step_count(tokens: Num, global_batch: Num, seq_len: Num) -> Num:
    """Steps of the run."""
    return tokens / (global_batch * seq_len)


@formula("roofline of each operation + exposed collectives + bubble + optimizer", "s")
def training_step(
    chip: Sequence[float],
    shape: Sequence[float],
    split: Sequence[float],
    calibration: Sequence[float],
) -> Step:
    """One training step by the model of docs/model.md."""
    return predict(Shape(*shape), Strategy(*split), Hardware(*chip), Calibration(*calibration))


@formula("sum of the batches", "chip")
def together(counts: Sequence[Num]) -> Num:
    """Chips of one kind, over all batches."""
    return sum(counts[1:], counts[0])


@formula("min(N wanted, N there)", "chip")
def training(wanted: float, there: float) -> float:
    """Chips that train: no more than there are."""
    return min(wanted, there)


@formula("t_predicted x error", "s")
def expected_time(predicted: Num, error: Num) -> Num:
    """The time of a step, with the model's own error (1, with an interval)."""
    return predicted * error


@formula("MFU_predicted / error")
def expected_mfu(predicted: Num, error: Num) -> Num:
    """The utilisation that goes with `expected_time`."""
    return predicted / error


def step_figures(
    bundle: Figure,
    error: Figure,
    shape: tuple[Figure, ...],
    tokens: Figure,
    batch: Figure,
    seq: Figure,
    facts: Facts,
) -> dict[str, Figure]:
    """The figures of a job with a shape, by id."""
    total, active = parameter_count(shape), active_count(shape)
    per_token = flops_per_token(shape, seq)
    memory = pick(bundle, "memory")
    breakdown = pick(bundle, "breakdown")
    state = facts.figure(
        "checkpointing", "state_per_parameter", label="training state of a parameter"
    )
    found = named_all(
        ("train.parameters", total),
        ("train.active_parameters", active),
        ("train.compute", compute_of(per_token, tokens)),
        ("train.compute_6nd", dense_compute(active, tokens)),
        ("train.mfu", expected_mfu(pick(bundle, "mfu"), error)),
        ("train.step_time", expected_time(pick(bundle, "step_time_s"), error)),
        ("train.steps", step_count(tokens, batch, seq)),
        ("train.state", state_bytes(total, state)),
        ("train.peak_memory", pick(memory, "device")),
        *((f"train.memory.{t}", pick(memory, t)) for t in TENANTS),
        *((f"train.time.{p}", pick(breakdown, p)) for p in breakdown.value.__slots__),
    )
    units = {"train.step_time": "s", "train.peak_memory": "B"}
    units |= {i: "B" for i in found if i.startswith("train.memory.")}
    units |= {i: "s" for i in found if i.startswith("train.time.")}
    return {i: f.named(i, f.label, units.get(i, "")) for i, f in found.items()}


def reported_figures(
    case: Case,
    train: Train,
    chip: str,
    chips: Figure,
    figures: dict[str, Figure],
    facts: Facts,
) -> dict[str, Figure]:
    """What the reported chip-hours imply: duration, and for the first stage the utilisation
    against each peak of the chip."""
    if not train.reported:
        return {}
    stages = [
        case.given(
            f"train.reported[{i}].chip_hours", stage.chip_hours, "s", f"{stage.name}: chip time",
            stage.source,
        )
        for i, stage in enumerate(train.reported)
    ]  # fmt: skip
    chip_time = total(stages).named("train.reported_chip_time", "chip time as reported", "s")
    label = "duration that the reported chip time implies"
    time = reported_time(chip_time, chips).named("train.reported_time", label)
    found = {chip_time.id: chip_time, time.id: time}
    for quantity in ("peak_bf16", "peak_fp8"):
        for n, fact in enumerate(facts.all(chip, quantity) if facts.has(chip, quantity) else ()):
            id_ = f"train.implied_mfu_{quantity[5:]}" + (f"_{n + 1}" if n else "")
            label = f"utilisation implied by {train.reported[0].name}, of the {quantity[5:]} peak"
            mfu = implied_mfu(figures["train.compute_6nd"], stages[0], fact.figure())
            found[id_] = mfu.named(id_, label)
    return found


LABELS = {
    "train.compute": "training compute",
    "train.compute_6nd": "training compute as 6 N D",
    "train.mfu": "model FLOP utilisation",
    "train.peak": "peak of a chip",
    "train.step_time": "time of a step",
    "train.steps": "steps",
    "train.parameters": "parameters",
    "train.active_parameters": "active parameters",
    "train.state": "training state in a checkpoint",
    "train.peak_memory": "peak memory of a chip",
}


def named_all(*pairs: tuple[str, Any]) -> dict[str, Figure]:
    return {i: f.named(i, LABELS.get(i, i.rpartition(".")[2].replace("_", " "))) for i, f in pairs}
