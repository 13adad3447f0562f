"""All scenarios with all controllers: value against hindsight, delivery and caps, at a size that a laptop plays.

python -m benchmarks.scenarios --json benchmarks/runs/scenarios.json      # 20 seeds
python -m benchmarks.scenarios --only "64 replicas, 1 s" --seeds 1        # 86,400 synchronizations of each
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks.busy_day import CAMPAIGNS, DAY, budgets, market
from benchmarks.machine import description, heading
from benchmarks.results import save

PEAKS = oa.Scenario(arrivals="two peaks", sync=120.0)
SCENARIOS = {
    "iid": oa.Scenario(arrivals="iid", sync=120.0),
    "two peaks": PEAKS,
    "half the traffic": PEAKS + oa.Scenario(traffic=0.5),
    "twice the traffic": PEAKS + oa.Scenario(traffic=2.0),
    "a fifth starts or ends": PEAKS + oa.Scenario(turnover=0.2),
    "month turnover": PEAKS + oa.Scenario(turnover=1.0),
    "late and lost": PEAKS + oa.Scenario(confirm_median=30.0, confirm_p99=600.0, lost=0.02),
    "duplicate events": PEAKS + oa.Scenario(duplicates=0.1),
    "8 replicas, 60 s": PEAKS + oa.Scenario(replicas=8, sync=60.0),
    "8 replicas, staggered": PEAKS + oa.Scenario(replicas=8, sync=120.0, staggered=True),
    "64 replicas, 60 s": PEAKS + oa.Scenario(replicas=64, sync=60.0),
    "64 replicas, staggered": PEAKS + oa.Scenario(replicas=64, sync=120.0, staggered=True),
    "a replica dies": PEAKS + oa.Scenario(replicas=8, sync=60.0, dies=0.5),
    "8 replicas, 1 s": PEAKS + oa.Scenario(replicas=8, sync=1.0),
    "8 replicas, 10 s": PEAKS + oa.Scenario(replicas=8, sync=10.0),
    "64 replicas, 1 s": PEAKS + oa.Scenario(replicas=64, sync=1.0),
    "64 replicas, 10 s": PEAKS + oa.Scenario(replicas=64, sync=10.0),
    "floors times 3": PEAKS + oa.Scenario(floors=3.0),
    "drift": PEAKS + oa.Scenario(drift=-0.3),
    "adversarial": oa.Scenario(arrivals="adversarial", sync=120.0),
    "silent hours": PEAKS + oa.Scenario(silent=((0.2, 0.3), (0.5, 0.55))),
    "all at once": oa.Scenario(arrivals="two peaks", traffic=2.0, turnover=0.2, replicas=8, sync=120.0, staggered=True)
    + oa.Scenario(confirm_median=30.0, confirm_p99=600.0, lost=0.02, duplicates=0.1, dies=0.5, drift=-0.1),
}
SLOW = (
    "64 replicas, staggered",
    "all at once",
    "8 replicas, 1 s",
    "8 replicas, 10 s",
    "64 replicas, 1 s",
    "64 replicas, 10 s",
)
"""Minutes per seed: played only where they are named."""


def statement(n: int) -> tuple[oa.Policy, oa.Requests, oa.Plan]:
    """A policy that was solved for other traffic, a day of n requests, and floors at nine tenths of the caps."""
    training = market(4000, 99)
    caps = (oa.exposure(by="campaign") <= budgets(4000)).named("caps")
    policy = oa.solve(oa.Problem(training, oa.total("relevance"), caps, oa.Slate(1)), gap=1e-4).policy()
    requests = oa.Requests(market(n, 1), np.sort(np.random.default_rng(3).uniform(0.0, DAY, n)), 0.0, DAY)
    goals = budgets(n)
    floors = {c: 0.9 * goal for c, goal in goals.items()}
    return policy, requests, oa.Plan("campaign", 0.0, DAY, caps=goals, floors=floors, penalty=0.5)


def summary(done: oa.Replay, scenario: str, contender: str) -> dict[str, Any]:
    """Means over the seeds; of caps, deliveries and shares the worst seed, too."""
    share, within, above, error = (
        done.values(metric, scenario, contender)
        for metric in ("share of hindsight", "within 5 %", "above hard caps", "error against plan")
    )
    asked = [
        (goal["delivered"], goal["floor"] if np.isfinite(goal["floor"]) else goal["cap"])
        for goal in done.goals
        if goal["contender"] == contender and goal["scenario"] == scenario
    ]
    return {
        "scenario": scenario, "contender": contender, "seeds": len(done.seeds), "share": share.mean(),
        "worst_share": share.min(), "within": within.mean() * CAMPAIGNS, "above": above.max(), "error": error.mean(),
        "least_delivered": min(had / wanted for had, wanted in asked if wanted > 0),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--only", nargs="*", choices=tuple(SCENARIOS), default=[n for n in SCENARIOS if n not in SLOW])
    parser.add_argument("--controllers", nargs="*", default=["adaptive", "pi"])
    parser.add_argument("--page", help="file for the page of the last scenario")
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args()
    about = description()
    print(heading(about), flush=True)
    policy, requests, plan = statement(given.requests)
    contenders = {name: oa.Pacer(policy, plan, controller=name) for name in given.controllers}
    rows: list[dict[str, Any]] = []
    for scenario in given.only:
        began = time.process_time()
        done = oa.replay(
            requests, contenders, scenario={scenario: SCENARIOS[scenario]}, seeds=given.seeds, hindsight=1e-3
        )
        mine = [summary(done, scenario, name) for name in given.controllers]
        rows += mine
        cells = [
            f"{row['contender']} {row['share']:.4f} (least {row['worst_share']:.4f}, {row['within']:.0f} within 5 %, "
            f"above {row['above']:.0f}, least delivered {row['least_delivered']:.2f})"
            for row in mine
        ]
        print(f"{scenario} ({time.process_time() - began:.0f} s)\n  " + "\n  ".join(cells), flush=True)
        if given.json is not None:
            save(given.json, about, vars(given), rows)
        if given.page:
            done.page(given.page)


if __name__ == "__main__":
    main()
