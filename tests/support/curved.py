"""Every function of a market's measures, as problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import oasis_alloc as oa

E, RELEVANCE = oa.exposure, oa.total("relevance")


def market(n_users: int = 200, per_user: int = 10, n_items: int = 40, n_artists: int = 12, seed: int = 0) -> Any:
    """A heavy-tailed catalog; every artist and campaign has candidates."""
    rng = np.random.default_rng(seed)
    popularity = 1.0 / np.arange(1, n_items + 1) ** 0.6
    keys = rng.exponential(size=(n_users, n_items)) / popularity
    item = np.sort(np.argpartition(keys, per_user, axis=1)[:, :per_user], axis=1)
    relevance = rng.beta(2.0, 4.0, item.shape) * (0.5 + 0.5 * popularity[item] ** 0.3)
    return oa.Candidates.from_arrays(
        np.arange(n_users + 1) * per_user,
        item.ravel(),
        {"relevance": relevance.ravel(), "streams": rng.gamma(2.0, 0.5, item.size).astype(np.float32)},
        users={"market": rng.choice(["de", "se", "us"], n_users)},
        items={"campaign": np.arange(n_items) % 6, "artist": np.arange(n_items) * 7 % n_artists},
    )


CANDIDATES = market()
BOTH = ("market", "artist")
MEASURES: dict[str, oa.Measure] = {
    "items": E("artist"),
    "users": E("market"),
    "both": E(BOTH),
    "all": E(),
    "column": oa.total("streams", by="artist"),
    "column, both": 2.0 * oa.total("streams", by=BOTH),
    "combination": oa.total("streams", by="artist") + 0.5 * E("artist"),
    "share": E("artist") - 0.05 * E(),
}
FUNCTIONS: dict[str, Callable[[oa.Measure], Any]] = {
    "log, offset 1": lambda m: 5.0 * oa.log(m),
    "log, offset 0.1": lambda m: 2.0 * oa.log(m, 0.1),
    "log, offset 0": lambda m: 3.0 * oa.log(m, 0.0),
    "alpha 0": lambda m: 0.1 * oa.alpha_fair(m, 0.0, 1.0),
    "alpha 0.5": lambda m: oa.alpha_fair(m, 0.5),
    "alpha 1": lambda m: 2.0 * oa.alpha_fair(m, 1.0, 1.0),
    "alpha 2": lambda m: 50.0 * oa.alpha_fair(m, 2.0),
    "alpha 5": lambda m: 20.0 * oa.alpha_fair(m, 5.0, 1.0),
    "square_deviation": lambda m: -0.1 * oa.square_deviation(m, 20.0),
    "entropy": lambda m: 50.0 * oa.entropy(m),
    "kl": lambda m: -50.0 * oa.kl(m, 1.0),
    "worst_off": lambda m: 2.0 * oa.worst_off(m),
    "gini_welfare": lambda m: 3.0 * oa.gini_welfare(m),
    "reach": lambda m: 0.3 * oa.reach(m, 25.0),
}


def problem(*functions: Any, constraints: Any = None, candidates: Any = CANDIDATES, size: int = 2) -> oa.Problem:
    if constraints is None:
        constraints = [(E("campaign") <= 75.0).named("caps"), (E("campaign") >= 30.0).named("floors")]
    return oa.Problem(candidates, sum(functions, RELEVANCE), constraints, oa.Slate(size))
