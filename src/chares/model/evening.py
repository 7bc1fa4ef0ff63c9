"""Stages of whole layers that take as equal a time as they can; the last one has the head too."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from chares.ledger import Num

#: codes of `Strategy.balance`: equal layers; equal time, with parts of layers (what a published run
#: with stages of its own is taken for); equal time, in whole layers
EQUAL_LAYERS, EQUAL_TIME, WHOLE_LAYERS = range(3)


class Evened(NamedTuple):
    """Layers of the first stage, of a full one and of the last; what the slowest takes, in layers'
    time."""

    first: Num
    full: Num
    last: Num
    slowest: Num


def evened(depth: Num, p: Num, head: Num) -> Evened:
    """The least possible slowest stage of ``p`` stages with ``depth`` whole layers, where the head
    takes as long as ``head`` layers.

    Either a full stage is the slowest, and the last has as many layers less as the head needs; or
    the last and full stages have what fits beside it. The shorter of the two is taken; what
    remains over is left out of the first stage, which holds most activations.
    """
    more, less = np.ceil(head), np.floor(head)
    others = np.maximum(p - 1, 1)
    inner = np.ceil((depth + more) / p)
    headless = inner < more  # the head alone takes longer than a stage: no layer beside it
    inner = np.where(headless, np.maximum(np.ceil(depth / others), head), inner)
    outer = np.maximum(0.0, np.ceil((depth - (p - 1) * less) / p)) + head
    slowest = np.where(np.greater(p, 1), np.minimum(inner, outer), depth + head)
    near = 1e-9  # of a layer: against rounding
    last = np.minimum(depth, np.maximum(0.0, np.floor(slowest - head + near)))
    full = np.where(np.greater(p, 1), np.ceil((depth - last) / others), last)
    over = np.greater_equal((p - 1) * full + last - depth, 1)
    first = full - (over & np.greater(p, 1))
    return Evened(first[()], full[()], last[()], slowest[()])
