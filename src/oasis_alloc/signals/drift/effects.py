"""What a drift of the candidates would change: totals at the prices that are served, and new prices."""

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
    from oasis_alloc.common.types import Floats
    from oasis_alloc.engines.base import Engine, Visit
    from oasis_alloc.program.program import Program

_SMOOTHING = 1e-3  # of the mean size of a value, where the solution does not say how it was smoothed
_SHORTEST = 1e-9  # of the mean size of a value: steps are divided by the longest one


@dataclass(frozen=True)
class DriftEffect(Document, form="drift_effect"):
    """One group of a constraint, on other candidates at the same prices.

    - `name`, `label`: the constraint, and the label of the group.
    - `before`, `now`: its total in the solution, and on the other candidates.
    - `lower`, `upper`: its limits; infinite where there is none.
    - `price`: the price that is served; above 0 for a cap that binds, below 0 for a floor.
    - `new_price`: an estimate of the price that a solve would find: one Newton step from the visit, in the same units.
    - `moves`: "up" if the price would rise, because a cap is exceeded or a floor that has a price is passed; "down" the
      other way round; "" if it would stay.

    Example
    -------
    >>> DriftEffect("caps", "song a", 100.0, 130.0, float("-inf"), 100.0, 0.2, "up", 0.3).moves
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
    new_price: float


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
        smoothed ones of the solve, so totals at the solution's own candidates are near its own, not equal. New prices
        are those of one step of the solver: `H d = -g`, g being how far totals are from their limits and H how they
        answer to prices, both of this visit (Newton's method; a step is no longer than the mean size of a value, and
        stays within the signs of prices). They are good for one look, and proven by nothing: solve again to serve.

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
    >>> effect.label, effect.now > 1.5, effect.moves, effect.new_price > effect.price
    ('a', True, 'up', True)
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
        size = engine.survey().size
        gamma = _SMOOTHING * size if kept is None or smoothed is None else kept.gamma
        visit = engine.visit(prices, gamma)
        new = _stepped(engine, visit, size)
        totals = visit.totals
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
                out.append(DriftEffect(block.name, label, before, now, low, high, price, moves, float(new[row])))
    return sorted([*out, *_gone(solution, program, share)], key=lambda one: -_change(one))


def _stepped(engine: Engine, visit: Visit, size: float) -> Floats:
    """(n_rows,) the prices of one Newton step from a visit, each at most `size`, in units of scores, from its own."""
    from oasis_alloc.solvers.newton import SmoothedDual, along_curve, newton_direction, trust_region_step
    from oasis_alloc.solvers.settings import DualSettings

    program = engine.program
    dual = SmoothedDual(engine, lambda *_: None, DualSettings())
    z = program.variables(visit.prices)
    point = dual.seen(z, visit)
    # a price that comes to the end of its range stays there, and the others answer to that
    room = np.where(point.gradient > 0.0, z - program.lower, program.upper - z)
    longest = np.clip(room, _SHORTEST * size, size)
    step = trust_region_step(dual, newton_direction(dual, point, longest), longest)
    moved = z + along_curve(dual, point, step, longest)
    return program.admit(program.prices(np.clip(moved, program.lower, program.upper)))


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
                yield DriftEffect(name, label, float(before), 0.0, float(low), float(high), float(price), moves, 0.0)


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
