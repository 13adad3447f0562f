"""Floors that hold in most draws: a convex bound on each chance constraint, by ordinary problems.

A floor `E_g >= f_g` on an uncertain total holds with probability `share` if, for a normal total with mean m_g and
standard deviation d_g,

    m_g(x) - z d_g(x) >= f_g.

**Draws.** m and d are mean and deviation over the S draws; z is Student's t of S - 1 degrees of freedom times
`sqrt(1 + 1 / S)`, since they are estimates (the bound of one more draw). d_g is a norm of linear functions of x, so the
constraint is convex. At an allocation with the draws' totals T_sg, the column

    h_p = mean_s c_sp - z sum_s y_sg (c_sp - mean c_p) / sqrt(S - 1),    y_g = (T_g - m_g) / |T_g - m_g|

has the total `m_g - z d_g` there, and at least `m_g - z d_g` at every other allocation. So a floor on the total of h
is a cut: it excludes no allocation that keeps the constraint, and a bound with it is a bound.

**Standard deviations.** `d_g^2 = V_g(x) = sum (s sd)^2 x`, as in quantile.py, and `sqrt(V) <= t / 2 + V / (2 t)` for
any t > 0: a floor of `f_g + z t / 2` on the total of `c - z s sd^2 / (2 t)` is enough, and exact where V = t^2.

A few rounds of cuts, each at the last allocation, are followed by rounds that raise the floor by what is still missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.signals.uncertainty.draws import Draws
from oasis_alloc.signals.uncertainty.weighted import more_columns
from oasis_alloc.statement.functions.band import Band
from oasis_alloc.statement.functions.base import Function
from oasis_alloc.statement.measures import Measure, MeasureTerm

KEPT = 1e-5  # a floor that is missed by this share of itself counts as held
MAX_ROUNDS = 12
_CUTS = 3  # rounds of cuts, after which floors are raised by what is missing


@dataclass(frozen=True, eq=False)
class HeldFloor:
    """One floor with the probability that it is to hold with; arrays are by group of its measure."""

    problem: Problem
    draws: Draws | None
    name: str
    share: float
    band: Band
    floor: Floats  # minus infinity for groups without one

    @property
    def z(self) -> float:
        """The number of standard deviations."""
        if self.draws is None:
            return NormalDist().inv_cdf(self.share)
        from scipy.special import stdtrit

        n = self.draws.number
        return float(stdtrit(n - 1, self.share)) * float(np.sqrt(1.0 + 1.0 / n))

    @property
    def terms(self) -> tuple[MeasureTerm, ...]:
        """The summands of the measure, all by the same keys."""
        return self.band.measure.terms

    @property
    def column(self) -> str:
        """The name of the column whose total has the floor."""
        return f"{self.name}@floor"

    def group(self) -> npt.NDArray[np.int64]:
        """(n_pairs,) the group of every pair, -1 for none."""
        cands = self.problem.candidates
        grouping = cands.grouping(self.band.measure.by or None)
        users = np.repeat(grouping.user_part, np.diff(cands.indptr))
        return grouping.of(users, grouping.item_part[cands.item]).astype(np.int64)

    def spread(self, pairs: Ints, x: Floats) -> tuple[Floats, Floats, Floats]:
        """(mean, deviation, directions) of the totals of an allocation.

        Directions are (n_draws, n_groups) for draws, and the deviations again for standard deviations.
        """
        cands, supply = self.problem.candidates, self.problem.supply
        users, group = cands.user_of(pairs), self.group()[pairs]
        inside = group >= 0
        often = x if supply is None else x * supply[users]

        def total(numbers: Floats) -> Floats:
            return np.bincount(group[inside], numbers[inside], self.floor.size).astype(np.float64)

        if self.draws is None:
            mean, variance = np.zeros(self.floor.size), np.zeros(self.floor.size)
            for term in self.terms:
                mean += total(term.coefficient * often * self._plain(term)[pairs])
                deviation = cands.uncertainty.get(term.column or "")
                if deviation is not None:
                    weight = 1.0 if supply is None else supply[users]
                    variance += total((term.coefficient * deviation[pairs].astype(np.float64)) ** 2 * often * weight)
            return mean, np.sqrt(variance), np.sqrt(variance)
        totals = np.array([total(often * self._drawn(s, pairs, users)) for s in range(self.draws.number)])
        mean, off = totals.mean(axis=0), totals - totals.mean(axis=0)
        length = np.sqrt((off**2).sum(axis=0))
        return mean, length / np.sqrt(self.draws.number - 1), off / np.maximum(length, 1e-300)

    def safe(self, directions: Floats | None) -> tuple[npt.NDArray[np.float64], Floats]:
        """(column, floor): ordinary numbers for the next problem; without directions those of the mean."""
        cands, group, floor = self.problem.candidates, self.group(), self.floor.copy()
        at = np.maximum(group, 0)
        if self.draws is None:
            column = sum((t.coefficient * self._plain(t) for t in self.terms), np.zeros(cands.n_pairs))
            if directions is not None:
                used = directions > 0.0
                floor = floor + np.where(used, 0.5 * self.z * directions, 0.0)
                per_unit = np.where(used, 0.5 * self.z / np.where(used, directions, 1.0), 0.0)
                supply = self.problem.supply
                often = 1.0 if supply is None else np.repeat(supply, np.diff(cands.indptr))
                for term in self.terms:
                    deviation = cands.uncertainty.get(term.column or "")
                    if deviation is not None:
                        column = column - per_unit[at] * often * (term.coefficient * deviation.astype(np.float64)) ** 2
            return column, floor
        users = np.repeat(np.arange(cands.n_users), np.diff(cands.indptr))
        every, n = np.arange(cands.n_pairs), self.draws.number
        column = np.zeros(cands.n_pairs)
        factor = 0.0 if directions is None else self.z / float(np.sqrt(n - 1))
        for s in range(n):
            weight = 1.0 / n if directions is None else 1.0 / n - factor * directions[s][at]
            column += weight * self._drawn(s, every, users)
        return column, floor

    def _plain(self, term: MeasureTerm) -> npt.NDArray[np.float64]:
        cands = self.problem.candidates
        return np.ones(cands.n_pairs) if term.column is None else cands.columns[term.column].astype(np.float64)

    def _drawn(self, s: int, pairs: Ints, users: Ints) -> Floats:
        """What some pairs add to the measure in draw s, over the supply of the problem."""
        assert self.draws is not None
        out = np.zeros(pairs.size)
        for term in self.terms:
            drawn = self.draws.columns.get(term.column or "")
            out += term.coefficient * (self._plain(term)[pairs] if drawn is None else drawn[s][pairs])
        if self.draws.supply is not None:
            own = self.problem.supply
            out *= self.draws.supply[s][users] / (1.0 if own is None else own[users])
        return out

    def stated(self, floor: Floats) -> Band:
        """The floor on the safe column, under the name of the first one."""
        labels = self.problem.labels(self.name)
        limit = {label: float(one) for label, one in zip(labels, floor, strict=True) if np.isfinite(one)}
        measure = Measure((MeasureTerm(1.0, self.column, self.band.measure.by),))
        return Band.of(measure, ">=", limit).named(self.name)


def held_floors(problem: Problem, draws: Draws | None, hold: Mapping[str, float]) -> list[HeldFloor]:
    """The floors that `hold` names; `ProblemError` for what is not a floor on an uncertain total."""
    if not isinstance(hold, Mapping):
        raise ProblemError(f"hold={shown(hold)}: expected {{name of a floor: share of the draws}}.")
    return [_held(problem, draws, name, share) for name, share in hold.items()]


def _held(problem: Problem, draws: Draws | None, name: str, share: object) -> HeldFloor:
    names = problem.names[: len(problem.subject_to)]
    if name not in names:
        raise ProblemError(f"hold: no constraint is named {name!r}.{did_you_mean(name, list(names))}")
    number = as_real(share)
    if number is None or not 0.5 < number < 1.0:
        raise ProblemError(f"hold[{name!r}] is {shown(share)}; expected a share in (0.5, 1), such as 0.95.")
    place = names.index(name)
    function, bound = problem.subject_to[place], problem.bound[place]
    if not isinstance(function, Band) or function.sense != ">=":
        raise ProblemError(f"hold[{name!r}]: {function} is not a floor; expected a constraint `measure >= limit`.")
    by = function.measure.by
    if any(term.by != by for term in function.measure.terms):
        raise ProblemError(
            f"hold[{name!r}]: the summands of {function.measure} have different keys; expected the same."
        )
    uncertain = problem.candidates.uncertainty if draws is None else draws.columns
    supplied = draws is not None and draws.supply is not None
    if not supplied and not any(term.column in uncertain for term in function.measure.terms):
        raise ProblemError(
            f"hold[{name!r}]: nothing in {function.measure} is uncertain; expected draws of one of its columns or of "
            "the supply, or standard deviations."
        )
    if problem.candidates.grouping(by or None).sets is not None:
        raise ProblemError(f"hold[{name!r}]: {by} has several labels per item; expected keys with one label.")
    return HeldFloor(problem, draws, name, number, function, bound.band()[0])


def replaced(problem: Problem, floors: list[HeldFloor], safe: list[tuple[npt.NDArray[np.float64], Floats]]) -> Problem:
    """The problem with these floors on safe columns."""
    columns = {held.column: column for held, (column, _) in zip(floors, safe, strict=True)}
    new = {held.name: held.stated(floor) for held, (_, floor) in zip(floors, safe, strict=True)}
    names = problem.names[: len(problem.subject_to)]
    functions: list[Function] = [
        new.get(name, function) for name, function in zip(names, problem.subject_to, strict=True)
    ]
    return problem.replace(candidates=more_columns(problem.candidates, columns), subject_to=functions)


Solver = Callable[[Problem], tuple[float, Ints, Floats] | None]
"""Solves a problem: (its bound, the non-zeros of its allocation), or None without an allocation."""


def with_floors(problem: Problem, floors: list[HeldFloor], solve: Solver) -> tuple[float, float]:
    """(the bound of all allocations that hold the floors, the largest share of a floor that is missed).

    Calls `solve` with one problem after another; the allocation of the last call is the answer.
    """
    margins = [np.zeros(held.floor.size) for held in floors]
    found = solve(replaced(problem, floors, [held.safe(None) for held in floors]))
    bound, missed = np.inf, np.inf
    for k in range(MAX_ROUNDS):
        if found is None:
            return bound, np.inf
        raised = any(margin.any() for margin in margins)
        cuts = k == 0 or floors[0].draws is not None
        bound = min(bound, found[0]) if cuts and not raised else bound
        measured = [held.spread(found[1], found[2]) for held in floors]
        short = [
            np.where(np.isfinite(held.floor), held.floor - (mean - held.z * deviation), 0.0)
            for held, (mean, deviation, _) in zip(floors, measured, strict=True)
        ]
        sizes = [np.maximum(np.abs(np.where(np.isfinite(held.floor), held.floor, 1.0)), 1e-300) for held in floors]
        missed = max(float((gap / size).max(initial=0.0)) for gap, size in zip(short, sizes, strict=True))
        settled = k >= 2 if floors[0].draws is None else k >= 1
        if missed <= KEPT and settled:
            break
        if k >= _CUTS:
            margins = [margin + 1.02 * np.maximum(gap, 0.0) for margin, gap in zip(margins, short, strict=True)]
        safe = []
        for held, (_, _, directions), margin in zip(floors, measured, margins, strict=True):
            column, floor = held.safe(directions)
            safe.append((column, floor + margin))
        found = solve(replaced(problem, floors, safe))
    return bound, missed
