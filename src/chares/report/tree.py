"""``why``: the tree behind one figure as text, down to facts with their sources.

A figure that is used in several places is printed once, with a number; later places refer to it.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import Any

from chares.errors import CharesError
from chares.ledger import Figure, children, nodes
from chares.report.view import View

WIDTH = 100


class _Bare:
    """A plan of one figure, for a `View` without a plan."""

    def __init__(self, figures: dict[str, Figure], facts: Any) -> None:
        self.figures, self.facts = figures, facts


def why_text(
    figure: Figure, facts: Any, *, lang: str = "en", depth: int = 60, width: int = WIDTH
) -> str:
    """Name, value, kind and formula of a figure, then its parts, indented, down to the leaves.

    ``facts`` resolves source ids (`Facts`, or None); ``depth`` is how many levels are printed.
    """
    from chares.ledger import intervals

    named = {f.id: f for f in nodes([figure]) if f.id}
    estimates = intervals(list(named.values())) if named else {}
    view = View(_Bare(named, facts), lang, estimates)
    return "\n".join(_Tree(view, figure, width).lines(depth))


class _Tree:
    def __init__(self, view: View, root: Figure, width: int) -> None:
        self.view, self.root, self.width = view, root, width
        self.same = _same(root)
        printed = Counter(
            self.same[id(p)] for n in _distinct(root, self.same) for _, p in children(n)
        )
        self.shared = {key for key, count in printed.items() if count > 1}
        self.numbers: dict[int, int] = {}

    def lines(self, depth: int) -> list[str]:
        return list(self.node("", self.root, "", "", depth))

    def node(self, name: str, f: Figure, lead: str, rest: str, depth: int) -> Iterator[str]:
        """The lines of one figure: ``lead`` opens its first line, ``rest`` all that follow."""
        head, key = self.head(name, f), self.same[id(f)]
        if key in self.numbers:
            above = self.view.t("why.see", n=self.numbers[key])
            yield from self.fill(f"{head}  ({above})", lead, rest)
            return
        if key in self.shared:
            self.numbers[key] = len(self.numbers) + 1
            head += f"  [{self.numbers[key]}]"
        yield from self.fill(head, lead, rest)
        parts = children(f)
        bar = rest + ("│ " if parts and depth > 1 else "  ")
        for line in self.about(f):
            yield from self.fill(line, bar, bar)
        if parts and depth <= 1:
            yield f"{rest}  {self.view.t('why.deeper', count=len(nodes([f])) - 1)}"
            return
        for i, (part_name, part) in enumerate(parts):
            last = i == len(parts) - 1
            lead_, rest_ = ("└─ ", "   ") if last else ("├─ ", "│  ")
            yield from self.node(part_name, part, rest + lead_, rest + rest_, depth - 1)

    def head(self, name: str, f: Figure) -> str:
        """``t  Training time (run.time) = 136 (121 to 158) days, derived``"""
        label = self.view.label(f)
        if f.id and f.id != label:
            label += f" ({f.id})"
        symbol = f"{name}: " if name and name.lower() != label.lower() else ""
        return f"{symbol}{label} = {self.view.leaf(f)}  · {self.view.named('kind', f.kind)}"

    def about(self, f: Figure) -> Iterator[str]:
        """What stands below the head: the formula with its plain arguments, or the source."""
        if f.call is not None:
            settings = ", ".join(
                f"{n} = {_setting(v)}" for n, v in f.parts if not _holds_figure(v) and v is not None
            )
            equals = "" if " = " in f.call.text else "= "
            yield f"{equals}{f.call.text}" + (f"   [{settings}]" if settings else "")
            return
        if place := self.place(f):
            yield place
        if f.note:
            yield self.view.t.find(f"reason.{f.note}", f.note)

    def place(self, f: Figure) -> str:
        if f.source == "the case":
            return self.view.t("assumed.case", where=f.where or f.key.removeprefix("case:"))
        return ", ".join(filter(None, (self.cite(f.source), f.where)))

    def cite(self, source: str) -> str:
        try:
            return str(self.view.plan.facts.source(source).cite())
        except (CharesError, AttributeError):
            return source

    def fill(self, text: str, lead: str, rest: str) -> list[str]:
        """A line, wrapped so that it stays within the width and below its own branch."""
        return textwrap.wrap(
            text,
            max(self.width, len(rest) + 40),
            initial_indent=lead,
            subsequent_indent=rest + "    ",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _same(root: Figure) -> dict[int, int]:
    """A number for every node by identity; nodes that say the same have the same number."""
    numbers: dict[Any, int] = {}
    found: dict[int, int] = {}
    for f in nodes([root]):
        if f.call is None:
            key: Any = (f.key, str(f.value))
        else:
            settings = tuple(str(v) for _, v in f.parts if not _holds_figure(v))
            key = (f.call.name, settings, tuple((n, found[id(p)]) for n, p in children(f)))
        found[id(f)] = numbers.setdefault(key, len(numbers))
    return found


def _distinct(root: Figure, same: dict[int, int]) -> list[Figure]:
    """One node of each kind, as they are printed with their parts."""
    return list({same[id(f)]: f for f in nodes([root])}.values())


def _holds_figure(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return any(map(_holds_figure, value))
    return isinstance(value, Figure)


def _setting(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 40 else type(value).__name__
