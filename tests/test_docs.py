"""The pages: every code block runs, and what they show is what comes out."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

from test_errors import codes_of_the_source
from test_shape import ROOT

sys.path.insert(0, str(ROOT / "tools"))
refresh = import_module("refresh_docs")


@pytest.mark.parametrize("path", refresh.pages(), ids=lambda p: p.name)
def test_a_page_runs_and_shows_what_comes_out(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert refresh.Page(path).render() == text, f"{path.name} is stale: run `make docs`"


@pytest.mark.parametrize("path", refresh.pages(), ids=lambda p: p.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_what_is_run_and_what_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    text = (
        "```python\nx = 6\nprint(x * 7, ' ')\n```\n\n<!-- output -->\n```text\n41\n```\n\n"
        "<!-- output: echo a; echo b >&2 -->\n```text\n```\n\n```python\nassert x == 6\n```\n"
        "<!-- output: seq 9 | lines 2-3 -->\n```text\n2\n```\n\n```text\nleft alone\n```\n"
    )
    page.write_text(text)
    fresh = text.replace("41", "42").replace(">&2 -->\n```text\n", ">&2 -->\n```text\na\nb\n")
    assert refresh.Page(page).render() == fresh.replace("text\n2\n", "text\n2\n3\n")
    page.write_text("```python\n1 / 0\n```\n")
    with pytest.raises(ZeroDivisionError):
        refresh.Page(page).render()
    page.write_text("<!-- output: python -c 'x' -->\n```text\n```\n")
    with pytest.raises(RuntimeError, match="Traceback"):
        refresh.Page(page).render()


def test_the_list_of_error_codes_is_the_one_of_the_source(root: Path) -> None:
    page = (root / "docs" / "errors.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert listed == sorted(set(listed))
    assert codes_of_the_source() - set(listed) == set(), "say in docs/errors.md what they mean"
    source = "".join(p.read_text(encoding="utf-8") for p in (root / "src").rglob("*.py"))
    gone = [c for c in listed if f'"{c}"' not in source and not c.startswith("unknown-")]
    assert not gone
