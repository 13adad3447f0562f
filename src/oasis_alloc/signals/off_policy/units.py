"""Sums by independent unit, and one form for all estimators.

A unit is a request, or a user with all requests. Each estimator gives five sums per unit, (a, m, b, n, l), and is

    theta = mean(a) mean(m) / (mean(b) mean(n)),        and       theta - mean(l) / mean(n)

the value per request, and its difference to the logged policy: n counts requests, l has the outcomes that were logged.
With m = b = n it is a mean, `mean(a) / mean(n)`; the self-normalized estimator has the weights in b and the number of
items that the policy would show in m. Both have degree 0, so g = gradient of theta at the means has `g u = 0` at the
means u, and the variance of theta is `g' mean(u u') g / (n_units - 1)`: the delta method, without further terms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from oasis_alloc.common.types import Floats, Ints

SUMS = 5


class Terms(NamedTuple):
    """An estimator on given data.

    `sums` is (n_units, 5). `span` is the length of an interval that holds `a` of every request, infinite if it is not
    known; `bias` is a bound of the estimator's bias.
    """

    name: str
    sums: Floats
    span: float
    bias: float = 0.0

    @property
    def is_mean(self) -> bool:
        """Whether it is a mean over units: its sums m, b and n are the same."""
        return bool((self.sums[:, 1] == self.sums[:, 3]).all() and (self.sums[:, 2] == self.sums[:, 3]).all())


def added(values: Floats, unit: Ints, n_units: int) -> Floats:
    """(n_units,) sums of values by unit."""
    found: Floats = np.bincount(unit, weights=values, minlength=n_units).astype(np.float64, copy=False)
    return found


def mean_terms(name: str, values: Floats, requests: Floats, logged: Floats, span: float, bias: float = 0.0) -> Terms:
    """An estimator that is a mean: `values` per unit, number of requests per unit, logged outcomes per unit."""
    return Terms(name, np.column_stack((values, requests, requests, requests, logged)), span, bias)


def theta(means: Floats, difference: bool) -> Floats:
    """(...,) the estimates at means (..., 5); NaN where no weight or no request is drawn."""
    a, m, b, n, l = np.moveaxis(means, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = a * m / (b * n) - (l / n if difference else 0.0)
    return found


def gradient(means: Floats, difference: bool) -> Floats:
    """(..., 5) derivatives of `theta` at the means."""
    a, m, b, n, l = np.moveaxis(means, -1, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = a * m / (b * n)
        by_n = -value / n + (l / n**2 if difference else 0.0)
        by_l = -1.0 / n if difference else np.zeros_like(n)
        return np.stack((m / (b * n), a / (b * n), -value / b, by_n, by_l), axis=-1)


def standard_error(sums: Floats, difference: bool) -> float:
    """The standard error of an estimate by the delta method."""
    units = sums.shape[0]
    slopes = gradient(sums.mean(axis=0), difference)
    influence = sums @ slopes
    return float(np.sqrt(np.mean(influence**2) / (units - 1))) if units > 1 else float("nan")
