"""Every legal strategy, evaluated on arrays: the best few, the front, and why the others lose."""

from chares.search.blocks import Asked
from chares.search.exploring import Candidate, Found, explore
from chares.search.jobs import Job, best
from chares.search.space import Space, default_space, recompute_name

__all__ = ["Asked", "Candidate", "Found", "Job", "Space", "best", "default_space", "explore", "recompute_name"]
