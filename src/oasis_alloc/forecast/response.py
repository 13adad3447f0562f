"""What a plan's prices serve, and how that follows the relevance of promoted items."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError
from oasis_alloc.serving.batch.own_requests import columns_of_requests
from oasis_alloc.solution import Solution

_LEAST = 0.5  # units: less counts as that much in a logarithm


@dataclass(frozen=True, eq=False)
class Response:
    """By group of a key: units that the prices serve to the plan's users, and their elasticity to relevance."""

    served: Floats  # (n_groups,)
    elasticity: Floats  # (n_groups,) d log(served) / d relevance of promoted items, all of them together
    requests: float
    unit: float  # what a user adds: the mean supply, which is of any scale
    possible: npt.NDArray[np.bool_]  # (n_groups,) whether a group has candidates at all


_known: WeakKeyDictionary[Solution, dict[tuple[str, str, float], Response]] = WeakKeyDictionary()


def response_of(solution: Solution, by: str, organic: str, step: float) -> Response:
    """Serve the plan's users at its prices, with the relevance of promoted items as it is and a step up and down.

    The answer is kept as long as the solution is: forecasts of one plan are made again and again.
    """
    known = _known.setdefault(solution, {})
    if (by, organic, step) not in known:
        known[by, organic, step] = _measured(solution, by, organic, step)
    return known[by, organic, step]


def _measured(solution: Solution, by: str, organic: str, step: float) -> Response:
    policy, problem = solution.policy(organic=organic), solution.problem
    candidates = problem.candidates
    if candidates.stream is not None:
        raise ProblemError("forecast(solution): its candidates are in files; expected them in memory.")
    grouping, everything = candidates.grouping(by), np.arange(candidates.n_pairs)
    inside, _ = grouping.members(
        grouping.user_part[candidates.user_of(everything)], grouping.item_part[candidates.item]
    )
    promoted = np.zeros(candidates.n_pairs, np.bool_)
    promoted[inside] = True
    numbers = np.arange(candidates.n_users)
    supply = np.ones(candidates.n_users) if problem.supply is None else problem.supply
    weights = problem.slate.slot_weights
    found = []
    for factor in (1.0 - step, 1.0, 1.0 + step):
        columns = columns_of_requests(problem, policy.data.columns)
        if factor != 1.0 and organic in columns:
            columns[organic] = np.where(promoted, factor, 1.0) * columns[organic]
        slates = policy.select_batch(candidates.indptr, candidates.item, columns, numbers)
        shown = slates >= 0
        pairs = slates[shown]
        amount = np.broadcast_to(supply[:, None], slates.shape)
        if weights is not None:
            amount = amount * np.asarray(weights)[: slates.shape[1]]
        found.append(grouping.totals(candidates, pairs, amount[shown]))
    unit = float(supply.sum()) / max(1, int(np.count_nonzero(supply)))
    low, middle, high = (np.maximum(one / unit, _LEAST) for one in found)
    elasticity = (np.log(high) - np.log(low)) / (2.0 * step)
    # a few users say nothing about a slope
    elasticity = elasticity * middle / (middle + 10.0)
    possible = grouping.totals(candidates, np.flatnonzero(promoted), np.ones(int(promoted.sum()))) > 0
    return Response(found[1], elasticity, float(supply.sum()), unit, possible)
