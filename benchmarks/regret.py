"""Regret of the controllers on i.i.d. traffic against the hindsight optimum, by the number of requests.

python -m benchmarks.regret --json benchmarks/runs/regret.json        # three minutes of one processor
python -m benchmarks.regret --largest 100000 --controllers adaptive solves
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks.machine import description, heading
from benchmarks.results import save

SIZES = (1000, 3162, 10_000, 31_623, 100_000, 316_228, 1_000_000)
TICKS = 5_000  # of a flight at most; a tick per request where there are fewer
CAMPAIGNS, ITEMS, EACH = 8, 40, 6
TRAINING = 400  # requests that the first prices come from: a poor forecast, so that there is something to learn


def market(n: int, seed: int) -> oa.Candidates:
    """Requests of six candidates each; the first items are promoted."""
    rng = np.random.default_rng([seed, n])
    item = np.argsort(rng.random((n, ITEMS)), axis=1)[:, :EACH].ravel()
    campaign = [k % 10 if k % 10 < CAMPAIGNS else None for k in range(ITEMS)]
    quality = np.linspace(0.0, 0.5, CAMPAIGNS)
    lift = np.array([0.0 if c is None else quality[c] for c in campaign])
    return oa.Candidates.from_arrays(
        np.arange(n + 1) * EACH, item, {"relevance": rng.random(item.size) + lift[item]}, items={"campaign": campaign}
    )


def problem(cands: oa.Candidates) -> oa.Problem:
    """Caps that bind for most campaigns and a floor that binds, per request."""
    n = cands.n_users
    caps = dict.fromkeys(range(CAMPAIGNS), 0.09 * n)
    floors = {0: 0.06 * n, 1: 0.06 * n}
    campaign = oa.exposure(by="campaign")
    limits = [(campaign <= caps).named("caps"), oa.soft(campaign >= floors, penalty=1.0).named("floors")]
    return oa.Problem(cands, oa.total("relevance"), limits, oa.Slate(1))


def play(n: int, policy: oa.Policy, controllers: Sequence[str], seeds: int) -> list[dict[str, Any]]:
    """A row per controller: regret by seed at one number of requests."""
    requests = oa.Requests(market(n, 1), np.arange(n) / n, 0.0, 1.0)
    caps = dict.fromkeys(range(CAMPAIGNS), 0.09 * n)
    plan = oa.Plan("campaign", 0.0, 1.0, caps=caps, floors={0: 0.06 * n, 1: 0.06 * n})
    scenario = oa.Scenario(arrivals="iid", sync=max(1, n // TICKS) / n)
    contenders: dict[str, Any] = {
        name: oa.Pacer(policy, plan, controller=name) for name in controllers if name != "solves"
    }
    if "solves" in controllers:  # the default with a full solve whenever the requests have doubled
        contenders["solves"] = (oa.Pacer(policy, plan), 125)
    done = oa.replay(requests, contenders, scenario=scenario, seeds=seeds, hindsight=1e-6)
    rows = []
    for name in controllers:
        regret = done.values("regret", "scenario", name)
        rows.append(
            {
                "requests": n, "controller": name, "seeds": seeds, "regret": regret.mean(), "by_seed": regret.tolist(),
                "share": done.values("share of hindsight", "scenario", name).mean(),
                "above": done.values("above hard caps", "scenario", name).max(),
            }
        )  # fmt: skip
    return rows


def slopes(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Of log regret against log requests, by controller.

    >>> slopes([{"controller": "a", "requests": n, "regret": 3 * n**0.5} for n in (100, 1000, 10000)])["a"].__round__(6)
    0.5
    """
    out = {}
    for name in dict.fromkeys(row["controller"] for row in rows):
        mine = [row for row in rows if row["controller"] == name]
        x, y = np.log([row["requests"] for row in mine]), np.log([max(row["regret"], 1e-9) for row in mine])
        out[name] = float(np.polyfit(x, y, 1)[0]) if len(mine) > 1 else float("nan")
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--controllers", nargs="*", default=["adaptive", "mirror", "entropic"])
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args()
    about, rows = description(), []
    print(heading(about), flush=True)
    policy = oa.solve(problem(market(TRAINING, 1000)), gap=1e-5).policy()
    for n in [n for n in SIZES if n <= given.largest]:
        started = time.process_time()
        mine = play(n, policy, given.controllers, given.seeds)
        rows += mine
        text = "  ".join(f"{row['controller']} {row['regret']:.1f}" for row in mine)
        print(f"{n:9,d}  {text}   ({time.process_time() - started:.0f} s)", flush=True)
        if given.json is not None:
            save(given.json, about, vars(given), rows)
    for name, slope in slopes(rows).items():
        print(f"{name}: slope {slope:.3f}")


if __name__ == "__main__":
    main()
