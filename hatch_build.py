"""Build hook: compiles the fact files into the one JSON file that the wheel carries."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileFacts(BuildHookInterface[Any]):
    """Runs before a wheel is packed; a bad record stops the build with its file and line."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        del version, build_data
        root = Path(self.root)
        sys.path.insert(0, str(root / "src"))
        from chares.facts.compiling import compile_to

        compile_to(root / "src" / "chares" / "data" / "facts.json")
