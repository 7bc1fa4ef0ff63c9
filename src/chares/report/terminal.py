"""An outline on a terminal: the answer first, then tables and bars, claims, sources, assumptions.

Everything printed is in the outline; rich is loaded here and nowhere else, and only on demand.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from io import StringIO
from typing import IO, TYPE_CHECKING, Any

from chares.report.messages import Messages
from chares.report.numerals import in_scale, scale_of

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

PLAIN_WIDTH = 100
NARROW = 96  # below it, columns that others imply are left out
WIDE = 110  # from here on the ids of figures, for `chares why`, have room
VERDICT_STYLE = {
    "holds": "bold green",
    "holds-within": "green",
    "fails": "bold red",
    "mixes-scopes": "bold red",
    "unchecked": "yellow",
}
LAW_STYLE = {"allowed": "green", "notify": "yellow", "licence": "red", "denied": "red"}
KIND_STYLE = {"stated": "green", "measured": "green", "derived": "cyan", "assumed": "yellow"}
_MARKS = {"holds": "✓", "holds-within": "≈", "fails": "✗", "mixes-scopes": "≠", "unchecked": "?"}


def print_outline(
    outline: Mapping[str, Any], stream: IO[str] | None = None, width: int | None = None
) -> None:
    """Print an outline; colours and the terminal's width where ``stream`` is a terminal."""
    from rich.console import Console

    out = stream or sys.stdout
    console = Console(file=out, highlight=False)
    if console.is_terminal:
        console.width = width or console.width
        _Page(outline, console).print()
        return
    text = StringIO()  # plain text for files and pipes, without blanks at the ends of lines
    console = Console(file=text, highlight=False, width=width or PLAIN_WIDTH)
    _Page(outline, console).print()
    out.write("".join(f"{line.rstrip()}\n" for line in text.getvalue().splitlines()))


class _Page:
    def __init__(self, outline: Mapping[str, Any], console: Console) -> None:
        self.outline = outline
        self.console = console
        self.t = Messages(outline["lang"])

    def print(self) -> None:
        for piece in self.pieces():
            self.console.print(piece, crop=False)

    def pieces(self) -> Iterator[RenderableType]:
        yield from self.head()
        for section in self.outline["sections"]:
            yield from self.section(section)
        yield from self.claims()
        yield from self.sources()
        yield from self.assumed()
        if self.outline["not_asked"]:
            yield self.title(self.t("section.not_asked"))
        for item in self.outline["not_asked"]:
            yield from self.bullet(f"{item['stage']}: {item['reason']}")

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
        for warning in o["warnings"]:
            yield Text(f"{self.t('section.warnings')}: {warning}", style="yellow")

    # sections -------------------------------------------------------------------------------

    def section(self, section: Mapping[str, Any]) -> Iterator[RenderableType]:
        yield self.title(section["title"])
        for note in section["notes"]:
            yield from self.bullet(note)
        bars = {c["id"]: c for c in section["charts"] if c["kind"] == "bar"}
        for table in section["tables"]:
            chart = bars.pop(table["id"], None)
            if table["fold"]:
                continue
            if table.get("layout") == "verdicts":
                yield from self.verdicts(table)
                continue
            yield ""
            yield self.table(table, chart)
            if "note" in table:
                yield from self.bullet(table["note"])
        for chart in bars.values():
            yield ""
            yield self.bars(chart)
        if folded := [t["title"] for t in section["tables"] if t["fold"]]:
            yield self.dim(self.t("note.folded", titles=self.t("word.comma").join(folded)))

    def dim(self, text: str) -> RenderableType:
        from rich.text import Text

        return Text(text, style="dim")

    def verdicts(self, table: Mapping[str, Any]) -> Iterator[RenderableType]:
        """Answers of the law: those without a rule in one line, the others with their reasons."""
        from rich.padding import Padding
        from rich.text import Text

        silent: dict[str, list[str]] = {}
        for row in table["rows"]:
            answer = row["answer"]
            if answer["value"] == "no-rule":
                silent.setdefault(f"{row['question']} ({row['about']})", []).append(row["on"])
                continue
            style = LAW_STYLE.get(answer["value"], "")
            yield Text.assemble(
                (answer["shown"], f"bold {style}"),
                f"  {row['question']} ({row['about']}, {row['on']})",
                (f"  {row['paragraph']}", "dim"),
            )
            for line in row["because"]:
                yield Padding(Text(line), (0, 0, 0, 4))
            if row["flips"]:
                flips = "; ".join(row["flips"])
                text = Text(f"{self.t('verdicts.flips')}: {flips}", style="dim")
                yield Padding(text, (0, 0, 0, 4))
        for question, days in silent.items():
            none = self.t("law.no-rule")
            yield Text.assemble((none, "bold"), f"  {question}: {', '.join(days)}")

    def table(self, table: Mapping[str, Any], bars: Mapping[str, Any] | None) -> RenderableType:
        """A table of the outline; where a bar chart has its id, a bar stands beside each row."""
        rows = table["rows"]
        wide = self.console.width >= WIDE
        narrow = self.console.width < NARROW
        hidden = {"id": not wide, "added": narrow}
        columns = [c for c in table["columns"] if not hidden.get(c["key"])]
        grid = self.grid(table["title"])
        rooms = [_room(rows, c["key"]) for c in columns]
        headed = [max(room, _cells(c["label"])) for room, c in zip(rooms, columns, strict=True)]
        roomy = sum(h if r else 1 for r, h in zip(rooms, headed, strict=True)) + 3 * len(columns)
        fits = roomy - 3 <= self.console.width
        for column, room in zip(columns, rooms, strict=True):
            grid.add_column(
                column["label"],
                justify="right" if room else "left",
                no_wrap=fits and room > 0,
                min_width=room or None,
                overflow="fold",
            )
        if not fits:  # headings are broken and lines grow long before a number is cut
            grid.padding = (0, 1, 0, 0)
            tight = sum(r or 1 for r in rooms) + 2 * len(columns)
            grid.width = tight if tight > self.console.width else None
        limit = table.get("limit", len(rows))
        lengths = self.lengths(bars, len(rows))
        if lengths:
            grid.add_column("", no_wrap=True)
        for i, row in enumerate(rows[:limit]):
            cells = [self.cell(row.get(c["key"], ""), c["key"]) for c in columns]
            grid.add_row(*cells, *([lengths[i]] if lengths else []))
        if len(rows) > limit:
            grid.caption = self.t("note.more", count=len(rows) - limit)
            grid.caption_justify = "left"
        return grid

    def grid(self, title: str) -> Table:
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
        if key == "id":
            style = "dim"
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


def _room(rows: list[Any], key: str) -> int:
    """Cells that the numbers of a column take, or its ranks; 0 for a column of text."""
    if all(str(r.get(key, "")).isdigit() for r in rows):
        return max((_cells(str(r[key])) for r in rows), default=0)
    if not all(isinstance(r.get(key), Mapping) for r in rows):
        return 0
    return max((_cells(str(r[key]["shown"])) for r in rows), default=0)


def _cells(text: str) -> int:
    from rich.cells import cell_len

    return cell_len(text)
