"""Every legal strategy, evaluated on arrays: the best few, the front, and why the others lose."""

from chares.search.asking import Answer, Question, ask, question_for, suited_batch
from chares.search.blocks import Asked
from chares.search.exploring import Found, HeatMap, explore
from chares.search.jobs import Steps, best
from chares.search.launching import launch_text
from chares.search.ranking import Ranked, ranked, words
from chares.search.reducing import Candidate
from chares.search.scaling import Size, front_of, sizes
from chares.search.space import Space, default_space, layouts, recompute_name
from chares.search.tables import Table, all_rows, table_of, write_all, write_table
from chares.search.tracing import trace_of

__all__ = [
    "Answer", "Asked", "Candidate", "Found", "HeatMap", "Question", "Ranked", "Size", "Space",
    "Steps", "Table", "all_rows", "ask", "best", "default_space", "explore", "front_of",
    "launch_text", "layouts", "question_for", "ranked", "recompute_name", "sizes", "suited_batch",
    "table_of", "trace_of", "words", "write_all", "write_table",
]  # fmt: skip
