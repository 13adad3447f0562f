"""Dual mirror descent with the plan's own targets, in its Euclidean and its entropic form.

Balseiro, Lu and Mirrokni, "The best of many worlds: dual mirror descent for online allocation problems", Operations
Research, 2023. Gradients are normalized per goal. The entropic form is that of signed prices: the mirror map
`asinh(price / scale)`, Ghai, Hazan and Singer, "Exponentiated gradient meets gradient descent", 2020.
"""

from __future__ import annotations

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.pacing.controllers.base import STEP, Stateless, View, interval_of


class Mirror(Stateless):
    """`tau` is the part of the flight in which a full miss moves a price by its scale: c / sqrt(requests)."""

    def __init__(self, tau: float, entropic: bool = False) -> None:
        self.tau, self.entropic = tau, entropic

    def step(self, view: View) -> Floats:
        from oasis_alloc.kernels.pace import prices

        out = np.empty(view.price.size)
        prices.mirror(interval_of(view, view.floor_whole, view.cap_whole), self.tau, STEP, self.entropic, out)
        return out
