"""What the law answers: a verdict, why, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from chares.ledger import Figure

# from the mildest to the strictest; `unknown` and `no-rule` are answers of their own
SEVERITY = {"no-rule": 0, "allowed": 1, "notify": 2, "licence": 3, "denied": 4}
VERDICTS = (*SEVERITY, "unknown")
# how a licence application is met, from the mildest; a policy not listed stands in the middle
POLICY_SEVERITY = {"presumption of approval": 0, "case by case": 1, "presumption of denial": 3}


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer of the law to one question on one day.

    ``verdict`` is one of ``allowed notify licence denied no-rule unknown``. ``no-rule``: the
    jurisdiction had no rule of this kind on that day. ``allowed``: it had one, and it does not
    reach the case (paragraph ``no control in force``) or lets it pass (an exception).
    ``policy`` says how an application is met, ``status`` how far each instrument had come.
    ``facts`` are the keys used, ``flips`` what would change the answer, nearest first.
    """

    verdict: str
    policy: str
    paragraph: str
    because: tuple[str, ...]
    facts: tuple[str, ...]
    flips: tuple[str, ...]
    status: tuple[str, ...]
    question: str
    on: date
    figures: Mapping[str, Figure] = field(default_factory=dict, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """The answer as plain data: the JSON of ``chares permit``."""
        return {
            "verdict": self.verdict,
            "policy": self.policy,
            "paragraph": self.paragraph,
            "because": list(self.because),
            "facts": list(self.facts),
            "flips": list(self.flips),
            "status": list(self.status),
            "question": self.question,
            "on": self.on.isoformat(),
        }

    def __str__(self) -> str:
        policy = f", {self.policy}" if self.policy else ""
        return f"{self.verdict}{policy} ({self.paragraph})"


def severity(verdict: str, policy: str) -> tuple[int, int]:
    """A sort key: the stricter answer is the larger."""
    return SEVERITY.get(verdict, SEVERITY["allowed"]), POLICY_SEVERITY.get(policy, 2)
