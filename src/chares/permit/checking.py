"""The late door: the numbers of a finished plan, put to every law that the case meets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from chares.facts import Facts, load
from chares.ledger import NotAsked
from chares.permit.answers import Verdict
from chares.permit.exporting import export
from chares.permit.reporting import reports

if TYPE_CHECKING:
    from chares.spec import Case


def check(
    case: Case,
    facts: Facts | None = None,
    *,
    training_operations: float | None = None,
    trained_on: date | None = None,
    cluster: Mapping[str, float] | None = None,
    cluster_online: date | None = None,
    network: float | None = None,
    revenue: float | None = None,
) -> dict[str, Verdict] | NotAsked:
    """The verdicts of a case by question: ``export.<chip>`` for each chip of the fleet that goes
    to ``permit.destination`` on the day it was bought, ``report.<instrument>`` for its training
    run on the day ``trained_on`` (default the case's), and ``cluster.<instrument>`` for its
    cluster on the day that it was complete.

    The numbers come from later stages, as plain numbers: FLOP of the run, theoretical maximum of
    the cluster by dtype (OP/s), its network (B/s; default the case's).
    """
    facts = facts or load()
    if case.known_by:
        facts = facts.known(case.known_by)
    part = case.permit
    found: dict[str, Verdict] = {}
    if part and part.destination:
        for chip in dict.fromkeys(batch.chip for batch in case.fleet):
            found[f"export.{chip}"] = export(
                chip, part.destination, part.bought or case.as_of, facts,
                headquarters=part.headquarters or "",
            )  # fmt: skip
    if training_operations is not None:
        answers = reports(
            trained_on or case.as_of, facts, training_operations=training_operations,
            biological=bool(part and part.biological), revenue=revenue,
        )  # fmt: skip
        found |= {f"report.{i}": v for i, v in answers.items()}
    if cluster:
        wire = network if network is not None else part.network if part else None
        answers = reports(cluster_online or case.as_of, facts, cluster=cluster, network=wire)
        found |= {f"cluster.{i}": v for i, v in answers.items() if _about_clusters(i, facts)}
    if not found and part and part.destination:
        return NotAsked("the case names a destination and no chip to send there")
    if not found:
        return NotAsked("the case names no destination, no training run and no cluster")
    return found


def _about_clusters(id: str, facts: Facts) -> bool:
    rules = facts.document(id)["rules"]
    return any(c["measure"] == "cluster_operations" for r in rules for c in r.get("when", ()))
