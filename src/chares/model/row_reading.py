"""One row of a table of runs -> the fields that the model reads; what was filled in is noted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import numpy as np

from chares.errors import shorten
from chares.model import strategy as st
from chares.model.calibration import REFERENCE_AGE, Setting
from chares.model.cells import SHAPE, CannotPredictError
from chares.model.hardware import Hardware
from chares.model.schedule import DUALPIPE
from chares.model.shape import LATENT
from chares.model.wording import (
    HABITS,
    OWN_STACKS,
    family_of,
    flags_of,
    hindered_by,
    keeps_wide_sum,
    launches_block,
    precision_of,
    recompute_of,
    scale_out_of,
    schedule_of,
    zero_of,
)

if TYPE_CHECKING:
    from chares.model.run_library import Library

Row = Mapping[str, str]
GREATEST_CONTEXT = 32e6
FULL_SHARE = 0.6 / 7.5  # parameters per byte of memory: 60 % full of their state
_TENSOR_AXIS = re.compile(r"\btensor (\d+)")


class RowReader:
    """One row. ``inferred`` collects the columns that had to be filled."""

    def __init__(self, library: Library, row: Row) -> None:
        self.library = library
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
            raise CannotPredictError(f"column `{column}` is needed and holds no number")
        self.inferred.append(column)
        return default

    def known(self, column: str, named: Mapping[str, float], default: float | None = None) -> float:
        """The column, else the shape of the model's name, else the default."""
        return self.number(column, named.get(column, default))

    def has(self, column: str) -> bool:
        return self.row.get(column, "") not in ("", None)

    def all(self) -> tuple[dict[str, float], Setting, tuple[str, ...]]:
        chip, vendor, generation, launched = self.library.chip(self.row.get("accelerator", ""))
        row = self.row
        family = family_of(row.get("framework", ""), row.get("published", ""), launched)
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
        """The fields of `Shape`: as given, else those on record under the model's name."""
        named = self.library.named(self.row)
        name = self.row.get("model_name", "")
        if name and not named and not any(map(self.has, SHAPE)):
            hint = " and ".join(f"`{column}`" for column in SHAPE)
            raise CannotPredictError(f"no shape of `{shorten(name, 60)}` is on record; give {hint}")
        layers, width = self.known("n_layers", named), self.known("d_model", named)
        heads = self.known("n_heads", named)
        quiet = list(self.inferred)
        experts = self.known("n_experts", named, 0.0)
        same = named.get("n_layers") == layers and named.get("d_model") == width
        known = (
            named if same else self.library.models.get((int(layers), int(width), int(experts)), {})
        )
        d_expert = self.known("d_expert", named, 0.0)
        shared = self.number("n_shared_experts", named.get("n_shared_experts", 0.0))
        top_k = self.known("top_k", named, 2.0 if experts else 0.0)
        dense = layers - named["n_moe_layers"] if named.get("n_moe_layers") else 0.0
        dense = self.number("n_dense_layers", dense)
        self.inferred = quiet
        values = {
            "n_layers": layers, "d_model": width, "n_heads": heads,
            "n_kv_heads": self.known("n_kv_heads", named, heads),
            "d_head": self.known("d_head", named, width / heads),
            "gated": self.number("gated_ffn", named.get("gated", 1.0)),
            "vocab": self.known("vocab", named, known.get("vocab", 32000.0)),
            "tied": self.number("tied_embeddings", named.get("tied", 0.0)),
            "n_experts": experts, "d_expert": d_expert, "top_k": top_k,
            "routed_domains": known.get("routed_domains", 0.0),
            "n_shared_experts": shared, "d_shared": shared * d_expert,
            "n_moe_layers": layers - dense if experts else 0.0,
            "d_ff": self.known("d_ff", named, 0.0 if experts else 4.0 * width),
        }  # fmt: skip
        for name in ("window", "window_layers", "d_shared"):
            if known.get(name):
                values[name] = known[name]
        latent = self.row.get("attention", "").lower() == "mla"
        if latent or (named.get("attention") == LATENT and not self.has("attention")):
            ranks = ("q_lora_rank", "kv_lora_rank", "d_nope", "d_rope", "d_v")
            standard = (1536.0 if width > 2048 else 0.0, 512.0, 128.0, 64.0, 128.0)
            values |= {n: known.get(n, d) for n, d in zip(ranks, standard, strict=True)}
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
        tp, pp = self.split(shape, chip, n, family, seq)
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
        ep = self.number("ep", self.expert_ranks(shape, chip, family, tp * pp, dp * cp))
        return {
            "tp": tp, "pp": pp, "vp": max(vp, 1.0), "cp": cp, "ep": ep,
            "etp": self.number("etp", tp if ep <= dp * cp else 1.0), "dp": dp,
            "micro_batch": max(1.0, min(micro, np.ceil(batch / dp))), "global_batch": batch,
            "seq_len": seq,
        }  # fmt: skip

    def expert_ranks(
        self, shape: Mapping[str, float], chip: Hardware, family: str, split: float, ranks: float
    ) -> float:
        """The fewest ranks (a power of two) over which the experts' state fills 60 % at most; 1
        where ZeRO-3 shards it."""
        ep, count = 1.0, shape["n_experts"]
        if not count or family in ("fsdp", "jax", "deepspeed"):
            return ep
        matrices = count * shape["d_model"] * shape["d_expert"] * (2.0 + shape["gated"])
        held = shape["n_moe_layers"] * matrices / split
        while held / ep > FULL_SHARE * float(chip.memory) and ep * 2.0 <= min(count, ranks):
            ep *= 2.0
        return ep

    def split(
        self, shape: Mapping[str, float], chip: Hardware, n: float, family: str, seq: float
    ) -> tuple[float, float]:
        """tp and pp, or the smallest split (first tp, then pp) whose state fills 60 % at most and
        whose activations, all recomputed, 30 %."""
        if self.has("tp") and self.has("pp"):
            tp = self.number("tp")
            # a table of MaxText's may give its tensor axis beside the FSDP one only
            said = _TENSOR_AXIS.search(self.row.get("zero_stage_or_fsdp", "").lower())
            return float(said[1]) if family == "jax" and tp == 1 and said else tp, self.number("pp")
        if family in ("fsdp", "jax", "deepspeed"):
            return self.number("tp", 1.0), self.number("pp", 1.0)
        h, layers = shape["d_model"], shape["n_layers"]
        width = shape["n_experts"] * shape["d_expert"] if shape["n_experts"] else shape["d_ff"]
        total = layers * (4.0 * h * h + h * width * (2.0 + shape["gated"])) + shape["vocab"] * h
        room = FULL_SHARE * float(chip.memory)
        tokens = seq / self.number("cp", 1.0)

        def crowded(tp: float, pp: float) -> bool:
            held = tokens * h / tp * (2.0 * layers + 34.0)  # a pipeline keeps pp times layers / pp
            return total / (tp * pp) > room or held > 0.3 * float(chip.memory)

        tp = pp = 1.0
        while crowded(tp, pp) and tp < min(8.0, float(chip.node_size), n):
            tp *= 2.0
        while total / (tp * pp) > room and pp * tp < n and pp * 2 <= layers:
            pp *= 2.0
        return self.number("tp", tp), self.number("pp", pp)

    def choices(self, values: Mapping[str, float], family: str) -> dict[str, float]:
        """Precision, recomputation, sharding, overlap and kernels."""
        row = self.row
        notes = row.get("overlap_notes", "")
        remarks = f"{notes} {row.get('notes', '')}"
        tp, dp, pp, ep, fused, graphs, dedup = flags_of(notes, family, row.get("framework", ""))
        framework = row.get("framework", "").lower()
        said = recompute_of(row.get("recompute", ""))
        if said is None:
            self.inferred.append("recompute")
            said = (st.FULL if family in ("jax", "megatron-classic") else st.NONE, 1.0)
        if said[0] == st.SELECTIVE and "fms" in framework:
            said = (st.FULL, 0.5)  # fms-fsdp: whole blocks, some of them
            self.inferred.append("recompute")
        offloaded = re.search(r"activation offload (\d+) layers", notes.lower())
        offload = float(offloaded[1]) / values["n_layers"] if offloaded else 0.0
        if "custom host offload" in row.get("recompute", "").lower():
            offload = 1.0 - min(1.0, 2.0 / values["n_layers"])  # all but the layers on their way
        zero = zero_of(row.get("zero_stage_or_fsdp", ""))
        if zero is None:
            self.inferred.append("zero_stage_or_fsdp")
            stages = {"fsdp": 3, "jax": 3, "deepspeed": 3, "megatron-classic": 0}
            plain = "ddp" in framework and "fsdp" not in framework
            zero = (0 if plain else stages.get(family, 1), 0, 1)
        stage, group, _ = zero
        sp = values["tp"] > 1
        if self.has("sp"):
            sp = self.number("sp") > 0
        if family == "jax":
            sp = True  # GSPMD shards activations over the tensor axis
        elif family == "megatron-classic" and not self.has("sp"):
            sp = False
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
        copy = 4.0 * (bf16 and keeps_wide_sum(family, row.get("published", "")))
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
            "balance": float(family in OWN_STACKS or schedule == DUALPIPE),
            "broadcast": float("broadcast" in notes.lower()),
            "fused": fused, "graphs": graphs, "dedup": dedup,
            "frozen": float(adapters),
            "hindered": hindered_by(framework, row.get("published", "")),
            "blocking": float(launches_block(framework, row.get("published", ""), remarks)),
            "lean_loss": float(composer or "nemo" in framework or "bridge" in framework),
            "cp_kind": float(st.RING),
            "flash": float(self.flash(family)),
            "gradient_bytes": 0.1 if adapters else 2.0 if half else 4.0,
            "gradient_copy_bytes": copy, "offload_activations": min(offload, 1.0),
            "weight_bytes": 4.0 if fsdp else 2.0,
            "offload_optimizer": float("full cpu offload" in remarks.lower()),
            # NeMo's fused Adam keeps the half of a 32-bit weight that the 16-bit weight lacks
            "optimizer_bytes": 0.1 if adapters else 8.0 if fsdp
            else 10.0 if "nemo" in framework and row.get("published", "") < "2025" else 12.0,
            "gather_bytes": 1.0 if "float8 all-gather" in row.get("precision", "").lower()
            else 4.0 if wide else 2.0,
        } | HABITS.get(family, {})  # fmt: skip

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
