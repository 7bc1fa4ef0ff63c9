"""Charts as inline SVG: nothing to load, sharp in print, coloured by the page's own style.

Each chart carries its numbers as text (``aria-label`` and the titles shown on hover).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

from chares.report.numerals import in_scale, scale_of, shown
from chares.report.ranking_charts import ranking_svg

WIDTH, HEIGHT = 600, 290
_LEFT, _RIGHT, _TOP, _BOTTOM = 68, 14, 34, 30
_DOTS = 12  # more points than these get small dots
_ROW, _NAME, _AMOUNT = 28, 210, 150


def svg(chart: Mapping[str, Any], lang: str = "en") -> str:
    """The SVG of one chart of an outline."""
    if chart["kind"] in ("scatter", "stacked", "log-line", "heat"):
        return ranking_svg(chart, lang)
    return _bars(chart, lang) if chart["kind"] == "bar" else _lines(chart, lang)


def claim_svg(claim: Mapping[str, Any]) -> str:
    """What was claimed (a mark) against what was computed (a bar with its interval)."""
    claimed, computed = claim["claimed"], claim["computed"]
    if claimed is None or computed is None or claim["unit"] == "date":
        return ""
    low, high = claim["computed_low"] or computed, claim["computed_high"] or computed
    top = max(claimed, computed, high) * 1.06
    if top <= 0 or min(claimed, computed) < 0:
        return ""
    x = {k: 260 * v / top for k, v in {"c": computed, "l": low, "h": high, "m": claimed}.items()}
    alt = escape(f"{claim['claimed_shown']} / {claim['computed_shown']}", quote=True)
    return (
        f'<svg class="claim-mark" viewBox="0 0 262 22" role="img" aria-label="{alt}">'
        f'<rect class="track" x="0" y="7" width="260" height="8" rx="2"/>'
        f'<rect class="s0" x="0" y="7" width="{x["c"]:.1f}" height="8" rx="2"/>'
        f'<rect class="span" x="{x["l"]:.1f}" y="9" width="{x["h"] - x["l"]:.1f}" height="4"/>'
        f'<path class="mark" d="M{x["m"]:.1f} 2v18"/></svg>'
    )


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _open(width: float, height: float, title: str, alt: str) -> str:
    return (
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(f"{title}: {alt}", quote=True)}">'
    )


# bars ---------------------------------------------------------------------------------------


def _bars(chart: Mapping[str, Any], lang: str) -> str:
    names = [str(n) for n in chart["x"]["values"]]
    values = [float(v or 0.0) for v in chart["series"][0]["values"]]
    unit = chart["y"]["unit"] or "1"
    amounts = [in_scale(v, scale_of(v, unit), lang=lang) for v in values]
    top = max([*map(abs, values), 1e-300])
    room = WIDTH - _NAME - _AMOUNT
    height = _ROW * len(names) + 6
    alt = "; ".join(f"{n} {a}" for n, a in zip(names, amounts, strict=True))
    out = [_open(WIDTH, height, chart["title"], alt)]
    whole = sum(values)
    parts = bool(chart["y"]["unit"]) and len(names) > 1  # of one whole; counts may be a selection
    for i, (name, value, amount) in enumerate(zip(names, values, amounts, strict=True)):
        y, length = 4 + i * _ROW, room * abs(value) / top
        share = f" · {shown(value / whole, '%', lang=lang)}" if parts and whole else ""
        out += [
            f"<g><title>{escape(f'{name}: {amount}{share}')}</title>",
            _text(_NAME - 8, y + 15, _short(name, 29), "name", "end"),
            f'<rect class="track" x="{_NAME}" y="{y + 3}" width="{room}" height="16" rx="3"/>',
            f'<rect class="s0" x="{_NAME}" y="{y + 3}" width="{length:.1f}" height="16" rx="3"/>',
            _text(_NAME + room + 8, y + 15, amount + share, "amount"),
            "</g>",
        ]
    return "".join([*out, "</svg>"])


def _short(text: str, limit: int) -> str:
    limit = limit if text.isascii() else limit // 2 + 1
    return text if len(text) <= limit else text[: limit - 1] + "…"


# lines and steps ----------------------------------------------------------------------------


class _Frame:
    """The plotting area: numbers -> places."""

    def __init__(self, xs: Sequence[float], top: float) -> None:
        self.left, self.right = min(xs), max(xs) + 0.08 * (max(xs) - min(xs) or 1.0)
        self.ticks = _nice(top)
        self.top = self.ticks[-1]

    def x(self, value: float) -> float:
        share = (value - self.left) / (self.right - self.left)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - value / self.top * (HEIGHT - _TOP - _BOTTOM)


def _lines(chart: Mapping[str, Any], lang: str) -> str:
    dated = chart["x"]["unit"] == "date"
    labels = chart["x"]["values"]
    xs = [float(date.fromisoformat(v).toordinal()) if dated else float(v) for v in labels]
    series = chart["series"]
    top = max([float(v) for s in series for v in s["values"] if v is not None] + [1e-300])
    frame = _Frame(xs, top)
    unit = chart["y"]["unit"]
    alt = "; ".join(_points(s, labels, unit, lang) for s in series)
    out = [_open(WIDTH, HEIGHT, chart["title"], alt), *_axes(frame, dated, unit, lang)]
    for i, one in enumerate(series):
        out += _curve(frame, xs, labels, one, i, chart["kind"] == "step", unit, lang)
    out += _legend(series) if len(series) > 1 else []
    return "".join([*out, "</svg>"])


def _points(one: Mapping[str, Any], labels: Sequence[Any], unit: str, lang: str) -> str:
    numbers = [
        f"{x} {_number(v, lang)} {unit}".strip()
        for x, v in zip(labels, one["values"], strict=True)
        if v is not None
    ]
    return f"{one['name']}: " + ", ".join(numbers)


def _number(value: float, lang: str) -> str:
    return shown(value, "1", lang=lang)


def _axes(frame: _Frame, dated: bool, unit: str, lang: str) -> Iterator[str]:
    for tick in frame.ticks:
        y = frame.y(tick)
        yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>'
        yield _text(_LEFT - 8, y + 4, _number(tick, lang), "tick", "end")
    if unit:
        yield _text(_LEFT - 8, _TOP - 14, unit, "tick", "end")
    ticks = _months(frame) if dated else _nice_between(frame.left, frame.right)
    for tick in ticks:
        if frame.x(tick) > WIDTH - _RIGHT - 20:  # its label would be cut off
            continue
        label = date.fromordinal(int(tick)).isoformat()[:7] if dated else _number(tick, lang)
        yield _text(frame.x(tick), HEIGHT - 8, label, "tick", "middle")
        yield (f'<path class="grid" d="M{frame.x(tick):.1f} {HEIGHT - _BOTTOM}v5"/>')


def _curve(
    frame: _Frame, xs: Sequence[float], labels: Sequence[Any], one: Mapping[str, Any],
    index: int, steps: bool, unit: str, lang: str,
) -> Iterator[str]:  # fmt: skip
    pairs = [
        (frame.x(x), frame.y(float(v)), f"{label}: {_number(v, lang)} {unit} · {one['name']}")
        for x, v, label in zip(xs, one["values"], labels, strict=True)
        if v is not None
    ]
    if not pairs:
        return
    start, base = pairs[0], frame.y(0.0)
    path = (
        f"M{start[0]:.1f} {base:.1f}V{start[1]:.1f}" if steps else f"M{start[0]:.1f} {start[1]:.1f}"
    )
    for x, y, _ in pairs[1:]:
        path += f"H{x:.1f}V{y:.1f}" if steps else f"L{x:.1f} {y:.1f}"
    if steps:
        path += f"H{WIDTH - _RIGHT}"
    if index == 0:
        yield f'<path class="area" d="{path}V{base:.1f}H{start[0]:.1f}Z"/>'
    yield f'<path class="line l{index % 4}" d="{path}"/>'
    radius = 4 if len(pairs) <= _DOTS else 2
    for x, y, title in pairs:
        yield (
            f'<circle class="dot s{index % 4}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">'
            f"<title>{escape(title)}</title></circle>"
        )


def _legend(series: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    x = float(_LEFT)
    for i, one in enumerate(series):
        yield f'<rect class="s{i % 4}" x="{x:.0f}" y="4" width="12" height="12" rx="2"/>'
        yield _text(x + 17, 14, one["name"], "name")
        wide = sum(8.2 if c.isascii() else 15.0 for c in one["name"])
        x += wide + 40


def _nice(top: float, count: int = 4) -> list[float]:
    """Round ticks from 0 to at least ``top``."""
    raw = top / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    return [i * step for i in range(math.ceil(top / step - 1e-9) + 1)]


def _nice_between(left: float, right: float) -> list[float]:
    step = _nice(right - left)[1]
    first = math.ceil(left / step)
    return [i * step for i in range(first, math.floor(right / step) + 1)]


def _months(frame: _Frame) -> list[float]:
    """First days of months, few enough to be read."""
    first, last = (date.fromordinal(int(v)) for v in (frame.left, frame.right))
    count = (last.year - first.year) * 12 + last.month - first.month
    every = next((n for n in (1, 2, 3, 6, 12, 24, 60) if count / n <= 6), 120)
    months = [first.year * 12 + first.month - 1 + i for i in range(count + 1)]
    days = [date(m // 12, m % 12 + 1, 1).toordinal() for m in months if m % every == 0]
    found = [float(d) for d in days if frame.left <= d <= frame.right]
    return found if len(found) > 1 else [frame.left, float(last.toordinal())]
