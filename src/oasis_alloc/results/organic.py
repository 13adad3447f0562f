"""The slates that one column alone would give, and their totals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError, ProblemError


@suggesting
def organic(
    candidates: Candidates, column: str = "relevance", by: str | tuple[str, ...] | None = None, size: int = 1
) -> Floats:
    """Total of a column, by group, if every user is shown the `size` best pairs by this column alone.

    Use it for guards: "every market keeps 97 % of its relevance".

    Parameters
    ----------
    candidates
        Users, items and their pairs, in memory.
    column
        The column to rank by and to sum. Pairs of 0 or less are never shown.
    by
        Keys of users, items or both, as in `total`; None for one group.
    size
        Slots per user, >= 1. Other rules of slates are ignored, so no slates of this size can reach more.

    Returns
    -------
    numpy.ndarray
        (n_groups,) float64 in the order of `candidates.groups(by)`, which limits accept.

    Raises
    ------
    InputError
        For an unknown column, or a size that is not a whole number >= 1.
    ProblemError
        For an unknown key, and for candidates that stay in Parquet files.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"relevance": [0.9, 0.5, 0.3, 0.7]}, users={"market": ["US", "FR"]})
    >>> cands.groups("market"), oa.organic(cands, by="market").tolist()
    (['FR', 'US'], [0.7, 0.9])
    >>> guard = oa.total("relevance", by="market") >= 0.97 * oa.organic(cands, by="market")
    """
    whole = as_whole(size)
    if whole is None or whole < 1:
        raise InputError(f"organic(size={shown(size)}): expected a whole number of slots, 1 or more.")
    if candidates.stream is not None:
        raise ProblemError("organic(): the candidates stay in Parquet files; expected candidates in memory.")
    if column not in candidates.columns:
        raise InputError(f"organic({column!r}): there is no such column.{candidates.no_column(column)}")
    grouping = candidates.grouping(by)
    best = best_pairs(candidates, column, whole)
    return grouping.totals(candidates, best, candidates.columns[column][best].astype(np.float64))


def best_pairs(candidates: Candidates, column: str, size: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of each user's `size` best pairs by `column`; pairs of 0 or less are never among them.

    `size` is a number, or one per user.

    >>> from oasis_alloc import Candidates
    >>> cands = Candidates.from_arrays([0, 3, 4], [0, 1, 2, 0], {"relevance": [0.1, 0.9, 0.5, -1.0]})
    >>> sorted(best_pairs(cands, "relevance", 2).tolist())
    [1, 2]
    """
    values = candidates.columns[column]
    user = np.repeat(np.arange(candidates.n_users), np.diff(candidates.indptr))
    order = np.lexsort((-values, user))  # users keep their order; pairs are sorted within each user
    rank = np.arange(candidates.n_pairs) - candidates.indptr[user]
    taken = order[rank < np.broadcast_to(size, candidates.n_users)[user]]
    return taken[values[taken] > 0]
