"""The kernels of quotes against plain NumPy: costs of impressions by sorting, exchanges one by one, pairs that move."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_alloc.common.arrays import readonly
from oasis_alloc.kernels.solve.ascending import ascending
from oasis_alloc.kernels.solve.exchange import Categories, Limits, Shown, exchange
from oasis_alloc.kernels.solve.opportunity import Priced, opportunity
from oasis_alloc.kernels.solve.quoted_pairs import exchanges, shown_and_wanted, users_of_ascending


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
    code, segment = rng.integers(0, 3, n).astype(np.uint16), rng.integers(0, 2, 12).astype(np.uint32)
    value, extra, tables = rng.normal(size=n), rng.random((1, n)), rng.normal(size=(2, 2, 3))
    user = np.repeat(np.arange(12), count)
    score = value - tables[0, segment[user], code] - tables[1, segment[user], code] * extra[0]
    member, size = rng.random(n) < 0.4, rng.integers(0, 4, 12)
    mine = np.flatnonzero(member)
    users = np.unique(user[mine])
    begin = np.append(np.searchsorted(user[mine], users), mine.size)
    cost, place, given = np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
    priced = Priced(*map(readonly, (start, segment, code, value, extra, tables)))
    found = opportunity(users, begin, mine, priced, size[users], cost, place, given)
    cost, pair, given = cost[:found], mine[place[:found]], given[:found]
    assert np.unique(pair).size == found
    assert not member[given[given >= 0]].any()
    displaced = np.where(given >= 0, score[given], 0.0)
    assert np.allclose(cost, displaced - score[pair])
    for bonus in (0.1, 0.7, 2.0, 5.0):
        slates = [slice(start[u], start[u + 1]) for u in range(12)]
        expected = sum(gain(score[s], member[s], int(size[u]), bonus) for u, s in enumerate(slates))
        by_costs = (np.maximum(bonus - cost, 0.0) - np.maximum(-cost, 0.0)).sum()
        assert np.isclose(by_costs, expected)


@pytest.mark.parametrize("seed", range(10))
def test_users_and_pairs_that_move_are_those_of_plain_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = rng.integers(0, 7, 40)
    indptr = np.concatenate([[0], np.cumsum(count)])
    n = int(indptr[-1])
    user = np.repeat(np.arange(40), count)
    is_mine, is_shown = rng.random(n) < rng.choice([0.02, 0.3, 0.9]), rng.random(n) < 0.4
    mine, shown = np.flatnonzero(is_mine), np.flatnonzero(is_shown)
    assert np.array_equal(users_of_ascending(indptr, mine), user[mine])
    users = np.unique(user[mine])
    begin = np.append(np.searchsorted(user[mine], users), mine.size)
    start, pairs, member = np.empty(users.size + 1, np.int64), np.empty(n, np.int64), np.empty(n, np.bool_)
    found = shown_and_wanted(users, begin, mine, np.searchsorted(shown, indptr), shown, start, pairs, member)
    expected = np.flatnonzero((is_mine | is_shown) & np.isin(user, users))
    assert np.array_equal(pairs[:found], expected)
    assert np.array_equal(member[:found], is_mine[expected])
    assert np.array_equal(start, np.append(np.searchsorted(user[expected], users), expected.size))
    x, value, units = rng.integers(0, 3, found) / 2.0, rng.normal(size=found), rng.random(users.size) + 0.5
    most, room = found * (found + 1), rng.integers(0, 2, users.size).astype(float)
    wanted, giver, cost = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most)
    many = exchanges(start, member[:found], x, value, units, room, wanted, giver, cost)
    at = user[expected]
    ways = [
        (p, q, ((value[q] if q >= 0 else 0.0) - value[p]) / units[np.searchsorted(users, at[p])])
        for p in np.flatnonzero(member[:found] & (x < 1.0))
        for q in [*np.flatnonzero((at == at[p]) & ~member[:found] & (x > 0.0)), -1]
        if q >= 0 or room[np.searchsorted(users, at[p])] > 0.0
    ]
    assert list(zip(wanted[:many].tolist(), giver[:many].tolist(), strict=True)) == [way[:2] for way in ways]
    assert np.allclose(cost[:many], [way[2] for way in ways])


@pytest.mark.parametrize("n", [0, 1, 2, 500, 5_000])
def test_the_order_of_numbers_is_that_of_a_stable_sort(n: int) -> None:
    rng = np.random.default_rng(n)
    for numbers in (
        rng.normal(size=n) * 10.0 ** rng.integers(-300, 300, n),
        rng.integers(-3, 4, n) / 2.0,
        np.where(rng.random(n) < 0.5, -0.0, 0.0),
        rng.choice([-np.inf, -1.0, 5e-324, np.inf], n),
    ):
        assert np.array_equal(ascending(numbers), np.argsort(numbers, kind="stable"))


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
    extra = rng.random((1, n))
    cell, cells = rng.permutation(n), np.zeros((2, n, n_rows))
    part = rng.random((n, n_rows)) < 0.5
    cells[0, cell] = np.where(part, adds, 0.0)
    cells[1, cell] = np.where(part, 0.0, adds) / extra[0][:, None]
    row = np.tile(np.arange(n_rows), n)
    start = np.arange(0, n + 1) * n_rows
    shown = Shown(np.arange(0, n + 1, per), user, x, room, np.ones(n_users), np.empty(0), np.empty(0))
    limits = Limits(start, row, cells.reshape(2, -1), cell, extra, slack, np.zeros(n_rows))
    categories = Categories(np.arange(n + 1), category.astype(np.int64), np.full(2, cap))
    gained = exchange(order, wanted, giver, 3.0, shown, limits, categories)
    assert np.isclose(gained, expected)
    assert np.allclose(x, mine[0])
    assert np.allclose(room, mine[1])
    assert np.allclose(slack, mine[2])
    assert gained <= 3.0 + 1e-12
