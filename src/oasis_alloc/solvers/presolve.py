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
class Reach:
    """What can be said of a program before it is solved."""

    hopeless: bool  # a hard row's band lies wholly outside what its total can reach
    lowest: float  # no allocation is worth less: a bound below this proves that there is none
    scale: float  # size of the objective: typical values in all slots, and the functions where nothing is shown
    free: float | None  # the bound where nothing has a price, in the cases in which it follows from the values' signs


def look_ahead(engine: Engine) -> Reach:
    """One pass over the pairs: totals out of reach, and the least that an allocation can be worth."""
    program, survey = engine.program, engine.survey()
    _check_sums(program, survey)
    least, most, lowest = survey.least, survey.most, survey.lowest
    lowest += sum(block.function.least_value(least[block.rows], most[block.rows]) for block in program.blocks)
    lowest -= 0.0 if program.rules is None else program.rules.most_paid()
    nothing = np.zeros(program.n_rows)
    parts = [abs(b.function.value(nothing[b.rows])) for b in program.blocks if not b.function.is_constraint]
    scale = survey.size * max(program.slots, 1.0) + sum(part for part in parts if np.isfinite(part))
    positive = survey.size * program.n_pairs + survey.lowest  # what all positive values add up to, up to rounding
    free = None
    if positive <= _NOTHING * survey.size * program.n_pairs:
        free = max(0.0, positive) + program.conjugate(nothing)
    return Reach(out_of_reach(program, survey), lowest, float(scale), free)


def _check_sums(program: Program, survey: Survey) -> None:
    """Raise ProblemError where sums are so large that what is computed of them would not be finite."""
    whole = survey.size * max(1, program.n_pairs)
    if not max(whole, abs(survey.lowest)) <= LARGEST:
        raise ProblemError(
            f"maximize: the values of all candidates add {_too_much(whole)} Divide columns or weights by a power "
            "of ten."
        )
    most = np.maximum(np.abs(survey.least), np.abs(survey.most))
    bad = np.flatnonzero(~(most <= LARGEST))
    if bad.size:
        block = next(b for b in program.blocks if b.rows.start <= bad[0] < b.rows.stop)
        raise ProblemError(
            f"{block.name}, group {block.labels[int(bad[0]) - block.rows.start]!r}: what candidates add "
            f"{_too_much(most[bad[0]])} Divide the column and its limits by a power of ten."
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
    (lower, upper, penalty), least, most = program.bands(), survey.least, survey.most
    floor, cap = np.where(np.isfinite(lower), lower, 0.0), np.where(np.isfinite(upper), upper, 0.0)
    above, below = floor - most > FEASIBLE * np.abs(floor), least - cap > FEASIBLE * np.abs(cap)
    return bool(np.any(~np.isfinite(penalty) & ((above & np.isfinite(lower)) | (below & np.isfinite(upper)))))
