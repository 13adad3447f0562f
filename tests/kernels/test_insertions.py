"""Costs of impressions under rules of slates, against all slates that the rules allow, one by one."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from oasis_alloc.common.arrays import readonly
from oasis_alloc.kernels.rules.insertions import Best, OwnPrices, best_slates, insertions
from oasis_alloc.kernels.solve.jobs import FurtherPrices, no_further
from oasis_alloc.kernels.solve.opportunity import Priced
from oasis_alloc.program.slate_rules import LoweredRules, System, chain_of

N_USERS, N_CLASSES = 9, 8


def systems(rng: np.random.Generator, crossing: bool) -> tuple[System, ...]:
    """Artists within genres, and moods that cross both if asked."""
    artist = rng.integers(0, 5, N_CLASSES)
    genre = rng.integers(0, 3, 5)[artist]
    mood = rng.integers(0, 2, N_CLASSES)
    start = np.arange(N_CLASSES + 1)
    stairs = [np.zeros(1 + rng.integers(2)), np.sort(rng.random(rng.integers(1, 4))), np.array([0.0, 0.3])]
    if rng.random() < 0.5:
        stairs[0], stairs[1] = stairs[1], np.zeros(2)  # the staircase is the finer or the coarser of the chain
    made = [System("artist", start, artist.astype(np.int32), 5, stairs[0])]
    made.append(System("genre", start, genre.astype(np.int32), 3, stairs[1]))
    if crossing:
        made.append(System("mood", start, mood.astype(np.int32), 2, stairs[2]))
    return tuple(made)


@pytest.mark.parametrize("seed", range(30))
def test_costs_are_what_a_bonus_gains_over_all_slates(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crossing = bool(seed % 2)
    count = rng.integers(1, 7, N_USERS)
    indptr = np.concatenate([[0], np.cumsum(count)])
    n = int(indptr[-1])
    user = np.repeat(np.arange(N_USERS), count)
    code = rng.integers(0, N_CLASSES, n).astype(np.uint16)
    score = rng.normal(0.3, 1.0, n).round(1)  # ties, too
    size = rng.integers(0, 4, N_USERS)
    least = np.where(rng.random(N_USERS) < 0.3, np.minimum(size, 1), 0)
    parts = systems(rng, crossing)
    weight = rng.uniform(0.5, 2.0, N_USERS)
    chain = chain_of(parts[:2])
    lowered = LoweredRules(size, least, weight, parts, chain, target=rng.random(N_USERS) * 0.1)
    rules = lowered.kernel
    guard, unit, nu = rng.random(n), np.full(N_USERS, 2.0), rng.choice([0.0, 0.5], N_USERS)
    further = no_further()
    if crossing:  # one price per user; the rest of its room is empty
        category = np.where(np.arange(2 * N_USERS) % 2, -1, rng.integers(0, 2, 2 * N_USERS)).astype(np.int32)
        further = FurtherPrices(np.arange(N_USERS + 1) * 2, category, np.full(2 * N_USERS, 0.4))
    own = OwnPrices(readonly(guard), readonly(unit), readonly(nu), FurtherPrices(*map(readonly, further)))
    net = score + nu[user] * guard / 2.0
    if crossing:
        net -= 0.4 * (parts[2].single[code] == further.category[2 * user])
    tables = np.zeros((1, 1, N_CLASSES))
    segment = np.zeros(N_USERS, np.uint32)
    priced = Priced(*map(readonly, (indptr, segment, code, score, np.zeros((0, n)), tables)))
    best = Best(np.concatenate([[0], np.cumsum(size)]), np.full(int(size.sum()), -1))
    value = best_slates(priced, rules, own, best)

    def cost_of(slate: tuple[int, ...], u: int) -> float:
        """What the chain's staircases take; infinite above a cap."""
        total = 0.0
        for system in parts[:2]:
            for many in np.bincount(system.single[code[list(slate)]], minlength=system.n):
                if many > system.max_count:
                    return np.inf
                total += weight[u] * system.steps[:many].sum()
        return total

    def best_of(u: int, bonus: float, member: np.ndarray) -> float:
        pairs = range(indptr[u], indptr[u + 1])
        slates = [s for k in range(least[u], size[u] + 1) for s in combinations(pairs, k)]
        return max(sum(net[p] + bonus * member[p] for p in s) - cost_of(s, u) for s in slates)

    none = np.zeros(n, np.bool_)
    expected = sum(best_of(u, 0.0, none) for u in range(N_USERS)) - float(nu @ lowered.target)
    if crossing:
        expected += sum(0.4 + max(0.0, 0.4 - 0.3 * weight[u]) for u in range(N_USERS))
    assert np.isclose(value, expected)

    member = rng.random(n) < rng.choice([0.2, 0.5, 1.0])
    mine = np.flatnonzero(member)
    users = np.unique(user[mine])
    begin = np.append(np.searchsorted(user[mine], users), mine.size)
    cost, place, given = np.zeros(n), np.zeros(n, np.int64), np.zeros(n, np.int64)
    found = insertions(users, begin, mine, priced, rules, own, best, cost, place, given)
    cost, pair, given = cost[:found], mine[place[:found]], given[:found]
    assert np.unique(pair).size == found
    assert not member[given[given >= 0]].any()
    for u in users:
        assert (np.diff(cost[user[pair] == u]) >= -1e-12).all()
    for bonus in (0.05, 0.3, 1.0, 2.5, 9.0):
        gained = sum(best_of(u, bonus, member) - best_of(u, 0.0, none) for u in range(N_USERS))
        assert np.isclose((np.maximum(bonus - cost, 0.0)).sum(), gained)
