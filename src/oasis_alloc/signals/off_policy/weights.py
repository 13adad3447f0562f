"""What the weights can carry: effective sample size, concentration, overlap, and what to say about them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.types import Floats

_FEW = 0.10  # effective share of the log below which a warning is given
_TOP = 0.01  # share of the log whose part of the weight is shown
_CONCENTRATED = 0.5  # part of the weight in the top share from which a warning is given
_EVENTS = 50.0  # effective number of outcomes below which a warning is given, and policies are not compared
_ERRORS = 4.0  # standard errors of the mean weight from which propensities are doubted
_OVERLAP = 0.5  # overlap below which estimates are refused


@suggesting
@dataclass(frozen=True)
class OffPolicyWeights:
    """What the importance weights of a log can carry.

    Attributes
    ----------
    count
        Number of weights: items shown, or slates for estimators of whole slates.
    effective
        Effective sample size, `(sum w)^2 / sum w^2` (Kish 1965): so many weights of equal size have the same variance.
    largest
        The largest weight.
    top_share
        Share of all weight that the largest 1 % of the weights have, from 0.01 to 1.
    overlap, overlap_error
        Sum of weights over what it should be, and its standard error. Its expectation is 1 if the log can show all that
        the policy shows, and less by the share that it never shows.
    zero_share
        Share of the log that the policy would never show.
    outcomes
        Effective number of outcomes, `(sum w |r|)^2 / sum (w r)^2`.
    compared
        Effective number of outcomes that distinguish the policy from the logged one,
        `(sum |w - 1| |r|)^2 / sum ((w - 1) r)^2`; infinite if no weight differs from 1. Below 50, intervals of the
        difference are too short: docs/off-policy.md.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> found = oa.off_policy([1, 0, 0, 1] * 25, [0.5] * 100, [0.5, 0.5, 0.25, 0.75] * 25)
    >>> round(found.weights.effective, 1), found.weights.overlap
    (88.9, 1.0)
    """

    count: int
    effective: float
    largest: float
    top_share: float
    overlap: float
    overlap_error: float
    zero_share: float
    outcomes: float
    compared: float = math.inf

    @property
    def compares(self) -> bool:
        """Whether enough outcomes distinguish the policy from the logged one for an interval of their difference."""
        return self.compared >= _EVENTS

    def to_dict(self) -> dict[str, Any]:
        """The numbers in the form of JSON."""
        return dict(jsonable(self))


def weights_of(weights: Floats, outcomes: Floats, by_unit: Floats, expected: Floats) -> OffPolicyWeights:
    """The diagnostics of weights (n,) with their outcomes (n,), and sums of both weights by unit.

    `by_unit` is the sum of the weights of each unit, `expected` the number of items that the policy would show to it.
    """
    total, squares = float(weights.sum()), float((weights**2).sum())
    weighed = np.abs(weights * outcomes)
    energy = float((weighed**2).sum())
    apart_by_row = np.abs((weights - 1.0) * outcomes)
    apart_energy = float((apart_by_row**2).sum())
    top = max(1, math.ceil(_TOP * weights.size))
    overlap = float(by_unit.sum() / expected.sum())
    apart = by_unit - overlap * expected
    units = by_unit.size
    error = float(apart.std(ddof=1) / math.sqrt(units) / expected.mean()) if units > 1 else math.nan
    return OffPolicyWeights(
        weights.size,
        total**2 / squares if squares else 0.0,
        float(weights.max()),
        float(np.partition(weights, weights.size - top)[-top:].sum()) / total if total else 0.0,
        overlap,
        error,
        float((weights == 0.0).mean()),
        float(weighed.sum()) ** 2 / energy if energy else 0.0,
        float(apart_by_row.sum()) ** 2 / apart_energy if apart_energy else math.inf,
    )


def refusals(found: OffPolicyWeights, min_effective: float) -> list[str]:
    """Why nothing should be estimated, as sentences; empty if it may be."""
    out = []
    if found.effective < min_effective:
        out.append(
            f"The weights are worth {found.effective:,.1f} of {found.count:,} observations, fewer than the "
            f"{min_effective:g} that min_effective requires: the log shows hardly anything that this policy would show."
        )
    if min_effective > 0.0 and found.overlap + _ERRORS * found.overlap_error < _OVERLAP:
        out.append(
            f"The log covers about {100 * found.overlap:.0f} % of what this policy would show, less than "
            f"{100 * _OVERLAP:.0f} %: the rest had a propensity of 0, and nothing is known of it."
        )
    if min_effective > 0.0 and found.outcomes == 0.0:
        out.append("No item with an outcome would be shown by this policy: all weighted outcomes are 0.")
    return out


def cautions(found: OffPolicyWeights) -> list[str]:
    """What a reader should know before using the estimates, as sentences."""
    out = []
    if found.effective < _FEW * found.count:
        out.append(
            f"The effective sample size is {found.effective:,.0f} of {found.count:,}: the weights are as uncertain as "
            f"{found.effective:,.0f} observations of the policy itself."
        )
    if found.top_share > _CONCENTRATED:
        out.append(
            f"The largest 1 % of the weights have {100 * found.top_share:.0f} % of the weight; the largest weight is "
            f"{found.largest:,.4g}. A few observations decide the estimate."
        )
    off = abs(found.overlap - 1.0)
    if off > _ERRORS * found.overlap_error and off > 1e-9:
        if found.overlap < 1.0:
            out.append(
                f"The weights add up to {100 * found.overlap:.1f} % of what they should (+- "
                f"{100 * found.overlap_error:.1f} %). The log never shows a part of what this policy shows, or the "
                "logged propensities are too high. Inverse propensity counts the missing part as 0."
            )
        else:
            out.append(
                f"The weights add up to {100 * found.overlap:.1f} % of what they should (+- "
                f"{100 * found.overlap_error:.1f} %). The logged propensities are too low: log those of `Sample`."
            )
    if found.outcomes < _EVENTS:
        out.append(f"The estimates rest on about {found.outcomes:.0f} outcomes; expect wide intervals.")
    if not found.compares:
        out.append(
            f"The difference to the logged policy rests on about {found.compared:.0f} outcomes, fewer than the "
            f"{_EVENTS:.0f} from which its interval holds: the log does not say which policy is better."
        )
    return out
