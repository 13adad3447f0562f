"""The pairs that a quote moves: those of the campaign, and those that the plan shows to its users."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@jit
def users_of_ascending(indptr: Ints, pairs: Ints) -> Ints:
    """The user of each of some pairs, which are ascending."""
    out = np.empty(pairs.size, np.int64)
    u = 0
    for i in range(pairs.size):
        if indptr[u + 1] <= pairs[i]:  # the step is doubled until it is too far: most users of a small campaign are far
            step = 1
            while u + step + 1 < indptr.size and indptr[u + step + 1] <= pairs[i]:
                u += step
                step *= 2
            low, high = u, min(u + step, indptr.size - 2)
            while low < high:
                middle = (low + high + 1) // 2
                if indptr[middle] <= pairs[i]:
                    low = middle
                else:
                    high = middle - 1
            u = low
        out[i] = u
    return out


@jit
def shown_and_wanted(
    users: Ints, begin: Ints, mine: Ints, shown_begin: Ints, shown: Ints, start: Ints, pairs: Ints, member: Flags
) -> int:
    """Merge a campaign's pairs with those that are shown, user by user; returns how many there are.

    mine and shown are ascending: of users[u] are mine[begin[u]:begin[u + 1]], and shown[shown_begin[v]:
    shown_begin[v + 1]] with v = users[u]. start has a number per user and one more; pairs and member have room for all.
    """
    n = 0
    for u in range(users.size):
        start[u] = n
        i, j = begin[u], shown_begin[users[u]]
        last = shown_begin[users[u] + 1]
        while i < begin[u + 1] or j < last:
            if j == last or (i < begin[u + 1] and mine[i] <= shown[j]):
                if j < last and mine[i] == shown[j]:
                    j += 1
                pairs[n] = mine[i]
                member[n] = True
                i += 1
            else:
                pairs[n] = shown[j]
                member[n] = False
                j += 1
            n += 1
    start[users.size] = n
    return n


@jit
def exchanges(
    start: Ints, member: Flags, x: Floats, value: Floats, units: Floats, room: Floats, wanted: Ints, giver: Ints,
    cost: Floats,
) -> int:  # fmt: skip
    """Write every exchange: a pair of the campaign, one that gives its place (-1: an empty one), cost per impression.

    start is by user, units what one slot of a user counts, room its empty slots; returns how many exchanges there are.
    """
    n = 0
    for u in range(start.size - 1):
        for p in range(start[u], start[u + 1]):
            if not member[p] or x[p] >= 1.0:
                continue
            for q in range(start[u], start[u + 1]):
                if not member[q] and x[q] > 0.0:
                    wanted[n], giver[n] = p, q
                    cost[n] = (value[q] - value[p]) / units[u]
                    n += 1
            if room[u] > 0.0:
                wanted[n], giver[n] = p, -1
                cost[n] = -value[p] / units[u]
                n += 1
    return n
