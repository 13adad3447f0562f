"""Limits far below what a single pair adds: what they allow and need of such a pair.

A simplex code keeps a row to 1e-9 of the row's largest coefficient. A limit of 1e-12 on a row in which one pair adds 1
is lost in that, although other pairs may add 1e-13 each. Three numbers bring it back:

- A cap allows at most 1e-12 of that pair, so the linear program counts the pair in this unit (scaling.py): then its
  contribution is as large as the cap.
- A floor needs only 1e-12 of it, but the pair may have all of its slot: its unit stays, and the row gets a larger
  factor.
- Such a probability is no rounding error, although it is below what otherwise counts as zero.

A curved function can ask for as little: `entropy(exposure, total=1e-12)` is largest at totals of 4e-13. It has no limit
that says so, but its chords have: the total that its price asks for counts as the limit. Nothing keeps a pair from
adding more than that, so its unit is not below `_LEAST_UNIT`, at which its slot still sees it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.types import Floats
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.scaling import SMALL

_LEAST_UNIT = 1e-9  # of a pair that no limit keeps from a probability of 1


@dataclass(frozen=True, eq=False)
class SmallLimits:
    """Of the rows and the undecided pairs of a linear program."""

    sizes: Floats  # (n_rows,) of each row's smallest hard limit that is not 0, or of what a curve asks for; 0: neither
    allowed: Floats  # (n_pairs,) the most that hard limits allow of each pair; 1 unless below `SMALL`, 0 by limits of 0
    counts: Floats  # (n_pairs,) the probability that adds as much as a size; 1 unless it is below `SMALL`
    units: Floats  # (n_pairs,) of probabilities in the linear program; 1 unless below `SMALL`


def small_limits(
    program: Program, measures: sp.csr_array, whole: np.ndarray, fixed: Floats, asked: Floats
) -> SmallLimits:
    """The numbers of a linear program.

    `measures` (n_rows, n_pairs) are contributions, all of them in rows that are `whole`; `fixed` (n_rows,) are the
    totals of other pairs. Only a whole row in which all contributions have one sign limits single pairs. `asked`
    (n_rows,) are the totals that curved functions ask for, 0 in other rows.
    """
    lower, upper, _ = program.bands()
    hard = program.hard
    limits = np.abs(np.stack([lower, upper]))
    sizes = np.where((limits > 0.0) & np.isfinite(limits) & hard, limits, np.inf).min(axis=0)
    sizes = np.where(asked > 0.0, asked, sizes)
    counts, allowed, units = np.ones((3, measures.shape[1]))
    matrix = sp.coo_array(measures)
    (row, pair), added = matrix.coords, matrix.data
    near = (added != 0.0) & ((sizes[row] < SMALL * np.abs(added)) | (limits[:, row] == 0.0).any(axis=0))
    row, pair, added = row[near], pair[near], added[near]
    if row.size:
        np.minimum.at(counts, pair, sizes[row] / np.abs(added))
        curved = asked[row] > 0.0
        np.minimum.at(units, pair[curved], np.maximum((sizes[row] / np.abs(added))[curved], _LEAST_UNIT))
        least, most = measures.min(axis=1).toarray().ravel(), measures.max(axis=1).toarray().ravel()
        for sign, one_sign, limit, others in (
            (1.0, least >= 0.0, upper, fixed),
            (-1.0, most <= 0.0, -lower, -fixed),
        ):
            adds, room = sign * added, (limit - others)[row]
            limits_pairs = (hard & whole & one_sign)[row] & (adds > 0.0)
            far = limits_pairs & (room > 0.0) & (room < SMALL * adds)
            np.minimum.at(allowed, pair[far], room[far] / adds[far])
            allowed[pair[limits_pairs & (limit[row] == 0.0)]] = 0.0  # nothing is below every tolerance
    units = np.where(allowed < 1.0, allowed, units)
    return SmallLimits(np.where(np.isfinite(sizes), sizes, 0.0), allowed, counts, units)
