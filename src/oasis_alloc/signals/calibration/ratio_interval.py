"""The interval of a ratio of outcomes to predictions, which also holds for a handful of outcomes.

The sum of weighted outcomes T is close to w times a Poisson number of events, where w is the variance of T over T: of
one outcome, its weight. A normal interval is too short above if there are few, because few outcomes come with a small
estimate of their variance. So the interval has the quantiles of the gamma distribution with the mean `T + w / 2` and
the variance `(T + w / 2) w`: Jeffreys' interval of a Poisson mean if all weights are equal (Brown, Cai and DasGupta,
Statistica Sinica 13:19, 2003), and the normal interval if there are many events. For weights that differ it is close
to that of Fay and Feuer (Statistics in Medicine 16:791, 1997), without their margin for the largest weight.

A few events also say little of w. It is averaged with what predictions and weights let expect, which counts as ten
events: independent rows with outcomes 0 and 1.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.types import Floats, Ints

_PRIOR = 10.0  # events that the expected variance of an event counts as


def ratio_interval(p: Floats, y: Floats, w: Floats, cluster: Ints, level: float) -> tuple[float, float, float, float]:
    """(ratio, standard error, low, high) of `sum w y / sum w p`, with rows of a cluster that depend on each other.

    >>> import numpy as np
    >>> p, one = np.full(1000, 0.01), np.ones(1000)
    >>> y = np.repeat([1.0, 0.0], [3, 997])
    >>> [round(number, 2) for number in ratio_interval(p, y, one, np.arange(1000), 0.95)]
    [0.3, 0.17, 0.08, 0.8]
    >>> [round(number, 2) for number in ratio_interval(p, 0.0 * y, one, np.arange(1000), 0.95)]
    [0.0, 0.0, 0.0, 0.25]
    """
    from scipy.stats import gamma, norm, t

    n = int(cluster.max()) + 1
    expected, total = float(w @ p), float(w @ y)
    ratio = total / expected
    residual = np.bincount(cluster, w * (y - ratio * p), n)
    variance = n / (n - 1) * float(residual @ residual)
    events = np.count_nonzero(np.bincount(cluster, w * y, n))
    size = np.abs(p)  # a noisy prediction of a rare outcome may be below 0
    of_event = float((w**2 * size) @ np.clip(1.0 - ratio * p, 0.0, 1.0)) / float(
        w @ size
    )  # the variance over the total
    if total > 0.0:
        of_event = (variance / total * events + of_event * _PRIOR) / (events + _PRIOR)
    widening = float(t.ppf(0.5 + level / 2, n - 1) / norm.ppf(0.5 + level / 2)) ** 2
    mean = total + of_event / 2
    spread = of_event * widening  # variance of the total over its mean
    if not spread > 0.0:
        return ratio, 0.0, ratio, ratio
    low, high = (float(gamma.ppf(0.5 + side * level / 2, mean / spread, scale=spread)) / expected for side in (-1, 1))
    return ratio, float(np.sqrt(variance)) / expected, min(low, ratio) if total > 0.0 else 0.0, max(high, ratio)
