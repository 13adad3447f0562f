"""Predictions shrunk to the mean of all candidates, which corrects the winner's curse.

A prediction is `c_p = theta_p + e_p` with an error of known standard deviation. A selection by c selects errors too:
among the selected, c is too high on average. If the true values of the candidates are normal with mean m and variance
t, then given c the true value has

    mean m + B_p (c_p - m),  variance t (1 - B_p),  with B_p = t / (t + sd_p^2),

whatever was selected by c (Efron and Morris, J. Amer. Statist. Assoc. 70:311, 1975; Senn, Int. Stat. Rev. 76:91, 2008).
m and t are estimated from all candidates: t by the equation of Paule and Mandel (1982), in which the weighted squares
around m have their expected sum. Their own errors are part of the standard error (Morris, J. Amer. Statist. Assoc.
78:47, 1983). If true values are far from normal, such as a few very good items among many poor ones, the correction of
the best candidates is off: then judge by a second prediction (splitting.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.types import Floats

_MAX_STEPS = 200


@dataclass(frozen=True)
class Prior:
    """Mean and variance of the true values of all candidates, and the variances of these two estimates."""

    mean: float
    variance: float
    error_of_mean: float
    error_of_variance: float

    @classmethod
    def of(cls, predictions: Floats, deviations: Floats) -> Prior:
        """Estimated from all candidates; a variance of 0 if errors explain the whole spread."""
        noise = deviations**2

        def excess(variance: float) -> tuple[float, float]:
            weight = 1.0 / np.maximum(variance + noise, 1e-300)
            mean = float(weight @ predictions / weight.sum())
            return float(weight @ (predictions - mean) ** 2) - (predictions.size - 1), mean

        high = float(np.var(predictions)) + 1e-300
        low, variance = 0.0, 0.0
        if predictions.size > 1 and (noise.min() == 0.0 or excess(0.0)[0] > 0.0):
            for _ in range(_MAX_STEPS):  # the excess falls with the variance; its root is below that of the predictions
                variance = 0.5 * (low + high)
                low, high = (variance, high) if excess(variance)[0] > 0.0 else (low, variance)
                if high - low <= 1e-12 * high:
                    break
        weight = 1.0 / np.maximum(variance + noise, 1e-300)
        mean = float(weight @ predictions / weight.sum())
        return cls(mean, variance, 1.0 / float(weight.sum()), 2.0 / float(weight @ weight))

    def corrected(self, predictions: Floats, deviations: Floats, amounts: Floats) -> tuple[float, float]:
        """(mean, variance) of `amounts @ theta`, given the predictions."""
        noise = deviations**2
        whole = np.maximum(self.variance + noise, 1e-300)
        kept = np.where(self.variance + noise > 0.0, self.variance / whole, 1.0)
        off = predictions - self.mean
        mean = float(amounts @ (self.mean + kept * off))
        spread = float(amounts**2 @ (kept * noise))
        by_mean = float(amounts @ (1.0 - kept))
        by_variance = float(amounts @ (off * noise / whole**2))
        return mean, spread + by_mean**2 * self.error_of_mean + by_variance**2 * self.error_of_variance
