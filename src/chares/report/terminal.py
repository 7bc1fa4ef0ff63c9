"""An outline on a terminal: the answer first, then tables and bars, claims, sources, assumptions.

Everything printed is in the outline; rich is loaded here and nowhere else, and only on demand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

from chares.report.messages import Messages
from chares.report.shown import in_scale, scale_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

PLAIN_WIDTH = 100
VERDICT_STYLE = {
    "holds": "bold green",
    "holds-within": "green",
    "fails": "bold red",
    "mixes-scopes": "bold red",
    "unchecked": "yellow",
}
KIND_STYLE = {"stated": "green", "measured": "green", "derived": "cyan", "assumed": "yellow"}
_MARKS = {"holds": "✓", "holds-within": "≈", "fails": "✗", "mixes-scopes": "≠", "unchecked": "?"}
_NUMERIC = ("value", "share", "amount")


def print_outline(
    outline: Mapping[str, Any], stream: IO[str] | None = None, width: int | None = None
) -> None:
    """Print an outline; colours and the terminal's width where ``stream`` is a terminal."""
    from rich.console import Console

    console = Console(file=stream, highlight=False, soft_wrap=False)
    if width or not console.is_terminal:
        console.width = width or PLAIN_WIDTH
    _Page(outline, console).print()


class _Page:
    def __init__(self, outline: Mapping[str, Any], console: Console) -> None:
        self.outline = outline
        self.console = console
        self.t = Messages(outline["lang"])

    def print(self) -> None:
        for piece in self.pieces():
            self.console.print(piece)

    def pieces(self) -> Iterator[RenderableType]:
        yield from self.head()
        for section in self.outline["sections"]:
            yield from self.section(section)
        yield from self.claims()
        yield from self.sources()
        yield from self.assumed()
        for key, line in (("not_asked", "{stage}: {reason}"), ("warnings", "{0}")):
            if found := self.outline[key]:
                yield self.title(self.t(f"section.{key}"))
                for item in found:
                    text = line.format(**item) if isinstance(item, Mapping) else str(item)
                    yield from self.bullet(text)

    def title(self, text: str) -> RenderableType:
        from rich.text import Text

        return Text(f"\n{text}\n{'─' * _cells(text)}", style="bold")

    def bullet(self, text: str) -> Iterator[RenderableType]:
        from rich.padding import Padding
        from rich.text import Text

        yield Padding(Text(text), (0, 0, 0, 2))

    def head(self) -> Iterator[RenderableType]:
        from rich.text import Text

        o = self.outline
        days = self.t("head.as_of", day=o["as_of"])
        if o["known_by"]:
            days += self.t("word.comma") + self.t("head.known_by", day=o["known_by"])
        yield Text.assemble((o["name"], "bold"), "  ", (days, "dim"))
        yield Text("")
        for line in o["answer"]:
            yield Text(line, style="bold")

    # sections -------------------------------------------------------------------------------

    def section(self, section: Mapping[str, Any]) -> Iterator[RenderableType]:
        yield self.title(section["title"])
        for note in section["notes"]:
            yield from self.bullet(note)
        bars = {c["id"]: c for c in section["charts"] if c["kind"] == "bar"}
        for table in section["tables"]:
            yield self.table(table, bars.pop(table["id"], None))
        for chart in bars.values():
            yield self.bars(chart)

    def table(self, table: Mapping[str, Any], bars: Mapping[str, Any] | None) -> RenderableType:
        """A table of the outline; where a bar chart has its id, a bar stands beside each row."""
        rows = table["rows"]
        columns = [c for c in table["columns"] if c["key"] != "id"]
        grid = self.grid(table["title"])
        for column in columns:
            right = all(isinstance(r.get(column["key"]), Mapping) for r in rows) and rows
            grid.add_column(
                column["label"],
                justify="right" if right else "left",
                no_wrap=bool(right) and len(columns) < 8,
                overflow="fold",
            )
        lengths = self.lengths(bars, len(rows))
        if lengths:
            grid.add_column("", no_wrap=True)
        for i, row in enumerate(rows):
            cells = [self.cell(row.get(c["key"], ""), c["key"]) for c in columns]
            grid.add_row(*cells, *([lengths[i]] if lengths else []))
        return grid

    def grid(self, title: str) -> Any:
        from rich import box
        from rich.table import Table

        return Table(
            title=title or None,
            title_justify="left",
            title_style="italic",
            box=box.SIMPLE_HEAD,
            header_style="dim",
            pad_edge=False,
            padding=(0, 1),
            show_edge=False,
        )

    def cell(self, value: Any, key: str) -> RenderableType:
        from rich.text import Text

        text = str(value["shown"] if isinstance(value, Mapping) else value)
        style = ""
        if key == "kind":
            style = next((s for k, s in KIND_STYLE.items() if self.t(f"kind.{k}") == text), "")
        return Text(text, style=style)

    def lengths(self, bars: Mapping[str, Any] | None, rows: int) -> list[str]:
        """A bar for every row, as long as its share of the largest."""
        if bars is None or len(bars["series"]) != 1 or len(bars["series"][0]["values"]) != rows:
            return []
        values = [v or 0.0 for v in bars["series"][0]["values"]]
        room = 24 if self.console.width >= 100 else 14
        return [_bar(v / (max(values) or 1.0), room) for v in values]

    def bars(self, chart: Mapping[str, Any]) -> RenderableType:
        from rich.text import Text

        values = [v or 0.0 for v in chart["series"][0]["values"]]
        unit = chart["y"]["unit"]
        grid = self.grid(chart["title"])
        grid.show_header = False
        grid.add_column()
        grid.add_column(justify="right")
        grid.add_column()
        for name, value, bar in zip(
            chart["x"]["values"], values, self.lengths(chart, len(values)), strict=True
        ):
            amount = in_scale(value, scale_of(value, unit or "1"), lang=self.t.lang)
            grid.add_row(Text(str(name)), Text(amount), Text(bar))
        return grid

    # claims, sources, assumptions -------------------------------------------------------------

    def claims(self) -> Iterator[RenderableType]:
        from rich.padding import Padding
        from rich.text import Text

        if self.outline["claims"]:
            yield self.title(self.t("section.claims"))
        for claim in self.outline["claims"]:
            style = VERDICT_STYLE.get(claim["verdict"], "")
            mark = _MARKS.get(claim["verdict"], " ")
            who = ", ".join(filter(None, (claim["who"], claim["through"], claim["on"])))
            yield Text.assemble(
                (f"{mark} {claim['verdict_shown']}", style),
                "  ",
                (f"“{claim['says']}”", "bold"),
                (f"  {who}" + (f" ({claim['status_shown']})" if who else ""), "dim"),
            )
            yield Padding(Text(claim["why"]), (0, 0, 0, 4))

    def sources(self) -> Iterator[RenderableType]:
        from rich.text import Text

        found = self.outline["sources"]
        if not found:
            return
        yield self.title(self.t("section.sources"))
        grid = self.grid("")
        for key in ("kind", "source", "used_for"):
            grid.add_column(self.t(f"column.{key}"), ratio={"source": 3, "used_for": 2}.get(key))
        for s in found:
            cite = f"{s['publisher']}: {s['title']} ({s['published']})" if s["title"] else s["id"]
            text = Text(cite)
            if s["url"].startswith("http"):
                text.stylize(f"link {s['url']}")
            kind = Text(s["kind_shown"], style=KIND_STYLE.get(s["kind"], ""))
            grid.add_row(kind, text, Text("; ".join(s["used_for"]), style="dim"))
        yield grid

    def assumed(self) -> Iterator[RenderableType]:
        from rich.text import Text

        found = self.outline["assumed"]
        if not found:
            return
        yield self.title(self.t("section.assumed"))
        grid = self.grid("")
        grid.add_column(self.t("column.figure"))
        grid.add_column(self.t("column.value"), justify="right")
        grid.add_column(self.t("column.why"), ratio=1)
        for a in found:
            grid.add_row(Text(a["label"]), Text(a["shown"]), Text(a["why"], style="dim"))
        yield grid


def _bar(share: float, room: int) -> str:
    """A bar of at most ``room`` cells, to an eighth of a cell."""
    eighths = round(max(0.0, min(1.0, share)) * room * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
