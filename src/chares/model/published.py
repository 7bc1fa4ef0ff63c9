"""Rows of published runs -> arrays that the model reads; what was inferred is said for each row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from chares.errors import CharesError
from chares.model import strategy as st
from chares.model.calibration import REFERENCE_AGE, Setting
from chares.model.cells import CannotPredictError, checked
from chares.model.cells import read_rows as read_rows
from chares.model.hardware import Hardware, hardware_of
from chares.model.schedule import DUALPIPE
from chares.model.shape import LATENT, Shape
from chares.model.strategy import Strategy
from chares.model.wording import (
    family_of,
    flags_of,
    precision_of,
    recompute_of,
    scale_out_of,
    schedule_of,
    zero_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from chares.facts import Facts

Row = Mapping[str, str]
GREATEST_CONTEXT = 32e6


@dataclass(frozen=True, slots=True)
class Runs:
    """Published runs as arrays; ``index`` is the input row of each row here."""

    ids: list[str]
    shape: Shape
    strategy: Strategy
    hardware: Hardware
    settings: list[Setting]
    source: list[str]
    inferred: list[tuple[str, ...]]
    errors: list[str]  # one per input row, empty where it is predicted
    index: NDArray[np.intp]  # input row of each row here


def prepare(rows: Sequence[Row], facts: Facts) -> Runs:
    """Read every row; one that cannot be predicted leaves its reason in ``errors``."""
    reader = _Reader(facts)
    errors, index, taken = [], [], []
    for i, row in enumerate(rows):
        try:
            taken.append(reader.read(checked(row)))
            index.append(i)
            errors.append("")
        except CannotPredictError as bad:
            errors.append(bad.reason)
    columns = [dict(t[0]) for t in taken]
    return Runs(
        [str(rows[i].get("id", i)) for i in index],
        _gather(Shape, columns),
        _gather(Strategy, columns),
        _gather(Hardware, columns),
        [t[1] for t in taken],
        [rows[i].get("source_key") or rows[i].get("source_title", "") for i in index],
        [t[2] for t in taken],
        errors,
        np.array(index, dtype=np.intp),
    )


def _gather(kind: type[Any], columns: Sequence[Mapping[str, float]]) -> Any:
    names = [f.name for f in fields(kind)]
    default: dict[str, Any] = {f.name: f.default for f in fields(kind)}
    return kind(**{n: np.array([float(c.get(n, default[n])) for c in columns]) for n in names})


class _Reader:
    """Reads rows against one set of facts, remembering chips and models."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.chips: dict[str, tuple[Hardware, str, str, float] | str] = {}
        self.models = _known_models(facts)
        self.launches = generation_launches(facts)

    def chip(self, label: str) -> tuple[Hardware, str, str, float]:
        if label not in self.chips:
            try:
                id_ = self.facts.resolve("chips", label)
                tags = self.facts.subject(id_).tags
                self.chips[label] = (
                    hardware_of(self.facts, id_), tags.get("vendor", ""),
                    tags.get("generation", ""),
                    self.launches.get(tags.get("generation", ""), 0.0),
                )  # fmt: skip
            except CharesError as bad:
                self.chips[label] = f"accelerator `{label}`: {bad.message}"
        found = self.chips[label]
        if isinstance(found, str):
            raise CannotPredictError(found)
        return found

    def read(self, row: Row) -> tuple[dict[str, float], Setting, tuple[str, ...]]:
        """Field values, labels and the names of inferred columns of a row."""
        return _RowReader(self, row).all()


def _known_models(facts: Facts) -> dict[tuple[int, int, int], dict[str, float]]:
    """Shapes on record by (layers, width, experts), for what a row's columns cannot say."""
    names = {f.name for f in fields(Shape)}
    found = {}
    for id_ in facts.ids("models"):
        shape = facts.document(id_).get("shape", {})
        kept = {k: float(v) for k, v in shape.items() if k in names}
        if "n_layers" in kept:
            key = (kept["n_layers"], kept["d_model"], kept.get("n_experts", 0.0))
            found[int(key[0]), int(key[1]), int(key[2])] = kept
    return found


