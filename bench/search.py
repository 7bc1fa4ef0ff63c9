"""How fast the search is: ``python bench/search.py`` (a minute on two cores).

Each case is a whole cold process, measured from outside. Beside it stands a plain Python loop that
predicts the same strategies one at a time in the same run: the ratio can be compared between
machines. Exit code 1 where a limit is passed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from statistics import median

from chares.facts import load
from chares.model import predict
from chares.search import default_space, explore, question_for

RUNS = 3
# model, chip, count, seconds at most of a cold process
CASES = (
    ("gpt3-175b", "a100-sxm-80gb", 4096, 1.5),
    ("gpt3-175b", "a100-sxm-80gb", 200_000, 3.0),
    ("deepseek-v3", "h800-sxm", 2048, 3.0),
)
RATE = 2e6  # legal strategies per second with time, memory and cost
MEGABYTES = 300.0


def process(model: str, chip: str, count: int) -> tuple[float, float, dict[str, float]]:
    """Seconds and MB of a cold ``chares train``, and its JSON."""
    command = [sys.executable, "-m", "chares", "train", "--model", model, "--chip", chip]
    command += ["--count", str(count), "--json"]
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    text = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    assert not status, command
    return time.perf_counter() - start, usage.ru_maxrss / 1000, json.loads(text)


def one_at_a_time(count: int = 400) -> float:
    """Strategies per second of a plain Python loop over single predictions."""
    asked = question_for("gpt3-175b", "a100-sxm-80gb", 4096, load()).asked
    space = default_space(
        asked.shape, asked.hardware, asked.n_chips, asked.global_batch, asked.seq_len
    )
    found = explore(asked, space, keep=count)
    start = time.perf_counter()
    for candidate in found.best:
        predict(asked.shape, candidate.strategy, asked.hardware, asked.calibration)
    return len(found.best) / (time.perf_counter() - start)


def main() -> int:
    """Measure and print; 1 where a limit is passed."""
    passed = False
    plain = one_at_a_time()
    print(f"one at a time, plain Python: {plain:,.0f} strategies/s")
    for model, chip, count, limit in CASES:
        runs = [process(model, chip, count) for _ in range(RUNS)]
        seconds, megabytes = median(r[0] for r in runs), max(r[1] for r in runs)
        found = runs[0][2]
        rate = max(r[2]["evaluated"] / r[2]["seconds"] for r in runs)
        slow = seconds > limit or megabytes > MEGABYTES
        slow |= rate < RATE and found["evaluated"] > 1e6
        passed |= slow
        print(
            f"{model} on {count:,} {chip}: space {found['space']:,}, legal and evaluated "
            f"{found['evaluated']:,}, {found['feasible']:,} fit; {rate / 1e6:.1f} M strategies/s "
            f"({rate / plain:,.0f} x one at a time); whole process {seconds:.2f} s of {limit} s, "
            f"{megabytes:.0f} MB{'  PASSED THE LIMIT' if slow else ''}"
        )
    return int(passed)


if __name__ == "__main__":
    sys.exit(main())
