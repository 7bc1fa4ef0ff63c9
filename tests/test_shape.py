"""The rule of the house, read from the syntax trees: order, front doors, cycles, sizes, names.

If the rule is wrong somewhere, change it here with a sentence why, not the code around it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "chares"

# A stage imports only what stands before it.
ORDER = (
    "errors units ledger facts spec staff permit build model serve search run money claims planner"
    " report faces"
).split()

# Stages that must not know each other, whatever the order says: the planner hands values over.
STRANGERS = {
    "money": {"model", "search"},
    "permit": {"model", "money"},
    "run": {"search"},
    "build": {"model"},
}

# The one step to the right: a plan shows itself in a notebook, and how it looks is report's. The
# import is inside the two methods that show it.
SHOWS_ITSELF = ("planner.py", "chares.report")

# Who may look for files beside the code, and for what.
OPENS = {
    "facts/files.py": "data",
    "spec/intake.py": "cases",
    "report/messages.py": "the catalogue of messages",
    "report/page_html.py": "the template and the style of the page",
}

FILE_LINES = 400
FUNCTION_LINES = 40
SHORT_SHARE = 0.95


@dataclass(frozen=True)
class Import:
    """One import of a chares module: who imports, on which line, what, and whether it runs."""

    file: str
    line: int
    module: str  # chares.model.shape
    names: tuple[str, ...]
    runs: bool  # False below `if TYPE_CHECKING:`

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def files() -> list[Path]:
    return sorted(SOURCE.rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def stage_of(file: str) -> str:
    """`model/shape.py` and `chares.model.shape` are of `model`; `__init__.py` is of none."""
    first = file.removeprefix("chares").lstrip(".").replace(".py", "").replace("/", ".")
    return first.split(".")[0]


def stages() -> list[str]:
    found = {stage_of(relative(p)) for p in files()}
    return sorted(found - {"__init__", "__main__"})


def imports(path: Path) -> Iterator[Import]:
    """Imports of chares modules, those inside functions too."""
    module = tree(path)
    guarded = {
        inner
        for node in ast.walk(module)
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        for statement in node.body
        for inner in ast.walk(statement)
    }
    for node in ast.walk(module):
        runs = node not in guarded
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "chares":
                    yield Import(relative(path), node.lineno, alias.name, (), runs)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{relative(path)}:{node.lineno}: a relative import"
            if node.module and node.module.split(".")[0] == "chares":
                names = tuple(alias.name for alias in node.names)
                for module, inner in modules(node.module, names):
                    yield Import(relative(path), node.lineno, module, inner, runs)


def modules(base: str, names: tuple[str, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """What `from base import names` enters: modules that it names, and names of the base."""
    folder = SOURCE.parent / base.replace(".", "/")
    inner = [n for n in names if (folder / f"{n}.py").is_file() or (folder / n).is_dir()]
    rest = tuple(n for n in names if n not in inner)
    return [(f"{base}.{n}", ()) for n in inner] + ([(base, rest)] if rest else [])


ALL_IMPORTS = [i for path in files() for i in imports(path)]
BETWEEN = [
    i
    for i in ALL_IMPORTS
    if stage_of(i.module)
    and stage_of(i.file) not in ("__init__", "__main__")
    and stage_of(i.module) != stage_of(i.file)
]


def shown(findings: list[object]) -> str:
    return "\n" + "\n".join(map(str, findings))


def test_every_stage_is_in_the_order() -> None:
    assert set(stages()) <= set(ORDER), set(stages()) - set(ORDER)


def test_imports_go_left() -> None:
    place = ORDER.index
    wrong = [i for i in BETWEEN if place(stage_of(i.module)) > place(stage_of(i.file))]
    wrong = [i for i in wrong if (i.file, i.module) != SHOWS_ITSELF]
    assert not wrong, shown(wrong)


def test_strangers_stay_strangers() -> None:
    wrong = [i for i in BETWEEN if stage_of(i.module) in STRANGERS.get(stage_of(i.file), set())]
    assert not wrong, shown(wrong)


def test_other_stages_are_entered_by_the_front_door() -> None:
    """`from chares.model import Shape`, never `from chares.model.shape import Shape`."""
    wrong = [i for i in BETWEEN if i.module.count(".") > 1]
    assert not wrong, shown(wrong)


def test_front_doors_offer_what_others_take() -> None:
    wrong = [
        f"{i} which does not offer {name}"
        for i in BETWEEN
        if (SOURCE / stage_of(i.module)).is_dir()
        for name in i.names
        if i.module.count(".") == 1 and name not in offered(stage_of(i.module))
    ]
    assert not wrong, shown(wrong)


def test_inside_a_stage_one_imports_by_module() -> None:
    """Not through the stage's own front door, which would be a cycle."""
    wrong = [
        i
        for i in ALL_IMPORTS
        if stage_of(i.module) == stage_of(i.file)
        and i.module == f"chares.{stage_of(i.file)}"
        and (SOURCE / stage_of(i.file)).is_dir()
    ]
    assert not wrong, shown(wrong)


