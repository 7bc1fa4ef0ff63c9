"""Pipeline schedules task by task: the oracle of `chares.model.schedule`.

Each device has a fixed order of steps, as the papers or their code give it. A step is one task or
several that run as one: it starts when the device is free and all inputs have arrived, and its
results leave when it ends. Nothing here is a formula.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

F, B, W = "F", "B", "W"  # forward; backward of the input; backward of the weights


@dataclass(frozen=True)
class Task:
    """One piece of work: ``part`` counts the parts of the model along the way of a micro-batch.

    ``way`` tells apart the two directions of DualPipe (0: enters at device 0).
    """

    kind: str
    micro_batch: int
    part: int
    way: int = 0


Step = tuple[Task, ...]
Orders = list[list[Step]]  # by device


@dataclass(frozen=True)
class Run:
    """What came of it: the end of the last task, idle time and peak activations by device."""

    time: float
    idle: list[float]
    peak: list[float]  # micro-batches whose activations a device holds, in whole stages


def gpipe(p: int, m: int) -> Orders:
    """All forwards, then all backwards (Huang et al. 2018, figure 2c), last in first out."""
    return [
        [(Task(F, i, s),) for i in range(m)]
        + [(Task(B, i, s), Task(W, i, s)) for i in reversed(range(m))]
        for s in range(p)
    ]


def one_f_one_b(p: int, m: int) -> Orders:
    """Narayanan et al. 2021, figure 4 top."""
    orders: Orders = []
    for s in range(p):
        warm = min(p - s - 1, m)
        order: list[Step] = [(Task(F, i, s),) for i in range(warm)]
        for i in range(m):
            if warm + i < m:
                order.append((Task(F, warm + i, s),))
            order.append((Task(B, i, s), Task(W, i, s)))
        orders.append(order)
    return orders


def interleaved(p: int, v: int, m: int) -> Orders:
    """Narayanan et al. 2021, figure 4 bottom; order of Megatron-LM's schedules.py. Micro-batches
    go through the parts in groups of p; where m < p, there is one group of m.
    """
    group = min(p, m)
    assert m % group == 0
    total = m * v

    def place(k: int, s: int, last_first: bool) -> tuple[int, int]:
        block, rest = divmod(k, group * v)
        chunk = v - 1 - rest // group if last_first else rest // group
        return block * group + rest % group, chunk * p + s

    orders: Orders = []
    for s in range(p):
        warm = total if m <= p else min((p - s - 1) * 2 + (v - 1) * p, total)
        order: list[Step] = [(Task(F, *place(k, s, False)),) for k in range(warm)]
        for k in range(total):
            if warm + k < total:
                order.append((Task(F, *place(warm + k, s, False)),))
            at = place(k, s, True)
            order.append((Task(B, *at), Task(W, *at)))
        orders.append(order)
    return orders


def zb_h1(p: int, m: int) -> Orders:
    """Qi et al. 2023, figure 3 top: 1F1B whose stage s puts off s backwards of weights."""
    orders: Orders = []
    for s in range(p):
        warm = min(p - s - 1, m)
        order = [Task(F, i, s) for i in range(warm)]
        for i in range(m):
            if warm + i < m:
                order.append(Task(F, warm + i, s))
            order.append(Task(B, i, s))
            if i >= s:
                order.append(Task(W, i - s, s))
        order += [Task(W, i, s) for i in range(max(0, m - s), m)]
        orders.append([(t,) for t in order])
    return orders


def zbv(p: int, m: int) -> Orders:
    """Qi et al. 2024, V-ZB; order of PyTorch's ScheduleZBVZeroBubble. Device s has the parts s
    and 2 p - 1 - s.
    """
    orders: Orders = []
    n = max(2 * p - 1, m)  # with fewer micro-batches the order is that of 2 p - 1, thinned out
    for s in range(p):
        first, second = s, 2 * p - 1 - s
        done = {(k, part): 0 for k in (F, B, W) for part in (first, second)}
        order: list[Task] = []

        def add(kind: str, part: int, order: list[Task] = order, done: dict = done) -> None:
            order.append(Task(kind, done[kind, part], part))
            done[kind, part] += 1

        for _ in range(2 * (p - s) - 1):
            add(F, first)
        for _ in range(s):
            add(F, second)
            add(F, first)
        for _ in range(p - s):
            for kind in (F, B, W):
                add(kind, second)
        while done[F, second] < done[F, first] or done[F, first] < n:
            if done[F, first] < n:
                add(F, first)
            add(B, first)
            add(W, first)
            for kind in (F, B, W):
                add(kind, second)
        for _ in range(s):
            add(B, first)
            add(B, second)
        for _ in range(p - s):
            add(B, first)
            add(W, first)
        for part in (second, first):
            while done[W, part] < done[B, part]:
                add(W, part)
        orders.append([(t,) for t in order if t.micro_batch < m])
    return orders


class _DualPipe:
    """One device's order: forwards and backwards of both ways, in the terms of dualpipe.py."""

    def __init__(self, p: int, rank: int) -> None:
        self.place = (rank, p - 1 - rank)
        self.flip = int(rank >= p // 2)  # the far half calls the other way its first
        self.done = {(k, d): 0 for k in (F, B) for d in (0, 1)}
        self.order: list[Step] = []
        self.late: list[Task] = []

    def task(self, kind: str, phase: int) -> Task:
        way = phase ^ self.flip
        self.done[kind, way] += 1
        return Task(kind, self.done[kind, way] - 1, self.place[way], way)

    def forward(self, phase: int) -> None:
        self.order.append((self.task(F, phase),))

    def backward(self, phase: int, late: bool = False) -> None:
        t = self.task(B, phase)
        w = Task(W, t.micro_batch, t.part, t.way)
        self.order.append((t,) if late else (t, w))
        if late:
            self.late.append(w)

    def pair(self, phase: int) -> None:
        t = self.task(B, 1 - phase)
        self.order.append((self.task(F, phase), t, Task(W, t.micro_batch, t.part, t.way)))

    def weights(self) -> None:
        self.order.append((self.late.pop(0),))


def dualpipe(p: int, m: int) -> Orders:
    """DeepSeek-V3, figure 5; order of the published dualpipe.py (p and m even, m >= 2 p).

    Half of the micro-batches enter at either end. A pair of forward and backward is one step.
    """
    assert p % 2 == 0
    assert m % 2 == 0
    assert m >= 2 * p
    orders: Orders = []
    for rank in range(p):
        h, d = min(rank, p - 1 - rank), _DualPipe(p, rank)
        rest = p // 2 - h - 1
        for _ in range(2 * rest):
            d.forward(0)
        for _ in range(h + 1):
            d.forward(0)
            d.forward(1)
        for _ in range(rest):
            d.backward(1, late=True)
            d.weights()
            d.forward(1)
        for i in range(m // 2 - p + h + 1):
            if i == 0 and h == p // 2 - 1:  # the middle has just sent itself what it needs
                d.forward(0)
                d.backward(1)
            else:
                d.pair(0)
            d.pair(1)
        for _ in range(rest):
            d.backward(1)
            d.pair(1)
        late = False
        for i in range(h + 1):
            late = late or (i == (h + 1) // 2 and h % 2 == 1)
            d.backward(1, late)
            late = late or (i == (h + 1) // 2 and h % 2 == 0)
            d.backward(0, late)
        for _ in range(rest):
            d.weights()
            d.backward(0, late=True)
        while d.late:
            d.weights()
        orders.append(d.order)
    return orders


def evaluate(
    orders: Orders,
    parts: int,
    duration: Callable[[Task, int], float],
    p2p: float = 0.0,
    holds: float = 1.0,
) -> Run:
    """Run the orders. ``duration`` gives a task's time on a device, ``p2p`` the time between two
    devices, ``holds`` the share of a stage's activations that one part holds. Raises on deadlock.
    """
    end: dict[Task, float] = {}
    home = {t: s for s, order in enumerate(orders) for step in order for t in step}
    clock, place = [0.0] * len(orders), [0] * len(orders)
    left = sum(map(len, orders))
    while left:
        before = left
        for s, order in enumerate(orders):
            while place[s] < len(order):
                step = order[place[s]]
                inputs = [n for t in step for n in _needs(t, parts) if n not in step]
                if any(n not in end for n in inputs):
                    break
                arrived = [end[n] + (p2p if home[n] != s else 0.0) for n in inputs]
                clock[s] = max([clock[s], *arrived]) + sum(duration(t, s) for t in step)
                end.update((t, clock[s]) for t in step)
                place[s] += 1
                left -= 1
        if left == before:
            raise AssertionError("the orders wait for each other")
    busy = [sum(duration(t, s) for step in o for t in step) for s, o in enumerate(orders)]
    time = max(clock)
    return Run(time, [time - x for x in busy], [_peak(order, holds) for order in orders])


def _needs(t: Task, parts: int) -> list[Task]:
    """The task whose result a task works on."""
    if t.kind == F:
        return [Task(F, t.micro_batch, t.part - 1, t.way)] if t.part else []
    if t.kind == W:
        return [Task(B, t.micro_batch, t.part, t.way)]
    if t.part == parts - 1:
        return [Task(F, t.micro_batch, t.part, t.way)]
    return [Task(B, t.micro_batch, t.part + 1, t.way)]


def _peak(order: Sequence[Step], holds: float) -> float:
    """Activations are kept from the forward to the backward of the weights."""
    now = most = 0.0
    for t in (t for step in order for t in step):
        if t.kind == F:
            now += holds
            most = max(most, now)
        elif t.kind == W:
            now -= holds
    return most
