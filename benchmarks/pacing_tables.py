"""Tables and the plot of pacing: regret, a busy day, and all scenarios, from their runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.regret import slopes

Run = dict[str, Any]
PLOT = "regret.svg"
_COLORS = ("#0b5fa5", "#c0392b", "#d68910", "#7d3c98")


def regret(run: Run) -> tuple[tuple[str, ...], list[list[str]]]:
    """(heads, rows): regret by the number of requests, and the slopes."""
    names = list(dict.fromkeys(row["controller"] for row in run["rows"]))
    found = {(row["requests"], row["controller"]): row["regret"] for row in run["rows"]}
    sizes = sorted({row["requests"] for row in run["rows"]})
    rows = [[f"{n:,}", *(f"{found[n, name]:.1f}" for name in names)] for n in sizes]
    slope = slopes(run["rows"])
    return ("requests", *names), [*rows, ["slope of log regret", *(f"{slope[name]:.2f}" for name in names)]]


def busy_day(run: Run) -> tuple[tuple[str, ...], list[list[str]]]:
    """(heads, rows) of the busy day."""
    heads = ("contender", "within 5 %", "above its cap", "out before the last hour", "error against plan")
    rows = [
        [r["contender"], f"{r['within']:.0f} of 55", f"{r['above']:,.0f}", f"{r['out']:.0f}", f"{r['error']:.4f}"]
        for r in run["rows"]
    ]
    return heads, rows


def scenarios(run: Run) -> tuple[tuple[str, ...], list[list[str]]]:
    """(heads, rows): the default, and the share of hindsight of all others, per scenario."""
    others = [name for name in dict.fromkeys(row["contender"] for row in run["rows"]) if name != "adaptive"]
    heads = ("scenario", "seeds", "adaptive", "worst seed", "within 5 %", "least delivered", "above caps", *others)
    rows = []
    for scenario in dict.fromkeys(row["scenario"] for row in run["rows"]):
        here = {row["contender"]: row for row in run["rows"] if row["scenario"] == scenario}
        mine = here["adaptive"]
        rows.append(
            [scenario, f"{mine['seeds']}", f"{mine['share']:.4f}", f"{mine['worst_share']:.4f}",
             f"{mine['within']:.0f} of 55", f"{mine['least_delivered']:.2f}",
             f"{max(row['above'] for row in here.values()):.0f}", *(f"{here[name]['share']:.4f}" for name in others)]
        )  # fmt: skip
    return heads, rows


TABLES: dict[str, tuple[str, Callable[[Run], tuple[tuple[str, ...], list[list[str]]]]]] = {
    "regret": ("regret", regret), "busy-day": ("busy_day", busy_day), "scenarios": ("scenarios", scenarios)
}  # fmt: skip
"""{region of a page: (run, table)}."""


def draw(run: Run | None, file: Path) -> None:
    """Regret against requests as SVG, the same bytes for the same run."""
    if run is None:
        return
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {"svg.hashsalt": "oasis_alloc", "svg.fonttype": "none", "font.size": 10, "text.color": "#333333"}
    with mpl.rc_context(style):
        figure = Figure(figsize=(7.0, 4.2), layout="constrained")
        axes = figure.subplots()
        slope = slopes(run["rows"])
        for (name, value), color in zip(slope.items(), _COLORS, strict=False):
            mine = [row for row in run["rows"] if row["controller"] == name]
            sizes = [row["requests"] for row in mine]
            axes.plot(sizes, [row["regret"] for row in mine], "o-", color=color, label=f"{name}, slope {value:.2f}")
            for row in mine:
                axes.plot([row["requests"]] * len(row["by_seed"]), row["by_seed"], ".", color=color, alpha=0.35)
        root = [mine[0]["regret"] * (n / sizes[0]) ** 0.5 for n in sizes]
        axes.plot(sizes, root, "--", color="#8b949e", label="slope 1/2")
        axes.set(xscale="log", yscale="log", xlabel="requests", ylabel="regret against the bound of hindsight")
        axes.grid(color="#dddddd", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.legend(frameon=False)
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