class _RowReader:
    """One row. ``inferred`` collects the columns that had to be filled."""

    def __init__(self, reader: _Reader, row: Row) -> None:
        self.reader = reader
        self.row = row
        self.inferred: list[str] = []

    def number(self, column: str, default: float | None = None) -> float:
        """The column as a number; ``default`` is used and noted where it is empty."""
        text = self.row.get(column, "")
        if text not in ("", None):
            try:
                return float(str(text).replace(",", ""))
            except ValueError:
                pass
        if default is None:
            raise CannotPredictError(f"column `{column}` is needed and is empty")
        self.inferred.append(column)
        return default

    def has(self, column: str) -> bool:
        return self.row.get(column, "") not in ("", None)

    def all(self) -> tuple[dict[str, float], Setting, tuple[str, ...]]:
        chip, vendor, generation, launched = self.reader.chip(self.row.get("accelerator", ""))
        family = family_of(self.row.get("framework", ""), self.row.get("published", ""))
        values = self.shape()
        values |= self.degrees(values, chip, family)
        values |= self.choices(values, family)
        values |= self.network(chip, values)
        age = software_year(self.row) - launched if launched else REFERENCE_AGE
        setting = Setting(
            vendor, generation, family, float(chip.tdp), float(chip.peak_16), round(age, 3)
        )
        return values, setting, tuple(self.inferred)

    def shape(self) -> dict[str, float]:
        layers, width = self.number("n_layers"), self.number("d_model")
        heads = self.number("n_heads")
        quiet = list(self.inferred)
        experts = self.number("n_experts", 0.0)
        known = self.reader.models.get((int(layers), int(width), int(experts)), {})
        d_expert = self.number("d_expert", 0.0)
        shared = self.number("n_shared_experts", 0.0)
        dense_layers = self.number("n_dense_layers", 0.0)
        top_k = self.number("top_k", 2.0 if experts else 0.0)
        self.inferred = quiet
        values = {
            "n_layers": layers, "d_model": width, "n_heads": heads,
            "n_kv_heads": self.number("n_kv_heads", heads),
            "d_head": self.number("d_head", width / heads),
            "gated": self.number("gated_ffn", 1.0),
            "vocab": self.number("vocab", known.get("vocab", 32000.0)),
            "tied": self.number("tied_embeddings", 0.0),
            "n_experts": experts, "d_expert": d_expert, "top_k": top_k,
            "routed_domains": known.get("routed_domains", 0.0),
            "n_shared_experts": shared, "d_shared": shared * d_expert,
            "n_moe_layers": layers - dense_layers if experts else 0.0,
        }  # fmt: skip
        values["d_ff"] = self.number("d_ff", 0.0 if experts else 4.0 * width)
        for name in ("window", "window_layers", "d_shared"):
            if known.get(name):
                values[name] = known[name]
        if self.row.get("attention", "").lower() == "mla":
            latent = ("q_lora_rank", "kv_lora_rank", "d_nope", "d_rope", "d_v")
            standard = (1536.0 if width > 2048 else 0.0, 512.0, 128.0, 64.0, 128.0)
            values |= {n: known.get(n, d) for n, d in zip(latent, standard, strict=True)}
            values["attention"] = LATENT
        text = (self.row.get("model_name", "") + " " + self.row.get("notes", "")).lower()
        if "w/ mtp" in text or "mtp: included" in text or "includes mtp" in text:
            values["mtp_layers"] = 1.0
        return values

    def degrees(self, shape: Mapping[str, float], chip: Hardware, family: str) -> dict[str, float]:
        """How many ranks of each kind, the batch and the length."""
        n = self.number("n_accel")
        seq = self.number("seq_len", 4096.0)
        if not 1 <= seq <= GREATEST_CONTEXT:
            raise CannotPredictError(f"sequence length {seq:g} is out of range")
        tp, pp = self.split(shape, chip, n, family)
        cp = self.number("cp", 1.0)
        vp = self.number("vp", 1.0)
        given = float(self.row["dp"]) if self.has("dp") else 0.0
        dp = n / (tp * pp * cp)
        if given and given < dp and tp * pp * cp * given != n:
            dp = given  # the source's own arithmetic leaves accelerators idle or repeats one
        if dp < 1.0:
            raise CannotPredictError(f"tp x pp x cp = {tp * pp * cp:g} exceeds {n:g} accelerators")
        dp = np.floor(dp)
        if self.has("micro_batch"):
            micro = self.number("micro_batch")
            batch = self.number("global_batch", micro * dp * (1.0 if pp == 1 else 4.0 * pp))
        else:
            batch = self.number("global_batch", max(dp, np.round(4.2e6 / seq)))
            # torchtitan cuts a replica's batch into as many micro-batches as there are stages
            cut = np.floor(batch / (dp * pp)) if family == "fsdp" and pp > 1 else 1.0
            micro = self.number("micro_batch", max(1.0, cut))
        ep = self.number("ep", 1.0)
        return {
            "tp": tp, "pp": pp, "vp": max(vp, 1.0), "cp": cp, "ep": ep,
            "etp": self.number("etp", tp if ep <= dp * cp else 1.0), "dp": dp,
            "micro_batch": max(1.0, min(micro, np.ceil(batch / dp))), "global_batch": batch,
            "seq_len": seq,
        }  # fmt: skip

    def split(
        self, shape: Mapping[str, float], chip: Hardware, n: float, family: str
    ) -> tuple[float, float]:
        """tp and pp, or the smallest split (first tp, then pp) whose state fills 60 % at most."""
        if self.has("tp") and self.has("pp"):
            return self.number("tp"), self.number("pp")
        if family in ("fsdp", "jax", "deepspeed"):
            return self.number("tp", 1.0), self.number("pp", 1.0)
        h, ff = (
            shape["d_model"],
            (2.0 + shape["gated"])
            * (shape["d_ff"] if not shape["n_experts"] else shape["n_experts"] * shape["d_expert"]),
        )
        total = shape["n_layers"] * (4.0 * h * h + h * ff) + shape["vocab"] * h
        room = 0.6 * float(chip.memory) / 7.5
        tp = pp = 1.0
        while total / (tp * pp) > room and tp < min(8.0, float(chip.node_size), n):
            tp *= 2.0
        while total / (tp * pp) > room and pp * tp < n and pp * 2 <= shape["n_layers"]:
            pp *= 2.0
        return self.number("tp", tp), self.number("pp", pp)

    def choices(self, values: Mapping[str, float], family: str) -> dict[str, float]:
        """Precision, recomputation, sharding, overlap and kernels."""
        row = self.row
        notes = row.get("overlap_notes", "")
        tp, dp, pp, ep, fused, graphs, dedup = flags_of(notes, family, row.get("framework", ""))
        said = recompute_of(row.get("recompute", ""))
        if said is None:
            self.inferred.append("recompute")
            said = (st.FULL if family in ("jax", "megatron-classic") else st.NONE, 1.0)
        if said[0] == st.SELECTIVE and "fms" in row.get("framework", "").lower():
            said = (st.FULL, 0.5)  # fms-fsdp: whole blocks, some of them
            self.inferred.append("recompute")
        offloaded = re.search(r"activation offload (\d+) layers", notes.lower())
        offload = float(offloaded[1]) / values["n_layers"] if offloaded else 0.0
        if "custom host offload" in row.get("recompute", "").lower():
            offload = 0.9
        zero = zero_of(row.get("zero_stage_or_fsdp", ""))
        if zero is None:
            self.inferred.append("zero_stage_or_fsdp")
            zero = (
                {"fsdp": 3, "jax": 3, "deepspeed": 3, "megatron-classic": 0}.get(family, 1),
                0,
                1,
            )
        stage, group, _ = zero
        sp = values["tp"] > 1
        if self.has("sp"):
            sp = self.number("sp") > 0
        if family == "jax":
            sp = True  # GSPMD shards activations over the tensor axis
        elif family == "megatron-classic" and not self.has("sp"):
            sp = False
        framework = row.get("framework", "").lower()
        adapters = row.get("task", "").lower() == "lora"  # the weights have no state
        # what FSDP and ZeRO carry: Composer gathers in 32 bits unless PURE; torchtitan reduces so
        composer = "composer" in framework or "foundry" in framework
        half = (
            family in ("deepspeed", "megatron-classic")
            or "internevo" in framework
            or "nemo" in framework  # its recipes for speed keep and reduce gradients in 16 bits
            or "bridge" in framework
            or (family == "fsdp" and "titan" not in framework)
        )
        bf16 = precision_of(row.get("precision", "")) == st.BF16
        copy = 4.0 * (family == "megatron-classic" and bf16)
        wide = composer and "default" in notes.lower()
        fsdp = family in ("fsdp", "deepspeed", "jax") and stage == 3
        if fsdp and values["pp"] > 1:
            # in a pipeline FSDP gathers weights once a step and scatters gradients once: stage 1
            fsdp, stage = False, 1
        schedule = schedule_of(f"{notes} {framework}") if values["pp"] > 1 else 0
        small = schedule == DUALPIPE and precision_of(row.get("precision", "")) == st.FP8_BLOCK
        return {
            "schedule": float(schedule), "dispatch_bytes": 1.0 if small else 2.0,
            "sp": float(sp), "zero": float(stage), "shard_group": float(group),
            "precision": float(precision_of(row.get("precision", ""))),
            "recompute": float(said[0]), "recompute_share": said[1],
            "overlap_tp": tp, "overlap_dp": dp, "overlap_pp": pp, "overlap_ep": ep,
            "balance": float(family == "3d-parallel" or schedule == DUALPIPE),
            "broadcast": float("broadcast" in notes.lower()),
            "fused": fused, "graphs": graphs, "dedup": dedup,
            "lean_loss": float(composer or "nemo" in framework or "bridge" in framework),
            "cp_kind": float(st.RING),
            "flash": float(self.flash(family)),
            "gradient_bytes": 0.1 if adapters else 2.0 if half else 4.0,
            "gradient_copy_bytes": copy, "offload_activations": min(offload, 1.0),
            "weight_bytes": 4.0 if fsdp else 2.0,
            "offload_optimizer": float("full cpu offload" in notes.lower()),
            # NeMo's fused Adam keeps the half of a 32-bit weight that the 16-bit weight lacks
            "optimizer_bytes": 0.1 if adapters else 8.0 if fsdp
            else 10.0 if "nemo" in framework and row.get("published", "") < "2025" else 12.0,
            "gather_bytes": 1.0 if "float8 all-gather" in row.get("precision", "").lower()
            else 4.0 if wide else 2.0,
        }  # fmt: skip

    def flash(self, family: str) -> bool:
        """FlashAttention: all but the frameworks of 2022 and before, unless they say so."""
        text = (self.row.get("notes", "") + self.row.get("framework", "")).lower()
        if "attn_impl torch" in text or "without flash" in text:
            return False
        return family != "megatron-classic" or "flash" in text

    def network(self, chip: Hardware, values: Mapping[str, float]) -> dict[str, float]:
        """The hardware with the node, the domain and the NIC share that the row states."""
        node = self.number("accel_per_node", float(chip.node_size))
        out = scale_out_of(self.row.get("interconnect", ""), node)
        domain = float(chip.scale_up_size)
        zero = zero_of(self.row.get("zero_stage_or_fsdp", "")) or (0, 0, 1)
        n = values["tp"] * values["pp"] * values["cp"] * values["dp"]
        if domain <= 16:
            domain = min(domain, node)
        elif zero[2] > 1:
            domain = min(domain, n / zero[2])
        if zero[1] == -1:
            self.shard_to_node = node
        hardware = replace(
            chip, node_size=node, scale_up_size=domain,
            scale_out_bandwidth=out if out and domain <= 16 else chip.scale_out_bandwidth,
        )  # fmt: skip
        found = {f.name: float(getattr(hardware, f.name)) for f in fields(Hardware)}
        if values["shard_group"] == -1:
            found["shard_group"] = node / values["tp"] if values["tp"] < node else 1.0
        return found


