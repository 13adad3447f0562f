"""Allocations as differences from the last decision, whose pairs the actors know: few of them cross the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oasis_alloc.common.ascending import among
from oasis_alloc.common.types import Floats, Ints


@dataclass(frozen=True, eq=False)
class Decided:
    """A decision whose pairs the actors know, with the values, by chunk, and the loads of those that it shows."""

    number: int
    shown: Ints
    values: Floats
    load: Floats


class Difference(NamedTuple):
    """How an allocation differs from showing some pairs; positions ascend."""

    gone: Ints  # pairs that are not shown, or not entirely
    added: Ints  # pairs with another x, or shown as well
    x: Floats  # of these

    @classmethod
    def of(cls, shown: Ints, positions: Ints, x: Floats) -> Difference:
        """From a decision's pairs to an allocation.

        >>> Difference.of(np.array([1, 4, 7]), np.array([1, 4, 5]), np.array([1.0, 0.5, 1.0]))
        Difference(gone=array([4, 7]), added=array([4, 5]), x=array([0.5, 1. ]))
        """
        if not shown.size:
            return cls(shown, positions, x)
        other = ~(among(positions, shown) & (x == 1.0))
        added = positions[other]
        gone = np.union1d(shown[~among(shown, positions)], added[among(added, shown)])
        return cls(gone, added, x[other])

    def allocation(self, shown: Ints) -> tuple[Ints, Floats]:
        """(positions, x) of the allocation.

        >>> difference = Difference(np.array([4]), np.array([4, 5]), np.array([0.5, 1.0]))
        >>> positions, x = difference.allocation(np.array([1, 4]))
        >>> positions.tolist(), x.tolist()
        ([1, 4, 5], [1.0, 0.5, 1.0])
        """
        kept = np.setdiff1d(shown, self.gone, assume_unique=True) if self.gone.size else shown
        at = np.searchsorted(kept, self.added)
        return np.insert(kept, at, self.added), np.insert(np.ones(kept.size), at, self.x)
