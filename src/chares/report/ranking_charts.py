"""Charts of the search as inline SVG: points, stacked bars, lines over a logarithmic axis, heat."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any
from unicodedata import east_asian_width

from chares.report.messages import Messages

WIDTH, HEIGHT = 680, 320
LEFT, RIGHT, TOP, BOTTOM = 66, 20, 34, 34
COLOURS = (
    "#2b6f9e", "#d08327", "#4c8c5a", "#8a5a9e", "#b3261e", "#5f8fa3", "#a39a3f", "#c27ba0",
    "#6b6b6b", "#3d9e9e", "#94582b", "#7fb069", "#e0a1a1", "#4f5d95", "#b8b8b8",
)  # fmt: skip


def ranking_svg(chart: Mapping[str, Any], lang: str = "en") -> str:
    """The SVG of a chart of kind scatter, stacked, log-line or heat."""
    draw = {"scatter": _scatter, "stacked": _stacked, "log-line": _log_lines, "heat": _heat}
    return draw[chart["kind"]](chart, Messages(lang))


def _legend(names: Sequence[str]) -> tuple[list[tuple[float, float]], int]:
    """Where each name of a legend stands, and how many lines they take."""
    places, x, line = [], 10.0, 0
    for name in names:
        wide = 33.0 + sum(15.2 if east_asian_width(c) in "WF" else 8.6 for c in name)
        if x > 10.0 and x + wide > WIDTH:
            x, line = 10.0, line + 1
        places.append((x, 4.0 + line * 20))
        x += wide
    return places, line + 1


def _number(value: float) -> str:
    return f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _text(x: float, y: float, text: str, kind: str = "tick", anchor: str = "middle") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _open(title: str, alt: str, height: float = HEIGHT) -> str:
    label = escape(f"{title}: {alt}"[:2000], quote=True)
    return f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}">'


def _nice(low: float, high: float, count: int = 5) -> list[float]:
    raw = (high - low or abs(high) or 1.0) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * (1 - 1e-9))
    return [i * step for i in range(math.floor(low / step), math.ceil(high / step - 1e-9) + 1)]


def _grid(ticks_x: Sequence[tuple[float, str]], ticks_y: Sequence[tuple[float, str]]) -> list[str]:
    out = []
    for y, label in ticks_y:
        out.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        out.append(_text(LEFT - 8, y + 4, label, anchor="end"))
    for x, label in ticks_x:
        out.append(f'<path class="grid" d="M{x:.1f} {HEIGHT - BOTTOM}v5"/>')
        out.append(_text(x, HEIGHT - 10, label))
    return out


def _dot(x: float, y: float, title: str, colour: str) -> str:
    return (
        f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{colour}">'
        f"<title>{escape(title)}</title></circle>"
    )


def _scatter(chart: Mapping[str, Any], t: Messages) -> str:
    xs, one = chart["x"]["values"], chart["series"][0]
    ys, titles = one["values"], one.get("titles") or [""] * len(xs)
    across, up = _nice(min(xs), max(xs)), _nice(min(ys), max(ys))
    fx, fy = _linear(across), _linear(up, vertical=True)
    alt = "; ".join(f"{_number(x)} {_number(y)}" for x, y in zip(xs, ys, strict=True))
    out = [_open(chart["title"], alt)]
    out += _grid([(fx(t), _number(t)) for t in across], [(fy(t), _number(t)) for t in up])
    out.append(_text(LEFT, TOP - 16, f"{chart['y']['label']} [{chart['y']['unit']}]"))
    out.append(_text(WIDTH - RIGHT, HEIGHT - BOTTOM - 8,
                     f"{chart['x']['label']} [{chart['x']['unit']}]", anchor="end"))  # fmt: skip
    path = " ".join(f"{fx(x):.1f},{fy(y):.1f}" for x, y in sorted(zip(xs, ys, strict=True)))
    out.append(f'<polyline class="line l0" points="{path}"/>')
    for x, y, title in zip(xs, ys, titles, strict=True):
        label = f"{_number(x)} {chart['x']['unit']}, {_number(y)} {chart['y']['unit']}: {title}"
        out.append(_dot(fx(x), fy(y), label, COLOURS[0]))
    return "".join([*out, "</svg>"])


def _linear(ticks: Sequence[float], vertical: bool = False) -> Any:
    low, high = ticks[0], ticks[-1]

    def place(value: float) -> float:
        share = (value - low) / (high - low or 1.0)
        if vertical:
            return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    return place


def _stacked(chart: Mapping[str, Any], t: Messages) -> str:
    names, series = chart["x"]["values"], chart["series"]
    limit, unit = chart.get("limit"), chart["y"]["unit"]
    sums = [sum(s["values"][i] for s in series) for i in range(len(names))]
    top = max([*sums, limit or 0.0]) * 1.02
    row, room = 40, WIDTH - 130.0
    legend, lines = _legend([one["name"] for one in series])
    start = 8 + lines * 20
    alt = "; ".join(f"{n} {_number(s)} {unit}" for n, s in zip(names, sums, strict=True))
    height = start + row * len(names) + 6
    out = [_open(chart["title"], alt, height)]
    for i, one in enumerate(series):
        x, y = legend[i]
        out.append(
            f'<rect x="{x}" y="{y}" width="12" height="12" rx="2" fill="{COLOURS[i % 15]}"/>'
        )
        out.append(_text(x + 17, y + 11, one["name"], "name", "start"))
    for i, name in enumerate(names):
        y, x = start + i * row, 10.0
        out.append(_text(10, y + 11, str(name)[:110], "tick", "start"))
        for k, one in enumerate(series):
            wide = one["values"][i] / top * room
            if wide > 0.05:
                title = f"{one['name']}: {_number(one['values'][i])} {unit}"
                out.append(
                    f'<rect x="{x:.1f}" y="{y + 15}" width="{wide:.1f}" height="12" '
                    f'fill="{COLOURS[k % 15]}"><title>{escape(title)}</title></rect>'
                )
            x += wide
        out.append(_text(x + 6, y + 26, f"{_number(sums[i])} {unit}", "amount", "start"))
    if limit:
        x = 10 + limit / top * room
        out.append(f'<path class="mark" d="M{x:.1f} {start}V{height - 4}"><title>'
                   f"{t('chart.limit')} {_number(limit)} {unit}</title></path>")  # fmt: skip
    return "".join([*out, "</svg>"])


def _log_lines(chart: Mapping[str, Any], t: Messages) -> str:
    xs = chart["x"]["values"]
    values = [v for s in chart["series"] for v in s["values"] if v is not None]
    up = _nice(0.0, max(values, default=1.0))
    fy = _linear(up, vertical=True)
    low, high = math.log2(xs[0]), math.log2(xs[-1])
    fx = [LEFT + (math.log2(x) - low) / (high - low or 1.0) * (WIDTH - LEFT - RIGHT) for x in xs]
    out = [_open(chart["title"], f"{xs[0]} to {xs[-1]} {chart['x']['unit']}")]
    every = max(1, len(xs) // 8)
    ticks = [(x, f"{v:,}") for x, v in zip(fx, xs, strict=True)][::every]
    out += _grid(ticks, [(fy(t), _number(t)) for t in up])
    out.append(_text(LEFT, TOP - 16, chart["y"]["unit"]))
    legend, _ = _legend([one["name"] for one in chart["series"]])
    for i, one in enumerate(chart["series"]):
        points = [(x, fy(v), n, v) for x, v, n in zip(fx, one["values"], xs, strict=True)
                  if v is not None]  # fmt: skip
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in points)
        out.append(f'<polyline class="line l{i % 4}" points="{path}"/>')
        out += [
            _dot(x, y, f"{n:,} {chart['x']['unit']}: {_number(v)} {chart['y']['unit']} · "
                 f"{one['name']}", COLOURS[i])
            for x, y, n, v in points
        ]  # fmt: skip
        left = LEFT + 60 + legend[i][0]
        out.append(f'<rect x="{left}" y="8" width="12" height="12" rx="2" fill="{COLOURS[i]}"/>')
        out.append(_text(left + 17, 18, one["name"], "name", "start"))
    return "".join([*out, "</svg>"])


def _heat(chart: Mapping[str, Any], t: Messages) -> str:
    columns, rows = chart["x"]["values"], chart["series"]
    wide, tall = (WIDTH - LEFT - 60) / max(1, len(columns)), 26.0
    height = TOP + tall * len(rows) + 30
    alt = t("chart.across", down=chart["y"]["label"], across=chart["x"]["label"])
    out = [_open(chart["title"], alt, height)]
    out.append(_text(LEFT + 40, 18, alt, "tick", "start"))
    for i, one in enumerate(rows):
        y = TOP + i * tall
        out.append(_text(LEFT + 32, y + 18, one["name"], anchor="end"))
        for k, value in enumerate(one["values"]):
            x = LEFT + 40 + k * wide
            title = f"{chart['y']['label']} {one['name']}, {chart['x']['label']} {columns[k]}: "
            title += t("size.nothing_fits") if value is None else f"+{value:.1%}"
            share = 0.0 if value is None else 0.65 / (1.0 + 4.0 * value)
            fill = "none" if value is None else COLOURS[0]
            out.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide - 2:.1f}" height="{tall - 2}" rx="2" '
                f'fill="{fill}" fill-opacity="{share:.2f}" stroke="#8888"><title>{escape(title)}'
                f"</title></rect>"
            )
            if value is not None and wide > 38:
                out.append(
                    _text(x + wide / 2 - 1, y + 17, f"+{value:.0%}" if value else t("chart.best"))
                )
    for k, label in enumerate(columns):
        out.append(_text(LEFT + 40 + (k + 0.5) * wide, height - 12, str(label)[:14]))
    return "".join([*out, "</svg>"])
