"""The largest lower quantile `M(x) - z sqrt(V(x))` where errors of pairs are independent.

M is the objective, and `V(x) = sum_p (s_u sd_p)^2 x_p` the variance of whole slates, with
`sd_p^2 = sum_k w_k^2 sd_kp^2` over the uncertain columns of the objective and s_u the supply. V is linear in x, so
`-sqrt(V)` is convex, and the quantile is not concave. But it depends on two numbers only. With P(V) the largest M at a
variance of at most V, which is concave, the optimum is the largest `P(V) - z sqrt(V)`, a maximum over one number. For
any price `m >= 0` of variance

    P(V) <= D(m) + m V,    D(m) = max_x M(x) - m V(x),

and D(m) is an ordinary problem with one more column. So the optimum is at most

    max over V >= 0 of  min_k (D(m_k) + m_k V) - z sqrt(V),

which is convex between the corners of the minimum: it is attained at a corner or at 0. The first solve is at the slope
of the square root, `z / (2 sqrt(V))`, for a guess of V; those at 0 and at three slopes bound allocations of much and of
little variance. With many pairs V hardly changes with its price, so both start from what the first one found, and a
visit each proves them. If that is not enough, a solve at a price between those of the corner that decides improves the
bound. Two to six solves usually prove 1e-4 (Geoffrion, Manage. Sci. 13:671, 1967, for convex
functions of a few totals; Nikolova, APPROX 2010, for mean and deviation).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.verdicts import FEASIBLE, relative_gap
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.session import Session
from oasis_alloc.signals.uncertainty.weighted import more_columns
from oasis_alloc.solution import Solution
from oasis_alloc.statement.measures import Measure, MeasureTerm
from oasis_alloc.statement.objective import Objective

VARIANCE = "variance@risk"
"""The column of variances in the problems of a lower quantile."""

_INNER = 0.5  # gap of a solve, as a share of the one that is asked for
_MAX_SOLVES = 25
_BEYOND = 3.0  # a price that bounds allocations of little variance, in slopes at the best allocation


@dataclass(frozen=True, eq=False)
class Quantile:
    """The best allocation found, with its quantile and the bound of all."""

    solution: Solution  # of the problem in which variance has a price
    value: float
    bound: float
    mean: float
    deviation: float
    solves: int


@dataclass(frozen=True, eq=False)
class _Cut:
    price: float
    bound: float  # D(price)
    solution: Solution
    mean: float
    variance: float

    def value(self, z: float) -> float:
        return self.mean - z * float(np.sqrt(self.variance))


def variance_column(problem: Problem, per_unit: bool = False) -> npt.NDArray[np.float64]:
    """(n_pairs,): the variance that a shown pair adds to the objective, over the supply of its user.

    Measures multiply by supply once, and variances need it twice, so one factor is in the column. `per_unit` leaves
    it out, for variances that are weighted otherwise.
    """
    cands, linear = problem.candidates, problem.maximize.linear
    out = np.zeros(cands.n_pairs)
    for term in () if linear is None else linear.terms:
        deviation = cands.uncertainty.get(term.column or "")
        if deviation is not None:
            out += (term.coefficient * deviation.astype(np.float64)) ** 2
    if problem.supply is not None and not per_unit:
        out *= np.repeat(problem.supply, np.diff(cands.indptr))
    return out


def check_independent(problem: Problem) -> None:
    """Refuse problems in whose objective no column has a standard deviation."""
    linear = problem.maximize.linear
    terms = () if linear is None else linear.terms
    if problem.candidates.stream is not None:
        raise ProblemError("risk=LowerQuantile: these candidates are in files; it needs them in memory.")
    if not any(term.column in problem.candidates.uncertainty for term in terms):
        raise ProblemError(
            f"risk=LowerQuantile: no column of the linear part of {problem.maximize} has standard deviations; expected "
            "Candidates.from_arrays(..., uncertainty={column: standard deviations}). With draws, use oa.CVaR."
        )


def solve_quantile(
    problem: Problem, z: float, gap: float, time_limit: float | None, threads: int | None
) -> Solution | Quantile:
    """The allocation of the best quantile with its bound; a solution alone if a solve ended without an allocation."""
    check_independent(problem)
    begun = time.perf_counter()
    stated = problem.replace(candidates=more_columns(problem.candidates, {VARIANCE: variance_column(problem)}))
    price, cuts = _first_price(stated, z), list[_Cut]()
    session = Session(_priced(stated, price))
    for k in range(_MAX_SOLVES):
        left = None if time_limit is None else max(time_limit - (time.perf_counter() - begun), 1e-3)
        session.change(problem=_priced(stated, price))
        inner = gap if k in (1, 2) else _INNER * gap  # these two say little about the best allocation
        solution = session.solve(gap=inner, time_limit=left, threads=threads)
        if solution.status.name == "INFEASIBLE" or (not cuts and solution.violation > FEASIBLE):
            return solution
        variance = _variance(stated, solution.pairs, solution.x)
        cuts.append(_Cut(price, solution.bound, solution, solution.value + price * variance, variance))
        kept = [cut for cut in cuts if cut.solution.violation <= FEASIBLE]
        best = max(kept, key=lambda cut: cut.value(z))
        bound, at = _envelope(cuts, z)
        if k == 0 and price > 0.0 and solution.status.name in ("SOLVED", "STALLED"):
            price = 0.0
            continue
        if relative_gap(bound, best.value(z)) <= gap or solution.status.name not in ("SOLVED", "STALLED"):
            break
        following = _next_price(cuts, best, at, z)
        if following is None:
            break
        price = following
    return Quantile(
        best.solution, best.value(z), max(bound, best.value(z)), best.mean, float(np.sqrt(best.variance)), len(cuts)
    )


def _priced(problem: Problem, price: float) -> Problem:
    """The problem in which variance costs `price` per unit."""
    objective = problem.maximize
    terms = () if objective.linear is None else objective.linear.terms
    more = Measure((*terms, MeasureTerm(-price, VARIANCE, ())))
    return problem.replace(maximize=Objective(more, objective.functions, objective.steady))


def _first_price(problem: Problem, z: float) -> float:
    """The slope of the root where all slots show pairs of the mean variance."""
    column, indptr = problem.candidates.columns[VARIANCE], problem.candidates.indptr
    shown = np.minimum(problem.slate.sizes(indptr)[0], np.diff(indptr))
    slots = float(shown.sum() if problem.supply is None else shown @ problem.supply)
    variance = slots * float(column.mean()) if column.size else 0.0
    return 0.5 * z / float(np.sqrt(variance)) if variance > 0.0 else 0.0


def _variance(problem: Problem, pairs: Ints, x: Floats) -> float:
    often = x if problem.supply is None else x * problem.supply[problem.candidates.user_of(pairs)]
    return float(problem.candidates.columns[VARIANCE][pairs] @ often)


def _envelope(cuts: list[_Cut], z: float) -> tuple[float, float]:
    """(the bound, the variance at which it is attained): the largest of the concave minimum less the root."""
    lines = sorted({cut.price: cut.bound for cut in sorted(cuts, key=lambda cut: -cut.bound)}.items())
    slope, level = np.array([price for price, _ in lines]), np.array([bound for _, bound in lines])
    corners = [0.0]
    for k in range(slope.size):
        crossing = slope > slope[k]
        corners += ((level[k] - level[crossing]) / (slope[crossing] - slope[k])).tolist()
    at = np.array([corner for corner in corners if corner >= 0.0])
    heights = (level[:, None] + slope[:, None] * at).min(axis=0) - z * np.sqrt(at)
    k = int(np.argmax(heights))
    return float(heights[k]), float(at[k])


def _next_price(cuts: list[_Cut], best: _Cut, at: float, z: float) -> float | None:
    """Where to solve next; None if nothing new is left."""
    prices = sorted({cut.price for cut in cuts})
    slope = 0.5 * z / float(np.sqrt(best.variance)) if best.variance > 0.0 else 0.0
    if len(cuts) == 2 and slope > 0.0:
        return max(_BEYOND * slope, 2.0 * prices[-1])
    if slope > 0.0 and not any(abs(price - slope) <= 0.05 * slope for price in prices):
        return slope  # the price that the best allocation itself asks for
    if at == 0.0:
        return max(_BEYOND * slope, 2.0 * prices[-1]) or None
    lines = {cut.price: cut.bound + cut.price * at for cut in cuts}
    lowest = min(lines.values())
    tied = [price for price in prices if lines[price] <= lowest + 1e-9 * max(abs(lowest), 1e-300)]
    low, high = tied[0], tied[-1]
    if high <= low * (1.0 + 1e-9):  # one line alone: its neighbor on the other side is next
        place = prices.index(low)
        low, high = (low, prices[place + 1]) if place + 1 < len(prices) else (prices[place - 1], low)
    middle = float(np.sqrt(low * high)) if low > 0.0 else 0.5 * high
    return None if any(abs(middle - price) <= 1e-6 * max(middle, 1e-300) for price in prices) else middle
