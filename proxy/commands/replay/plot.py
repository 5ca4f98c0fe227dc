"""Calls before and after as points of a small SVG: below the diagonal is less than before."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

SIZE, LEFT, TOP = 220.0, 66.0, 8.0
"""Of the square that the points are in, and where it stands."""

MOST = 2000
"""Points of one plot: of more than that every so manieth is drawn."""


def plot(title: str, pairs: Sequence[tuple[float, float]], form: str) -> str:
    """`pairs` are (before, after); the axes say the largest value in `form`. `title` is our own word."""
    finite = [pair for pair in pairs if all(map(math.isfinite, pair))]
    return "".join(_pieces(title, finite, form)) if finite else ""


def _pieces(title: str, pairs: Sequence[tuple[float, float]], form: str) -> Iterator[str]:
    largest = max(max(pair) for pair in pairs)
    scale = SIZE / largest if largest > 0 else 0.0
    right, bottom = LEFT + SIZE, TOP + SIZE
    width, height = right + 12, bottom + 36
    yield f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{title} before and after">'
    yield f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{SIZE}" height="{SIZE}"/>'
    yield f'<line class="even" x1="{LEFT}" y1="{bottom}" x2="{right}" y2="{TOP}"/>'
    for before, after in pairs[:: math.ceil(len(pairs) / MOST)]:
        x, y = LEFT + before * scale, bottom - after * scale
        yield f'<circle class="{"less" if after <= before else "more"}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>'
    most = form.format(largest)
    yield f'<text x="{LEFT - 6}" y="{TOP + 10}" text-anchor="end">{most}</text>'
    yield f'<text x="{LEFT - 6}" y="{bottom}" text-anchor="end">0</text>'
    yield f'<text x="{right}" y="{bottom + 14}" text-anchor="end">{most}</text>'
    yield f'<text x="{LEFT + SIZE / 2}" y="{bottom + 30}" text-anchor="middle">{title} before, and after upwards</text>'
    yield "</svg>"
