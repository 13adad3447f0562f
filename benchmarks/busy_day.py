"""A busy day: 55 campaigns, 8 replicas that synchronize every 10 seconds, two peaks.

python -m benchmarks.busy_day --json benchmarks/runs/busy_day.json
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks.machine import description, heading
from benchmarks.results import save

CAMPAIGNS, ITEMS, EACH, DAY = 55, 400, 20, 86400.0


def market(n: int, seed: int) -> oa.Candidates:
    """Requests of twenty candidates; a campaign has one to five items of differing appeal."""
    rng = np.random.default_rng([seed, n])
    campaign = np.full(ITEMS, -1)
    campaign[: 3 * CAMPAIGNS] = rng.integers(0, CAMPAIGNS, 3 * CAMPAIGNS)
    campaign[:CAMPAIGNS] = np.arange(CAMPAIGNS)
    item = rng.integers(0, ITEMS // EACH, n * EACH) * EACH + np.tile(np.arange(EACH), n)  # each item at most once
    appeal = rng.normal(0.0, 0.1, ITEMS)
    relevance = rng.random(item.size) + appeal[item]
    return oa.Candidates.from_arrays(
        np.arange(n + 1) * EACH, item, {"relevance": relevance.clip(0.0, None)}, items={"campaign": campaign}
    )


def budgets(n: int) -> dict[int, float]:
    """From a tenth to three times the mean, 0.6 of all slots in sum."""
    share = np.geomspace(0.3, 3.0, CAMPAIGNS)
    share = share / share.sum() * 0.25
    return {c: float(round(n * s)) for c, s in enumerate(np.random.default_rng(5).permutation(share))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_750_000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--controllers", nargs="*", default=["adaptive", "pi"])
    parser.add_argument("--staggered", action="store_true", help="replicas synchronize one after the other")
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args()
    about, n = description(), given.requests
    print(heading(about), flush=True)
    started = time.perf_counter()
    training = market(4000, 99)
    caps, few = budgets(n), budgets(4000)
    problem = oa.Problem(
        training, oa.total("relevance"), [(oa.exposure(by="campaign") <= few).named("caps")], oa.Slate(1)
    )
    policy = oa.solve(problem, gap=1e-4).policy()
    requests = oa.Requests(market(n, 1), np.sort(np.random.default_rng(3).uniform(0.0, DAY, n)), 0.0, DAY)
    plan = oa.Plan("campaign", 0.0, DAY, caps=caps, floors=caps)
    scenario = oa.Scenario(arrivals="two peaks", replicas=8, sync=10.0, staggered=given.staggered)
    contenders: dict[str, oa.Policy | oa.Pacer] = {"policy alone": policy}
    contenders |= {name: oa.Pacer(policy, plan, controller=name) for name in given.controllers}
    print(f"{n:,} requests made in {time.perf_counter() - started:.0f} s", flush=True)
    rows: list[dict[str, Any]] = []
    for name, contender in contenders.items():  # one at a time: each takes a minute
        done = oa.replay(requests, {name: contender}, plan=plan, scenario=scenario, seeds=given.seeds, hindsight=None)
        metrics = [metric for metric in done.rows[0] if metric not in ("contender", "scenario", "seed")]
        found = {metric: done.values(metric, "scenario", name) for metric in metrics}
        row = {
            "contender": name, "requests": n, "seeds": given.seeds, "within": found["within 5 %"].min() * CAMPAIGNS,
            "above": found["above hard caps"].max(), "out": found["out before the last hour"].max(),
            "error": found["error against plan"].max(), "per_second": found["decisions per second"].mean(),
            "least_delivered": min(goal["delivered"] / goal["cap"] for goal in done.goals),
        }  # fmt: skip
        rows.append(row)
        print(
            f"{name:13s} within 5 %: {row['within']:4.1f} of {CAMPAIGNS}, above caps {row['above']:.0f}, out before "
            f"the last hour {row['out']:.0f}, error against plan {row['error']:.4f}, {row['per_second']:,.0f} requests "
            "per second", flush=True,
        )  # fmt: skip
        if given.json is not None:
            save(given.json, about, vars(given), rows)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
