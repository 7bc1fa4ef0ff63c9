"""Which engine for the search: numpy as it is, numba, JAX. ``python bench/engines.py``

The search of `chares.search` runs unchanged (layouts, blocks, reduction); only the function that
works out a block is another one. numba and JAX get theirs from the formulas as they stand, recorded
and compiled (`engines_graph`, `engines_kernel`). Measured, for each job: a cold process from start
to answer, the same with the compiled code of an earlier process on disk, and warm searches, on one
core and on two, with the evaluation of blocks alone beside them. Every row of every engine is held
against numpy's. An engine that is not installed is left out.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from chares.facts import load
from chares.model import Layers, Strategy
from chares.search import blocks, explore, question_for
from chares.search.asking import space_for
from chares.search.space import layouts

ENGINES = ("numpy", "numba", "jax")
JOBS = (("gpt3-175b", "a100-sxm-80gb", 4096), ("deepseek-v3", "h800-sxm", 2048))
RUNS = 3
AGREE = 1e-9  # relative, at most between engines

#: on which axes of a block the fields of a strategy vary; the rest are options of the step
COLUMNS = frozenset("tp pp vp cp ep etp dp sp micro_batch schedule".split())
OF_LAYER = frozenset(("recompute", "recompute_share", "overlap_tp", "fused"))
AXES = {
    **dict.fromkeys(COLUMNS, frozenset((0,))), **dict.fromkeys(OF_LAYER, frozenset((1,))),
    "gradient_bytes": frozenset((2,)), "shard_group": frozenset((0, 3)),
}  # fmt: skip
Inputs = dict[str, tuple[frozenset[int], Any]]
Compiled = Callable[[list[Any], tuple[int, ...]], tuple[Any, Any]]


# a block by another engine ------------------------------------------------------------------------


def inputs_of(layers: Layers, strategy: Strategy, fixed: set[str]) -> Inputs:
    """What varies in a block, by name, with its axes; ``fixed`` fields have one value."""
    found: Inputs = {}
    for f in fields(strategy):
        if f.name not in fixed:
            value = getattr(strategy, f.name)
            if np.ndim(value) == 4 or f.name == "shard_group":
                value = np.asarray(value, dtype=np.float64).reshape(np.shape(value) or (1,) * 4)
                found[f"strategy.{f.name}"] = AXES.get(f.name, frozenset((3,))), value
    for f in fields(layers):
        value = getattr(layers, f.name)
        if np.ndim(value) == 4:
            found[f"layers.{f.name}"] = frozenset(range(1 + (value.shape[1] > 1))), value
    return found


class Engine:
    """Stands in for ``step_of``: records the formulas once for a job and compiles them."""

    def __init__(self, compile_: Callable[[Any], Compiled], space: Any) -> None:
        from engines_graph import private_model

        self.compile = compile_
        self.step_of = private_model().step_of
        self.kernels: dict[Any, tuple[list[str], Compiled]] = {}
        names = [f.name for f in fields(Strategy) if f.name not in ("etp", "recompute")]
        self.fixed = {n for n in names if len(getattr(space, n, ())) == 1}

    def __call__(self, layers: Layers, shape: Any, strategy: Strategy, *rest: Any) -> Any:
        """Time and memory of a block."""
        inputs = inputs_of(layers, strategy, self.fixed)
        key = tuple((name, axes) for name, (axes, _) in inputs.items())
        if key not in self.kernels:
            self.kernels[key] = self._made(inputs, layers, shape, strategy, *rest)
        names, kernel = self.kernels[key]
        values = [getattr(strategy, f.name) for f in fields(strategy)]
        size = np.broadcast_shapes(*(np.shape(v) for v in values))
        arrays = [self._whole(*inputs[name], size) for name in names]
        seconds, memory = kernel(arrays, size)
        return SimpleNamespace(step_time_s=seconds, memory=SimpleNamespace(device=memory))

    def _whole(self, axes: frozenset[int], value: Any, size: tuple[int, ...]) -> Any:
        whole = tuple(n if a in axes else 1 for a, n in enumerate(size))
        return np.ascontiguousarray(np.broadcast_to(value, whole))

    def _made(self, inputs: Inputs, layers: Layers, *rest: Any) -> tuple[list[str], Compiled]:
        from engines_graph import record

        axes = {name: axes for name, (axes, _) in inputs.items()}
        graph = record(self.step_of, axes, layers, *rest)
        return [node.args[0] for node in graph.inputs], self.compile(graph)


def numba_kernel(graph: Any, folder: Path) -> Compiled:
    """The fused loop, compiled; the machine code stays in ``folder``."""
    from engines_kernel import Source

    source = Source(graph)
    body = source.text()
    head = ["import math", "import numpy as np", "import numba"]
    head += [f"{name} = np.array({values})" for name, values in source.tables.items()]
    text = "\n".join(head)
    text += "\n@numba.njit(nogil=True, cache=True, error_model='numpy')\n" + body
    path = folder / f"kernel_{hashlib.sha256(text.encode()).hexdigest()[:12]}.py"
    if not path.exists():
        path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)

    def run(arrays: list[Any], size: tuple[int, ...]) -> tuple[Any, Any]:
        seconds, memory = np.empty(size), np.empty(size)
        module.kernel(*arrays, seconds, memory)
        return seconds, memory

    return run


def jax_kernel(graph: Any, folder: Path) -> Compiled:
    """The graph under ``jit``. A block with fewer layouts than one before is filled up, for a new
    shape is compiled anew."""
    import jax
    import jax.numpy as jnp

    from engines_kernel import as_function

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    plain = as_function(graph, jnp)
    known: dict[tuple[int, ...], int] = {}

    @partial(jax.jit, static_argnums=0)
    def whole(size: tuple[int, ...], *arrays: Any) -> Any:
        seconds, memory = plain(*arrays)
        return jnp.broadcast_to(seconds, size), jnp.broadcast_to(memory, size)

    def run(arrays: list[Any], size: tuple[int, ...]) -> tuple[Any, Any]:
        rows = max(known.get(size[1:], 0), size[0])
        known[size[1:]] = rows
        if rows > size[0]:
            more = ((0, rows - size[0]), (0, 0), (0, 0), (0, 0))
            arrays = [np.pad(a, more, "edge") if a.shape[0] > 1 or size[0] == 1 else a
                      for a in arrays]  # fmt: skip
        seconds, memory = whole((rows, *size[1:]), *arrays)
        return np.asarray(seconds)[: size[0]], np.asarray(memory)[: size[0]]

    return run


def use(engine: str, space: Any, folder: Path) -> None:
    """Let the search work its blocks out with an engine from now on."""
    if engine != "numpy":
        make = {"numba": numba_kernel, "jax": jax_kernel}[engine]
        vars(blocks)["step_of"] = Engine(partial(make, folder=folder), space)


# measuring ----------------------------------------------------------------------------------------


def job(model: str, chip: str, count: int) -> tuple[Any, Any]:
    """What is asked, and the space."""
    asked = question_for(model, chip, count, load()).asked
    return asked, space_for(asked)


def rate(search: Callable[[], Any], legal: int) -> float:
    """Legal strategies per second of processor time, the best of some runs: what else the machine
    does is left out."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        search()
        times.append(time.process_time() - start)
    return legal / min(times)


