"""What was said, held against what was computed."""

from chares.claims.holding import VERDICTS, Held, hold

__all__ = ["VERDICTS", "Held", "hold"]
