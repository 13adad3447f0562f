"""Whether a change of prices reverses a decision: slates at shares of the change, in one call."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.slate_args import (
    CategoryRules,
    Fill,
    FillFields,
    Floats,
    Ints,
    RequestFields,
    RuleFields,
    Scored,
    SlateOut,
)
from oasis_alloc.kernels.serve.slate_pick import pick


@jit
def reverses(
    i: int, shown: bool, change: tuple[float, Floats], trial: tuple[Floats, npt.NDArray[np.bool_]],
    request: RequestFields, rules: RuleFields, fill: FillFields, pinned: Ints,
) -> bool:  # fmt: skip
    """Whether candidate i has switched (shown or not shown) after fraction shares[j] of the change iff reversed_by[j].

    `shown` is its current state. `change` is (amount, use): a changed price subtracts amount * use[i] from the score of
    candidate i. `trial` is (shares, reversed_by). `pinned` has the pinned positions.
    """
    amount, use = change
    shares, reversed_by = trial
    scores, keys, of_item = request
    rules_, fill_ = CategoryRules(*rules), Fill(*fill)
    n, k = scores.size, fill_.size
    moved = np.empty(n)
    scored, slate = Scored(n, moved, keys, of_item), SlateOut(np.empty(max(1, k), np.int64), np.empty(max(1, k)))
    out = slate.positions
    for j in range(shares.size):
        by = shares[j] * amount
        for p in range(n):
            moved[p] = scores[p] - by * use[p]
        for p in range(pinned.size):
            out[p] = pinned[p]
        m = pick(scored, rules_, fill_, slate)
        now = False
        for p in range(m):
            now = now or out[p] == i
        if (now != shown) != reversed_by[j]:
            return False
    return True
