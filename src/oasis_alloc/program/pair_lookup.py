"""Lookup of single pairs of a program by position, for solvers."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints

if TYPE_CHECKING:
    from oasis_alloc.program.program import Program


class PairStore(Protocol):
    """Arrays of pairs: a program's own, or those that an engine holds of a stream. See `PairArrays`."""

    @property
    def code(self) -> npt.NDArray[np.integer[Any]]: ...
    @property
    def value(self) -> npt.NDArray[np.floating[Any]]: ...
    @property
    def extra(self) -> npt.NDArray[np.floating[Any]]: ...
    @property
    def guard(self) -> npt.NDArray[np.floating[Any]]: ...


class PairView:
    """Pairs by position, and their places in a store; their data are looked up at first use and cached."""

    def __init__(self, program: Program, positions: Ints, store: PairStore, at: Ints) -> None:
        self.positions = positions
        self.store = store
        self.at = at
        self._program = program

    @property
    def size(self) -> int:
        """Number of pairs."""
        return int(self.positions.size)

    @cached_property
    def users(self) -> Ints:
        """(size,) user numbers."""
        return self._program.users_of(self.positions)

    @cached_property
    def code(self) -> Ints:
        """(size,) classes."""
        return self.store.code[self.at].astype(np.int64)

    @cached_property
    def cells(self) -> Ints:
        """(size,) cell numbers."""
        if self._program.n_cells == self._program.n_classes:  # one segment: users do not matter
            return self.code
        return self._program.segment[self.users].astype(np.int64) * self._program.n_classes + self.code

    @cached_property
    def value(self) -> Floats:
        """(size,) values v."""
        return self.store.value[self.at].astype(np.float64)

    def extra(self, k: int) -> Floats:
        """(size,) of the k-th extra column."""
        return np.asarray(self.store.extra[k, self.at], np.float64)

    @cached_property
    def guard(self) -> Floats:
        """(size,) the column of the slates' guard, in users' units: that of pairs in memory is not in them yet."""
        found, rules = np.asarray(self.store.guard[0, self.at], np.float64), self._program.rules
        return found / rules.guard.unit[self.users] if rules is not None and rules.guard.unit.size else found
