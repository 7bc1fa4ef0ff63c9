"""One step as a Chrome trace (Perfetto, chrome://tracing): the passes of every stage in the order
of its schedule, communication that nothing hides, the optimizer.

Orders are the published ones (`orders`). Passes are as long as the model says for their stage; they
wait for each other as the order demands, where the model has a closed form. ``otherData`` has both
ends: the predicted and the drawn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chares.model import SCHEDULES, StageWork, stage_work
from chares.search.orders import (
    DUALPIPE,
    FORWARD,
    INPUT,
    WEIGHTS,
    Played,
    Work,
    orders,
    parts_of_model,
    play,
)

if TYPE_CHECKING:
    from chares.model import Strategy
    from chares.search.asking import Answer
    from chares.search.ranking import Ranked

MOST = 64  # micro-batches drawn, times chunks; a longer step is cut, and says so
COMPUTE = ("linear", "attention", "experts", "elementwise", "routing", "head")
EXPOSED = ("tp", "cp", "ep")
AFTER = ("dp", "optimizer", "host", "straggler")  # what comes behind the pipeline
SECOND_WAY = "from the last stage"


@dataclass(frozen=True)
class _Drawing:
    """What one stage's passes take: seconds by kind of pass, and of them exposed communication."""

    seconds: dict[str, float]
    exposed: dict[str, dict[str, float]]

    @classmethod
    def of(cls, stage: StageWork, pieces: int, send: float) -> _Drawing:
        """A pass over one of ``pieces`` chunks of the stage, with a send to the next stage."""
        plain = {
            FORWARD: float(stage.work.forward) / pieces,
            INPUT: float(stage.work.backward_input) / pieces,
            WEIGHTS: float(stage.work.backward_weight) / pieces,
        }
        # communication waits in the passes that have some, at most as long as they are
        both = plain[FORWARD] + plain[INPUT]
        share = min(1.0, both * pieces / max(sum(stage.exposed.values()), 1e-300)) / pieces / both
        exposed = {
            kind: {name: x * share * plain[kind] for name, x in stage.exposed.items()}
            | {"pp": send}
            for kind in (FORWARD, INPUT)
        }
        plain[FORWARD] += send
        plain[INPUT] += send
        return cls(plain, {**exposed, WEIGHTS: {}})


def trace_of(answer: Answer) -> dict[str, Any]:
    """The trace (Trace Event Format, JSON object form) of one step of the best strategy."""
    best, strategy = answer.best[0], answer.found.best[0].strategy
    schedule, p, vp = int(strategy.schedule), int(strategy.pp), int(strategy.vp)
    count = int(strategy.micro_batches)
    drawn = min(count, max(MOST // vp, 2 * p) // p * p or count)
    asked = answer.asked
    parts = parts_of_model(schedule, p, vp)
    send = best.time_s["pp"] / (2 * vp * (count + p - 1))
    pieces = parts // p
    stages = [
        _Drawing.of(stage, pieces, send * vp / pieces)
        for stage in stage_work(asked.shape, strategy, asked.hardware, asked.calibration)
    ]
    played = play(
        orders(schedule, p, vp, drawn), parts, lambda w, stage: stages[stage].seconds[w.kind]
    )
    events = [*_names(p), *(e for x in played for e in _passes(x, stages, strategy, drawn))]
    end = last = max(x.end for x in played)
    for name in AFTER:
        if best.time_s[name] > 0:
            after = last + best.time_s[name]
            events += [_event(name, name, stage, last, after) for stage in range(p)]
            last = after
    return {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {
            "model": answer.model,
            "chip": answer.chip,
            "chips": asked.n_chips,
            "schedule": SCHEDULES[schedule],
            "micro_batches": count,
            "micro_batches_drawn": drawn,
            "step_time_s": best.step_time_s,
            "trace_time_s": last,
            "pipeline_time_s": _predicted(best, count, drawn, p),
            "trace_pipeline_time_s": end,
        },
    }


def _predicted(best: Ranked, count: int, drawn: int, p: int) -> float:
    """Seconds of the pipeline in closed form, for the micro-batches drawn."""
    work = sum(best.time_s[name] for name in (*COMPUTE, *EXPOSED)) * drawn / count
    return work + best.time_s["bubble"] + best.time_s["pp"] * (drawn + p - 1) / (count + p - 1)


def _passes(
    played: Played, stages: list[_Drawing], strategy: Strategy, drawn: int
) -> Iterator[dict[str, Any]]:
    """The slices of work that runs as one: computation on the stage's track, then what it is left
    waiting for on the track of its communication."""
    stage, at = stages[played.device], played.start
    pending = list(played.work)
    while pending:
        w = pending.pop(0)
        joined = [w]
        if w.kind == INPUT and pending and pending[0].kind == WEIGHTS:
            joined.append(pending.pop(0))
        waits = {k: v for x in joined for k, v in stage.exposed[x.kind].items() if v > 0}
        length = sum(stage.seconds[x.kind] for x in joined) - sum(waits.values())
        name, category = _told(w, len(joined) > 1, strategy, drawn)
        pair = {"pair": _pair(played, strategy, drawn)} if len(played.work) > 2 else {}
        yield _event(name, category, played.device, at, at + length, pair)
        at += length
        for kind, seconds in waits.items():
            track = int(strategy.pp) + played.device
            yield _event(f"{kind} of {name}", kind, track, at, at + seconds)
            at += seconds


def _told(w: Work, whole: bool, strategy: Strategy, drawn: int) -> tuple[str, str]:
    """Name and category of a pass."""
    kinds = {FORWARD: "forward", INPUT: "backward input", WEIGHTS: "backward weights"}
    kind = "backward" if whole else kinds[w.kind]
    p = int(strategy.pp)
    both = int(strategy.schedule) == DUALPIPE
    name = f"{kind} {w.micro + w.way * drawn // 2}"
    chunks = parts_of_model(int(strategy.schedule), p, int(strategy.vp)) // p
    if chunks > 1:
        name += f" chunk {w.part // p}"
    return (f"{name} {SECOND_WAY}" if both and w.way else name), kind


def _pair(played: Played, strategy: Strategy, drawn: int) -> str:
    """The forward and the backward that run as one."""
    first, second = played.work[0], played.work[1]
    return " with ".join(_told(w, w.kind == INPUT, strategy, drawn)[0] for w in (first, second))


def _event(
    name: str, kind: str, track: int, start: float, end: float, args: dict[str, Any] | None = None
) -> dict[str, Any]:
    return {
        "name": name, "cat": kind, "ph": "X", "pid": 0, "tid": track,
        "ts": round(start * 1e6, 3), "dur": round((end - start) * 1e6, 3),
    } | ({"args": args} if args else {})  # fmt: skip


def _names(p: int) -> Iterator[dict[str, Any]]:
    """Names of the tracks: each stage, and below it its communication."""
    for stage in range(p):
        for track, name in ((stage, f"stage {stage}"), (p + stage, f"stage {stage}: waits for")):
            place = 2 * stage + (track >= p)
            for what, args in (("name", {"name": name}), ("sort_index", {"sort_index": place})):
                yield {"name": f"thread_{what}", "ph": "M", "pid": 0, "tid": track, "args": args}
