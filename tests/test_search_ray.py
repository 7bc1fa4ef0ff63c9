"""Sweeps on Ray: a local cluster of two workers, of which one is killed, and one that is there."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, flock
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from chares.errors import InputError
from chares.search import Sweep, sweep

pytest.importorskip("pyarrow")

PLAN = {
    "model": ["llama-2-7b", "llama-2-13b"], "chip": ["h100-sxm", "a100-sxm-80gb"],
    "count": [8, 16, 32, 64], "seq_len": [2048, 4096], "global_batch": [64, 128],
}  # fmt: skip
FILE = "{model: llama-2-7b, chip: [h100-sxm, h200-sxm], count: [8, 16], seq_len: [2048, 4096]}"
HERE = "127.0.0.2"  # Ray takes 127.0.0.1 for the address of the network


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder for one cluster, with a short name (it holds sockets). One cluster at a time."""
    shared = tmp_path_factory.getbasetemp().parent
    with (
        (shared / "one-cluster").open("w") as lock,
        TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as place,
    ):
        flock(lock, LOCK_EX)
        yield place


def free(chip: str, day: str | None) -> float | None:
    """No price."""
    return None


def parents() -> dict[int, tuple[int, bytes]]:
    """Parent and title of each process."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                status = (folder / "stat").read_text().rpartition(")")[2].split()
                found[int(folder.name)] = int(status[1]), (folder / "cmdline").read_bytes()
            except OSError:  # it is gone
                continue
    return found


def below(root: int) -> dict[int, bytes]:
    """Titles of the processes that a process started, and of those that these started."""
    known, found = parents(), {}
    for pid, (parent, title) in known.items():
        while parent not in (root, 0) and parent in known:
            parent = known[parent][0]
        if parent == root:
            found[pid] = title
    return found


def kill_one(killed: list[int]) -> None:
    """Kill the first worker of this process that is seen at work on a part."""
    until = time.monotonic() + 120.0
    while not killed and time.monotonic() < until:
        at_work = [pid for pid, title in below(os.getpid()).items() if b"compute_part" in title]
        if at_work:
            with suppress(ProcessLookupError):
                os.kill(at_work[0], signal.SIGKILL)
                killed.append(at_work[0])
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_changes_nothing(tmp_path: Path, folder: str) -> None:
    ray = pytest.importorskip("ray")
    plan = Sweep.of(PLAN)
    assert sweep(plan, tmp_path / "local.parquet", free, workers=1) == 64
    killed: list[int] = []
    ray.init(
        "local", num_cpus=2, include_dashboard=False, log_to_driver=False, _node_ip_address=HERE,
        _temp_dir=folder,
    )  # fmt: skip
    killer = threading.Thread(target=kill_one, args=(killed,))
    killer.start()
    try:
        assert sweep(plan, tmp_path / "ray.parquet", free, "ray") == 64
    finally:
        ray.shutdown()
        killer.join()
    assert killed
    assert (tmp_path / "ray.parquet").read_bytes() == (tmp_path / "local.parquet").read_bytes()


def unused_ports(count: int) -> list[int]:
    """Ports on which nothing listens."""
    sockets = [socket.create_server((HERE, 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@contextmanager
def cluster(folder: str, environment: dict[str, str]) -> Iterator[str]:
    """The address of a cluster of one node that another process started."""
    head, client = unused_ports(2)
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
        f"--node-ip-address={HERE}", f"--port={head}", f"--ray-client-server-port={client}",
        "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats",
        f"--temp-dir={folder}",
    ]  # fmt: skip
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as node:
        try:
            until = time.monotonic() + 120.0
            while time.monotonic() < until:
                assert node.poll() is None
                try:
                    socket.create_connection((HERE, client), 1.0).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield f"ray://{HERE}:{client}"
        finally:
            for pid in [*below(node.pid), node.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_a_cluster_that_is_there_writes_the_same_file(tmp_path: Path, folder: str) -> None:
    pytest.importorskip("ray")
    (tmp_path / "sweep.yaml").write_text(FILE)
    environment = os.environ | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    chares = [sys.executable, "-m", "chares", "sweep", "sweep.yaml", "--out"]
    subprocess.run([*chares, "local.parquet", "--workers", "1"], cwd=tmp_path, check=True)
    with cluster(folder, environment) as address:
        words = [*chares, "ray.parquet", "--engine", address]
        subprocess.run(words, cwd=tmp_path, env=environment, check=True, timeout=300)
    assert (tmp_path / "ray.parquet").read_bytes() == (tmp_path / "local.parquet").read_bytes()


@pytest.mark.parametrize("engine", ["ray://", "ray://127.0.0.1:port", "ray://[", f"ray://{HERE}:1"])
def test_an_address_where_no_cluster_answers_is_one_error(engine: str, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    plan = Sweep.of({"model": "llama-2-7b", "chip": "h100-sxm", "count": 8})
    with pytest.raises(InputError, match="no Ray cluster answers") as refused:
        sweep(plan, tmp_path / "out.parquet", free, engine)
    assert refused.value.code == "no-cluster"
