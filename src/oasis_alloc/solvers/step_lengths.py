"""How far each dual variable may move in a step: a few smoothings, or what earlier steps say.

Where none of a row's pairs is fractional, Newton's step says nothing: the total does not move at any price nearby, and
the price is cut to the longest step. If that goes past the price at which the total meets its limit, the next step
comes back just as far, and so on. If that price is far away, every step goes a few smoothings. So such a price has a
longest step of its own. Where the total went past its limit, the next step ends where the line through the last two
totals meets it (regula falsi); where it did not, the next step is twice as long, as in Rprop (Riedmiller and Braun,
IEEE Int. Conf. Neural Networks, 1993).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.settings import DualSettings

_SMALLEST = 1e-300


class StepLengths:
    """Longest steps by dual variable, in units of scores: a common radius times gamma, or their own."""

    def __init__(self, program: Program, settings: DualSettings, may_own: bool) -> None:
        self.radius = settings.radius
        self._settings = settings
        self._own = np.zeros(program.row.size)  # 0 where there is none
        self._may_own = np.full(program.row.size, may_own)
        for block in program.curved:  # they step in their totals
            self._may_own[block.variables] = False

    def longest(self, gamma: float) -> Floats:
        """(n_variables,) the longest steps at a smoothing."""
        return np.where(self._own > 0.0, self._own, self.radius * gamma)

    def shorten(self, share: float) -> None:
        """After a step of which only this share lowered the dual."""
        self.radius = max(share * self.radius, self._settings.min_radius)
        self._own *= share

    def lengthen(self, most: float) -> None:
        """After a step that lowered the dual as the model says."""
        self.radius = min(2.0 * self.radius, most)

    def learn(self, moved: Floats, before: Floats, after: Floats, cut: npt.NDArray[np.bool_]) -> None:
        """Own lengths of variables that were `cut`, by their last steps and the gradient before and after them."""
        settings, size, cut = self._settings, np.abs(moved), cut & self._may_own
        back = np.abs(after) / np.maximum(np.abs(after) + np.abs(before), _SMALLEST)
        turned, same = cut & (before * after < 0.0), cut & (before * after > 0.0)
        self._own = np.where(turned, np.clip(back, *settings.turned) * size, self._own)
        self._own = np.where(same, np.maximum(self._own, settings.same * size), self._own)
