"""Functions that are minus infinity where a group has nothing, and limits that leave it nothing.

`log(m, offset=0)` asks every group for something, as a floor above 0 does. Where limits of 0 forbid that, no allocation
is worth anything, which is a conflict like others: the function's group is one of those that take part. A limit above
0, however small, forbids nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.engines.base import Engine
from oasis_alloc.program.program import Program, RowBlock
from oasis_alloc.program.variants import with_functions
from oasis_alloc.solvers.kept_out import rows_of_nothing, sorted_pairs
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.relaxation import Relaxation, decided, neutral, smallest_relaxation, without_ties
from oasis_alloc.statement.functions.band import BoundBand
from oasis_alloc.statement.functions.base import BoundFunction

_SOMETHING = 1e-6  # of the most that a group can have: less is as good as nothing


def domain_conflict(stated: Engine, engine_of: Callable[[Program], Engine], monitor: Monitor) -> Relaxation | None:
    """The conflict of the limits with the groups that functions ask for; None where there is no such conflict.

    It is looked for before the solve, which would take all its rounds to find nothing. Limits that conflict without the
    functions are not meant.
    """
    program, max_totals = stated.program, stated.survey().max_totals
    nothing = np.zeros(program.n_rows)
    if all(np.isfinite(block.function.value(nothing[block.rows])) for block in program.curved):
        return None
    forbidden = _forbidden(stated)
    functions: list[BoundFunction] = []
    for block in program.blocks:
        missing = _missing(block, forbidden[block.rows], max_totals[block.rows])
        floor = np.where(missing, _SOMETHING * max_totals[block.rows], -np.inf)
        functions.append(BoundBand(floor, np.full(floor.size, np.inf)) if missing.any() else block.function)
    if all(function is block.function for function, block in zip(functions, program.blocks, strict=True)):
        return None
    asked = with_functions(program, functions)
    with engine_of(asked) as engine:
        smallest = decided(engine, engine_of, monitor, smallest_relaxation(engine, engine_of, monitor, neutral(asked)))
        smallest = without_ties(engine, monitor, smallest) if smallest.proven else smallest
    alone = smallest_relaxation(stated, engine_of, monitor, neutral(program))
    return smallest if smallest.proven and not decided(stated, engine_of, monitor, alone).proven else None


def _forbidden(stated: Engine) -> npt.NDArray[np.bool_]:
    """(n_rows,) True where every pair that counts in a row of a function counts in a total that has to be 0 as well."""
    program, nothing = stated.program, rows_of_nothing(stated)
    out = np.zeros(program.n_rows, np.bool_)
    without_slots = (program.slots_by_user == 0) & (np.diff(program.indptr) > 0)
    if not nothing.size and not without_slots.any():
        return out
    of_curves = np.concatenate([np.arange(block.rows.start, block.rows.stop) for block in program.curved])
    size, possible = abs(program.arithmetic[of_curves]), np.zeros(of_curves.size)
    for some in sorted_pairs(stated, nothing):
        possible += size @ (abs(some.columns) @ ~some.kept_out)
        if possible.all():  # mostly after the first pairs
            return out
    out[of_curves] = possible == 0.0
    return out


def _missing(block: RowBlock, forbidden: npt.NDArray[np.bool_], max_totals: Floats) -> npt.NDArray[np.bool_]:
    """The forbidden groups of a curved function that is minus infinity where they have nothing."""
    totals = np.where(forbidden, 0.0, max_totals)
    if not block.function.is_curved or not np.isneginf(block.function.value(totals)):
        return np.zeros(totals.size, np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):
        return forbidden & np.isposinf(np.abs(block.function.price_at(totals)))
