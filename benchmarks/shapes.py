"""Every kind of program next to caps alone, on one market: which shapes of programs are slow.

    python -m benchmarks.shapes                          # 1e6 pairs to a gap of 1e-4
    python -m benchmarks.shapes --users 4000 --only caps keep crossing

The market is that of peers.py (20,000 users x 50 candidates, lognormal values, Zipf popularity) with 4,000 items in 800
campaigns, slates of 10 and two users per person. Every program has one cap per campaign, and something else. Times are
processor seconds of one thread, the fastest of `--repeat` solves, with warm kernels.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import oasis_alloc as oa
from benchmarks.machine import description, heading
from benchmarks.results import save
from benchmarks.tables import table
from oasis_alloc.markets import matching

_DEGREE, _SIZE, _ITEMS, _ITEMS_PER_CAMPAIGN, _USERS_PER_PERSON = 50, 10, 4_000, 5, 2


class Given(NamedTuple):
    """A market and what its limits are made of."""

    cands: oa.Candidates
    caps: np.ndarray
    floors: np.ndarray

    @property
    def slots(self) -> int:
        return _SIZE * self.cands.n_users

    @property
    def n_artists(self) -> int:
        return self.cands.items["artist"].n_groups


def market(users: int, seed: int = 0) -> Given:
    """The market, with caps of 1.1 times what a campaign would get without them, a part of it dealt out at random."""
    made = matching(users=users, degree=_DEGREE, campaigns=_ITEMS, size=_SIZE, seed=seed)
    blocks = list(made.blocks())
    item = np.concatenate([block.item.ravel() for block in blocks])
    value = np.concatenate([block.columns["value"].ravel() for block in blocks])
    rng = np.random.default_rng(seed + 1)
    relevance = (value * np.exp(0.3 * rng.standard_normal(value.size))).astype(np.float32)
    numbers, campaigns = np.arange(_ITEMS), _ITEMS // _ITEMS_PER_CAMPAIGN
    campaign = numbers % campaigns
    items = {
        "campaign": campaign,
        "artist": numbers // 5,
        "genre": rng.integers(0, 15, _ITEMS),
        "licensor": rng.integers(0, 4, _ITEMS),
    }
    columns = {"value": value, "relevance": relevance}
    persons = {"person": np.arange(users) // _USERS_PER_PERSON}
    cands = oa.Candidates.from_arrays(np.arange(users + 1) * _DEGREE, item, columns, items=items, users=persons)
    top = np.argpartition(value.reshape(users, _DEGREE), -_SIZE, axis=1)[:, -_SIZE:]
    best = np.take_along_axis(item.reshape(users, _DEGREE), top, axis=1).ravel()
    shown = np.bincount(campaign[best], minlength=campaigns)
    caps = np.maximum(1.0, 1.1 * (0.7 * shown + 0.3 * shown.mean() * rng.exponential(size=campaigns)))
    floors = np.where(np.arange(campaigns) % 3 == 0, np.minimum(1.15 * shown, 0.9 * caps), 0.0)
    return Given(cands, caps, floors)


def _problem(given: Given, *limits: Any, more: Any = None, slate: oa.Slate | None = None) -> oa.Problem:
    """Caps per campaign and what else is given."""
    value = oa.total("value")
    caps = (oa.exposure(by="campaign") <= given.caps).named("caps")
    return oa.Problem(given.cands, value if more is None else value + more, [caps, *limits], slate or oa.Slate(_SIZE))


def _frequency(given: Given) -> oa.Problem:
    return _problem(given, (oa.exposure(by=("person", "campaign")) <= 1.0).named("frequency"))


def _all(given: Given) -> oa.Problem:
    fairness = 0.02 * given.slots / given.n_artists * oa.log(oa.exposure(by="artist"))
    floors = (oa.exposure(by="campaign") >= given.floors).named("floors")
    shares = (oa.exposure(by="licensor") <= 0.27 * oa.exposure()).named("shares")
    slate = oa.Slate(_SIZE, at_most={"artist": 2}, diminishing={"genre": 0.1}, keep={"relevance": 0.6})
    return _problem(given, floors, shares, more=fairness, slate=slate)


def _infeasible(given: Given) -> oa.Problem:
    """Four licensors of at most 0.2499 of the total each, and a total that is asked for: short by 0.04 %."""
    shares = (oa.exposure(by="licensor") <= 0.2499 * oa.exposure()).named("shares")
    some = (oa.exposure() >= 0.8 * min(float(given.slots), float(given.caps.sum()))).named("some")
    return _problem(given, shares, some)


SHAPES: dict[str, Callable[[Given], oa.Problem]] = {
    "caps": _problem,
    "frequency": _frequency,
    "reach": lambda given: _problem(given, more=0.3 * oa.reach(oa.exposure(by=("person", "campaign")), times=1)),
    "keep": lambda given: _problem(given, slate=oa.Slate(_SIZE, keep={"relevance": 0.95})),
    "slot weights": lambda given: _problem(given, slate=oa.Slate(_SIZE, slot_weights=np.linspace(1.0, 0.1, _SIZE))),
    "crossing": lambda given: _problem(given, slate=oa.Slate(_SIZE, at_most={"artist": 1, "genre": 2})),
    "worst off": lambda given: _problem(given, more=0.2 * given.n_artists * oa.worst_off(oa.exposure(by="artist"))),
    "gini": lambda given: _problem(given, more=0.2 * given.n_artists * oa.gini_welfare(oa.exposure(by="artist"))),
    "all": _all,
    "infeasible": _infeasible,
}
"""The programs by name; each is stated from a market."""


def measure(name: str, given: Given, gap: float, repeat: int, limit: float) -> dict[str, object]:
    """Solve a program some times; the fastest solve's seconds, with how it ended."""
    problem, best = SHAPES[name](given), np.inf
    for _ in range(repeat):
        started = time.process_time()
        solution = oa.solve(problem, gap=gap, threads=1, time_limit=limit)
        best = min(best, time.process_time() - started)
    return {
        "program": name,
        "pairs": int(given.cands.indptr[-1]),
        "asked": gap,
        "seconds": best,
        "passes": solution.passes,
        "gap": solution.gap,
        "violation": solution.violation,
        "status": solution.status.name,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=float, default=20_000)
    parser.add_argument("--gap", type=float, default=1e-4)
    parser.add_argument("--repeat", type=int, default=2, help="solves of each, of which the fastest counts")
    parser.add_argument("--limit", type=float, default=120.0, help="seconds per solve")
    parser.add_argument("--only", nargs="*", choices=tuple(SHAPES), default=list(SHAPES))
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args()
    about = description()
    print(heading(about), flush=True)
    small = market(400)
    names = ["caps", *(name for name in options.only if name != "caps")]
    for name in names:
        oa.solve(SHAPES[name](small), gap=options.gap, threads=1, time_limit=options.limit)  # compiles
    given, rows = market(int(options.users)), []
    for name in names:
        rows.append(measure(name, given, options.gap, options.repeat, options.limit))
        rows[-1]["times_caps"] = float(str(rows[-1]["seconds"])) / float(str(rows[0]["seconds"]))
        print(f"{name}: {rows[-1]['status']}, {rows[-1]['times_caps']:.1f} x caps alone", flush=True)
        if options.json is not None:
            save(options.json, about, vars(options), rows)
    heads = ("program", "times_caps", "seconds", "passes", "gap", "violation", "status")
    forms = ("", ".1f", ".2f", ".1f", ".1e", ".0e", "")
    print(
        "\n" + table(heads, [[format(r[h], f) for h, f in zip(heads, forms, strict=True)] for r in rows], text=(0, 6))
    )


if __name__ == "__main__":
    main()
