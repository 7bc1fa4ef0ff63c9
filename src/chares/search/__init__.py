"""Every legal strategy, evaluated on arrays: the best few, the front, and why the others lose."""

from typing import TYPE_CHECKING, Any

from chares.search.asking import Answer, Question, ask, question_for, space_for, suited_batch
from chares.search.blocks import Asked
from chares.search.comparing import Side, side_by_side
from chares.search.exploring import Found, HeatMap, explore
from chares.search.inverting import (
    best_batch,
    days_for,
    fewest_chips,
    largest_model,
    most_tokens,
    optimal_tokens,
    scaled_shape,
)
from chares.search.jobs import Steps, best
from chares.search.ranking import Ranked, ranked, words
from chares.search.reducing import Candidate
from chares.search.scaling import Size, front_of, sizes
from chares.search.space import Space, default_space, layouts, recompute_name
from chares.search.tables import Table, all_rows, table_of, write_all, write_table
from chares.search.trusting import Trust

if TYPE_CHECKING:
    from chares.search.launching import launch_notes, launch_text
    from chares.search.mixing import Mixed, Way, mixed
    from chares.search.sweeping import Sweep, sweep
    from chares.search.tracing import trace_of

#: what few questions need is imported when it is asked for
_PLACES = {
    "Mixed": "mixing", "Sweep": "sweeping", "Way": "mixing", "launch_notes": "launching",
    "launch_text": "launching", "mixed": "mixing", "sweep": "sweeping", "trace_of": "tracing",
}  # fmt: skip

__all__ = [
    "Answer",
    "Asked",
    "Candidate",
    "Found",
    "HeatMap",
    "Mixed",
    "Question",
    "Ranked",
    "Side",
    "Size",
    "Space",
    "Steps",
    "Sweep",
    "Table",
    "Trust",
    "Way",
    "all_rows",
    "ask",
    "best",
    "best_batch",
    "days_for",
    "default_space",
    "explore",
    "fewest_chips",
    "front_of",
    "largest_model",
    "launch_notes",
    "launch_text",
    "layouts",
    "mixed",
    "most_tokens",
    "optimal_tokens",
    "question_for",
    "ranked",
    "recompute_name",
    "scaled_shape",
    "side_by_side",
    "sizes",
    "space_for",
    "suited_batch",
    "sweep",
    "table_of",
    "trace_of",
    "words",
    "write_all",
    "write_table",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'chares.search' has no attribute {name!r}")
    value = getattr(import_module(f"chares.search.{_PLACES[name]}"), name)
    globals()[name] = value
    return value
