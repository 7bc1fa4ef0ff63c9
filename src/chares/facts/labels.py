"""Labels of accelerators as publications write them -> what they name.

A data sheet, a driver, a cloud and a paper call one part by many names: ``NVIDIA H100 80GB HBM3``,
``8x H100-SXM5-80GB``, ``TPU v4-256``. A label is cut into the part's own name, its form, and its
memory; what only says who made it, how many there are or where they stand is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from chares.facts.records import plain_name


class Label(NamedTuple):
    """What a label says of a part: ``("h100", "sxm", 80)`` for ``NVIDIA H100 SXM5 80 GB``."""

    core: str
    form: str  # sxm, sxm3, pcie, nvl, cnx; empty where it is not said
    memory: int  # GB, or GiB: both are printed; 0 where it is not said


LONGEST = 120  # characters; what is longer names no part
NEAR = 0.07  # of the memory on record: 192 GB are fitted to a B200, 180 are sold
_BRACKETS = re.compile(r"\(([^()]*)\)")
_COUNT = re.compile(
    r"^[\d,]+\s*[x×*]\s*(?=[a-z])|^[\d,]+\s+(?=[a-z]+\d)|\s[x×]\s*\d+$|"
    r"\([\d,]+[\s-]*(?:gpus?|npus?|chips?|cores?|nodes?|cards?|devices?)\)"
)
_REMARK = re.compile(r"\[[^]]*\]")
_MEMORY = re.compile(r"(?<![\d.])(\d+)[\s-]*(?:gib|gb|g)(?![a-z\d])")
_SLICE = re.compile(r"^(?:(?:google|cloud|tpu)[\s-]*)*v?(\d[a-z]*)[\s-]*(?:pod|slice)?[\s-]+\d+$")
_LITE = re.compile(r"(v\d)[\s-]*lite(?:pod)?")
_FORM = re.compile(r"(?<![a-z])(sxm3|sxm|pcie|pci-e|nvl|cnx)\d*(?![a-z\d])")
_NOISE = re.compile(
    r"(?<![a-z\d])(?:nvidia|amd|google|huawei|intel|habana|aws|amazon|baidu|moore threads|"
    r"cambricon|biren|hygon|metax|tesla|geforce|quadro|instinct|radeon|cloud|dgx|hgx|"
    r"gpus?|npus?|gcds?|oam|oams|chips?|cards?|accelerators?|tensor cores?|core|generation|"
    r"superchips?|pods?|slices?|nodes?|clusters?|servers?|hbm\d?e?|gddr\dx?|nvl\d+)(?![a-z\d])"
)
#: where the kind of memory says the form: the H100 of 80 GB has HBM3 on a module, HBM2e on a card
_OF_MEMORY = {("h100", "hbm2e", 80): "pcie"}
_KIND = re.compile(r"(?<![a-z\d])hbm\d?e?(?![a-z\d])")


@lru_cache(maxsize=4096)
def read_label(text: str) -> Label:
    """Cut a label into name, form and memory.

    >>> read_label("8x NVIDIA H100 80GB HBM3")
    Label(core='h100', form='', memory=80)
    """
    text = _REMARK.sub(" ", text.lower().strip())
    text = _LITE.sub(r"\1e", _COUNT.sub(" ", text)).replace("(", " ").replace(")", " ").strip()
    slice_ = _SLICE.match(text)  # the size of a slice is no part of the chip's name
    if slice_ and ("tpu" in text or text.startswith("v")):
        return Label(f"tpuv{slice_[1]}", "", 0)
    found = _MEMORY.search(text)
    memory = int(found[1]) if found else 0
    text = _MEMORY.sub(" ", text).replace("_", " ")
    said, kind = _FORM.search(text), _KIND.search(text)
    text = _NOISE.sub(" ", _FORM.sub(" ", text))
    core = re.sub(r"^tpuv?(?=\d)", "tpuv", plain_name(text))
    form = said[1].replace("-", "") if said else ""
    if kind and not form:
        form = _OF_MEMORY.get((core, kind[0], memory), "")
    return Label(core, form, memory)


def find_label(
    text: str, names: Iterable[tuple[str, str]], memory_of: Callable[[str], float]
) -> str | None:
    """The one subject that a label names, or None: unknown, or it could be two.

    ``names`` are (name or alias, subject); ``memory_of`` gives a subject's memory in bytes, which
    a stated memory has to match where no alias says it.
    """
    if len(text) > LONGEST:
        return None
    table: dict[Label, set[str]] = {}
    for name, id_ in names:
        table.setdefault(read_label(name), set()).add(id_)
    return _pick(read_label(text), table, memory_of) or _pick(
        read_label(_BRACKETS.sub(_kept, text)), table, memory_of
    )


def _kept(bracket: re.Match[str]) -> str:
    """What is left of a remark in brackets: its text where it says a form or a memory."""
    said = read_label(bracket[1])
    return bracket[1] if said.form or said.memory else " "


def _pick(
    asked: Label, table: Mapping[Label, set[str]], memory_of: Callable[[str], float]
) -> str | None:
    """The subject of a label: as it stands, else with less of what the names leave out."""
    forms = {label.form for label in table if label.core == asked.core}
    tries = [{asked}]
    if asked.memory:
        tries.append({asked._replace(memory=0)})
    if forms == {""}:  # a part that comes in one form only
        tries += [{label._replace(form="") for label in labels} for labels in tries]
    if asked.memory and not asked.form:  # the memory tells the forms apart
        tries.append({asked._replace(form=form) for form in forms})
    for labels in tries:
        found = {i for label in labels for i in table.get(label, ())
                 if _agrees(asked.memory, label, memory_of(i))}  # fmt: skip
        if asked.core and len(found) == 1:
            return found.pop()
    return None


def _agrees(stated: int, label: Label, memory: float) -> bool:
    """Whether a stated memory is the part's own, in GB or GiB."""
    if not stated or label.memory == stated:
        return True
    return min(abs(stated * unit / memory - 1.0) for unit in (1e9, 2.0**30)) < NEAR