def test_no_cycles() -> None:
    """No module reaches itself by imports that run, those inside functions included."""
    graph: dict[str, set[str]] = {}
    for i in ALL_IMPORTS:
        if i.runs and i.module != "chares":
            graph.setdefault(name_of(i.file), set()).add(i.module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as bad:
        pytest.fail(" -> ".join(bad.args[1]))


def name_of(file: str) -> str:
    return "chares." + file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_files_are_short() -> None:
    long = {relative(p): n for p in files() if (n := len(p.read_text().splitlines())) > FILE_LINES}
    assert not long


def test_functions_are_short() -> None:
    """95 of 100 functions have at most 40 lines; a formula may fill a screen (60)."""
    sizes = {
        f"{relative(p)}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for p in files()
        for node in ast.walk(tree(p))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    long = {name: n for name, n in sizes.items() if n > FUNCTION_LINES}
    assert len(long) <= (1 - SHORT_SHARE) * len(sizes), long
    assert not {name: n for name, n in sizes.items() if n > 2 * FUNCTION_LINES}


def offered(stage: str) -> list[str]:
    """``__all__`` of a stage, read without importing it."""
    door = SOURCE / stage / "__init__.py"
    for node in tree(door).body if door.is_file() else []:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return names
    return []


def test_no_module_is_named_like_what_its_door_offers() -> None:
    """`from chares.model import step` must mean one thing."""
    wrong = [
        f"{stage}/{name}"
        for stage in stages()
        for name in offered(stage)
        if (SOURCE / stage / f"{name}.py").is_file() or (SOURCE / stage / name).is_dir()
    ]
    assert not wrong, wrong


def test_front_doors_hold_no_code() -> None:
    """An `__init__` says what the stage is and what it offers, nothing more."""
    for stage in stages():
        door = SOURCE / stage / "__init__.py"
        if door.is_file():
            module = tree(door)
            assert ast.get_docstring(module), f"{stage} does not say what it is"
            lazy = {"__getattr__", "__dir__"}
            for node in module.body:
                fine = isinstance(node, (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign))
                fine |= isinstance(node, (ast.Expr, ast.If))
                fine |= isinstance(node, ast.FunctionDef) and node.name in lazy
                assert fine, f"{stage}/__init__.py:{node.lineno}"


@pytest.mark.parametrize("stage", stages())
def test_one_name_in_three_places(stage: str) -> None:
    """`model/`, `docs/model.md`, `tests/test_model*.py`: finding one finds all."""
    assert (ROOT / "docs" / f"{stage}.md").is_file(), f"docs/{stage}.md is missing"
    assert list((ROOT / "tests").glob(f"test_{stage}*.py")), f"tests/test_{stage}.py is missing"


def test_every_module_says_what_it_is() -> None:
    assert not [relative(p) for p in files() if not ast.get_docstring(tree(p))]


def test_only_facts_opens_the_data() -> None:
    """Files beside the code are found by few modules, and `data/` by `facts/files.py` alone."""
    for path in files():
        module = tree(path)
        words = {n.id for n in ast.walk(module) if isinstance(n, ast.Name)}
        words |= {n.attr for n in ast.walk(module) if isinstance(n, ast.Attribute)}
        imported = {
            getattr(n, "module", None) or alias.name
            for n in ast.walk(module)
            if isinstance(n, (ast.Import, ast.ImportFrom))
            for alias in n.names
        }
        looks = "__file__" in words or {"importlib.resources", "pkgutil"} & imported
        name = relative(path)
        if looks:
            assert name in OPENS, f"{name} looks for files beside the code"
        if name != "facts/files.py":
            texts = {n.value for n in ast.walk(module) if isinstance(n, ast.Constant)}
            assert not (looks and "data" in texts), f"{name} opens data/"
            if not name.startswith("facts/"):
                assert "chares.facts.files" not in imported, f"{name} goes behind the front door"


def test_yaml_is_read_in_one_place() -> None:
    """By events with bounds (`facts.read_document`); a loader would build what an enemy asks."""
    loading = {"load", "safe_load", "load_all", "safe_load_all", "full_load", "unsafe_load"}
    for path in files():
        uses = {
            n.attr
            for n in ast.walk(tree(path))
            if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "yaml"
        }
        assert not uses & loading, relative(path)


def test_pages_and_tests_have_an_owner() -> None:
    """A page of the documentation named like no stage is one of the few that are of all, or a
    chapter of a stage's page."""
    common = {"decisions", "dependencies", "measuring"} | {"memory", "measuring"}
    pages = {p.stem for p in (ROOT / "docs").glob("*.md")}
    assert pages - common <= set(ORDER), pages - common - set(ORDER)


def test_the_rule_finds_what_it_forbids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader of imports itself: late, guarded and plain imports, and those of the top."""
    code = (
        "from typing import TYPE_CHECKING\n"
        "import numpy\n"
        "from chares import units, __version__\n"
        "if TYPE_CHECKING:\n    from chares.facts import Facts\n"
        "def late():\n    import chares.money.cost\n"
    )
    source = tmp_path / "chares"
    (source / "model").mkdir(parents=True)
    (source / "units.py").touch()
    (source / "model" / "x.py").write_text(code)
    monkeypatch.setattr("test_shape.SOURCE", source)
    assert {(i.module, i.runs) for i in imports(source / "model" / "x.py")} == {
        ("chares.units", True),
        ("chares", True),
        ("chares.facts", False),
        ("chares.money.cost", True),
    }
