"""The best strategy as a job configuration of a public framework.

Option names, types and choices are those of one release of each framework, which the modules name;
``tests/against/launch_options.json`` holds them as read from its sources. What a framework cannot
express is said in a comment or refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from chares.errors import NoPlan, UnknownName
from chares.search.launch_bridge import bridge_text
from chares.search.launch_deepspeed import deepspeed_values
from chares.search.launch_job import DUALPIPE, GPIPE, LATENT, ONE_F_ONE_B, ZBV, Job, job_of, whole
from chares.search.launch_maxtext import maxtext_values
from chares.search.launch_megatron import megatron_text
from chares.search.launch_torchtitan import torchtitan_sections

if TYPE_CHECKING:
    from chares.model import Shape
    from chares.search.asking import Answer
    from chares.search.space import Space


def launch_text(answer: Answer, framework: str) -> str:
    """The fastest strategy that ``framework`` can run, as its configuration: megatron (arguments,
    one a line), megatron-bridge (Python), torchtitan (TOML), deepspeed (JSON), maxtext (YAML).

    Raises `NoPlan` where nothing fits, or the framework can run none of the best;
    `InputError` (``unknown-framework``) for another framework.
    """
    return launched(answer, framework)[0]


def launch_notes(answer: Answer, framework: str) -> tuple[str, ...]:
    """What the configuration of `launch_text` does not tell the framework, a sentence each."""
    return launched(answer, framework)[1]


def launched(answer: Answer, framework: str) -> tuple[str, tuple[str, ...]]:
    """The configuration and its notes, for the fastest strategy that can be expressed."""
    if framework not in WRITERS:
        raise UnknownName("framework", framework, WRITERS)
    if not answer.found.best:
        raise NoPlan("no-strategy-fits", "there is no strategy to take away")
    refused: list[NoPlan] = []
    for rank in range(len(answer.found.best)):
        job = job_of(answer, rank)
        if refused:
            job.says(f"the {rank} fastest strategies: {refused[0].message}")
        try:
            return WRITERS[framework](job), tuple(job.notes)
        except NoPlan as refusal:
            refused.append(refusal)
    raise refused[0]


def runnable(space: Space, framework: str, shape: Shape) -> Space:
    """The part of a space that a framework can express, as far as single dimensions go.

    Raises `InputError` (``unknown-framework``) for another framework.
    """
    if framework not in WRITERS:
        raise UnknownName("framework", framework, WRITERS)
    allowed = ALLOWED[framework]
    if shape.n_experts:
        allowed = allowed | EXPERTS.get(framework, {})
    if whole(shape.attention) == LATENT:
        allowed = allowed | LATENTS.get(framework, {})
    kept = {k: tuple(v for v in getattr(space, k) if v in only) for k, only in allowed.items()}
    if framework == "maxtext":  # all layers recompute alike
        kept["recompute"] = tuple(r for r in space.recompute if r[1] == 1.0)
    return replace(space, **{k: v for k, v in kept.items() if v})


ALLOWED: dict[str, dict[str, tuple[int, ...]]] = {
    "megatron": {"schedule": (ONE_F_ONE_B,), "offload_weights": (0,)},
    "torchtitan": {
        "schedule": (ONE_F_ONE_B, ZBV, DUALPIPE, GPIPE),
        "zero": (1, 2, 3),
        "gradient_bytes": (4,),
        "offload_activations": (0,),
    },
    "deepspeed": {
        "schedule": (ONE_F_ONE_B,),
        "pp": (1,),  # a pipeline is the program's, and takes no ZeRO 2 or 3
        "cp": (1,),
        "sp": (0,),
        "etp": (0,),
        "sharded_in_node": (0,),
    },
    "maxtext": {"schedule": (ONE_F_ONE_B,), "zero": (0, 1, 3), "balance": (0,)},
}
ALLOWED["megatron-bridge"] = ALLOWED["megatron"]
#: of mixtures besides: MaxText splits experts over every tensor rank, which a space says by two
#: dimensions at once
EXPERTS: dict[str, dict[str, tuple[int, ...]]] = {"maxtext": {"tp": (1,), "etp": (0,)}}
#: of latent attention besides: torchtitan's has no context parallelism
LATENTS: dict[str, dict[str, tuple[int, ...]]] = {"torchtitan": {"cp": (1,)}}


# text ---------------------------------------------------------------------------------------------


def _comments(job: Job) -> str:
    return "".join(f"# {line}\n" for line in (job.title, *(f"not told: {n}" for n in job.notes)))


def _toml(job: Job) -> str:
    sections = torchtitan_sections(job)
    told = "\n".join(
        f"[{name}]\n" + "".join(f"{k} = {_plain(v)}\n" for k, v in values.items())
        for name, values in sections.items()
    )
    return _comments(job) + told


def _yaml(job: Job) -> str:
    values = maxtext_values(job)
    return _comments(job) + "".join(f"{k}: {_plain(v)}\n" for k, v in values.items())


def _json(job: Job) -> str:
    return json.dumps(deepspeed_values(job), indent=2) + "\n"


def _plain(value: Any) -> str:
    """A value in the words that TOML and YAML share with JSON."""
    return json.dumps(value)


WRITERS: dict[str, Callable[[Job], str]] = {
    "megatron": megatron_text,
    "megatron-bridge": bridge_text,
    "torchtitan": _toml,
    "deepspeed": _json,
    "maxtext": _yaml,
}
