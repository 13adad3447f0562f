"""What a request of one of the solved problem's own users brings, so that its policy answers as the solve did.

A host sends scores, which the policy calibrates itself, and what was shown before, for `stay_close`. Users are given
by number where slates have sizes by user, else by their labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.serving.build import name_of_previous

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oasis_alloc.candidates import Candidates
    from oasis_alloc.problem import Problem
    from oasis_alloc.serving.data import PolicyData


def columns_of_requests(problem: Problem, names: Iterable[str], pairs: slice = slice(None)) -> dict[str, Any]:
    """The columns of these names as requests bring them, for some of the pairs."""
    candidates, out = problem.candidates, {}
    scores = candidates.request_columns
    steady = {name_of_previous(k): kept for k, kept in enumerate(problem.maximize.steady)}
    for name in names:
        if name in steady and name not in scores:
            out[name] = steady[name].earlier.everywhere(candidates)[pairs]
        else:
            out[name] = np.asarray(scores[name][pairs])
    return out


def user_of_request(data: PolicyData, candidates: Candidates, user: int) -> int | dict[str, Any] | None:
    """A user of the problem as a request gives it: the number where the policy knows it, else its labels."""
    if data.n_users == candidates.n_users:
        return user
    keys = {name: candidates.users[name] for name in data.user_keys}
    labels = {name: key.labels.tolist()[key.codes[user]] for name, key in keys.items() if key.codes[user] >= 0}
    return labels or None
