"""Regret of the controllers on i.i.d. traffic against the hindsight optimum, by the number of requests.

python -m benchmarks.regret --largest 100000 --seeds 4
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np

import oasis_alloc as oa

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--controllers", nargs="*", default=["adaptive", "mirror", "entropic", "solves"])
    parser.add_argument("--json")
    given = parser.parse_args()
    sizes = [n for n in (1000, 3162, 10_000, 31_623, 100_000, 316_228, 1_000_000) if n <= given.largest]
    policy = oa.solve(problem(market(TRAINING, 1000)), gap=1e-5).policy()
    found: dict[str, list[float]] = {name: [] for name in given.controllers}
    for n in sizes:
        started = time.perf_counter()
        requests = oa.Requests(market(n, 1), np.arange(n) / n, 0.0, 1.0)
        plan = oa.Plan("campaign", 0.0, 1.0, caps=dict.fromkeys(range(CAMPAIGNS), 0.09 * n),
                       floors={0: 0.06 * n, 1: 0.06 * n})  # fmt: skip
        every = max(1, min(10, n // 1000))
        scenario = oa.Scenario(arrivals="iid", sync=every / n)
        contenders: dict[str, Any] = {
            name: oa.Pacer(policy, plan, controller=name) for name in given.controllers if name != "solves"
        }
        if "solves" in given.controllers:  # the default with a full solve whenever the requests have doubled
            contenders["solves"] = (oa.Pacer(policy, plan), 125)
        done = oa.replay(requests, contenders, scenario=scenario, seeds=given.seeds, hindsight=1e-6)
        for name in given.controllers:
            values = done.values("regret", "scenario", name)
            found[name].append(float(values.mean()))
        text = "  ".join(f"{name} {found[name][-1]:.1f}" for name in given.controllers)
        print(f"{n:9,d}  {text}   ({time.perf_counter() - started:.0f} s)", flush=True)
    x = np.log(sizes)
    for name, regret in found.items():
        slope = np.polyfit(x, np.log(np.maximum(regret, 1e-9)), 1)[0]
        print(f"{name}: slope {slope:.3f}")
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump({"requests": sizes, "regret": found}, file)


if __name__ == "__main__":
    main()
