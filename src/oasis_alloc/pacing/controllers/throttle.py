"""Probabilistic throttling as in published budget pacers: the share of requests in which a goal takes part.

Agarwal, Ghosh, Wei and You, "Budget pacing for targeted online advertisements at LinkedIn", KDD 2014. Prices stay
as they are, so floors are not helped; rates are never 0, for a goal that takes no part shows no
demand and never comes back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.controllers.base import View, within

_STEP = 1.1  # per minute
_LEAST = 0.01
_FIRST = 0.1


class Throttle:
    """Pass rates go up by a tenth a minute where deliveries are behind the plan, and down where they are ahead."""

    def __init__(self, first: float = _FIRST) -> None:
        self.first = first
        self._rate: Floats | None = None
        self._ahead: Floats | None = None

    def step(self, view: View) -> Floats:
        rate, ahead = self._arrays(view.price.size)
        planned = np.where(np.isfinite(view.cap_whole), view.cap_whole, view.used)
        ahead += np.where(view.live, view.used - planned, 0.0)
        factor = _STEP ** (min(view.seconds, 300.0) / 60.0)
        moved = within(np.where(ahead > 0, rate / factor, rate * factor), _LEAST, 1.0)
        capped = np.isfinite(view.cap)
        self._rate = np.where(view.live & capped, moved, np.where(capped, rate, 1.0))
        return view.price

    def _arrays(self, n: int) -> tuple[Floats, Floats]:
        if self._rate is None or self._ahead is None:
            self._rate, self._ahead = np.full(n, self.first), np.zeros(n)
        return self._rate, self._ahead

    def pass_rates(self, n: int) -> Floats | None:
        return None if self._rate is None else self._rate

    def merged(self) -> None:
        return None

    def state(self) -> dict[str, Any]:
        if self._rate is None or self._ahead is None:
            return {}
        return {"rate": self._rate.tolist(), "ahead": self._ahead.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        if state:
            self._rate, self._ahead = np.array(state["rate"]), np.array(state["ahead"])
