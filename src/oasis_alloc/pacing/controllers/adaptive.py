"""First-order steps against targets from what remains: the default, and its form without bonuses.

Targets that follow the remaining budget have regret of order log T where fixed ones have sqrt(T) (Ma, Cao and Sun,
2025); first-order steps between full solves keep that (arXiv:2412.09594). Steps shrink as 1 / t like those of
stochastic gradient descent on a strongly convex dual, down to a size that still tracks a market that moves.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.controllers.base import STEP, Stateless, View, interval_of


class Adaptive(Stateless):
    """`track` bounds how slow steps become: the largest part of the flight in which a full miss moves a price."""

    def __init__(self, first: float, track: float, slow: float, caps_only: bool = False) -> None:
        self.first, self.track, self.slow, self.caps_only = first, track, slow, caps_only

    def step(self, view: View) -> Floats:
        from oasis_alloc.kernels.pace import prices

        # A burst is ahead of any plan in time, and an hour without requests behind it. Prices cannot help that, so what
        # was planned is for the requests that came.
        out = np.empty(view.price.size)
        interval = interval_of(view, view.floor_seen, view.cap_seen)
        prices.adaptive(interval, view.elapsed, self.first, self.track, self.slow, STEP, self.caps_only, out)
        return out
