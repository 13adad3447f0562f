"""Steps of prices that share a domain: a quadratic model minimized over the domain, without another visit.

The prices of a support function (statement/functions/support.py) are minus the points of a simplex or a permutahedron.
A step of a separable model over such a set is exact: a sort, and one level for each part of the groups. Curvature that
is not separable takes some of these steps, with momentum (Nesterov, Dokl. Akad. Nauk SSSR 269:543, 1983; Beck and
Teboulle, SIAM J. Imaging Sci. 2:183, 2009), which begins again where it leads uphill (O'Donoghue and Candes, Found.
Comput. Math. 15:715, 2015). They meet in the metric of the Hessian's diagonal, in which it is close to the identity:
20 to 50 steps reduce the distance to a hundredth, each for one product with the Hessian.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from oasis_alloc.common.types import Floats
from oasis_alloc.program.program import Program
from oasis_alloc.solvers.settings import DualSettings

_STEEPEST = 1.0  # first guess of the largest curvature, in units of the metric: right for a separable model
_AGAIN = 1.2  # factor of a curvature that was found to be larger
_ROUNDING = 1e-9


class Model(NamedTuple):
    """A quadratic model of the dual around some dual variables."""

    z: Floats
    gradient: Floats
    metric: Floats  # at least its diagonal, with all that is added to the curvature of slates
    diagonal: Floats  # (n_rows,) of the curvature of slates
    curvature: Callable[[Floats], Floats]  # of slates, of a change of prices by row


def coupled_direction(program: Program, model: Model, longest: Floats | float, settings: DualSettings) -> Floats:
    """About the least of the model over the domain of the prices, with no price much further than `longest`.

    Single prices keep within it. Of coupled ones, those that a separable model moves further are made stiffer.
    """
    z, metric = model.z, model.metric
    lower, upper = np.maximum(program.lower, z - longest), np.minimum(program.upper, z + longest)
    coupled = np.zeros(z.size, np.bool_)
    for block, _ in program.supports:
        coupled[block.variables] = True
    lower[coupled], upper[coupled] = -np.inf, np.inf
    for _ in range(settings.stiffened):
        moved = np.abs(program.nearest(z, model.gradient, metric, lower, upper) - z)
        far = coupled & (moved > settings.almost * longest)
        if not far.any():
            break
        metric = np.where(far, metric * moved / longest, metric)
    added = metric - (model.diagonal / program.row_scale**2)[program.row]

    def product(d: Floats) -> Floats:
        return np.asarray(program.by_variable(model.curvature(program.prices(d))) + added * d)

    def nearest(d: Floats, slope: Floats, stiff: Floats) -> Floats:
        return program.nearest(z + d, slope, stiff, lower, upper) - z

    return least_quadratic(product, model.gradient, metric, nearest, settings.forcing, settings.coupled_products)


def least_quadratic(
    product: Callable[[Floats], Floats],
    slope: Floats,
    metric: Floats,
    nearest: Callable[[Floats, Floats, Floats], Floats],
    share: float,
    max_products: int,
) -> Floats:
    """About the feasible d with the least `slope @ d + d @ H d / 2`; d = 0 has to be feasible.

    `product(d)` is `H d`, and `metric` about the diagonal of H. `nearest(d, g, m)` is the feasible w with the least
    `g @ (w - d) + m / 2 @ (w - d)^2`. Ends where steps are this share of the first, or with the products.
    """
    steepest, momentum, first = _STEEPEST, 1.0, np.inf
    d = ahead = curved = curved_ahead = np.zeros_like(slope)
    for _ in range(max_products):
        new = nearest(ahead, slope + curved_ahead, steepest * metric)
        step, curved_new = new - ahead, product(new)
        size = float(step @ (metric * step))
        along = float(step @ (curved_new - curved_ahead))
        if along > (1.0 + _ROUNDING) * steepest * size:
            steepest = _AGAIN * along / size
            continue
        first = size if np.isinf(first) else first
        if float((ahead - new) @ (metric * (new - d))) > 0.0:
            momentum = 1.0
        after = 0.5 * (1.0 + np.sqrt(1.0 + 4.0 * momentum**2))
        keep = (momentum - 1.0) / after
        ahead, curved_ahead = new + keep * (new - d), curved_new + keep * (curved_new - curved)
        d, curved, momentum = new, curved_new, after
        if size <= share**2 * first:
            break
    return d
