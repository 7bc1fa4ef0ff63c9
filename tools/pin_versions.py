"""Pin what chares and its tests need, from a clean environment: ``make lock``."""

from __future__ import annotations

import subprocess
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEAD = """\
# Everything that `make demo` and `make test` install, pinned. Written by `make lock`.
"""


def wanted() -> list[str]:
    """What pyproject.toml asks for: to build, to run, to develop."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    groups: list[str] = project["dependency-groups"]["dev"]
    return [*project["build-system"]["requires"], *project["project"]["dependencies"], *groups]


def main() -> None:
    """Install into an empty environment and write down what came."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "-q", *wanted()], check=True)
        found = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    (ROOT / "constraints.txt").write_text(HEAD + found, encoding="utf-8")
    print(f"{len(found.splitlines())} versions pinned in constraints.txt")


if __name__ == "__main__":
    main()
