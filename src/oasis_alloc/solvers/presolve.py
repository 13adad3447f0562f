"""A cheap check before solving: floors that no allocation can reach, whatever the prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oasis_alloc.engines.base import Engine
from oasis_alloc.functions.base import Floats
from oasis_alloc.program import Program
from oasis_alloc.solvers.watch import FEASIBLE


@dataclass(frozen=True, eq=False)
class Reach:
    """What can be said of a program before it is solved."""

    hopeless: bool  # a hard row's band lies wholly outside what its total can reach
    lowest: float  # no allocation is worth less: a bound below this proves that there is none


def look_ahead(engine: Engine) -> Reach:
    """One pass over the pairs: totals out of reach, and the least that an allocation can be worth."""
    program, survey = engine.program, engine.survey()
    least, most, lowest = survey.least, survey.most, survey.lowest
    lowest += sum(block.function.least_value(least[block.rows], most[block.rows]) for block in program.blocks)
    lowest -= 0.0 if program.rules is None else program.rules.most_paid()
    return Reach(_out_of_reach(program, least, most), lowest)


def _out_of_reach(program: Program, least: Floats, most: Floats) -> bool:
    lower, upper, penalty = program.bands()
    slack = FEASIBLE * np.maximum(1.0, np.maximum(np.abs(least), np.abs(most)))
    return bool(np.any(~np.isfinite(penalty) & ((lower > most + slack) | (upper < least - slack))))
