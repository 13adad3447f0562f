"""Whether a change of prices reverses a decision: slates at shares of the change, in one call."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.slate_pick import pick

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@jit
def reverses(
    i: int,
    shown: bool,
    change: float,
    use: Floats,
    shares: Floats,
    by_then: npt.NDArray[np.bool_],
    scores: Floats,
    keys: Ints,
    of_item: npt.NDArray[np.uint32],
    rules: Ints,
    stairs: Floats,
    pinned: Ints,
    k: int,
    least: int,
    floor: float,
) -> bool:
    """Whether candidate i, which is `shown` or not, is in the other case after shares[j] of the change iff by_then[j].

    A price that changes takes change * use (n,) off the scores; the rest is what `slate_pick.pick` reads, but for the
    pinned positions.
    """
    n = scores.size
    counts = np.zeros(rules[1], np.int64)
    out, marginal, moved = np.empty(max(1, k), np.int64), np.empty(max(1, k)), np.empty(n)
    for j in range(shares.size):
        by = shares[j] * change
        for p in range(n):
            moved[p] = scores[p] - by * use[p]
        out[: pinned.size] = pinned
        m = pick(n, moved, keys, of_item, rules, stairs, counts, pinned.size, k, least, floor, out, marginal)
        now = False
        for p in range(m):
            now = now or out[p] == i
        if (now != shown) != by_then[j]:
            return False
    return True
