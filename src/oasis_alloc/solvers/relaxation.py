"""When demands conflict: the least total relaxation, as a programme of its own.

With the values set to 0 and every hard constraint softened at one per unit, the optimum is minus the least total by
which the limits must give: it always exists. Its dual bound proves infeasibility (a Farkas
certificate: prices at which the demands cost more than any slates can supply), its allocation says who would have to
give how much, and the groups with a price are the ones in conflict.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oasis_alloc.certificate import Conflict, conflicts_of
from oasis_alloc.engines.base import Engine
from oasis_alloc.functions.base import Floats
from oasis_alloc.program import Program, limit_size, relaxed
from oasis_alloc.solvers.dual import optimise
from oasis_alloc.solvers.finisher import finish_rounds
from oasis_alloc.solvers.watch import FEASIBLE, Stop, Watch

_ALL_AT_ONCE = 100_000  # pairs up to which the whole programme is solved in one go
_GAP = 1e-6
_TILT = 1e-3  # value of a typical pair against one unit of relaxation, so that few pairs tie


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The least total relaxation, bracketed, and who takes part in it."""

    at_least: float  # proven: the limits must give this much together
    at_most: float  # reached by an allocation
    tolerance: float  # up to this a problem counts as feasible
    conflicts: tuple[Conflict, ...]
    totals: Floats
    positions: npt.NDArray[np.int64]
    x: Floats

    @property
    def proven(self) -> bool:
        """True where no allocation meets all constraints."""
        return self.at_least > self.tolerance


def least_relaxation(program: Program, engine_of: Callable[[Program], Engine], watch: Watch) -> Relaxation:
    """Solve the relaxation; `watch` lends its clock and its progress."""
    at_once = program.n_pairs <= _ALL_AT_ONCE
    size = float(np.abs(program.value).mean(dtype=np.float64)) if program.n_pairs else 0.0
    tilt = 0.0 if at_once or size == 0.0 else _TILT / size
    free = relaxed(program, tilt)
    with engine_of(free) as engine:
        own = Watch(_GAP, watch.seconds_left, None, None)
        own.stage = "conflicts"
        own.may_conflict = False
        try:
            if at_once:
                zero = np.zeros(free.n_rows)
                finish_rounds(engine, own, zero, np.full(free.n_rows, np.inf), 1.0)
            else:
                optimise(engine, own, None, 1.0)
        except Stop as stop:
            if own.best is None:
                raise stop from None
    best = own.best
    at_least = -own.bound if tilt == 0.0 else _without_values(program, engine_of, own.prices)
    tolerance = FEASIBLE * max(
        (limit_size(b.function) for b in program.blocks if b.function.is_constraint), default=1.0
    )
    if best is None or own.prices is None:
        none = np.empty(0)
        return Relaxation(max(0.0, at_least), np.inf, tolerance, (), none, none.astype(np.int64), none)
    missed = sum(float(b.function.excess(best.totals[b.rows]).sum()) for b in program.blocks)
    conflicts = conflicts_of(program, best.totals, own.prices, 1e-7)
    return Relaxation(max(0.0, at_least), missed, tolerance, conflicts, best.totals, best.positions, best.x)


def _without_values(program: Program, engine_of: Callable[[Program], Engine], prices: Floats | None) -> float:
    """What the limits must give at least, from the dual without any values at prices found with some."""
    if prices is None:
        return -np.inf
    free = relaxed(program, 0.0)
    with engine_of(free) as engine:
        return -float(engine.visit(prices, _GAP).bound + free.conjugate(prices))
