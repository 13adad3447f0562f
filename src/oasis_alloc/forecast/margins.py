"""What closes the difference between a plan and what is served: each way is tried by serving again."""

from __future__ import annotations

from time import perf_counter
from typing import Any, TypeAlias

import numpy as np

from oasis_alloc.common.text_tables import number, small
from oasis_alloc.forecast.changes import changed
from oasis_alloc.forecast.miss import Miss, misses_of
from oasis_alloc.forecast.slates import served_slates
from oasis_alloc.forecast.what_if import solved_again
from oasis_alloc.problem import Problem
from oasis_alloc.results.sweep import constraint_of
from oasis_alloc.solution import Solution

Tried: TypeAlias = tuple[str, float, float, float, float, str]
"""(how, largest relative miss, largest miss, value, seconds, sentence), as of a `Closer`."""

Limits: TypeAlias = dict[str, dict[Any, float]]


def by_rounding(solution: Solution) -> Tried:
    """Slates drawn with the probabilities of the plan, by seed 0."""
    began = perf_counter()
    drawn = solution.round(0)
    rows = misses_of(solution.problem, solution.totals, drawn.totals)
    said = "draw slates with the plan's probabilities (solution.round): exact on average, one draw differs by this"
    return ("rounding", *_worst(rows), drawn.value, perf_counter() - began, said)


def by_smaller_gap(solution: Solution, gap: float, threads: int | None) -> Tried:
    """The policy of a plan with a smaller gap."""
    how, began = "a smaller gap", perf_counter()
    if solution.gap <= gap:
        slates = served_slates(solution, solution.policy())
        rows = misses_of(solution.problem, solution.totals, slates.totals)
        said = f"the plan's gap is {small(solution.gap)} already; prices are as exact as they get"
        return (how, *_worst(rows), slates.value, perf_counter() - began, said)
    finer = solved_again(solution, solution.problem, gap, None, threads)
    seconds = perf_counter() - began
    if finer.status.name not in ("SOLVED", "RELAXED"):
        return how, np.nan, np.nan, np.nan, seconds, f"a gap of {small(gap)} was not reached: {finer.status}"
    slates = served_slates(finer, finer.policy())
    rows = misses_of(solution.problem, finer.totals, slates.totals)
    said = f"solve to a gap of {small(gap)} and serve its prices"
    return (how, *_worst(rows), slates.value, perf_counter() - began, said)


def by_margins(
    solution: Solution, rows: tuple[Miss, ...], gap: float, rounds: int, threads: int | None
) -> tuple[Tried, Limits, Solution | None]:
    """Limits with margins at which all limits are met by what is served, and the plan at these limits.

    In each round, every limit that is missed moves by what it was missed by, plus half of a mean pair, so that whole
    slates get over the edge.
    """
    problem, began = solution.problem, perf_counter()
    limits: Limits = {}
    best: tuple[float, float, float, Limits, Solution] | None = None
    for _ in range(rounds):
        _move(problem, rows, limits)
        at, _said = changed(problem, _as_given(problem, limits), None, None, None, None, None, "", None)
        plan = solved_again(solution, at, gap, None, threads)
        if plan.status.name not in ("SOLVED", "RELAXED"):
            break
        slates = served_slates(plan, plan.policy(), problem)
        rows = misses_of(problem, plan.totals, slates.totals)
        worst, most = _worst(rows)
        if best is None or worst < best[0]:
            best = worst, most, slates.value, {name: dict(of) for name, of in limits.items()}, plan
        if worst == 0.0:
            break
    seconds = perf_counter() - began
    if best is None:
        said = "no plan meets limits that are stricter by what is missed"
        return ("margins", np.nan, np.nan, np.nan, seconds, said), {}, None
    worst, most, value, found, plan = best
    moved = [
        abs(limit - side)
        for name, of in found.items()
        for label, limit in of.items()
        for side in _sides(problem, name, label)
        if np.isfinite(side)
    ]
    count = sum(map(len, found.values()))
    many = f"{count:,} limit{'' if count == 1 else 's'}"
    said = f"margins of up to {number(max(moved, default=0.0), 4)} on {many}, verified by serving again"
    if worst > 0.0:
        said = f"with margins on {many}, this is still missed after {rounds:,} rounds"
        return ("margins", worst, most, value, seconds, said), {}, None
    return ("margins", worst, most, value, seconds, said), found, plan


def _worst(rows: tuple[Miss, ...]) -> tuple[float, float]:
    return max((one.relative for one in rows), default=0.0), max((one.miss for one in rows), default=0.0)


def _move(problem: Problem, rows: tuple[Miss, ...], limits: Limits) -> None:
    """Make each limit that is missed stricter by what it is missed by."""
    for one in rows:
        if one.miss <= 0:
            continue
        lower, upper = _sides(problem, one.name, one.label)
        is_floor = one.served < one.lower
        now = limits.get(one.name, {}).get(one.label, lower if is_floor else upper)
        half = 0.5 * min(one.miss, 1.0)
        limits.setdefault(one.name, {})[one.label] = now + (one.miss + half) * (1.0 if is_floor else -1.0)


def _sides(problem: Problem, name: str, label: Any) -> tuple[float, float]:
    """Floor and cap of one group as they are stated: with what was delivered before."""
    place = problem.names.index(name)
    g = problem.labels(name).index(label)
    lower, upper, _ = problem.bound[place].band()
    labels = problem.candidates.grouping(problem.functions[place].measure.by or None).labels
    before = float(problem.functions[place].measure.constant(labels)[g])
    return float(lower[g]) + before, float(upper[g]) + before


def _as_given(problem: Problem, limits: Limits) -> dict[str, Any]:
    """The limits as `what_if` takes them: a number for constraints without keys. Caps stay at 0 or above."""
    out: dict[str, Any] = {}
    for name, of in limits.items():
        function = problem.functions[problem.names.index(name)]
        band = constraint_of(function)
        assert band is not None  # only constraints are missed
        counts = all(term.coefficient > 0 and term.column is None for term in band.measure.terms)
        kept = {label: max(limit, 0.0) if counts else limit for label, limit in of.items()}
        out[name] = kept if band.measure.by else kept[None]
    return out
