"""The page's small drawings: inline SVG without text, so that numbers stay in the table next to them."""

from __future__ import annotations

import math

_WIDTH, _HEIGHT = 220, 16


def bullet(delivered: float, floor: float, cap: float) -> str:
    """The delivered amount, as a bar on its own scale: the allowed range behind it, a tick at each limit.

    >>> bullet(5.0, 2.0, math.inf).startswith("<svg")
    True
    """
    limits = [abs(limit) for limit in (floor, cap) if math.isfinite(limit)]
    top = max([*limits, abs(delivered)]) or 1.0
    scale = 0.92 * _WIDTH / top  # the largest limit is at the same place in every row

    def at(value: float) -> float:
        return min(max(value * scale, 0.0), _WIDTH)

    left, right = at(max(floor, 0.0)), at(cap) if math.isfinite(cap) else _WIDTH
    parts = [
        _box(0, 3, _WIDTH, 10, "track"),
        _box(left, 3, right - left, 10, "range"),
        _box(0, 5.5, at(delivered), 5, "bar"),
    ]
    if math.isfinite(floor):
        parts.append(_box(at(floor) - 1, 0, 2, _HEIGHT, "floor"))
    if math.isfinite(cap):
        parts.append(_box(at(cap) - 1, 0, 2, _HEIGHT, "cap"))
    return _svg(parts)


def signed(value: float, largest: float) -> str:
    """A bar to the right of the middle for a positive `value`, to the left for a negative one."""
    middle, width = 60, 120
    length = 0.95 * middle * abs(value) / largest if largest > 0 else 0.0
    start = middle if value > 0 else middle - length
    kind = "cap" if value > 0 else "floor"
    parts = [_box(start, 4, length, 8, kind), _box(middle - 0.5, 1, 1, 14, "axis")]
    return _svg(parts, width)


def dot(share: float, low: float) -> str:
    """A dot on an axis from `low` to 1, for shares that are all near 1; the axis does not begin at 0."""
    span = 1.0 - low or 1.0
    place = 6 + (_WIDTH - 12) * min(max((share - low) / span, 0.0), 1.0)
    end = _WIDTH - 6
    parts = [
        _box(6, 7.5, _WIDTH - 12, 1, "axis"),
        _box(end - 0.5, 2, 1, 12, "axis"),
        _box(place, 7, max(end - place, 0.0), 2, "lost"),
        f'<circle class="bar" cx="{place:.1f}" cy="8" r="4.5"/>',
    ]
    return _svg(parts)


def _box(x: float, y: float, width: float, height: float, kind: str) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:g}" width="{max(width, 0.0):.1f}" height="{height:g}"/>'


def _svg(parts: list[str], width: int = _WIDTH) -> str:
    view = f'viewBox="0 0 {width} {_HEIGHT}" width="{width}" height="{_HEIGHT}"'
    return f'<svg {view} aria-hidden="true" focusable="false">{"".join(parts)}</svg>'
