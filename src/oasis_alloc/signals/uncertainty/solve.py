"""solve_uncertain(problem): the best allocation by a measure of risk, with a proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.documents import Document, jsonable
from oasis_alloc.common.labels import shown
from oasis_alloc.common.pickling import ByFields, FrozenMapping
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.common.verdicts import relative_gap
from oasis_alloc.errors import CertificateError, ProblemError
from oasis_alloc.policy import Policy
from oasis_alloc.problem import Problem
from oasis_alloc.signals.uncertainty.draws import Draws
from oasis_alloc.signals.uncertainty.hold import KEPT, HeldFloor, held_floors, with_floors
from oasis_alloc.signals.uncertainty.outer import solve_draws
from oasis_alloc.signals.uncertainty.quantile import check_independent, solve_quantile
from oasis_alloc.signals.uncertainty.risks import LowerQuantile, Risk, cap_of, checked_risk, stated_risk
from oasis_alloc.signals.uncertainty.weighted import DrawnObjective
from oasis_alloc.solution import Solution
from oasis_alloc.solve import solve

_ROUNDING = 1e-6  # a value may be above its bound by so much, from violations that count as zero


@dataclass(frozen=True, eq=False, repr=False)
class UncertainSolution(Document, ByFields, form="uncertain_solution"):
    """An allocation that is best by a measure of risk, and its proof; made by `solve_uncertain`.

    Attributes
    ----------
    problem, risk
        What was asked.
    value, bound, gap
        The measure of risk of the allocation's objective; a proven upper bound of it for all allocations; and
        `(bound - value) / max(|value|, |bound|)`.
    solution
        The allocation as an ordinary `Solution`. Its problem has the columns that its prices belong to:
        `"relevance@risk"` is the mean of the draws of relevance with `weights`, `"variance@risk"` the variance of a
        pair. So scores, policies, reports and shadow prices work as always.
    weights
        (n_draws,), >= 0, sum 1: how much each draw counts at the optimum. None for a lower quantile.
    values
        (n_draws,): the objective of the allocation in every draw. None for a lower quantile.
    mean, deviation
        Mean and standard deviation of the objective: over the draws, or of independent errors.
    solves
        How many ordinary problems were solved.
    held, missed
        For the floors of `hold`: by name, the share of the draws in which each group keeps its floor (for standard
        deviations, its probability; 1 without a floor); and the largest share of a floor by which the bound of the
        chance constraint is missed, up to 1e-5 if all are kept.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.8]})
    >>> draws = oa.Draws(cands, {"r": np.array([[1.2, 0.8], [0.6, 0.8]])})
    >>> answer = oa.solve_uncertain(oa.Problem(cands, oa.total("r")), risk="worst", draws=draws)
    >>> round(answer.value, 4), answer.solution.allocation.round(4).tolist()
    (0.8, [0.0, 1.0])
    """

    problem: Problem
    risk: Risk
    value: float
    bound: float
    gap: float
    solution: Solution
    weights: Floats | None = None
    values: Floats | None = None
    mean: float = np.nan
    deviation: float = np.nan
    solves: int = 1
    held: Mapping[str, Floats] = field(default_factory=lambda: FrozenMapping({}))
    missed: float = 0.0

    def policy(self, **how: Any) -> Policy:
        """The policy of `solution`, with the arguments of `Solution.policy`.

        Its requests carry the columns of `solution.problem`: for draws `"relevance@risk"`, the mean of the request's
        draws with `weights`; for a lower quantile `"variance@risk"`, the squared standard deviation of the pair.
        """
        return self.solution.policy(**how)

    def _members(self) -> dict[str, Any]:
        """The proof, floors by label, and the document of the allocation; draws stay with the caller."""
        held = {
            name: [
                {"label": jsonable(label), "share": share}
                for label, share in zip(self.problem.labels(name), shares.tolist(), strict=True)
            ]
            for name, shares in self.held.items()
        }
        names = ("value", "bound", "gap", "mean", "deviation", "solves", "weights", "values", "missed")
        return {
            "risk": stated_risk(self.risk),
            **{name: jsonable(getattr(self, name)) for name in names},
            "held": held,
            "solution": self.solution.to_dict(),
        }

    def __repr__(self) -> str:
        numbers = f"value={self.value:.8g}, bound={self.bound:.8g}, gap={self.gap:.1e}"
        spread = f"mean={self.mean:.8g}, deviation={self.deviation:.4g}, solves={self.solves}"
        return f"UncertainSolution({self.solution.status}, risk={self.risk!r}, {numbers}, {spread})"


@suggesting
def solve_uncertain(
    problem: Problem,
    *,
    risk: Risk = "expected",
    draws: Draws | None = None,
    hold: Mapping[str, float] | None = None,
    gap: float = 1e-4,
    time_limit: float | None = None,
    threads: int | None = None,
) -> UncertainSolution:
    """Find the allocation whose objective is best by a measure of risk, with a proof of how good it is.

    Parameters
    ----------
    problem
        The linear part of its objective is uncertain: columns that `draws` has, or that have standard deviations.
        Limits and concave functions use the candidates' own columns and supply.
    risk
        `"expected"`: the mean over the draws. `"worst"`: the smallest value of any draw. `oa.CVaR(share)`: the mean
        over the worst share of the draws. `oa.LowerQuantile(probability)`: the quantile for independent errors with the
        standard deviations of `Candidates.from_arrays(..., uncertainty=...)`; without draws.
    draws
        Draws of columns and supply; needed for the first three, but for `"expected"` with `hold`.
    hold
        Floors that hold in most draws, `{name of a constraint: share}` with a share in (0.5, 1), such as 0.95. Totals
        are of columns that are drawn or have standard deviations. All other limits use the candidates' own columns.
        The bound is then that of allocations that hold the floors, by the condition of docs/uncertainty.md.
    gap
        Stop when `(bound - value) / max(|value|, |bound|)` is at most this; positive.
    time_limit, threads
        As in `oa.solve`; at the limit the best allocation so far is returned with its bound.

    Returns
    -------
    UncertainSolution
        For a conflict of limits, its `solution` has the status `INFEASIBLE`, and the value is NaN.

    Raises
    ------
    ProblemError
        For an unknown risk, missing draws, draws of other candidates or of columns that the objective does not use, a
        lower quantile without standard deviations, a gap that is not positive, and for `hold` of what is not a floor.
    CertificateError
        If a bound is below a value: a bug, please report it.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2], [0, 1], {"r": [0.9, 0.8]}, uncertainty={"r": [0.3, 0.1]})
    >>> safe = oa.solve_uncertain(oa.Problem(cands, oa.total("r")), risk=oa.LowerQuantile(0.05))
    >>> safe.solution.allocation.tolist(), round(safe.value, 4)
    ([0.0, 1.0], 0.6355)
    """
    if not isinstance(problem, Problem):
        raise ProblemError(f"solve_uncertain() takes an oa.Problem, got {type(problem).__name__}.")
    if draws is not None and not isinstance(draws, Draws):
        raise ProblemError(f"solve_uncertain(draws=...): expected oa.Draws, got {type(draws).__name__}.")
    wanted = as_real(gap)
    if wanted is None or not 0.0 < wanted < np.inf:
        raise ProblemError(f"solve_uncertain(gap={shown(gap)}): expected a positive number.")
    asked = _Asked(_fitting(risk, draws, hold), draws, wanted, time_limit, threads)
    return _solved(problem, asked) if not hold else _holding(problem, asked, hold)


def check_uncertain(
    problem: Problem, risk: object = "expected", draws: Draws | None = None, hold: Mapping[str, float] | None = None
) -> None:
    """Raise what `solve_uncertain` would raise for these arguments, before anything is computed."""
    known = _fitting(risk, draws, hold)
    if hold:
        held_floors(problem, draws, hold)
    if isinstance(known, LowerQuantile):
        check_independent(problem)
    elif draws is not None:
        DrawnObjective.of(problem, draws)


def _fitting(risk: object, draws: Draws | None, hold: Mapping[str, float] | None) -> Risk:
    """The risk; `ProblemError` if there is no such risk, or draws that it needs or cannot take."""
    risk = checked_risk(risk)
    if isinstance(risk, LowerQuantile) and draws is not None:
        raise ProblemError(
            f"risk={risk}: a lower quantile is that of independent errors and takes no draws; with draws, use "
            "oa.CVaR(share), which is at most the quantile of the same share."
        )
    if draws is None and not isinstance(risk, LowerQuantile) and not (hold and risk == "expected"):
        raise ProblemError(f"risk={risk!r} needs draws=oa.Draws(...); for independent errors use oa.LowerQuantile.")
    return risk


@dataclass(frozen=True, eq=False)
class _Asked:
    """The arguments of `solve_uncertain` that hold for every solve."""

    risk: Risk
    draws: Draws | None
    gap: float
    time_limit: float | None
    threads: int | None


def _solved(problem: Problem, asked: _Asked, start: Solution | None = None) -> UncertainSolution:
    """The answer without `hold`."""
    risk = asked.risk
    if isinstance(risk, LowerQuantile):
        return _quantile(problem, risk, asked)
    if asked.draws is None:
        plain = solve(problem, gap=asked.gap, time_limit=asked.time_limit, threads=asked.threads, start=start)
        return UncertainSolution(problem, risk, plain.value, plain.bound, plain.gap, plain, mean=plain.value)
    drawn = DrawnObjective.of(problem, asked.draws)
    found = solve_draws(drawn, cap_of(risk, asked.draws.number), asked.gap, asked.time_limit, asked.threads)
    if isinstance(found, Solution):
        return _without(problem, risk, found)
    bound = _checked(found.bound, found.value)
    return UncertainSolution(
        problem,
        risk,
        found.value,
        bound,
        relative_gap(bound, found.value),
        found.solution,
        found.weights,
        found.values,
        float(found.values.mean()),
        float(found.values.std(ddof=1)),
        found.solves,
    )


def _holding(problem: Problem, asked: _Asked, hold: Mapping[str, float]) -> UncertainSolution:
    """The answer with floors that hold in most draws."""
    floors = held_floors(problem, asked.draws, hold)
    answers: list[UncertainSolution] = []

    def solve_one(stated: Problem) -> tuple[float, Ints, Floats] | None:
        start = answers[-1].solution if answers else None
        answers.append(_solved(stated, asked, start))
        solution = answers[-1].solution
        if solution.status.name == "INFEASIBLE":
            return None
        return answers[-1].bound, solution.pairs, solution.x

    bound, missed = with_floors(problem, floors, solve_one)
    last, solves = answers[-1], sum(answer.solves for answer in answers)
    if last.solution.status.name == "INFEASIBLE":
        return replace(last, problem=problem, solves=solves, missed=missed)
    bound = _checked(bound, last.value) if missed <= KEPT else max(bound, last.value)
    shares = {held.name: _share_held(held, last.solution) for held in floors}
    missing = relative_gap(bound, last.value)
    return replace(
        last, problem=problem, bound=bound, gap=missing, solves=solves, held=FrozenMapping(shares), missed=missed
    )


def _share_held(held: HeldFloor, solution: Solution) -> Floats:
    """(n_groups,): the share of the draws, or the probability, with which each floor holds."""
    from scipy.special import ndtr

    mean, deviation, directions = held.spread(solution.pairs, solution.x)
    if held.draws is None:
        room = (mean - held.floor) / np.maximum(deviation, 1e-300)
        return np.where(np.isfinite(held.floor), ndtr(np.clip(room, -40.0, 40.0)), 1.0)
    totals = mean + directions * deviation * np.sqrt(held.draws.number - 1)
    return np.asarray((totals >= held.floor).mean(axis=0), np.float64)


def _quantile(problem: Problem, risk: LowerQuantile, asked: _Asked) -> UncertainSolution:
    found = solve_quantile(problem, risk.z, asked.gap, asked.time_limit, asked.threads)
    if isinstance(found, Solution):
        return _without(problem, risk, found)
    bound = _checked(found.bound, found.value)
    missing = relative_gap(bound, found.value)
    return UncertainSolution(
        problem,
        risk,
        found.value,
        bound,
        missing,
        found.solution,
        None,
        None,
        found.mean,
        found.deviation,
        found.solves,
    )


def _checked(bound: float, value: float) -> float:
    """The bound, after `CertificateError` where it is below the value by more than violations can add."""
    if value - bound > _ROUNDING * max(abs(value), abs(bound)):
        raise CertificateError(bound, value)
    return max(bound, value)


def _without(problem: Problem, risk: Risk, solution: Solution) -> UncertainSolution:
    """The answer if a solve ended without an allocation that keeps the limits."""
    return UncertainSolution(problem, risk, np.nan, solution.bound, np.inf, solution)
