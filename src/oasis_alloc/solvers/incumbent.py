"""What a solve has found so far: an allocation with its value, and where the dual is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.ascending import among
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.verdicts import FEASIBLE


@dataclass(frozen=True, eq=False)
class Allocation:
    """An allocation by its non-zeros, with its value.

    Nearly all pairs that are shown have x = 1. The finisher's allocations share the array of these with decisions, and
    the non-zeros are made when they are asked for: at hundreds of millions of pairs a copy is large.
    """

    own: Ints  # pairs with their x, ascending
    own_x: Floats
    value: float
    totals: Floats
    violation: float
    linear: float = 0.0  # v x, before decrements
    size: float = 0.0  # sum of the absolute parts of the objective
    parts: float = 0.0  # sum of the absolute numbers that the objective's functions add up: see `Monitor.rounding`
    whole: Ints | None = None  # more pairs, ascending, with x = 1
    over: float = 0.0  # the violation of caps alone: upper limits of totals that are never negative

    @property
    def nonzeros(self) -> tuple[Ints, Floats]:
        """(positions, ascending, and x) of the non-zeros."""
        return (self.own, self.own_x) if self.whole is None else nonzeros(self.whole, self.own, self.own_x)

    @property
    def positions(self) -> Ints:
        """The positions alone."""
        return self.nonzeros[0]

    @property
    def x(self) -> Floats:
        """The probabilities alone."""
        return self.nonzeros[1]

    @property
    def filled(self) -> float:
        """The slots that it fills, the sum of x, without an array of all non-zeros."""
        return float(self.own_x.sum()) + (0 if self.whole is None else self.whole.size)

    def has_whole(self, positions: Ints) -> npt.NDArray[np.bool_]:
        """Which of some pairs have x = 1."""
        own = among(positions, self.own[self.own_x == 1.0])
        return own if self.whole is None else own | among(positions, self.whole)

    def as_arrays(self) -> Allocation:
        """The same, with arrays of all non-zeros of its own."""
        own, x = self.nonzeros
        return replace(self, own=own, own_x=x, whole=None)

    def sharing(self, whole: Ints, own: Ints, x: Floats) -> Allocation:
        """The same, with an array of pairs with x = 1 that others share."""
        return replace(self, own=own, own_x=x, whole=whole)

    @property
    def feasible(self) -> bool:
        return self.violation <= FEASIBLE

    def misses_less(self, other: Allocation) -> bool:
        """Whether it is the better one of two that miss limits: caps come first, as nothing may exceed them."""
        own, others = max(self.over, FEASIBLE), max(other.over, FEASIBLE)
        return (own, self.violation) < (others, other.violation)


@dataclass(frozen=True, eq=False)
class DualIterate:
    """The state of the optimizer: dual variables and their smoothing."""

    z: Floats
    gamma: float


def nonzeros(whole: Ints, own: Ints, x: Floats) -> tuple[Ints, Floats]:
    """(positions, x) of pairs with x = 1, and of others with their x; all positions ascend.

    >>> positions, x = nonzeros(np.array([1, 5]), np.array([2]), np.array([0.5]))
    >>> positions.tolist(), x.tolist()
    ([1, 2, 5], [1.0, 0.5, 1.0])
    """
    at = np.searchsorted(whole, own)
    return np.insert(whole, at, own), np.insert(np.ones(whole.size), at, x)
