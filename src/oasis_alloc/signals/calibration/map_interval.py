"""The interval of a map at its knots, which also holds where outcomes are rare.

The value T at a knot is a sum `sum_i a_i r_i` of outcomes r, with weights a of least squares. Its variance V by the
residuals is too small where few outcomes were seen, and 0 where none was. So it is averaged with what the map lets
expect, `E = sum_i a_i^2 q_i (1 - q_i)` for outcomes 0 and 1 of probability q, which counts as ten outcomes. One
outcome weighs `w = E / (q (1 - q))`, with q the mean around the knot: 1 / n for the mean of n rows. The interval has
the quantiles of the beta distribution with

    mean      m = (T + w / 2) / (1 + w)
    variance  (V + w (m (1 - m) - T (1 - T))) / (1 + 2 w)

which is Jeffreys' interval for the share of n rows (Brown, Cai and DasGupta, Statistical Science 16:101, 2001), and the
normal interval where there are many outcomes.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.types import Floats

_PRIOR = 10.0  # outcomes that the expected variance counts as
_TINY = 1e-300


def sums_of(smoother: Floats, residual: Floats, expected: Floats) -> Floats:
    """(4, k) what `map_interval` needs of rows: sums of (a r)^2, of a^2 q (1 - q), of |a| q, and of |a|."""
    squares, sizes = smoother**2, np.abs(smoother)
    return np.stack(
        [squares @ residual**2, squares @ (expected * (1.0 - expected)), sizes @ expected, sizes.sum(axis=1)]
    )


def map_interval(value: Floats, sums: Floats, level: float) -> tuple[Floats, Floats]:
    """(low, high), (k,) each, of values whose outcomes have these sums.

    >>> import numpy as np
    >>> n, seen = 1000, np.array([0.0, 0.003, 0.5])  # shares of 1,000 rows
    >>> variance, near = seen * (1 - seen) / n, np.maximum(seen, 1e-9)
    >>> sums = np.stack([variance, near * (1 - near) / n, near, np.ones(3)])
    >>> low, high = map_interval(seen, sums, 0.95)
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.0, 0.0008, 0.469], [0.0025, 0.008, 0.531])
    """
    from scipy.stats import beta

    found, expected, near, size = sums
    q = near / np.maximum(size, _TINY)
    spread = np.maximum(q * (1.0 - q), _TINY)
    w = expected / spread
    events = np.minimum(q, 1.0 - q) / np.maximum(w, _TINY)
    variance = (found * events + expected * _PRIOR) / (events + _PRIOR)
    mean = (value + w / 2) / (1.0 + w)
    wide = mean * (1.0 - mean)
    total = (variance + w * (wide - value * (1.0 - value))) / (1.0 + 2.0 * w)
    count = np.maximum(wide / np.maximum(total, _TINY) - 1.0, 1e-3)
    low, high = (beta.ppf(0.5 + side * level / 2, mean * count, (1.0 - mean) * count) for side in (-1, 1))
    is_exact = ~(total > 0.0)
    low, high = np.where(is_exact, value, low), np.where(is_exact, value, high)
    return np.minimum(low, value), np.maximum(high, value)
