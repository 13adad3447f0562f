"""The slates that a solution's policy serves to the users of its problem, and their totals."""

from __future__ import annotations

import numpy as np

from oasis_alloc.errors import ProblemError
from oasis_alloc.policy import Policy
from oasis_alloc.problem import Problem
from oasis_alloc.results.rounding import Rounded
from oasis_alloc.serving.batch.own_requests import columns_of_requests
from oasis_alloc.solution import Solution


def served_slates(solution: Solution, policy: Policy, of: Problem | None = None) -> Rounded:
    """What `policy.select` shows every user of the solution's problem, or of a problem with the same pairs.

    Its `totals` and `value` are those of the problem's measures and objective.
    """
    problem = solution.problem if of is None else of
    candidates = problem.candidates
    if candidates.stream is not None:
        raise ProblemError("the candidates are in files; what is served is known for candidates in memory.")
    columns = columns_of_requests(problem, policy.data.columns)
    slates = policy.select_batch(candidates.indptr, candidates.item, columns, np.arange(candidates.n_users))
    shown = slates >= 0
    pairs = slates[shown]
    place = np.broadcast_to(np.arange(slates.shape[1]), slates.shape)[shown]
    order = np.argsort(pairs, kind="stable")
    weighted = problem.slate.slot_weights is not None
    where = solution if of is None else _of(solution, problem)
    ones = np.ones(pairs.size)
    return Rounded(where, pairs[order], ones, 0, place[order] if weighted else None, ones if weighted else None)


def _of(solution: Solution, problem: Problem) -> Solution:
    """The same answer over another problem, for sums alone."""
    from dataclasses import replace

    return replace(solution, problem=problem)
