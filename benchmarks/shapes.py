"""Every kind of program next to caps alone, on three markets: which shapes of programs are slow.

    python -m benchmarks.shapes                          # 1e6 pairs of each market, to gaps of 1e-4 and 1e-6
    python -m benchmarks.shapes --pairs 2e5 --markets usual --only keep crossing --gaps 1e-4

`shape_markets.py` says how the markets differ. Every program has one cap per campaign, slates of 10, and more.
Seconds are processor seconds of one thread with warm kernels, the fewest of a few solves; the ratios to caps alone are
within one run on one market. `LIMITS` has the largest ratios that are accepted.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import oasis_alloc as oa
from benchmarks.machine import description, heading
from benchmarks.results import load, save
from benchmarks.shape_markets import MARKETS, SIZE, Given
from benchmarks.shape_markets import usual as market
from benchmarks.tables import table
from oasis_alloc.kernels._compiling import told_of_compiling

__all__ = ["LIMITS", "SHAPES", "Given", "main", "market", "measure"]

_SMALL = 20_000  # pairs on which the kernels are compiled
_ENOUGH = 4.0  # seconds of solves after which a program is not solved again
_ON_THE_CLOCK = 20.0  # seconds for each processor second of a limit, on a busy machine
LATE = ("STOPPED", "TIME_LIMIT")
"""How a solve ends that is stopped after its processor seconds, or after as long on the clock."""
_HEADS = ("market", "program", "status", "CPU s", "x caps", "at most", "passes", "gap", "violation", "finer s",
          "x coarse")  # fmt: skip


def stated(given: Given, *limits: Any, more: Any = None, slate: oa.Slate | None = None) -> oa.Problem:
    """Caps per campaign and what else is given."""
    value = oa.total("value")
    caps = (oa.exposure(by="campaign") <= given.caps).named("caps")
    return oa.Problem(given.cands, value if more is None else value + more, [caps, *limits], slate or oa.Slate(SIZE))


def _frequency(given: Given) -> oa.Problem:
    return stated(given, (oa.exposure(by=("person", "campaign")) <= 1.0).named("frequency"))


def _all(given: Given) -> oa.Problem:
    fairness = 0.02 * given.slots / given.n_artists * oa.log(oa.exposure(by="artist"))
    floors = (oa.exposure(by="campaign") >= given.floors).named("floors")
    shares = (oa.exposure(by="licensor") <= 0.27 * oa.exposure()).named("shares")
    slate = oa.Slate(SIZE, at_most={"artist": 2}, diminishing={"genre": 0.1}, keep={"relevance": 0.6})
    return stated(given, floors, shares, more=fairness, slate=slate)


def _infeasible(given: Given) -> oa.Problem:
    """Four licensors of at most 0.2499 of the total each, and a total that is asked for: short by 0.04 %."""
    shares = (oa.exposure(by="licensor") <= 0.2499 * oa.exposure()).named("shares")
    some = (oa.exposure() >= 0.8 * min(float(given.slots), float(given.caps.sum()))).named("some")
    return stated(given, shares, some)


SHAPES: dict[str, Callable[[Given], oa.Problem]] = {
    "caps": stated,
    "frequency": _frequency,
    "reach": lambda given: stated(given, more=0.3 * oa.reach(oa.exposure(by=("person", "campaign")), times=1)),
    "keep": lambda given: stated(given, slate=oa.Slate(SIZE, keep={"relevance": 0.95})),
    "slot weights": lambda given: stated(given, slate=oa.Slate(SIZE, slot_weights=np.linspace(1.0, 0.1, SIZE))),
    "crossing": lambda given: stated(given, slate=oa.Slate(SIZE, at_most={"artist": 1, "genre": 2})),
    "worst off": lambda given: stated(given, more=0.2 * given.n_artists * oa.worst_off(oa.exposure(by="artist"))),
    "gini": lambda given: stated(given, more=0.2 * given.n_artists * oa.gini_welfare(oa.exposure(by="artist"))),
    "all": _all,
    "infeasible": _infeasible,
}
"""The programs by name; each is stated from a market."""

LIMITS = {
    "frequency": 8.0,
    "reach": 12.0,
    "keep": 12.0,
    "slot weights": 20.0,
    "crossing": 8.0,
    "worst off": 10.0,
    "gini": 20.0,
    "all": 12.0,
    "infeasible": 20.0,
}
"""Processor seconds over those of caps alone that a program may take."""

FINER = 3.0
"""Processor seconds to the second gap over those to the first that every program may take."""


def measure(problem: oa.Problem, gap: float, repeat: int, limit: float) -> dict[str, Any]:
    """Solve a program up to `repeat` times; the fewest processor seconds, with how it ended.

    A solve that compiles a kernel is not counted: small problems have other types of numbers. A solve is stopped
    after `limit` processor seconds, which are looked at once per pass.
    """
    taken: list[float] = []
    while not taken or (len(taken) < repeat and sum(taken) < _ENOUGH):
        compiled: list[str] = []
        started = time.process_time()
        with told_of_compiling(compiled.append):
            late = partial(_late, started + limit)
            solution = oa.solve(problem, gap=gap, threads=1, time_limit=_ON_THE_CLOCK * limit, progress=late)
        if not compiled:
            taken.append(time.process_time() - started)
    return {
        "asked": gap,
        "seconds": min(taken),
        "solves": len(taken),
        "passes": solution.passes,
        "gap": solution.gap,
        "violation": solution.violation,
        "status": solution.status.name,
    }


def _late(until: float, state: object) -> bool:
    return time.process_time() >= until


def row_of(name: str, given: Given, options: argparse.Namespace) -> dict[str, Any]:
    """A program to the first gap, and under `finer` to the second."""
    problem = SHAPES[name](given)
    found = measure(problem, options.gaps[0], options.repeat, options.limit)
    row = {"program": name, "pairs": given.cands.n_pairs, **found, "at_most": LIMITS.get(name)}
    if len(options.gaps) > 1 and found["status"] not in LATE:
        finer = measure(problem, options.gaps[1], options.repeat, options.limit)
        row["finer"] = finer | {"times": finer["seconds"] / found["seconds"]}
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, default=1e6)
    parser.add_argument("--markets", nargs="*", choices=tuple(MARKETS), default=list(MARKETS))
    parser.add_argument("--gaps", nargs="+", type=float, default=[1e-4, 1e-6], help="one or two")
    parser.add_argument("--repeat", type=int, default=3, help="solves of each, while they take few seconds")
    parser.add_argument("--limit", type=float, default=120.0, help="processor seconds per solve")
    parser.add_argument("--only", nargs="*", choices=tuple(SHAPES), default=list(SHAPES))
    parser.add_argument("--json", type=Path, help="file for the results")
    parser.add_argument("--update", action="store_true", help="keep what the file has of other markets")
    options = parser.parse_args()
    about = description()
    print(heading(about), flush=True)
    names = ["caps", *(name for name in options.only if name != "caps")]
    earlier = load(options.json) if options.update and options.json is not None else None
    rows = [] if earlier is None else [row for row in earlier["rows"] if row["market"] not in options.markets]
    for kind in options.markets:
        build, degree = MARKETS[kind]
        small = build(_SMALL // degree)
        for name in names:
            oa.solve(SHAPES[name](small), gap=options.gaps[0], threads=1, time_limit=options.limit)  # compiles
        given = build(int(options.pairs) // degree)
        caps = row_of("caps", given, options)
        for name in names:
            row = caps if name == "caps" else row_of(name, given, options)
            rows.append({"market": kind, **row, "times_caps": row["seconds"] / caps["seconds"]})
            print("  ".join(_cells(rows[-1])), flush=True)
            if options.json is not None:
                save(options.json, about, vars(options), rows)
    print("\n" + table(_HEADS, [_cells(row) for row in rows], text=(0, 1, 2)))


def _cells(row: dict[str, Any]) -> list[str]:
    forms = (("seconds", ".2f"), ("times_caps", ".1f"), ("at_most", "g"), ("passes", ".1f"), ("gap", ".1e"),
             ("violation", ".0e"))  # fmt: skip
    finer = row.get("finer", {})
    return [
        row["market"],
        row["program"],
        row["status"],
        *("-" if row[name] is None else format(row[name], form) for name, form in forms),
        *(format(finer[name], form) if finer else "-" for name, form in (("seconds", ".2f"), ("times", ".1f"))),
    ]


if __name__ == "__main__":
    main()
