"""The draws of pairs that allocations show, kept next to each other.

An allocation shows a fifth of the pairs, spread over all of memory: reading their draws takes as long as reading all
draws. The allocations of an outer method show mostly the same pairs, so each of them is read from the draws once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints

_BLOCK = 512  # pairs of all draws that are added up at a time, in the cache


class SeenPairs:
    """Totals of allocations in every draw of a column, (n_draws, n_pairs)."""

    def __init__(self, drawn: npt.NDArray[Any]) -> None:
        self._drawn = drawn
        self._place = np.full(drawn.shape[1], -1, np.int64)  # of each pair among those that were seen
        self._parts: list[npt.NDArray[Any]] = []  # (n_draws, how many were new)
        self._seen = 0

    def totals(self, pairs: Ints, weight: Floats) -> Floats:
        """(n_draws,) the sums of the pairs' draws with these weights, in float64.

        >>> import numpy as np
        >>> seen = SeenPairs(np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))
        >>> seen.totals(np.array([0, 2]), np.array([1.0, 0.5])).tolist()
        [2.5, 7.0]
        >>> seen.totals(np.array([1, 2]), np.array([1.0, 1.0])).tolist()
        [5.0, 11.0]
        """
        new = pairs[self._place[pairs] < 0]
        if new.size:
            self._place[new] = self._seen + np.arange(new.size)
            self._parts.append(np.take(self._drawn, new, axis=1))
            self._seen += new.size
        dense = np.bincount(self._place[pairs], weight, self._seen)
        out, first, wide = np.zeros(len(self._drawn)), 0, np.empty((len(self._drawn), _BLOCK))
        for part in self._parts:
            for start in range(0, part.shape[1], _BLOCK):
                some = part[:, start : start + _BLOCK]
                exact = wide[:, : some.shape[1]]
                exact[:] = some
                out += exact @ dense[first + start : first + start + some.shape[1]]
            first += part.shape[1]
        return out
