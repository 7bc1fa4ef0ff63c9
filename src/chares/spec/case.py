"""A case and its parts: what is asked, frozen. Every part may be left out."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from chares.ledger import Figure, leaf
from chares.spec.amounts import (
    Bandwidth,
    ChipHours,
    Count,
    Day,
    Duration,
    EnergyPrice,
    Flop,
    HourlyPrice,
    Money,
    PositiveShare,
    Power,
    Share,
    ShareInterval,
    Tokens,
)


def _text(value: Any) -> Any:
    """Text that a terminal may be given: control characters could rewrite its screen."""
    if isinstance(value, str) and not value.replace("\n", "").isprintable():
        raise PydanticCustomError("bad-text", "has characters that do not print", {"hint": ""})
    return value


def _name(value: Any) -> Any:
    if isinstance(value, str) and (not value.strip() or len(value) > 200):
        raise PydanticCustomError(
            "bad-name", "is empty or longer than 200 characters", {"hint": ""}
        )
    return _text(value)


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("not-a-number", "is not a number", {"hint": ""})
    return value


def _claimed(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        hint = "such as `122 day`, `100000` or `2024-09-02`"
        raise PydanticCustomError("not-a-quantity", "is not a number or a day", {"hint": hint})
    return _name(value)


USUAL = "not given: the usual value"  # the note of a leaf that the case leaves out
Name = Annotated[str, BeforeValidator(_name)]
Text = Annotated[str, BeforeValidator(_text)]
Bytes = Annotated[float, Field(ge=0, le=64)]
PositiveInt = Annotated[int, Field(gt=0, le=10**9), BeforeValidator(_no_bool)]


class Part(BaseModel):
    """Common to all parts: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Batch(Part):
    """Chips of one kind that come online on one day."""

    chip: Name
    count: Count
    online: Day | None = None
    source: Name | None = Field(None, description="id of the source that says so")


class Supply(Part):
    """A source of power: what it gives, from when, and under what permission."""

    kind: Literal["grid", "turbines", "battery", "solar", "other"]
    power: Power
    online: Day
    until: Day | None = Field(None, description="first day without it")
    permit: Literal["permitted", "temporary", "none-needed"] = "none-needed"
    source: Name | None = None

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Supply:
        if self.until is not None and self.until <= self.online:
            raise PydanticCustomError(
                "ends-before-it-begins", "must run for a day at least", {"hint": "check `until`"}
            )
        return self


class Site(Part):
    """Where the fleet stands: its start of works, its power, the facts known about it."""

    id: Name | None = Field(None, description="a site that chares has facts about")
    place: Name | None = Field(None, description="where electricity is bought: memphis, ...")
    start: Day | None = Field(None, description="first day of works")
    supplies: tuple[Supply, ...] = ()
    pue: Annotated[float, Field(ge=1, le=5)] | None = None


class Split(Part):
    """A strategy that the case fixes instead of leaving it to the search."""

    tp: PositiveInt = 1
    sp: Literal[0, 1] = 0
    pp: PositiveInt = 1
    vp: PositiveInt = 1
    cp: PositiveInt = 1
    ep: PositiveInt = 1
    etp: PositiveInt = 1
    dp: PositiveInt | None = None
    zero: Literal[0, 1, 2, 3] = 1
    micro_batch: PositiveInt = 1
    schedule: str = "1f1b"
    recompute: str = "none"
    overlap_tp: Share = 1.0
    overlap_dp: Share = 1.0
    overlap_ep: Share = Field(0.0, description="share of expert all-to-all behind computation")
    dispatch_bytes: Bytes = Field(2.0, description="per element sent to the experts (1: fp8)")
    balance: Literal[0, 1, 2] = Field(
        0, description="1: layers spread over stages by cost, 2: the same in whole layers"
    )
    weight_bytes: Bytes = 2.0
    gradient_bytes: Bytes = 4.0
    optimizer_bytes: Bytes = Field(12.0, description="master copy and moments, per parameter")
    source: Name | None = None


class Stage(Part):
    """Chip-hours that were reported for one stage of a programme."""

    name: Name
    chip_hours: ChipHours
    source: Name | None = None


