"""What a run keeps of its input for the next one: rows, distributions of columns, labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.data.keys import Key
from oasis_alloc.data.multi_keys import MultiKey
from oasis_alloc.errors import ProblemError

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.problem import Problem

_POINTS = 21  # quantiles of a column
_LABELS = 20_000  # of a key; a key with more is an id

Profile = dict[str, Any]


def profile_of(problem: Problem, keys: Iterable[str] = ()) -> Profile:
    """Rows of tables, quantiles of columns, and labels of the keys that the problem or `keys` name, as JSON."""
    candidates = problem.candidates
    rows = {"pairs": candidates.n_pairs, "users": candidates.n_users, "items": candidates.n_items}
    columns = {name: _column(np.asarray(values)) for name, values in candidates.columns.items()}
    labels = {}
    for name in dict.fromkeys([*keys_of(problem), *keys]):
        key, _ = attribute_of(candidates, name)
        if len(key.labels) <= _LABELS:
            labels[name] = [str(label) for label in key.labels.tolist()]
    return dict(jsonable({"rows": rows, "columns": columns, "labels": labels}))


def keys_of(problem: Problem) -> list[str]:
    """The keys that constraints, functions and slate rules use, in order."""
    used = [key for function in problem.functions for key in function.measure.by]
    return list(dict.fromkeys([*used, *problem.slate.keys]))


def drift_of(values: Any, before: Mapping[str, Any]) -> float:
    """Largest distance between two distributions at the quantiles that were kept, in [0, 1].

    >>> import numpy as np
    >>> kept = _column(np.arange(101.0))
    >>> drift_of(np.arange(101.0), kept), round(drift_of(np.arange(101.0) + 50.0, kept), 2)
    (0.0, 0.5)
    """
    ordered, n = np.sort(np.asarray(values, np.float64)), max(len(values), 1)
    distance = 0.0
    for value, below, upto in before["points"]:
        now = (np.searchsorted(ordered, value, "left") / n, np.searchsorted(ordered, value, "right") / n)
        distance = max(distance, abs(now[0] - below), abs(now[1] - upto))
    return float(distance)


def attribute_of(candidates: Candidates, name: str) -> tuple[Key | MultiKey, int]:
    """(a key of the users or items, how many of these there are); raises `ProblemError` for an unknown one."""
    if name in candidates.users:
        return candidates.users[name], candidates.n_users
    if name in candidates.items:
        return candidates.items[name], candidates.n_items
    known = [*candidates.users, *candidates.items]
    raise ProblemError(f"checks: neither users nor items have a key {name!r}.{did_you_mean(name, known)}")


def users_and_items_without(candidates: Candidates, name: str) -> tuple[Any, int, str]:
    """(numbers of the users or items without a label of a key, how many there are, "users" or "items")."""
    key, count = attribute_of(candidates, name)
    if isinstance(key, MultiKey):
        return np.flatnonzero(np.diff(key.indptr) == 0), count, "items"
    return np.flatnonzero(key.codes < 0), count, "users" if name in candidates.users else "items"


def _column(values: Any) -> dict[str, Any]:
    """Extremes, mean, and the shares below and up to some quantiles."""
    if not len(values):
        return {"min": None, "max": None, "mean": None, "points": []}
    ordered = np.sort(values.astype(np.float64))
    at = np.unique(ordered[np.linspace(0, len(ordered) - 1, _POINTS).astype(np.int64)])
    below, upto = np.searchsorted(ordered, at, "left"), np.searchsorted(ordered, at, "right")
    points = np.stack([at, below / len(ordered), upto / len(ordered)], axis=1).tolist()
    return {"min": ordered[0], "max": ordered[-1], "mean": float(ordered.mean()), "points": points}
