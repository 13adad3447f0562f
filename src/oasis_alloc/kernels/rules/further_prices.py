"""Keeps a user's prices of further categories from one visit to the next.

From visit to visit they change little, and Newton's method (joint.py) that starts at them takes a few steps instead of
some dozens. Only positive prices are kept; what does not fit starts at 0, as all prices do at the first visit.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.rules.rules import Rules, Work
from oasis_alloc.kernels.solve.jobs import FurtherPrices, further_prices, no_further

_NEVER, _END = -2, -1  # jobs.NEVER; a kernel reads constants of its own file


def room_for(rules: Rules | None) -> FurtherPrices:
    """Room for the prices of all users: slots times categories of an item is all that can be positive."""
    if rules is None or not rules.start.size:
        return no_further()
    widest = int(np.diff(rules.start).max(initial=0))
    return further_prices(np.minimum(rules.size * widest, len(rules.staircase)))


@jit(inline=True, allocates=False)
def visited(u: int, kept: FurtherPrices) -> bool:
    """Whether prices of an earlier visit are kept."""
    return bool(kept.start.size > 0 and kept.start[u] < kept.start[u + 1] and kept.category[kept.start[u]] != _NEVER)


@jit(inline=True, allocates=False)
def recall(u: int, n_more: int, known: bool, kept: FurtherPrices, work: Work) -> None:
    """Write the prices of the last visit, if they are known, into work.omega, and 0 for all others."""
    for which in range(n_more):
        work.omega[which] = 0.0
    if not known:
        return
    for at in range(kept.start[u], kept.start[u + 1]):
        category = kept.category[at]
        if category == _END:
            break
        mine = work.known[category]
        if mine < n_more and work.which[mine] == category:
            work.omega[mine] = kept.price[at]


@jit(inline=True, allocates=False)
def remember(u: int, n_more: int, kept: FurtherPrices, work: Work) -> None:
    """Keep the positive prices of work.omega."""
    if kept.start.size == 0:
        return
    at, end = kept.start[u], kept.start[u + 1]
    for which in range(n_more):
        if work.omega[which] > 0.0 and at < end:
            kept.category[at] = work.which[which]
            kept.price[at] = work.omega[which]
            at += 1
    if at < end:
        kept.category[at] = _END
