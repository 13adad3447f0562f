"""The value of a solution with its standard error, corrected for selection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.documents import Document
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError
from oasis_alloc.signals.uncertainty.amounts import Shown, checked_confidence, draws_interval, normal_interval
from oasis_alloc.signals.uncertainty.draws import Draws
from oasis_alloc.signals.uncertainty.shrinkage import Prior
from oasis_alloc.signals.uncertainty.solve import UncertainSolution
from oasis_alloc.solution import Solution

if TYPE_CHECKING:
    from oasis_alloc.statement.measures import MeasureTerm


@dataclass(frozen=True)
class ValueEstimate(Document, form="value_estimate"):
    """What the objective of an allocation will be; made by `estimate_value`. `print` shows it as a sentence.

    Attributes
    ----------
    value, standard_error
        The estimate and the standard deviation of its error.
    low, high
        The interval that contains the true value with probability `confidence`.
    stated
        The objective at the candidates' own columns, which is what the solve reports.
    method
        "shrinkage", "second prediction" or "draws".

    Example
    -------
    >>> import oasis_alloc as oa
    >>> print(oa.ValueEstimate(930.0, 6.0, 918.2, 941.8, 1000.0, "shrinkage", 0.95))
    930 +- 12 (95 %), by shrinkage; the solve states 1,000, which is 7.5 % too high
    """

    value: float
    standard_error: float
    low: float
    high: float
    stated: float
    method: str
    confidence: float

    @property
    def optimism(self) -> float:
        """`stated - value`: what selection by overestimated candidates adds to the stated objective."""
        return self.stated - self.value

    def __str__(self) -> str:
        half = 0.5 * (self.high - self.low)
        text = f"{self.value:,.4g} +- {half:,.2g} ({100 * self.confidence:g} %), by {self.method}"
        if self.value == 0.0 or abs(self.optimism) <= half:
            return f"{text}; the solve states {self.stated:,.4g}"
        share = self.optimism / abs(self.value)
        way = "too high" if share > 0 else "too low"
        return f"{text}; the solve states {self.stated:,.4g}, which is {100 * abs(share):.2g} % {way}"


@suggesting
def estimate_value(
    solution: Solution | UncertainSolution,
    *,
    draws: Draws | None = None,
    check: Candidates | None = None,
    by: str | None = None,
    confidence: float = 0.95,
) -> ValueEstimate:
    """Estimate the objective that an allocation will really have, with a standard error.

    An allocation is selected by predictions, so the predictions of what it shows are too high on average: the winner's
    curse. Without `draws` and `check`, the columns that have standard deviations are shrunk to the mean of all
    candidates, so that the selection no longer matters.

    Parameters
    ----------
    solution
        Of `oa.solve` or `oa.solve_uncertain`.
    draws
        Draws that were not used to find the solution: the estimate is the mean of the objective over them, its
        standard error their standard deviation.
    check
        The same users, items and pairs with predictions that are independent of those of the solution, and with
        `uncertainty`: from other data, or the second part of `oa.split_predictions`.
    by
        For shrinkage, a key of the items: candidates are shrunk to the mean of their group. Items without a label are a
        group.
    confidence
        Coverage of the interval, in (0, 1).

    Returns
    -------
    ValueEstimate
        In units of the objective.

    Raises
    ------
    ProblemError
        For anything but a solution, both `draws` and `check`, columns without standard deviations, other pairs, a
        confidence outside (0, 1).
    SolverError
        For an infeasible problem.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> rng = np.random.default_rng(0)
    >>> seen = rng.normal(1.0, 0.2, 400) + 0.2 * rng.standard_normal(400)
    >>> cands = oa.Candidates.from_arrays(
    ...     np.arange(41) * 10, np.tile(np.arange(10), 40), {"r": seen}, uncertainty={"r": np.full(400, 0.2)})
    >>> estimate = oa.estimate_value(oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(2))))
    >>> round(estimate.stated), round(estimate.value), round(estimate.standard_error, 1)
    (109, 96, 1.7)
    """
    own = Shown.of(solution, "estimate_value(solution)")
    coverage = checked_confidence(confidence, "estimate_value(...)")
    if draws is not None and check is not None:
        raise ProblemError("estimate_value(...): give draws= or check=, not both.")
    if draws is not None:
        method, found = "draws", draws_interval(own.in_draws(draws, "estimate_value(draws=...)"), coverage)
    elif check is not None:
        method, found = "second prediction", normal_interval(*_by_check(own, check), coverage)
    else:
        method = "shrinkage"
        found = normal_interval(*by_shrinkage(own, "estimate_value(solution)", by), coverage)
    return ValueEstimate(*found, own.stated, method, coverage)


def check_deviations(own: Shown, what: str) -> list[MeasureTerm]:
    """The uncertain terms of the objective; `ProblemError` if there are none."""
    terms = own.uncertain_terms
    if not terms:
        raise ProblemError(
            f"{what}: no column of the linear part of {own.problem.maximize} has standard deviations; expected "
            "Candidates.from_arrays(..., uncertainty={column: standard deviations}), or draws=."
        )
    return terms


def by_shrinkage(
    own: Shown, what: str, by: str | None = None, amounts: list[Floats] | None = None, base: float | None = None
) -> tuple[float, float]:
    """(mean, variance) of the objective with every uncertain column shrunk to the mean of all its candidates.

    With `amounts`, one array over `own.pairs` for each uncertain term, they count instead of what is shown.
    """
    cands, terms = own.problem.candidates, check_deviations(own, what)
    mean, variance = (own.stated if base is None else base), 0.0
    group = _groups(cands, by)
    for k, term in enumerate(terms):
        assert term.column is not None
        column = cands.columns[term.column].astype(np.float64)
        deviation = cands.uncertainty[term.column].astype(np.float64)
        amount = own.amounts(term) if amounts is None else amounts[k]
        if base is None:
            mean -= float(amount @ column[own.pairs])
        for g in np.unique(group[own.pairs]):
            every, here = np.flatnonzero(group == g), group[own.pairs] == g
            prior, pairs = Prior.of(column[every], deviation[every]), own.pairs[here]
            part, spread = prior.corrected(column[pairs], deviation[pairs], amount[here])
            mean, variance = mean + part, variance + spread
    return mean, variance


def _groups(cands: Candidates, by: str | None) -> npt.NDArray[np.int64]:
    """(n_pairs,) the group of each pair's item; one group for all without a key."""
    if by is None:
        return np.zeros(cands.n_pairs, np.int64)
    if by not in cands.items:
        raise ProblemError(
            f"estimate_value(by={by!r}): the items have no such key; expected one of {list(cands.items)}."
        )
    grouping = cands.grouping(by)
    return grouping.of(np.zeros(cands.n_pairs, np.int64), grouping.item_part[cands.item]).astype(np.int64)


