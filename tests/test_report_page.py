"""The page: whole, safe, readable without a network; a notebook; facts; the cost of a start."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from datetime import date
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest

from chares import report
from chares.facts import Facts
from chares.planner import Plan, plan
from chares.report.drawing import svg
from chares.spec import Case, read_case, shipped_cases


@cache
def planned(name: str) -> Plan:
    return plan(read_case(name))


@cache
def outlined(name: str, lang: str = "en") -> dict[str, Any]:
    return report.outline(planned(name), lang)


class Page(HTMLParser):
    """Reads a page; keeps what it would load, its ids, its links and whether its tags close."""

    VOID = frozenset("meta br hr img input link rect path circle".split())

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.charts: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {k: v or "" for k, v in attrs}
        self.loads += [v for k, v in named.items() if k in ("src", "srcset", "data", "action")]
        self.loads += [named.get("href", "")] if tag in ("link", "use", "image") else []
        self.links += [named["href"]] if tag == "a" else []
        self.ids += [named["id"]] if "id" in named else []
        self.charts += [named.get("aria-label", "")] if tag == "svg" else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.mark.parametrize("name", shipped_cases())
@pytest.mark.parametrize("lang", report.LANGUAGES)
def test_the_page_is_whole_and_needs_no_network(name: str, lang: str) -> None:
    text = report.page(outlined(name, lang))
    page = Page(text)
    assert page.open == []
    assert page.loads == []
    assert "@import" not in text
    assert "url(" not in text
    assert len(page.ids) == len(set(page.ids))
    assert {h[1:] for h in page.links if h.startswith("#")} <= set(page.ids)
    assert page.charts
    assert all(page.charts)
    assert len(text.encode()) < 400_000
    for row in outlined(name, lang)["claims"]:
        assert row["verdict_shown"] in text


def test_the_page_escapes_what_a_case_says() -> None:
    fleet = [{"chip": "h100-sxm", "count": 8}]
    claim = {"id": "c", "says": '"><img src=x onerror=alert(1)>', "about": "site.chips", "value": 8}
    case = Case.model_validate(
        {"name": "<script>alert(1)</script>", "as_of": "2025-01-01", "fleet": fleet,
         "claims": [claim]}
    )  # fmt: skip
    evil = plan(case)
    for text in (report.page(report.outline(evil)), report.plan_html(evil)):
        assert "<script>alert" not in text
        assert "<img" not in text
        assert "&lt;script&gt;" in text


def test_a_chart_tells_its_numbers_in_words() -> None:
    chart = {
        "id": "c", "title": "Chips <online>", "kind": "step",
        "x": {"label": "day", "unit": "date", "values": ["2024-08-11", "2025-02-17"]},
        "series": [{"name": "chips", "values": [25000.0, None]}],
        "y": {"label": "chips", "unit": ""},
    }  # fmt: skip
    page = Page(svg(chart))
    assert page.charts == ["Chips <online>: chips: 2024-08-11 25,000"]
    assert page.open == []


BARS = {
    "id": "b", "title": "Memory", "kind": "bar",
    "x": {"label": "", "unit": "", "values": ["weights", "<all the rest of it, at great length>"]},
    "series": [{"name": "memory", "values": [3e9, 1e9]}], "y": {"label": "memory", "unit": "B"},
}  # fmt: skip


def test_bars_are_as_long_as_their_share_and_say_it() -> None:
    drawn = svg(BARS)
    page = Page(drawn)
    assert page.open == []
    assert page.charts == ["Memory: weights 3 GB; <all the rest of it, at great length> 1 GB"]
    lengths = [float(w) for w in re.findall(r'class="s0"[^>]* width="([\d.]+)"', drawn)]
    assert lengths[0] == pytest.approx(3 * lengths[1], abs=0.1)
    assert "75 %" in drawn
    assert "25 %" in drawn


def test_bars_without_a_table_have_a_place_of_their_own() -> None:
    section = {"id": "x", "title": "Section", "notes": [], "tables": [], "charts": [BARS]}
    o = outlined("colossus-1") | {"sections": [section]}
    assert 'aria-label="Memory: weights' in report.page(o)
    stream = io.StringIO()
    report.print_outline(o, stream, 100)
    rows = [line for line in stream.getvalue().splitlines() if "█" in line]
    assert [row.count("█") for row in rows] == [24, 8]


def test_a_plan_shows_itself() -> None:
    p = planned("colossus-1")
    assert repr(p).startswith("<Plan Colossus 1")
    assert "168 days" in repr(p)
    html = p._repr_html_()
    assert Page(html).open == []
    assert "Colossus 1" in html


# facts ------------------------------------------------------------------------------------------


def test_sources_that_disagree_stand_side_by_side(facts: Facts) -> None:
    rows = report.fact_rows(facts.all("h800-sxm", "peak_fp8"), facts, date(2025, 1, 1))
    assert len(rows) == 2
    assert sum(r["holds"] for r in rows) == 1
    text = report.fact_text(rows)
    assert all(r["cite"] in text for r in rows)
    assert text.count("\n  * ") == 1
    json.dumps(rows, allow_nan=False)


# cost of a start --------------------------------------------------------------------------------


def test_importing_report_loads_nothing_heavy() -> None:
    code = "import sys, chares.report; print(*sorted(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {m.partition(".")[0] for m in run.stdout.split()}
    assert not loaded & {"numpy", "plotly", "jinja2", "rich", "pydantic", "yaml"}
