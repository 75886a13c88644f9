"""Draws lines over a logarithmic scale as an SVG that can be read on a light and on a dark page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

# Each dark enough on white, and its twin bright enough on near-black; the names stand at the lines as well.
LIGHT = ("#2a78d6", "#c2410c", "#15803d", "#9333ea", "#a16207", "#0e7490")
DARK = ("#6aa9f0", "#f97316", "#4ade80", "#c084fc", "#eab308", "#22d3ee")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 250, 52, 96, 34, 40


@dataclass(frozen=True)
class Panel:
    """One picture of several: a title, what the axis says, and lines of (x, y)."""

    title: str
    axis: str
    lines: dict[str, Sequence[tuple[float, float]]]


def draw(panels: Sequence[Panel], columns: int = 2) -> str:
    """The panels side by side, as one SVG document."""
    rows = math.ceil(len(panels) / columns)
    style = "".join(f".c{place}{{stroke:{light};fill:{light}}}" for place, light in enumerate(LIGHT))
    dark = "".join(f".c{place}{{stroke:{each};fill:{each}}}" for place, each in enumerate(DARK))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH * columns} {HEIGHT * rows}" role="img"'
        f' aria-label="{escape("; ".join(panel.title for panel in panels))}">',
        "<style>text{font:11px system-ui,sans-serif;fill:#374151;stroke:none}.title{font-weight:600;font-size:12px}"
        ".back{fill:#ffffff}.grid{stroke:#d1d5db;stroke-width:1}polyline.line{fill:none;stroke-width:2}"
        f"{style}@media (prefers-color-scheme:dark){{text{{fill:#d1d5db}}.back{{fill:#0d1117}}"
        f".grid{{stroke:#374151}}{dark}}}</style>",
        '<rect class="back" width="100%" height="100%"/>',
    ]
    for place, panel in enumerate(panels):
        row, column = divmod(place, columns)
        parts.append(f'<g transform="translate({column * WIDTH},{row * HEIGHT})">{_panel(panel)}</g>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel) -> str:
    points = [point for line in panel.lines.values() for point in line]
    xs = sorted({x for x, _ in points})
    top = _round_up(max(y for _, y in points))
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    span = math.log(xs[-1] / xs[0]) or 1.0

    def x_of(x: float) -> float:
        return LEFT + wide * math.log(x / xs[0]) / span

    def y_of(y: float) -> float:
        return TOP + high * (1 - y / top)

    parts = [f'<text class="title" x="{LEFT}" y="18">{escape(panel.title)}</text>']
    for step in range(5):
        value = top * step / 4
        parts.append(
            f'<line class="grid" x1="{LEFT}" x2="{LEFT + wide}" y1="{y_of(value):.1f}" y2="{y_of(value):.1f}"/>'
        )
        parts.append(f'<text x="{LEFT - 6}" y="{y_of(value) + 4:.1f}" text-anchor="end">{value:,.4g}</text>')
    parts += [f'<text x="{x_of(x):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:,.0f}</text>' for x in xs]
    axis = escape(panel.axis)
    parts.append(f'<text x="{LEFT + wide / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">{axis}</text>')
    ends = _apart([y_of(line[-1][1]) for line in panel.lines.values()])
    for place, ((name, line), end) in enumerate(zip(panel.lines.items(), ends, strict=True)):
        way = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in line)
        parts.append(f'<polyline class="line c{place}" points="{way}"/>')
        parts += [f'<circle class="c{place}" cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3"/>' for x, y in line]
        parts.append(f'<circle class="c{place}" cx="{LEFT + wide + 12}" cy="{end:.1f}" r="3"/>')
        parts.append(f'<text x="{LEFT + wide + 19}" y="{end + 4:.1f}">{escape(name)}</text>')
    return "".join(parts)


def _round_up(value: float) -> float:
    """The next 1, 2, 4 or 8 times a power of ten."""
    power = 10 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 8, 10) if step * power >= value * 0.999)


def _apart(places: Sequence[float], least: float = 13, lowest: float = HEIGHT - BOTTOM) -> list[float]:
    """Where the names go: at these heights, but none over another, and none below the axis."""
    moved = list(places)
    order = sorted(range(len(moved)), key=moved.__getitem__)
    for above, below in pairwise(order):
        moved[below] = max(moved[below], moved[above] + least)
    moved[order[-1]] = min(moved[order[-1]], lowest)
    for below, above in pairwise(reversed(order)):
        moved[above] = min(moved[above], moved[below] - least)
    return moved
