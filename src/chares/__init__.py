"""chares: what it takes to train and serve a model, who may, and whether what was said is true.

    import chares
    plan = chares.plan("colossus-1")            # a shipped case, a YAML file, or a Case
    plan.figure("run.training_time").value      # seconds
    print(plan.why("bill.total"))               # the tree down to its sources

Names are loaded when they are first used: ``import chares`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chares.errors import CharesError as CharesError
    from chares.facts import Facts as Facts
    from chares.facts import load as load
    from chares.ledger import Estimate as Estimate
    from chares.ledger import Figure as Figure
    from chares.ledger import formula as formula
    from chares.ledger import replay as replay
    from chares.planner import Plan as Plan
    from chares.planner import plan as plan
    from chares.planner import strategies as strategies
    from chares.spec import Case as Case
    from chares.spec import parse_case as parse_case
    from chares.spec import read_case as read_case

__version__ = "0.1.0"

# public name -> module that has it
_HOMES = {
    "Case": "chares.spec",
    "CharesError": "chares.errors",
    "Estimate": "chares.ledger",
    "Facts": "chares.facts",
    "Figure": "chares.ledger",
    "Plan": "chares.planner",
    "formula": "chares.ledger",
    "load": "chares.facts",
    "parse_case": "chares.spec",
    "plan": "chares.planner",
    "read_case": "chares.spec",
    "replay": "chares.ledger",
    "strategies": "chares.planner",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'chares' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
