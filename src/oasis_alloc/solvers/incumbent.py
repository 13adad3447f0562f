"""What a solve has found so far: an allocation with its value, and where the dual is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.ascending import among
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.engines.shown import NonZeros, Shown, with_shown


@dataclass(frozen=True, eq=False)
class Allocation:
    """An allocation by its non-zeros, with its value.

    Nearly all pairs that are shown have x = 1. The finisher's allocations share these with decisions, and the non-zeros
    are made when they are asked for: at hundreds of millions of pairs a copy is large.
    """

    own: Ints  # pairs with their x, ascending
    own_x: Floats
    value: float
    totals: Floats
    violation: float
    linear: float = 0.0  # v x, before decrements
    size: float = 0.0  # sum of the absolute parts of the objective
    parts: float = 0.0  # sum of the absolute numbers that the objective's functions add up: see `Monitor.rounding`
    whole: Shown | None = None  # more pairs, with x = 1
    over: float = 0.0  # if not feasible, the violation of caps alone: upper limits of totals that are never negative

    @property
    def nonzeros(self) -> tuple[Ints, Floats]:
        """(positions, ascending, and x) of the non-zeros."""
        return with_shown(self.whole, self.own, self.own_x)

    @cached_property
    def later(self) -> NonZeros:
        """The same, whose arrays are made when they are asked for: the answer and what it keeps share them."""
        return NonZeros(self.own, self.own_x, self.whole)

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
        return own if self.whole is None else own | self.whole.has(positions)

    def as_arrays(self) -> Allocation:
        """The same, with arrays of all non-zeros of its own, if this process has them."""
        if self.whole is not None and not self.whole.is_here:
            return self
        own, x = self.nonzeros
        return replace(self, own=own, own_x=x, whole=None)

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
