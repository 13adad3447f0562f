"""What a solve has found so far: an allocation with its value, and where the dual is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import FEASIBLE


@dataclass(frozen=True, eq=False)
class Allocation:
    """An allocation by its non-zeros, with its value."""

    positions: npt.NDArray[np.int64]
    x: Floats
    value: float
    totals: Floats
    violation: float
    linear: float = 0.0  # v x, before decrements
    size: float = 0.0  # sum of the absolute parts of the objective
    parts: float = 0.0  # sum of the absolute numbers that the objective's functions add up: see `Monitor.rounding`

    @property
    def feasible(self) -> bool:
        return self.violation <= FEASIBLE


@dataclass(frozen=True, eq=False)
class DualIterate:
    """The state of the optimizer: dual variables and their smoothing."""

    z: Floats
    gamma: float
