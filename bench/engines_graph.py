"""The formulas of a training step, recorded once as a graph of elementary operations.

Modules of ``chares.model`` are loaded a second time under another name with a stand-in for numpy
that writes down what is asked of it. Nothing is written twice: what an engine compiles is what the
sources say. Where the sources skip work that a block does not need (``if np.any(...)``), the
recording takes the general branch, so that one graph holds for every block of a job.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

import chares.model
from chares.model import Layers

PRIVATE = "recorded_model"
TRUTHS = frozenset(
    "less less_equal greater greater_equal equal not_equal logical_and logical_or logical_not"
    " isnan isin".split()
)
BOOLEAN = frozenset(("bitwise_and", "bitwise_or", "invert"))


class Node:
    """One operation on rows: its name, its arguments (nodes or numbers), the axes it varies on."""

    __array_ufunc__ = None  # numpy leaves mixed operations to the node
    ndim = 4
    shape = ()
    known: ClassVar[dict[Any, Node]] = {}  # equal operations are one

    op: str
    args: tuple[Any, ...]
    axes: frozenset[int]
    truth: bool

    def __new__(cls, op: str, *args: Any, axes: frozenset[int] = frozenset()) -> Node:
        """The node of an operation, made once."""
        plain = [a.item() if isinstance(a, np.generic) else a for a in args]
        plain = [a.item() if isinstance(a, np.ndarray) and not a.ndim else a for a in plain]
        key = op, *(("node", id(a)) if isinstance(a, Node) else (type(a), a) for a in plain)
        node = cls.known.get(key)
        if node is None:
            node = cls.known[key] = super().__new__(cls)
            nodes = [a for a in plain if isinstance(a, Node)]
            node.op, node.args = op, tuple(plain)
            node.axes = axes.union(*(n.axes for n in nodes))
            node.truth = op in TRUTHS or (
                op in BOOLEAN and all(getattr(a, "truth", isinstance(a, bool)) for a in plain)
            )
        return node

    def __getitem__(self, index: tuple[()]) -> Node:
        return self

    def __bool__(self) -> bool:
        raise TypeError(f"`{self.op}` decides a branch, and differs by row")

    def __neg__(self) -> Node:
        return Node("negative", self)

    def __invert__(self) -> Node:
        return Node("invert", self)

    def __abs__(self) -> Node:
        return Node("absolute", self)

    def ravel(self) -> Node:
        """Shapes are settled at the end."""
        return self

    def all(self) -> bool:
        """Never taken for granted."""
        return False

    def any(self) -> bool:
        """Always possible."""
        return True


def _binary(op: str) -> Callable[[Any, Any], Node]:
    return lambda a, b: Node(op, a, b)


def _swapped(op: str) -> Callable[[Any, Any], Node]:
    return lambda a, b: Node(op, b, a)


OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide",
    "floordiv": "floor_divide", "mod": "remainder", "pow": "power", "and": "bitwise_and",
    "or": "bitwise_or",
}  # fmt: skip
for _word, _name in OPERATORS.items():
    setattr(Node, f"__{_word}__", _binary(_name))
    setattr(Node, f"__r{_word}__", _swapped(_name))
for _word, _name in {  # `==` records too; the hash stays that of identity
    "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
    "ne": "not_equal",
}.items():  # fmt: skip
    setattr(Node, f"__{_word}__", _binary(_name))


class Table:
    """A constant table: rows looked up by a code that differs by row."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def __getitem__(self, code: Any) -> Any:
        if not isinstance(code, Node):
            return self.values[code]
        if self.values.ndim == 1:
            return Node("look_up", code, tuple(self.values.tolist()))
        return [Node("look_up", code, tuple(c)) for c in self.values.T.tolist()]


