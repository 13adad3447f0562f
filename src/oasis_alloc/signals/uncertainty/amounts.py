"""What an allocation shows, and its objective at the candidates' own columns, for estimates of its value."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.results.answer import linear_parts
from oasis_alloc.signals.uncertainty.draws import Draws
from oasis_alloc.signals.uncertainty.solve import UncertainSolution
from oasis_alloc.signals.uncertainty.weighted import DrawnObjective
from oasis_alloc.solution import Solution
from oasis_alloc.statement.measures import MeasureTerm


@dataclass(frozen=True, eq=False)
class Shown:
    """The non-zeros of an allocation of a problem, and the part of its objective that is not linear."""

    problem: Problem
    pairs: Ints
    x: Floats
    rest: float

    @classmethod
    def of(cls, given: object, what: str) -> Shown:
        """Of a solution of either kind; `ProblemError` for anything else."""
        if isinstance(given, UncertainSolution):
            problem, solution = given.problem, given.solution
        elif isinstance(given, Solution):
            problem, solution = given.problem, given
        else:
            raise ProblemError(f"{what}: expected a solution, got {type(given).__name__}.")
        solution.raise_if_infeasible()
        linear = sum(linear_parts(solution.problem, solution.pairs, solution.x).values())
        return cls(problem, solution.pairs, solution.x, solution.value - linear)

    @property
    def stated(self) -> float:
        """The objective at the candidates' own columns."""
        return self.rest + sum(linear_parts(self.problem, self.pairs, self.x).values())

    def amounts(self, term: MeasureTerm) -> Floats:
        """What a unit of a term's column adds to the objective, by shown pair: weight, supply and probability."""
        supply = self.problem.supply
        often = self.x if supply is None else self.x * supply[self.problem.candidates.user_of(self.pairs)]
        return term.coefficient * often

    @property
    def uncertain_terms(self) -> list[MeasureTerm]:
        """The terms of the objective whose columns have standard deviations."""
        linear = self.problem.maximize.linear
        terms = () if linear is None else linear.terms
        return [term for term in terms if term.column in self.problem.candidates.uncertainty]

    def in_draws(self, draws: object, what: str) -> Floats:
        """(n_draws,): the objective in every draw."""
        if not isinstance(draws, Draws):
            raise ProblemError(f"{what}: expected oa.Draws, got {type(draws).__name__}.")
        drawn = DrawnObjective.of(self.problem, draws)
        columns, fixed = self.problem.candidates.columns, self.stated
        for term in drawn.terms:
            column = 1.0 if term.column is None else columns[term.column][self.pairs]
            fixed -= float(np.sum(self.amounts(term) * column))
        return drawn.values(self.pairs, self.x) + fixed


def checked_confidence(confidence: object, what: str) -> float:
    """The coverage of an interval, in (0, 1)."""
    number = as_real(confidence)
    if number is None or not 0.0 < number < 1.0:
        raise ProblemError(f"{what}: confidence={shown(confidence)}; expected a coverage in (0, 1), such as 0.95.")
    return number


def normal_interval(mean: float, variance: float, confidence: float) -> tuple[float, float, float, float]:
    """(mean, standard error, low, high) of a normal estimate."""
    error = float(np.sqrt(variance))
    half = NormalDist().inv_cdf(0.5 + 0.5 * confidence) * error
    return mean, error, mean - half, mean + half


def draws_interval(values: Floats, confidence: float) -> tuple[float, float, float, float]:
    """(mean, deviation, low, high) of the draws; the interval is that of one more draw, by Student's t."""
    from scipy.special import stdtrit

    mean, deviation, n = float(values.mean()), float(values.std(ddof=1)), values.size
    half = float(stdtrit(n - 1, 0.5 + 0.5 * confidence)) * deviation * float(np.sqrt(1.0 + 1.0 / n))
    return mean, deviation, mean - half, mean + half
