"""A PI controller with leak, clamped integral, hysteresis and a lower bound on what it divides by."""

from __future__ import annotations

from typing import Any

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.controllers.base import View, error, within

_LEAK = 0.995  # per tick
_QUIET = 0.01  # relative errors that change nothing


class PI:
    """The price is the first one plus `scale * (kp * error + ki * integral)`, the error relative to the plan.

    The plan is taken to be at least `least` of the whole limit, so an hour without expectations moves little.
    """

    def __init__(self, kp: float = 0.2, ki: float = 1.0, least: float = 0.01, window: float = 0.01) -> None:
        self.kp, self.ki, self.least, self.window = kp, ki, least, window
        self._integral: Floats | None = None
        self._recent: Floats | None = None  # error of the last `window` of the flight, in units

    def step(self, view: View) -> Floats:
        n = view.price.size
        if self._integral is None or self._recent is None:
            self._integral, self._recent = np.zeros(n), np.zeros(n)
        missed = error(view, view.floor, view.cap)
        if view.after_gap:  # what was learned is of other traffic, and what was missed says nothing of this one
            self._integral[:], self._recent[:] = 0.0, 0.0
            return view.price
        span = np.where(np.isfinite(view.cap_whole), view.cap_whole, view.floor_whole)
        part = within(np.where(np.isfinite(span), span, 0.0) / view.unit, 0.0, 1.0)
        kept = np.exp(-part / self.window)
        self._recent = np.where(view.live, kept * self._recent + missed, self._recent)
        e = within(self._recent / (np.maximum(self.window, self.least) * view.unit), -1.0, 1.0)
        e = np.where(np.abs(e) < _QUIET, 0.0, e)
        gain = part / self.window  # the integral of an interval is in proportion to it
        self._integral = np.where(
            view.live, within(_LEAK**gain * self._integral + gain * e * 0.25, -1.0, 1.0), self._integral
        )
        reach = np.maximum(view.scale, np.maximum(view.high, -view.low))
        wanted = view.base + view.scale * self.kp * e + reach * self.ki * self._integral
        return np.where(view.live, within(wanted, view.low, view.high), view.price)

    def pass_rates(self, n: int) -> Floats | None:
        return None

    def merged(self) -> None:
        if self._integral is not None:
            self._integral[:] = 0.0

    def state(self) -> dict[str, Any]:
        if self._integral is None or self._recent is None:
            return {}
        return {"integral": self._integral.tolist(), "recent": self._recent.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        if state:
            self._integral, self._recent = np.array(state["integral"]), np.array(state["recent"])
