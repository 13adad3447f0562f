"""The kernels of quotes against plain NumPy: costs of impressions by sorting, exchanges one by one."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_alloc.kernels.solve.exchange import Categories, Limits, Shown, exchange
from oasis_alloc.kernels.solve.opportunity import opportunity


def gain(score: np.ndarray, member: np.ndarray, size: int, bonus: float) -> float:
    """What the best slate gains from a bonus on the members."""
    with_bonus = np.sort(np.maximum(score + bonus * member, 0.0))[::-1][:size].sum()
    return float(with_bonus - np.sort(np.maximum(score, 0.0))[::-1][:size].sum())


@pytest.mark.parametrize("seed", range(20))
def test_costs_are_the_slopes_of_what_a_bonus_gains(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = rng.integers(0, 9, 12)
    start = np.concatenate([[0], np.cumsum(count)])
    n = int(start[-1])
    score, member, size = rng.normal(size=n), rng.random(n) < 0.4, rng.integers(0, 4, 12)
    cost, pair, given = np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
    found = opportunity(start, score, member, size, cost, pair, given)
    cost, pair, given = cost[:found], pair[:found], given[:found]
    assert member[pair].all()
    assert not member[given[given >= 0]].any()
    displaced = np.where(given >= 0, score[given], 0.0)
    assert np.allclose(cost, displaced - score[pair])
    for bonus in (0.1, 0.7, 2.0, 5.0):
        slates = [slice(start[u], start[u + 1]) for u in range(12)]
        expected = sum(gain(score[s], member[s], int(size[u]), bonus) for u, s in enumerate(slates))
        by_costs = (np.maximum(bonus - cost, 0.0) - np.maximum(-cost, 0.0)).sum()
        assert np.isclose(by_costs, expected)


def by_hand(order, wanted, giver, need, x, room, user, adds, slack, category, cap):  # type: ignore[no-untyped-def]
    """The same exchanges in plain NumPy; adds (n_pairs, n_rows) dense, one category per pair."""
    gained = 0.0
    for k in order:
        p, q = wanted[k], giver[k]
        most = min(1.0 - x[p], x[q] if q >= 0 else room[user[p]], need - gained)
        if q < 0 or category[q] != category[p]:
            inside = (user == user[p]) & (category == category[p])
            most = min(most, cap - x[inside].sum())
        change = adds[p] - (adds[q] if q >= 0 else 0.0)
        for r, d in enumerate(change):
            if d:
                most = min(most, max(0.0, slack[r, 0 if d > 0 else 1]) / abs(d))
        if most <= 1e-12:
            continue
        slack[:, 0] -= most * change
        slack[:, 1] += most * change
        x[p] += most
        if q >= 0:
            x[q] -= most
        else:
            room[user[p]] -= most
        gained += most
    return gained


@pytest.mark.parametrize("seed", range(20))
def test_exchanges_are_those_of_plain_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n_users, per, n_rows = 5, 4, 3
    n = n_users * per
    user = np.repeat(np.arange(n_users), per)
    x = rng.random(n) * (rng.random(n) < 0.7)
    adds = rng.integers(-1, 2, (n, n_rows)).astype(float)
    slack = rng.random((n_rows, 2)) * 2.0
    category, cap = rng.integers(0, 2, n), 2.0
    member = rng.random(n) < 0.4
    ways = [(p, q) for p in np.flatnonzero(member) for q in [*np.flatnonzero((user == user[p]) & ~member), -1]]
    wanted, giver = np.array(ways, np.int64).reshape(-1, 2).T.copy()
    order = rng.permutation(wanted.size)
    room = rng.random(n_users)
    mine = x.copy(), room.copy(), slack.copy()
    expected = by_hand(order, wanted, giver, 3.0, mine[0], mine[1], user, adds, mine[2], category, cap)
    row = np.tile(np.arange(n_rows), n)
    start = np.arange(0, n + 1) * n_rows
    shown = Shown(np.arange(0, n + 1, per), user, x, room, np.ones(n_users), np.empty(0), np.empty(0))
    limits = Limits(start, row, adds.ravel(), slack, np.zeros(n_rows))
    categories = Categories(np.arange(n + 1), category.astype(np.int64), np.full(2, cap))
    gained = exchange(order, wanted, giver, 3.0, shown, limits, categories)
    assert np.isclose(gained, expected)
    assert np.allclose(x, mine[0])
    assert np.allclose(room, mine[1])
    assert np.allclose(slack, mine[2])
    assert gained <= 3.0 + 1e-12
