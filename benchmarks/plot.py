"""The plot of the page: seconds against pairs, every solver as far as it got."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_OURS = "#0b5fa5"
_OTHERS = ("#c0392b", "#d68910", "#b7950b", "#7d3c98", "#117a65", "#616a6b", "#935116")
_INK, _GRID = "#333333", "#dddddd"
Points = list[tuple[float, float]]


def series(peers: dict[str, Any] | None, large: dict[str, Any] | None) -> dict[str, Points]:
    """{label: (pairs, seconds) of the answers that it gave}, ours first.

    >>> row = {"title": "A", "solver": "a", "stops_at": 1e-4, "pairs": 100, "outcome": "done", "solve_seconds": 2.0}
    >>> series({"rows": [row, row | {"pairs": 1000, "outcome": "limit"}]}, None)
    {'A, 1e-04': [(100, 2.0)]}
    """
    found: dict[str, Points] = {}
    for row in large["rows"] if large else ():
        if row["status"] == "SOLVED":
            label = f"oasis_alloc, gap {row['asked']:.0e}, {row['threads']} thread{'s' if row['threads'] > 1 else ''}"
            found.setdefault(label, []).append((row["pairs"], row["seconds"]))
    rows = [row for row in peers["rows"] if row["outcome"] == "done"] if peers else []
    for row in sorted(rows, key=lambda row: not row["solver"].startswith("ours")):
        found.setdefault(_label(row), []).append((row["pairs"], row["solve_seconds"]))
    return {label: sorted(points) for label, points in found.items()}


def given_up(peers: dict[str, Any] | None) -> dict[str, Points]:
    """{label: (pairs, limit) where there was no answer within the limit}."""
    found: dict[str, Points] = {}
    for row in peers["rows"] if peers else ():
        if row["outcome"] == "limit":
            found.setdefault(_label(row), []).append((row["pairs"], row["limit"]))
    return found


def _label(row: dict[str, Any]) -> str:
    mine = row["solver"].startswith("ours")
    tolerance = "" if row["stops_at"] is None else f", {'gap ' if mine else ''}{row['stops_at']:.0e}"
    return f"{row['title']}{tolerance}{', beside the others' if mine else ''}"


@contextmanager
def drawn(file: Path, height: float) -> Iterator[Any]:
    """Axes with a grid and a legend, which are written as SVG at the end of the block."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {"svg.hashsalt": "oasis_alloc", "svg.fonttype": "none", "font.size": 10, "text.color": _INK}
    with mpl.rc_context(style):
        figure = Figure(figsize=(9.0, height), layout="constrained")
        axes = figure.subplots()
        yield axes
        axes.grid(color=_GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=9)
        file.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


def draw(peers: dict[str, Any] | None, large: dict[str, Any] | None, file: Path) -> None:
    """Write the plot as SVG, the same bytes for the same runs."""
    with drawn(file, height=5.0) as axes:
        colors = iter(_OTHERS * 2)
        dashes = iter(("-", "--", ":", "-.") * 3)
        for label, points in series(peers, large).items():
            ours = label.startswith("oasis_alloc")
            x, y = zip(*points, strict=True)
            color = _OURS if ours else next(colors)
            axes.plot(
                x, y, marker="o", markersize=5 if ours else 3.5, linewidth=2.2 if ours else 1.3, color=color,
                linestyle=next(dashes) if ours else "-", label=label,
            )  # fmt: skip
            for pairs, limit in given_up(peers).get(label, ()):  # an open triangle: it would have taken longer
                axes.plot([x[-1], pairs], [y[-1], limit], color=color, linewidth=0.8, linestyle=":")
                axes.plot([pairs], [limit], marker="^", markersize=6, color=color, fillstyle="none")
        axes.set(xscale="log", yscale="log", xlabel="pairs", ylabel="seconds to solve")
