"""Drawings of the pages about signals: inline SVG, with labels that screen readers read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from oasis_alloc.page.page import number

_WIDTH, _ROW, _NAMES, _RIGHT = 720, 26, 210, 20
_SIDE, _EDGE = 260, 34  # of square drawings


def forest(rows: Sequence[tuple[str, float, float, float]], mark: float, marked: str) -> str:
    """Intervals under each other, (name, value, low, high), and a line at `mark`, which `marked` names.

    >>> forest([("a", 0.5, 0.2, 0.8)], 0.4, "logged policy").startswith("<svg")
    True
    """
    finite = [v for row in rows for v in row[1:] if math.isfinite(v)] + [mark]
    low, high = min(finite), max(finite)
    pad = 0.05 * (high - low) or max(abs(high), 1.0) * 0.05
    low, high = low - pad, high + pad

    def at(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return _NAMES + share * (_WIDTH - _NAMES - _RIGHT)

    height = _ROW * len(rows) + 30
    parts = [
        f'<line x1="{at(mark):.1f}" y1="4" x2="{at(mark):.1f}" y2="{height - 26}" class="mark"/>',
        f'<text x="{at(mark):.1f}" y="{height - 8}" text-anchor="middle">{escape(marked)} {number(mark)}</text>',
    ]
    for k, (name, value, left, right) in enumerate(rows):
        y = _ROW * k + 17
        parts += [
            f'<text x="0" y="{y + 4}">{escape(name)}</text>',
            f'<line x1="{at(left):.1f}" y1="{y}" x2="{at(right):.1f}" y2="{y}" class="interval"/>',
            f'<circle cx="{at(value):.1f}" cy="{y}" r="4.5" class="bar"/>',
        ]
    said = "; ".join(f"{name} {number(v)}, {number(l)} to {number(h)}" for name, v, l, h in rows)
    return _svg(_WIDTH, height, f"{said}; {marked} {number(mark)}", parts)


def bars(rows: Sequence[tuple[str, float]], what: str) -> str:
    """Bars under each other, (name, value >= 0); `what` names the drawing.

    >>> bars([("a", 0.25), ("b", 0.75)], "weights").count("<rect")
    2
    """
    top, length = max([value for _, value in rows] + [1e-12]), _WIDTH - _NAMES - 80
    parts = []
    for k, (name, value) in enumerate(rows):
        y, size = _ROW * k + 17, length * value / top
        parts += [
            f'<text x="0" y="{y + 4}">{escape(name)}</text>',
            f'<rect class="bar" x="{_NAMES}" y="{y - 6}" width="{size:.1f}" height="12"/>',
            f'<text x="{_NAMES + size + 6:.1f}" y="{y + 4}">{number(value)}</text>',
        ]
    said = ", ".join(f"{name}: {number(value)}" for name, value in rows)
    return _svg(_WIDTH, _ROW * len(rows) + 8, f"{what}: {said}", parts)


def against(points: Sequence[tuple[float, float, float, float]], across: str, upward: str) -> str:
    """Points (x, y, low, high) with intervals, against the line y = x; the axes are named.

    >>> against([(0.1, 0.12, 0.1, 0.14)], "predicted", "observed").count("<circle")
    1
    """
    top = max([v for point in points for v in point if math.isfinite(v)] + [1e-12])
    low = min([0.0] + [v for point in points for v in point if math.isfinite(v)])
    inner = _SIDE - 2 * _EDGE

    def at(value: float) -> float:
        return inner * (min(max(value, low), top) - low) / (top - low)

    parts = [
        f'<line x1="{_EDGE}" y1="{_SIDE - _EDGE}" x2="{_SIDE - _EDGE}" y2="{_EDGE}" class="mark"/>',
        f'<text x="{_SIDE / 2}" y="{_SIDE - 8}" text-anchor="middle">{escape(across)}, {number(low)} to {number(top)}'
        "</text>",
        f'<text x="12" y="{_SIDE / 2}" text-anchor="middle" transform="rotate(-90 12 {_SIDE / 2})">{escape(upward)}'
        "</text>",
    ]
    for x, y, down, up in points:
        left, middle = _EDGE + at(x), _SIDE - _EDGE - at(y)
        parts += [
            f'<line x1="{left:.1f}" y1="{_SIDE - _EDGE - at(down):.1f}" x2="{left:.1f}" '
            f'y2="{_SIDE - _EDGE - at(up):.1f}" class="interval"/>',
            f'<circle cx="{left:.1f}" cy="{middle:.1f}" r="3.5" class="bar"/>',
        ]
    said = ", ".join(f"{number(x)}: {number(y)}" for x, y, *_ in points)
    return _svg(_SIDE, _SIDE, f"{upward} by {across}: {said}", parts)


STYLE = (
    "<style>.drawing text{font-size:12px;fill:var(--soft)}.drawing .interval{stroke:var(--bar);stroke-width:2}"
    ".drawing .mark{stroke:var(--soft);stroke-dasharray:3 3}</style>"
)


def _svg(width: float, height: float, said: str, parts: Sequence[str]) -> str:
    label = escape(said, quote=True)
    return (
        f'<svg class="drawing" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{label}">{"".join(parts)}</svg>'
    )
