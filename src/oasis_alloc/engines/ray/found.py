"""Single pairs at the driver: those that decisions and slates leave open, and others that were asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Ints
from oasis_alloc.engines.pieces import ChunkPart
from oasis_alloc.program.pair_arrays import PairArrays

_MOST = 1 << 22  # pairs that are kept
_FEW = 1 << 19  # of those that are fetched at a time, up to which they are kept

Fetch = Callable[[Ints], PairArrays]


def places_of(parts: list[ChunkPart]) -> tuple[Ints, Ints]:
    """Positions of a chunk's pairs that a decision leaves undecided, and of those that it shows."""
    first = [part.first.astype(np.int64) + part.start for part in parts]
    second = [part.second.astype(np.int64) + part.start for part in parts]
    none = np.empty(0, np.int64)
    return np.concatenate([none, *first]), np.concatenate([none, *second])


def open_of(parts: list[ChunkPart]) -> Ints:
    """Positions of a chunk's pairs with x < 1 among those of its slates."""
    none = np.empty(0, np.int64)
    return np.concatenate([none, *(part.first[part.second < 1.0].astype(np.int64) + part.start for part in parts)])


def both(first: Ints, second: Ints) -> Ints:
    """All of them, ascending."""
    return np.sort(np.concatenate([first, second]))


class FoundPairs:
    """Pairs by ascending positions; what is asked for and not here is fetched, in one round."""

    def __init__(self, nothing: PairArrays, fetch: Fetch | None) -> None:
        self._fetch = fetch
        self._nothing = nothing
        self._positions = np.empty(0, np.int64)
        self._arrays = nothing

    def has(self, positions: Ints) -> bool:
        """Whether all of these are here."""
        return bool(self._where(positions)[1].all())

    def add(self, positions: Ints, arrays: PairArrays) -> None:
        """Keep more pairs, by ascending positions; the earlier ones are dropped where it would be too many."""
        if not positions.size:
            return
        if positions.size + self._positions.size > _MOST:
            self._positions, self._arrays = np.empty(0, np.int64), self._nothing
        every = np.concatenate([self._positions, positions])
        kept, first = np.unique(every, return_index=True)
        self._positions, self._arrays = kept, PairArrays.joined([self._arrays, arrays]).at(first)

    def get(self, positions: Ints) -> PairArrays:
        """Pairs by ascending positions."""
        at, here = self._where(positions)
        if here.all():
            return self._arrays.at(at)
        missing = positions[~here]
        assert self._fetch is not None  # the engine is open
        fetched = self._fetch(missing)
        if missing.size == positions.size:
            self._keep(missing, fetched)
            return fetched
        out, old = fetched.like(positions.size), self._arrays.at(at[here])
        for part, where in ((old, here), (fetched, ~here)):
            out.put(where, part)
        self._keep(missing, fetched)
        return out

    def _keep(self, positions: Ints, arrays: PairArrays) -> None:
        if positions.size <= _FEW and positions.size + self._positions.size <= _MOST:
            self.add(positions, arrays)

    def _where(self, positions: Ints) -> tuple[Ints, npt.NDArray[np.bool_]]:
        """(places, a mask of those that are here)."""
        at = np.minimum(np.searchsorted(self._positions, positions), max(0, self._positions.size - 1))
        return at, self._positions[at] == positions if self._positions.size else np.zeros(positions.size, np.bool_)


class FarPairs:
    """Pairs that are looked up when they are first asked for: the solver often needs only their positions."""

    def __init__(self, found: FoundPairs, positions: Ints) -> None:
        self._found, self._positions = found, positions

    @cached_property
    def _arrays(self) -> PairArrays:
        return self._found.get(self._positions)

    @property
    def code(self) -> npt.NDArray[np.integer[Any]]:
        return self._arrays.code

    @property
    def value(self) -> npt.NDArray[np.floating[Any]]:
        return self._arrays.value

    @property
    def extra(self) -> npt.NDArray[np.floating[Any]]:
        return self._arrays.extra

    @property
    def guard(self) -> npt.NDArray[np.floating[Any]]:
        return self._arrays.guard
