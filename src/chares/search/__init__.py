"""Every legal strategy, evaluated on arrays: the best few, the front, and why the others lose."""

from chares.search.asking import Answer, ask
from chares.search.blocks import Asked
from chares.search.exploring import Candidate, Found, explore
from chares.search.jobs import Steps, best
from chares.search.ranking import Ranked, ranked, words
from chares.search.space import Space, default_space, recompute_name

__all__ = [
    "Answer", "Asked", "Candidate", "Found", "Ranked", "Space", "Steps", "ask", "best",
    "default_space", "explore",
    "ranked", "recompute_name", "words",
]  # fmt: skip
