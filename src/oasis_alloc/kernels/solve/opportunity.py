"""What the impressions of a campaign cost at given prices, read from one visit to its users.

At fixed prices every user has a threshold: the lowest priced score that is shown. The first impression of a campaign
takes the last place of the slate, the second the last place but one. So the j-th best candidate of the campaign costs
the score that it displaces, minus its own: never less than the one before it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Priced(NamedTuple):
    """The arrays of a program, and its price tables: what priced scores are made of."""

    indptr: Ints  # (n_users + 1,)
    segment: npt.NDArray[Any]  # (n_users,)
    code: npt.NDArray[Any]  # (n_pairs,)
    value: npt.NDArray[Any]  # (n_pairs,)
    extra: npt.NDArray[Any]  # (K, n_pairs)
    tables: Floats  # (K + 1, n_segments, n_classes)


@jit
def opportunity(
    users: Ints, begin: Ints, mine: Ints, priced: Priced, size: Ints, cost: Floats, place: Ints, given: Ints
) -> int:
    """Write the cost of each further impression of the campaign, user by user; returns how many there are.

    `mine` are the campaign's pairs, ascending, those of users[u] from begin[u] on; size is by user of `users`. cost,
    place and given have room for every pair of the campaign: the cost, the place in `mine` of the pair that is shown,
    and the pair that gives its place (-1: an empty one). Reads the pairs of the users in order, once.
    """
    count = 0
    n_extra = priced.tables.shape[0] - 1
    most = 1
    for u in range(users.size):
        most = max(most, size[u], begin[u + 1] - begin[u])
    top = np.empty(most)  # the best scores of others, falling; 0 is an empty place
    who = np.empty(most, np.int64)
    own = np.empty(most)  # scores of the campaign's, falling
    for u in range(users.size):
        k = size[u]
        if k <= 0:
            continue
        for j in range(k):
            top[j] = 0.0
            who[j] = -1
        user = users[u]
        by_class = priced.tables[0, priced.segment[user]]
        first = count
        m = begin[u]
        for p in range(priced.indptr[user], priced.indptr[user + 1]):
            s = priced.value[p] - by_class[priced.code[p]]
            for c in range(n_extra):
                s -= priced.tables[c + 1, priced.segment[user], priced.code[p]] * priced.extra[c, p]
            if m < begin[u + 1] and mine[m] == p:
                j = count
                while j > first and own[j - first - 1] < s:
                    own[j - first] = own[j - first - 1]
                    place[j] = place[j - 1]
                    j -= 1
                own[j - first] = s
                place[j] = m
                count += 1
                m += 1
            elif s > top[k - 1]:
                j = k - 1
                while j > 0 and top[j - 1] < s:
                    top[j] = top[j - 1]
                    who[j] = who[j - 1]
                    j -= 1
                top[j] = s
                who[j] = p
        count = min(count, first + k)
        for j in range(first, count):
            at = k - 1 - (j - first)
            cost[j] = top[at] - own[j - first]
            given[j] = who[at]
    return count
