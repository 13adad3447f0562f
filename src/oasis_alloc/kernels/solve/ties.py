"""Slates by size if no threshold has the right mass: mixtures of the slates at two neighboring numbers.

Where scores differ by no more than roundings (ties, above all) and the smoothing is smaller still, a threshold lets in
too many candidates or too few: neighboring numbers cannot determine which part of a tie is shown.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]

_EXACT = 1e-12  # of the size: a mass that is left as it is


@jit(allocates=False)
def spread(c: Floats, m: int, size: int, low: float, high: float, gamma: float, x: Floats) -> None:
    """Write the slate of c[:m] at thresholds low <= high into x, mixed so that its mass is `size` where they differ."""
    if low == high:
        for i in range(m):
            x[i] = min(1.0, max(0.0, (c[i] - high) / gamma))
        return
    under = 0.0
    over = 0.0
    for i in range(m):
        x[i] = min(1.0, max(0.0, (c[i] - high) / gamma))
        under += x[i]
        over += min(1.0, max(0.0, (c[i] - low) / gamma))
    if under < size and over > under:
        share = min(1.0, (size - under) / (over - under))
        for i in range(m):
            x[i] += share * (min(1.0, max(0.0, (c[i] - low) / gamma)) - x[i])


@jit(allocates=False)
def spread_around(c: Floats, m: int, size: int, t: float, gamma: float, x: Floats) -> None:
    """As `spread`, at a threshold t > 0 whose mass is `size` or as near as neighboring numbers let it be."""
    mass = 0.0
    for i in range(m):
        mass += min(1.0, max(0.0, (c[i] - t) / gamma))
    low = high = t
    if mass > size * (1.0 + _EXACT):
        high = float(np.nextafter(t, np.inf))
    elif mass < size * (1.0 - _EXACT):
        low = float(np.nextafter(t, -np.inf))
    spread(c, m, size, low, high, gamma, x)
