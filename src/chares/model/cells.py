"""Cells of a table of runs: what each column may hold, and what makes a row unusable."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path

from chares.errors import CharesError, InputError, did_you_mean, raise_all, shorten

Row = Mapping[str, str]

GREATEST = 1e12
#: counts of at least one
COUNTS = frozenset(
    "n_accel accel_per_node n_layers d_model n_heads n_kv_heads d_head vocab seq_len "
    "tp pp vp cp ep etp dp global_batch".split()
)
#: numbers that may be zero
AMOUNTS = frozenset("d_ff n_experts top_k d_expert n_shared_experts n_dense_layers".split())
FLAGS = frozenset(("gated_ffn", "tied_embeddings", "sp"))
YES, NO = frozenset(("true", "yes", "on")), frozenset(("false", "no", "off"))
#: columns without which no row of a table can be predicted
NEEDED = ("accelerator", "n_accel")
SHAPE = ("n_layers", "d_model", "n_heads")  # needed too where no `model_name` may stand for them
#: a part is never greater than its whole
PARTS = (
    ("n_kv_heads", "n_heads"), ("n_dense_layers", "n_layers"), ("top_k", "n_experts"),
)  # fmt: skip

MOST_BYTES = 200_000_000
MOST_FINDINGS = 50


class CannotPredictError(CharesError):
    """A row that lacks what a prediction needs; the message is the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__("cannot-predict", reason)
        self.reason = reason


def checked(row: Row) -> Row:
    """The row with readable numbers; a word where a number belongs counts as an empty cell.

    Raises `CannotPredictError` for a number that cannot be meant: infinite, negative, not whole,
    a part greater than its whole.
    """
    clean = dict(row)
    for column in row:
        if column in COUNTS or column in AMOUNTS or column in FLAGS or column == "micro_batch":
            clean[column] = _cell(column, str(row[column] or "").strip())
    for part, whole in PARTS:
        if clean.get(part) and clean.get(whole) and float(clean[part]) > float(clean[whole]):
            raise CannotPredictError(
                f"`{part}` is {clean[part]}, more than `{whole}`, {clean[whole]}"
            )
    stages, layers = clean.get("pp"), clean.get("n_layers")
    if stages and layers and float(stages) > float(layers) + 2.0:  # embedding and head may be two
        raise CannotPredictError(f"`pp` is {stages}: more stages than {layers} layers can fill")
    return clean


def _cell(column: str, text: str) -> str:
    if column in FLAGS and text.lower() in YES | NO:
        return "1" if text.lower() in YES else "0"
    plain = text.replace(",", "")
    try:
        value = float(plain)
    except ValueError:
        return ""
    least = 1.0 if column in COUNTS else 0.0
    whole = column in COUNTS or column in AMOUNTS
    most = 1.0 if column in FLAGS else GREATEST
    inside = least <= value <= most and not (column == "micro_batch" and value == 0.0)
    if not inside or (whole and value != math.floor(value)):
        kind = "a whole number" if whole else "a number"
        span = f"from {least:g} to {most:g}" if inside or column != "micro_batch" else "above 0"
        raise CannotPredictError(f"`{column}` is `{shorten(text, 30)}`; {kind} {span} is wanted")
    return plain


# files ------------------------------------------------------------------------------------------


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """The rows of a CSV file as dictionaries of text, by the names in its first line.

    Raises `InputError` or `InputErrors` with file, line and column, all findings at once.
    """
    text = _text(Path(path))
    lines = _Lines(str(path), text)
    header = next(lines, None)
    if header is None or not any(header):
        raise InputError(
            "empty-table", "the file has no first line with column names", where=f"{path}:1"
        )
    errors: list[CharesError] = list(_header_errors(header, str(path)))
    rows = []
    for cells in lines:
        if not any(cells):
            continue
        if len(cells) > len(header) and any(cells[len(header) :]):
            place = f"{path}:{lines.line}, column {len(header) + 1}"
            message = f"{len(cells)} cells under {len(header)} columns"
            hint = "put quotes around text that holds a comma"
            errors.append(InputError("too-many-cells", message, where=place, hint=hint))
        rows.append(dict(zip(header, [*cells, *[""] * (len(header) - len(cells))], strict=False)))
        if len(errors) >= MOST_FINDINGS:
            break
    raise_all(errors)
    if not rows:
        raise InputError("empty-table", "the file has column names and no rows", where=f"{path}:2")
    return rows


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(
                "too-large", f"the file has more than {MOST_BYTES:,} bytes", where=str(path),
                hint="split the table",
            )  # fmt: skip
        content = path.read_bytes()
    except OSError as bad:
        raise InputError(
            "cannot-read", f"cannot read the file: {bad.strerror}", where=str(path)
        ) from None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        line = content[: bad.start].count(b"\n") + 1
        raise InputError(
            "not-text", "the file is not UTF-8 text", where=f"{path}:{line}",
            hint="save the table as CSV in UTF-8",
        ) from None  # fmt: skip


class _Lines(Iterator[list[str]]):
    """Rows of cells without the space around them; a broken line is an `InputError`."""

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.reader = csv.reader(StringIO(text, newline=""), strict=True)
        self.line = 1

    def __next__(self) -> list[str]:
        self.line = self.reader.line_num + 1
        try:
            return [cell.strip() for cell in next(self.reader)]
        except csv.Error as bad:
            raise InputError(
                "bad-csv", f"not a CSV line: {bad}", where=f"{self.name}:{self.line}",
                hint="check the quotes of that line",
            ) from None  # fmt: skip


def _header_errors(header: Sequence[str], name: str) -> Iterator[CharesError]:
    for i, column in enumerate(header):
        if column and column in header[:i]:
            yield InputError(
                "duplicate-column", f"column `{shorten(column)}` stands twice",
                where=f"{name}:1, column {i + 1}", hint="remove or rename one",
            )  # fmt: skip
    for column in NEEDED if "model_name" in header else NEEDED + SHAPE:
        if column not in header:
            yield InputError(
                "missing-column", f"there is no column `{column}`", where=f"{name}:1",
                hint=did_you_mean(column, filter(None, header)),
            )  # fmt: skip
