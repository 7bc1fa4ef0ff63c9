"""Must a training run or a cluster be reported? EO 14110 and its successors, by day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from math import log

from chares.errors import InputError
from chares.facts import Facts, load
from chares.permit.answers import Verdict
from chares.permit.measures import Measured, name, show
from chares.permit.rulebook import Condition, Instrument, Rule, instruments

NO_DUTY = "below every threshold"


def report(
    on: date,
    facts: Facts | None = None,
    *,
    instrument: str = "eo-14110",
    training_operations: float | None = None,
    biological: bool = False,
    cluster: Mapping[str, float] | None = None,
    network: float | None = None,
    one_site: bool = True,
    revenue: float | None = None,
) -> Verdict:
    """Whether one instrument asks for a report on a day: ``notify``, ``allowed`` (no duty),
    ``no-rule`` (not yet, or no longer) or ``unknown``.

    ``training_operations``: of the run (FLOP). ``cluster``: theoretical maximum by dtype (OP/s,
    e.g. ``{"int8": 1.98e20, "bf16": 9.9e19}``); the order counts integer or floating-point
    operations, so the largest decides, and every reading is told. ``network``: data-centre
    networking of the cluster (B/s). ``revenue``: of the year before (USD).

    Raises `InputError` (``nothing-asked``, ``unknown-instrument``).
    """
    facts = facts or load()
    kept = facts.document("law/instruments")["report"]
    if instrument not in kept:
        raise InputError("unknown-instrument", f"`{instrument}` is not kept", hint=", ".join(kept))
    case = _case(training_operations, biological, cluster, network, one_site, revenue)
    return _one(instrument, case, cluster or {}, on, facts)


def reports(
    on: date,
    facts: Facts | None = None,
    *,
    training_operations: float | None = None,
    biological: bool = False,
    cluster: Mapping[str, float] | None = None,
    network: float | None = None,
    one_site: bool = True,
    revenue: float | None = None,
) -> dict[str, Verdict]:
    """`report` for every instrument kept, by its id."""
    facts = facts or load()
    case = _case(training_operations, biological, cluster, network, one_site, revenue)
    kept = facts.document("law/instruments")["report"]
    return {id_: _one(id_, case, cluster or {}, on, facts) for id_ in kept}


def _case(
    training_operations: float | None, biological: bool, cluster: Mapping[str, float] | None,
    network: float | None, one_site: bool, revenue: float | None,
) -> Measured:  # fmt: skip
    if training_operations is None and not cluster:
        raise InputError(
            "nothing-asked", "neither a training run nor a cluster is given",
            hint="give its operations, such as `4.64e26 FLOP`",
        )  # fmt: skip
    return {
        "training_operations": training_operations,
        "biological": biological,
        "cluster_operations": max(cluster.values()) if cluster else None,
        "cluster_network": network,
        "one_site": one_site,
        "revenue": revenue,
    }


def _one(id: str, case: Measured, cluster: Mapping[str, float], on: date, facts: Facts) -> Verdict:
    question = f"report under {facts.subject(id).name}"
    act = next((i for i in instruments(facts, "report") if i.id == id), None)
    if act is None:
        why = (f"Nothing of it was published by {facts.known_by}.",)
        return Verdict("no-rule", "", "no rule of this kind yet", why, (), (), (), question, on)
    verdict, rule = _answer(act, case, on)
    return Verdict(
        verdict, rule.outcomes[0].policy if rule and verdict == "notify" else "",
        rule.paragraph if rule else NO_DUTY if verdict == "allowed" else act.citation,
        tuple(_because(act, case, on, verdict, cluster)), _keys(act, case, verdict, rule),
        tuple(_flips(act, case, on, verdict, cluster)), (act.standing(on),), question, on,
    )  # fmt: skip


def _asked(act: Instrument, case: Measured) -> list[Rule]:
    """The rules about the things that were asked: a run, a cluster, or both."""
    subjects = {"training_operations", "cluster_operations"}
    return [
        r for r in act.rules
        if all(case[c.measure] is not None for c in r.when if c.measure in subjects)
    ]  # fmt: skip


def _answer(act: Instrument, case: Measured, on: date) -> tuple[str, Rule | None]:
    if act.state(on) != "binding":
        return "no-rule", None
    results = [(r, r.holds(case)) for r in _asked(act, case) if r.spell.holds(on)]
    for verdict, wanted in (("notify", True), ("unknown", None)):
        for rule, holds in results:
            if holds is wanted:
                return verdict, rule
    return "allowed", None


def _because(
    act: Instrument, case: Measured, on: date, verdict: str, cluster: Mapping[str, float]
) -> Iterator[str]:
    if verdict == "no-rule":
        yield f"{act.name} asks for nothing on {on} ({act.standing(on)})."
        return
    for rule in _asked(act, case):
        holds = rule.holds(case)
        failed = [c for c in rule.when if c.holds(case) is False]
        if failed:
            yield f"{rule.paragraph} ({rule.id}) is not met: {failed[0].fails(case)}."
        else:
            word = "is met" if holds else "cannot be told"
            tests = "; ".join(c.says(case) for c in rule.when)
            yield f"{rule.paragraph} ({rule.id}) {word}: {tests}."
    yield from _readings(act, case, cluster)
    if on > act.checked_to:
        yield f"The law was read as of {act.checked_to}; what changed after that is not known."


def _readings(act: Instrument, case: Measured, cluster: Mapping[str, float]) -> Iterator[str]:
    """The cluster line at each dtype: the order counts the theoretical maximum."""
    lines = [c for r in act.rules for c in r.when if c.measure == "cluster_operations"]
    for condition in lines:
        for dtype, speed in sorted(cluster.items(), key=lambda entry: -entry[1]):
            crossed = condition.holds({**case, "cluster_operations": speed})
            word = "reaches" if crossed else "does not reach"
            limit = show("cluster_operations", condition.limit)
            yield f"Counted at {dtype}, {show('cluster_operations', speed)} {word} {limit}."


def _keys(act: Instrument, case: Measured, verdict: str, rule: Rule | None) -> tuple[str, ...]:
    if verdict == "no-rule":
        return tuple(dict.fromkeys(k for r in act.rules for k in r.uses))
    rules = [rule] if rule else _asked(act, case)
    keys = [c.key for r in rules for c in r.when if c.key] + [k for r in rules for k in r.uses]
    return tuple(dict.fromkeys(keys))


def _flips(
    act: Instrument, case: Measured, on: date, verdict: str, cluster: Mapping[str, float]
) -> Iterator[str]:
    told: set[str] = set()
    conditions = dict.fromkeys(c for r in _asked(act, case) for c in r.when)
    for condition in sorted(conditions, key=lambda c: _distance(c, case)):
        found = [] if condition.measure in told else [*_turn(act, case, on, verdict, condition)]
        told |= {condition.measure} if found else set()
        yield from found
    for dtype, speed in cluster.items():
        then = _answer(act, {**case, "cluster_operations": speed}, on)[0]
        if then != verdict:
            yield f"counting {dtype} alone ({show('cluster_operations', speed)}): {then}"
    days = sorted(act.days())
    for day in reversed([d for d in days if d <= on]):
        then = _answer(act, case, day - timedelta(days=1))[0]
        if then != verdict:
            yield f"before {day}: {then}"
            break
    for day in (d for d in days if d > on):
        then = _answer(act, case, day)[0]
        if then != verdict:
            yield f"from {day}: {then}"
            break


def _distance(condition: Condition, case: Measured) -> float:
    """How far a measure is from a limit, in powers of e (flags and unknowns first)."""
    value = case[condition.measure]
    if condition.test == "is" or not value:
        return 0.0
    return abs(log(float(value)) - log(float(condition.limit)))


def _turn(
    act: Instrument, case: Measured, on: date, verdict: str, condition: Condition
) -> Iterator[str]:
    """One condition turned round: what follows, if it is anything else."""
    measure, limit = condition.measure, condition.limit
    holds = condition.holds(case)
    if holds is None:
        if verdict == "unknown":
            yield f"knowing the {name(measure)} ({condition.says(case)})"
        return
    inclusive = condition.test in ("at_least", "below")
    other: float | bool = not case[measure]
    words = f"{'' if other else 'not '}{name(measure)}"
    if condition.test != "is":
        up = holds is (condition.test in ("below", "at_most"))  # turning it means more
        past = float(limit) * (1 + 1e-6 if up else 1 - 1e-6)
        other = float(limit) if up is inclusive else past
        word = ("at least" if inclusive else "above") if up else (
            "below" if inclusive else "at most"
        )  # fmt: skip
        words = (
            f"{name(measure)} {word} {show(measure, limit)} (now {show(measure, case[measure])})"
        )
    then = _answer(act, {**case, measure: other}, on)[0]
    if then != verdict:
        yield f"{words}: {then}"
