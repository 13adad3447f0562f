"""Generalized Gini welfare: totals weighted by rank, the worst-off most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.types import Floats
from oasis_alloc.data.by_group import labeled, numbers_of
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.functions.arguments import check_measure, check_sizes
from oasis_alloc.statement.functions.sorting import sorted_pieces
from oasis_alloc.statement.functions.support import BoundSupport, Linear
from oasis_alloc.statement.functions.weighted import Weighted
from oasis_alloc.statement.measures import Measure


@suggesting
def gini_welfare(measure: Measure, weights: npt.ArrayLike | None = None) -> GiniWelfare:
    """Totals weighted by rank from the worst-off, `sum_k weights_k e_(k)` with `e_(1) <= e_(2) <= ...`.

    Parameters
    ----------
    measure
        Totals by group, such as `exposure(by="artist")`; of any sign.
    weights
        (n_groups,), the worst-off's first; >= 0, never increasing, not all 0. None takes
        `(2 (n - k) + 1) / n^2` for k = 1 .. n, with which the welfare is the mean times 1 minus the Gini coefficient.
        `[1, 0, 0, ...]` is the total of the worst-off group, `1 / n` for all is the mean.

    Returns
    -------
    GiniWelfare
        Concave; enters an objective with a plus. Prices are minus the points of the permutahedron, the convex hull of
        the weights in every order: the smaller a group's total, the larger its bonus (Weymark, Math. Soc. Sci. 1:409,
        1981; Do and Usunier, SIGIR 2022, arXiv 2202.03237, for rankings. Projection: Lim and Wright, AISTATS 2016).

    Raises
    ------
    ProblemError
        If a weight is negative, not finite or above the one before it, or if there are not n_groups weights.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> 20.0 * oa.gini_welfare(oa.exposure(by="genre"), [0.5, 0.3, 0.2])
    20 * gini_welfare(exposure(by="genre"), array of 3)
    """
    check_measure("gini_welfare", measure)
    if weights is None:
        return GiniWelfare(measure)
    if labeled(weights, f"gini_welfare({measure}, ...)", "weight") is not None:
        raise ProblemError(
            f"gini_welfare({measure}, ...): weights are an array (n_groups,), the worst-off's first; they are by rank, "
            f"not by label, and {type(weights).__name__} has labels. From a pandas Series, pass to_numpy()."
        )
    numbers = np.asarray(numbers_of(weights, f"gini_welfare({measure}, ...)", "weight"))
    if numbers.ndim != 1:
        raise ProblemError(f"gini_welfare({measure}, array of shape {numbers.shape}): expected weights (n_groups,).")
    bad = np.flatnonzero(~np.isfinite(numbers) | (numbers < 0))
    if bad.size:
        raise ProblemError(
            f"gini_welfare({measure}, ...): weight {bad[0]} is {numbers[bad[0]]}; expected finite numbers >= 0."
        )
    check_sizes(numbers, f"gini_welfare({measure}, ...)")
    rises = np.flatnonzero(np.diff(numbers) > 0)
    if rises.size:
        k = int(rises[0]) + 1
        raise ProblemError(
            f"gini_welfare({measure}, ...): weight {k} is {numbers[k]:g}, above weight {k - 1}, {numbers[k - 1]:g}. "
            "Weights must not increase (the first is the worst-off's), or the welfare is not concave."
        )
    if not numbers.any():
        raise ProblemError(f"gini_welfare({measure}, ...): all weights are 0; the worst-off's must be positive.")
    return GiniWelfare(measure, weights=numbers)


@dataclass(frozen=True, eq=False, repr=False)
class GiniWelfare(Weighted):
    """Totals weighted by rank; made by `gini_welfare`."""

    weights: Any = None

    title: ClassVar[str] = "gini_welfare"

    def options(self) -> str:
        return "" if self.weights is None else f", array of {self.weights.size}"

    def bind(self, labels: Sequence[Any]) -> BoundGiniWelfare:
        n = len(labels)
        weights = self.weights
        if weights is None:
            weights = (2.0 * (n - np.arange(1, n + 1)) + 1.0) / max(n, 1) ** 2
        if weights.size != n:
            raise ProblemError(
                f"{self.name}: {weights.size} weights; expected (n_groups,) = ({n},), the worst-off's first."
            )
        return BoundGiniWelfare(groups=n, weights=self.weight * weights)


@dataclass(frozen=True, eq=False, kw_only=True)
class BoundGiniWelfare(BoundSupport):
    """`v @ sort(e)` with v >= 0 decreasing: the minimum over the permutahedron of v."""

    weights: Floats  # times the function's weight

    def value(self, totals: Floats) -> float:
        return float(self.weights @ np.sort(totals))

    def parts(self, totals: Floats) -> float:
        return float(self.weights @ np.abs(np.sort(totals)))

    def nearest(self, point: Floats, slope: Floats, metric: Floats) -> Floats:
        from oasis_alloc.kernels.solve.permutahedron import nearest_in_permutahedron

        out = np.empty(point.size)
        nearest_in_permutahedron(point, slope, metric, self.weights, out)
        return out

    def largest(self) -> Floats:
        return np.full(self.groups, self.weights[0] if self.groups else 0.0)

    def linear(self, low: Floats, high: Floats, prices: Floats) -> Linear:
        return sorted_pieces(self.weights, low, high, -prices)

    def linear_size(self) -> int:
        depth = (self.groups - 1).bit_length()  # layers of the network: depth (depth + 1) / 2, of comparators of 3 rows
        return 3 * self.groups * depth * (depth + 1) // 4

    def expression(self, totals: Any) -> Any:
        import cvxpy as cp

        # by the sums of the k smallest, each times the decrease of the weights after k
        falls = self.weights - np.append(self.weights[1:], 0.0)
        return sum((falls[k] * cp.sum_smallest(totals, int(k) + 1) for k in np.flatnonzero(falls)), 0.0)
