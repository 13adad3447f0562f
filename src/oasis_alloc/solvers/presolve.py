"""A cheap check before solving: floors that no allocation can reach, whatever the prices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.verdicts import FEASIBLE, LARGEST
from oasis_alloc.engines.base import Engine, Survey
from oasis_alloc.errors import ProblemError
from oasis_alloc.program.program import Program

_NOTHING = 1e-12  # of all values: what their sum may be off by


@dataclass(frozen=True, eq=False)
class QuickBounds:
    """What can be said of a program before it is solved."""

    trivially_infeasible: bool  # a hard row's band lies wholly outside what its total can reach
    lowest: float  # no allocation is worth less: a bound below this proves that there is none
    scale: float  # size of the objective: typical values in all slots, and the functions where nothing is shown
    free: float | None  # the bound where nothing has a price, in the cases in which it follows from the values' signs


def quick_check(engine: Engine) -> QuickBounds:
    """One pass over the pairs: totals out of reach, and the least that an allocation can be worth."""
    program, survey = engine.program, engine.survey()
    _check_sums(program, survey)
    min_totals, max_totals, lowest = survey.min_totals, survey.max_totals, survey.lowest
    lowest += sum(block.function.min_value(min_totals[block.rows], max_totals[block.rows]) for block in program.blocks)
    lowest -= 0.0 if program.rules is None else program.rules.max_decrement_cost()
    nothing = np.zeros(program.n_rows)
    parts = [abs(b.function.value(nothing[b.rows])) for b in program.blocks if not b.function.is_constraint]
    scale = survey.size * max(program.slots, 1.0) + sum(part for part in parts if np.isfinite(part))
    positive = survey.size * program.n_pairs + survey.lowest  # what all positive values add up to, up to rounding
    free = None
    if positive <= _NOTHING * survey.size * program.n_pairs:
        free = max(0.0, positive) + program.conjugate(nothing)
    return QuickBounds(out_of_reach(program, survey), lowest, float(scale), free)


def _check_sums(program: Program, survey: Survey) -> None:
    """Raise ProblemError where sums are so large that what is computed of them would not be finite."""
    whole = survey.size * max(1, program.n_pairs)
    if not max(whole, abs(survey.lowest)) <= LARGEST:
        raise ProblemError(
            f"maximize: the values of all candidates add {_too_much(whole)} Divide columns or weights by a power "
            "of ten."
        )
    largest = np.maximum(np.abs(survey.min_totals), np.abs(survey.max_totals))
    bad = np.flatnonzero(~(largest <= LARGEST))
    if bad.size:
        block = next(b for b in program.blocks if b.rows.start <= bad[0] < b.rows.stop)
        raise ProblemError(
            f"{block.name}, group {block.labels[int(bad[0]) - block.rows.start]!r}: what candidates add "
            f"{_too_much(largest[bad[0]])} Divide the column and its limits by a power of ten."
        )


def _too_much(total: float) -> str:
    """The end of a sentence about candidates' sums."""
    found = f"{total:g}" if np.isfinite(total) else "more than floating-point numbers hold"
    return f"up to {found}; expected at most {LARGEST:g}, so that squares of sums are numbers."


def out_of_reach(program: Program, survey: Survey) -> bool:
    """True where a hard limit is missed by every allocation, by more than counts as kept.

    A total that nearly reaches the most that it can has nearly all of its positive parts and next to none of its
    negative ones: what it is made of is no more than the limit, up to what is missed.
    """
    (lower, upper, penalty), min_totals, max_totals = program.bands(), survey.min_totals, survey.max_totals
    floor, cap = np.where(np.isfinite(lower), lower, 0.0), np.where(np.isfinite(upper), upper, 0.0)
    above, below = floor - max_totals > FEASIBLE * np.abs(floor), min_totals - cap > FEASIBLE * np.abs(cap)
    return bool(np.any(~np.isfinite(penalty) & ((above & np.isfinite(lower)) | (below & np.isfinite(upper)))))
