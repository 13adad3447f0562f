"""The plot of the landing page: what the demonstration's campaigns got, from the run whose report stands next to it.

python docs/scripts/landing_plot.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np

import oasis_alloc as oa
from oasis_alloc.markets import month

FILE = Path(__file__).resolve().parents[1] / "plots" / "delivery.svg"
COLORS = {"at its cap: one more would add": "#c0392b", "at its floor: one less would add": "#459db9",
          "between the two": "#8a8a8a"}  # fmt: skip


def main() -> None:
    market = month()  # the market of `oasis-alloc demo`
    solution = oa.solve(market.problem())
    caps, floors = market.policy.caps, market.policy.floors
    names = sorted(caps)
    delivered = dict(zip(market.candidates().groups("campaign"), solution.totals["campaign caps"], strict=True))
    prices = solution.prices_by_label
    share = np.array([delivered[name] / caps[name] for name in names])
    low = np.array([floors.get(name, 0.0) / caps[name] for name in names])
    at_cap = np.array([prices["campaign caps"].get(name, 0.0) > 0 for name in names])
    at_floor = np.array([prices["campaign floors"].get(name, 0.0) < 0 for name in names])

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "oasis_alloc", "svg.fonttype": "path", "font.size": 9})
    import matplotlib.pyplot as plt

    made, axes = plt.subplots(figsize=(8.0, 3.2), layout="constrained")
    place = np.arange(len(names))
    axes.vlines(place, low, 1.0, color="#dddddd", linewidth=7, label="from floor to cap")
    groups = (at_cap, at_floor & ~at_cap, ~at_cap & ~at_floor)
    for (label, color), some in zip(COLORS.items(), groups, strict=True):
        axes.plot(place[some], share[some], "o", color=color, markersize=5, label=f"{label} ({some.sum()})")
    axes.set(xlabel="campaigns", ylabel="delivered / cap", ylim=(-0.02, 1.4), xlim=(-1, len(names)))
    axes.set_xticks(place[::3], [name.removeprefix("campaign-") for name in names[::3]])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="upper left", fontsize=8)
    made.savefig(FILE, metadata={"Date": None})
    print(solution)


if __name__ == "__main__":
    main()
