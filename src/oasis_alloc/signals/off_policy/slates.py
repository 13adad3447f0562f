"""`oa.off_policy_slates`: estimates of whole slates, by one outcome per slate or one per slot.

With `w_j = target_j / logged_j` of slot j, each given the slots above it:

    one outcome per slate   inverse propensity of slates   mean of  w_1 ... w_k r
                            pseudo-inverse                 mean of  q' pinv(G) 1_s r       (Swaminathan et al. 2017)
    one outcome per slot    inverse propensity of slates   mean of  w_1 ... w_k (r_1 + ... + r_k)
                            independent slots              mean of  sum_j w_j r_j          (Li et al. 2018)
                            cascade                        mean of  sum_j w_1 ... w_j r_j  (McInerney et al. 2020)
                            cascade doubly robust          the same with predictions       (Kiyohara et al. 2022)

G is the second moment of the indicators 1_s of a logged slate, q the expected indicators of the other policy. If slots
are drawn independently, `q' pinv(G) 1_s = 1 + sum_j (w_j - 1)`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import Floats, LabelsLike
from oasis_alloc.data.row_labels import in_one_order
from oasis_alloc.errors import InputError
from oasis_alloc.signals.off_policy.arguments import (
    Options,
    bounded,
    first_wrong,
    informative,
    logged_propensities,
    numbered,
    numbers,
    options,
    target_probabilities,
)
from oasis_alloc.signals.off_policy.arrays import result_of
from oasis_alloc.signals.off_policy.result import OffPolicy
from oasis_alloc.signals.off_policy.units import Terms, added, mean_terms
from oasis_alloc.signals.off_policy.weights import weights_of

_SYMMETRIC = 1e-9  # how far a matrix of joint probabilities may be from a symmetric one


@suggesting
def pseudo_inverse_weights(joint: ArrayLike, target: ArrayLike, shown: ArrayLike) -> Floats:
    """Weights of slates for the pseudo-inverse estimator, from the joint probabilities of the logging policy.

    A slate is a set of features, such as "item 3 is shown" or "item 3 is in slot 1". Its expected outcome is a sum over
    its features; everything else about it may be unknown.

    Parameters
    ----------
    joint
        (f, f) the probability that the logging policy shows both features; on the diagonal, that it shows one.
    target
        (f,) the probability with which the other policy shows each feature.
    shown
        (n, k) numbers of the features of n logged slates, drawn with these probabilities.

    Returns
    -------
    array
        (n,) weights, which may be negative. Their mean is 1 if the logging policy can show all that the other shows.

    Raises
    ------
    InputError
        For a matrix that is not of joint probabilities, features that do not exist, and a target that shows features
        that the logging policy never shows.

    Notes
    -----
    The weight is `target' pinv(joint) 1_s` (Swaminathan et al., Off-policy evaluation for slate recommendation, 2017).

    Example
    -------
    >>> import oasis_alloc as oa
    >>> joint = [[2 / 3, 1 / 3, 1 / 3], [1 / 3, 2 / 3, 1 / 3], [1 / 3, 1 / 3, 2 / 3]]     # two of three items
    >>> oa.pseudo_inverse_weights(joint, [1, 1, 0], [[0, 1], [0, 2]]).round(6).tolist()
    [3.0, 0.0]
    """
    both = numbers(joint, "joint", ndim=2)
    if both.shape[0] != both.shape[1]:
        raise InputError(f"joint has shape {both.shape}; expected one row and one column per feature.")
    first_wrong(both, (both >= 0.0) & (both <= 1.0 + _SYMMETRIC), "joint", "a probability from 0 to 1")
    own = np.minimum(np.diag(both)[:, None], np.diag(both))
    good = (np.abs(both - both.T) <= _SYMMETRIC) & (both <= own + _SYMMETRIC)
    first_wrong(both, good, "joint", "a symmetric matrix whose entries are at most those of the diagonal")
    wanted = np.asarray(numbers(target, "target"))
    if wanted.shape != both.shape[:1]:
        raise InputError(f"target has {wanted.size:,} features; joint has {both.shape[0]:,}.")
    first_wrong(wanted, (wanted >= 0.0) & (wanted <= 1.0 + _SYMMETRIC), "target", "a probability from 0 to 1")
    places = numbers(shown, "shown", ndim=2)
    first_wrong(
        places, (places >= 0) & (places < wanted.size) & (places == np.floor(places)), "shown",
        f"the number of a feature, 0 to {wanted.size - 1}",
    )  # fmt: skip
    inverse = np.linalg.pinv(both, hermitian=True)
    value = wanted @ inverse
    left = np.abs(both @ value - wanted) > 1e-6
    if left.any():
        raise InputError(
            f"target shows feature {int(np.argmax(left))}, which the logging policy shows too rarely with the others "
            "to tell what it adds: it is outside the range of the joint probabilities."
        )
    found: Floats = value[places.astype(np.int64)].sum(axis=1)
    return found


@suggesting
def off_policy_slates(
    outcomes: ArrayLike,
    logged: ArrayLike | None = None,
    target: ArrayLike | None = None,
    *,
    weights: ArrayLike | None = None,
    users: LabelsLike | None = None,
    predicted: ArrayLike | None = None,
    predicted_target: ArrayLike | None = None,
    interval: str = "bootstrap",
    confidence: float = 0.95,
    bounds: tuple[float, float] | None = None,
    min_effective: float = 30.0,
    resamples: int = 1_000,
    seed: int = 0,
) -> OffPolicy:
    """Estimate what another policy's slates would have earned, if items of a slate influence each other.

    Parameters
    ----------
    outcomes
        (n,) one number per slate, such as minutes of a session, for the pseudo-inverse estimator; or (n, k) one number
        per slot, for the cascade estimator.
    logged, target
        (n, k) the probability of the item in each slot given the slots above it: when it was logged, in (0, 1], and of
        the other policy, in [0, 1].
    weights
        (n,) weights of slates instead of both, from `oa.pseudo_inverse_weights`, for slots that are not independent.
    users
        (n,) labels of users, whose slates depend on each other; by default all slates are independent.
    predicted, predicted_target
        (n, k) for the cascade: predicted outcome of this slot and those below it, given the slots above: for the item
        shown, and averaged over what the other policy shows in this slot.
    interval, confidence, bounds, min_effective, resamples, seed
        As in `off_policy`; bounds are those of an outcome.

    Returns
    -------
    OffPolicy
        By one outcome per slate: "pseudo-inverse", "self-normalized pseudo-inverse" and, from `logged`, "inverse
        propensity of slates". By one per slot: "cascade", "independent slots", "inverse propensity of slates" and, with
        predictions, "cascade doubly robust".

    Raises
    ------
    InputError
        As `off_policy`.

    Notes
    -----
    From `logged` and `target`, the pseudo-inverse estimator takes slots as drawn independently: its weight is then
    `1 + sum_j (target_j / logged_j - 1)`. It is unbiased if the outcome of a slate is a sum over its slots. The cascade
    is unbiased if the outcome of a slot depends on the slots above it, not on those below.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> rng = np.random.default_rng(0)
    >>> shown = rng.integers(2, size=(2000, 3))                                # three slots, two items for each
    >>> minutes = shown.sum(axis=1) + rng.random(2000)
    >>> found = oa.off_policy_slates(minutes, np.full((2000, 3), 0.5), (shown == 1).astype(float))   # worth 3.5
    >>> one = found["pseudo-inverse"]
    >>> one.low < 3.5 < one.high
    True
    """
    given = options(interval, confidence, resamples, seed, min_effective, bounds, "off_policy_slates")
    outcomes, logged, target, users, weights, predicted, predicted_target = in_one_order(
        outcomes=outcomes, logged=logged, target=target, users=users, weights=weights, predicted=predicted,
        predicted_target=predicted_target,
    )  # fmt: skip
    r = np.asarray(outcomes)
    r = numbers(outcomes, "outcomes", ndim=2 if r.ndim == 2 else 1)
    informative(r)
    unit, n_units = (np.arange(len(r)), len(r)) if users is None else numbered(users, len(r), "users")
    if n_units < 2:
        raise InputError(f"there is one {'slate' if users is None else 'user'}; expected two or more.")
    if r.ndim == 1:
        terms, w, by_row, most = _whole(r, logged, target, weights, given)
        expected = np.ones(len(r))
    else:
        if weights is not None:
            raise InputError("weights are of whole slates: pass one outcome per slate, or logged and target.")
        w, by_row, most = _ratios(logged, target, r.shape), r.sum(axis=1), r.shape[1]
        terms, w = _by_slot(r, w, predicted, predicted_target, given)
        expected = np.full(len(r), float(r.shape[1]))
    if users is not None and interval == "bernstein":
        raise InputError("interval='bernstein' needs independent slates of bounded size; leave users out.")
    sums = [one._replace(sums=np.column_stack([added(c, unit, n_units) for c in one.sums.T])) for one in terms]
    by_unit = added(w.reshape(len(r), -1).sum(axis=1), unit, n_units)
    found = weights_of(w.ravel(), r.ravel(), by_unit, added(expected, unit, n_units))
    requests, logs = added(np.ones(len(r)), unit, n_units), added(by_row, unit, n_units)
    return result_of(sums, requests, logs, found, given, most, float(len(r)))


def _ratios(logged: ArrayLike | None, target: ArrayLike | None, shape: tuple[int, ...]) -> Floats:
    if logged is None or target is None:
        raise InputError("logged and target are needed: one row per slate, one column per slot.")
    return target_probabilities(target, shape) / logged_propensities(logged, shape)


def _corners(first: tuple[float, float], second: tuple[float, float]) -> float:
    """The length of the interval of all products of a number of one interval and a number of the other."""
    products = [a * b for a in first for b in second]
    return max(products) - min(products)


def _whole(
    r: Floats, logged: ArrayLike | None, target: ArrayLike | None, weights: ArrayLike | None, given: Options
) -> tuple[list[Terms], Floats, Floats, int]:
    """Estimators by one outcome per slate, their weights, the logged outcomes, and 1."""
    ones, whole = np.ones(r.size), None
    if weights is not None:
        if logged is not None or target is not None:
            raise InputError("weights are given instead of logged and target: pass one of the two.")
        w = numbers(weights, "weights", r.shape)
    else:
        slots = np.asarray(logged)
        if slots.ndim != 2 or len(slots) != len(r):
            raise InputError(
                f"logged has shape {slots.shape}; expected one row per slate, {len(r):,}, one column per slot."
            )
        ratios = _ratios(logged, target, slots.shape)
        w, whole = 1.0 + (ratios - 1.0).sum(axis=1), ratios.prod(axis=1)
    span = spans = math.inf
    if given.interval == "bernstein":
        bound = bounded(r, given, "interval='bernstein'")
        span = _corners((min(float(w.min()), 0.0), float(w.max())), bound)
        spans = math.inf if whole is None else _corners((0.0, float(whole.max())), bound)
    both = np.column_stack((w * r, ones, w, ones, r))
    terms = [mean_terms("pseudo-inverse", w * r, ones, r, span), Terms("self-normalized pseudo-inverse", both, span)]
    if whole is not None:
        terms.append(mean_terms("inverse propensity of slates", whole * r, ones, r, spans))
    return terms, w, r, 1


def _by_slot(
    r: Floats, w: Floats, predicted: ArrayLike | None, predicted_target: ArrayLike | None, given: Options
) -> tuple[list[Terms], Floats]:
    """Estimators by one outcome per slot, and the weights of the cascade."""
    n, k = r.shape
    ones, logged = np.ones(n), r.sum(axis=1)
    down = w.cumprod(axis=1)
    span, largest, size = math.inf, float(max(w.max(), down.max(), 1.0)), 0.0
    if given.interval == "bernstein":
        low, high = bounded(r, given, "interval='bernstein'")
        size = max(abs(low), abs(high))
        span = k * _corners((0.0, largest), (low, high))
    terms = [
        mean_terms("cascade", (down * r).sum(axis=1), ones, logged, span),
        mean_terms("independent slots", (w * r).sum(axis=1), ones, logged, span),
        mean_terms("inverse propensity of slates", down[:, -1] * logged, ones, logged, span),
    ]
    if (predicted is None) != (predicted_target is None):
        raise InputError("predicted and predicted_target belong together: pass both, or neither.")
    if predicted is not None and predicted_target is not None:
        q, v = numbers(predicted, "predicted", r.shape), numbers(predicted_target, "predicted_target", r.shape)
        after = np.column_stack((v[:, 1:], np.zeros(n)))  # of slots below, as predicted after what was shown
        sums = v[:, 0] + (down * (r + after - q)).sum(axis=1)
        if given.interval == "bernstein":
            most = float(max(np.abs(q).max(), np.abs(v).max()))
            span = 2.0 * (most + k * largest * (size + 2.0 * most))
        terms.insert(0, mean_terms("cascade doubly robust", sums, ones, logged, span))
    return terms, down
