"""Counters of every kind of program on every market of `shape_markets.py`, small: a part of the gate's layer 0."""

from __future__ import annotations

from typing import Any

import oasis_alloc as oa
from benchmarks.shape_markets import EXACT, MARKETS
from benchmarks.shapes import SHAPES

_PAIRS = 20_000
_FEASIBLE = 1e-6


def name_of(market: str, program: str) -> str:
    """The name of the counters of a program on a market.

    >>> name_of("long lists", "keep")
    'keep on long lists, 2e4 pairs'
    """
    return f"{program} on {market}, 2e4 pairs"


NAMES = [name_of(market, program) for market in EXACT for program in SHAPES]


def count(markets: list[str] | None = None, programs: list[str] | None = None, gap: float = 1e-4) -> dict[str, Any]:
    """Solve every program on every market, on one thread: {name: counters}.

    >>> list(count(["few campaigns"], ["caps"]))
    ['caps on few campaigns, 2e4 pairs']
    """
    found = {}
    for market in EXACT if markets is None else markets:
        given = EXACT[market](_PAIRS // MARKETS[market][1])
        for program in SHAPES if programs is None else programs:
            solution = oa.solve(SHAPES[program](given), gap=gap, threads=1)
            infeasible = solution.status is oa.Status.INFEASIBLE
            found[name_of(market, program)] = {
                "status": solution.status.name,
                "passes": round(solution.passes, 2),
                "gap_reached": bool(solution.gap <= gap) or infeasible,
                "feasible": bool(solution.violation <= _FEASIBLE) or infeasible,
            }
    return found
