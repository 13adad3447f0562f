"""What is maximized if the value is uncertain: its mean, its worst draw, its mean over the worst draws, or a quantile.

The first three are the same function of the S values of an allocation, one per draw, with one number, the cap:

    R(V)  =  min { q @ V :  sum q = 1,  0 <= q_s <= cap }

with cap = 1 / S for the mean, 1 for the worst draw, and 1 / (share S) for CVaR (Rockafellar and Uryasev, J. Risk 2:21,
2000; the set of q is the dual representation of Artzner et al., Math. Finance 9:203, 1999). R is concave, and for any
q of the set `q @ V >= R(V)`: that is why a bound for one q is a bound for R.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TypeAlias

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import ProblemError


@suggesting
@dataclass(frozen=True)
class CVaR:
    """Conditional value at risk: the mean value over the worst `share` of the draws.

    Parameters
    ----------
    share
        In (0, 1]; 1 is the mean of all draws. If `share` times the number of draws is 1 or less, it is the worst draw.

    Raises
    ------
    ProblemError
        If `share` is not in (0, 1].

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.CVaR(0.1)
    CVaR(share=0.1)
    """

    share: float = 0.05

    def __post_init__(self) -> None:
        share = as_real(self.share)
        if share is None or not 0.0 < share <= 1.0:
            raise ProblemError(f"CVaR({shown(self.share)}): expected a share of the draws in (0, 1].")
        object.__setattr__(self, "share", share)


@suggesting
@dataclass(frozen=True)
class LowerQuantile:
    """The value that is exceeded with probability `1 - probability`, if errors of pairs are independent.

    With M the expected value and V the sum of the variances of the pairs that are shown, it is `M - z sqrt(V)`, where
    `z` is the normal quantile of `1 - probability`.

    Parameters
    ----------
    probability
        Of a value below the quantile, in (0, 0.5).

    Raises
    ------
    ProblemError
        If `probability` is not in (0, 0.5).

    Example
    -------
    >>> import oasis_alloc as oa
    >>> round(oa.LowerQuantile(0.05).z, 3)
    1.645
    """

    probability: float = 0.05

    def __post_init__(self) -> None:
        probability = as_real(self.probability)
        if probability is None or not 0.0 < probability < 0.5:
            raise ProblemError(f"LowerQuantile({shown(self.probability)}): expected a probability in (0, 0.5).")
        object.__setattr__(self, "probability", probability)

    @property
    def z(self) -> float:
        """The number of standard deviations."""
        return NormalDist().inv_cdf(1.0 - self.probability)


Risk: TypeAlias = "str | CVaR | LowerQuantile"
"""`"expected"`, `"worst"`, `oa.CVaR(share)` or `oa.LowerQuantile(probability)`."""


def checked_risk(risk: object) -> Risk:
    """The risk as it was given, after refusing anything else."""
    if isinstance(risk, (CVaR, LowerQuantile)) or (isinstance(risk, str) and risk in ("expected", "worst")):
        return risk
    raise ProblemError(
        f"risk={shown(risk)}: expected 'expected', 'worst', oa.CVaR(share) or oa.LowerQuantile(probability)."
    )


def stated_risk(risk: Risk) -> dict[str, str | float]:
    """A risk for JSON: its kind, and its number if it has one.

    >>> stated_risk("worst"), stated_risk(CVaR(0.1))
    ({'kind': 'worst'}, {'kind': 'CVaR', 'share': 0.1})
    """
    if isinstance(risk, CVaR):
        return {"kind": "CVaR", "share": risk.share}
    return (
        {"kind": "LowerQuantile", "probability": risk.probability}
        if isinstance(risk, LowerQuantile)
        else {"kind": risk}
    )


def cap_of(risk: Risk, n_draws: int) -> float:
    """The largest weight of one draw."""
    if isinstance(risk, CVaR):
        return min(1.0, 1.0 / (risk.share * n_draws))
    return 1.0 if risk == "worst" else 1.0 / n_draws


def least(values: Floats, cap: float) -> tuple[float, Floats]:
    """(R(V), the weights of the draws at which it is attained): the smallest values first, each up to the cap.

    >>> import numpy as np
    >>> value, weights = least(np.array([3.0, 1.0, 2.0, 8.0]), cap=0.4)
    >>> round(value, 6), weights.round(6).tolist()
    (1.8, [0.2, 0.4, 0.4, 0.0])
    """
    order = np.argsort(values, kind="stable")
    taken = np.minimum(cap * np.arange(1, values.size + 1), 1.0)
    weights = np.empty(values.size)
    weights[order] = np.diff(taken, prepend=0.0)
    weights /= weights.sum()
    return float(weights @ values), weights
