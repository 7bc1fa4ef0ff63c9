"""Collectives by size, placement and tier.

A group of ``g`` ranks that are ``stride`` accelerators apart has ``inner`` members in one scale-up
domain and ``outer`` domains. Collectives are hierarchical (Thakur et al. 2005, ring; NCCL): what
stays inside the domain crosses the scale-up links, the rest is shared by the inner members' NICs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from chares.ledger import Num
    from chares.model.calibration import Calibration
    from chares.model.hardware import Hardware

#: ranks after which a collective inside a domain takes no more steps: on switches it is a tree, on
#: a torus it runs along the axes (assumed)
LONGEST_RING = 16.0


@dataclass(frozen=True, slots=True)
class Group:
    """Where the ranks of one kind of parallelism sit."""

    size: Num
    inner: Num  # members inside one scale-up domain
    outer: Num  # domains

    @classmethod
    def place(cls, size: Num, stride: Num, domain: Num) -> Group:
        """A group of ``size`` ranks, ``stride`` accelerators apart, in domains of ``domain``."""
        inner = np.minimum(size, np.maximum(1.0, np.floor(domain / stride)))
        return cls(size, inner, size / inner)


@dataclass(frozen=True, slots=True)
class Links:
    """Seconds per byte on both tiers and seconds per step of a collective."""

    up: Num
    out: Num
    up_latency: Num
    out_latency: Num
    congestion: Num
    all_to_all: Num
    all_to_all_out: Num

    @classmethod
    def of(cls, hardware: Hardware, calibration: Calibration) -> Links:
        """The links of an accelerator as calibrated."""
        return cls(
            1.0 / (hardware.scale_up_bandwidth * calibration.up),
            1.0 / (hardware.scale_out_bandwidth * calibration.out),
            calibration.up_latency,
            calibration.out_latency,
            calibration.congestion,
            1.0 / calibration.all_to_all,
            1.0 / calibration.all_to_all_out,
        )


def gather_time(volume: Num, group: Group, links: Links) -> Num:
    """Seconds of an all-gather (or reduce-scatter) whose result has ``volume`` bytes per rank.

    Inside: (i-1)/i of the volume over the scale-up links; outside: (o-1)/o of it, shared by the
    inner members' NICs. Inside, a ring of i ranks is i - 1 steps and one for the kernel (NCCL's
    tuning.cc has 3.4 us a step and 8.4 for the kernel of both halves of an all-reduce, Simple
    protocol on NVLink; measured ones take about twice that). The ring of domains is walked once:
    buckets hide each other's steps.
    """
    slow = 1.0 + links.congestion * np.log2(group.outer)
    inside = volume * (group.inner - 1.0) / group.inner * links.up
    outside = volume * (1.0 - 1.0 / group.outer) / group.inner * links.out * slow
    near = (group.inner > 1.0) * np.minimum(group.inner, LONGEST_RING) * links.up_latency
    return inside + outside + near + (group.outer - 1.0) * links.out_latency


def reduce_time(volume: Num, group: Group, links: Links) -> Num:
    """Seconds of an all-reduce of ``volume`` bytes: a reduce-scatter and an all-gather."""
    return 2.0 * gather_time(volume, group, links)


def exchange_time(volume: Num, group: Group, links: Links, dedup: Num = 1.0) -> Num:
    """Seconds of an all-to-all in which each rank sends ``volume`` bytes in all. Both tiers carry
    their parts side by side: the longer counts, rounded where they are near (root of squares).

    ``dedup`` is the share of the outside volume that is left when copies of a token for one
    domain are sent once (DeepEP); the rest is copied inside.
    """
    doublings = np.log2(group.outer)
    slow = (1.0 + links.congestion * doublings) * links.all_to_all_out
    inside = volume * (group.inner - 1.0) / group.inner * links.up * links.all_to_all
    outside = volume * (1.0 - 1.0 / group.outer) * dedup * links.out * slow
    steps = (group.inner > 1) * links.up_latency + doublings * links.out_latency
    return np.hypot(inside, outside) + steps


def send_time(volume: Num, stride: Num, domain: Num, links: Links) -> Num:
    """Seconds to send ``volume`` bytes to the rank ``stride`` accelerators further on."""
    far = stride >= domain
    return np.where(
        far, volume * links.out + links.out_latency, volume * links.up + links.up_latency
    )
