"""What the planner hands to the run: how much arithmetic, at which speed, from which day."""

from __future__ import annotations

from dataclasses import dataclass

from chares.ledger import Figure, Num, formula


@dataclass(frozen=True, slots=True)
class Pace:
    """From a day on the job has so many chips and does ``speed`` useful model FLOP/s, failures
    left out."""

    online: Figure
    chips: Figure
    speed: Figure


@dataclass(frozen=True, slots=True)
class Job:
    """A training job: ``compute`` [FLOP], its paces by day, and what is known beside them.

    ``state`` is the bytes of a checkpoint (None: estimated from the compute), ``mfu`` is only
    shown, ``chip`` chooses the failure rate.
    """

    compute: Figure
    paces: tuple[Pace, ...]
    chip: str
    state: Figure | None = None
    mfu: Figure | None = None


@formula("N peak MFU", unit="FLOP/s")
def speed_from_mfu(N: Num, peak: Num, mfu: Num) -> Num:
    """Useful model FLOP/s of ``N`` chips (MFU as in PaLM, Chowdhery et al. 2022, appendix B)."""
    return N * peak * mfu


@formula("C / (steps t_step)", unit="FLOP/s")
def speed_from_steps(C: Num, steps: Num, t_step: Num) -> Num:
    """Useful model FLOP/s of a job of ``C`` FLOP in so many steps of ``t_step`` [s]."""
    return C / (steps * t_step)


@formula("v N / n", unit="FLOP/s")
def speed_of_chips(v: Num, N: Num, n: Num) -> Num:
    """The speed ``v`` of ``n`` chips, carried over to ``N`` chips in proportion."""
    return v * N / n
