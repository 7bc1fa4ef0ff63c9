"""Priors of the parameters, and which of their effects make up each row's parameters."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from chares.model.calibration import Calibration, Table, attainable, to_free, to_value

#: name -> prior value, spread of the base, spread of the effects by level (free scale)
PRIORS: dict[str, tuple[float, float, dict[str, float]]] = {
    "gemm": (0.78, 0.3, {"vendor": 0.48, "generation": 0.32, "family": 0.32}),
    "gemm_8": (0.68, 0.4, {"generation": 0.32}),
    "gemm_4": (0.45, 0.5, {}),
    "wave": (1.8e6, 0.3, {"vendor": 0.48}),
    "tail": (0.9, 0.3, {}),
    "depth": (200.0, 0.6, {"vendor": 0.48}),
    "attention": (0.50, 0.3, {"vendor": 0.48, "generation": 0.4, "family": 0.64}),
    "attention_backward": (0.80, 0.1, {}),
    "unaligned": (16.0, 0.2, {}),
    "memory": (0.75, 0.3, {"generation": 0.24}),
    "passes": (1.2, 0.3, {"family": 0.4}),
    "unfused": (1.6, 0.3, {}),
    "cast": (1.0, 0.4, {}),
    "grouped": (0.90, 0.4, {"generation": 0.32}),
    "imbalance": (1.05, 0.02, {}),
    "permute": (1.2, 0.5, {}),
    "up": (0.75, 0.3, {"vendor": 0.48, "generation": 0.32}),
    "out": (0.70, 0.3, {"family": 0.32}),
    "up_latency": (7e-6, 0.5, {"vendor": 0.48}),
    "out_latency": (20e-6, 0.5, {}),
    "all_to_all": (0.7, 0.4, {}),
    "all_to_all_out": (0.9, 0.3, {}),
    "broadcast": (2.5e-3, 0.15, {}),
    "congestion": (0.03, 0.5, {}),
    "overlap_tp": (0.2, 0.6, {"family": 0.64}),
    "overlap_dp": (0.7, 0.5, {"family": 0.3}),
    "overlap_pp": (0.5, 0.5, {}),
    "overlap_cp": (0.7, 0.5, {}),
    "overlap_ep": (0.5, 0.5, {}),
    "host": (800e-6, 0.5, {"family": 0.5}),
    "ramp": (0.25, 0.7, {}),
    "blocked": (1.4, 0.2, {}),
    "moe_host": (500e-6, 0.7, {}),
    "expert_host": (200e-6, 0.7, {}),
    "step": (0.012, 0.4, {"family": 0.64}),
    "straggler": (0.008, 0.5, {"family": 0.3}),
    "cp_loss": (0.30, 0.4, {}),
    "progress": (0.12, 0.5, {"vendor": 0.8}),
    "progress_8": (0.35, 0.3, {}),
    "power": (0.5, 0.5, {}),
}
#: the same for memory, fitted to published peaks
MEMORY_PRIORS: dict[str, tuple[float, float, dict[str, float]]] = {
    "activation_memory": (1.0, 0.03, {"family": 0.2}),
    "workspace": (1.0, 0.3, {}),
    "logit_bytes": (10.0, 0.2, {"family": 0.3}),
    "fragmentation": (1.08, 0.02, {}),
    "context_memory": (4e9, 0.3, {"family": 0.2}),
}
#: parameters that share the effects of another at this level: what a framework's products lose
#: around their kernels is the same in every format
SHARED = {"gemm_8": ("family", "gemm"), "gemm_4": ("family", "gemm")}
MEMORY_NOISE = 0.05
#: prior means of effects (free scale), where a vendor's parts are known to differ
KNOWN: dict[tuple[str, str, str], float] = {
    ("wave", "vendor", "google"): -2.3,  # one or two large systolic arrays, no tile scheduling
    ("host", "family", "megatron-classic"): 0.8,  # eager, unfused, checkpointing in Python
    ("gemm", "vendor", "aws"): -0.3,
    ("wave", "vendor", "aws"): -1.5,
    ("wave", "vendor", "huawei"): -0.7,
    ("progress", "vendor", "google"): -2.0,  # in use inside before the launch
    ("up_latency", "vendor", "google"): -1.5,  # a hop of the torus takes a microsecond or two
    # rccl-tests of eight AMD parts, MI355X by the scripts beside: 16 MB in 117 us, 1 GB at 402 GB/s
    # (prasad-nair-amd/alibaba README.md, test 5); eight A100: 294 us, 231 GB/s (docs/decisions.md)
    ("up_latency", "vendor", "amd"): -0.7,
}
GAIN, GAIN_SPREAD = "gain", 0.2
#: how much faster a kernel is in a benchmark, in its best shape, than in training
GAINS = {"gemm": 1.1, "attention": 1.1}
NOISE = 0.06  # spread of a run about the model, of its logarithm
LEAST_GROUPS, MOST_GROUPS = 6.0, 12.0  # a source counts as so many independent runs


def robust(unit: np.ndarray) -> np.ndarray:
    """Residuals whose squares grow linearly far out, so that one bad row does not carry a fit."""
    found: np.ndarray = np.sign(unit) * np.sqrt(2.0 * (np.sqrt(1.0 + unit**2) - 1.0))
    return found


@dataclass
class Design:
    """Which entries of the parameter vector make up each row's parameters."""

    labels: dict[str, list[str]]  # level -> label of each row
    watts: np.ndarray
    age: np.ndarray
    names: list[tuple[str, str, str]] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)
    gather: dict[str, list[np.ndarray]] = field(default_factory=dict)
    priors: dict[str, tuple[float, float, dict[str, float]]] = field(default_factory=lambda: PRIORS)
    kernels: int = 0  # how many of the rows, the last ones, are measured kernels
    gains: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        n = len(self.watts)
        nothing = self._add(("", "", ""), 0.0)
        for name, (_, spread, levels) in self.priors.items():
            self.gather[name] = [np.full(n, self._add((name, "", ""), spread))]
            for level, width in levels.items():
                known = {
                    label: self._add((name, level, label), width) if label else nothing
                    for label in dict.fromkeys(self.labels[level])
                }
                self.gather[name].append(np.array([known[k] for k in self.labels[level]]))
        for name, (level, other) in SHARED.items():
            if name in self.priors:
                at = 1 + list(self.priors[other][2]).index(level)
                self.gather[name].append(self.gather[other][at])
        if self.kernels:
            self.gains = [self._add((kind, GAIN, ""), GAIN_SPREAD) for kind in GAINS]

    @property
    def known(self) -> np.ndarray:
        """Prior mean of every entry."""
        return np.array([KNOWN.get(key, 0.0) for key in self.names])

    def _add(self, key: tuple[str, str, str], spread: float) -> int:
        self.names.append(key)
        self.spread.append(spread)
        return len(self.names) - 1

    def calibration(self, x: np.ndarray) -> Calibration:
        """Parameters of every run for the vector of standardised effects."""
        return self._all(x).rows(slice(len(self.watts) - self.kernels))

    def of_kernels(self, x: np.ndarray) -> Calibration:
        """Parameters of the measured kernels."""
        return self._all(x).rows(slice(len(self.watts) - self.kernels, None))

    def gain_of_kernels(self, x: np.ndarray) -> np.ndarray:
        """Logarithm of how much faster a benchmark is than the same kernel in training."""
        prior = np.log(list(GAINS.values()))
        return prior + GAIN_SPREAD * x[self.gains]

    def _all(self, x: np.ndarray) -> Calibration:
        scaled = x * np.array(self.spread) + self.known
        found = {}
        for name, (prior, _, _) in self.priors.items():
            free = to_free(name, prior) + sum(scaled[i] for i in self.gather[name])
            found[name] = to_value(name, free)
        if "gemm" in found:
            found |= attainable(found, self.watts, self.age)
        return Calibration(**found)

    def table(self, x: np.ndarray, watts: dict[str, float]) -> Table:
        """The fit as a table."""
        base, effects = {}, {n: {} for n in self.priors}
        for (name, level, label), value in zip(
            self.names, x * np.array(self.spread) + self.known, strict=True
        ):
            if not name or level == GAIN:
                continue
            if not level:
                base[name] = float(to_free(name, self.priors[name][0])) + float(value)
            elif abs(value) > 5e-4:
                effects[name].setdefault(level, {})[label] = float(value)
        for name, (level, other) in SHARED.items():
            if name in effects:
                effects[name][level] = effects[other].get(level, {})
        for (name, level, label), value in KNOWN.items():  # makers without runs here
            if name in effects:
                effects[name].setdefault(level, {}).setdefault(label, value)
        return Table(base, effects, watts)
