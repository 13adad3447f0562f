"""What a pass costs, against a plain sum over the same arrays, and how many passes a gap takes, over kinds of markets.

    python -m benchmarks.passes                            # around 1e7 pairs, one and two threads: minutes
    python -m benchmarks.passes --pairs 1e6 --json passes.json

Each row changes one thing of the market of peers.py: users x degree, budgets, or how tight these are. "visit" is one
visit at prices near the optimum with little smoothing, thresholds warm; "sum" adds up the same arrays once.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks.instances import Instance, generate_market
from benchmarks.large import sum_seconds
from benchmarks.machine import description, heading
from benchmarks.results import save
from benchmarks.runners import problem_of
from benchmarks.tables import table
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program.lowering import lower

_VISITS = 9  # of which the fastest counts, after one that finds the thresholds
_GAMMA = 1e-3  # of the visit, in typical values


def kinds(pairs: int) -> dict[str, tuple[int, int, int, float]]:
    """{name: (users, degree, budgets, tightness)}.

    >>> for name, shape in list(kinds(1_000_000).items())[:2]: print(name, shape)
    usual (10000, 100, 1000, 0.9)
    many short lists (100000, 10, 1000, 0.9)
    """
    budgets = max(100, round(1000 * 2.0 ** np.log10(pairs / 1e6)))
    users = pairs // 100
    found = {
        "usual": (users, 100, budgets, 0.9),
        "many short lists": (10 * users, 10, budgets, 0.9),
        "few long lists": (max(1, users // 10), 1000, max(budgets, 2000), 0.9),
        "tight": (users, 100, budgets, 0.3),
        "loose": (users, 100, budgets, 1.5),
    }
    for number in (100, 1_000, 10_000, 100_000):
        found[f"{number:,} budgets"] = (users, 100, number, 0.9)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Print a row for every market and number of threads; 1 where a gap was not reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=lambda s: int(float(s)), default=10_000_000)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--gaps", nargs="+", type=float, default=[1e-2, 1e-3, 1e-4, 1e-5])
    parser.add_argument("--limit", type=float, default=60.0, help="seconds for a solve")
    parser.add_argument("--kinds", nargs="+", help="some of the markets, by name")
    parser.add_argument("--json", type=Path, help="file for the results")
    options = parser.parse_args(arguments)
    given = kinds(options.pairs)
    unknown = set(options.kinds or ()) - set(given)
    if unknown:
        parser.error(f"no market is called {', '.join(map(repr, unknown))}; there are {', '.join(map(repr, given))}")
    about = description()
    print(heading(about), flush=True)
    heads = ["market", "users", "degree", "budgets", "tightness", "threads", "sum ns", "visit ns", "visit / sum"]
    heads += [text for gap in options.gaps for text in (f"passes to {gap:.0e}", "s")]
    rows: list[dict[str, Any]] = []
    lines: list[list[str]] = []
    for name in options.kinds or given:
        users, degree, budgets, tightness = given[name]
        instance = generate_market(users, degree, budgets, tightness=tightness, threads=max(options.threads))
        for threads in options.threads:
            rows.append({"market": name, "tightness": tightness, **_row(instance, threads, options)})
            lines.append(_cells(rows[-1]))
            print(f"{name}, {threads} threads: " + ", ".join(map(" ".join, zip(heads[6:], lines[-1][6:], strict=True))))
            sys.stdout.flush()
            if options.json is not None:
                save(options.json, about, vars(options), rows)
    print("\n" + table(heads, lines))
    return 0 if all(s["status"] == "SOLVED" for row in rows for s in row["solves"]) else 1


def _row(instance: Instance, threads: int, options: argparse.Namespace) -> dict[str, Any]:
    problem = problem_of(instance)
    # compiled, and in the caches, before anything is counted
    prices = oa.solve(problem, gap=1e-3, threads=threads, time_limit=options.limit).prices["caps"]
    summed = sum_seconds(instance, threads)
    gamma = _GAMMA * float(instance.value.mean(dtype=np.float64))
    best = np.inf
    with Threads(lower(problem), threads) as engine:
        for k in range(_VISITS):
            started = time.perf_counter()
            engine.visit(prices * (1.0 + 1e-4 * (k % 3)), gamma)
            if k:
                best = min(best, time.perf_counter() - started)
    solves = []
    for gap in options.gaps:
        started = time.perf_counter()
        solution = oa.solve(problem, gap=gap, threads=threads, time_limit=options.limit)
        seconds = time.perf_counter() - started
        solves.append(
            {"asked": gap, "status": solution.status.name, "passes": solution.passes, "seconds": seconds,
             "gap": solution.gap, "violation": solution.violation}
        )  # fmt: skip
    return {
        "users": instance.users,
        "degree": instance.degree,
        "budgets": instance.caps.size,
        "pairs": instance.pairs,
        "threads": threads,
        "sum_ns": summed / instance.pairs * 1e9,
        "visit_ns": best / instance.pairs * 1e9,
        "visit_over_sum": best / summed,
        "binding": int(np.count_nonzero(prices)),
        "solves": solves,
    }


def _cells(row: dict[str, Any]) -> list[str]:
    forms = (
        ("market", ""), ("users", ","), ("degree", ","), ("budgets", ","), ("tightness", "g"), ("threads", "d"),
        ("sum_ns", ".2f"), ("visit_ns", ".2f"), ("visit_over_sum", ".1f"),
    )  # fmt: skip
    cells = [format(row[name], form) for name, form in forms]
    for solve in row["solves"]:
        mark = "" if solve["status"] == "SOLVED" else "!"
        cells += [f"{mark}{solve['passes']:.1f}", f"{solve['seconds']:.2f}"]
    return cells


if __name__ == "__main__":
    sys.exit(main())
