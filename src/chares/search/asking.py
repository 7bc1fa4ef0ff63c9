"""One question to the search: this model on these chips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
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
    from_config,
    hardware_figures,
    shape_of,
)
from chares.search.blocks import Asked
from chares.search.exploring import Found, explore
from chares.search.ranking import Ranked, ranked
from chares.search.space import Space, default_space

if TYPE_CHECKING:
    from chares.facts import Facts

FAMILY = "megatron"  # the framework family where none is named
USABLE = 0.97  # of the memory: the driver and the network library hold some
SEQUENCES = 1024  # in a step, where none is given
LENGTH = 4096


@dataclass(frozen=True)
class Answer:
    """What the search found for one model on one fleet."""

    model: str
    chip: str
    asked: Asked
    found: Found

    @cached_property
    def best(self) -> list[Ranked]:
        """The fastest strategies that fit, fastest first."""
        return ranked(self.asked, self.found.best)

    @cached_property
    def pareto(self) -> list[Ranked]:
        """No other strategy is both faster and smaller than one of these."""
        return ranked(self.asked, self.found.pareto)

    def as_dict(self) -> dict[str, Any]:
        """Plain data: the JSON of ``chares train``."""
        found = self.found
        return {
            "model": self.model,
            "chip": self.chip,
            "count": self.asked.n_chips,
            "seq_len": self.asked.seq_len,
            "global_batch": self.asked.global_batch,
            "memory_limit_bytes": self.asked.memory_limit,
            "space": found.space.size,
            "dimensions": found.space.dimensions,
            "legal": found.legal,
            "evaluated": found.evaluated,
            "feasible": found.feasible,
            "seconds": found.seconds,
            "best": [r.as_dict() for r in self.best],
            "pareto": [r.as_dict() for r in self.pareto],
            "rejected": found.rejected,
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
    keep: int = 10,
    space: Space | None = None,
) -> Answer:
    """Search every legal strategy for ``model`` (an id, or the path of a config.json) on ``count``
    chips. ``tokens`` and ``hourly_price`` (USD per chip and hour) give days and cost.

    Raises `InputError` for what cannot be read or a precision that the chip lacks.
    """
    shape = from_config(Path(model)) if model.endswith(".json") else shape_of(facts, model)
    chip = facts.resolve("chips", chip)
    hardware = Hardware(*[f.value for f in hardware_figures(facts, chip)])
    fit = Calibration(*[f.value for f in calibration_figures(facts, chip, FAMILY)])
    asked = asking(
        shape, hardware, fit, count, seq_len or LENGTH, global_batch or SEQUENCES, precision,
        tokens=tokens or 0.0, hourly_price=hourly_price or 0.0,
    )  # fmt: skip
    _check_precision(precision, hardware, chip)
    found = explore(asked, space or space_for(asked), keep)
    return Answer(model, chip, asked, found)


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
) -> Asked:
    """What a search needs, with every field of a strategy that the space leaves alone."""
    template = Strategy(
        global_batch=float(global_batch),
        seq_len=float(seq_len),
        precision=PRECISIONS.index(precision),
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


def _check_precision(precision: str, hardware: Hardware, chip: str) -> None:
    bits8, bits4 = precision in ("fp8", "mxfp8", "fp8-block"), precision == "nvfp4"
    if (bits8 and not hardware.peak_8) or (bits4 and not hardware.peak_4):
        raise InputError(
            "no-such-format",
            f"`{chip}` has no {precision} units",
            where="--precision",
            hint="choose bf16, or another chip",
        )
