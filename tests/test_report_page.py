"""The page: whole, safe, readable without a network, and what a notebook shows."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest

from chares import report
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


def test_a_plan_shows_itself() -> None:
    p = planned("colossus-1")
    assert repr(p).startswith("<Plan Colossus 1")
    assert "168 days" in repr(p)
    html = p._repr_html_()
    assert Page(html).open == []
    assert "Colossus 1" in html
