"""What a drift of the candidates would change: totals at the prices that are served, and which way prices would go."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.documents import Document
from oasis_alloc.errors import InputError
from oasis_alloc.serving.schema import shown
from oasis_alloc.session import Session
from oasis_alloc.solution import Solution

if TYPE_CHECKING:
    from oasis_alloc.program.program import Program

_SMOOTHING = 1e-3  # of the mean size of a value, where the solution does not say how it was smoothed


@dataclass(frozen=True)
class DriftEffect(Document, form="drift_effect"):
    """One group of a constraint, on other candidates at the same prices.

    - `name`, `label`: the constraint, and the label of the group.
    - `before`, `now`: its total in the solution, and on the other candidates.
    - `lower`, `upper`: its limits; infinite where there is none.
    - `price`: the price that is served; above 0 for a cap that binds, below 0 for a floor.
    - `moves`: "up" if the price would rise, because a cap is exceeded or a floor that has a price is passed; "down" the
      other way round; "" if it would stay.

    Example
    -------
    >>> DriftEffect("caps", "song a", 100.0, 130.0, float("-inf"), 100.0, 0.2, "up").moves
    'up'
    """

    name: str
    label: Any
    before: float
    now: float
    lower: float
    upper: float
    price: float
    moves: str


@suggesting
def drift_effects(solution: Solution, candidates: Candidates, tolerance: float = 0.01) -> list[DriftEffect]:
    """What the prices of a solution would do to other candidates, from one visit to them: nothing is solved.

    Parameters
    ----------
    solution
        The solution whose prices are served.
    candidates
        Other candidates, such as today's, with the keys and columns of the problem. Groups are matched by label and
        keep their limits; a group that the solution did not have has no price, and no limit but that of all groups. A
        group that is gone has a total of 0.
    tolerance
        Share of a limit by which a total may differ before its price would move, >= 0.

    Returns
    -------
    list of DriftEffect
        One for each group of each constraint that has a limit, the largest relative changes first. Slates are the
        smoothed ones of the solve, so totals at the solution's own candidates are near its own, not equal.

    Raises
    ------
    InputError
        For another type, or a tolerance below 0.
    ProblemError
        If the problem cannot be stated over these candidates.
    SolverError
        For an infeasible problem, which has no prices.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> def of(r):
    ...     return oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": r}, items={"song": ["a", "b"]})
    >>> cap = (oa.exposure(by="song") <= {"a": 1.0}).named("caps")
    >>> solution = oa.solve(oa.Problem(of([0.9, 0.5, 0.8, 0.7]), oa.total("r"), cap, oa.Slate(1)))
    >>> (effect,) = oa.drift_effects(solution, of([0.9, 0.5, 0.9, 0.5]))  # both users now like song a best
    >>> effect.label, effect.now > 1.5, effect.moves
    ('a', True, 'up')
    """
    from oasis_alloc.engines import engine_for
    from oasis_alloc.program.lowering import lower
    from oasis_alloc.solvers.kept import matched, places

    if not isinstance(solution, Solution) or not isinstance(candidates, Candidates):
        what = solution if not isinstance(solution, Solution) else candidates
        raise InputError(f"drift_effects(): got {shown(what)}; expected a solution and oa.Candidates.")
    solution.raise_if_infeasible()
    share = as_real(tolerance)
    if share is None or not 0 <= share < np.inf:
        raise InputError(f"tolerance={shown(tolerance)}: expected a number >= 0.")
    session = Session(solution.problem)  # limits stay with their labels, whatever groups the other candidates have
    session.change(candidates=candidates)
    program = lower(session.problem)
    labels = {name: solution.problem.labels(name) for name in solution.prices}
    where = places(program, labels)
    kept = solution._kept
    smoothed = None if kept is None else kept.smoothed
    prices, _ = matched(program, where, solution.prices if smoothed is None else smoothed)
    prices = program.prices(program.variables(prices))
    with engine_for(program) as engine:
        gamma = _SMOOTHING * engine.survey().size if kept is None or smoothed is None else kept.gamma
        totals = engine.visit(prices, gamma).totals
    lower_limit, upper_limit, _ = program.bands()
    served, _ = matched(program, where, solution.prices)
    out = []
    for block in program.blocks:
        if not block.function.is_constraint:
            continue
        known = dict(zip(labels[block.name], solution.totals[block.name].tolist(), strict=True))
        for row, label in zip(range(block.rows.start, block.rows.stop), block.labels, strict=True):
            low, high, now = float(lower_limit[row]), float(upper_limit[row]), float(totals[row])
            if np.isfinite(low) or np.isfinite(high):
                price = float(served[row])
                moves = _moves(now, low, high, price, share)
                before = float(known.get(label, np.nan))
                out.append(DriftEffect(block.name, label, before, now, low, high, price, moves))
    return sorted([*out, *_gone(solution, program, share)], key=lambda one: -_change(one))


def _gone(solution: Solution, program: Program, share: float) -> Iterator[DriftEffect]:
    """Groups of the solution that the other candidates do not have: nothing of them can be shown."""
    there = {block.name: set(block.labels) for block in program.blocks}
    for name, function in zip(solution.problem.names, solution.problem.bound, strict=True):
        if not function.is_constraint:
            continue
        lower, upper = function.band()[:2]
        rows = zip(
            solution.problem.labels(name), lower, upper, solution.totals[name], solution.prices[name], strict=True
        )
        for label, low, high, before, price in rows:
            if label not in there[name] and (np.isfinite(low) or np.isfinite(high)):
                moves = _moves(0.0, low, high, price, share)
                yield DriftEffect(name, label, float(before), 0.0, float(low), float(high), float(price), moves)


def _moves(now: float, low: float, high: float, price: float, share: float) -> str:
    """Which way a price goes at a total: a cap's is >= 0 and a floor's <= 0."""
    if now > high + share * abs(high) or (price < 0 and now > low + share * abs(low)):
        return "up"
    if now < low - share * abs(low) or (price > 0 and now < high - share * abs(high)):
        return "down"
    return ""


def _change(one: DriftEffect) -> float:
    size = max(abs(one.before), abs(one.now), 1e-300)
    return abs(one.now - one.before) / size if one.before == one.before else np.inf
