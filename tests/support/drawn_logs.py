"""A small service that draws slates and logs them, with outcomes whose expectations are known."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import oasis_alloc as oa

N = 6
IDS = [f"song-{k}" for k in range(N)]
RATE = np.array([0.30, 0.25, 0.10, 0.40, 0.05, 0.20])  # expected outcome of each item
MODEL = np.array([0.25, 0.25, 0.15, 0.35, 0.10, 0.20])  # what a model predicts of it
SHARE = 0.5


@cache
def policy(column: str, size: int = 2) -> oa.Policy:
    """The policy that shows the best `size` items by a column."""
    rng = np.random.default_rng(1)
    cands = oa.Candidates.from_arrays(
        [0, N, 2 * N], np.tile(np.arange(N), 2), {"now": rng.random(2 * N), "new": rng.random(2 * N)}, item_ids=IDS,
        users={"market": ["SE", "DE"]},
    )  # fmt: skip
    return oa.solve(oa.Problem(cands, oa.total(column), slate=oa.Slate(size))).policy()


def request(k: int) -> dict[str, Any]:
    """The columns of a request: other scores in every one."""
    rng = np.random.default_rng(k)
    return {"now": rng.random(N), "new": 0.5 * rng.random(N) + RATE, "model": MODEL}


def write(
    folder: Path, n: int, seed: int = 0, share: float = SHARE, rate: float = 1.0, **how: Any
) -> tuple[oa.Decisions, pd.DataFrame]:
    """n decisions of the policy by "now", drawn with an exploration, and one row per outcome."""
    rng, made, rows = np.random.default_rng(seed), policy("now"), []
    exploration: Mapping[str, float] = {"share": share}
    with oa.DecisionLog(folder, secret="a secret", rate=rate) as log:
        for k in range(n):
            columns = request(k)
            scored = {"now": columns["now"]}
            slate, p = made.sample(np.arange(N), scored, rng=seed * n + k, exploration=exploration)
            shown = [IDS[place] for place in slate]
            log.record(
                f"r{k}", made, IDS, columns, slate, at=1000.0 + k,
                **{"propensities": p, "user": f"u{k % (n // 4)}", "scores": made.score(np.arange(N), scored), **how},
            )  # fmt: skip
            hits = rng.random(len(slate)) < RATE[slate]
            rows += [(f"r{k}", item, float(hit)) for item, hit in zip(shown, hits, strict=True)]
    return oa.read_decisions(folder), pd.DataFrame(rows, columns=["request", "item", "streams"])


def truth(n: int, column: str = "new", size: int = 2) -> float:
    """The value per request of the policy by a column, on the same n requests."""
    best = [np.argsort(-request(k)[column], kind="stable")[:size] for k in range(n)]
    return float(np.mean([RATE[slate].sum() for slate in best]))
