"""Max-min fairness: the total of the worst-off group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import LARGEST
from oasis_alloc.data.by_group import text_of
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.functions.arguments import check_measure, for_every_group, numbers_per_group
from oasis_alloc.statement.functions.support import BoundSupport, Linear
from oasis_alloc.statement.functions.weighted import Weighted
from oasis_alloc.statement.measures import Limit, Measure

_VISIBLE = 1e-7  # of a group's largest total: a linear program keeps rows to 1e-9


@suggesting
def worst_off(measure: Measure, weights: Limit | None = None) -> WorstOff:
    """The total of the worst-off group, `min_g e_g / weights_g`.

    Parameters
    ----------
    measure
        Totals by group, such as `exposure(by="artist")`; of any sign.
    weights
        Relative entitlement of each group, positive: a number, one number per group, or `{label: number}` with every
        group. None takes 1 for all.

    Returns
    -------
    WorstOff
        Concave; enters an objective with a plus. Prices are minus the points of a simplex, `mu >= 0` with
        `sum_g weights_g mu_g` the function's weight: a bonus for the groups that are worst off, 0 for all others
        (Bertsimas, Farias and Trichakis, Oper. Res. 59:17, 2011, section 2: max-min fairness. Projection: Held, Wolfe
        and Crowder, Math. Program. 6:62, 1974; Duchi et al., ICML 2008).

    Raises
    ------
    ProblemError
        If a weight is not positive and finite, or a group has none.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> 20.0 * oa.worst_off(oa.exposure(by="artist"))
    20 * worst_off(exposure(by="artist"))
    """
    check_measure("worst_off", measure)
    if weights is None:
        return WorstOff(measure)
    instead = "To leave a group out, give its items no label."
    given, numbers = numbers_per_group("worst_off", measure, weights, "weight", otherwise=instead)
    if not float(numbers.max(initial=0.0)) <= LARGEST * float(numbers.min(initial=np.inf)):
        raise ProblemError(
            f"worst_off({measure}, ...): weights from {numbers.min():g} to {numbers.max():g}; expected the largest to "
            f"be at most {LARGEST:g} times the smallest."
        )
    return WorstOff(measure, weights=given)


@dataclass(frozen=True, eq=False, repr=False)
class WorstOff(Weighted):
    """The total of the worst-off group; made by `worst_off`."""

    weights: Any = None

    title: ClassVar[str] = "worst_off"

    def options(self) -> str:
        return "" if self.weights is None else f", {text_of(self.weights)}"

    def bind(self, labels: Sequence[Any]) -> BoundWorstOff:
        weights = for_every_group(1.0 if self.weights is None else self.weights, labels, self.name, "weight")
        # only ratios matter; near 1, squares of weights are finite. A power of two rounds nothing
        unit = 2.0 ** np.floor(np.log2(weights.max())) if weights.size else 1.0
        return BoundWorstOff(groups=len(labels), weight=self.weight / unit, weights=weights / unit)


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundWorstOff(BoundSupport):
    """`w min_g e_g / a_g`: the minimum over the simplex `mu >= 0, a @ mu = w`."""

    weight: float
    weights: Floats

    def value(self, totals: Floats) -> float:
        return self.weight * float(np.min(totals / self.weights)) if totals.size else 0.0

    def nearest(self, point: Floats, slope: Floats, metric: Floats) -> Floats:
        """`mu = max(0, point - (slope + t a) / metric)`, with the t at which `a @ mu` is the weight."""
        if not point.size:
            return point.copy()
        level = float((slope / self.weights).mean())
        moved = point - (slope - level * self.weights) / metric
        order = np.argsort(-moved * metric / self.weights, kind="stable")
        a, z, loose = self.weights[order], moved[order], self.weights[order] / metric[order]
        t = (np.cumsum(a * z) - self.weight) / np.cumsum(a * loose)  # if only the first ones are above 0
        above = np.flatnonzero(z > t * loose)
        n_active = int(above[-1]) + 1 if above.size else 1  # numbers so large that the weight is below their rounding
        out = np.zeros(point.size)
        out[order[:n_active]] = np.maximum(z[:n_active] - t[n_active - 1] * loose[:n_active], 0.0)
        paid = float(out @ self.weights)
        return out * (self.weight / paid) if paid > 0 else out

    def largest(self) -> Floats:
        return self.weight / self.weights

    def linear(self, low: Floats, high: Floats, prices: Floats) -> Linear:
        """One common level, and the surplus of each group above its share of it."""
        import scipy.sparse as sp

        n, weights = self.groups, self._visible(low, high)
        totals = sp.hstack([sp.csr_array(weights[:, None]), sp.eye_array(n)], format="csr")
        gain, lower = np.zeros((2, n + 1))
        gain[0], lower[0] = self.weight, -np.inf
        return Linear(totals, sp.csr_array((0, n + 1)), np.empty(0, np.bool_), gain, lower, self.weight / weights)

    def _visible(self, low: Floats, high: Floats) -> Floats:
        """The weights, none so small that a linear program would not see it.

        A group of a tiny weight needs next to nothing, but not nothing. It is asked for a tiny share of its total.
        """
        if not low.size or (low < -_VISIBLE * high).any():  # totals of any sign; rounding is below 0 too
            return self.weights
        level = float((high / self.weights).min())
        return np.maximum(self.weights, _VISIBLE * high / level) if level > 0.0 else self.weights

    def linear_size(self) -> int:
        return self.groups

    def expression(self, totals: Any) -> Any:
        import cvxpy as cp

        return self.weight * cp.min(cp.multiply(1.0 / self.weights, totals))
