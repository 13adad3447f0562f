"""Semismooth Newton steps on the smoothed dual at one smoothing.

The smoothed dual `D_gamma(z) = sum_u max_{x in X_u} (s x - gamma/2 |x|^2) + limit @ z` is convex, once differentiable,
and quadratic as long as no candidate enters or leaves a slate. Its generalized Hessian comes only from the fractional
pairs, which the visit collects; a step solves `H d = -g` on the free variables by preconditioned conjugate gradients
and is clipped at the variables' ranges (projected semismooth Newton: Facchinei and Pang, Finite-Dimensional Variational
Inequalities, ch. 8; conjugate gradients within Newton for linear programs: Li, Sun and Toh, SIAM J. Optim. 30:2410).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.engines.base import Engine, Visit
from oasis_alloc.program.program import Conjugate, Program, RowBlock
from oasis_alloc.solvers.conjugate_gradients import conjugate_gradients
from oasis_alloc.solvers.coupled import Model, coupled_direction
from oasis_alloc.solvers.losses import lost_by_curves, lost_by_smoothing, lost_by_supports
from oasis_alloc.solvers.settings import DualSettings
from oasis_alloc.solvers.step_lengths import StepLengths

_ROUNDING = 1e-14
_HIDDEN = 10.0  # roundings up to which a change of the dual may be nothing else
_FLATTEST = 1e-200  # curvature below which a total does not move at all: its inverse is a number, and so are products


@dataclass(frozen=True, eq=False)
class Point:
    """The smoothed dual at some z."""

    z: Floats
    dual: float  # smoothed dual value
    gradient: Floats
    conjugate: Conjugate
    visit: Visit
    gamma: float

    @property
    def target_totals(self) -> Floats:
        """Gradient of the conjugates: the totals that the functions prefer at these prices."""
        return self.conjugate.gradient

    @property
    def rounding(self) -> float:
        """About how far the dual may be off: it is the difference of sums, which may be far larger than it."""
        return _ROUNDING * (abs(self.visit.smoothed) + abs(self.conjugate.value))


Check = Callable[[Point, int], None]
"""Called after every visit (with its stride); raises to stop the solve."""


class SmoothedDual:
    """Evaluates the smoothed dual of the engine's program."""

    def __init__(self, engine: Engine, check: Check, settings: DualSettings, curves_count: bool = False) -> None:
        self.curves_count = curves_count  # whether what curved functions lose decides when points are settled
        self.engine = engine
        self.settings = settings
        self.program = engine.program
        self.lower, self.upper = self.program.lower, self.program.upper  # (n_variables,) how far steps may go
        self._check = check
        self._typical: Floats | None = None
        self._last: Point | None = None

    def at(self, z: Floats, gamma: float, stride: int = 1) -> Point:
        program, own = self.program, self.engine.own_rows
        if own is not None and stride == 1:  # the best ones at the other prices: steps are those of a smaller dual
            prices = self.engine.with_own_prices(program.prices(z), gamma)
            z = z.copy()
            z[own.variable] = prices[own.rows] * program.row_scale[own.rows]
        point = self.seen(z, self.engine.visit(program.prices(z), gamma, stride))
        self._check(point, stride)
        return point

    def seen(self, z: Floats, visit: Visit) -> Point:
        """The point of a visit at the prices of z."""
        program = self.program
        conjugate = _secant_curvature(program, program.conjugate_at(z), z, visit.totals)
        gradient = conjugate.gradient - program.by_variable(visit.totals)
        point = Point(z, visit.smoothed + conjugate.value, gradient, conjugate, visit, visit.gamma)
        self._remember(point)
        self._last = point
        return point

    @property
    def may_damp(self) -> bool:
        """Whether steps that were too long make the curvature larger: that of curves that count is already."""
        return not self.curves_count and not self.program.supports

    def here(self, point: Point) -> Point:
        """The point, visited again unless it was the last visit: an engine has slates and Hessian only of that."""
        return point if point.visit.is_last else self.at(point.z, point.gamma)

    def last_visit(self, point: Point) -> Visit:
        """The visit whose Hessian is used for a point: its own, or that of a failed line search there.

        The point is visited again if the engine has made a visit at another smoothing since.
        """
        if self._last is not None and self._last.visit.is_last:
            return self._last.visit
        return self.at(point.z, point.gamma).visit

    def _remember(self, point: Point) -> None:
        new = point.visit.diagonal / self.program.row_scale**2
        memory = self.settings.memory
        self._typical = new if self._typical is None else memory * self._typical + (1 - memory) * new

    def stay_near(self, z: Floats, reach: Floats) -> None:
        """Let no variable go further than `reach` from z; coupled prices may, because none is cut by itself."""
        lower, upper = np.maximum(self.lower, z - reach), np.minimum(self.upper, z + reach)
        for block, _ in self.program.supports:
            lower[block.variables], upper[block.variables] = -np.inf, np.inf
        self.lower, self.upper = lower, upper

    def remember_like(self, other: SmoothedDual) -> None:
        """Begin with the curvature that another dual of the same rows remembers."""
        self._typical = other._typical

    def typical(self, point: Point) -> Floats:
        """Lower bound on the curvature, by row.

        gamma times the number of fractional pairs is about the density of pairs near their thresholds, which does not
        depend on gamma; so a row with few fractional pairs now uses its number from earlier visits, and a
        row that never had any uses its totals.
        """
        assert self._typical is not None  # set by `at`, which made the point
        share = self.settings.typical_of_curves if self.curves_count else self.settings.typical
        return np.where(self._typical > 0.0, share * self._typical, self._unknown(point))

    def _unknown(self, point: Point) -> Floats:
        """The least curvature of a row that never had a fractional pair."""
        settings, totals = self.settings, np.abs(point.visit.totals) / self.program.row_scale
        least: Floats = settings.unknown * np.maximum(totals, settings.few_totals * totals.mean() + 1.0) / point.gamma
        return least

    def metric(self, point: Point) -> tuple[Floats, Floats]:
        """About the curvature of each dual variable, and positive, with the part that neither visit nor functions have.

        A coupled price may not be cut by itself: what one group can pay would then shorten the steps of all. So these
        prices have at least the curvature of a row that never had a fractional pair, or most of it.
        """
        settings, row = self.settings, self.program.row
        own, of_functions = (point.visit.diagonal / self.program.row_scale**2)[row], point.conjugate.diagonal
        known, least = own + of_functions, self.typical(point)[row]
        for block, _ in self.program.supports:
            unknown = settings.coupled * self._unknown(point)[block.rows]
            least[block.variables] = np.maximum(least[block.variables], unknown)
        added = settings.damping * known + np.maximum(least - own - of_functions, 0.0)
        return np.maximum(known + added, _FLATTEST), added

    def residual(self, point: Point, of_shared: float = 1.0) -> float:
        """Maximum over functions of the projected gradient's sum divided by the sum of its absolute parts.

        Functions with coupled prices count `of_shared` times; their gradient is that of one step in the metric.
        """
        size = np.maximum(np.abs(point.target_totals), self.program.by_variable(point.visit.activity))
        return self._largest_share(self.off(point), size, of_shared)

    def off(self, point: Point) -> Floats:
        """By dual variable, the size of the projected gradient: how far the total is from the one its price prefers."""
        program = self.program
        off = np.where(self.at_bound(point), 0.0, np.minimum(np.abs(point.gradient), self._curve_residual(point)))
        if program.supports:
            metric, _ = self.metric(point)
            moved = program.nearest(point.z, point.gradient, metric, program.lower, program.upper) - point.z
            for block, _ in program.supports:
                off[block.variables] = np.abs(metric * moved)[block.variables]
        return off

    def settled(self, point: Point, tolerance: float) -> bool:
        """True if the residual is within a tolerance, and coupled prices cost little compared with the smoothing.

        One of these can be far off for the group that is worst off: few totals, and much of what the function is worth.
        So can a price of a curved function: a group that gets nothing at its price counts for nothing in the residual.
        """
        if self.residual(point, self.settings.shared) > tolerance:
            return False
        program, visit = self.program, point.visit
        if self.curves_count:
            lost = lost_by_curves(program, visit.prices, visit.totals)
            if lost > self.settings.curves * lost_by_smoothing(program, visit):
                return False
        if not program.supports:
            return True
        lost = lost_by_supports(program, visit.prices, visit.totals)
        return lost <= self.settings.settled * lost_by_smoothing(program, visit)

    def jumpy(self, point: Point) -> npt.NDArray[np.bool_]:
        """By dual variable, whether its row has few pairs, and few that are fractional: its total moves by jumps."""
        program, settings, visit = self.program, self.settings, point.visit
        size = np.maximum(program.by_variable(visit.activity), np.abs(point.target_totals))
        fractional = (point.gamma * visit.diagonal / program.row_scale**2)[program.row]
        return (size <= settings.few_pairs) & (fractional <= settings.few_fractional)

    def share_of(self, point: Point, which: npt.NDArray[np.bool_]) -> float:
        """Maximum over functions of the share that some of the dual variables have in the sum of its totals."""
        if not which.any():
            return 0.0
        size = self.program.by_variable(point.visit.activity)
        return self._largest_share(np.where(which, size, 0.0), size)

    def _largest_share(self, part: Floats, size: Floats, of_shared: float = 1.0) -> float:
        """Maximum over functions of a sum over its dual variables, divided by another one."""
        program, largest = self.program, 0.0
        part_by_row, size_by_row = (np.bincount(program.row, of, program.n_rows) for of in (part, size))
        for block in program.blocks:
            share = float(part_by_row[block.rows].sum()) / max(1.0, float(size_by_row[block.rows].sum()))
            largest = max(largest, share * (of_shared if block.function.is_support else 1.0))
        return largest

    def _curve_residual(self, point: Point) -> Floats:
        """Error of totals whose prices differ from those of their curved functions; infinite for other rows.

        Where a curve is flat, the total that a price prefers is uninformative: a millionth of the price can make the
        whole difference. The relevant measure is how far slates move at the price of the actual totals.
        """
        program, out = self.program, np.full(point.z.size, np.inf)
        for block in program.curved:
            moved = np.abs(_variables_at(program, block, point.visit.totals) - point.z[block.variables])
            slope = point.visit.diagonal[block.rows] / program.row_scale[block.rows] ** 2
            known = np.isfinite(moved)
            out[block.variables] = np.where(known, np.where(known, moved, 0.0) * slope, np.inf)
        return out

    def at_bound(self, point: Point) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Variables that the gradient pushes outward, at an end of their range or of where steps may go."""
        z, g = point.z, point.gradient
        return ((z <= self.lower) & (g > 0)) | ((z >= self.upper) & (g < 0))


def _variables_at(program: Program, block: RowBlock, totals: Floats) -> Floats:
    """The variables of a curved function whose prices are those of the totals that slates give."""
    price = block.function.price_at(totals[block.rows]) * program.row_scale[block.rows]
    return np.clip(price, program.lower[block.variables], program.upper[block.variables])


def _secant_curvature(program: Program, conjugate: Conjugate, z: Floats, totals: Floats) -> Conjugate:
    """The conjugate with the curvature of curved functions between their prices and the prices of the actual totals.

    Tangents of a logarithm can be off by a factor of ten over the step of a price. With nearly collinear rows (a cap
    and an artist with the same items), Newton steps then diverge. If the two prices are equal, chord and tangent are
    the same.
    """
    added = np.zeros(z.size)
    for block in program.curved:
        own, there = block.variables, totals[block.rows] / program.row_scale[block.rows]
        with np.errstate(invalid="ignore", divide="ignore"):
            chord = (there - conjugate.gradient[own]) / (_variables_at(program, block, totals) - z[own])
        known = np.isfinite(chord) & (chord > 0.0)
        added[own] = np.where(known, chord - conjugate.diagonal[own], 0.0)
    if not added.any():
        return conjugate
    return conjugate._replace(diagonal=conjugate.diagonal + added)


def minimize(
    dual: SmoothedDual, start: Point, stride: int, tolerance: float | Callable[[Point], bool], max_steps: int
) -> Point:
    """Newton steps from `start` until the residual is at most `tolerance`, or until steps stop helping or run out.

    A tolerance may also be a function that decides whether a point is good enough. After a step that was cut, prices
    are still on their way, although few totals may be off: the residual has to be smaller then.
    """
    settings = dual.settings
    point, cut, damping = start, False, 0.0
    lengths = StepLengths(dual.program, settings, dual.may_damp)
    for _ in range(max_steps):
        if callable(tolerance):
            if tolerance(point):
                break
        elif dual.settled(point, settings.sure * tolerance if cut else tolerance):
            break
        longest = lengths.longest(point.gamma)
        direction = trust_region_step(dual, newton_direction(dual, point, longest, damping), longest)
        direction = along_curve(dual, point, direction, longest)
        if not direction.any():
            break
        new, length = _search(dual, point, direction, stride)
        if new is None:
            break
        promised = float(point.gradient @ (new.z - point.z))
        if length < 1.0:
            lengths.shorten(length)
            damping = max(settings.damp * damping, settings.first_damp) if dual.may_damp else 0.0
        elif damping > 0.0 and new.dual - point.dual <= settings.well * promised:
            damping = damping / settings.damp if damping > settings.least_damp else 0.0
            lengths.lengthen(settings.max_radius)
        elif new.dual - point.dual <= settings.agreed * promised:  # half of it if the model were exact
            # all of it along a line: the bonus of a group whose candidates are all shown already has far to go
            straight = dual.program.supports and new.dual - point.dual <= settings.straight * promised
            lengths.lengthen(np.inf if straight else settings.max_radius)
        far = np.abs(direction) >= settings.nearly * longest
        jumps = far & dual.jumpy(point) & dual.jumpy(new)
        lengths.learn(new.z - point.z, point.gradient, new.gradient, jumps)
        cut = dual.share_of(new, far) >= settings.cut
        stays = -promised <= point.rounding and dual.residual(new) > settings.slow * dual.residual(point)
        point = new
        if stays:  # neither the dual nor the totals can get better
            break
    return point


def trust_region_step(dual: SmoothedDual, direction: Floats, longest: Floats) -> Floats:
    """The direction, limited so that no price moves further than its longest step.

    Beyond a few gamma other pairs are fractional, and the quadratic model is not valid. A single price is clipped; for
    the coupled prices of a support function, the whole direction is shortened: the others answer to theirs.
    """
    shared = [np.abs(direction / longest)[block.variables].max() for block, _ in dual.program.supports]
    return np.clip(direction / float(np.max(shared, initial=1.0)), -longest, longest)


def along_curve(dual: SmoothedDual, point: Point, direction: Floats, longest: Floats) -> Floats:
    """The direction, with prices of curved functions set to those of the totals that it leads to.

    The step determines the new totals; along the tangent of a curve a price could leave its range on the way, or need
    one step for every doubling.
    """
    out = direction.copy()
    program, further = dual.program, dual.settings.beyond
    for block in program.curved:
        unit, own = program.row_scale[block.rows], block.variables
        curvature = point.conjugate.diagonal[own]
        drawn, there = point.conjugate.gradient[own] * unit, point.visit.totals[block.rows]
        # between the total that the price prefers and that of the slates, or a little beyond: further is not reliable
        low, high = np.minimum(drawn, there), np.maximum(drawn, there)
        beyond = further * (high - low)
        low = np.where(low > 0.0, np.maximum(low - beyond, further * low), low - beyond)
        totals = np.clip(drawn + curvature * direction[own] * unit, low, high + beyond)
        price = block.function.price_at(totals) * unit
        moved = np.clip(price, program.lower[own], program.upper[own]) - point.z[own]
        moves = (curvature > 0.0) & (direction[own] != 0.0) & np.isfinite(moved)
        out[own] = np.where(moves, np.clip(moved, -longest[own], longest[own]), direction[own])
    return out


def newton_direction(
    dual: SmoothedDual, point: Point, longest: Floats | float = np.inf, damping: float = 0.0
) -> Floats:
    """Approximate solution of (H + added) d = -g on the free variables; over their domain where prices are coupled."""
    program, visit = dual.program, dual.last_visit(point)
    diagonal, added = dual.metric(point)
    if damping > 0.0:
        added = added + damping * diagonal
        diagonal = (1.0 + damping) * diagonal
    if program.supports:
        model = Model(point.z, point.gradient, diagonal, point.visit.diagonal, visit.curvature)
        return coupled_direction(program, model, longest, dual.settings)
    free = ~dual.at_bound(point)

    def product(d: Floats) -> Floats:
        slates = program.by_variable(visit.curvature(program.prices(d)))
        return np.asarray(slates + point.conjugate.diagonal * d + added * d)

    target = np.where(free, -point.gradient, 0.0)
    stop = dual.settings.forcing**2 * float(target @ (target / diagonal))
    d = conjugate_gradients(product, diagonal, target, free, stop, dual.settings.max_products)
    far = (np.abs(d) > longest) & (point.conjugate.diagonal == 0.0)
    if far.any():
        # prices clipped below would leave the others at values that fit only the unclipped ones
        d = np.where(far, np.clip(d, -longest, longest), d)
        rest = free & ~far
        # nor may they say when the others are solved: a price without curvature has nearly all of the residual
        stop = dual.settings.forcing**2 * float(np.where(rest, target**2 / diagonal, 0.0).sum())
        target = np.where(rest, -point.gradient - product(d), 0.0)
        d += conjugate_gradients(product, diagonal, target, rest, stop, dual.settings.max_products)
    return d


def _search(dual: SmoothedDual, point: Point, direction: Floats, stride: int) -> tuple[Point | None, float]:
    """Backtrack along the projected path; (None, 0) if no step decreases the dual."""
    settings, length = dual.settings, 1.0
    for _ in range(settings.max_halvings):
        z = np.clip(point.z + length * direction, dual.lower, dual.upper)
        promised = float(point.gradient @ (z - point.z))
        if promised >= 0.0:
            return None, 0.0
        new = dual.at(z, point.gamma, stride)
        change = new.dual - point.dual
        if change <= settings.armijo * promised + point.rounding:
            return new, length
        if max(-promised, change) <= _HIDDEN * point.rounding:  # no visit can tell a shorter step from this one
            return None, 0.0
        # minimum of the parabola through both ends, limited to [0.1, 0.5]
        length *= min(0.5, max(0.1, -0.5 * promised / max(change - promised, 1e-300)))
    return None, 0.0