def _by_check(own: Shown, check: object) -> tuple[float, float]:
    """(mean, variance) of the objective with the columns of other candidates, whose errors are independent."""
    cands = own.problem.candidates
    if not isinstance(check, Candidates):
        raise ProblemError(f"estimate_value(check=...): expected oa.Candidates, got {type(check).__name__}.")
    if check.n_pairs != cands.n_pairs or not (
        np.array_equal(check.indptr, cands.indptr) and np.array_equal(check.item, cands.item)
    ):
        raise ProblemError("estimate_value(check=...): other pairs than those of the solution; expected the same ones.")
    mean, variance, found = own.stated, 0.0, False
    linear = own.problem.maximize.linear
    for term in () if linear is None else linear.terms:
        name = term.column or ""
        if name in check.uncertainty:
            amount, found = own.amounts(term), True
            deviation = check.uncertainty[name][own.pairs].astype(np.float64)
            mean += float(amount @ (check.columns[name][own.pairs] - cands.columns[name][own.pairs]))
            variance += float((amount * deviation) @ (amount * deviation))
    if not found:
        raise ProblemError(
            "estimate_value(check=...): these candidates have no standard deviations for a column of the objective; "
            "expected Candidates.from_arrays(..., uncertainty={column: standard deviations})."
        )
    return mean, variance
