"""Estimators of single items: inverse propensity, self-normalized, doubly robust, switch.

With weights `w = target / logged` of the items shown, and requests as what values are per:

    inverse propensity   mean over requests of  sum_items w r                                    (Horvitz-Thompson 1952)
    self-normalized      sum w r / sum w, times the items per request that the policy would show (Hajek 1971)
    doubly robust        mean over requests of  sum_a q_a f_a + sum_items w (r - f)              (Dudik et al. 2011)
    switch               the same, with the second sum over weights up to a threshold            (Wang et al. 2017)

f are predicted outcomes, q_a the probability that the policy shows candidate a. Outcomes of an item may depend on the
request and the item, not on its place or on the other items: docs/off-policy.md says what to use if they do.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.signals.off_policy.arguments import Options, bounded
from oasis_alloc.signals.off_policy.units import Terms, added, mean_terms, standard_error

_BIAS = 0.25  # largest bound of the switch estimator's bias, in standard errors, of the threshold that is chosen
_THRESHOLDS = 40  # number of thresholds that are tried
NEEDS_A_PREDICTION = ("doubly robust", "switch")


@dataclass(frozen=True)
class Rows:
    """Items that were shown, and the units that they belong to.

    `weights`, `outcomes`, `unit` are (n,), by item shown; `requests`, `expected` are (n_units,): the number of
    requests, and the number of items that the policy would show. `predicted` (n,) are predicted outcomes of the items
    shown, and `direct` (n_units,) those of what the policy would show, added up. `most` is the maximum number of items
    of a request, shown or to be shown.
    """

    weights: Floats
    outcomes: Floats
    unit: Ints
    requests: Floats
    expected: Floats
    most: int
    predicted: Floats | None = None
    direct: Floats | None = None

    def add(self, values: Floats) -> Floats:
        """(n_units,) sums of values of the items shown."""
        return added(values, self.unit, self.requests.size)

    @property
    def logged(self) -> Floats:
        """(n_units,) the outcomes that were logged."""
        return self.add(self.outcomes)


def terms_of(
    rows: Rows, given: Options, threshold: float | None, model_error: float | None, max_weight: float | None
) -> tuple[list[Terms], float | None]:
    """All estimators that the data allow, and the threshold of the switch estimator."""
    w, r, logged, span = rows.weights, rows.outcomes, rows.logged, math.inf
    low, high = -math.inf, math.inf
    if given.interval == "bernstein":
        low, high = bounded(r, given, "interval='bernstein'")
        largest = float(w.max()) if max_weight is None else max_weight
        if largest < w.max():
            raise InputError(f"max_weight={largest:g}: there is a weight of {w.max():g}; expected an upper bound.")
        span = rows.most * largest * (max(high, 0.0) - min(low, 0.0))
    weighted = rows.add(w * r)
    own = np.column_stack((weighted, rows.expected, rows.add(w), rows.requests, logged))
    out = [
        mean_terms("inverse propensity", weighted, rows.requests, logged, span),
        Terms("self-normalized", own, math.inf if span == math.inf else rows.most * largest * (high - low)),
    ]
    if rows.predicted is None or rows.direct is None:
        return out, None
    if given.interval == "bernstein":
        bounded(rows.predicted, given, "interval='bernstein'", "predicted")
        span = rows.most * (high - low) * (1.0 + 2.0 * largest)
    robust = rows.direct + rows.add(w * (r - rows.predicted))
    out.append(mean_terms("doubly robust", robust, rows.requests, logged, span))
    error = _model_errors(rows, given, model_error)
    chosen = _threshold(rows, rows.predicted, rows.direct, error) if threshold is None else threshold
    kept, bias = _switched(rows, rows.predicted, rows.direct, error, chosen)
    if given.interval == "bernstein":
        span = rows.most * (high - low) * (1.0 + 2.0 * min(largest, chosen))
    out.append(mean_terms("switch", kept, rows.requests, logged, span, bias))
    return out, chosen


def _model_errors(rows: Rows, given: Options, model_error: float | None) -> Floats:
    """(n,) a bound of how far each prediction is from the expected outcome."""
    assert rows.predicted is not None
    if model_error is not None:
        return np.full(rows.weights.size, model_error)
    if given.bounds is not None:
        low, high = given.bounds
    else:  # the bias of the switch estimator is bounded by what outcomes there are
        low, high = min(0.0, float(rows.outcomes.min())), max(1.0, float(rows.outcomes.max()))
    return np.maximum(np.abs(rows.predicted - low), np.abs(high - rows.predicted))


def _switched(rows: Rows, predicted: Floats, direct: Floats, error: Floats, threshold: float) -> tuple[Floats, float]:
    """The switch estimator's sums by unit, and a bound of its bias: what predictions above the threshold may miss."""
    small = rows.weights <= threshold
    sums = direct + rows.add(np.where(small, rows.weights * (rows.outcomes - predicted), 0.0))
    bias = float(np.where(small, 0.0, rows.weights * error).sum() / rows.requests.sum())
    return sums, bias


def _threshold(rows: Rows, predicted: Floats, direct: Floats, error: Floats) -> float:
    """The smallest threshold whose bias is at most a quarter of the standard error; the largest weight at worst."""
    largest = float(rows.weights.max())
    if largest <= 1.0:
        return largest
    thresholds = np.geomspace(1.0, largest, _THRESHOLDS)
    first, last = 0, _THRESHOLDS - 1  # the bias falls and the standard error rises with the threshold
    while first < last:
        middle = (first + last) // 2
        sums, bias = _switched(rows, predicted, direct, error, float(thresholds[middle]))
        terms = mean_terms("switch", sums, rows.requests, rows.logged, math.inf)
        if bias <= _BIAS * standard_error(terms.sums, False):
            last = middle
        else:
            first = middle + 1
    return largest if last == _THRESHOLDS - 1 else float(thresholds[last])
