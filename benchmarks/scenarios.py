"""All scenarios with all controllers: value against hindsight, delivery and caps, at a size that a laptop plays.

python -m benchmarks.scenarios --seeds 1                              # all but the slow ones, once
python -m benchmarks.scenarios --only "64 replicas, 1 s" --seeds 1    # 86,400 synchronizations of each
python -m benchmarks.scenarios --all --worlds benchmarks/runs/scenarios.jsonl --seconds 500 \\
    --json benchmarks/runs/scenarios.json

The last one plays 20 seeds of all; call it again until it has nothing more to do, from several processes if you like.
Rows of a summary that is there already stay where these worlds have fewer seeds, each with the commit that played it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks.busy_day import CAMPAIGNS, DAY, budgets, market
from benchmarks.machine import description, heading
from benchmarks.results import load, save
from oasis_alloc.pacing.controllers.registry import NAMES

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
"""Ten seconds of the processor per seed, up to minutes: played only where they are named."""


def statement(n: int) -> tuple[oa.Policy, oa.Requests, oa.Plan]:
    """A policy that was solved for other traffic, a day of n requests, and floors at nine tenths of the caps."""
    training = market(4000, 99)
    caps = (oa.exposure(by="campaign") <= budgets(4000)).named("caps")
    policy = oa.solve(oa.Problem(training, oa.total("relevance"), caps, oa.Slate(1)), gap=1e-4).policy()
    requests = oa.Requests(market(n, 1), np.sort(np.random.default_rng(3).uniform(0.0, DAY, n)), 0.0, DAY)
    goals = budgets(n)
    floors = {c: 0.9 * goal for c, goal in goals.items()}
    return policy, requests, oa.Plan("campaign", 0.0, DAY, caps=goals, floors=floors, penalty=0.5)


def play(given: argparse.Namespace, seed: int, names: list[str], setting: tuple[Any, Any, Any]) -> list[dict[str, Any]]:
    """Worlds of one seed: a row per scenario and controller. Scenarios with the same requests share their optimum."""
    policy, requests, plan = setting
    contenders = {name: oa.Pacer(policy, plan, controller=name) for name in given.controllers}
    done = oa.replay(requests, contenders, scenario={n: SCENARIOS[n] for n in names}, seeds=[seed], hindsight=1e-3)
    if given.page:
        done.page(given.page)
    rows = []
    for row in done.rows:
        asked = [
            (goal["delivered"], goal["floor"] if np.isfinite(goal["floor"]) else goal["cap"])
            for goal in done.goals
            if goal["contender"] == row["contender"] and goal["scenario"] == row["scenario"]
        ]
        rows.append({
            "scenario": row["scenario"], "contender": row["contender"], "seed": seed, "requests": given.requests,
            "share": row["share of hindsight"], "within": row["within 5 %"] * CAMPAIGNS,
            "above": row["above hard caps"], "error": row["error against plan"],
            "least_delivered": min(had / wanted for had, wanted in asked if wanted > 0),
        })  # fmt: skip
    return rows


def summary(worlds: list[dict[str, Any]], scenario: str, contender: str) -> dict[str, Any]:
    """Means over the seeds; of caps, deliveries and shares the worst seed, too."""
    mine = [row for row in worlds if row["scenario"] == scenario and row["contender"] == contender]
    share, within, above, error, least = (
        np.array([row[name] for row in mine]) for name in ("share", "within", "above", "error", "least_delivered")
    )
    return {
        "scenario": scenario, "contender": contender, "seeds": len(mine), "share": share.mean(),
        "worst_share": share.min(), "within": within.mean(), "above": above.max(), "error": error.mean(),
        "least_delivered": least.min(),
    }  # fmt: skip


def known(path: Path | None, requests: int) -> list[dict[str, Any]]:
    """Worlds that earlier runs have played, one per controller."""
    if path is None or not path.exists():
        return []
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    found = {(row["scenario"], row["contender"], row["seed"]): row for row in rows if row["requests"] == requests}
    return list(found.values())


def longest(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each scenario and controller, the row with more seeds: that of now where there are as many.

    >>> row = {"scenario": "drift", "contender": "pi"}
    >>> longest([row | {"seeds": 18}], [row | {"seeds": 20}]), longest([row | {"seeds": 18}], [row | {"seeds": 3}])
    ([{'scenario': 'drift', 'contender': 'pi', 'seeds': 20}], [{'scenario': 'drift', 'contender': 'pi', 'seeds': 18}])
    """
    found: dict[Any, dict[str, Any]] = {}
    for row in [*before, *now]:
        key = row["scenario"], row["contender"]
        if key not in found or row["seeds"] >= found[key]["seeds"]:
            found[key] = row
    return [found[key] for scenario in SCENARIOS for name in NAMES if (key := (scenario, name)) in found]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", nargs="*", choices=tuple(SCENARIOS), default=[n for n in SCENARIOS if n not in SLOW])
    parser.add_argument("--all", action="store_true", help="the slow ones, too")
    parser.add_argument("--controllers", nargs="*", default=list(NAMES))
    parser.add_argument("--worlds", type=Path, help="file with a line per world, which later runs go on from")
    parser.add_argument("--seconds", type=float, default=np.inf, help="begin no world after so many seconds")
    parser.add_argument("--page", help="file for the page of the last scenario")
    parser.add_argument("--json", type=Path, help="file for the summary of all worlds so far")
    given = parser.parse_args()
    about, wanted = description(), list(SCENARIOS) if given.all else given.only
    print(heading(about), flush=True)
    setting, worlds, started = statement(given.requests), known(given.worlds, given.requests), time.monotonic()
    for seed in range(given.first, given.first + given.seeds):
        done = {(row["scenario"], row["contender"]) for row in worlds if row["seed"] == seed}
        names = [one for one in wanted if any((one, name) not in done for name in given.controllers)]
        if not names or time.monotonic() - started > given.seconds:
            continue
        began = time.process_time()
        rows = play(given, seed, names, setting)
        worlds = [row for row in worlds if row["seed"] != seed or row["scenario"] not in names] + rows
        if given.worlds is not None:
            with given.worlds.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(row) + "\n" for row in rows))
        print(f"seed {seed}: {len(names)} scenarios, {time.process_time() - began:.0f} s of the processor", flush=True)
    found = [
        summary(worlds, scenario, name) | {"commit": about["commit"]}
        for scenario in SCENARIOS
        for name in NAMES
        if any(row["scenario"] == scenario and row["contender"] == name for row in worlds)
    ]
    for row in found:
        print(
            f"{row['scenario']}: {row['contender']} {row['share']:.4f} (least {row['worst_share']:.4f}, "
            f"{row['within']:.0f} within 5 %, above {row['above']:.0f}, least delivered {row['least_delivered']:.2f}, "
            f"{row['seeds']} seeds)"
        )
    if given.json is not None:
        before = load(given.json) or {"rows": []}
        kept = [{"commit": before["about"]["commit"]} | row for row in before["rows"]]
        save(given.json, about, vars(given), longest(kept, found))


if __name__ == "__main__":
    main()
