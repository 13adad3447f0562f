"""What a plan's prices serve, how that follows the relevance of promoted items, and what errors of scores change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError
from oasis_alloc.policy import Policy
from oasis_alloc.problem import Problem
from oasis_alloc.serving.batch.own_requests import columns_of_requests
from oasis_alloc.signals.uncertainty.draws import Draws
from oasis_alloc.solution import Solution

_DRAWS, _FEW = 32, 8  # of columns that are served; independent errors cancel, and say the same in few
_LEAST = 0.5  # units: less counts as that much in a logarithm


@dataclass(frozen=True, eq=False)
class Response:
    """By group of a key: units that the prices serve to the plan's users, and their elasticity to relevance."""

    served: Floats  # (n_groups,)
    elasticity: Floats  # (n_groups,) d log(served) / d relevance of promoted items, all of them together
    requests: float
    unit: float  # what a user adds: the mean supply, which is of any scale
    error: Floats  # (n_groups,) variance of log(served) from errors of scores
    possible: npt.NDArray[np.bool_]  # (n_groups,) whether a group has candidates at all


_Columns = dict[str, npt.NDArray[Any]]
_known: WeakKeyDictionary[Solution, dict[tuple[Any, ...], Response]] = WeakKeyDictionary()


def response_of(solution: Solution, by: str, organic: str, step: float, errors: Draws | bool | None) -> Response:
    """Serve the plan's users at its prices, with the relevance of promoted items as it is and a step up and down.

    `errors` are draws of columns, None for the standard deviations of the candidates, False for none. The answer is
    kept as long as the solution is: forecasts of one plan are made again and again.
    """
    known = _known.setdefault(solution, {})
    key = by, organic, step, errors
    if key not in known:
        known[key] = _measured(solution, by, organic, step, errors)
    return known[key]


def _measured(solution: Solution, by: str, organic: str, step: float, errors: Draws | bool | None) -> Response:
    policy, problem = solution.policy(organic=organic), solution.problem
    candidates = problem.candidates
    if candidates.stream is not None:
        raise ProblemError("forecast(solution): its candidates are in files; expected them in memory.")
    serve = _server(problem, policy, by)
    grouping, everything = candidates.grouping(by), np.arange(candidates.n_pairs)
    inside, _ = grouping.members(
        grouping.user_part[candidates.user_of(everything)], grouping.item_part[candidates.item]
    )
    promoted = np.zeros(candidates.n_pairs, np.bool_)
    promoted[inside] = True
    given = columns_of_requests(problem, policy.data.columns)
    supply = np.ones(candidates.n_users) if problem.supply is None else problem.supply
    unit = float(supply.sum()) / max(1, int(np.count_nonzero(supply)))
    found = []
    for factor in (1.0 - step, 1.0, 1.0 + step):
        changed = given
        if factor != 1.0 and organic in given:
            changed = {**given, organic: np.where(promoted, factor, 1.0) * given[organic]}
        found.append(serve(changed))
    low, middle, high = (np.maximum(one / unit, _LEAST) for one in found)
    elasticity = (np.log(high) - np.log(low)) / (2.0 * step)
    # a few users say nothing about a slope
    elasticity = elasticity * middle / (middle + 10.0)
    served, error = found[1], np.zeros(middle.size)
    drawn = np.array([serve(columns) for columns in _erroneous(given, candidates.uncertainty, errors)])
    if drawn.size:
        served = drawn.mean(axis=0)
        error = np.log(np.maximum(drawn / unit, _LEAST)).var(axis=0, ddof=1)
    possible = grouping.totals(candidates, np.flatnonzero(promoted), np.ones(int(promoted.sum()))) > 0
    return Response(served, elasticity, float(supply.sum()), unit, error, possible)


def _server(problem: Problem, policy: Policy, by: str) -> Callable[[_Columns], Floats]:
    """What is served by group with some columns."""
    candidates = problem.candidates
    grouping, numbers = candidates.grouping(by), np.arange(candidates.n_users)
    supply = np.ones(candidates.n_users) if problem.supply is None else problem.supply
    weights = problem.slate.slot_weights

    def serve(columns: _Columns) -> Floats:
        slates = policy.select_batch(candidates.indptr, candidates.item, columns, numbers)
        shown = slates >= 0
        amount = np.broadcast_to(supply[:, None], slates.shape)
        if weights is not None:
            amount = amount * np.asarray(weights)[: slates.shape[1]]
        return grouping.totals(candidates, slates[shown], amount[shown])

    return serve


def _erroneous(
    given: _Columns, deviations: Mapping[str, npt.NDArray[Any]], errors: Draws | bool | None
) -> Iterator[_Columns]:
    """Columns as requests may have them: some of the draws, or independent errors of the candidates' deviations."""
    if isinstance(errors, Draws):
        drawn = {name: errors.columns[name] for name in given if name in errors.columns}
        if drawn:
            for s in np.unique(np.linspace(0, errors.number - 1, min(errors.number, _DRAWS)).astype(np.int64)):
                yield {**given, **{name: np.asarray(of[s], np.float64) for name, of in drawn.items()}}
        return
    uncertain = {name: deviations[name] for name in given if name in deviations} if errors is None else {}
    for s in range(_FEW if uncertain else 0):
        rng = np.random.default_rng([s, 41])
        yield {**given, **{name: given[name] + sd * rng.standard_normal(sd.size) for name, sd in uncertain.items()}}
