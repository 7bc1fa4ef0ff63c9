"""Traces: the orders of the schedules against the oracle's, and one step drawn from them."""

from __future__ import annotations

import pytest

from against import pipeline_oracle as oracle
from chares.search.orders import orders, parts_of_model, play

ONE_F_ONE_B, ZB_H1, ZBV, DUALPIPE, GPIPE = range(5)
NAMES = {
    ONE_F_ONE_B: oracle.one_f_one_b, ZB_H1: oracle.zb_h1, ZBV: oracle.zbv,
    DUALPIPE: oracle.dualpipe, GPIPE: oracle.gpipe,
}  # fmt: skip
KINDS = {"F": 1.0, "B": 1.3, "W": 0.6}
CASES = [
    (schedule, p, 1, m)
    for schedule in range(5)
    for p in (1, 2, 3, 4, 8)
    for m in (1, p, 2 * p, 2 * p + 2, 5 * p + 3)
    if schedule != DUALPIPE or (p % 2 == 0 and m % 2 == 0 and m >= 2 * p)
] + [(ONE_F_ONE_B, p, v, k * p) for p in (2, 4, 8) for v in (2, 3) for k in (1, 2, 4)]


@pytest.mark.parametrize(("schedule", "p", "vp", "m"), CASES)
def test_the_orders_are_the_published_ones(schedule: int, p: int, vp: int, m: int) -> None:
    mine = orders(schedule, p, vp, m)
    theirs = oracle.interleaved(p, vp, m) if vp > 1 else NAMES[schedule](p, m)
    told = [
        [tuple((t.kind, t.micro_batch, t.part, t.way) for t in step) for step in order]
        for order in theirs
    ]
    assert [[tuple(map(tuple, work)) for work in order] for order in mine] == told
    parts = parts_of_model(schedule, p, vp)
    lengths = [1.0 + 0.1 * device for device in range(p)]
    played = play(mine, parts, lambda w, device: KINDS[w.kind] * lengths[device])
    run = oracle.evaluate(theirs, parts, lambda t, device: KINDS[t.kind] * lengths[device])
    assert max(x.end for x in played) == pytest.approx(run.time, rel=1e-12)
