"""What the gate measures against: one pass in plain NumPy. FROZEN: a change here voids all ratios that are kept.

Gather the prices, clip, add up by campaign, a few hundred users at a time, so that it all stays in the cache and the
time depends on the processor and little else. `benchmarks/gate.json` has a hash of this file.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BLOCK = 256  # users


def one_pass(
    value: NDArray[np.float32], code: NDArray[np.uint16], price: Floats, threshold: Floats, gamma: float
) -> tuple[float, Floats]:
    """(sum s x, sum of x by code) of x = clip((s - t) / gamma, 0, 1), s = v - price; value and code (users, degree)."""
    worth = 0.0
    load = np.zeros(price.size)
    for first in range(0, len(value), _BLOCK):
        here = slice(first, first + _BLOCK)
        s = value[here] - price[code[here]]
        x = np.clip((s - threshold[here, None]) / gamma, 0.0, 1.0)
        worth += float((s * x).sum())  # not by BLAS, which may start threads
        load += np.bincount(code[here].ravel(), x.ravel(), price.size)
    return worth, load


def settled(
    value: NDArray[np.float32], code: NDArray[np.uint16], caps: Floats, size: int, steps: int = 60
) -> tuple[Floats, Floats]:
    """(prices near those that keep the caps, thresholds): plain descent, so that no solver has a say in the inputs."""
    price = np.zeros(caps.size)
    threshold = np.zeros(len(value))
    unit = 0.5 * float(np.abs(value).mean())
    for k in range(steps):
        s = value - price[code]
        top = np.partition(s, -(size + 1), axis=1)[:, -(size + 1) :]
        threshold = np.maximum(0.0, 0.5 * (top.min(axis=1) + np.partition(top, 1, axis=1)[:, 1]))
        load = np.bincount(code.ravel(), (s > threshold[:, None]).ravel(), caps.size)
        step = unit / (1.0 + 0.2 * k)
        price = np.maximum(0.0, price + step * np.clip((load - caps) / np.maximum(1.0, caps), -1.0, 1.0))
    return price, threshold