def generation_launches(facts: Facts) -> dict[str, float]:
    """The year, with its fraction, in which the first chip of each generation was launched."""
    found: dict[str, float] = {}
    for chip in facts.ids("chips"):
        if facts.has(chip, "launch"):
            day = facts.get(chip, "launch").day
            year = day.year + day.timetuple().tm_yday / 366.0
            generation = facts.subject(chip).tags.get("generation", "")
            found[generation] = min(year, found.get(generation, year))
    return found


_RELEASE = re.compile(r"(?:\b|v)(2[0-9])\.(0[1-9]|1[0-2])(?:\.0?(\d))?")


def software_year(row: Row) -> float:
    """When the software of a run was released: its version (NeMo 26.04), drawn a tenth of the way
    to the day of publication, or that day alone."""
    day = re.match(r"(\d{4})(?:-(\d\d))?", row.get("published", ""))
    published = int(day[1]) + ((int(day[2]) - 0.5) / 12 if day[2] else 0.5) if day else 2024.0
    for text in (row.get("framework", ""), row.get("notes", "")[:40]):
        found = _RELEASE.search(text)
        if found:
            patch = 0.02 * int(found[3]) if found[3] else 0.0
            release = 2000 + int(found[1]) + (int(found[2]) - 0.5) / 12 + patch
            return 0.9 * release + 0.1 * published if day else release
    return published
