"""What is due in an interval: shares of the flight's traffic, the mode's curves, and windows of a day and an hour."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.curves import Flat, RemainingShare, curve_of
from oasis_alloc.pacing.goal import Goal

DAY, HOUR = 86400.0, 3600.0
_FLAT = Flat()


def part(schedule: RemainingShare, t0: float, t1: float, t2: float, key: Any) -> float:
    """The share of the traffic in [t0, t2) that comes before t1; by time alone where none is expected."""
    if t1 <= t0 or t2 <= t0:
        return 0.0 if t1 <= t0 else 1.0
    whole = _share(schedule, t0, t2, key)
    if not whole > 0 or not math.isfinite(whole):
        schedule, whole = _FLAT, t2 - t0
    found = _share(schedule, t0, min(t1, t2), key) / whole
    if not math.isfinite(found):  # a schedule that breaks while it serves
        found = (min(t1, t2) - t0) / (t2 - t0)
    return min(max(found, 0.0), 1.0)


def _share(schedule: RemainingShare, t0: float, t1: float, key: Any) -> float:
    """What a schedule says; NaN where it breaks while it serves, which counts as flat."""
    try:
        found = schedule.share(t0, t1, key)
    except Exception:  # of the host's: serving goes on
        return math.nan
    number = found if type(found) is float else as_real(found)
    return math.nan if number is None or number < 0.0 else number


class Targets:
    """Shares of all goals at once; goals with the same flight, curve and key are looked up together."""

    def __init__(self, goals: Sequence[Goal], schedule: RemainingShare, keys: Sequence[Any], day_starts: float) -> None:
        self.schedule, self.day_starts = schedule, day_starts
        curves: dict[Any, Callable[[float], float]] = {}
        place: dict[Any, int] = {}
        self._groups: list[tuple[float, float, Any, Callable[[float], float]]] = []
        of_row = []
        for goal, key in zip(goals, keys, strict=True):
            mode = goal.mode if isinstance(goal.mode, str) else id(goal.mode)
            curve = curves.setdefault(mode, curve_of(goal.mode))
            name = (goal.start, goal.end, key, mode)
            if name not in place:
                place[name] = len(self._groups)
                self._groups.append((goal.start, goal.end, key, curve))
            of_row.append(place[name])
        self._of_row = np.array(of_row, np.int64)
        for start, end, key, _ in self._groups:
            whole = as_real(schedule.share(start, end, key))
            if whole is None or not 0 <= whole < math.inf:
                raise InputError(
                    f"Pacer(schedule): the share of [{start:g}, {end:g}) is {whole} for key {shown(key)}; expected a "
                    "finite number >= 0."
                )
        self._first, self._last = min(goal.start for goal in goals), max(goal.end for goal in goals)
        whole = part(schedule, self._first, self._last, self._last, None)
        before = (part(schedule, self._first, start, self._last, None) for start, _, _, _ in self._groups)
        until = (part(schedule, self._first, end, self._last, None) for _, end, _, _ in self._groups)
        self._size = [(b - a) / max(whole, 1e-12) for a, b in zip(before, until, strict=True)]  # of all traffic
        self.has_windows = any(math.isfinite(goal.daily) or math.isfinite(goal.hourly) for goal in goals)

    def elapsed(self, now: float) -> Floats:
        """(n,) the share of every flight's traffic that comes before now."""
        found = [part(self.schedule, start, now, end, key) for start, end, key, _ in self._groups]
        return np.array(found)[self._of_row]

    def due(self, last: float, now: float) -> tuple[Floats, Floats, Floats]:
        """(part of what remained at `last` that was due by `now`, part of the whole limit, share of traffic by now)."""
        of_rest, of_all, elapsed = np.zeros((3, len(self._groups)))
        for g, (start, end, key, curve) in enumerate(self._groups):
            s0, s1 = part(self.schedule, start, last, end, key), part(self.schedule, start, now, end, key)
            f0 = curve(s0)
            f1 = max(curve(s1), f0)
            of_all[g], elapsed[g] = f1 - f0, s1
            of_rest[g] = 1.0 if f0 >= 1.0 else (f1 - f0) / (1.0 - f0)
        return of_rest[self._of_row], of_all[self._of_row], elapsed[self._of_row]

    def due_by_requests(self, began: float, last: float, now: float, fresh: float, so_far: float) -> Floats:
        """(n,) part of what remained at `last` that was due for the `fresh` requests since, whenever they came.

        A request stands for as much of the traffic as the `so_far` since `began` did on average, by the schedule. So a
        burst is due more than its time, and no forecast of the number of requests is needed.
        """
        s, s0, s1 = (part(self.schedule, self._first, t, self._last, None) for t in (began, last, now))
        pace = fresh * (s1 - s) / max(so_far, fresh)  # of the traffic of all flights
        out = np.zeros(len(self._groups))
        for g, (start, end, key, curve) in enumerate(self._groups):
            before = part(self.schedule, start, last, end, key)
            if key is None:
                step = pace / max(self._size[g], 1e-12)
            else:  # by hours in which the key has more or less of the traffic than usual
                step = (part(self.schedule, start, now, end, key) - before) * min(pace / max(s1 - s0, 1e-12), 1e3)
            f0 = curve(before)
            f1 = max(curve(min(before + step, 1.0)), f0)
            out[g] = 1.0 if f0 >= 1.0 else (f1 - f0) / (1.0 - f0)
        return out[self._of_row]

    def window(self, now: float, length: float) -> float:
        """When the day or hour of `now` began."""
        return math.floor((now - self.day_starts) / length) * length + self.day_starts

    def due_in_window(self, last: float, now: float, length: float) -> float:
        """Part of what remained of a window's cap at `last` that was due by `now`."""
        end = self.window(last, length) + length
        return part(self.schedule, last, min(now, end), end, None)
