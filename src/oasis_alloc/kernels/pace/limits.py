"""What limits leave and what is due of them; an entry per goal. `pacing/rooms.py` and `pacing/core.py` call these.

A tick is a few dozen operations on arrays of some dozens of goals, so the calls of NumPy would take most of its time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_ROUNDING = 1e-9


class Flights(NamedTuple):
    """Limits of goals, and when they hold; an entry per goal."""

    cap: Floats  # infinite without a cap
    floor: Floats  # minus infinity without a floor
    start: Floats
    end: Floats
    stopped: Flags


class Due(NamedTuple):
    """Parts of what goals are owed between two ticks; an entry per goal."""

    of_rest: Floats  # of what remained
    of_all: Floats  # of the whole limit
    seen: Floats  # of what remained, for the requests that have come


@jit
def left(hard_caps: Floats, at_most: Floats, before: Floats, out: Floats) -> None:
    """What hard caps (3, n) leave of the flight, the day and the hour, the least of them; `before` is (2, n)."""
    for r in range(at_most.size):
        found = hard_caps[0, r] - at_most[r]
        for w in range(before.shape[0]):
            found = min(found, hard_caps[1 + w, r] - (at_most[r] - before[w, r]))
        out[r] = max(found, 0.0)


@jit
def share(whole: Flags, left: Floats, replicas: int, replica: int, out: Floats) -> None:
    """A replica's part of what is left: whole units where showings are counted, the odd ones to the first replicas."""
    for r in range(left.size):
        if not whole[r] or left[r] == np.inf:
            out[r] = left[r] / replicas
            continue
        units = math.floor(left[r] + _ROUNDING)
        out[r] = units // replicas + (replica < units % replicas)


@jit
def stopped(
    now: float, start: Floats, end: Floats, least: Floats, per_request: Flags, left: Floats, out: Flags
) -> None:
    """Goals outside of their flights, or without room."""
    for r in range(left.size):
        is_off = now < start[r] or now >= end[r] or left[r] < least[r] or left[r] <= 0.0
        out[r] = is_off and not per_request[r]


@jit
def planned(
    now: float, last: float, flights: Flights, before: Floats, delivered: Floats, due: Due, out: Floats, live: Flags
) -> None:
    """What was due between two ticks, as rows of `out`: used, floor, cap, the same of the whole limits, and of `seen`.

    Infinite where there is no limit. `live` are goals in their flights that are not stopped.
    """
    cap, floor, start, end, stopped = flights
    of_rest, of_all, seen = due
    for r in range(cap.size):
        live[r] = not stopped[r] and now > start[r] and last < end[r]
        out[0, r] = delivered[r] - before[r]
        out[1, r] = out[3, r] = out[5, r] = -np.inf
        out[2, r] = out[4, r] = out[6, r] = np.inf
        if floor[r] > -np.inf:
            rest = max(floor[r] - before[r], 0.0)
            out[1, r], out[3, r], out[5, r] = rest * of_rest[r], floor[r] * of_all[r], rest * seen[r]
        if cap[r] < np.inf:
            rest = max(cap[r] - before[r], 0.0)
            out[2, r], out[4, r], out[6, r] = rest * of_rest[r], cap[r] * of_all[r], rest * seen[r]


@jit
def is_moved(
    price: Floats, served: Floats, stopped: Flags, served_stopped: Flags, low: Floats, high: Floats, scale: Floats,
    least: float,
) -> bool:  # fmt: skip
    """Whether prices differ enough from those that are served: by `least` scales, or at an end of their range."""
    for r in range(price.size):
        if stopped[r] != served_stopped[r] or abs(price[r] - served[r]) >= least * scale[r]:
            return True
        if price[r] != served[r] and (price[r] == 0.0 or price[r] == low[r] or price[r] == high[r]):
            return True
    return False


@jit
def add_moved(
    row: npt.NDArray[np.int64], group: npt.NDArray[np.int64], coefficient: Floats, price: Floats, base: Floats,
    out: Floats,
) -> bool:  # fmt: skip
    """Add what the goals of a term moved to the prices of its groups, in the order of the goals; whether any did."""
    found = False
    for k in range(row.size):
        moved = price[row[k]] - base[row[k]]
        if moved != 0.0:
            out[group[k]] += coefficient[k] * moved
            found = True
    return found
