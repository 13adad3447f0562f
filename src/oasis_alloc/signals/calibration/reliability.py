"""How well predictions match outcomes: reliability by bins, expected calibration error, Brier score and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.documents import Document
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import TextTable, as_text
from oasis_alloc.common.types import Floats
from oasis_alloc.data.row_labels import in_one_order
from oasis_alloc.errors import InputError, require
from oasis_alloc.serving.schema import shown
from oasis_alloc.signals.outcomes import numbers, outcomes_of, share, weights_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MAX_BINS = 10_000


@suggesting
@dataclass(frozen=True, eq=False, repr=False)
class Reliability(Document, ByFields, form="reliability"):
    """How well predictions match outcomes, in bins of about equal weight; made by `of` or `Calibration.reliability`.

    - `predicted`, `observed` (n_bins,): mean prediction and mean outcome of each bin, predictions ascending.
    - `low`, `high` (n_bins,): Wilson's interval of the mean outcome, with probability `confidence`.
    - `weight` (n_bins,): the share of each bin, adding up to 1.
    - `calibration_error`: expected calibration error, `sum(weight * |observed - predicted|)`.
    - `brier`: mean of (prediction - outcome)^2.
    - `miscalibration`, `resolution`, `uncertainty`, `within_bins`: parts of the Brier score, which is
      `miscalibration - resolution + uncertainty + within_bins` (Murphy, 1973). `within_bins` is what predictions
      within a bin differ by (Stephenson, Coelho and Jolliffe, 2008); it is 0 where each bin has one prediction.
    - `expected`, `occurred`: sums of the predictions and of the outcomes, by weight.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> reliability = oa.Reliability.of([0.2, 0.2, 0.8, 0.8], [0, 0, 1, 0], bins=2)
    >>> reliability.observed.tolist(), round(reliability.calibration_error, 3), round(reliability.brier, 3)
    ([0.0, 0.5], 0.25, 0.19)
    """

    predicted: Floats
    observed: Floats
    low: Floats
    high: Floats
    weight: Floats
    calibration_error: float
    brier: float
    miscalibration: float
    resolution: float
    uncertainty: float
    within_bins: float
    expected: float
    occurred: float
    confidence: float

    @classmethod
    def of(
        cls,
        predictions: npt.ArrayLike,
        outcomes: npt.ArrayLike,
        *,
        weights: npt.ArrayLike | None = None,
        bins: int = 10,
        confidence: float = 0.95,
    ) -> Reliability:
        """Compare predictions with outcomes.

        Parameters
        ----------
        predictions
            (n,) finite numbers, in the unit of the outcomes.
        outcomes
            (n,) numbers in [0, 1] that differ.
        weights
            (n,) weights of the rows, >= 0; None for ones.
        bins
            Maximum number of bins, 1 to 10,000. Equal predictions share a bin.
        confidence
            Of the intervals, in (0, 1).

        Raises `InputError` for anything else.
        """
        predictions, outcomes, weights = in_one_order(predictions=predictions, outcomes=outcomes, weights=weights)
        p = numbers("predictions", predictions)
        y = outcomes_of(outcomes, p.size)
        w = weights_of(weights, p.size)
        level, most = share("confidence", confidence), as_whole(bins)
        if most is None or not 1 <= most <= _MAX_BINS:
            raise InputError(f"bins={shown(bins)}: expected a whole number from 1 to {_MAX_BINS:,}.")
        total = float(w.sum())
        index = _binned(p, w, most)
        mass = np.bincount(index, w)
        squares = np.bincount(index, w**2)
        has = mass > 0
        predicted = np.bincount(index, w * p)[has] / mass[has]
        observed = np.bincount(index, w * y)[has] / mass[has]
        weight, mean = mass[has] / total, float(w @ y) / total
        effective = mass[has] ** 2 / squares[has]
        low, high = _wilson(observed, effective, level)
        brier = float(w @ (p - y) ** 2) / total
        miscalibration = float(weight @ (predicted - observed) ** 2)
        resolution = float(weight @ (observed - mean) ** 2)
        uncertainty = float(w @ (y - mean) ** 2) / total
        return cls(
            predicted, observed, low, high, weight, float(weight @ np.abs(observed - predicted)), brier,
            miscalibration, resolution, uncertainty, brier - (miscalibration - resolution + uncertainty),
            float(w @ p), float(w @ y), level,
        )  # fmt: skip

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw mean outcomes with intervals over mean predictions, and the diagonal; returns matplotlib's Axes.

        >>> reliability = Reliability.of([0.2, 0.8], [0, 1])
        >>> reliability.plot().figure.savefig("reliability.svg")  # doctest: +SKIP
        """
        if ax is None:
            ax = require("matplotlib.pyplot", "plot").subplots()[1]
        below, above = self.observed - self.low, self.high - self.observed
        ax.errorbar(self.predicted, self.observed, [below, above], fmt="o-", color="#459db9", label="observed")
        ends = [min(self.predicted.min(), self.observed.min()), max(self.predicted.max(), self.observed.max())]
        ax.plot(ends, ends, "--", color="#8a8a8a", label="perfectly calibrated")
        ax.set_xlabel("predicted")
        ax.set_ylabel("observed")
        ax.set_title(f"expected calibration error {self.calibration_error:.2g}, Brier score {self.brier:.3g}")
        ax.legend()
        return ax

    def __repr__(self) -> str:
        return (
            f"Reliability(expected {self.expected:.6g}, occurred {self.occurred:.6g}, calibration error "
            f"{self.calibration_error:.3g}, Brier score {self.brier:.3g})"
        )

    def __str__(self) -> str:
        """The bins as a table, with a line of numbers above it."""
        rows = [
            [f"{p:.4g}", f"{o:.4g}", f"{low:.4g} to {high:.4g}", f"{w:.1%}"]
            for p, o, low, high, w in zip(self.predicted, self.observed, self.low, self.high, self.weight, strict=True)
        ]
        table = as_text(TextTable(["predicted", "observed", "interval", "share"], "rrrr", rows))
        parts = (
            f"Brier score {self.brier:.4g} = miscalibration {self.miscalibration:.2g} - resolution "
            f"{self.resolution:.2g} + uncertainty {self.uncertainty:.4g} + within bins {self.within_bins:.2g}"
        )
        return f"expected calibration error {self.calibration_error:.3g}; {parts}\n\n{table}"


def _binned(p: Floats, w: Floats, most: int) -> npt.NDArray[np.int64]:
    """(n,) the bin of each row: quantiles by weight, and equal predictions in one bin."""
    _, inverse = np.unique(p, return_inverse=True)
    mass = np.bincount(inverse, w)
    middle = np.cumsum(mass) - mass / 2
    bin_of = np.minimum((middle / mass.sum() * most).astype(np.int64), most - 1)
    return np.asarray(bin_of[inverse], np.int64)


def _wilson(mean: Floats, n: Floats, level: float) -> tuple[Floats, Floats]:
    """Wilson's interval of a mean of outcomes in [0, 1]; for outcomes between, it is too wide, never too narrow."""
    z2 = NormalDist().inv_cdf(0.5 + level / 2) ** 2
    center = (mean + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 / n * (mean * (1 - mean) + z2 / (4 * n))) / (1 + z2 / n)
    return np.clip(center - half, 0.0, 1.0), np.clip(center + half, 0.0, 1.0)
