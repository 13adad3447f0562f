"""Functions that are minus infinity where a group has nothing, and limits that leave it nothing.

`log(m, offset=0)` asks every group for something, as a floor above 0 does. Where the limits forbid that, no allocation
is worth anything, which is a conflict like others: the function's group is one of those that take part.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from oasis_alloc.engines.base import Engine
from oasis_alloc.functions.band import BoundBand
from oasis_alloc.functions.base import BoundFunction, Floats
from oasis_alloc.program import Block, Program
from oasis_alloc.solvers.relaxation import Relaxation, decided, least_relaxation, neutral
from oasis_alloc.solvers.watch import Allocation, Watch
from oasis_alloc.variants import with_functions

_SOMETHING = 1e-6  # of the most that a group can have: less is as good as nothing


def domain_conflict(
    stated: Engine, engine_of: Callable[[Program], Engine], watch: Watch, best: Allocation
) -> Relaxation | None:
    """The conflict of the limits with the groups that functions ask for, where `best` is worth minus infinity."""
    program, most = stated.program, stated.survey().most
    functions: list[BoundFunction] = []
    for block in program.blocks:
        missing = _missing(block, best.totals[block.rows])
        floor = np.where(missing, _SOMETHING * most[block.rows], -np.inf)
        functions.append(BoundBand(floor, np.full(floor.size, np.inf)) if missing.any() else block.function)
    asked = with_functions(program, functions)
    with engine_of(asked) as engine:
        least = decided(engine, engine_of, watch, least_relaxation(engine, engine_of, watch, neutral(asked)))
    return least if least.proven else None


def _missing(block: Block, totals: Floats) -> npt.NDArray[np.bool_]:
    """The groups whose total makes a curved function minus infinity."""
    if not block.function.is_curved:
        return np.zeros(totals.size, np.bool_)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.isposinf(np.abs(block.function.price_at(totals)))
