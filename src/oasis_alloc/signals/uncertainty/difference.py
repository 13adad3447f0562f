"""Whether two solutions differ by more than the noise of the predictions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.documents import Document
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError
from oasis_alloc.signals.uncertainty.amounts import Shown, checked_confidence, draws_interval, normal_interval
from oasis_alloc.signals.uncertainty.draws import Draws
from oasis_alloc.signals.uncertainty.estimate import by_shrinkage
from oasis_alloc.signals.uncertainty.solve import UncertainSolution
from oasis_alloc.solution import Solution


@dataclass(frozen=True)
class ValueDifference(Document, form="value_difference"):
    """The difference of the objectives of two allocations; made by `value_difference`, `print` shows it as a sentence.

    Attributes
    ----------
    difference, standard_error
        Value of the second minus value of the first, and the standard deviation of its error.
    low, high
        The interval that contains the true difference with probability `confidence`.
    stated
        The difference at the candidates' own columns.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> print(oa.ValueDifference(0.8, 0.97, -1.1, 2.7, 1.5, 0.95))
    the two solutions differ by 0.8 +- 1.9 (95 %): less than noise
    """

    difference: float
    standard_error: float
    low: float
    high: float
    stated: float
    confidence: float

    @property
    def is_noise(self) -> bool:
        """Whether the interval contains 0, so that either solution may be the better one."""
        return self.low <= 0.0 <= self.high

    def __str__(self) -> str:
        half = 0.5 * (self.high - self.low)
        text = f"the two solutions differ by {self.difference:,.3g} +- {half:,.2g} ({100 * self.confidence:g} %)"
        if self.is_noise:
            return f"{text}: less than noise"
        return f"{text}: the {'second' if self.difference > 0 else 'first'} one is better"


@suggesting
def value_difference(
    first: Solution | UncertainSolution,
    second: Solution | UncertainSolution,
    *,
    draws: Draws | None = None,
    confidence: float = 0.95,
) -> ValueDifference:
    """Compare the objectives that two allocations will really have.

    Errors of pairs that both show cancel, so the difference is known better than either value. Without `draws`,
    columns that have standard deviations are shrunk as in `estimate_value`: a solution that was selected by them would
    look better than it is. Both are judged by the objective, columns and supply of the first solution's problem; parts
    of the objective that are not linear are each solution's own.

    Parameters
    ----------
    first, second
        Solutions over the same users, items and pairs.
    draws
        Draws of the first solution's candidates, not used to find either solution.
    confidence
        Coverage of the interval, in (0, 1).

    Raises
    ------
    ProblemError
        For anything but two solutions of the same pairs, a confidence outside (0, 1), and columns without standard
        deviations.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]},
    ...     uncertainty={"r": [0.3, 0.3, 0.3, 0.3]})
    >>> free = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1)))
    >>> capped = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure(by="song") <= 1.0, oa.Slate(1)))
    >>> oa.value_difference(capped, free).is_noise
    True
    """
    coverage = checked_confidence(confidence, "value_difference(...)")
    one, other = Shown.of(first, "value_difference(first)"), Shown.of(second, "value_difference(second)")
    mine, theirs = one.problem.candidates, other.problem.candidates
    if not (np.array_equal(mine.indptr, theirs.indptr) and np.array_equal(mine.item, theirs.item)):
        raise ProblemError("value_difference(...): the two solutions are over other pairs; expected the same ones.")
    other = Shown(one.problem, other.pairs, other.x, other.rest)
    stated = other.stated - one.stated
    if draws is not None:
        what = "value_difference(draws=...)"
        change = other.in_draws(draws, what) - one.in_draws(draws, what)
        return ValueDifference(*draws_interval(change, coverage), stated, coverage)
    pairs, x = _changed(one, other)
    moved = Shown(one.problem, pairs, x, 0.0)
    mean, variance = by_shrinkage(moved, "value_difference(...)")
    found = normal_interval(mean + (other.rest - one.rest), variance, coverage)
    return ValueDifference(*found, stated, coverage)


def _changed(one: Shown, other: Shown) -> tuple[np.ndarray, Floats]:
    """Pairs whose probability differs, and by how much."""
    change = np.zeros(one.problem.candidates.n_pairs)
    change[other.pairs] += other.x
    change[one.pairs] -= one.x
    pairs = np.flatnonzero(change)
    return pairs, change[pairs]
