"""Numbers that occur in pairs, gathered while these are read."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_FEW = 1 << 20  # numbers that wait until they are merged


class Occurring:
    """Gathers different numbers part by part, in memory of a few times the numbers that are different.

    >>> seen = Occurring()
    >>> seen.add(np.array([7, 3, 7]))
    >>> seen.add(np.array([3, 1]))
    >>> seen.ascending().tolist()
    [1, 3, 7]
    """

    def __init__(self) -> None:
        self._merged = np.empty(0, np.int64)
        self._waiting: list[NDArray[np.int64]] = []
        self._n = 0

    def add(self, numbers: NDArray[np.int64]) -> None:
        """Add numbers, in any order and any number of times."""
        self._waiting.append(np.unique(numbers))
        self._n += self._waiting[-1].size
        if self._n > max(_FEW, self._merged.size):  # so that every number is merged a few times only
            self.ascending()

    def ascending(self) -> NDArray[np.int64]:
        """All different numbers so far."""
        if self._waiting:
            self._merged = np.unique(np.concatenate([self._merged, *self._waiting]))
            self._waiting, self._n = [], 0
        return self._merged