def only_blocks(asked: Any, space: Any) -> None:
    """A search without the reduction of blocks to an answer."""
    table = layouts(space, asked.shape, asked.n_chips, asked.global_batch, asked.seq_len)
    for task in blocks.evaluate(asked, space, table, {}):
        task()


def difference(engine: str, asked: Any, space: Any, folder: Path) -> float:
    """The largest relative difference from numpy over all rows, of time and of memory."""
    plain = blocks.step_of
    table = layouts(space, asked.shape, asked.n_chips, asked.global_batch, asked.seq_len)
    use(engine, space, folder)
    other, worst = blocks.step_of, 0.0
    for task in blocks.evaluate(asked, space, table, {}):
        blocks.step_of = plain
        right = task()
        blocks.step_of = other
        block = task()
        for a, b in ((right.step_time, block.step_time), (right.memory, block.memory)):
            worst = max(worst, float(np.max(np.abs(b / a - 1.0))))
    return worst


def child(
    engine: str, model: str, chip: str, count: int, folder: Path, what: str
) -> dict[str, Any]:
    """One process: a search from start to answer, then what else is asked of it."""
    if what == "agree":
        return {"difference": difference(engine, *job(model, chip, count), folder)}
    if what == "one":
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    asked, space = job(model, chip, count)
    use(engine, space, folder)
    found = explore(asked, space)
    told: dict[str, Any] = {"legal": found.legal, "first": found.best[0].step_time_s}
    if what == "one":
        told["one"] = rate(lambda: explore(asked, space), found.legal)
        told["blocks"] = rate(lambda: only_blocks(asked, space), found.legal)
    elif what == "two":
        times = [explore(asked, space, threads=2).seconds for _ in range(RUNS)]
        told["two"] = found.legal / min(times)
    return told


def process(engine: str, words: tuple[Any, ...], folder: str, what: str) -> tuple[float, Any]:
    """Seconds of a process from outside, and what it told."""
    command = [sys.executable, __file__, "--child", engine, *map(str, words), folder, what]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - start, json.loads(done.stdout)


def measure(engine: str, words: tuple[Any, ...]) -> dict[str, Any]:
    """All figures of an engine for one job."""
    cold, again = [], []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            cold.append(process(engine, words, folder, "cold")[0])
            again.append(process(engine, words, folder, "cold")[0])
    with tempfile.TemporaryDirectory() as folder:
        one = process(engine, words, folder, "one")[1]
        two = process(engine, words, folder, "two")[1]
        agree = process(engine, words, folder, "agree")[1]["difference"]
    assert agree <= AGREE, f"{engine} differs by {agree:.1e}"
    return {
        "engine": engine, "job": " ".join(map(str, words)), "cold": min(cold),
        "again": min(again), "one": one["one"], "two": two["two"], "blocks": one["blocks"],
        "legal": one["legal"], "difference": agree,
    }  # fmt: skip


def main() -> None:
    """Measure what is installed, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--child", nargs=6, help=argparse.SUPPRESS)
    given = parser.parse_args().child
    if given:
        engine, model, chip, count, folder, what = given
        print(json.dumps(child(engine, model, chip, int(count), Path(folder), what)))
        return
    print(
        "| job | engine | cold [s] | compiled before [s] | one core [M/s] | blocks alone [M/s]"
        " | two cores [M/s] | largest difference |\n|---|---|---|---|---|---|---|---|"
    )
    for words in JOBS:
        for engine in ENGINES:
            if importlib.util.find_spec(engine) is None:
                print(f"{engine} is not installed: left out", file=sys.stderr)
                continue
            m = measure(engine, words)
            print(
                f"| {m['job']} ({m['legal']:,} legal) | {engine} | {m['cold']:.2f} |"
                f" {m['again']:.2f} | {m['one'] / 1e6:.1f} | {m['blocks'] / 1e6:.1f} |"
                f" {m['two'] / 1e6:.1f} | {m['difference']:.0e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
