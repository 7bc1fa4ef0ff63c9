"""How long a command takes, start to end, and how much memory: ``make bench``.

Each command is run five times as a process of its own, in turn with a bare ``python -c pass``; what
counts is the median, beside the limit and as a multiple of the bare interpreter of the same run
(which is what can be compared between machines). Exit code 1 where a limit is passed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from statistics import median

RUNS = 5
BARE = [sys.executable, "-c", "pass"]
CHARES = [sys.executable, "-m", "chares"]

# name -> (command, seconds at most, MB at most)
COMMANDS: dict[str, tuple[list[str], float, float]] = {
    "chares --help": ([*CHARES, "--help"], 0.25, 200),
    "chares plan colossus-1": ([*CHARES, "plan", "colossus-1"], 0.8, 200),
}


def once(command: list[str]) -> tuple[float, float]:
    """Seconds of wall time and MB of peak resident memory of one run of a command."""
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        assert child.stderr is not None
        raise SystemExit(f"{' '.join(command)} failed:\n{child.stderr.read().decode()[-2000:]}")
    return seconds, usage.ru_maxrss * (1.0 if sys.platform == "linux" else 1 / 1024) / 1000


def measure(command: list[str]) -> dict[str, float]:
    """Medians over the runs, and the multiple of the bare interpreter."""
    once(command)  # the first run fills the caches of files and byte code
    pairs = [(once(BARE), once(command)) for _ in range(RUNS)]
    bare, own = median(b[0] for b, _ in pairs), median(o[0] for _, o in pairs)
    peak = median(o[1] for _, o in pairs)
    return {"seconds": own, "times_bare": own / bare, "peak_mb": peak, "bare_seconds": bare}


def main() -> int:
    """Measure every command and print a table, or JSON with ``--json``."""
    found = {name: measure(command) for name, (command, _, _) in COMMANDS.items()}
    over = [
        name
        for name, (_, seconds, megabytes) in COMMANDS.items()
        if found[name]["seconds"] > seconds or found[name]["peak_mb"] > megabytes
    ]
    if "--json" in sys.argv:
        print(json.dumps({"runs": RUNS, "commands": found, "over": over}, indent=1))
        return int(bool(over))
    print(f"median of {RUNS}; a bare interpreter takes {median_bare(found):.3f} s")
    print(f"{'command':24} {'wall':>8} {'limit':>7} {'x bare':>7} {'peak':>7} {'limit':>7}")
    for name, (_, seconds, megabytes) in COMMANDS.items():
        row = found[name]
        print(
            f"{name:24} {row['seconds']:6.3f} s {seconds:5.2f} s {row['times_bare']:7.1f}"
            f" {row['peak_mb']:4.0f} MB {megabytes:4.0f} MB{'  over' if name in over else ''}"
        )
    return int(bool(over))


def median_bare(found: dict[str, dict[str, float]]) -> float:
    """The bare interpreter over all commands."""
    return median(row["bare_seconds"] for row in found.values())


if __name__ == "__main__":
    sys.exit(main())
