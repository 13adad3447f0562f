"""Constraints that cannot bind: none of their limits is within what totals can reach in any allocation.

They are left out before anything of a solve reads them, so that its arrays are to the bit those of the problem that
does not state them. In a program that has their rows, their keys would cut users and items into finer cells, and sums
would be added up in another order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import LARGEST
from oasis_alloc.program.program import Program


def idle_limits(
    program: Program, min_totals: Floats, max_totals: Floats
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(floors, caps) by row that totals, between `min_totals` and `max_totals`, cannot miss."""
    lower, upper, _ = program.bands()
    return np.isfinite(lower) & (lower <= min_totals), np.isfinite(upper) & (upper >= max_totals)


def idle_constraints(program: Program, n_constraints: int, min_totals: Floats, max_totals: Floats) -> frozenset[str]:
    """Names of those of the first `n_constraints` functions that cannot bind in any group."""
    lower, upper, _ = program.bands()
    idle_floor, idle_cap = idle_limits(program, min_totals, max_totals)
    known = np.maximum(np.abs(min_totals), np.abs(max_totals)) <= LARGEST  # others are refused
    idle = (np.isneginf(lower) | idle_floor) & (np.isposinf(upper) | idle_cap) & known
    return frozenset(block.name for block in program.blocks[:n_constraints] if idle[block.rows].all())


def rows_besides(program: Program, names: frozenset[str]) -> npt.NDArray[np.int64]:
    """The rows of all other functions."""
    kept = [np.arange(b.rows.start, b.rows.stop) for b in program.blocks if b.name not in names]
    return np.concatenate([np.empty(0, np.int64), *kept])
