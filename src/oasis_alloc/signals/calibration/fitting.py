"""The numbers of a calibration: isotonic regression, a few knots, least squares between them, and shrinkage.

1. Isotonic regression (scikit-learn) of the outcomes on the scores: the monotone step function that fits best.
2. Knots where pieces between them follow the steps best: the next knot is where it reduces the squared distance most.
3. Monotone least squares on these knots: `y[0]` and the rises between knots are the unknowns, all >= 0
   (`scipy.optimize.nnls`), so the mean of the calibrated scores is the mean of the outcomes.
4. A label's own map and the pooled one are averaged with the weight tau^2 / (tau^2 + its sampling variance): tau^2
   is the variance between labels beyond noise (DerSimonian and Laird, Controlled Clinical Trials 7, 1986).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError, require

_CELLS = 256  # quantiles of the scores among which knots are chosen
_RIDGE = 1e-9  # of the largest diagonal entry: knots without rows near them keep a finite variance


class Fitted(NamedTuple):
    """Values at the knots, and their covariance."""

    y: Floats  # (k,)
    covariance: Floats  # (k, k)


def steps_of(scores: Floats, outcomes: Floats, weights: Floats) -> Floats:
    """(n,) the isotonic regression at every score."""
    isotonic = require("sklearn.isotonic", "signals")
    fitted: Floats = isotonic.IsotonicRegression().fit(scores, outcomes, weights).predict(scores)
    return np.asarray(fitted, np.float64)


def knots_of(scores: Floats, steps: Floats, weights: Floats, n_knots: int) -> Floats:
    """(k,) at most `n_knots` ascending knots, the smallest and the largest score among them."""
    x, first, inverse = np.unique(scores, return_index=True, return_inverse=True)
    target, mass = steps[first], np.bincount(inverse, weights)  # equal scores are on one step
    if x.size < 2:
        raise InputError(f"scores: all {scores.size:,} rows are {x[0]:g}; expected scores that differ.")
    middle = np.cumsum(mass) - mass / 2
    cell = np.minimum((middle / mass.sum() * _CELLS).astype(np.int64), _CELLS - 1)
    total = np.asarray(np.bincount(cell, mass, _CELLS), np.float64)
    has = total > 0
    middle = np.bincount(cell, mass * x, _CELLS)[has] / total[has]
    level = np.bincount(cell, mass * target, _CELLS)[has] / total[has]
    share = total[has]
    chosen = np.array([x[0], x[-1]])
    options = np.unique(middle)
    while chosen.size < n_knots:
        errors = []
        for option in options:
            tried = np.sort(np.append(chosen, option))
            errors.append(_distance(tried, middle, level, share) if _are_apart(tried) else np.inf)
        if not errors or min(errors) >= _distance(chosen, middle, level, share):
            break
        chosen = np.sort(np.append(chosen, options[int(np.argmin(errors))]))
    return chosen


def _are_apart(x: Floats) -> bool:
    return bool((np.diff(x) > 1e-9 * (x[-1] - x[0])).all())


def _distance(x: Floats, at: Floats, level: Floats, share: Floats) -> float:
    """The squared distance of the steps from the best pieces between these knots."""
    design = np.sqrt(share)[:, None] * rises_of(x, at)
    right = np.sqrt(share) * level
    gram = design.T @ design
    gram[np.diag_indices_from(gram)] += _RIDGE * gram.diagonal().max()
    return float(((design @ np.linalg.solve(gram, design.T @ right) - right) ** 2).sum())


def rises_of(x: Floats, scores: Floats) -> Floats:
    """(n, k) 1, then how far each score is along every piece, in [0, 1]: `y = rises @ (y[0], the rises)`."""
    along = np.clip((scores[:, None] - x[:-1]) / np.diff(x), 0.0, 1.0)
    return np.hstack([np.ones((scores.size, 1)), along])


def least_squares(x: Floats, scores: Floats, outcomes: Floats, weights: Floats) -> Fitted:
    """Monotone least squares between the knots, with the sandwich covariance of the fit without the monotone order."""
    design = rises_of(x, scores)
    gram = design.T @ (weights[:, None] * design)
    gram[np.diag_indices_from(gram)] += _RIDGE * gram.diagonal().max()
    root = np.linalg.cholesky(gram).T  # |root @ r - b|^2 differs from the sum of squares by a constant
    right = np.linalg.solve(root.T, design.T @ (weights * outcomes))
    rises, _ = nnls(root, right)
    residual = weights * (outcomes - design @ rises)
    scored = design * residual[:, None]
    bread = np.linalg.inv(gram)
    to_values = np.tril(np.ones((x.size, x.size)))
    covariance = to_values @ (bread @ (scored.T @ scored) @ bread) @ to_values.T
    return Fitted(np.cumsum(rises), covariance)


class Shrunk(NamedTuple):
    """Maps of all labels, row 0 the pooled one."""

    y: Floats  # (1 + n_labels, k)
    variance: Floats  # (1 + n_labels, k)
    weight: Floats  # (1 + n_labels,) of a label's own map; 1 for the pooled one
    rows: Ints  # (1 + n_labels,) rows fitted


def shrunk(
    x: Floats, scores: Floats, outcomes: Floats, weights: Floats, index: Ints, n_labels: int, pseudo: float | None
) -> Shrunk:
    """The map of every label, averaged with the pooled one; `pseudo` rows of the pooled map replace the estimate."""
    pooled = least_squares(x, scores, outcomes, weights)
    error = outcomes - rises_of(x, scores) @ np.diff(pooled.y, prepend=0.0)
    y, variance = np.tile(pooled.y, (1 + n_labels, 1)), np.tile(np.diag(pooled.covariance), (1 + n_labels, 1))
    own, rows = np.ones(1 + n_labels), np.zeros(1 + n_labels, np.int64)
    rows[0] = scores.size
    parts = [np.flatnonzero(index == k) for k in range(n_labels)]
    rows[1:] = [part.size for part in parts]
    own[1:] = _weights(parts, error, weights) if pseudo is None else rows[1:] / np.maximum(rows[1:] + pseudo, 1e-300)
    for k, part in enumerate(parts, 1):
        if own[k] == 0.0 or part.size == 0:
            own[k] = 0.0
            continue
        fit = least_squares(x, scores[part], outcomes[part], weights[part])
        y[k] = own[k] * fit.y + (1.0 - own[k]) * pooled.y
        variance[k] = own[k] * np.diag(fit.covariance) + (1.0 - own[k]) ** 2 * variance[0]
    return Shrunk(np.maximum.accumulate(y, axis=1), np.maximum(variance, 0.0), own, rows)


def _weights(parts: list[Ints], error: Floats, weights: Floats) -> Floats:
    """The weight of each label's own map, from how much the mean errors of labels differ beyond noise."""
    mean, noise = np.zeros(len(parts)), np.full(len(parts), np.inf)
    for k, part in enumerate(parts):
        mass = weights[part].sum()
        if part.size >= 2 and mass > 0:
            mean[k] = weights[part] @ error[part] / mass
            noise[k] = ((weights[part] * (error[part] - mean[k])) ** 2).sum() / mass**2
    known = np.isfinite(noise) & (noise > 0)
    if known.sum() < 2:
        return np.zeros(len(parts))
    precision, mean = 1.0 / noise[known], mean[known]
    center = precision @ mean / precision.sum()
    excess = precision @ (mean - center) ** 2 - (known.sum() - 1)
    between = max(0.0, excess / (precision.sum() - (precision**2).sum() / precision.sum()))
    out = np.zeros(len(parts))
    out[known] = between / (between + noise[known])
    return out
