"""What a rule of slates costs a visit, rule by rule, on one thread.

    python -m benchmarks.rules              # 1e6 pairs: 10,000 users x 100 candidates, at prices that caps have

A problem without rules runs kernels of its own, so the first row is what all problems paid before there were rules: the
others are next to it. Times are the least of several visits at slightly different prices, as in a solve.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import oasis_alloc as oa
from benchmarks.whole import candidates, caps_alone
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program.lowering import lower

_REPEAT = 5
_GAMMAS = (0.15, 0.05, 0.01)


def slates(n_users: int) -> dict[str, oa.Slate]:
    """A slate for every rule, and one with several."""
    return {
        "no rule": oa.Slate(3),
        "size by user": oa.Slate(np.full(n_users, 3)),
        "at_most by genre": oa.Slate(3, at_most={"genre": 1}),
        "diminishing by genre": oa.Slate(3, diminishing={"genre": 0.2}),
        "at_most by genre and licensor, which cross": oa.Slate(3, at_most={"genre": 1, "licensor": 1}),
        "keep 60 % of relevance": oa.Slate(3, keep={"relevance": 0.6}),
        "at_least 3": oa.Slate(3, at_least=3),
        "positions 1, 0.7, 0.5": oa.Slate(3, slot_weights=[1.0, 0.7, 0.5]),
        "diminishing and keep": oa.Slate(3, diminishing={"genre": 0.2}, keep={"relevance": 0.6}),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=float, default=1e6)
    given = parser.parse_args()
    cands, caps, _ = candidates(int(given.pairs))
    plain = caps_alone(cands, caps)
    prices = oa.solve(plain, gap=1e-3).prices["caps"]
    base = None
    print(f"{'rule':<44} {'us per user and visit':>20} {'times':>6}")
    for name, slate in slates(cands.n_users).items():
        with Threads(lower(plain.replace(slate=slate)), 1) as engine:
            best = np.inf
            for gamma in _GAMMAS:
                for k in range(_REPEAT):
                    started = time.perf_counter()
                    engine.visit(prices * (1.0 + 1e-3 * k), gamma)
                    if k:  # the first finds its thresholds
                        best = min(best, time.perf_counter() - started)
        cost = best / cands.n_users * 1e6
        base = base or cost
        print(f"{name:<44} {cost:>20.2f} {cost / base:>6.1f}", flush=True)


if __name__ == "__main__":
    main()
