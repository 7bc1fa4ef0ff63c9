"""One question to the search: this model on these chips."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, lru_cache, partial
from math import gcd, isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chares.errors import InputError
from chares.model import (
    PRECISIONS,
    Calibration,
    Hardware,
    Shape,
    Strategy,
    calibration_figures,
    error_figure,
    framework_for,
    from_config,
    habits,
    hardware_figures,
    setting_of,
    shape_of,
)
from chares.search.blocks import Asked
from chares.search.exploring import Found, explore
from chares.search.ranking import Ranked, ranked
from chares.search.space import EQUAL_LAYERS, WHOLE_LAYERS, Space, default_space
from chares.search.tables import Table, flat_row, table_of
from chares.search.trusting import Trust, trust

if TYPE_CHECKING:
    from datetime import date

    from chares.facts import Facts
    from chares.search.trusting import Evidence

#: framework families by the frameworks that jobs are written for
FAMILY_OF = {
    "megatron": "megatron-core", "megatron-bridge": "megatron-core", "torchtitan": "fsdp",
    "deepspeed": "deepspeed", "maxtext": "jax",
}  # fmt: skip
USABLE = 0.97  # of the memory: the driver and the network library hold some
SEQUENCES = 1024  # in a step, where none is given
LENGTH = 4096
LONGEST = 8192  # tokens of a sequence, where none is given
REPLICA = 128  # chips of a replica that a suited batch allows for


@dataclass(frozen=True)
class Question:
    """One model on one fleet, with every default filled in and named in ``assumed``. Without
    ``evidence`` (how far a strategy's time may be off) its times have no interval."""

    model: str
    chip: str
    precision: str
    asked: Asked
    assumed: tuple[str, ...] = ()
    on: date | None = None  # day of the price and the software, where one was given
    evidence: Evidence | None = field(default=None, compare=False, repr=False)

    def at(self, count: int, global_batch: int) -> Question:
        """The same job on another number of chips and with another batch."""
        template = replace(self.asked.template, global_batch=float(global_batch))
        asked = replace(self.asked, n_chips=count, global_batch=global_batch, template=template)
        return replace(self, asked=asked)


@dataclass(frozen=True)
class Answer:
    """What the search found for one model on one fleet."""

    question: Question
    found: Found
    trust: Trust | None = None  # of the fastest; None where nothing fits

    @property
    def model(self) -> str:
        """Id of the model, or the path of its configuration."""
        return self.question.model

    @property
    def chip(self) -> str:
        """Id of the chip."""
        return self.question.chip

    @property
    def asked(self) -> Asked:
        """The question in numbers."""
        return self.question.asked

    @cached_property
    def best(self) -> list[Ranked]:
        """The fastest strategies that fit, fastest first."""
        return ranked(self.asked, self.found.best)

    @cached_property
    def pareto(self) -> list[Ranked]:
        """No other strategy is both faster and smaller than one of these."""
        return ranked(self.asked, self.found.pareto)

    def table(self) -> Table:
        """The best and the front, one row each; ``list`` says which."""
        return table_of(
            [{"list": "best"} | flat_row(r) for r in self.best]
            + [{"list": "pareto"} | flat_row(r) for r in self.pareto]
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the JSON of ``chares train``."""
        found = self.found
        return {
            "model": self.model,
            "chip": self.chip,
            "count": self.asked.n_chips,
            "seq_len": self.asked.seq_len,
            "global_batch": self.asked.global_batch,
            "tokens": self.asked.tokens or None,
            "price_usd_per_chip_hour": self.asked.hourly_price or None,
            "assumed": list(self.question.assumed),
            "memory_limit_bytes": self.asked.memory_limit,
            "space": found.space.size,
            "dimensions": found.space.dimensions,
            "legal": found.legal,
            "evaluated": found.evaluated,
            "feasible": found.feasible,
            "seconds": found.seconds,
            "trust": asdict(self.trust) if self.trust else None,
            "best": [r.as_dict() for r in self.best],
            "pareto": [r.as_dict() for r in self.pareto],
            "rejected": found.rejected,
            "by_value": {
                name: [
                    {"value": v, "step_time_s": t if isfinite(t) else None}
                    for v, t in values.items()
                ]
                for name, values in found.by_value.items()
            },
        }


def ask(
    model: str,
    chip: str,
    count: int,
    facts: Facts,
    *,
    tokens: float | None = None,
    seq_len: int | None = None,
    global_batch: int | None = None,
    precision: str = "bf16",
    hourly_price: float | None = None,
    on: date | None = None,
    keep: int = 10,
    space: Space | None = None,
    offload: bool = False,
    uneven: bool = False,
    heat: tuple[str, str] | None = None,
    framework: str | None = None,
    told: Callable[[int], None] | None = None,
) -> Answer:
    """Search every legal strategy for ``model`` (an id, or the path of a config.json) on ``count``
    chips. ``hourly_price`` (USD per chip and hour) gives cost.

    What is not given is taken from the model's facts (``tokens``: what it was trained on;
    ``seq_len``: its context, at most 8,192) or, as ``global_batch``, chosen to suit the count; the
    answer's ``assumed`` says so. ``on``: day of the software (default: two years after the chip).
    ``offload`` adds optimizer state, activations and weights in host memory to the space (eight
    times as large), ``uneven`` stages of whole layers that are evened by time (twice as large).
    ``framework`` (megatron, torchtitan, deepspeed, maxtext) leaves only what it can run, with the
    parameters of its family (default: JAX on TPUs, Megatron-Core elsewhere).
    Raises `InputError` for what cannot be read or a precision that the chip lacks.
    """
    question = question_for(
        model, chip, count, facts, tokens=tokens, seq_len=seq_len, global_batch=global_batch,
        precision=precision, hourly_price=hourly_price, on=on, framework=framework,
    )  # fmt: skip
    space = space or space_for(question.asked)
    if offload:
        both = (0, 1)
        space = replace(
            space, offload_optimizer=both, offload_activations=both, offload_weights=both
        )
    if uneven:
        space = replace(space, balance=(EQUAL_LAYERS, WHOLE_LAYERS))
    if framework:
        from chares.search.launching import runnable

        space = runnable(space, framework, question.asked.shape)
    found = explore(question.asked, space, keep, heat=heat, told=told)
    first = found.best[0] if found.best else None
    trusted = trust(question, first.strategy, first.step_time_s) if first else None
    return Answer(question, found, trusted)


def family_of(facts: Facts, chip: str, framework: str | None) -> str:
    """The family whose parameters a search uses: of the framework asked for, or of the chip."""
    return FAMILY_OF.get(framework or "", framework_for(facts, chip))


def question_for(
    model: str,
    chip: str,
    count: int,
    facts: Facts,
    *,
    tokens: float | None = None,
    seq_len: int | None = None,
    global_batch: int | None = None,
    precision: str = "bf16",
    hourly_price: float | None = None,
    on: date | None = None,
    framework: str | None = None,
) -> Question:
    """The question with its defaults filled in. See `ask`."""
    own = model.endswith(".json")
    shape = from_config(Path(model)) if own else shape_of(facts, model)
    known = None if own else facts.resolve("models", model)
    chip = facts.resolve("chips", chip)
    hardware = Hardware(*[f.value for f in hardware_figures(facts, chip)])
    family = family_of(facts, chip, framework)
    fitted = calibration_figures(facts, chip, family, on)
    fit = Calibration(*[f.value for f in fitted])
    assumed = []
    if tokens is None:
        tokens = _fact(facts, known, "training_tokens", 0.0)
        if tokens:
            assumed.append(f"tokens: {tokens:.3g}, what {known} was trained on")
    if seq_len is None:
        seq_len = int(min(_fact(facts, known, "context_length", LENGTH), LONGEST))
        assumed.append(f"sequence length: {seq_len:,} (the model's context, at most {LONGEST:,})")
    if global_batch is None:
        global_batch = suited_batch(count, SEQUENCES * LENGTH // seq_len)
        assumed.append(f"batch: {global_batch:,} sequences, which {count:,} chips can divide")
    check_precision(precision, hardware, chip)
    asked = asking(
        shape, hardware, fit, count, seq_len, global_batch, precision,
        tokens=tokens or 0.0, hourly_price=hourly_price or 0.0, family=family,
    )  # fmt: skip
    evidence = _evidence(facts, chip, family, on)
    return Question(model, chip, precision, asked, tuple(assumed), on, evidence)


@lru_cache(maxsize=64)  # a sweep asks of few chips again and again
def _evidence(facts: Facts, chip: str, family: str, on: date | None) -> Evidence:
    return partial(error_figure, facts, setting_of(facts, chip, family, on))


def suited_batch(count: int, least: int) -> int:
    """The smallest batch of at least ``least`` sequences that replicas of at most `REPLICA` chips
    divide: a count with odd factors needs one that has them too."""
    unit = count // gcd(count, REPLICA)
    return unit * max(1, -(-least // unit))


def _fact(facts: Facts, model: str | None, quantity: str, otherwise: float) -> float:
    if model is None or not facts.has(model, quantity):
        return otherwise
    return float(facts.get(model, quantity).value)


def asking(
    shape: Shape,
    hardware: Hardware,
    calibration: Calibration,
    count: int,
    seq_len: int,
    global_batch: int,
    precision: str,
    *,
    tokens: float = 0.0,
    hourly_price: float = 0.0,
    family: str = "megatron-core",
) -> Asked:
    """What a search needs, with every field of a strategy that the space leaves alone.

    ``family`` of frameworks: what its software does by itself (`habits`).
    """
    template = Strategy(
        global_batch=float(global_batch),
        seq_len=float(seq_len),
        precision=PRECISIONS.index(precision),
        **habits(family),
    )
    return Asked(
        shape, hardware, calibration, count, global_batch, seq_len, template,
        float(hardware.memory) * USABLE, tokens, hourly_price,
    )  # fmt: skip


def space_for(asked: Asked) -> Space:
    """The default space of a question."""
    return default_space(
        asked.shape, asked.hardware, asked.n_chips, asked.global_batch, asked.seq_len
    )


def check_precision(
    precision: str, hardware: Hardware, chip: str, where: str = "--precision"
) -> None:
    """Raises `InputError` (``no-such-format``) for a format that the chip lacks."""
    bits8, bits4 = precision in ("fp8", "mxfp8", "fp8-block"), precision == "nvfp4"
    if (bits8 and not hardware.peak_8) or (bits4 and not hardware.peak_4):
        raise InputError(
            "no-such-format",
            f"`{chip}` has no {precision} units",
            where=where,
            hint="choose bf16, or another chip",
        )
