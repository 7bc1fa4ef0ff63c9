"""chares: what it takes to train and serve a model, who may, and whether what was said is true.

    import chares

    plan = chares.plan(chares.read_case("colossus-1"))
    plan.figure("run.training_time")

The names below are loaded when they are first used, so that ``import chares`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from chares.errors import CharesError
    from chares.facts import Facts
    from chares.facts import load as load_facts
    from chares.planner import Plan, plan, strategies
    from chares.spec import Case, parse_case, read_case, shipped_cases

_PLACES = {
    "Case": "spec",
    "CharesError": "errors",
    "Facts": "facts",
    "Plan": "planner",
    "load_facts": "facts.load",
    "parse_case": "spec",
    "plan": "planner",
    "read_case": "spec",
    "shipped_cases": "spec",
    "strategies": "planner",
}
__all__ = [
    "Case", "CharesError", "Facts", "Plan", "__version__", "load_facts", "parse_case", "plan",
    "read_case", "shipped_cases", "strategies",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _PLACES:
        raise AttributeError(f"module 'chares' has no attribute {name!r}")
    stage, _, other = _PLACES[name].partition(".")
    value = getattr(import_module(f"chares.{stage}"), other or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
