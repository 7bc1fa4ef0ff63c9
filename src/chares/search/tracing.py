"""One step as a Chrome trace (Perfetto, chrome://tracing): micro-batches of each stage in the order
of the schedule, communication, optimizer.

The order of passes is the schedule's; their lengths are the model's for the slowest stage; passes
wait for each other as the pipeline demands. The end differs from the closed form by what that
rounds; ``otherData`` has both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from chares.model import SCHEDULES
from chares.search.ranking import Ranked

if TYPE_CHECKING:
    from chares.search.asking import Answer

MOST = 64  # micro-batches drawn; a longer step is cut, and says so
FORWARD, BACKWARD = "forward", "backward"
COMPUTE = ("linear", "attention", "experts", "elementwise", "routing", "head")
EXPOSED = ("tp", "cp", "ep")


def trace_of(answer: Answer) -> dict[str, Any]:
    """The trace (Trace Event Format, JSON object form) of one step of the best strategy."""
    best, strategy = answer.best[0], answer.found.best[0].strategy
    stages, chunks = int(strategy.pp), int(strategy.vp)
    count = int(strategy.micro_batches)
    drawn = min(count, max(MOST, 2 * stages) // stages * stages or count)
    per_pass = sum(best.time_s[n] for n in (*COMPUTE, *EXPOSED)) / count
    forward, backward = per_pass / 3.0 / chunks, per_pass * 2.0 / 3.0 / chunks
    hop = best.time_s["pp"] / max(1, 2 * chunks * (count + stages - 1))
    plan = [list(_order(stages, chunks, drawn, stage)) for stage in range(stages)]
    ends = _schedule(plan, stages, chunks, forward, backward, hop)
    events = _names(stages) + [
        _event(
            f"{kind} {micro}" + (f" chunk {chunk}" if chunks > 1 else ""), kind, stage, start, end
        )
        for (stage, kind, micro, chunk), (start, end) in ends.items()
    ]
    last = max(end for _, end in ends.values())
    for name in ("dp", "optimizer", "host", "straggler"):
        if best.time_s[name] > 0:
            where = range(stages)
            events += [_event(name, name, s, last, last + best.time_s[name]) for s in where]
            last += best.time_s[name]
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": _about(answer, best, count, drawn, last),
    }


def _about(answer: Answer, best: Ranked, count: int, drawn: int, last: float) -> dict[str, Any]:
    schedule = SCHEDULES[int(answer.found.best[0].strategy.schedule)]
    return {
        "model": answer.model,
        "chip": answer.chip,
        "chips": answer.asked.n_chips,
        "schedule": schedule,
        "order_drawn": "1f1b" if schedule != "1f1b" else schedule,
        "micro_batches": count,
        "micro_batches_drawn": drawn,
        "step_time_s": best.step_time_s,
        "trace_time_s": last,
    }


def _order(stages: int, chunks: int, micros: int, stage: int) -> Iterator[tuple[str, int, int]]:
    """(kind, micro-batch, chunk) of a stage in 1F1B, interleaved with more than one chunk
    (Narayanan et al. 2021, section 2.2)."""
    total = micros * chunks
    warm = min(total, (stages - stage - 1) * (2 if chunks > 1 else 1) + (chunks - 1) * stages)

    def item(i: int, kind: str) -> tuple[str, int, int]:
        group, inside = divmod(i, stages * chunks)
        chunk = inside // stages if chunks > 1 else 0
        micro = group * stages + inside % stages if chunks > 1 else i
        return kind, micro, chunk if kind == FORWARD else chunks - 1 - chunk

    for i in range(warm):
        yield item(i, FORWARD)
    for i in range(total - warm):
        yield item(warm + i, FORWARD)
        yield item(i, BACKWARD)
    for i in range(total - warm, total):
        yield item(i, BACKWARD)


Key = tuple[int, str, int, int]


def _schedule(
    plan: list[list[tuple[str, int, int]]], stages: int, chunks: int, forward: float,
    backward: float, hop: float,
) -> dict[Key, tuple[float, float]]:  # fmt: skip
    """Start and end of every pass: after the one before it on its stage, and after the one that
    it needs on the next."""
    done: dict[Key, tuple[float, float]] = {}
    free, at = [0.0] * stages, [0] * stages
    moved = True
    while moved:
        moved = False
        for stage, order in enumerate(plan):
            while at[stage] < len(order):
                kind, micro, chunk = order[at[stage]]
                needs = _needed(kind, micro, chunk, stage, stages, chunks)
                if needs is not None and needs not in done:
                    break
                ready = done[needs][1] + (hop if needs[0] != stage else 0.0) if needs else 0.0
                start = max(free[stage], ready)
                free[stage] = start + (forward if kind == FORWARD else backward)
                done[stage, kind, micro, chunk] = start, free[stage]
                at[stage] += 1
                moved = True
    assert all(i == len(order) for i, order in zip(at, plan, strict=True)), "the order deadlocks"
    return done


def _needed(kind: str, micro: int, chunk: int, stage: int, stages: int, chunks: int) -> Key | None:
    """The pass on another stage that must come first."""
    if kind == FORWARD:
        if stage:
            return stage - 1, FORWARD, micro, chunk
        return (stages - 1, FORWARD, micro, chunk - 1) if chunk else None
    if stage < stages - 1:
        return stage + 1, BACKWARD, micro, chunk
    if chunk < chunks - 1:
        return 0, BACKWARD, micro, chunk + 1
    return stage, FORWARD, micro, chunk


def _event(name: str, kind: str, stage: int, start: float, end: float) -> dict[str, Any]:
    return {
        "name": name, "cat": kind, "ph": "X", "pid": 0, "tid": stage,
        "ts": round(start * 1e6, 3), "dur": round((end - start) * 1e6, 3),
    }  # fmt: skip


def _names(stages: int) -> list[dict[str, Any]]:
    return [
        {"name": "thread_name", "ph": "M", "pid": 0, "tid": s, "args": {"name": f"stage {s}"}}
        for s in range(stages)
    ]
