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
from oasis_alloc.solvers.incumbent import Allocation
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.relaxation import Relaxation, decided, neutral, smallest_relaxation, without_ties
from oasis_alloc.statement.functions.band import BoundBand
from oasis_alloc.statement.functions.base import BoundFunction

_SOMETHING = 1e-6  # of the most that a group can have: less is as good as nothing


def domain_conflict(
    stated: Engine, engine_of: Callable[[Program], Engine], monitor: Monitor, best: Allocation
) -> Relaxation | None:
    """The conflict of the limits with the groups that functions ask for, where `best` is worth minus infinity."""
    program, max_totals = stated.program, stated.survey().max_totals
    forbidden = _forbidden(stated)
    functions: list[BoundFunction] = []
    for block in program.blocks:
        missing = _missing(block, best.totals[block.rows]) & forbidden[block.rows]
        floor = np.where(missing, _SOMETHING * max_totals[block.rows], -np.inf)
        functions.append(BoundBand(floor, np.full(floor.size, np.inf)) if missing.any() else block.function)
    if all(function is block.function for function, block in zip(functions, program.blocks, strict=True)):
        return None
    asked = with_functions(program, functions)
    with engine_of(asked) as engine:
        smallest = decided(engine, engine_of, monitor, smallest_relaxation(engine, engine_of, monitor, neutral(asked)))
        return without_ties(engine, monitor, smallest) if smallest.proven else None


def _forbidden(stated: Engine) -> npt.NDArray[np.bool_]:
    """(n_rows,) True where every pair that counts in a row counts in a total that has to be 0 as well."""
    program, survey = stated.program, stated.survey()
    _, upper, _ = program.bands()
    nothing = np.flatnonzero(program.hard & (upper <= 0.0) & (survey.min_totals >= 0.0))
    counts = np.asarray((abs(program.arithmetic[nothing]) @ program.base[0]).sum(axis=0)).ravel()
    allowed = counts == 0.0  # cells
    if program.stream is None and program.n_segments == 1:
        allowed &= np.bincount(program.code, minlength=program.n_cells) > 0
    size = abs(program.arithmetic)
    return np.asarray(sum((size @ base) @ allowed.astype(np.float64) for base in program.base) == 0.0)


def _missing(block: RowBlock, totals: Floats) -> npt.NDArray[np.bool_]:
    """The groups whose total makes a curved function minus infinity."""
    if not block.function.is_curved:
        return np.zeros(totals.size, np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.isposinf(np.abs(block.function.price_at(totals)))
