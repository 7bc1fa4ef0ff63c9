"""A sweep on a local Ray cluster of two workers, of which one is killed (needs Ray)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from chares.search import Sweep, sweep

pytest.importorskip("pyarrow")
ray = pytest.importorskip("ray")

PLAN = {
    "model": ["llama-2-7b", "llama-2-13b"], "chip": ["h100-sxm", "a100-sxm-80gb"],
    "count": [8, 16, 32, 64], "seq_len": [2048, 4096], "global_batch": [64, 128],
}  # fmt: skip


def free(chip: str, day: str | None) -> float | None:
    """No price."""
    return None


def workers(session: int) -> list[int]:
    """Processes of the cluster that work on a part: children of the raylets of this session."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            title = (folder / "cmdline").read_bytes()
            group = os.getsid(int(folder.name))
        except (OSError, ValueError):
            continue
        if b"compute_part" in title and group == session:
            found.append(int(folder.name))
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_changes_nothing(tmp_path: Path) -> None:
    plan = Sweep.of(PLAN)
    assert sweep(plan, tmp_path / "local.parquet", free, workers=1) == 64
    killed: list[int] = []

    def told(done: int, whole: int) -> None:
        if not killed and done < whole and (found := workers(os.getsid(0))):
            killed.append(found[0])
            os.kill(found[0], signal.SIGKILL)

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        assert sweep(plan, tmp_path / "ray.parquet", free, "ray", told=told) == 64
    finally:
        ray.shutdown()
    assert killed
    assert (tmp_path / "ray.parquet").read_bytes() == (tmp_path / "local.parquet").read_bytes()
