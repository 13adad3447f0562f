"""The pairs that may still change, at prices that are nearly right, and the users whom they belong to.

A decision of prices (`Engine.decide`) says of every pair whether it is shown for certain, at prices that move by no
more than some margins, or cannot be. A user with no open pair then has a slate that does not change, and what it adds
is a constant and a linear function of the prices. A visit to the others, with only their open and shown pairs, is a
visit to all users at a small part of its cost. It counts as that part of a pass.

If prices move further, a pair that was left out may be missing, so what such a visit says is not a bound. The next
visit to all users says what is true.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.engines.base import Engine, PairSplit, Visit
from oasis_alloc.engines.shown import Shown, with_shown
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program.pair_arrays import PairArrays
from oasis_alloc.program.program import Program
from oasis_alloc.program.variants import only_users


class Core:
    """Visits users with open pairs, and adds what the others have; the source of data of these visits."""

    def __init__(self, engine: Engine, split: PairSplit, threads: int | None) -> None:
        self.program = program = engine.program
        self._outer = engine
        users, positions, indptr, fixed = _parts(program, split)
        self._positions, self._fixed = positions, fixed
        none = np.empty(0, np.int64)
        self.share = positions.size / max(1, program.n_pairs)
        sums = engine.sums_with(fixed, none, np.empty(0))
        self._value, self._totals, self._activity = sums.value, sums.totals, sums.activity
        pairs = engine.take(positions)
        store = pairs.store
        arrays = PairArrays(store.code, store.value, store.extra, store.guard).at(pairs.at)
        self._inner = Threads(only_users(program, users, indptr, arrays), threads)

    @property
    def visits(self) -> int:
        """Visits so far."""
        return self._inner.visits

    def visit(self, prices: Floats, gamma: float, stride: int = 1) -> Visit:
        """As `Engine.visit` of all users."""
        found = self._inner.visit(prices, gamma)
        self._outer.passes += self.share
        bound = self._value - float(prices @ self._totals)
        return replace(
            found,
            smoothed=found.smoothed + bound - 0.5 * gamma * self._fixed.size,
            bound=found.bound + bound,
            value=found.value + self._value,
            totals=found.totals + self._totals,
            activity=found.activity + self._activity,
            engine=self,
        )

    def last_curvature(self, direction: Floats) -> Floats:
        return self._inner.last_curvature(direction)

    def last_slates(self, prices: Floats, gamma: float) -> tuple[Ints, Floats]:
        at, x = self._inner.last_slates(prices, gamma)
        self._outer.passes += self.share
        return with_shown(self._fixed, self._positions[at], x)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._outer, name)

    def close(self) -> None:
        self._inner.close()


def _parts(program: Program, split: PairSplit) -> tuple[Ints, Ints, Ints, Shown]:
    """(users with open pairs, their open and shown pairs, where each one's start, the shown pairs of the others)."""
    indptr = program.indptr
    users = np.unique(program.users_of(split.undecided))
    inside = split.shown.of_users(indptr, users)
    positions = np.sort(np.concatenate([split.undecided, inside]))
    starts = np.searchsorted(positions, indptr[users])
    return users, positions, np.append(starts, positions.size).astype(np.int64), split.shown.without(inside)
