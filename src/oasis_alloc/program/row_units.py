"""Units of single rows: groups of one measure can have numbers of very different sizes.

A column of costs is in each campaign's own currency, or limits are hourly for some groups and monthly for others. The
unit of a measure is the typical number of its column, which says nothing about a group whose pairs have a millionth of
it: no step of a price in this unit would ever be short enough. Such rows get the unit of their own pairs.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import LARGEST, LEAST
from oasis_alloc.program.program import Program, dual_variables

_FAR = 1e3  # factor by which a row's own numbers are larger or smaller than its unit before units are changed


def typical_sizes(program: Program, positive: Floats, negative: Floats) -> Floats:
    """(n_rows,) what a pair in a row adds to it on average, in absolute numbers.

    From tables (K + 1, n_cells) of the positive and negative parts of all columns; those of exposure are counts.
    Of exposure alone every pair adds the same, which is the unit already.
    """
    if len(program.base) == 1:
        return program.row_scale
    mean = np.zeros(program.arithmetic.shape[1])
    for matrix, up, down in zip(program.base, positive, negative, strict=True):
        pairs = np.asarray(matrix @ positive[0])
        np.divide(matrix @ (up - down), pairs, out=mean, where=pairs > 0.0)
    sizes = abs(program.arithmetic) @ sp.diags_array(mean)
    return np.asarray(sizes.max(axis=1).todense()).ravel() if sizes.nnz else np.zeros(program.n_rows)


def with_units_of_rows(program: Program, typical: Floats) -> Program:
    """The program with units of their own for rows whose `typical_sizes` are far from the unit of their measure.

    All rows of such a measure get theirs: what a missed unit of one of them weighs next to another depends on it.
    """
    unit = program.row_scale.copy()
    for rows in (block.rows for block in program.blocks):
        before, own = unit[rows], typical[rows]
        known = (own >= LEAST) & (own <= LARGEST)  # the squares of others are no numbers
        far = known & ((own / _FAR > before) | (before / _FAR > own))
        unit[rows] = np.where(known & far.any(), own, before)
    if np.array_equal(unit, program.row_scale):
        return program
    blocks, row, low, high, limit = dual_variables(program.blocks, unit)
    return replace(program, blocks=tuple(blocks), row_scale=unit, row=row, lower=low, upper=high, limit=limit)
