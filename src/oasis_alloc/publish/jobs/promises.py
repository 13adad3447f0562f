"""What campaigns are promised, and a bound on what slates can give them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.types import Floats

if TYPE_CHECKING:
    from oasis_alloc.problem import Problem
    from oasis_alloc.statement.functions.base import Function
    from oasis_alloc.statement.measures import Measure

Promise = tuple[str, Any, float, float]
"""(constraint, label, floor, a bound on what slates can reach)."""


def floors_of(problem: Problem) -> Iterator[tuple[str, Function, list[int], Floats]]:
    """(name, constraint, groups with a floor above 0, all floors) of every hard or soft constraint that has floors."""
    for name, function, bound in zip(problem.names, problem.functions, problem.bound, strict=True):
        if function.in_constraints:
            floors = bound.band()[0]
            groups = np.flatnonzero(np.isfinite(floors) & (floors > 0)).tolist()
            if groups:
                yield name, function, groups, floors


def promises(problem: Problem) -> list[Promise]:
    """The promises of all floors above 0."""
    out: list[Promise] = []
    for name, function, groups, floors in floors_of(problem):
        labels, highest = problem.labels(name), _reach(problem, function.measure)
        out += [(name, labels[k], float(floors[k]), float(highest[k])) for k in groups]
    return out


def _reach(problem: Problem, measure: Measure) -> Floats:
    """By group, the sum of every user's largest contributions in as many slots as the slate has."""
    candidates, grouping = problem.candidates, problem.candidates.grouping(measure.by or None)
    values = np.zeros(candidates.n_pairs)
    for term in measure.terms:
        column = 1.0 if term.column is None else np.asarray(candidates.columns[term.column], np.float64)
        # of a share such as exposure(by="licensor") - 0.25 * exposure(), what is subtracted can be 0
        values += np.maximum(term.coefficient * column, 0.0)
    pairs = np.arange(candidates.n_pairs)
    user = candidates.user_of(pairs)
    position, group = grouping.members(grouping.user_part[user], grouping.item_part[candidates.item])
    inside, of = user[position], values[position]
    order = np.lexsort((-of, group, inside))
    inside, group, of = inside[order], group[order], of[order]
    begins = np.concatenate([[True], (np.diff(inside) != 0) | (np.diff(group) != 0)])[: inside.size]
    first = np.flatnonzero(begins)
    rank = np.arange(inside.size) - first[np.cumsum(begins) - 1] if inside.size else np.empty(0, np.int64)
    size = np.broadcast_to(problem.slate.size, candidates.n_users)[inside]
    weight = np.ones(inside.size) if problem.supply is None else problem.supply[inside]
    counts = rank < size
    return np.bincount(group[counts], (of * weight)[counts], grouping.n_groups).astype(np.float64)
