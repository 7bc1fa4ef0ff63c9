"""Shared by all tests: how Hypothesis looks for examples, and where things lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from chares.facts import Facts, load

# The same examples on every run, so that a red test means a change; `HYPOTHESIS_PROFILE=search`
# looks for new ones.
settings.register_profile(
    "steady",
    derandomize=True,
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("search", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def facts() -> Facts:
    """The facts that come with chares."""
    return load()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Tables of published measurements that lie beside the checkout, where they do."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no published tables at {folder}")
    return folder
