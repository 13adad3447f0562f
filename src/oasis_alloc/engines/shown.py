"""Pairs that are shown, and allocations by their non-zeros: in arrays here, or where an engine keeps them.

Nearly all pairs that are shown have x = 1, and a decision of prices (`Engine.decide`) says which. So an allocation is
the pairs of a decision, less some, and few others with an x of their own. On a cluster the pairs of a decision stay
with the actors: this process has only how many they are, and those that it has asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.ascending import among, without
from oasis_alloc.common.csr import spans
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats, Ints


class Shown(Protocol):
    """Pairs with x = 1; all positions that go in and out ascend."""

    @property
    def size(self) -> int:
        """How many they are."""
        ...

    @property
    def is_here(self) -> bool:
        """True if this process has their positions, so that asking for all of them takes no memory."""
        ...

    def array(self) -> Ints:
        """The positions of all of them."""
        ...

    def has(self, positions: Ints) -> npt.NDArray[np.bool_]:
        """Which of some positions are among them."""
        ...

    def without(self, positions: Ints) -> Shown:
        """Those that are not at some positions."""
        ...

    def of_users(self, indptr: Ints, users: Ints) -> Ints:
        """The positions of those of some users, by ascending numbers."""
        ...

    def compared(self, other: Shown) -> tuple[Ints, Ints]:
        """(positions only among these, positions only among the others)."""
        ...


@dataclass(frozen=True, eq=False)
class ShownHere(ByFields):
    """Pairs whose positions this process has.

    >>> some, others = ShownHere(np.array([1, 4, 7])), ShownHere(np.array([4, 5]))
    >>> some.compared(others), some.without(np.array([1])).array()
    ((array([1, 7]), array([5])), array([4, 7]))
    """

    positions: Ints

    @property
    def size(self) -> int:
        return self.positions.size

    @property
    def is_here(self) -> bool:
        return True

    def array(self) -> Ints:
        return self.positions

    def has(self, positions: Ints) -> npt.NDArray[np.bool_]:
        return among(positions, self.positions)

    def without(self, positions: Ints) -> Shown:
        return ShownHere(without(self.positions, positions))

    def of_users(self, indptr: Ints, users: Ints) -> Ints:
        return pairs_of_users(self.positions, indptr, users)

    def compared(self, other: Shown) -> tuple[Ints, Ints]:
        theirs = other.array()
        return without(self.positions, theirs), without(theirs, self.positions)


def pairs_of_users(positions: Ints, indptr: Ints, users: Ints) -> Ints:
    """Those of some ascending positions that belong to some users.

    >>> pairs_of_users(np.array([1, 4, 7]), np.array([0, 3, 6, 9]), np.array([0, 2]))
    array([1, 7])
    """
    begin, end = np.searchsorted(positions, indptr[users]), np.searchsorted(positions, indptr[users + 1])
    return positions[spans(begin, end - begin)]


@dataclass(frozen=True, eq=False, repr=False)
class NonZeros(ByFields):
    """The non-zeros of an allocation; arrays of all of them are made, or fetched, when they are first asked for."""

    own: Ints  # pairs with their x, ascending
    own_x: Floats
    whole: Shown | None = None  # more pairs, with x = 1

    @property
    def size(self) -> int:
        """How many they are, without asking for them."""
        return self.own.size + (0 if self.whole is None else self.whole.size)

    @property
    def is_here(self) -> bool:
        """True if this process has their positions."""
        return self.whole is None or self.whole.is_here or "_arrays" in self.__dict__

    @cached_property
    def _arrays(self) -> tuple[Ints, Floats]:
        return with_shown(self.whole, self.own, self.own_x)

    @property
    def pairs(self) -> Ints:
        """Their positions, ascending."""
        return self._arrays[0]

    @property
    def x(self) -> Floats:
        """Their probabilities."""
        return self._arrays[1]


def nonzeros(whole: Ints, own: Ints, x: Floats) -> tuple[Ints, Floats]:
    """(positions, x) of pairs with x = 1, and of others with their x; all positions ascend.

    >>> positions, x = nonzeros(np.array([1, 5]), np.array([2]), np.array([0.5]))
    >>> positions.tolist(), x.tolist()
    ([1, 2, 5], [1.0, 0.5, 1.0])
    """
    at = np.searchsorted(whole, own)
    return np.insert(whole, at, own), np.insert(np.ones(whole.size), at, x)


def with_shown(whole: Shown | None, own: Ints, x: Floats) -> tuple[Ints, Floats]:
    """As `nonzeros`, of pairs with x = 1 that may be elsewhere, or none."""
    return (own, x) if whole is None else nonzeros(whole.array(), own, x)
