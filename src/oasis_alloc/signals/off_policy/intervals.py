"""Confidence intervals: studentized bootstrap, empirical Bernstein, normal.

The bootstrap is studentized (Efron and Tibshirani 1993, section 12.5): resamples give the distribution of (theta* -
theta) / se*, which is skewed where weights are. All estimators share the resamples. Sums of products of the five sums
of a unit are enough for theta* and se*, so a resample costs one product of matrices.

The empirical Bernstein interval (Maurer and Pontil 2009, theorem 4) holds for any distribution of bounded outcomes. It
is a bound, so it is wide: with n units of which each has a term within an interval of length R,

    |mean - expectation| <= sqrt(2 V ln(4 / alpha) / n) + 7 R ln(4 / alpha) / (3 (n - 1))
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.signals.off_policy.units import SUMS, Terms, gradient, standard_error, theta

KINDS = ("bootstrap", "bernstein", "normal")
_UNITS = 5_000  # units that are resampled: more are first added up at random, which keeps mean, variance and skewness
_ENTRIES = 4_000_000  # of counts at a time
_UPPER = np.triu_indices(SUMS)
_STEPS = 60  # halvings of the interval that is searched for the end of an inverted bound

Interval = tuple[float, float]


def intervals(
    found: Sequence[Terms], kind: str, confidence: float, resamples: int, seed: int, per_request: float, outcomes: float
) -> list[tuple[Interval, Interval]]:
    """(interval of theta, interval of its difference to the logged policy) of every estimator.

    `per_request` is the mean number of items that the policy would show, and `outcomes` the length of an interval
    that holds the outcomes of every request: both for Bernstein's.
    """
    if kind == "bernstein":
        return [_bernstein_of(one, 1.0 - confidence, per_request, outcomes) for one in found]
    tails = _normal(found, confidence) if kind == "normal" else _bootstrap(found, confidence, resamples, seed)
    out = []
    for one, (plain, apart) in zip(found, tails, strict=True):
        means = one.sums.mean(axis=0)
        both = []
        for difference, (low, high) in ((False, plain), (True, apart)):
            value, error = float(theta(means, difference)), standard_error(one.sums, difference)
            more = _bias_margin(one.bias, error, confidence)
            both.append((value + low * error - more, value + high * error + more) if error > 0.0 else (value, value))
        out.append((both[0], both[1]))
    return out


def _bias_margin(bias: float, error: float, confidence: float) -> float:
    """What a bound of the bias adds to each side: the quantile of |N(bias / error, 1)| instead of |N(0, 1)|."""
    from scipy.stats import ncx2, norm

    if bias <= 0.0 or error <= 0.0:
        return max(bias, 0.0)
    ratio = bias / error
    quantile = math.sqrt(ncx2.ppf(confidence, 1, ratio**2)) if ratio < 30.0 else ratio + norm.ppf(confidence)
    return float(quantile - norm.ppf(0.5 + confidence / 2)) * error


def _normal(found: Sequence[Terms], confidence: float) -> list[tuple[Interval, Interval]]:
    from scipy.stats import norm

    z = float(norm.ppf(0.5 + confidence / 2))
    return [((-z, z), (-z, z)) for _ in found]


def _bootstrap(found: Sequence[Terms], confidence: float, resamples: int, seed: int) -> list[tuple[Interval, Interval]]:
    """For every estimator, the two quantiles by which its standard error is multiplied, twice."""
    rng = np.random.default_rng(seed)
    stacked = np.concatenate([one.sums for one in found], axis=1)
    if stacked.shape[0] > _UNITS:
        place = rng.permutation(stacked.shape[0]) % _UNITS
        stacked = np.column_stack([np.bincount(place, column, _UNITS) for column in stacked.T])
    units, width = stacked.shape[0], len(_UPPER[0])
    parts = [stacked]
    for k in range(len(found)):
        sums = stacked[:, k * SUMS : (k + 1) * SUMS]
        parts.append(sums[:, _UPPER[0]] * sums[:, _UPPER[1]])
    features = np.concatenate(parts, axis=1)
    drawn = np.concatenate(list(_resampled(features, resamples, rng)))
    out = []
    for k in range(len(found)):
        means, first = drawn[:, k * SUMS : (k + 1) * SUMS], len(found) * SUMS + k * width
        squares = np.empty((resamples, SUMS, SUMS))
        squares[:, _UPPER[0], _UPPER[1]] = drawn[:, first : first + width]
        squares[:, _UPPER[1], _UPPER[0]] = drawn[:, first : first + width]
        center = stacked[:, k * SUMS : (k + 1) * SUMS].mean(axis=0)
        both = [_tails(means, squares, center, difference, units, confidence) for difference in (False, True)]
        out.append((both[0], both[1]))
    return out


def _resampled(features: Floats, resamples: int, rng: np.random.Generator) -> list[Floats]:
    """Means of the features over units drawn with replacement, one row per resample."""
    units = features.shape[0]
    at_once = max(1, _ENTRIES // units)
    out = []
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        drawn = rng.integers(units, size=(rows, units)) + units * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)
        out.append(counts.astype(np.float64) @ features / units)
    return out


def _tails(means: Floats, squares: Floats, center: Floats, difference: bool, units: int, confidence: float) -> Interval:
    """What to multiply the standard error by at both ends: minus the upper and minus the lower quantile of t*."""
    apart = theta(means, difference) - theta(center, difference)
    slopes = gradient(means, difference)
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(np.maximum(np.einsum("bi,bij,bj->b", slopes, squares, slopes), 0.0) / (units - 1))
        ratio = apart / error
    # a resample without any outcome has no error of its own: it says nothing of how far it may be off
    ratio = np.where(error > 0.0, ratio, np.where(apart > 0.0, np.inf, np.where(apart < 0.0, -np.inf, 0.0)))
    ratio[np.isnan(ratio)] = -np.inf
    tail = (1.0 - confidence) / 2
    low = float(np.quantile(ratio, 1.0 - tail, method="higher"))
    high = float(np.quantile(ratio, tail, method="lower"))
    return -low, -high


def _bernstein_of(one: Terms, alpha: float, per_request: float, outcomes: float) -> tuple[Interval, Interval]:
    a, _, b, _, logged = one.sums.T
    if one.is_mean:
        value, apart = _bernstein(a, one.span, alpha), _bernstein(a - logged, one.span + outcomes, alpha)
        return (value[0] - one.bias, value[1] + one.bias), (apart[0] - one.bias, apart[1] + one.bias)
    value = _inverted(a, b, one.span, alpha, per_request)
    both = _inverted(a, b, one.span, alpha / 2, per_request)  # each of two intervals misses with half the probability
    other = _bernstein(logged, outcomes, alpha / 2)
    return value, (both[0] - other[1], both[1] - other[0])


def _radius(values: Floats, span: float, alpha: float) -> float:
    n, log = values.size, math.log(4.0 / alpha)
    return math.sqrt(2.0 * float(values.var(ddof=1)) * log / n) + 7.0 * span * log / (3.0 * (n - 1))


def _bernstein(values: Floats, span: float, alpha: float) -> Interval:
    mean, radius = float(values.mean()), _radius(values, span, alpha)
    return mean - radius, mean + radius


def _inverted(a: Floats, b: Floats, span: float, alpha: float, per_request: float) -> Interval:
    """All theta for which the mean of `a - theta b / per_request` may be 0; infinite where no end is found."""
    center = float(a.sum() / b.sum()) * per_request

    def is_possible(value: float) -> bool:
        terms = a - value / per_request * b
        return abs(float(terms.mean())) <= _radius(terms, span, alpha)

    ends = []
    for sign in (-1.0, 1.0):
        step = max(abs(center), span) * 1e-3
        while is_possible(center + sign * step) and step < 1e3 * max(abs(center), span):
            step *= 2.0
        if is_possible(center + sign * step):
            ends.append(sign * math.inf)
            continue
        inside = 0.0
        for _ in range(_STEPS):
            middle = (inside + step) / 2
            inside, step = (middle, step) if is_possible(center + sign * middle) else (inside, middle)
        ends.append(center + sign * step)
    return ends[0], ends[1]
