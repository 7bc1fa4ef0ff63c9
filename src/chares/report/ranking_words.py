"""A strategy, what was assumed about a job and how good the evidence is, in words."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from chares.report.messages import Messages
from chares.report.numerals import shown

if TYPE_CHECKING:
    from chares.search import Ranked

SPLIT = (
    "tp", "pp", "vp", "cp", "ep", "etp", "dp", "micro_batch", "sp", "zero", "shard_group",
    "recompute", "schedule", "overlap_tp", "overlap_dp", "fused", "gradient_bytes",
    "offload_optimizer", "offload_activations", "offload_weights", "balance",
)  # fmt: skip
ALWAYS = ("tp", "pp", "dp", "micro_batch")
# what the search says that it assumed
_ASSUMED = (
    (re.compile(r"tokens: (?P<count>\S+), what (?P<model>.+) was trained on"), "assumed.tokens"),
    (re.compile(r"sequence length: (?P<count>\S+) \(the model's context, at most (?P<most>\S+)\)"),
     "assumed.length"),
    (re.compile(r"batch: (?P<count>\S+) sequences, which (?P<chips>\S+) chips can divide"),
     "assumed.batch"),
)  # fmt: skip
# what the model says of runs unlike those that it was fitted to
_EVIDENCE = (
    (re.compile(r"no fitted run has the chip generation `(.+)`"), "warning.generation"),
    (re.compile(r"no fitted run has the framework family `(.+)`"), "warning.family"),
    (re.compile(r"(\w+) is outside the fitted range (\S+) to (\S+)"), "warning.range"),
)


def evidence_lines(warning: str, t: Messages) -> list[str]:
    """What the model says of its evidence, a sentence each."""
    return [_evidence(part, t) for part in warning.split("; ") if part]


def _evidence(text: str, t: Messages) -> str:
    for form, key in _EVIDENCE:
        if match := form.fullmatch(text):
            about, *ends = match.groups()
            told = [shown(float(end), "1", lang=t.lang) for end in ends]
            places = dict(zip(("low", "high"), told, strict=False))
            return t(key, about=t.find(f"range.{about}", about), **places)
    return text


def split_text(row: Ranked) -> str:
    """A strategy in one line: what differs from nothing."""
    told = []
    for name in SPLIT:
        value = row.strategy[name]
        if name in ALWAYS or value not in (0, 1, "none"):
            told.append(f"{name} {value}")
    return ", ".join(told)


def assumed_lines(lines: Iterable[str], t: Messages) -> list[str]:
    """What a search filled in by itself, each as a sentence to mind."""
    return [t("assumed.search", line=_line(line, t)) for line in lines]


def _line(line: str, t: Messages) -> str:
    for form, key in _ASSUMED:
        if match := form.fullmatch(line):
            places = match.groupdict()
            if key == "assumed.tokens":
                places["count"] = shown(float(places["count"]), "1", lang=t.lang)
            return t(key, **places)
    return line