class Recorder:
    """Stands in for numpy: plain numbers are computed, nodes are written down."""

    def __getattr__(self, name: str) -> Any:
        real = getattr(np, name)
        if not callable(real) or isinstance(real, type):
            return real

        def call(*args: Any, **words: Any) -> Any:
            nodes = any(isinstance(a, Node) for a in args)
            return Node(name, *args, **words) if nodes else real(*args, **words)

        return call

    def where(self, condition: Any, yes: Any, no: Any) -> Any:
        """A condition that is known now is settled now."""
        if isinstance(condition, Node) or np.ndim(condition):
            return Node("where", condition, yes, no)
        chosen = yes if condition else no
        return chosen if isinstance(chosen, Node) else np.asarray(chosen)[()]

    def asarray(self, value: Any, dtype: Any = None) -> Any:
        """Nodes are arrays already."""
        return value if isinstance(value, Node) else np.asarray(value, dtype)

    def any(self, value: Any) -> Any:
        """The general branch."""
        return True if isinstance(value, Node) else np.any(value)

    def all(self, value: Any) -> Any:
        """The general branch."""
        return False if isinstance(value, Node) else np.all(value)

    def ndim(self, value: Any) -> int:
        """Of the axes of a block."""
        return Node.ndim if isinstance(value, Node) else int(np.ndim(value))

    def shape(self, value: Any) -> tuple[int, ...]:
        """Shapes are settled at the end."""
        return () if isinstance(value, Node) else np.shape(value)

    def bincount(self, value: Any, minlength: int = 0) -> Any:
        """Every code may occur."""
        return np.ones(minlength, dtype=int)

    def broadcast_to(self, value: Any, shape: Any) -> Any:
        """Shapes are settled at the end."""
        return value if isinstance(value, Node) else np.broadcast_to(value, shape)

    def moveaxis(self, value: Any, source: int, target: int) -> Any:
        """Columns of a table stay as they are."""
        return value if isinstance(value, list) else np.moveaxis(value, source, target)


class Copier(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Loads the modules of the model under another name; calls of numpy go to the recorder."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> ModuleSpec | None:
        """Only names below `PRIVATE`."""
        mine = fullname.startswith(PRIVATE + ".")
        return importlib.util.spec_from_loader(fullname, self) if mine else None

    def get_filename(self, fullname: str) -> str:
        """The file of the public module."""
        return str(Path(chares.model.__file__).parent / (fullname.rpartition(".")[2] + ".py"))

    def get_data(self, path: str) -> bytes:
        """Its text, with the imports inside the stage turned to the copy."""
        text = Path(path).read_text(encoding="utf-8")
        return text.replace("from chares.model.", f"from {PRIVATE}.").encode()

    def exec_module(self, module: ModuleType) -> None:
        """Constants are made by numpy itself."""
        super().exec_module(module)
        names = vars(module)
        names["np"] = Recorder()
        for key, value in list(names.items()):
            if isinstance(value, np.ndarray):
                names[key] = Table(value)


def private_model() -> ModuleType:
    """``stepping`` of a second copy of the model, which records."""
    if PRIVATE not in sys.modules:
        sys.modules[PRIVATE] = package = ModuleType(PRIVATE)
        package.__path__ = []
        sys.meta_path.insert(0, Copier())
    return importlib.import_module(f"{PRIVATE}.stepping")


@dataclass(frozen=True)
class Graph:
    """Operations in an order in which they can be done, and which inputs they read."""

    inputs: tuple[Node, ...]
    operations: tuple[Node, ...]
    step_time: Node
    memory: Node


def record(
    step_of: Callable[..., Any], arrays: Mapping[str, frozenset[int]], layers: Layers, *rest: Any
) -> Graph:
    """Record one step. ``arrays`` are the names of what varies, with axes; the rest is constant."""
    shape, strategy, hardware, calibration = rest
    Node.known = {}
    leaves = {name: Node("input", name, axes=axes) for name, axes in arrays.items()}

    def of(record: Any, prefix: str) -> dict[str, Any]:
        return {
            f.name: leaves[prefix + f.name]
            if prefix + f.name in leaves
            else _number(getattr(record, f.name))
            for f in fields(record)
        }

    model = sys.modules
    step = step_of(
        model[f"{PRIVATE}.layers"].Layers(**of(layers, "layers.")),
        shape,
        model[f"{PRIVATE}.strategy"].Strategy(**of(strategy, "strategy.")),
        hardware,
        calibration,
    )
    wanted = step.step_time_s, step.memory.device
    order: dict[Node, None] = {}
    for node in wanted:
        _visit(node, order)
    used = tuple(n for n in order if n.op == "input")
    return Graph(used, tuple(n for n in order if n.op != "input"), *wanted)


def _number(value: Any) -> Any:
    """Constants as plain numbers; an array that is left over has one value."""
    flat = np.asarray(value).ravel()
    assert flat.size
    assert (flat == flat[0]).all()
    return flat[0].item()


def _visit(node: Node, order: dict[Node, None]) -> None:
    stack: list[tuple[Node, bool]] = [(node, False)]
    while stack:
        top, done = stack.pop()
        if done:
            order[top] = None
        elif top not in order:
            stack.append((top, True))
            stack += [(a, False) for a in top.args if isinstance(a, Node) and a not in order]
