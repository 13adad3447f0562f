"""Quotes: seconds of immediate and certified ones, and whether what they prove holds against full solves.

    python -m benchmarks.quotes                            # seconds at 1e6 pairs
    python -m benchmarks.quotes --market caps --pairs 1e7 --quotes 200
    python -m benchmarks.quotes --check 200 --kinds plain keep     # against full solves, 1e4 pairs each

Quotes are of campaigns, or of artists in the markets of whole.py. Seconds are minima of three (immediate) and of single
runs (certified), with those of the processor next to them. The market is that of `oasis-alloc demo` with 200 campaigns,
or that of whole.py with caps alone or under all rules (2,000 campaigns at 1e7).
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

import numpy as np

import oasis_alloc as oa
from benchmarks import whole
from benchmarks.machine import description, heading
from benchmarks.results import save
from benchmarks.tables import table
from oasis_alloc.markets import month

ROOT = Path(__file__).resolve().parent


def market(name: str, pairs: int) -> oa.Problem:
    """The market of the demonstration, or that of whole.py with caps alone or with everything."""
    if name == "month":
        return month(users=pairs // 50, degree=50, campaigns=200, seed=1).problem()
    cands, caps, floors = whole.candidates(pairs)
    return whole.caps_alone(cands, caps) if name == "caps" else whole.whole(cands, caps, floors)


def seconds(name: str, pairs: int, quotes: int, gap: float) -> list[dict[str, object]]:
    """Seconds of quotes for campaigns of a market, each for a fifth of what there is at most."""
    problem = market(name, pairs)
    solution = oa.solve(problem, gap=gap)
    print(f"solved: {solution.passes:.0f} passes, gap {solution.gap:.1e}", flush=True)
    key = "campaign" if name == "month" else "artist"  # all caps of campaigns are used up, and artists have several
    labels = problem.candidates.groups(key)
    wall = time.perf_counter()
    oa.quote(solution, of={key: labels[0]})
    first = time.perf_counter() - wall
    rows: list[dict[str, object]] = []
    for label in labels[1:]:
        if len(rows) == quotes:
            break
        most = oa.quote(solution, of={key: label}).max_units.low
        asked = oa.QuoteRequest(of={key: label}, units=float(np.floor(0.2 * most)))
        if not asked.units:  # its cap is used up
            continue
        times, cpus = [], []
        for _ in range(3):
            wall, cpu = time.perf_counter(), time.process_time()
            quick = oa.quote(solution, asked)
            times.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        wall, cpu = time.perf_counter(), time.process_time()
        sure = oa.quote(solution, asked, certify=True, gap=gap)
        rows.append(
            {
                "pairs": pairs,
                key: str(label),
                "units": asked.units,
                "first": first,
                "immediate": min(times),
                "immediate_cpu": min(cpus),
                "certified": time.perf_counter() - wall,
                "certified_cpu": time.process_time() - cpu,
                "passes": sure.passes,
                "open": quick.feasible is None,
                "width": (sure.cost.high - sure.cost.low) / abs(solution.value) if sure.feasible else 0.0,
            }
        )
    return rows


def check(kind: str, quotes: int, users: int) -> dict[str, object]:
    """Random quotes of a kind of problem: how many are wrong, and how many an immediate quote leaves open."""
    sys.path.insert(0, str(ROOT.parent / "tests" / "support"))
    quoted = import_module("quoted")
    judged, problem, request = quoted.judged, quoted.problem, quoted.request

    known = wrong = open_ones = infeasible = 0
    seed = 0
    while known < quotes:
        solution = oa.solve(problem(kind, seed, users=users, items=60, degree=20), gap=1e-6)
        rng = np.random.default_rng([seed, 1])
        seed += 1
        if solution.status.name != "SOLVED":
            continue
        for _ in range(min(10, quotes - known)):
            case = judged(solution, request(rng, solution.problem.candidates, share=0.1))
            if case is None:
                continue
            known += 1
            for quote in (case.quote, case.certified):
                holds = quote.cost.low <= case.cost + case.slack and quote.cost.high >= case.cost - case.slack
                wrong += not holds
            open_ones += case.quote.feasible is None
            infeasible += bool(np.isinf(case.cost))
    row = {"kind": kind, "pairs": users * 20, "quotes": known, "wrong": wrong, "open": open_ones}
    print(row, flush=True)
    return row | {"infeasible": infeasible}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--market", choices=("month", "caps", "whole"), default="month")
    parser.add_argument("--pairs", type=float, default=1e6)
    parser.add_argument("--quotes", type=int, default=20)
    parser.add_argument("--gap", type=float, default=1e-4)
    parser.add_argument("--check", type=int, default=0, help="random quotes per kind, against full solves")
    parser.add_argument("--users", type=int, default=500, help="of problems that are checked")
    parser.add_argument("--kinds", nargs="*", default=["plain", "keep", "slot_weights", "functions"])
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "quotes.json")
    given = parser.parse_args()
    if given.check:
        rows = [check(kind, given.check, given.users) for kind in given.kinds]
        shown = [[str(row[name]) for name in ("kind", "pairs", "quotes", "wrong", "open")] for row in rows]
        heads = ["problem", "pairs", "quotes", "wrong", "open"]
    else:
        rows = seconds(given.market, int(given.pairs), given.quotes, given.gap)
        names = ("immediate", "immediate_cpu", "certified", "certified_cpu")
        numbers = {name: np.array([float(str(row[name])) for row in rows]) for name in names}
        shown = [
            [name, *(f"{np.quantile(numbers[level], at):.3f}" for level in numbers)]
            for name, at in (("least", 0.0), ("median", 0.5), ("largest", 1.0))
        ]
        shown.append(["sum", *(f"{numbers[level].sum():.2f}" for level in numbers)])
        heads = [f"{len(rows)} quotes at {given.pairs:.0e} pairs", "immediate, s", "of the processor", "certified, s"]
        heads.append("of the processor")
    about = description()
    print(heading(about))
    print(table(heads, shown))
    options = {name: value for name, value in vars(given).items() if name != "out"}
    save(given.out, about, options, rows)


if __name__ == "__main__":
    main()
