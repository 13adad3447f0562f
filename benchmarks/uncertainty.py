"""Risk and lower quantiles next to one ordinary solve of the same market.

    python -m benchmarks.uncertainty                       # 100 draws of 1e6 pairs, and a quantile at 1e6 pairs
    python -m benchmarks.uncertainty --users 200000 --only quantile        # 1e7 pairs

The market is that of shapes.py, caps alone. Draws multiply values by lognormal factors of genre and artist, and have an
error of 0.3 per pair. Times are processor seconds of one thread with warm kernels; the gap is 1e-4 everywhere.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

import oasis_alloc as oa
from benchmarks.shapes import SHAPES, market
from oasis_alloc.common.pickling import FrozenMapping

_DRAWS, _GENRES, _ITEMS = 100, 15, 4_000


def drawn(cands: oa.Candidates, by_genre: float, by_artist: float, by_pair: float) -> oa.Draws:
    """Values that are wrong by genre, by artist and by pair."""
    genre = np.random.default_rng(5).integers(0, _GENRES, _ITEMS)
    artist = np.arange(_ITEMS) // 5
    value = cands.columns["value"]

    def draw(rng: np.random.Generator) -> dict[str, np.ndarray]:
        log = by_genre * rng.standard_normal(_GENRES)[genre] + by_artist * rng.standard_normal(_ITEMS // 5)[artist]
        factor = np.exp(log - 0.5 * (by_genre**2 + by_artist**2))[cands.item]
        return {"value": value * factor * (1.0 + by_pair * rng.standard_normal(value.size, np.float32))}

    return oa.Draws.from_function(cands, draw, _DRAWS, rng=7)


def seconds(run: Callable[[], object]) -> tuple[float, object]:
    """(processor seconds of a call, what it returns)."""
    started = time.process_time()
    found = run()
    return time.process_time() - started, found


def main() -> None:
    """Print the ratios to one solve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--only", choices=["draws", "quantile"])
    parser.add_argument("--small", action="store_true", help="errors of a third of the size")
    asked = parser.parse_args()
    given = market(asked.users)
    problem = SHAPES["caps"](given)
    sd = (0.3 * given.cands.columns["value"]).astype(np.float32)
    cands = replace(given.cands, uncertainty=FrozenMapping({"value": sd}))
    problem = problem.replace(candidates=cands)
    oa.solve(problem, threads=1)
    one = min(seconds(lambda: oa.solve(problem, threads=1))[0] for _ in range(3))
    print(f"{cands.n_pairs:,} pairs; one solve: {one:.2f} s", flush=True)
    if asked.only != "draws":
        took, answer = seconds(lambda: oa.solve_uncertain(problem, risk=oa.LowerQuantile(0.05), threads=1))
        print(f"lower quantile: {took:.2f} s, {took / one:.1f} times one solve; {answer!r}", flush=True)
    if asked.only != "quantile":
        sizes = (0.25, 0.3, 0.3)
        draws = drawn(cands, *(size / 3 if asked.small else size for size in sizes))
        risks: list[str | oa.CVaR] = ["expected", oa.CVaR(0.1), "worst"]
        for risk in risks:
            started = time.process_time()
            answer = oa.solve_uncertain(problem, risk=risk, draws=draws, threads=1)
            took = time.process_time() - started
            print(f"{risk!r}: {took:.2f} s, {took / one:.1f} times one solve; {answer!r}", flush=True)


if __name__ == "__main__":
    main()
