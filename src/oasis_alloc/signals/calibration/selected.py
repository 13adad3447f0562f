"""Calibration after selection: it favors overestimated candidates, so what is selected gives less than predicted.

The ratio of outcomes to predictions among selected rows is estimated from rows whose outcomes had no part in their
selection, and has the linearized variance of a ratio, by clusters (Cochran, Sampling Techniques, 1977, chapter 6).
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.documents import Document
from oasis_alloc.common.labels import as_listed, shown
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.seeds import Rng, as_seed
from oasis_alloc.common.types import Floats, Ints, LabelsLike
from oasis_alloc.data.keys import as_vector
from oasis_alloc.data.row_labels import in_one_order
from oasis_alloc.errors import InputError
from oasis_alloc.signals.calibration.ratio_interval import ratio_interval
from oasis_alloc.signals.outcomes import numbers, outcomes_of, propensities_of, share

if TYPE_CHECKING:
    from oasis_alloc.signals.calibration.calibration import Calibration

_FEWEST = 2  # clusters for a variance
_SKEWED = 0.05  # of its length: an interval that is so far from the middle of its estimate is said with both ends


@suggesting
@dataclass(frozen=True, eq=False, repr=False)
class SelectedError(Document, ByFields, form="selected_error"):
    """How far outcomes of selected candidates are from their predictions; made by `from_randomized` or `from_split`.

    - `ratio`: outcomes per predicted outcome. 0.93 says that of 1,000 expected streams, 930 should occur.
    - `standard_error`, `low`, `high`: of the ratio, and its interval with probability `confidence`. The interval also
      holds for a handful of outcomes, whose number is close to Poisson; it is then longer above than below.
    - `expected`, `occurred`: sums of predictions and outcomes of selected rows, weighted by 1 / propensity.
    - `rows`, `clusters`: selected rows, and the clusters that they are of.
    - `source`: "randomized slots" or "sample splitting".

    `solution.report({"relevance": error})` says it for a solution's total, and `correct(calibration)` corrects it.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.random(20_000) / 4
    >>> predictions = truth + rng.normal(0.0, 0.05, 20_000)
    >>> streams = rng.random(20_000) < truth
    >>> best = predictions > np.quantile(predictions, 0.9)
    >>> error = oa.SelectedError.from_randomized(predictions, streams, np.full(20_000, 0.1), selected=best)
    >>> error.ratio < 0.95
    True
    """

    ratio: float
    standard_error: float
    low: float
    high: float
    expected: float
    occurred: float
    rows: int
    clusters: int
    source: str
    confidence: float

    @classmethod
    def from_randomized(
        cls,
        predictions: npt.ArrayLike,
        outcomes: npt.ArrayLike,
        propensities: npt.ArrayLike,
        *,
        selected: npt.ArrayLike | None = None,
        clusters: LabelsLike | None = None,
        confidence: float = 0.95,
    ) -> SelectedError:
        """Estimate from randomized slots: rows that were shown at random, with a known probability.

        Parameters
        ----------
        predictions, outcomes
            (n,) predictions and outcomes in [0, 1] of rows that were shown.
        propensities
            (n,) probabilities in (0, 1] with which the rows were shown, whatever the policy thinks of them.
        selected
            (n,) True for rows that the policy would select; None for all.
        clusters
            (n,) labels of rows that depend on each other, such as user ids; None if rows are independent.
        confidence
            Of the interval, in (0, 1).

        Raises `InputError` for anything else, and where fewer than 2 clusters are selected.
        """
        predictions, outcomes, propensities, selected, clusters = in_one_order(
            predictions=predictions, outcomes=outcomes, propensities=propensities, selected=selected, clusters=clusters
        )
        p = numbers("predictions", predictions)
        y = outcomes_of(outcomes, p.size)
        w = 1.0 / propensities_of(propensities, p.size)
        chosen = np.ones(p.size, np.bool_) if selected is None else _mask(selected, np.arange(p.size))
        groups = _clusters(clusters, p.size)
        return _ratio(
            p[chosen], y[chosen], w[chosen], groups[chosen], "randomized slots", share("confidence", confidence)
        )

    @classmethod
    def from_split(
        cls,
        fit: Callable[[Ints], npt.ArrayLike],
        outcomes: npt.ArrayLike,
        select: Callable[[Floats, Ints], npt.ArrayLike],
        *,
        holdout: float = 0.5,
        clusters: LabelsLike | None = None,
        rng: Rng = 0,
        confidence: float = 0.95,
    ) -> SelectedError:
        """Estimate by sample splitting: fit and select without a part of the rows, and look at their outcomes.

        Parameters
        ----------
        fit
            Called with the numbers of the other rows; returns (n,) predictions of all rows, made without the outcomes
            of the part that is held out.
        outcomes
            (n,) numbers in [0, 1].
        select
            Called with the predictions and the numbers of the rows that are held out; returns which of these are
            selected: (m,) True and False.
        holdout
            Share of the clusters that is held out, in (0, 1). There is one split: estimates of several folds depend
            on each other, because the outcomes of one decide what is selected in the next.
        clusters
            (n,) labels of rows that depend on each other: they stay together. None if rows are independent.
        rng
            Seed of the split.
        confidence
            Of the interval, in (0, 1).

        Raises `InputError` for anything else, and where fewer than 2 clusters are selected.

        Example
        -------
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> item, truth = rng.integers(0, 500, 5000), rng.random(500) / 4
        >>> streams = rng.random(5000) < truth[item]
        >>> def fit(rows):  # the share of streams of every item: noisy, and the best of them are too high
        ...     return (np.bincount(item[rows], streams[rows], 500) / (np.bincount(item[rows], None, 500) + 1))[item]
        >>> error = SelectedError.from_split(fit, streams, lambda p, rows: p[rows] > 0.25)
        >>> error.ratio < 0.8
        True
        """
        outcomes, clusters = in_one_order(outcomes=outcomes, clusters=clusters)
        y = outcomes_of(outcomes, len(outcomes) if isinstance(outcomes, Sized) else 0)
        groups, level = _clusters(clusters, y.size), share("confidence", confidence)
        n_groups = int(groups.max()) + 1
        order = np.random.default_rng(as_seed(rng, "from_split()")).permutation(n_groups)
        is_held = (order < share("holdout", holdout) * n_groups)[groups]
        rows = np.flatnonzero(is_held)
        p = numbers("predictions of fit", fit(np.flatnonzero(~is_held)), y.size)
        chosen = rows[_mask(select(p, rows), rows)]
        return _ratio(p[chosen], y[chosen], np.ones(chosen.size), groups[chosen], "sample splitting", level)

    def statement(self, expected: float, unit: str = "outcomes") -> str:
        """What should occur of an expected total, in words.

        >>> SelectedError(0.93, 0.006, 0.918, 0.942, 500.0, 465.0, 900, 300, "randomized slots", 0.95).statement(1000)
        'of 1,000 expected outcomes, 930 +- 12 should occur (95 % interval, from randomized slots)'
        """
        total = as_real(expected)
        if total is None or not np.isfinite(total):
            raise InputError(f"statement({shown(expected)}): expected a finite total.")
        digits = 0 if abs(total) >= 100 else 2
        number, low, high = (f"{total * one:,.{digits}f}" for one in (self.ratio, self.low, self.high))
        half, level = (self.high - self.low) / 2 * abs(total), f"{self.confidence * 100:g} % interval"
        of = f"of {total:,.{digits}f} expected {unit}, {number}"
        if abs(self.high + self.low - 2 * self.ratio) > _SKEWED * (self.high - self.low):
            return f"{of} should occur ({level} {low} to {high}, from {self.source})"
        return f"{of} +- {half:,.{digits}f} should occur ({level}, from {self.source})"

    def correct(self, calibration: Calibration) -> Calibration:
        """The calibration with all values multiplied by the ratio: what is selected then gives what it promises.

        Select again with it: other candidates may be selected at these values.
        """
        return calibration.scaled(self.ratio)

    def __repr__(self) -> str:
        return f"SelectedError({self.ratio:.4f} +- {self.standard_error:.4f}, {self.rows:,} rows, {self.source})"


def _mask(given: npt.ArrayLike, rows: Ints) -> npt.NDArray[np.bool_]:
    mask = np.asarray(given)
    if mask.dtype != np.bool_ or mask.shape != rows.shape:
        raise InputError(
            f"selected: {mask.dtype} of shape {mask.shape}; expected ({rows.size},) True and False, one per row."
        )
    return mask


def _clusters(given: LabelsLike | None, n: int) -> Ints:
    if given is None:
        return np.arange(n)
    labels = as_listed(as_vector(given, "clusters"))
    if len(labels) != n:
        raise InputError(f"clusters: {len(labels):,} labels; expected {n:,}, one per row.")
    number: dict[Any, int] = {}
    return np.array([number.setdefault(label, len(number)) for label in labels], np.int64)


def _ratio(p: Floats, y: Floats, w: Floats, groups: Ints, source: str, level: float) -> SelectedError:
    _, cluster = np.unique(groups, return_inverse=True)
    n = int(cluster.max(initial=-1)) + 1
    expected = float(w @ p)
    if n < _FEWEST or not expected > 0:
        raise InputError(
            f"selected: {n} clusters with predictions of {expected:g} in total; expected {_FEWEST} or more, and a "
            "total above 0. Select more, or collect a longer log."
        )
    ratio, error, low, high = ratio_interval(p, y, w, np.asarray(cluster, np.int64), level)
    return SelectedError(ratio, error, low, high, expected, float(w @ y), y.size, n, source, level)
