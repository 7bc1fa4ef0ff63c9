"""The pages: every code block runs, and what they show is what comes out."""

from __future__ import annotations

import re
import sys
import tomllib
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


def test_diffs_stand_in_the_files_that_they_name(root: Path) -> None:
    """CONTRIBUTING shows real changes: what they add is there, with what surrounds it."""
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    diffs = re.findall(r"```diff\n(.*?)```", text, re.DOTALL)
    assert len(diffs) >= 5
    for diff in diffs:
        _, head, _, *lines = diff.splitlines()
        after = "\n".join(line[1:] for line in lines if line[:1] != "-")
        path = head.removeprefix("+++ b/")
        assert after in (root / path).read_text(encoding="utf-8"), path


def test_every_dependency_has_its_reason(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    asked = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    asked += project["dependency-groups"]["dev"]
    names = {re.split(r"[^A-Za-z0-9-]", line)[0].lower() for line in asked}
    page = (root / "docs" / "dependencies.md").read_text(encoding="utf-8").lower()
    rows = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("|"))
    assert {name for name in names if not re.search(rf"\b{name}\b", rows)} == set()
    pinned = (root / "constraints.txt").read_text(encoding="utf-8").lower().replace("_", "-")
    assert {name for name in names if f"\n{name}==" not in pinned} == set()


def test_the_list_of_error_codes_is_the_one_of_the_source(root: Path) -> None:
    page = (root / "docs" / "errors.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert listed == sorted(set(listed))
    assert codes_of_the_source() - set(listed) == set(), "say in docs/errors.md what they mean"
    source = "".join(p.read_text(encoding="utf-8") for p in (root / "src").rglob("*.py"))
    gone = [c for c in listed if not re.search(rf'["\[]{c}["\]]', source)]
    gone = [c for c in gone if not c.startswith("unknown-")]
    assert not gone
