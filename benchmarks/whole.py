"""The whole program beside caps alone, on one market: what fairness, diversity and guards cost.

    python -m benchmarks.whole                    # 1e6 and 1e7 pairs to a gap of 1e-3; the reference where it can
    python -m benchmarks.whole --sizes 1e6 --gap 1e-4

The market is that of peers.py (users x 100 candidates, lognormal values, Zipf popularity) with five items a campaign.
Caps alone: a cap a campaign. The whole program adds a floor on a third of the campaigns, licensors' shares, log
fairness over artists, genres whose items are worth less one by one, and 60 % of everyone's relevance kept.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import oasis_alloc as oa
from benchmarks.machine import description, heading
from benchmarks.results import save
from benchmarks.tables import table
from oasis_alloc.markets import matching

_DEGREE, _SIZE, _ITEMS_A_CAMPAIGN = 100, 3, 5


def candidates(pairs: int, seed: int = 0) -> tuple[oa.Candidates, np.ndarray, np.ndarray]:
    """(candidates, caps, floors) of the market with this many pairs: 2,000 campaigns and 5,000 artists at 1e7."""
    users = pairs // _DEGREE
    campaigns = max(_DEGREE // _ITEMS_A_CAMPAIGN, round(1000 * 2.0 ** np.log10(pairs / 1e6)))
    n_items = campaigns * _ITEMS_A_CAMPAIGN
    market = matching(users=users, degree=_DEGREE, campaigns=n_items, size=_SIZE, seed=seed)
    blocks = list(market.blocks())
    item = np.concatenate([block.item.ravel() for block in blocks])
    value = np.concatenate([block.columns["value"].ravel() for block in blocks])
    rng = np.random.default_rng(seed)
    relevance = (value * np.exp(0.3 * rng.standard_normal(value.size, dtype=np.float32))).astype(np.float32)
    numbers = np.arange(n_items)
    campaign = numbers % campaigns
    items = {
        "campaign": campaign,
        "artist": numbers // 2,
        "licensor": rng.integers(0, 20, n_items),
        "genre": rng.integers(0, 15, n_items),
    }
    indptr = np.arange(users + 1, dtype=np.int64) * _DEGREE
    made = oa.Candidates.from_arrays(indptr, item, {"value": value, "relevance": relevance}, items=items)
    top = np.argpartition(value.reshape(users, _DEGREE), -_SIZE, axis=1)[:, -_SIZE:]
    best = np.take_along_axis(item.reshape(users, _DEGREE), top, axis=1).ravel()
    shown = np.bincount(campaign[best], minlength=campaigns)
    caps = np.maximum(1.0, 0.9 * (0.7 * shown + 0.3 * shown.mean() * rng.exponential(size=campaigns)))
    floors = np.where(np.arange(campaigns) % 3 == 0, np.minimum(1.15 * shown, 0.9 * caps), 0.0)
    return made, caps, floors


def caps_alone(cands: oa.Candidates, caps: np.ndarray) -> oa.Problem:
    """The value of slates under a cap a campaign."""
    limits = [(oa.exposure(by="campaign") <= caps).named("caps")]
    return oa.Problem(cands, oa.total("value"), limits, oa.Slate(_SIZE))


def whole(cands: oa.Candidates, caps: np.ndarray, floors: np.ndarray) -> oa.Problem:
    """Everything at once."""
    slots = _SIZE * cands.n_users
    return oa.Problem(
        cands,
        oa.total("value") + 0.02 * slots / cands.items["artist"].n_groups * oa.log(oa.exposure(by="artist")),
        [
            (oa.exposure(by="campaign") <= caps).named("caps"),
            (oa.exposure(by="campaign") >= floors).named("floors"),
            (oa.exposure(by="licensor") <= 0.07 * oa.exposure()).named("licensor shares"),
        ],
        oa.Slate(_SIZE, diminishing={"genre": 0.2}, keep={"relevance": 0.6}),
    )


def row(name: str, problem: oa.Problem, solver: str, gap: float, limit: float) -> dict[str, object]:
    """Solve once; the kernels are compiled."""
    started = time.perf_counter()
    try:
        solution = oa.solve(problem, solver=solver, gap=gap, time_limit=limit)
    except oa.SolverError as error:
        return {"problem": name, "solver": solver, "status": str(error)[:60], "seconds": time.perf_counter() - started}
    return {
        "problem": name,
        "solver": solver,
        "status": solution.status.name,
        "seconds": time.perf_counter() - started,
        "gap": solution.gap,
        "violation": solution.violation,
        "passes": solution.passes,
        "value": solution.value,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="*", type=float, default=[1e6, 1e7])
    parser.add_argument("--gap", type=float, default=1e-3)
    parser.add_argument("--repeat", type=int, default=2, help="solves of each, of which the fastest counts")
    parser.add_argument("--conic", nargs="*", type=float, default=[1e4, 1e5], help="sizes for the reference solver")
    parser.add_argument("--limit", type=float, default=120.0)
    parser.add_argument("--json", type=Path, help="file for the results")
    given = parser.parse_args()
    about = description()
    print(heading(about), flush=True)
    small, caps, floors = candidates(100_000)
    for problem in (caps_alone(small, caps), whole(small, caps, floors)):
        oa.solve(problem, gap=given.gap)  # compiles
    rows: list[dict[str, object]] = []
    runs = [(size, "dual", given.repeat) for size in given.sizes] + [(size, "conic", 1) for size in given.conic]
    for size, solver, repeat in runs:
        cands, caps, floors = candidates(int(size))
        best: dict[str, dict[str, object]] = {}
        for _ in range(repeat):
            for name, problem in (("caps alone", caps_alone(cands, caps)), ("whole", whole(cands, caps, floors))):
                new = row(name, problem, solver, given.gap, given.limit)
                if name not in best or float(str(new["seconds"])) < float(str(best[name]["seconds"])):
                    best[name] = new
        ratio = float(str(best["whole"]["seconds"])) / float(str(best["caps alone"]["seconds"]))
        rows += [{"pairs": int(size), "asked": given.gap, **found} for found in best.values()]
        rows[-1]["times_caps_alone"] = ratio
        print(f"{size:.0e} pairs, {solver}: the whole program takes {ratio:.2f} x the time of caps alone", flush=True)
        if given.json is not None:
            save(given.json, about, vars(given), rows)
    heads = ("pairs", "problem", "solver", "status", "seconds", "passes", "gap", "violation")
    forms = (",", "", "", "", ".2f", ".1f", ".1e", ".0e")
    cells = [
        [format(r[h], f) if r.get(h) is not None else "-" for h, f in zip(heads, forms, strict=True)] for r in rows
    ]
    print("\n" + table(heads, cells, text=(1, 2, 3)))


if __name__ == "__main__":
    main()
