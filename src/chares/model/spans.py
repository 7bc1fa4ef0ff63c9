"""Which stages of a pipeline one looks at: all of them, or a stretch on one kind of accelerator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.shape import Shape
    from chares.model.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive stages of a pipeline and the layers that they have together."""

    stages: Num
    before: Num  # stages of the pipeline that come before these
    layers: Num
    own: tuple[Num, Num] | None = None  # layers of the first and the last, where they are given

    @classmethod
    def whole(cls, shape: Shape, s: Strategy) -> Span:
        """All stages, with all layers."""
        return cls(s.pp, 0, shape.n_layers + shape.mtp_layers)

    @property
    def most(self) -> Num:
        """Layers of a full stage."""
        full: Num = np.ceil(self.layers / self.stages)
        return full

    def opening(self) -> Num:
        """True where the pipeline begins here, with the embedding."""
        first: Num = np.equal(self.before, 0)
        return first

    def closing(self, p: Num) -> Num:
        """True where the pipeline of ``p`` stages ends here, with the head."""
        last: Num = np.equal(self.before + self.stages, p)
        return last

    def ends(self, p: Num) -> tuple[Num, Num]:
        """Layers of the first and of the last of these stages. Where layers do not divide, the
        last stage of the pipeline is given fewer, then its first."""
        if self.own is not None:
            return self.own
        most, closing = self.most, self.closing(p)
        short = most * self.stages - self.layers
        first = self.opening() & np.greater_equal(short, 1 + closing)
        return most - first, most - (closing & np.greater_equal(short, 1))

    def inner(self, first: Num, last: Num) -> Num:
        """Layers of the fullest stage between the first and the last, 0 where there is none."""
        between = np.maximum(self.stages - 2, 1)
        full: Num = np.ceil((self.layers - first - last) / between) * np.greater(self.stages, 2)
        return full
