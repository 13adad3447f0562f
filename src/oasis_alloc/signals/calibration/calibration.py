"""A fitted calibration: a monotone map from scores to outcomes by segment, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real, as_whole
from oasis_alloc.common.text_tables import TextTable, as_text
from oasis_alloc.common.types import Floats, LabelsLike
from oasis_alloc.data.column_map import FORMAT, MAX_KNOTS, ColumnMap, frozen, read_map
from oasis_alloc.data.row_labels import in_one_order_by
from oasis_alloc.errors import InputError
from oasis_alloc.serving.schema import shown
from oasis_alloc.signals.calibration.fitting import Rows, knots_of, shrunk
from oasis_alloc.signals.outcomes import numbers, outcomes_of, segments_of, share, weights_of

if TYPE_CHECKING:
    from oasis_alloc.signals.calibration.reliability import Reliability

_MEMBERS = ("x", "y", "low", "high", "own", "rows", "key", "labels", "confidence")


@suggesting
@dataclass(frozen=True, eq=False, repr=False)
class Calibration(ColumnMap):
    """A monotone piecewise-linear map from scores to the outcomes that they predict, by segment; made by `fit`.

    - `x` (n_knots,): scores at the knots, ascending, the same for all segments.
    - `y` (1 + n_labels, n_knots): outcomes at the knots, never decreasing. Row 0 is the pooled map, which serves pairs
      without a label and with unknown ones; row 1 + k is the map of `labels[k]`.
    - `low`, `high`: the same shape, the ends of intervals that hold with probability `confidence`.
    - `key`, `labels`: the key of users or items of the segments, and its labels; None and () without segments.
    - `own` (1 + n_labels,): the weight of a segment's own map, in [0, 1]; the rest is the pooled map's.
    - `rows` (1 + n_labels,): rows that were fitted.

    `candidates.calibrated({"relevance": calibration})` makes it a part of a column: solves and policies then see
    calibrated values, and requests go on to bring scores. See `docs/calibration.md`.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> rng = np.random.default_rng(0)
    >>> scores = rng.random(20_000)
    >>> streams = rng.random(20_000) < scores**2  # scores that promise too much
    >>> calibration = oa.Calibration.fit(scores, streams)
    >>> calibration.apply([0.5]).round(1).tolist()
    [0.2]
    """

    low: Floats = field(default_factory=lambda: np.zeros((1, 2)))
    high: Floats = field(default_factory=lambda: np.ones((1, 2)))
    own: Floats = field(default_factory=lambda: np.ones(1))
    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    confidence: float = 0.95

    @classmethod
    def fit(
        cls,
        scores: npt.ArrayLike,
        outcomes: npt.ArrayLike,
        by: Mapping[str, LabelsLike] | None = None,
        *,
        weights: npt.ArrayLike | None = None,
        knots: int = 5,
        shrinkage: float | None = None,
        confidence: float = 0.95,
    ) -> Calibration:
        """Fit a calibration to a log of scores and outcomes.

        Parameters
        ----------
        scores
            (n,) finite predictions, of any unit.
        outcomes
            (n,) numbers in [0, 1] that differ: 1 where it happened (a stream), 0 where it did not.
        by
            `{key: labels}`, one label per row, for a map per label. None fits one map for all. The key is one of
            the users or items of the candidates that the calibration is for. Labels -1 and None are no label.
        weights
            (n,) weights of the rows, >= 0, such as 1 / propensity; None for ones.
        knots
            Maximum number of knots, 2 to 64. Each costs a request about 0.2 ns per candidate.
        shrinkage
            Number of rows of the pooled map that a segment's own rows are averaged with. None estimates from the
            data how much the segments differ (DerSimonian and Laird, 1986): segments that differ by no more than
            noise get the pooled map.
        confidence
            Of the intervals, in (0, 1). They are pointwise, come from rows that did not choose the knots, and hold for
            rare outcomes (`signals/calibration/map_interval.py`).

        Returns
        -------
        Calibration
            Isotonic regression (scikit-learn) chooses the knots; monotone least squares gives the values there.

        Raises
        ------
        InputError
            For numbers that are not finite, outcomes outside [0, 1], outcomes or scores that are all equal, lengths
            that differ, and `by` that is not one key with labels.
        MissingDependencyError
            Without scikit-learn, the extra `signals`.
        """
        scores, outcomes, weights, by = in_one_order_by(by, scores=scores, outcomes=outcomes, weights=weights)
        x = numbers("scores", scores)
        y = outcomes_of(outcomes, x.size)
        w = weights_of(weights, x.size)
        level, most = share("confidence", confidence), as_whole(knots)
        if most is None or not 2 <= most <= MAX_KNOTS:
            raise InputError(f"knots={shown(knots)}: expected a whole number from 2 to {MAX_KNOTS}.")
        pseudo = None if shrinkage is None else as_real(shrinkage)
        if shrinkage is not None and (pseudo is None or not 0 <= pseudo < np.inf):
            raise InputError(f"shrinkage={shown(shrinkage)}: expected a number of rows >= 0, or None to estimate it.")
        key, labels, index = segments_of(by, x.size)
        given = Rows(x, y, w, index)
        at, judges = knots_of(given, most)
        maps = shrunk(at, given, judges, len(labels), pseudo, level)
        values, low, high = (frozen(np.clip(part, 0.0, 1.0)) for part in (maps.y, maps.low, maps.high))
        made = cls(frozen(at), values, key, labels, low, high, frozen(maps.weight), maps.rows, level)
        made.checked()
        return made

    def apply(self, scores: npt.ArrayLike, by: Mapping[str, LabelsLike] | None = None) -> Floats:
        """(n,) float64 calibrated scores; `by` as in `fit`, None for the pooled map.

        Outside the scores that were fitted the map is constant. Raises `InputError` as `fit` does.

        >>> import numpy as np
        >>> Calibration(np.array([0.0, 1.0]), np.array([[0.1, 0.3]])).apply([0.5, 2.0]).tolist()
        [0.2, 0.3]
        """
        scores, by = in_one_order_by(by, scores=scores)
        given = numbers("scores", scores)
        if by is None:
            return self.mapped(given)
        key, labels, index = segments_of(by, given.size)
        if key != self.key:
            raise InputError(f"by has the key {key!r}; expected {self.key!r}, the one that was fitted.")
        return self.mapped(given, np.append(self.rows_of(labels), 0)[index])

    def reliability(
        self,
        scores: npt.ArrayLike,
        outcomes: npt.ArrayLike,
        by: Mapping[str, LabelsLike] | None = None,
        *,
        weights: npt.ArrayLike | None = None,
        bins: int = 10,
    ) -> Reliability:
        """How well the calibrated scores of other rows match their outcomes; see `oa.Reliability`."""
        from oasis_alloc.signals.calibration.reliability import Reliability

        return Reliability.of(self.apply(scores, by), outcomes, weights=weights, bins=bins)

    def scaled(self, factor: float) -> Calibration:
        """The same map with all outcomes multiplied by a factor > 0, such as `SelectedError.ratio`.

        >>> import numpy as np
        >>> Calibration(np.array([0.0, 1.0]), np.array([[0.5, 1.0]])).scaled(0.5).y.tolist()
        [[0.25, 0.5]]
        """
        real = as_real(factor)
        if real is None or not 0 < real < np.inf:
            raise InputError(f"scaled({shown(factor)}): expected a number above 0.")
        return Calibration(
            self.x, frozen(self.y * real), self.key, self.labels, frozen(self.low * real),
            frozen(self.high * real), self.own, self.rows, self.confidence,
        )  # fmt: skip

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for JSON; `from_dict` reads them to the same bits.

        >>> import numpy as np
        >>> made = Calibration(np.array([0.0, 1.0]), np.array([[0.5, 1.0]]))
        >>> Calibration.from_dict(made.to_dict()).y.tolist()
        [[0.5, 1.0]]
        """
        parts = {name: getattr(self, name) for name in _MEMBERS}
        plain = {name: part.tolist() if isinstance(part, np.ndarray) else part for name, part in parts.items()}
        return {"format": FORMAT, "schema": 1, **plain, "labels": list(self.labels)}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Calibration:
        """The calibration of `to_dict`; `InputError` for anything else."""
        of = read_map(document, "from_dict")
        try:
            arrays = {name: frozen(document[name]) for name in ("low", "high", "own")}
            made = cls(
                of.x, of.y, of.key, of.labels,
                **arrays,
                rows=np.array(document["rows"], np.int64),
                confidence=float(document["confidence"]),
            )  # fmt: skip
            fits = made.low.shape == made.high.shape == made.y.shape and made.own.shape == made.rows.shape
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"from_dict: {type(error).__name__}: {error}; expected what to_dict returns.") from None
        if not fits or made.own.shape != (len(made.y),):
            raise InputError("from_dict: the parts do not fit each other; expected what to_dict returns.")
        return made

    def __repr__(self) -> str:
        segments = "" if self.key is None else f", {len(self.labels):,} segments by {self.key!r}"
        return f"Calibration({self.x.size} knots over {self.rows[0]:,} rows{segments})"

    def __str__(self) -> str:
        """The map at its knots, one row per segment."""
        head = ["segment", "rows", "own weight", *(f"{x:.4g}" for x in self.x)]
        names = ["all", *(str(label) for label in self.labels)]
        rows = [
            [name, f"{n:,}", f"{own:.2f}", *(f"{value:.4g}" for value in values)]
            for name, n, own, values in zip(names, self.rows.tolist(), self.own, self.y, strict=True)
        ]
        return as_text(TextTable(head, "l" + "r" * (len(head) - 1), rows))
