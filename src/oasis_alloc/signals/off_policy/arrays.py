"""`oa.off_policy`: estimates from arrays of outcomes and probabilities."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.types import Floats
from oasis_alloc.data.row_labels import in_one_order
from oasis_alloc.errors import InputError
from oasis_alloc.signals.off_policy.arguments import (
    Options,
    informative,
    logged_propensities,
    numbered,
    numbers,
    options,
    target_probabilities,
)
from oasis_alloc.signals.off_policy.estimators import Rows, terms_of
from oasis_alloc.signals.off_policy.intervals import intervals
from oasis_alloc.signals.off_policy.result import OffPolicy, OffPolicyEstimate
from oasis_alloc.signals.off_policy.units import Terms, added, mean_terms, standard_error, theta
from oasis_alloc.signals.off_policy.weights import OffPolicyWeights, cautions, refusals, weights_of

if TYPE_CHECKING:
    from oasis_alloc.common.types import LabelsLike


@suggesting
def off_policy(
    outcomes: ArrayLike,
    logged: ArrayLike,
    target: ArrayLike,
    *,
    requests: LabelsLike | None = None,
    expected: ArrayLike | None = None,
    predicted: ArrayLike | None = None,
    predicted_target: ArrayLike | None = None,
    threshold: float | None = None,
    model_error: float | None = None,
    interval: str = "bootstrap",
    confidence: float = 0.95,
    bounds: tuple[float, float] | None = None,
    max_weight: float | None = None,
    min_effective: float = 30.0,
    resamples: int = 1_000,
    seed: int = 0,
) -> OffPolicy:
    """Estimate what another policy would have earned per request, from items that were shown with known propensities.

    Parameters
    ----------
    outcomes
        (n,) finite numbers: what came of each item that was shown, such as 1 for a click.
    logged
        (n,) the probability, in (0, 1], with which each item was shown.
    target
        (n,) the probability, in [0, 1], with which the other policy would have shown it in the same request.
    requests
        (n,) labels of requests, for slates: values are per request, and items of a request depend on each other. By
        default each row is a request.
    expected
        (n,) per row, added up over a request: number of items that the other policy would show there; by default 1.
    predicted, predicted_target
        (n,) predicted outcome of the item that was shown, and, added up over the rows of a request, of what the other
        policy would show: `sum_a q_a f_a`. Both are needed for the doubly robust and the switch estimator.
    threshold
        Largest weight that the switch estimator uses. By default the smallest one whose bias is at most a quarter of
        its standard error, whatever the predictions.
    model_error
        A bound of how far predictions are from expected outcomes, by which the switch estimator's bias is bounded; by
        default the distance to the bounds of outcomes.
    interval, confidence
        "bootstrap" (studentized), "bernstein" (empirical Bernstein, a guarantee for outcomes within bounds; wider) or
        "normal", and the probability with which intervals hold.
    bounds
        (lowest, highest) possible outcome, for "bernstein" and the switch estimator; by default (0, 1).
    max_weight
        For "bernstein": the largest weight that is possible; by default the largest one found.
    min_effective
        Effective sample size below which the estimates are refused; 0 refuses nothing.
    resamples, seed
        Number of resamples of the bootstrap, and their seed.

    Returns
    -------
    OffPolicy
        Estimates with intervals, what the weights carry, and a verdict.

    Raises
    ------
    InputError
        For arrays of different lengths, numbers that are not finite, a propensity of 0 or above 1, outcomes that are
        all the same, and outcomes outside their bounds where bounds matter.

    Notes
    -----
    With weights `w = target / logged`: inverse propensity is the mean of `w r` per request, self-normalized is `sum w r
    / sum w` times the items per request, doubly robust is the mean of `sum_a q_a f_a + w (r - f)` (Dudik, Langford, Li
    2011), switch the same with weights up to a threshold (Wang, Agarwal, Dudik 2017). See docs/off-policy.md.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> rng = np.random.default_rng(0)
    >>> shown = rng.integers(3, size=3000)                              # one of three items, each with 1/3
    >>> clicks = rng.random(3000) < np.array([0.1, 0.2, 0.3])[shown]
    >>> target = np.array([0.0, 0.2, 0.8])[shown]                       # worth 0.28
    >>> found = oa.off_policy(clicks, np.full(3000, 1 / 3), target)
    >>> found["inverse propensity"].low < 0.28 < found["inverse propensity"].high
    True
    """
    given = options(interval, confidence, resamples, seed, min_effective, bounds, "off_policy")
    outcomes, logged, target, requests, expected, predicted, predicted_target = in_one_order(
        outcomes=outcomes, logged=logged, target=target, requests=requests, expected=expected, predicted=predicted,
        predicted_target=predicted_target,
    )  # fmt: skip
    r = numbers(outcomes, "outcomes")
    w = target_probabilities(target, r.shape) / logged_propensities(logged, r.shape)
    informative(r)
    n = r.size
    unit, n_units = (np.arange(n), n) if requests is None else numbered(requests, n, "requests")
    if n_units < 2:
        raise InputError("requests: there is one request; expected two or more.")
    items = np.bincount(unit, minlength=n_units)
    per_row = np.ones(n) if expected is None else numbers(expected, "expected", r.shape)
    if (predicted is None) != (predicted_target is None):
        raise InputError("predicted and predicted_target belong together: pass both, or neither.")
    rows = Rows(
        w, r, unit, np.ones(n_units), added(per_row, unit, n_units),
        max(int(items.max()), math.ceil(added(per_row, unit, n_units).max())),
        None if predicted is None else numbers(predicted, "predicted", r.shape),
        None if predicted_target is None
        else added(numbers(predicted_target, "predicted_target", r.shape), unit, n_units),
    )  # fmt: skip
    return evaluated(rows, given, threshold, model_error, max_weight, "off_policy")


def evaluated(
    rows: Rows,
    given: Options,
    threshold: float | None,
    model_error: float | None,
    max_weight: float | None,
    what: str,
) -> OffPolicy:
    """Estimates from rows that have been checked."""
    for name, value in (("threshold", threshold), ("model_error", model_error), ("max_weight", max_weight)):
        number = 0.0 if value is None else as_real(value)
        if number is None or not number >= 0.0:
            raise InputError(f"{what}({name}={shown(value)}): expected a number, 0 or more.")
    terms, chosen = terms_of(rows, given, threshold, model_error, max_weight)
    if not rows.expected.sum() > 0.0:
        raise InputError("the policy shows nothing in any of these requests; there is nothing to evaluate.")
    weights = weights_of(rows.weights, rows.outcomes, rows.add(rows.weights), rows.expected)
    return result_of(terms, rows.requests, rows.logged, weights, given, rows.most, float(rows.expected.sum()), chosen)


def result_of(
    terms: list[Terms],
    requests: Floats,
    logged: Floats,
    weights: OffPolicyWeights,
    given: Options,
    most: int,
    expected: float,
    threshold: float | None = None,
) -> OffPolicy:
    """The result of estimators on the same units; `expected` is the sum of the items that the policy would show."""
    low, high = given.bounds or (0.0, 1.0)
    refused = refusals(weights, given.min_effective)
    own = mean_terms("logged policy", logged, requests, logged, most * (high - low))
    every = [own] if refused else [own, *terms]
    found = intervals(
        every, given.interval, given.confidence, given.resamples, given.seed, expected / float(requests.sum()),
        most * (high - low),
    )  # fmt: skip
    estimates = []
    for one, (plain, apart) in zip(every, found, strict=True):
        means = one.sums.mean(axis=0)
        estimates.append(
            OffPolicyEstimate(
                one.name, float(theta(means, False)), standard_error(one.sums, False), *plain,
                0.0 if one is own else float(theta(means, True)), *((0.0, 0.0) if one is own else apart),
            )
        )  # fmt: skip
    return OffPolicy(
        tuple(estimates[1:]), estimates[0], weights, () if refused else tuple(cautions(weights)), tuple(refused),
        int(requests.sum()), requests.size, given.interval, given.confidence, threshold,
    )  # fmt: skip
