"""What the impressions of a campaign cost at given prices, read from one visit to its users.

At fixed prices every user has a threshold: the lowest priced score that is shown. The first impression of a campaign
takes the last place of the slate, the second the last place but one. So the j-th best candidate of the campaign costs
the score that it displaces, minus its own: never less than the one before it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@jit
def opportunity(start: Ints, score: Floats, member: Flags, size: Ints, cost: Floats, pair: Ints, given: Ints) -> int:
    """Write the cost of each further impression of the campaign, user by user; returns how many there are.

    start (n_users + 1,) where the pairs of a user are; score and member by pair, size by user. cost, pair and given
    have room for every member: the cost, the pair that is shown, and the pair that gives its place (-1: an empty one).
    """
    count = 0
    for u in range(start.size - 1):
        k = size[u]
        if k <= 0:
            continue
        top = np.zeros(k)  # the best scores of others, falling; 0 is an empty place
        who = np.full(k, -1, np.int64)
        first = count
        for p in range(start[u], start[u + 1]):
            s = score[p]
            if member[p]:
                j = count
                while j > first and score[pair[j - 1]] < s:
                    pair[j] = pair[j - 1]
                    j -= 1
                pair[j] = p
                count += 1
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
            place = k - 1 - (j - first)
            cost[j] = top[place] - score[pair[j]]
            given[j] = who[place]
    return count
