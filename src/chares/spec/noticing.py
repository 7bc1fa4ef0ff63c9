"""What a reader of a plan must mind about the case itself: keys that nothing uses, days that the
facts do not reach, more chips than there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from chares.spec.case import Case

if TYPE_CHECKING:
    from chares.facts import Facts

# Days so far beyond the newest source that prices and law of then cannot be guessed from today's.
FAR = 3 * 366
SILENT = ("serve", "market")  # parts that no stage answers yet


@dataclass(frozen=True)
class Notice:
    """One thing to mind. ``code`` names the sentence in other languages, ``places`` what stands in
    it; as text it is the English sentence."""

    code: str
    text: str = field(repr=False)
    places: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.text.format(**self.places)


def notices(case: Case, facts: Facts) -> tuple[Notice, ...]:
    """Everything to mind about a case, in the order in which a reader would ask."""
    return (
        *_unused(case), *_chips(case, facts), *_place(case, facts), *_days(case, facts),
        *_silent(case),
    )  # fmt: skip


def _unused(case: Case) -> Iterator[Notice]:
    train = case.train
    if train is None:
        return
    if train.model and train.mfu is not None:
        yield Notice(
            "mfu",
            "`train.mfu` ({mfu}) is not used: beside a model the utilisation is predicted. "
            "To plan with your own, give `train.compute` and take `train.model` away",
            {"mfu": f"{100 * train.mfu.likely:g} %"},
        )
    if train.model and train.precision in ("fp32", "tf32"):
        yield Notice(
            "precision",
            "a step in {precision} is predicted as in bf16: nothing slower is modelled",
            {"precision": train.precision},
        )
    if train.model and train.compute is not None:
        yield Notice(
            "compute",
            "`train.compute` is not used: beside a model it follows from shape and tokens",
        )
    if not train.model:
        names = ("tokens", "seq_len", "global_batch", "strategy")
        if told := [f"`train.{n}`" for n in names if getattr(train, n) is not None]:
            yield Notice(
                "without-model",
                "{keys}: not used without `train.model`; `compute` and `mfu` say all",
                {"keys": ", ".join(told)},
            )


def _chips(case: Case, facts: Facts) -> Iterator[Notice]:
    kinds: dict[str, float] = {}
    for batch in case.fleet:
        chip = facts.resolve("chips", batch.chip)
        kinds[chip] = kinds.get(chip, 0.0) + batch.count
    there = sum(kinds.values())
    if not (case.train and case.train.chips and kinds):
        return
    most = max(kinds, key=lambda k: kinds[k])
    if min(case.train.chips, there) > kinds[most]:
        yield Notice(
            "kinds",
            "`train.chips` takes in several kinds: all of them are counted as {chip}",
            {"chip": most},
        )
    if case.train.chips > there:
        yield Notice(
            "chips",
            "`train.chips` is {wanted}, and the fleet has {there}: no more train than there are",
            {"wanted": f"{case.train.chips:,.0f}", "there": f"{there:,.0f}"},
        )


def day_notices(on: date, chip: str, facts: Facts) -> Iterator[Notice]:
    """What to mind about the day of one question on one chip."""
    launch = facts.get(chip, "launch").day if facts.has(chip, "launch") else on
    if on < launch:
        yield Notice(
            "before-launch",
            "{on}: {chip} came out on {launch}",
            {"on": on.isoformat(), "chip": chip, "launch": launch.isoformat()},
        )
    if (on - facts.newest).days > FAR:
        yield _far({"on": on}, facts.newest)


def _place(case: Case, facts: Facts) -> Iterator[Notice]:
    place = case.site.place if case.site else None
    known = [i for i in facts.ids("sites") if "electricity" in facts.subject(i).tags]
    if place and place not in known:
        yield Notice(
            "place",
            "nothing is on record about `{place}`: power costs what it does in US industry, and no "
            "law of the place is known; known are {known}",
            {"place": place, "known": ", ".join(known)},
        )


def _days(case: Case, facts: Facts) -> Iterator[Notice]:
    days = dict(_all_days(case))
    launched = {i: facts.get(i, "launch").day for i in facts.ids("chips") if facts.has(i, "launch")}
    if launched:
        chip = min(launched, key=lambda i: launched[i])
        if early := {k: d for k, d in days.items() if d < launched[chip]}:
            yield Notice(
                "early",
                "{days}: before the first accelerator on record ({chip}, {first})",
                {"days": _told(early), "chip": chip, "first": launched[chip].isoformat()},
            )
    for i, batch in enumerate(case.fleet):
        chip = facts.resolve("chips", batch.chip)
        online = batch.online or case.as_of
        if chip in launched and online < launched[chip]:
            yield Notice(
                "launch",
                "`fleet[{i}]`: {chip} is online on {online}, and came out on {launch}",
                {"i": str(i), "chip": chip, "online": online.isoformat(),
                 "launch": launched[chip].isoformat()},
            )  # fmt: skip
    last = facts.newest
    if far := {k: d for k, d in days.items() if (d - last).days > FAR}:
        yield _far(far, last)
    start, first = case.train.start if case.train else None, _first_online(case)
    if start and first and start < first:
        yield Notice(
            "start",
            "`train.start` is {start}; training begins on {first}, when the first chips are online",
            {"start": start.isoformat(), "first": first.isoformat()},
        )


def _far(days: Mapping[str, date], last: date) -> Notice:
    return Notice(
        "far",
        "{days}: years after the newest source ({last}); prices, rates and law are the last "
        "ones known",
        {"days": _told(days), "last": last.isoformat()},
    )


def _first_online(case: Case) -> date | None:
    return min((b.online or case.as_of for b in case.fleet), default=None)


def _told(days: Mapping[str, date]) -> str:
    return ", ".join(f"`{path}` {day}" for path, day in list(days.items())[:4])


def _all_days(part: Any, path: str = "") -> Iterator[tuple[str, date]]:
    """(path, day) of every day that a case names, but those of claims and of publication."""
    for name in type(part).model_fields:
        value, at = getattr(part, name), f"{path}{name}"
        if name in ("claims", "known_by"):
            continue
        if isinstance(value, date):
            yield at, value
        elif hasattr(type(value), "model_fields"):
            yield from _all_days(value, f"{at}.")
        elif isinstance(value, tuple):
            for i, entry in enumerate(value):
                if hasattr(type(entry), "model_fields"):
                    yield from _all_days(entry, f"{at}[{i}].")


def _silent(case: Case) -> Iterator[Notice]:
    if case.staff and case.staff.pay is None:
        yield Notice("pay", "`staff` has no `pay`, and costs nothing here")
    for name in SILENT:
        if getattr(case, name) is not None:
            yield Notice(
                "silent", "the part `{name}` is read, and no stage answers it yet", {"name": name}
            )
