"""All scenarios with all controllers: value against hindsight, delivery and caps, at a size that a laptop plays.

python -m benchmarks.scenarios --requests 20000 --seeds 3
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import oasis_alloc as oa
from benchmarks.busy_day import CAMPAIGNS, DAY, budgets, market

PEAKS = oa.Scenario(arrivals="two peaks", sync=30.0)
SCENARIOS = {
    "iid": oa.Scenario(arrivals="iid", sync=30.0),
    "two peaks": PEAKS,
    "half the traffic": PEAKS + oa.Scenario(traffic=0.5),
    "twice the traffic": PEAKS + oa.Scenario(traffic=2.0),
    "a fifth starts or ends": PEAKS + oa.Scenario(turnover=0.2),
    "all start or end": PEAKS + oa.Scenario(turnover=1.0),
    "late and lost": PEAKS + oa.Scenario(confirm_median=30.0, confirm_p99=600.0, lost=0.02),
    "8 replicas, 10 s": PEAKS + oa.Scenario(replicas=8, sync=10.0),
    "64 replicas, 60 s": PEAKS + oa.Scenario(replicas=64, sync=60.0),
    "floors times 3": PEAKS + oa.Scenario(floors=3.0),
    "drift": PEAKS + oa.Scenario(drift=-0.3),
    "adversarial": oa.Scenario(arrivals="adversarial", sync=30.0),
    "silent hours": PEAKS + oa.Scenario(silent=((0.2, 0.3), (0.5, 0.55))),
    "a replica dies": PEAKS + oa.Scenario(replicas=8, sync=10.0, dies=0.5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--controllers", nargs="*", default=["adaptive", "mirror", "entropic", "pi", "throttle", "caps"]
    )
    parser.add_argument("--page")
    given = parser.parse_args()
    n = given.requests
    training = market(4000, 99)
    caps = (oa.exposure(by="campaign") <= budgets(4000)).named("caps")
    policy = oa.solve(oa.Problem(training, oa.total("relevance"), caps, oa.Slate(1)), gap=1e-4).policy()
    requests = oa.Requests(market(n, 1), np.sort(np.random.default_rng(3).uniform(0.0, DAY, n)), 0.0, DAY)
    goals = budgets(n)
    plan = oa.Plan("campaign", 0.0, DAY, caps=goals, floors={c: 0.9 * goal for c, goal in goals.items()}, penalty=0.5)
    contenders = {name: oa.Pacer(policy, plan, controller=name) for name in given.controllers}
    started = time.perf_counter()
    done = oa.replay(
        requests, contenders, scenario=SCENARIOS, seeds=given.seeds, hindsight=1e-3,
        progress=lambda at, of, what: print(f"{at} of {of}: {what}, {time.perf_counter() - started:.0f} s", flush=True),
    )  # fmt: skip
    print("share of hindsight (within 5 %, above hard caps)")
    for scenario in SCENARIOS:
        cells = []
        for name in given.controllers:
            share, within, above = (
                done.values(metric, scenario, name)
                for metric in ("share of hindsight", "within 5 %", "above hard caps")
            )
            cells.append(f"{name} {share.mean():.4f} ({within.mean() * CAMPAIGNS:.0f}, {above.max():.0f})")
        print(f"{scenario:24s}" + "  ".join(cells))
    if given.page:
        done.page(given.page)


if __name__ == "__main__":
    main()
