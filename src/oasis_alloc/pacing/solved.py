"""The goals that a solution has: its limits, at its prices, spread over time as it spreads them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.errors import InputError
from oasis_alloc.pacing.curves import Mode
from oasis_alloc.pacing.goal import Goal, Terms

if TYPE_CHECKING:
    from oasis_alloc.solution import Solution

_NO_LIMIT = 1e20


def goals_of(
    solution: Solution, start: float, end: float, slices: str | None, penalty: float | None, mode: Mode
) -> list[Goal]:
    """See `Plan.of`."""
    solution.raise_if_infeasible()
    problem = solution.problem
    if slices is not None and slices not in problem.candidates.users:
        raise InputError(f"Plan.of(slices={slices!r}): the users of the solved problem have no such key.")
    largest = max((float(np.abs(prices).max(initial=0.0)) for prices in solution.prices.values()), default=0.0)
    bound_of_prices = max(1.0, 4.0 * largest) if penalty is None else penalty
    requests = problem.candidates.n_users if problem.supply is None else float(problem.supply.sum())
    found: dict[tuple[Terms, Any], dict[str, Any]] = {}
    for name, function, bound in zip(problem.names, problem.functions, problem.bound, strict=True):
        band = bound.band() if function.in_constraints else None
        by = function.measure.by
        if band is None or (slices is not None and slices in by):
            continue
        terms: Terms = tuple((term.column, term.by, float(term.coefficient)) for term in function.measure.terms)
        own = float(getattr(function, "penalty", bound_of_prices))
        for label, lower, upper, price in zip(
            problem.labels(name), band[0].tolist(), band[1].tolist(), solution.prices[name].tolist(), strict=True
        ):
            if lower <= -_NO_LIMIT and upper >= _NO_LIMIT:
                continue
            goal = found.setdefault((terms, label), {"price": 0.0, "penalty": own, "soft": True})
            goal["price"] += price
            goal["penalty"] = max(goal["penalty"], own)
            goal["soft"] = goal["soft"] and (hasattr(function, "penalty") or upper >= _NO_LIMIT)
            if lower > -_NO_LIMIT:
                goal["floor"] = max(goal.get("floor", -np.inf), lower)
            if upper < _NO_LIMIT:
                goal["cap"] = min(goal.get("cap", np.inf), upper)
    out = []
    for (terms, label), goal in found.items():
        is_ratio = len(terms) > 1 or (not terms[0][1] and "cap" not in goal)
        if is_ratio:
            goal |= {name: goal[name] / requests for name in ("floor", "cap") if name in goal}
        how = None if slices is None else _curve(solution, slices, terms, label)
        out.append(
            Goal(terms, label, start=start, end=end, per_request=is_ratio, mode=mode if how is None else how, **goal)
        )
    return out


def _curve(solution: Solution, slices: str, terms: Terms, label: Any) -> Mode | None:
    """How the solution spreads the goal over the slices, as points over the share of the traffic."""
    problem = solution.problem
    by = max((keys for _, keys, _ in terms), key=len)
    for name, function in zip(problem.names, problem.functions, strict=True):
        keys = function.measure.by
        same = tuple(
            (t.column, tuple(k for k in t.by if k != slices), float(t.coefficient)) for t in function.measure.terms
        )
        if slices not in keys or same != terms:
            continue
        key = problem.candidates.users[slices]
        place = {one: k for k, one in enumerate(key.labels.tolist())}
        supply = np.ones(problem.candidates.n_users) if problem.supply is None else problem.supply
        known = key.codes >= 0
        traffic = np.bincount(key.codes[known], supply[known], len(place))
        total = np.zeros(len(place))
        at = keys.index(slices)
        for group, amount in zip(problem.labels(name), solution.totals[name].tolist(), strict=True):
            parts = group if isinstance(group, tuple) and len(keys) > 1 else (group,)
            rest = tuple(part for k, part in enumerate(parts) if k != at)
            if (rest[0] if len(by) == 1 else rest or None) == label:
                total[place[parts[at]]] += max(amount, 0.0)
        if total.sum() > 0 and traffic.sum() > 0:
            points = np.stack([np.cumsum(traffic) / traffic.sum(), np.cumsum(total) / total.sum()], axis=1)
            points[-1] = 1.0
            return [(0.0, 0.0), *((float(s), float(part)) for s, part in points.clip(0.0, 1.0))]
    return None
