"""What every user would be shown if one column alone decided."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates


def organic(candidates: Candidates, column: str, size: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of each user's `size` best pairs by `column`; pairs of 0 or less are never among them.

    `size` is a number, or one number per user.

    >>> from oasis_alloc import Candidates
    >>> cands = Candidates.from_arrays([0, 3, 4], [0, 1, 2, 0], {"relevance": [0.1, 0.9, 0.5, -1.0]})
    >>> sorted(organic(cands, "relevance", 2).tolist())
    [1, 2]
    """
    values = candidates.columns[column]
    user = np.repeat(np.arange(candidates.n_users), np.diff(candidates.indptr))
    order = np.lexsort((-values, user))  # users keep their places, their pairs are sorted within them
    rank = np.arange(candidates.n_pairs) - candidates.indptr[user]
    taken = order[rank < np.broadcast_to(size, candidates.n_users)[user]]
    return taken[values[taken] > 0]