class Train(Part):
    """A training job: a model shape (searched) or an amount of arithmetic alone."""

    name: Name | None = None
    model: Name | None = Field(None, description="id of a model, or the path of a config.json")
    tokens: Tokens | None = None
    seq_len: PositiveInt | None = None
    global_batch: PositiveInt | None = Field(None, description="sequences in a step")
    compute: Flop | None = Field(None, description="instead of a model: total FLOP")
    mfu: ShareInterval | None = Field(None, description="needed with compute; else predicted")
    precision: Literal[
        "fp32", "tf32", "fp16", "bf16", "fp8", "fp8-block", "mxfp8", "fp4", "nvfp4"
    ] = "bf16"
    chips: Count | None = Field(None, description="how many of the fleet train; default all")
    start: Day | None = None
    strategy: Split | None = None
    reported: tuple[Stage, ...] = ()
    checkpoint_bandwidth: Bandwidth | None = None
    source: Name | None = Field(None, description="id of the source of compute and tokens")


class Serve(Part):
    """A serving load."""

    model: Name
    chip: Name | None = None
    input_tokens: PositiveInt = 1024
    output_tokens: PositiveInt = 1024
    requests_per_second: Annotated[float, Field(gt=0, le=1e9)] | None = None


class Finance(Part):
    """How it is paid for. What is left out is looked up for the day."""

    hourly_price: HourlyPrice | None = None
    chip_price: Money | None = None
    energy_price: EnergyPrice | None = None
    interest: Share | None = None
    life: Duration | None = Field(None, description="of the chips")
    building_life: Duration | None = None
    utilisation: PositiveShare = 1.0


class Staff(Part):
    """Who does the work."""

    people: PositiveInt
    pay: Money | None = Field(None, description="per person and year")
    months: Annotated[float, Field(gt=0, le=600)] = 12
    hours_per_week: Annotated[float, Field(gt=0, le=168)] = 40


class Permit(Part):
    """Which law the case meets: where the chips go, who runs them, when they were bought."""

    destination: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    headquarters: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    bought: Day | None = None
    biological: bool = False
    network: Bandwidth | None = Field(None, description="cluster network per chip")


class Market(Part):
    """A listed company: price and shares on a day."""

    company: Name
    price: Money
    shares: Annotated[float, Field(gt=0, le=1e13)]


class Claim(Part):
    """What was said, by whom, about which figure."""

    id: Annotated[str, Field(pattern="^[a-z0-9][a-z0-9.-]*$", max_length=60)]
    says: Name
    who: Name = ""
    through: Name | None = None
    on: Day | None = None
    about: Name = Field(description="id of a figure, such as `site.days_to_chips(100000)`")
    value: Annotated[str | float | int, BeforeValidator(_claimed)]
    status: Literal["sought", "forecast", "announced", "booked", "done", "estimate"] = "announced"
    scope: Literal["final-run", "programme", "company", "site", "fleet"] | None = None
    tolerance: Share = 0.1
    source: Name | None = None


class Case(Part):
    """One question to chares. Parts that are left out are not asked."""

    name: Name
    about: Text = ""
    as_of: Day
    known_by: Day | None = None
    fleet: tuple[Batch, ...] = ()
    site: Site | None = None
    train: Train | None = None
    serve: Serve | None = None
    finance: Finance | None = None
    staff: Staff | None = None
    permit: Permit | None = None
    market: Market | None = None
    claims: tuple[Claim, ...] = ()

    _file: str = PrivateAttr("")
    _places: dict[str, str] = PrivateAttr(default_factory=dict)  # path -> file:line

    def given(
        self,
        path: str,
        value: Any,
        unit: str,
        label: str = "",
        source: str | None = None,
        low: float | None = None,
        high: float | None = None,
    ) -> Figure:
        """What the case says at ``path``, as a leaf of the ledger.

        A value whose source the case names is stated by that source; any other is the case's own
        assumption, or the usual value where its file has no such key.
        """
        if isinstance(value, date):
            value, unit = value.toordinal(), "date"
        usual = bool(self._places) and path not in self._places and not source
        return leaf(
            f"case:{path}",
            value,
            unit,
            kind="stated" if source else "assumed",
            label=label or path,
            low=low,
            high=high,
            source="" if usual else source or "the case",
            where="" if usual else self._places.get(path, self._file),
            note=USUAL if usual else "",
        )
