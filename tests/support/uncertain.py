"""Small uncertain markets, and judges of answers to them that use cvxpy and the statement alone."""

from __future__ import annotations

from typing import Any

import numpy as np

import oasis_alloc as oa


def market(
    seed: int = 0, users: int = 12, degree: int = 6, items: int = 9, deviation: float = 0.2
) -> tuple[oa.Candidates, np.ndarray]:
    """(candidates with two columns and standard deviations of both, (n_draws, n_pairs) draws of relevance)."""
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.choice(items, degree, replace=False) for _ in range(users)])
    relevance = rng.uniform(0.2, 1.0, item.size)
    spread = deviation * rng.uniform(0.2, 2.0, item.size)
    cands = oa.Candidates.from_arrays(
        np.arange(users + 1) * degree,
        item,
        {"relevance": relevance, "promotion": rng.uniform(0.0, 1.0, item.size)},
        items={"campaign": np.arange(items) % 3},
        uncertainty={"relevance": spread, "promotion": 0.5 * spread},
    )
    shared = 0.3 * rng.standard_normal((25, items))[:, item]
    draws = relevance * (1.0 + shared) + spread * rng.standard_normal((25, item.size))
    return cands, draws


def problem(cands: oa.Candidates, more: Any = None, supply: Any = None, size: int = 2) -> oa.Problem:
    """Relevance and some promotion, with a cap per campaign."""
    gain = oa.total("relevance") + 0.3 * oa.total("promotion")
    weight = 1.0 if supply is None else float(np.mean(supply))
    caps = (oa.exposure(by="campaign") <= weight * 0.4 * size * cands.n_users).named("caps")
    return oa.Problem(cands, gain if more is None else gain + more, [caps], oa.Slate(size), supply)


class Judge:
    """The polytope of `problem` in cvxpy, and its parts."""

    def __init__(self, stated: oa.Problem) -> None:
        import cvxpy as cp

        cands = stated.candidates
        self.x = cp.Variable(cands.n_pairs, nonneg=True)
        users = np.repeat(np.arange(cands.n_users), np.diff(cands.indptr))
        self.supply = np.ones(cands.n_users) if stated.supply is None else stated.supply
        self.often = self.supply[users]
        campaign = (cands.item % 3).astype(int)
        slots = np.zeros((cands.n_users, cands.n_pairs))
        slots[users, np.arange(cands.n_pairs)] = 1.0
        self.member = (campaign == np.arange(3)[:, None]).astype(float)
        size = stated.slate.size
        cap = float(self.supply.mean()) * 0.4 * size * cands.n_users
        self.limits = [self.x <= 1, slots @ self.x <= size, (self.member * self.often) @ self.x <= cap]
        self.promotion = 0.3 * cands.columns["promotion"]

    def best_of_draws(self, values: np.ndarray, share: float) -> float:
        """The largest CVaR of `values @ x`, by Rockafellar and Uryasev; a share of 0 is the worst draw."""
        import cvxpy as cp

        totals = values @ self.x
        if share == 0.0:
            risk = cp.min(totals)
        else:
            level, below = cp.Variable(), cp.Variable(len(values), nonneg=True)
            self.limits = [*self.limits, *(below[s] >= level - totals[s] for s in range(len(values)))]
            risk = level - cp.sum(below) / (share * len(values))
        return float(cp.Problem(cp.Maximize(risk), self.limits).solve(solver="HIGHS"))
