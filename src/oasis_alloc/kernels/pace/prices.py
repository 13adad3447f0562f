"""Steps of prices; an entry per goal. The controllers of `pacing/controllers/` say what each of them is."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


class Interval(NamedTuple):
    """One interval between two ticks as the controllers of these kernels see it, an entry per goal."""

    live: Flags  # the others keep their price
    price: Floats
    low: Floats  # the range of the price
    high: Floats
    scale: Floats  # of the price
    used: Floats
    floor: Floats  # planned for the interval; minus infinity without a floor
    cap: Floats  # infinite without a cap
    unit: Floats  # the limit, as a size to divide by


@jit(inline=True)
def within(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)


@jit(inline=True)
def missed(price: float, used: float, floor: float, cap: float, unit: float) -> float:
    """How far an interval is above its plan: of the cap where the price is above 0, of the floor where it is below."""
    planned = within(used, floor, cap)
    if price > 0.0:
        planned = cap
    elif price < 0.0:
        planned = floor
    if not math.isfinite(planned):  # a side without a limit pulls its price back to 0 in one step
        planned = used + np.sign(price) * unit
    return used - planned


@jit(inline=True)
def limited(price: float, wanted: float, low: float, high: float) -> float:
    """A price in its range, stopped at 0 where it would change its sign."""
    out = within(wanted, low, high)
    return 0.0 if price * out < 0.0 else out


@jit
def errors(price: Floats, used: Floats, floor: Floats, cap: Floats, unit: Floats, out: Floats) -> None:
    """`missed` of all goals."""
    for r in range(price.size):
        out[r] = missed(price[r], used[r], floor[r], cap[r], unit[r])


@jit
def adaptive(
    interval: Interval, elapsed: Floats, first: float, track: float, slow: float, step: float, caps_only: bool,
    out: Floats,
) -> None:  # fmt: skip
    """Steps that shrink with the part of the flight that has passed, or is still to come."""
    live, price, low, high, scale, used, floor, cap, unit = interval
    for r in range(price.size):
        out[r] = price[r]
        if not live[r]:
            continue
        near = min(elapsed[r], 1.0 - elapsed[r])  # what has not been corrected at the end is lost
        tau = within(slow * near, first, max(track, first))
        tau = max(tau, 1.0 / (step * unit[r]))  # one showing alone moves a price by at most a step
        error = missed(price[r], used[r], floor[r], cap[r], unit[r])
        x = within(error / (unit[r] * tau), -step, step)
        out[r] = limited(price[r], price[r] + scale[r] * x, low[r], high[r])
        if caps_only:
            out[r] = max(out[r], 0.0)


@jit
def mirror(interval: Interval, tau: float, step: float, entropic: bool, out: Floats) -> None:
    """Steps of one size, of the price or, `entropic`, of asinh(price / scale)."""
    live, price, low, high, scale, used, floor, cap, unit = interval
    for r in range(price.size):
        out[r] = price[r]
        if not live[r]:
            continue
        error = missed(price[r], used[r], floor[r], cap[r], unit[r])
        x = within(error / (unit[r] * tau), -step, step)
        wanted = price[r] + scale[r] * x
        if entropic:
            wanted = scale[r] * math.sinh(math.asinh(price[r] / scale[r]) + x)
        out[r] = limited(price[r], wanted, low[r], high[r])
