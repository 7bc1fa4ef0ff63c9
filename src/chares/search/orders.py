"""Pipeline schedules as orders: which pass each device runs after which, and when.

The orders are those of the papers and of the code published with them; the closed forms of the
model predict how long they take, this module plays them.

* 1F1B and interleaved 1F1B: Narayanan et al. 2021, figure 4, and Megatron-LM's schedules;
* GPipe: Huang et al. 2018, figure 2c;
* ZB-H1: Qi et al. 2023, "Zero Bubble Pipeline Parallelism", figure 3;
* ZBV: Qi et al. 2024, "Pipeline Parallelism with Controllable Memory", V-ZB, in the order of
  PyTorch's ScheduleZBVZeroBubble;
* DualPipe: DeepSeek-V3 technical report, figure 5, in the order of the published dualpipe.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from chares.model import SCHEDULES

ONE_F_ONE_B, ZB_H1, ZBV, DUALPIPE, GPIPE = (
    SCHEDULES.index(name) for name in ("1f1b", "zb-h1", "zbv", "dualpipe", "gpipe")
)
FORWARD, INPUT, WEIGHTS = "F", "B", "W"  # backward of the input, of the weights


class Work(NamedTuple):
    """One pass of one micro-batch: ``part`` of the model counts along its ``way``.

    Only DualPipe has two ways: the second enters at the last device, its micro-batches are counted
    anew.
    """

    kind: str
    micro: int
    part: int
    way: int = 0


#: passes that run as one: what they make leaves when the last of them ends
Joined = tuple[Work, ...]
Order = list[Joined]


@dataclass(frozen=True)
class Played:
    """When a joined piece of work ran on a device, in seconds."""

    device: int
    work: Joined
    start: float
    end: float


def orders(schedule: int, p: int, vp: int, m: int) -> list[Order]:
    """What each of ``p`` devices runs, in turn, for ``m`` micro-batches."""
    if schedule == DUALPIPE:
        return [list(_dualpipe(p, m, device)) for device in range(p)]
    if schedule == ONE_F_ONE_B and vp > 1:
        return [list(_interleaved(p, vp, m, device)) for device in range(p)]
    made: dict[int, Callable[[int, int, int], Iterable[tuple[str, int]]]] = {
        ONE_F_ONE_B: _one_f_one_b, ZB_H1: _zb_h1, ZBV: _zbv, GPIPE: _gpipe,
    }  # fmt: skip
    found = [_counted(made[schedule](p, m, device), m) for device in range(p)]
    if schedule == GPIPE:  # last in, first out
        found = [[_last_first(x, m) for x in order] for order in found]
    if schedule in (ONE_F_ONE_B, GPIPE):
        found = [[_whole_backward(x) for x in order] for order in found]
    return found


def _last_first(work: Joined, m: int) -> Joined:
    (only,) = work
    return (only._replace(micro=m - 1 - only.micro),) if only.kind == INPUT else work


def _whole_backward(work: Joined) -> Joined:
    (only,) = work
    return (only, only._replace(kind=WEIGHTS)) if only.kind == INPUT else work


def parts_of_model(schedule: int, p: int, vp: int) -> int:
    """Into how many parts the layers are cut."""
    return 2 * p if schedule == ZBV else p * vp


def play(plan: list[Order], parts: int, seconds: Callable[[Work, int], float]) -> list[Played]:
    """Start and end of all work: after what comes before it on its device, and after what it needs
    from others. ``seconds`` gives a pass's time on a device."""
    done: dict[Work, float] = {}
    found: list[Played] = []
    free, at = [0.0] * len(plan), [0] * len(plan)
    moved = True
    while moved:
        moved = False
        for device, order in enumerate(plan):
            while at[device] < len(order):
                work = order[at[device]]
                needs = [n for w in work for n in _needs(w, parts) if n not in work]
                if any(n not in done for n in needs):
                    break
                start = max([free[device], *(done[n] for n in needs)])
                free[device] = start + sum(seconds(w, device) for w in work)
                done.update(dict.fromkeys(work, free[device]))
                found.append(Played(device, work, start, free[device]))
                at[device] += 1
                moved = True
    assert all(i == len(order) for i, order in zip(at, plan, strict=True)), "the order deadlocks"
    return found


def _needs(w: Work, parts: int) -> list[Work]:
    """The pass whose result a pass works on."""
    if w.kind == FORWARD:
        return [w._replace(part=w.part - 1)] if w.part else []
    if w.kind == WEIGHTS:
        return [w._replace(kind=INPUT)]
    if w.part == parts - 1:
        return [w._replace(kind=FORWARD)]
    return [w._replace(part=w.part + 1)]


# the orders, as kinds and parts; micro-batches are counted as they come --------------------------


