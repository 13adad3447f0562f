"""How a limit is spread over a flight: the share of traffic that has passed, and the mode's curve over it."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from itertools import pairwise
from typing import Protocol, TypeAlias

import numpy as np

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError

Mode: TypeAlias = "str | Callable[[float], float] | list[tuple[float, float]] | tuple[tuple[float, float], ...]"


class RemainingShare(Protocol):
    """A forecast of arrivals: how much of the traffic of a key comes in a time, in any unit."""

    def share(self, t0: float, t1: float, key: Hashable) -> float:
        """How much is expected in [t0, t1); only ratios of these numbers are used."""


class Flat:
    """The schedule that is used where there is none: every second brings the same.

    >>> Flat().share(3600.0, 7200.0, "any")
    3600.0
    """

    def share(self, t0: float, t1: float, key: Hashable) -> float:
        return max(t1 - t0, 0.0)


class ExpectedArrivals:
    """A schedule of arrivals in equal steps of time, the same for every key; repeated where `period` says so.

    >>> ExpectedArrivals([1.0, 3.0], step=3600.0).share(1800.0, 7200.0, None)
    3.5
    """

    def __init__(self, arrivals: object, step: float, start: float = 0.0) -> None:
        given = np.asarray(arrivals, np.float64)
        if given.ndim != 1 or not given.size:
            raise InputError(f"schedule: expected (n,) expected arrivals per step, got shape {given.shape}.")
        bad = np.flatnonzero(~(np.isfinite(given) & (given >= 0)))
        if bad.size:
            raise InputError(f"schedule: step {bad[0]} is {given[bad[0]]}; expected finite numbers >= 0.")
        self.step, self.start = step, start
        self._total: list[float] = [0.0, *np.cumsum(given).tolist()]

    def share(self, t0: float, t1: float, key: Hashable) -> float:
        return max(self._until(t1) - self._until(t0), 0.0)

    def _until(self, t: float) -> float:
        """What is expected before t; in plain numbers, because a tick asks a dozen times."""
        total, at = self._total, (t - self.start) / self.step
        if at <= 0.0:
            return 0.0
        if at >= len(total) - 1:
            return total[-1]
        low = int(at)
        return (total[low + 1] - total[low]) * (at - low) + total[low]


def curve_of(mode: Mode) -> Callable[[float], float]:
    """The part of a limit that is due when a share s of the traffic has passed, F(s) with F(0) = 0 and F(1) = 1.

    >>> [round(curve_of(mode)(0.5), 3) for mode in ("even", "asap", "front-loaded", [(0.5, 0.2), (1.0, 1.0)])]
    [0.5, 1.0, 0.75, 0.2]
    """
    if mode == "even":
        return float
    if mode == "asap":
        return _asap
    if mode == "front-loaded":
        return _front
    if callable(mode):
        return _Checked(mode)
    if isinstance(mode, (list, tuple)):
        return _Points(mode)
    raise InputError(
        f"mode={shown(mode)}: expected 'even', 'asap', 'front-loaded', [(share of traffic, share of the goal), ...] or "
        "a function of the share of traffic."
    )


def _asap(s: float) -> float:
    return 1.0 if s > 0.0 else 0.0


def _front(s: float) -> float:
    return 1.0 - (1.0 - s) ** 2


class _Checked:
    """A curve of a function. Where it raises, or says what is no finite number, while it serves, it counts as even."""

    def __init__(self, function: Callable[[float], float]) -> None:
        self._function = function
        try:
            at = [as_real(function(s)) for s in (0.0, 0.25, 0.5, 0.75, 1.0)]
        except Exception as error:
            raise InputError(f"mode: the curve raises {type(error).__name__}: {error}.") from error
        found = [math.nan if a is None else a for a in at]
        if found[0] != 0.0 or found[-1] != 1.0 or not all(a <= b for a, b in pairwise(found)):
            raise InputError(f"mode: the curve has {at} at 0, 1/4, 1/2, 3/4 and 1; expected to rise from 0 to 1.")

    def __call__(self, s: float) -> float:
        try:
            found = as_real(self._function(s))
        except Exception:
            found = None
        return min(max(found, 0.0), 1.0) if found is not None and math.isfinite(found) else s


class _Points:
    def __init__(self, points: object) -> None:
        try:
            given = np.asarray(points, np.float64)
        except (TypeError, ValueError):
            given = np.empty(0)
        if given.ndim != 2 or given.shape[1] != 2:
            raise InputError(f"mode={shown(points)}: expected [(share of traffic, share of the goal), ...].")
        if (given[0] != 0.0).any():
            given = np.concatenate([[[0.0, 0.0]], given])
        fine = np.isfinite(given).all() and (np.diff(given, axis=0) >= 0).all() and (given[-1] == 1.0).all()
        if not fine:
            raise InputError(f"mode={shown(points)}: expected points that rise from (0, 0) to (1, 1).")
        self._at, self._part = given.T

    def __call__(self, s: float) -> float:
        return float(np.interp(s, self._at, self._part))
