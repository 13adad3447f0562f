"""Small solved problems of every kind whose policies the tests look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

import oasis_alloc as oa

Array = np.ndarray[Any, Any]
E, T = oa.exposure, oa.total
N_USERS, N_ITEMS, EACH = 30, 40, 9
GENRES = ["folk", "jazz", "pop", "rock"]


@cache
def candidates(several: bool = False, ids: bool = False) -> oa.Candidates:
    """Users of markets and hours, items of campaigns and artists, some of them of none; float32 and float64 columns."""
    rng = np.random.default_rng(7)
    item = np.concatenate([rng.choice(N_ITEMS, EACH, replace=False) for _ in range(N_USERS)])
    genre: Any = rng.choice([*GENRES, None], N_ITEMS)
    if several:
        genre = [list(rng.choice(GENRES, rng.integers(0, 4), replace=False)) for _ in range(N_ITEMS)]
    artist = rng.integers(0, 12, N_ITEMS)
    return oa.Candidates.from_arrays(
        np.arange(N_USERS + 1) * EACH,
        item,
        {
            "relevance": rng.random(N_USERS * EACH).astype(np.float32),
            "promotion": rng.random(N_USERS * EACH),
            "streams": rng.random(N_USERS * EACH).astype(np.float32),
        },
        users={"market": rng.choice(["se", "de", "us"], N_USERS), "hour": rng.integers(-1, 4, N_USERS)},
        items={"campaign": rng.integers(-1, 6, N_ITEMS), "artist": artist, "label": artist // 3, "genre": genre},
        item_ids=rng.permutation([f"track-{k:02d}" for k in range(N_ITEMS)]) if ids else None,
    )


BLEND = T("relevance") + 0.4 * T("promotion")

PROBLEMS: dict[str, Callable[[], oa.Problem]] = {
    "one column": lambda: oa.Problem(candidates(), T("relevance"), E("campaign") <= 8.0, oa.Slate(3)),
    "nothing priced": lambda: oa.Problem(candidates(), -0.5 * T("streams"), slate=oa.Slate(2)),
    "a constant": lambda: oa.Problem(candidates(), 0.3 * E() + BLEND, E() <= 50.0, oa.Slate(3)),
    "only functions": lambda: oa.Problem(candidates(), 2.0 * oa.log(E("artist")), slate=oa.Slate(2)),
    "segments": lambda: oa.Problem(
        candidates(),
        BLEND,
        [E(("market", "campaign")) <= 4.0, E("hour") <= 15.0, oa.soft(E(("campaign", "hour")) >= 1.0, 0.5)],
        oa.Slate(3),
    ),
    "several labels": lambda: oa.Problem(
        candidates(several=True), BLEND, [E("genre") <= 0.4 * E(), E(("genre", "market", "label")) <= 6.0], oa.Slate(3)
    ),
    "several columns": lambda: oa.Problem(
        candidates(several=True, ids=True),
        BLEND + oa.log(T("streams", by="artist")),
        [
            T("streams", by=("hour", "genre")) <= 5.0,
            T("promotion") <= 0.6 * T("relevance"),
            T("streams") >= 10.0,
            E("label") <= 0.5 * E(),
        ],
        oa.Slate(3),
    ),
    "rules that nest": lambda: oa.Problem(
        candidates(),
        BLEND,
        [E("campaign") <= 8.0, E("genre") <= 0.4 * E()],
        oa.Slate(4, at_most={"artist": 1, "label": 2}, diminishing={"label": 0.1}, at_least=2),
    ),
    "rules that cross": lambda: oa.Problem(
        candidates(several=True),
        BLEND,
        E("campaign") <= 8.0,
        oa.Slate(4, at_most={"genre": 1, "artist": 2}, diminishing={"genre": [0.0, 0.2]}),
    ),
    "a share kept": lambda: oa.Problem(
        candidates(), BLEND, E("campaign") >= 8.0, oa.Slate(3, at_most={"label": 2}, keep={"relevance": 0.9})
    ),
    "sizes by user": lambda: oa.Problem(
        candidates(), BLEND, E("campaign") <= 8.0, oa.Slate(np.arange(N_USERS) % 4, at_least=np.arange(N_USERS) % 2)
    ),
    "supply and positions": lambda: oa.Problem(
        candidates(), BLEND, E("campaign") <= 8.0, oa.Slate(3, slot_weights=[1.0, 0.6, 0.3]),
        supply=1.0 + np.arange(N_USERS) % 3,
    ),
}  # fmt: skip


@cache
def solved(name: str) -> oa.Solution:
    """A solution of the problem, as far as a few passes go."""
    return oa.solve(PROBLEMS[name](), gap=1e-3, threads=1)


@cache
def policy(name: str) -> oa.Policy:
    """The policy of the solution."""
    return solved(name).policy()


def at_random_prices(name: str, seed: int) -> oa.Solution:
    """The solution with other prices: scores and slates are to agree at any."""
    rng = np.random.default_rng(seed)
    solution = solved(name)
    prices = {
        key: np.where(rng.random(p.size) < 0.2, 0.0, rng.normal(0, 0.3, p.size)) for key, p in solution.prices.items()
    }
    return replace(solution, prices=prices)


def request(cands: oa.Candidates, u: int) -> tuple[Array, dict[str, Array]]:
    """(items, columns) of one user."""
    mine = slice(int(cands.indptr[u]), int(cands.indptr[u + 1]))
    return cands.item[mine], {name: column[mine] for name, column in cands.columns.items()}


def labels_of(cands: oa.Candidates, u: int) -> dict[str, Any]:
    """A user's labels by key."""
    return {name: key.labels.tolist()[key.codes[u]] if key.codes[u] >= 0 else None for name, key in cands.users.items()}


def attributes_of(cands: oa.Candidates, items: Array, keys: Any) -> dict[str, list[Any]]:
    """Labels of items by key, as a host would pass them."""
    out = {}
    for name in keys:
        indptr, codes = cands.items[name].membership()
        labels = cands.items[name].labels.tolist()
        out[name] = [[labels[c] for c in codes[indptr[i] : indptr[i + 1]]] for i in items]
    return out
