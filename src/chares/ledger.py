"""The tree behind every number.

A figure is one call of a named pure function on named parts. A function marked ``@formula`` stays
an ordinary function for floats and arrays; given a `Figure` it returns a `Figure` that remembers
the call. Figures have no operators: ``a + b`` is an error, so nothing leaks out of the tree.

    >>> @formula("C / r", unit="s")
    ... def time(C, r):
    ...     return C / r
    >>> time(6.0, 2.0)
    3.0
    >>> total = time(leaf("C", 6.0, "FLOP"), leaf("r", 2.0, "FLOP/s"))
    >>> total.value, total.kind, replay(total, {"r": 3.0})
    (3.0, 'derived', 2.0)
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeAlias, TypeVar, cast, overload

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Num: TypeAlias = float | NDArray[np.float64]
else:
    Num = Any  # numpy is not loaded for a type alone

KINDS = ("stated", "measured", "derived", "assumed")  # strongest first
P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with the interval that is meant to hold it four times in five."""

    low: float
    likely: float
    high: float


@dataclass(frozen=True, slots=True)
class NotAsked:
    """What a stage returns when the case lacks its part: it costs nothing and says why."""

    reason: str

    def __bool__(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Formula:
    """A named pure function: what it computes in one line, and the unit of its result."""

    function: Callable[..., Any]
    text: str
    unit: str
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.function.__name__


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A number that knows where it comes from.

    A leaf has a ``key`` (a fact, or a place in the case); any other figure has a ``call`` and the
    parts that it was called with, in order. ``kind`` is the weakest kind below it.
    """

    value: Any
    unit: str
    kind: str
    id: str = ""
    label: str = ""
    key: str = ""
    low: float | None = None
    high: float | None = None
    source: str = ""
    where: str = ""
    note: str = ""
    call: Formula | None = None
    parts: tuple[tuple[str, Any], ...] = field(default=())

    def named(self, id: str, label: str = "", unit: str = "") -> Figure:
        """The same figure under an id of the registry (``run.days``)."""
        return replace(self, id=id, label=label or self.label, unit=unit or self.unit)

    def __repr__(self) -> str:
        name = self.id or self.key or (self.call.name if self.call else "figure")
        return f"<Figure {name} = {show_value(self.value)} {self.unit} ({self.kind})>"


def weakest(kinds: Iterable[str], at_best: str = "stated") -> str:
    """The weakest of some kinds."""
    return KINDS[max([KINDS.index(at_best), *(KINDS.index(k) for k in kinds)])]


def leaf(
    key: str,
    value: Any,
    unit: str,
    *,
    kind: str = "stated",
    label: str = "",
    low: float | None = None,
    high: float | None = None,
    source: str = "",
    where: str = "",
    note: str = "",
) -> Figure:
    """A figure without parts: a fact, or what the case says."""
    return Figure(
        value, unit, kind, "", label or key, key, low, high, source=source, where=where, note=note
    )


class FormulaFunction(Protocol[P, R_co]):
    """A pure function of numbers that gives a figure when it is given figures."""

    formula: Formula

    @overload
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    @overload
    def __call__(self, *args: Any, **kwargs: Any) -> Figure: ...


def formula(text: str, unit: str = "1") -> Callable[[Callable[P, R]], FormulaFunction[P, R]]:
    """Mark a pure function so that it builds figures when it is given figures.

    ``text`` is the formula in the notation of its source. Arguments may be figures, plain values
    or sequences that hold figures. With no figure among them the function runs unchanged.
    """

    def mark(function: Callable[P, R]) -> FormulaFunction[P, R]:
        signature = inspect.signature(function)
        names = tuple(signature.parameters)
        self = Formula(function, text, unit, names)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if not any(map(_has_figure, args)) and not any(map(_has_figure, kwargs.values())):
                return function(*args, **kwargs)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            return cast("R", _figure(self, tuple(bound.arguments.items())))

        marked = cast("FormulaFunction[P, R]", call)
        marked.formula = self
        return marked

    return mark


def _figure(call: Formula, parts: tuple[tuple[str, Any], ...]) -> Figure:
    value = call.function(**{name: _plain(part) for name, part in parts})
    kinds = [f.kind for _, part in parts for f in _figures(part)]
    label = call.name.replace("_", " ")
    return Figure(value, call.unit, weakest(kinds, "derived"), label=label, call=call, parts=parts)


def _has_figure(part: Any) -> bool:
    if isinstance(part, Figure):
        return True
    return isinstance(part, (tuple, list)) and any(map(_has_figure, part))


def _figures(part: Any) -> Iterator[Figure]:
    if isinstance(part, Figure):
        yield part
    elif isinstance(part, (tuple, list)):
        for item in part:
            yield from _figures(item)


def _plain(part: Any, value: Callable[[Figure], Any] = lambda f: f.value) -> Any:
    if isinstance(part, Figure):
        return value(part)
    if isinstance(part, (tuple, list)):
        return type(part)([_plain(item, value) for item in part])
    return part


def children(figure: Figure) -> list[tuple[str, Figure]]:
    """The figures that a figure was called with, by parameter name."""
    return [(name, f) for name, part in figure.parts for f in _figures(part)]


def nodes(figures: Iterable[Figure]) -> list[Figure]:
    """Every figure below and including ``figures``, parts before what they make, each once."""
    seen: dict[int, Figure] = {}
    waiting = [(figure, False) for figure in reversed(list(figures))]
    while waiting:  # a stack of our own: a tree may be deeper than Python recurses
        figure, parts_done = waiting.pop()
        if id(figure) in seen:
            continue
        if parts_done:
            seen[id(figure)] = figure
        else:
            waiting.append((figure, True))
            waiting += [(part, False) for _, part in reversed(children(figure))]
    return list(seen.values())


def leaves(figures: Iterable[Figure]) -> dict[str, Figure]:
    """The leaves below ``figures`` by key."""
    return {f.key: f for f in nodes(figures) if f.call is None}


def replay(figure: Figure, changes: Mapping[str, Any]) -> Any:
    """The value that ``figure`` takes when the leaves named by ``changes`` have new values."""
    return _Web([figure]).values(changes).get(id(figure), figure.value)


class _Web:
    """Figures and all below them, in an order in which parts stand before what they make."""

    def __init__(self, figures: Sequence[Figure]) -> None:
        self.order = nodes(figures)
        self.users: dict[int, list[int]] = {}  # node -> places in the order of what uses it
        self.leaves: dict[str, list[Figure]] = {}
        for place, node in enumerate(self.order):
            if node.call is None:
                self.leaves.setdefault(node.key, []).append(node)
            for _, part in children(node):
                self.users.setdefault(id(part), []).append(place)

    def reached(self, keys: Iterable[str]) -> list[int]:
        """Places in the order of all that the leaves with these keys change."""
        found: set[int] = set()
        open_ = [id(node) for key in keys for node in self.leaves.get(key, ())]
        while open_:
            for place in self.users.get(open_.pop(), ()):
                if place not in found:
                    found.add(place)
                    open_.append(id(self.order[place]))
        return sorted(found)

    def values(
        self, changes: Mapping[str, Any], reached: Sequence[int] | None = None
    ) -> dict[int, Any]:
        """New values by identity, of what the changes reach; nothing else is computed."""
        new = {id(n): value for key, value in changes.items() for n in self.leaves.get(key, ())}
        for place in self.reached(changes) if reached is None else reached:
            node = self.order[place]
            assert node.call is not None
            parts = {n: _plain(p, lambda f: new.get(id(f), f.value)) for n, p in node.parts}
            new[id(node)] = node.call.function(**parts)
        return new


def intervals(figures: Sequence[Figure]) -> dict[str, Estimate]:
    """First-order intervals by figure id: every leaf with an interval is moved to its two ends,
    one at a time, and the moves are added as independent (root of the sum of squares)."""
    scalars = [f for f in figures if isinstance(f.value, (int, float))]
    down = {id(f): 0.0 for f in scalars}
    up = dict(down)
    least = {id(f): float(f.value) for f in scalars}  # the lowest value that a single move gives
    web = _Web(scalars)
    for key, (leaf_, *_) in web.leaves.items():
        ends = [e for e in (leaf_.low, leaf_.high) if e is not None and e != leaf_.value]
        reached = web.reached([key]) if ends else []
        moves = [web.values({key: end}, reached) for end in ends]
        for figure in scalars:
            me = id(figure)
            moved = [float(v[me]) for v in moves if me in v]
            deltas = [v - float(figure.value) for v in moved]
            down[me] = math.hypot(down[me], *(d for d in deltas if d < 0.0))
            up[me] = math.hypot(up[me], *(d for d in deltas if d > 0.0))
            least[me] = min([least[me], *moved])
    return {
        f.id: Estimate(
            _above_zero(f.value - down[id(f)], least[id(f)]), f.value, f.value + up[id(f)]
        )
        for f in scalars
    }


def _above_zero(low: float, least: float) -> float:
    """The low end of an interval; where no single move crosses zero, their sum does not either."""
    return least if low <= 0.0 < least else low


def show_value(value: Any) -> str:
    """A short reading of any value, for messages and trees."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value) if isinstance(value, (str, bool)) else type(value).__name__
    if abs(value) < 1e6 and value == int(value):
        return f"{int(value):,}"
    return f"{value:.4g}"


@formula("part of a result", unit="1")
def pick(result: Any, name: str) -> Any:
    """One field of a result that a formula returned as a whole (a `step`, a simulated run)."""
    return getattr(result, name)


@formula("sum of the parts", unit="1")
def total(parts: Sequence[Num]) -> Num:
    """The sum of some figures of one unit."""
    return sum(parts[1:], parts[0])


@formula("a b", unit="1")
def product(a: Num, b: Num) -> Num:
    """Two factors, where nothing more is to be said (a count and a price)."""
    return a * b


@formula("a / b", unit="1")
def ratio(a: Num, b: Num) -> Num:
    """One figure as a share or multiple of another."""
    return a / b
