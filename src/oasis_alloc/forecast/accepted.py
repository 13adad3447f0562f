"""The problem that includes a quoted campaign, and what its solve begins from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arrays import objects
from oasis_alloc.data.attributes import Given, Keys
from oasis_alloc.forecast.quote_target import Target
from oasis_alloc.problem import Problem
from oasis_alloc.solution import Solution
from oasis_alloc.statement.functions.base import Function
from oasis_alloc.statement.measures import exposure

_ITEMS, _USERS = "quoted items", "quoted users"


class Accepted(NamedTuple):
    """The problem with a campaign's promise as a floor, and a start for `oa.solve(problem, start=start)`."""

    problem: Problem
    start: Solution | dict[str, dict[Any, float]]


def accepted_problem(problem: Problem, target: Target, floor: float) -> Problem:
    """The problem with the promise: a floor on the group that was asked, or on items and users with keys of their own.

    `problem` is of the target's candidates.
    """
    candidates, promise = _promise(problem.candidates, target, floor)
    taken, name, k = set(problem.names), f"quote: {target.name}", 2
    while name in taken:
        name = f"quote: {target.name} ({k})"
        k += 1
    return problem.replace(candidates=candidates, subject_to=[*problem.subject_to, promise.named(name)])


def _promise(candidates: Candidates, target: Target, floor: float) -> tuple[Candidates, Function]:
    if target.group is not None:
        keys, label = target.group
        return candidates, exposure(by=keys if len(keys) > 1 else keys[0]) >= {label: floor}
    ours = _free(_ITEMS, candidates)
    items = _with(candidates.items, ours, "items", candidates.n_items, target.items, target.name, candidates.users)
    made, by, label = replace(candidates, items=items), ours, target.name
    if target.users is None:
        made._groupings.update(candidates._groupings)
        return made, exposure(by=by) >= {label: floor}
    theirs = _free(_USERS, candidates)
    users = _with(candidates.users, theirs, "users", candidates.n_users, target.users, target.name, items)
    made = replace(made, users=users)
    made._groupings.update(candidates._groupings)
    return made, exposure(by=(theirs, by)) >= {(label, label): floor}


def _free(name: str, candidates: Candidates) -> str:
    k, free = 2, name
    while free in candidates.users or free in candidates.items:
        free = f"{name} {k}"
        k += 1
    return free


def _with(keys: Keys[Any], name: str, side: str, n: int, chosen: Any, label: str, others: Any) -> Keys[Any]:
    """The keys with one more: `label` for those that are chosen."""
    labels = objects(label if is_ours else None for is_ours in chosen.tolist())
    made: Keys[Any] = Keys({**keys._given, name: Given(labels)}, side, n, frozenset(others) & frozenset(keys))
    made._made.update(keys._made)
    return made
