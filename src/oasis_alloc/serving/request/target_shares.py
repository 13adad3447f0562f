"""Whole slates near target shares of groups: calibration of one request, by greedy picks and exchanges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError
from oasis_alloc.serving.schema import shown

if TYPE_CHECKING:
    from oasis_alloc.serving.request.selection import Picked, Selector, SlateRequest

_POWER = 1  # of the kernel: logarithms of totals


@suggesting
@dataclass(frozen=True, eq=False, repr=False)
class TargetShares(ByFields):
    """Calibrated slates: `select` maximizes the sum of scores minus `weight` times the divergence from target shares.

    The divergence is `sum_g q_g log(q_g / ((1 - a) p_g + a q_g))`, where q are the targets, a is `smoothing`, and
    p_g is the sum over the slate of what its items are of group g, divided by the number of slots: that of Steck,
    Calibrated recommendations, RecSys 2018. Slates are found by greedy picks, of which one is Steck's rule, and
    exchanges, so none is worse than that of the rule. What each candidate is of each group, (n, n_groups) numbers >= 0
    such as 1 / (number of genres), is the argument `embeddings` of `select`.

    Parameters
    ----------
    target
        One number >= 0 per group, not all 0; divided by their sum. A group with 0 counts for nothing.
    weight
        In units of scores, >= 0: Steck's `lambda / (1 - lambda)`.
    smoothing
        Between 0 and 1; Steck uses 0.01.

    Raises
    ------
    InputError
        For numbers out of their range.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"r": [0.9, 0.8, 0.4]})
    >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(2))).policy()
    >>> parts = np.array([[1, 0], [1, 0], [0, 1]])  # folk, folk, pop
    >>> half = oa.TargetShares([0.5, 0.5], weight=1.0)
    >>> policy.select([0, 1, 2], {"r": [0.9, 0.8, 0.4]}, diversify=half, embeddings=parts).tolist()
    [0, 2]
    """

    target: npt.ArrayLike
    weight: float
    smoothing: float = 0.01

    def __post_init__(self) -> None:
        target, weight, smoothing = self.target, self.weight, self.smoothing
        numbers = _numbers(target, "TargetShares(target=...)")
        if numbers.ndim != 1 or not np.isfinite(numbers).all() or (numbers < 0.0).any() or not numbers.sum() > 0.0:
            raise InputError(
                f"TargetShares(target={shown(target)}): expected one finite number >= 0 per group, not all 0."
            )
        real, smooth = as_real(weight), as_real(smoothing)
        if real is None or not 0.0 <= real < np.inf:
            raise InputError(
                f"TargetShares(weight={shown(weight)}): expected a finite number >= 0, in units of scores."
            )
        if smooth is None or not 0.0 < smooth < 1.0:
            raise InputError(
                f"TargetShares(smoothing={shown(smoothing)}): expected a number between 0 and 1, such as 0.01."
            )
        object.__setattr__(self, "target", readonly(numbers / numbers.sum()))
        object.__setattr__(self, "weight", float(real))
        object.__setattr__(self, "smoothing", float(smooth))

    @property
    def shares(self) -> Floats:
        """(n_groups,) target shares, which add up to 1."""
        return np.asarray(self.target)

    def __repr__(self) -> str:
        return f"TargetShares({self.shares.size} groups, weight={self.weight:g}, smoothing={self.smoothing:g})"


def calibrated(
    selector: Selector, scores: Floats, slate_request: SlateRequest, rule: TargetShares, parts: object
) -> Picked:
    """The slate of a request for target shares, best scores first, with the scores of its items."""
    from oasis_alloc.kernels.solve.own_prices import OwnGroups
    from oasis_alloc.kernels.solve.whole_slates import whole_slates
    from oasis_alloc.serving.request.selection import Picked

    if not selector.is_plain or slate_request.min_size:
        raise InputError(
            "diversify=oa.TargetShares(...) chooses slates whose only rule is a size; this policy's slates have "
            f"{selector.data.slate!r}. Leave out diversify, or solve without these rules."
        )
    if slate_request.pinned.size:
        raise InputError(
            "pinned: not supported together with diversify=oa.TargetShares(...); leave out one of the two."
        )
    of = _parts(parts, scores.size, rule.shares.size)
    open_ = np.ones(scores.size, np.bool_)
    open_[slate_request.excluded] = False
    place = np.flatnonzero(open_)
    n, size = place.size, slate_request.k
    if n == 0 or size == 0:
        return Picked(np.empty(0, np.int64), np.empty(0))
    wanted = np.flatnonzero((rule.shares > 0.0) & (rule.weight > 0.0))
    target = rule.shares[wanted]
    mine = of[np.ix_(place, wanted)]
    pair, group = np.nonzero(mine)
    total = min(size, n)
    groups = OwnGroups(
        readonly(np.array([0, wanted.size])),
        readonly(np.searchsorted(pair, np.arange(n + 1)).astype(np.int64)),
        readonly(group.astype(np.int32)),
        readonly(mine[pair, group]),
        readonly(np.full(wanted.size, _POWER)),
        readonly(rule.weight * target),
        readonly(target * (total * rule.smoothing / (1.0 - rule.smoothing))),
        *(readonly(np.full(wanted.size, number)) for number in (1.0, -np.inf, np.inf)),
    )
    found, given = np.zeros(n, np.bool_), np.ascontiguousarray(scores[place])
    whole_slates(0, 1, readonly(np.array([0, n])), given, size, groups, np.zeros(wanted.size), found)
    slate = place[found]
    slate = slate[np.argsort(-scores[slate], kind="stable")]
    return Picked(slate, scores[slate])


def _parts(given: object, n: int, n_groups: int) -> Floats:
    """What each candidate is of each group, (n, n_groups)."""
    if given is None:
        raise InputError(
            "embeddings: needed with diversify=oa.TargetShares(...): what each candidate is of each group, "
            f"({n}, {n_groups}) numbers >= 0."
        )
    parts = _numbers(given, "embeddings")
    if parts.shape != (n, n_groups):
        raise InputError(
            f"embeddings: shape {parts.shape}; expected ({n}, {n_groups}): one row per candidate, one number per group "
            "of oa.TargetShares."
        )
    if not np.isfinite(parts).all() or (parts < 0.0).any():
        row = int(np.argmax(~(np.isfinite(parts) & (parts >= 0.0)).all(axis=1)))
        raise InputError(f"embeddings: row {row} is {shown(parts[row].tolist())}; expected finite numbers >= 0.")
    return parts


def _numbers(given: object, what: str) -> Floats:
    try:
        return np.array(given, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{what}: expected numbers, got {shown(given)}.") from None
