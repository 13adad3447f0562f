"""Steps that visit only the pairs that may still change (engines/core.py).

At the end of a solve, steps move prices by a few smoothings, and most pairs are decided. One decision over all pairs
says which are not, with margins as wide as the steps; from there on a visit costs the share of the pairs that are
left. What such visits find is proven by a visit to all users afterwards.

A price further than its margin from where it was decides pairs that are not visited. Without them, a row of few pairs
seems to miss its limit at any price, and steps of growing length lead nowhere. So steps end at the margins.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.engines.core import Core
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.newton import Point, SmoothedDual, newton_direction


class Nearby:
    """The smoothed dual of all pairs, or of those that may change near a point."""

    def __init__(self, dual: SmoothedDual, monitor: Monitor) -> None:
        self.all = self.dual = dual
        self._monitor = monitor
        self._core: Core | None = None

    @property
    def is_part(self) -> bool:
        """True while only some pairs are visited."""
        return self._core is not None

    @property
    def steps_per_pass(self) -> float:
        """Steps that cost about a pass, within limits: far from the point, pairs that are not visited may matter."""
        most = self.all.settings.core_most_steps
        return 1.0 if self._core is None else min(max(1.0, 1.0 / self._core.share), most)

    def enter(self, point: Point) -> Point:
        """The point with only the pairs that may change near it; the same point where these are too many."""
        found = None if self.is_part else self._core_at(point)
        if found is None:
            return point
        self._core, margins = found
        self.dual = SmoothedDual(self._core, self._check, self.all.settings, self.all.curves_count)
        self.dual.stay_near(point.z, self.all.settings.core_reach * margins[self.all.program.row])
        self.dual.remember_like(self.all)
        return self.dual.at(point.z, point.gamma)

    def leave(self, point: Point) -> Point:
        """The point with all pairs, which is visited unless it already was."""
        if self._core is None:
            return point
        self.close()
        return self.all.at(point.z, point.gamma)

    def close(self) -> None:
        """Go back to all pairs."""
        if self._core is not None:
            self._core.close()
        self._core, self.dual = None, self.all

    def _check(self, point: Point, stride: int) -> None:
        self._monitor.at(point.z, point.gamma)
        self._monitor.tick(self.all.engine.passes, point.gamma)

    def _core_at(self, point: Point) -> tuple[Core, Floats] | None:
        """(the core, its margins by row), or None where it would save nothing."""
        dual, engine, program, settings = self.all, self.all.engine, self.all.program, self.all.settings
        if program.n_pairs < settings.core_pairs or engine.own_rows is not None:
            return None
        # fractional pairs are those within one smoothing of their thresholds
        expected = 2.0 * settings.core_margin * point.visit.fractional
        if expected > settings.core_share * program.n_pairs:
            return None
        step, longest = np.zeros(program.n_rows), settings.max_radius * point.gamma
        np.maximum.at(step, program.row, np.abs(newton_direction(dual, point, longest)))
        margins = np.maximum(settings.core_margin * point.gamma, settings.core_steps * np.minimum(step, longest))
        split = engine.decide(program.prices(point.z), margins)
        self._monitor.check_limits(engine.passes)
        if not 0 < split.undecided.size <= settings.core_share * program.n_pairs:
            return None
        return engine.core(split), margins
