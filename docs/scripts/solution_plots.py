"""The plots of `docs/results.md`: what `solution.plot` draws of a small month of campaigns.

python docs/scripts/solution_plots.py
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

import oasis_alloc as oa
from oasis_alloc.markets import month

PLOTS = Path(__file__).resolve().parents[1] / "plots"


def main() -> None:
    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.hashsalt": "oasis_alloc", "svg.fonttype": "path", "font.size": 9})
    problem = month(users=1_000, degree=40, campaigns=12).problem()
    solution = oa.solve(problem, gap=1e-6)
    guard = problem.subject_to[3].limit  # type: ignore[attr-defined]  # a constraint
    points = [share * guard for share in (0.99, 1.0, 1.002, 1.004, 1.006, 1.008)]
    curve = oa.frontier(problem, vary="relevance guard", points=points, gap=1e-5)

    save(solution.plot.delivery(), "solution-delivery.svg")
    save(solution.plot.prices(), "solution-prices.svg")
    save(solution.plot.frontier(curve), "solution-frontier.svg")
    print(curve)


def save(axes: Any, file: str) -> None:
    axes.figure.savefig(PLOTS / file, metadata={"Date": None})


if __name__ == "__main__":
    main()
