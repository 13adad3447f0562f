"""A slate whose categories cross."""

from __future__ import annotations

from typing import Any

import oasis_alloc as oa


def crossed(**keys: Any) -> oa.Solution:
    """One user for whom the best slate of one item has nothing in common with the best one of two."""
    cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"r": [3.0, 2.0, 2.0]}, items=keys, user_ids=["ann"])
    slate = oa.Slate(2, at_most=dict.fromkeys(keys, 1), slot_weights=[1.0, 0.5])
    return oa.solve(oa.Problem(cands, oa.total("r"), slate=slate))