def _counted(tokens: Iterable[tuple[str, int]], m: int) -> Order:
    """The n-th pass of a kind over a part is that of micro-batch n; those beyond ``m`` fall out."""
    seen: Counter[tuple[str, int]] = Counter()
    order: Order = []
    for token in tokens:
        if seen[token] < m:
            order.append((Work(token[0], seen[token], token[1]),))
        seen[token] += 1
    return order


def _gpipe(p: int, m: int, device: int) -> Iterator[tuple[str, int]]:
    yield from [(FORWARD, device)] * m + [(INPUT, device)] * m


def _one_f_one_b(p: int, m: int, device: int) -> Iterator[tuple[str, int]]:
    warm = min(p - device - 1, m)
    yield from [(FORWARD, device)] * warm
    yield from [(FORWARD, device), (INPUT, device)] * (m - warm)
    yield from [(INPUT, device)] * warm


def _zb_h1(p: int, m: int, device: int) -> Iterator[tuple[str, int]]:
    """1F1B whose device d puts off d backwards of weights, to fill its end with them."""
    behind = 0
    for kind, part in _one_f_one_b(p, m, device):
        yield kind, part
        if kind == INPUT:
            behind += 1
            if behind > device:
                yield WEIGHTS, part
    yield from [(WEIGHTS, device)] * min(device, m)


def _zbv(p: int, m: int, device: int) -> Iterator[tuple[str, int]]:
    """Device d has the parts d, on the way down the V, and 2 p - 1 - d, on the way up. Fewer than
    2 p - 1 micro-batches run in the order of so many, thinned out."""
    down, up = device, 2 * p - 1 - device
    n = max(m, 2 * p - 1)
    before, after = p - device, n - (2 * p - device) + 1
    climb = [(kind, up) for kind in (FORWARD, INPUT, WEIGHTS)]
    yield from [(FORWARD, down)] * (2 * before - 1)
    yield from [(FORWARD, up), (FORWARD, down)] * device
    yield from climb * before
    for i in range(n - p):
        if i < after:
            yield FORWARD, down
        yield from [(INPUT, down), (WEIGHTS, down), *climb]
    yield from [(INPUT, down), (INPUT, up)] * device
    yield from [(INPUT, down), (WEIGHTS, down)] * before
    yield from [(WEIGHTS, up)] * device + [(WEIGHTS, down)] * device


def _interleaved(p: int, vp: int, m: int, device: int) -> Iterator[Joined]:
    """Micro-batches go through the chunks in groups of ``p``."""
    total = m * vp
    warm = min(total, (p - device - 1) * 2 + (vp - 1) * p) if m > p else total

    def place(i: int) -> tuple[int, int]:
        group, inside = divmod(i, p * vp)
        return group * p + inside % p, inside // p

    def forward(i: int) -> Joined:
        micro, chunk = place(i)
        return (Work(FORWARD, micro, chunk * p + device),)

    def backward(i: int) -> Joined:
        micro, chunk = place(i)
        part = (vp - 1 - chunk) * p + device
        return Work(INPUT, micro, part), Work(WEIGHTS, micro, part)

    yield from map(forward, range(warm))
    for i in range(total - warm):
        yield forward(warm + i)
        yield backward(i)
    yield from map(backward, range(total - warm, total))


def _dualpipe(p: int, m: int, device: int) -> Iterator[Joined]:
    """Half of the micro-batches enter at either end. A forward of one way and a backward of the
    other run as one; ``near`` is the way that enters closer to the device."""
    inner = min(device, p - 1 - device)
    rest = p // 2 - 1 - inner
    near = int(device >= p // 2)
    far = 1 - near
    part = (device, p - 1 - device)
    seen: Counter[tuple[str, int]] = Counter()
    late: list[Work] = []

    def work(kind: str, way: int) -> Work:
        seen[kind, way] += 1
        return Work(kind, seen[kind, way] - 1, part[way], way)

    def forward(way: int) -> Joined:
        return (work(FORWARD, way),)

    def backward(way: int) -> Joined:
        first = work(INPUT, way)
        return first, first._replace(kind=WEIGHTS)

    def put_off(way: int) -> Joined:
        first = work(INPUT, way)
        late.append(first._replace(kind=WEIGHTS))
        return (first,)

    for _ in range(2 * rest):
        yield forward(near)
    for _ in range(inner + 1):
        yield forward(near)
        yield forward(far)
    for _ in range(rest):
        yield put_off(far)
        yield (late.pop(0),)
        yield forward(far)
    for i in range(m // 2 - p + inner + 1):
        if i == 0 and not rest:  # the middle has just made itself what it needs
            yield forward(near)
            yield backward(far)
        else:
            yield forward(near) + backward(far)
        yield forward(far) + backward(near)
    for _ in range(rest):
        yield backward(far)
        yield forward(far) + backward(near)
    for i in range(2 * (inner + 1)):  # from half way on the weights wait
        way = near if i % 2 else far
        yield put_off(way) if i > inner else backward(way)
    for _ in range(rest):
        yield (late.pop(0),)
        yield put_off(near)
    while late:
        yield (late.pop(0),)
