"""A recorded step as one fused loop for numba, and as a function for JAX.

The kernel does each operation at the outermost place where all of its rows are known: once for a
layout, once for a layout and an option, or in the innermost loop; so it does no more work than
broadcasting does, and no array is written but the two results.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

from engines_graph import Graph, Node

AXES = (1, 2, 3)  # of the options; axis 0, layouts, is the outermost loop
LETTERS = "ijkl"
INFIX = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "power": "**", "remainder": "%",
    "floor_divide": "//", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
    "equal": "==", "not_equal": "!=",
}  # fmt: skip
LOGIC = {"bitwise_and": "&", "bitwise_or": "|", "logical_and": "&", "logical_or": "|"}
CALLS = {name: f"math.{name}" for name in ("sqrt", "floor", "ceil", "log2", "hypot", "fabs")}
CALLS["absolute"] = "math.fabs"


class Source:
    """Python text of a kernel, written from a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.names: dict[Node, str] = {}
        self.tables: dict[str, tuple[float, ...]] = {}
        self.used_beyond: dict[Node, set[frozenset[int]]] = {}
        outputs = Node("output", graph.step_time, graph.memory, axes=frozenset((0, *AXES)))
        for node in (*graph.operations, outputs):
            for argument in node.args:
                if isinstance(argument, Node):
                    users = self.used_beyond.setdefault(argument, set())
                    users.add(frozenset(node.axes) & frozenset(AXES))
        for number, node in enumerate((*graph.inputs, *graph.operations)):
            self.names[node] = f"v{number}"

    def text(self) -> str:
        """The kernel: arrays in, ``seconds`` and ``memory`` filled."""
        names = [f"a{n}" for n in range(len(self.graph.inputs))]
        lines = [f"def kernel({', '.join(names)}, seconds, memory):"]
        lines.append("    ni, nj, nk, nl = seconds.shape")
        stages = self._stages()
        for stage, nodes in stages:
            for node in nodes:
                if self._kept(node, stage):
                    sizes = ", ".join(f"n{LETTERS[a]}" for a in sorted(stage))
                    kind = "bool_" if node.truth else "float64"
                    lines.append(f"    b{self.names[node]} = np.empty(({sizes},), np.{kind})")
        lines.append("    for i in range(ni):")
        for stage, nodes in stages:
            lines += self._loops(stage, nodes)
        return "\n".join(lines) + "\n"

    def _stages(self) -> list[tuple[frozenset[int], list[Node]]]:
        """Nodes by the option axes that they vary on, few axes first."""
        found = []
        for count in range(len(AXES) + 1):
            for axes in combinations(AXES, count):
                stage = frozenset(axes)
                every = (*self.graph.inputs, *self.graph.operations)
                nodes = [n for n in every if n.axes & frozenset(AXES) == stage]
                if nodes or count == len(AXES):
                    found.append((stage, nodes))
        return found

    def _kept(self, node: Node, stage: frozenset[int]) -> bool:
        """Whether a later stage reads a node: then it needs an array."""
        return bool(stage) and any(user != stage for user in self.used_beyond.get(node, ()))

    def _loops(self, stage: frozenset[int], nodes: list[Node]) -> list[str]:
        lines, indent = [], "        "
        for axis in sorted(stage):
            lines.append(f"{indent}for {LETTERS[axis]} in range(n{LETTERS[axis]}):")
            indent += "    "
        at = ", ".join(LETTERS[a] for a in sorted(stage))
        for node in nodes:
            name = self.names[node]
            lines.append(f"{indent}{name} = {self._expression(node, stage)}")
            if self._kept(node, stage):
                lines.append(f"{indent}b{name}[{at}] = {name}")
        if len(stage) == len(AXES):
            for target, node in (("seconds", self.graph.step_time), ("memory", self.graph.memory)):
                lines.append(f"{indent}{target}[i, j, k, l] = {self._read(node, stage)}")
        return lines

    def _read(self, value: Any, stage: frozenset[int]) -> str:
        """A number, or where a node's value lies for this stage."""
        if not isinstance(value, Node):
            return repr(float(value)) if not isinstance(value, bool) else repr(value)
        own = value.axes & frozenset(AXES)
        name = self.names[value]
        if own == stage or not own:
            return name
        return f"b{name}[{', '.join(LETTERS[a] for a in sorted(own))}]"

    def _number(self, value: Any, stage: frozenset[int]) -> str:
        text = self._read(value, stage)
        truth = value.truth if isinstance(value, Node) else isinstance(value, bool)
        return f"(1.0 if {text} else 0.0)" if truth else text

    def _truth(self, value: Any, stage: frozenset[int]) -> str:
        text = self._read(value, stage)
        truth = value.truth if isinstance(value, Node) else isinstance(value, bool)
        return text if truth else f"({text} != 0.0)"

    def _expression(self, node: Node, stage: frozenset[int]) -> str:
        if node.op == "input":
            number = self.names[node].removeprefix("v")  # inputs are numbered first
            at = ", ".join(LETTERS[a] if a in node.axes else "0" for a in range(4))
            return f"a{number}[{at}]"
        if node.op == "look_up":
            table = f"T{len(self.tables)}"
            self.tables[table] = node.args[1]
            return f"{table}[int({self._number(node.args[0], stage)})]"
        if node.op == "where":
            yes, no = node.args[1:]
            read = self._truth if node.truth else self._number
            condition = self._truth(node.args[0], stage)
            return f"{read(yes, stage)} if {condition} else {read(no, stage)}"
        if node.op in LOGIC:
            return f" {LOGIC[node.op]} ".join(self._truth(a, stage) for a in node.args)
        if node.op in ("invert", "logical_not"):
            return f"not {self._truth(node.args[0], stage)}"
        values = [self._number(a, stage) for a in node.args]
        if node.op in INFIX:
            return f"{values[0]} {INFIX[node.op]} {values[1]}"
        if node.op in ("minimum", "maximum"):
            sign = "<" if node.op == "minimum" else ">"
            return f"{values[0]} if {values[0]} {sign} {values[1]} else {values[1]}"
        if node.op == "clip":
            x, low, high = values
            return f"min(max({x}, {low}), {high})"
        if node.op == "negative":
            return f"-{values[0]}"
        return f"{CALLS[node.op]}({', '.join(values)})"


def as_function(graph: Graph, numpy: Any) -> Callable[..., tuple[Any, Any]]:
    """The graph as a function of its inputs on whole arrays, with any array library."""

    def run(*arrays: Any) -> tuple[Any, Any]:
        known: dict[Node, Any] = dict(zip(graph.inputs, arrays, strict=True))

        def value(argument: Any) -> Any:
            return known[argument] if isinstance(argument, Node) else argument

        for node in graph.operations:
            if node.op == "look_up":
                table = numpy.asarray(node.args[1])
                known[node] = table[value(node.args[0]).astype(int)]
            else:
                known[node] = getattr(numpy, node.op)(*(value(a) for a in node.args))
        return value(graph.step_time), value(graph.memory)

    return run
