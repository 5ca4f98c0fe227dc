"""The plot of docs/performance.md: panels of bars on logarithmic scales, as an SVG for light and dark readers.

Written by hand, since bars and labels are all there is to it: a plotting library would be thirty megabytes in the
development lock, and would not follow the reader's colours.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from tests.bench.measure import Figure
from tests.bench.report import ECHO, NGINX, OURS, UPSTREAM, WORKERS, Report
from tests.bench.table import cost

CLIENTS = 16
"""The concurrency that is drawn."""

WIDTH, HEAD, ROW, BAR, GAP = 430, 44, 22, 13, 28
NAMES, LABEL = 118, 64
"""Pixels for the names before the bars, and for the figures behind them."""

STYLE = """
    text { font: 12px system-ui, sans-serif; fill: #1f2328; }
    .title { font-weight: 600; font-size: 13px; }
    .unit, .value { fill: #59636e; }
    .ours { fill: #0969da; } .peer { fill: #afb8c1; } .limit { fill: #d4a72c; }
    line { stroke: #d1d9e0; }
    @media (prefers-color-scheme: dark) {
      text { fill: #f0f6fc; }
      .unit, .value { fill: #9198a1; }
      .ours { fill: #4493f8; } .peer { fill: #59636e; } .limit { fill: #bb8009; }
      line { stroke: #3d444d; }
    }"""


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of one quantity: a name and a value each, in the order of the tables."""

    title: str
    unit: str
    bars: Sequence[tuple[str, float]]


def panels(report: Report) -> list[Panel]:
    """Those that were measured."""

    def bars(case: str, of: str) -> list[tuple[str, float]]:
        names = [name for name in report.subjects(case) if name not in (UPSTREAM, WORKERS)]
        found = [(name, report.figure(case, CLIENTS, name)) for name in names]
        return [(name, _value(figure, of)) for name, figure in found if figure and _value(figure, of) > 0]

    all_panels = [
        Panel("CPU of a cached answer", f"µs, {CLIENTS} clients", bars("hit", "cpu")),
        Panel("CPU of a miss", f"µs, {CLIENTS} clients", bars("miss", "cpu")),
        Panel("CPU of a streamed piece", f"µs, {CLIENTS} streams of 100 pieces/s", bars("paced", "cpu")),
        Panel("First byte of a stream", f"ms, p50, {CLIENTS} streams", bars("paced", "first")),
    ]
    return [panel for panel in all_panels if panel.bars]


def _value(figure: Figure, of: str) -> float:
    if of == "first":
        return figure.first_p50
    return cost(figure) if figure.chunk_cpu else 1000 * figure.cpu


def svg(report: Report) -> str:
    """The panels, two beside each other."""
    drawn, top, parts = panels(report), 0, []
    for left in range(0, len(drawn), 2):
        pair = drawn[left : left + 2]
        parts += [_panel(panel, place * WIDTH, top) for place, panel in enumerate(pair)]
        top += HEAD + ROW * max(len(panel.bars) for panel in pair) + GAP
    size = f'width="{2 * WIDTH}" height="{top}" viewBox="0 0 {2 * WIDTH} {top}"'
    described = "; ".join(panel.title for panel in drawn)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
            f"  <title>{escape(described)}, by gateway, on logarithmic scales</title>",
            f"  <style>{STYLE}\n  </style>",
            *parts,
            "</svg>\n",
        ]
    )


def _panel(panel: Panel, left: int, top: int) -> str:
    values = [value for _, value in panel.bars]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    low, high = (low - 1, high) if low == high else (low, high)
    room = WIDTH - NAMES - LABEL
    bottom = HEAD + ROW * len(values)
    parts = [
        f'  <g transform="translate({left},{top})">',
        f'    <text class="title" x="0" y="16">{escape(panel.title)}</text>',
        f'    <text class="unit" x="0" y="33">{escape(panel.unit)}</text>',
    ]
    for decade in range(low, high + 1):
        x = NAMES + room * (decade - low) / (high - low)
        parts.append(f'    <line x1="{x:.1f}" y1="{HEAD}" x2="{x:.1f}" y2="{bottom}"/>')
    for place, (name, value) in enumerate(panel.bars):
        y = HEAD + ROW * place
        width = max(1.0, room * (math.log10(value) - low) / (high - low))
        middle = y + ROW / 2 + 4
        parts += [
            f'    <text x="{NAMES - 6}" y="{middle:.1f}" text-anchor="end">{escape(name)}</text>',
            f'    <rect class="{_kind(name)}" x="{NAMES}" y="{y + (ROW - BAR) / 2:.1f}" width="{width:.1f}"'
            f' height="{BAR}" rx="2"/>',
            f'    <text class="value" x="{NAMES + width + 5:.1f}" y="{middle:.1f}">{_figure(value)}</text>',
        ]
    return "\n".join([*parts, "  </g>"])


def _kind(name: str) -> str:
    return "ours" if name in OURS else "limit" if name in (ECHO, NGINX) else "peer"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
