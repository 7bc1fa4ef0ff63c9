"""The training job of a case: its arithmetic, its strategy, and one step of it as figures."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chares.errors import InputError, NoPlan
from chares.ledger import Figure, NotAsked, leaf
from chares.model import (
    RECOMPUTATIONS,
    SCHEDULES,
    Calibration,
    Hardware,
    Shape,
    Step,
    Strategy,
    calibration_figures,
    error_figure,
    framework_for,
    from_config,
    hardware_figures,
    parts_of,
    setting_of,
    shape_figures,
    shape_of,
)
from chares.search.asking import asking, check_precision, space_for
from chares.search.blocks import Asked
from chares.search.exploring import Found, explore
from chares.search.job_figures import (
    TENANTS,
    named_all,
    replicas,
    reported_figures,
    step_figures,
    together,
    training,
    training_step,
)
from chares.search.ranking import Ranked, ranked, words
from chares.search.space import broken_rule

if TYPE_CHECKING:
    from chares.facts import Facts
    from chares.spec import Case, Train

RUNNERS_UP = 8  # rows of the table
PEAKS = {
    "fp32": "peak_fp32", "tf32": "peak_tf32", "fp16": "peak_bf16", "bf16": "peak_bf16",
    "fp8": "peak_fp8", "fp8-block": "peak_fp8", "mxfp8": "peak_fp8", "fp4": "peak_fp4",
    "nvfp4": "peak_fp4",
}  # fmt: skip
_FORMATS = {"fp32": "bf16", "tf32": "bf16", "fp4": "nvfp4"}  # what the model computes them as


@dataclass(frozen=True)
class Steps:
    """A training job, ready to run.

    ``compute`` [FLOP], ``mfu`` of the peak that the fact ``peak_quantity`` holds. With a model
    shape there is also a strategy with its step, what the search saw (``found``, None where the
    case fixed the strategy), and how good the ``evidence`` for the step time is.
    """

    chip: str
    chips: Figure
    compute: Figure
    peak_quantity: str
    mfu: Figure
    figures: dict[str, Figure] = field(repr=False)
    model: str = ""
    state: Figure | None = None
    step: Step | None = field(default=None, repr=False)
    chosen: Strategy | None = field(default=None, repr=False)
    found: Found | None = field(default=None, repr=False)
    runners_up: tuple[dict[str, Any], ...] = field(default=(), repr=False)
    evidence: str = ""
    warning: str = ""

    @property
    def strategy(self) -> dict[str, Any]:
        """The strategy in words; empty without a model shape."""
        return words(self.chosen) if self.chosen is not None else {}

    @property
    def breakdown(self) -> dict[str, float]:
        """Seconds of a step by cause."""
        parts = parts_of(self.step) if self.step is not None else {}
        return {name: float(value) for name, value in parts.items()}

    @property
    def memory(self) -> dict[str, float]:
        """Bytes of the fullest chip by tenant."""
        step = self.step
        return {t: float(getattr(step.memory, t)) for t in TENANTS} if step is not None else {}


# the stage --------------------------------------------------------------------------------------


def best(case: Case, facts: Facts) -> Steps | NotAsked:
    """The job of a case on the chips of its fleet that it has most of.

    Raises `InputError` where the case does not say enough, `NoPlan` where nothing fits.
    """
    train = case.train
    if train is None:
        return NotAsked("the case has no train part")
    if not case.fleet:
        raise InputError(
            "no-fleet", "a train part needs a fleet", hint="add `fleet: [{chip: ..., count: ...}]`"
        )
    chip, chips = _fleet(case, facts)
    if train.model:
        return _shaped(case, train, chip, chips, facts)
    return _sized(case, train, chip, chips, facts)


def _fleet(case: Case, facts: Facts) -> tuple[str, Figure]:
    """The commonest chip, and how many chips train."""
    count: dict[str, float] = {}
    for batch in case.fleet:
        chip = facts.resolve("chips", batch.chip)
        count[chip] = count.get(chip, 0.0) + batch.count
    most = max(count, key=lambda c: count[c])
    train = case.train
    wanted = None
    if train and train.chips:
        wanted = case.given("train.chips", train.chips, "chip", "chips that train", train.source)
    parts = [
        case.given(f"fleet[{i}].count", b.count, "chip", f"{b.chip}: chips", b.source)
        for i, b in enumerate(case.fleet)
        if wanted is not None or facts.resolve("chips", b.chip) == most
    ]
    there = together(parts) if len(parts) > 1 else parts[0]
    return most, there if wanted is None else training(wanted, there)


def _sized(case: Case, train: Train, chip: str, chips: Figure, facts: Facts) -> Steps:
    """A job of which only the arithmetic is known: its utilisation must be given."""
    if train.compute is None or train.mfu is None:
        raise InputError(
            "no-training-job",
            "`train` needs a `model` with `tokens`, or `compute` with `mfu`",
            hint="such as `train: {compute: 4.64e26 FLOP, mfu: 40 %}`",
        )
    compute = case.given("train.compute", train.compute, "FLOP", "training compute", train.source)
    u = train.mfu
    mfu = case.given("train.mfu", u.likely, "1", "model FLOP utilisation", low=u.low, high=u.high)
    quantity = PEAKS[train.precision]
    peak = facts.figure(chip, quantity, label=f"{chip}: dense {train.precision} peak")
    figures = named_all(("train.compute", compute), ("train.mfu", mfu), ("train.peak", peak))
    return Steps(chip, chips, compute, quantity, mfu, figures)


def _shaped(case: Case, train: Train, chip: str, chips: Figure, facts: Facts) -> Steps:
    if train.tokens is None:
        raise InputError(
            "missing-key", "`train.tokens` is needed with a model", hint="such as `14.8 Ttoken`"
        )
    model, shape = _model(str(train.model), facts)
    seq = case.given(
        "train.seq_len", train.seq_len or _context(model, facts), "token", "sequence length"
    )
    batch = case.given("train.global_batch", train.global_batch or 1024, "sequence", "global batch")
    tokens = case.given("train.tokens", train.tokens, "token", "training tokens", train.source)
    chip_parts = hardware_figures(facts, chip)
    on = train.start or case.as_of
    family = framework_for(facts, chip)
    fit = calibration_figures(facts, chip, family, on)
    asked = asking(
        Shape(*[f.value for f in shape]),
        Hardware(*[f.value for f in chip_parts]),
        Calibration(*[f.value for f in fit]),
        int(chips.value),
        int(seq.value),
        int(batch.value),
        _FORMATS.get(train.precision, train.precision),
        tokens=train.tokens,
        family=family,
    )
    found = None
    check_precision(
        _FORMATS.get(train.precision, train.precision), asked.hardware, chip, "train.precision"
    )
    shared = {"global_batch": batch, "seq_len": seq}  # what the case says, not the strategy
    if train.strategy is not None:
        split = _fixed(case, train, asked, chips, shared, facts)
    else:
        found = explore(asked, space_for(asked))
        if not found.best:
            hint = "give more chips or a shorter `train.seq_len`"
            if not found.legal:
                hint = "give `train.chips` with more divisors"
            raise NoPlan("no-strategy-fits", _nothing(found, model, chip, asked), hint=hint)
        split = _chosen(found.best[0].strategy, shared)
    bundle = training_step(chip_parts, shape, split, fit)
    strategy = Strategy(*[f.value for f in split])
    setting = setting_of(facts, chip, family, on)
    error, evidence, warning = error_figure(facts, setting, asked.shape, strategy)
    figures = step_figures(bundle, error, shape, tokens, batch, seq, facts)
    figures |= reported_figures(case, train, chip, chips, figures, facts)
    rows = ranked(asked, found.best[:RUNNERS_UP]) if found else []
    return Steps(
        chip, chips, figures["train.compute"], "peak_bf16", figures["train.mfu"], figures, model,
        figures["train.state"], bundle.value, strategy, found,
        tuple(_runner_up(r, rows[0]) for r in rows), evidence, warning,
    )  # fmt: skip


def _model(name: str, facts: Facts) -> tuple[str, tuple[Figure, ...]]:
    """Id and shape of a model, or name and shape of the ``config.json`` at a path."""
    if not name.endswith(".json"):
        shape_of(facts, name)  # says what else may stand here
        model = facts.resolve("models", name)
        return model, shape_figures(facts, model)
    shape = from_config(Path(name))
    leaves = (
        leaf(key, float(facts.changed(key, getattr(shape, f.name))), "1", label=f.name, where=name)
        for f in fields(Shape)
        for key in [f"config.shape.{f.name}"]
    )
    return name, tuple(leaves)


def _runner_up(row: Ranked, first: Ranked) -> dict[str, Any]:
    """A row of the table of runners-up: what it is, and what it lacks against the first."""
    told = ("tp", "pp", "vp", "cp", "ep", "dp", "micro_batch", "zero", "recompute", "schedule")
    return {n: row.strategy[n] for n in told} | {
        "step_time_s": row.step_time_s,
        "slower_by": row.step_time_s / first.step_time_s - 1.0,
        "peak_memory_bytes": row.peak_memory_bytes,
        "bottleneck": row.bottleneck,
    }


def _nothing(found: Found, model: str, chip: str, asked: Asked) -> str:
    if not found.legal:
        reason = next(iter(found.rejected), "")
        return f"no legal strategy for {model} on {asked.n_chips} {chip}: {reason}"
    least = found.smallest.memory_bytes / 1e9 if found.smallest else 0.0
    return (
        f"{model} does not fit on {asked.n_chips} {chip}: of {found.legal:,} legal strategies the"
        f" smallest needs {least:.0f} GB of {asked.memory_limit / 1e9:.0f} GB"
    )


def _fixed(
    case: Case,
    train: Train,
    asked: Asked,
    chips: Figure,
    shared: dict[str, Figure],
    facts: Facts,
) -> tuple[Figure, ...]:
    """The strategy that the case gives, as leaves."""
    given = train.strategy
    assert given is not None
    dp = given.dp or asked.n_chips // (given.tp * given.pp * given.cp)
    if dp * given.tp * given.pp * given.cp != asked.n_chips:
        raise InputError(
            "chips-do-not-divide",
            f"tp pp cp dp = {dp * given.tp * given.pp * given.cp}, but {asked.n_chips} chips train",
            where="train.strategy",
            hint=("leave `dp` out, or " if given.dp else "") + "change `train.chips`",
        )
    for word, table in (("schedule", SCHEDULES), ("recompute", RECOMPUTATIONS)):
        if getattr(given, word) not in table:
            raise InputError(
                "not-a-choice",
                f"`{getattr(given, word)}` is no {word}",
                where=f"train.strategy.{word}",
                hint="choose " + ", ".join(table),
            )
    values = given.model_dump(exclude={"source", "schedule", "recompute"}) | {
        "dp": dp,
        "schedule": SCHEDULES.index(given.schedule),
        "recompute": RECOMPUTATIONS.index(given.recompute),
    }
    strategy = replace(asked.template, **values)
    if broken := broken_rule(strategy, asked.shape, asked.n_chips):
        raise InputError(
            "impossible-strategy",
            f"the strategy does not exist: {broken}",
            where="train.strategy",
            hint="leave `strategy` out to search the possible ones",
        )
    told = type(given).model_fields
    leaves = {
        f.name: case.given(f"train.strategy.{f.name}", value, "1", f.name, given.source)
        if f.name in told
        else _default(f.name, value, facts)
        for f in fields(Strategy)
        for value in [float(getattr(strategy, f.name))]
    }
    if given.dp is None:
        leaves["dp"] = replicas(chips, leaves["tp"], leaves["pp"], leaves["cp"])
    return tuple((leaves | shared).values())


def _default(name: str, value: float, facts: Facts) -> Figure:
    """A field of a strategy that the case cannot say: what current frameworks do."""
    key = f"strategy.{name}"
    note = "what current frameworks do"
    return leaf(key, float(facts.changed(key, value)), "1", kind="assumed", label=name, note=note)


def _chosen(strategy: Strategy, shared: dict[str, Figure]) -> tuple[Figure, ...]:
    """The strategy that the search ranked first, as leaves."""
    leaves = {
        f.name: leaf(
            f"search:{f.name}", float(getattr(strategy, f.name)), "1", kind="derived",
            label=f.name, source="the search", note="of the strategy ranked first",
        )
        for f in fields(Strategy)
    }  # fmt: skip
    return tuple((leaves | shared).values())


def _or(facts: Facts, subject: str, quantity: str, default: float) -> float:
    known = subject in facts and facts.has(subject, quantity)
    return float(facts.get(subject, quantity).value) if known else default


def _context(model: str, facts: Facts) -> int:
    return int(min(_or(facts, model, "context_length", 4096.0), 8192.0))
