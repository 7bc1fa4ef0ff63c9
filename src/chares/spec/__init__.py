"""What is asked: the case, read from YAML or flags with all errors at once."""

from chares.spec.case import (
    Batch,
    Case,
    Claim,
    Finance,
    Market,
    Permit,
    Serve,
    Site,
    Split,
    Staff,
    Stage,
    Supply,
    Train,
)
from chares.spec.intake import parse_case, read_case, shipped_cases
from chares.spec.noticing import Notice, day_notices, notices

__all__ = [
    "Batch", "Case", "Claim", "Finance", "Market", "Notice", "Permit", "Serve", "Site", "Split",
    "Staff", "Stage", "Supply", "Train", "day_notices", "notices", "parse_case", "read_case",
    "shipped_cases",
]  # fmt: skip
