"""A linear program in sparse form, and a basic solution of one."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from oasis_alloc.common.types import Floats

Statuses = npt.NDArray[np.int8]

AT_LOWER, BASIC, AT_UPPER = 0, 1, 2  # HighsBasisStatus


@dataclass(frozen=True, eq=False)
class LinearProgram:
    """maximize cost x subject to row_lower <= A x <= row_upper, lower <= x <= upper."""

    cost: Floats
    matrix: sp.csc_array
    row_lower: Floats
    row_upper: Floats
    lower: Floats
    upper: Floats
    n_fixed: int = 0  # leading columns that are probabilities; others may have any unit
    limits: Floats = field(default_factory=lambda: np.empty(0))  # sizes of rows' limits; 0: none is to be kept
    units: Floats = field(default_factory=lambda: np.empty(0))  # of the first columns: small_limits.py; empty means 1


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """An optimal basic solution: x and the rows' shadow prices (change of the optimum per unit of limit)."""

    x: Floats
    prices: Floats
    columns: Statuses
    rows: Statuses
    iterations: int
