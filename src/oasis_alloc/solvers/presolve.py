"""A cheap check before solving: floors that no allocation can reach at any prices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.common.verdicts import FEASIBLE, LARGEST, LEAST
from oasis_alloc.engines.base import Engine, Survey
from oasis_alloc.errors import ProblemError
from oasis_alloc.program.program import Program, block_of

_MOST_PAID = 1e-10 * LARGEST  # steps of its price have units of their own
_NOTHING = 1e-12  # rounding error of the sum of all values, relative


@dataclass(frozen=True, eq=False)
class QuickBounds:
    """Facts about a program before it is solved."""

    trivially_infeasible: bool  # a hard row's band is outside the range of its total
    lowest: float  # lower bound on the value of allocations: a dual bound below it proves that there is none
    scores: float  # typical values in all slots
    scale: float  # size of the objective: the same, and the functions at zero exposure
    free: float | None  # the bound without prices, if it follows from the signs of the values


def quick_check(engine: Engine) -> QuickBounds:
    """One pass over the pairs: unreachable totals, and a lower bound on the value of allocations."""
    program, survey = engine.program, engine.survey()
    _check_sums(program, survey)
    _check_small(program, survey)
    _check_supports(program, survey)
    min_totals, max_totals, lowest = survey.min_totals, survey.max_totals, survey.lowest
    lowest += sum(block.function.min_value(min_totals[block.rows], max_totals[block.rows]) for block in program.blocks)
    lowest -= 0.0 if program.rules is None else program.rules.max_decrement_cost()
    nothing = np.zeros(program.n_rows)
    parts = [abs(b.function.value(nothing[b.rows])) for b in program.blocks if not b.function.is_constraint]
    scores = survey.size * max(program.slots, 1.0)
    scale = scores + sum(part for part in parts if np.isfinite(part))
    positive = survey.size * program.n_pairs + survey.lowest  # what all positive values add up to, up to rounding
    free = None
    if positive <= _NOTHING * survey.size * program.n_pairs:
        free = max(0.0, positive) + program.conjugate(nothing)
    return QuickBounds(out_of_reach(program, survey), lowest, float(scores), float(scale), free)


def _check_sums(program: Program, survey: Survey) -> None:
    """Raise ProblemError if sums are so large that later numbers would not be finite."""
    whole = survey.size * max(1, program.n_pairs)
    if not max(whole, abs(survey.lowest)) <= LARGEST:
        raise ProblemError(
            f"maximize: the values of all candidates add {_too_much(whole)} Divide columns or weights by a power "
            "of ten."
        )
    largest = np.maximum(np.abs(survey.min_totals), np.abs(survey.max_totals))
    bad = np.flatnonzero(~(largest <= LARGEST))
    if bad.size:
        name, label = _row(program, int(bad[0]))
        raise ProblemError(
            f"{name}, group {label!r}: what candidates add "
            f"{_too_much(largest[bad[0]])} Divide the column and its limits by a power of ten."
        )


def _check_supports(program: Program, survey: Survey) -> None:
    """Raise ProblemError where a function pays so much for a group that it is no number in a sum."""
    largest = np.maximum(np.abs(survey.min_totals), np.abs(survey.max_totals))
    for block, function in program.supports:
        paid = function.largest() * largest[block.rows]
        bad = np.flatnonzero(~(paid <= _MOST_PAID))
        if bad.size:
            raise ProblemError(
                f"{block.name}, group {block.labels[int(bad[0])]!r}: the function could pay {paid[bad[0]]:g} for it; "
                f"expected at most {_MOST_PAID:g}, so that squares stay finite. Multiply the weights of its groups by "
                "a power of ten, or divide the function by one."
            )


def _check_small(program: Program, survey: Survey) -> None:
    """Raise ProblemError if numbers are so small that their squares vanish, or that shares of them are not finite."""
    size = survey.size
    if 0.0 < size < LEAST:
        raise ProblemError(
            f"maximize: the values of candidates are {size:g} on average; expected 0, or at least {LEAST:g}, whose "
            "square is not 0. Multiply columns or weights by a power of ten."
        )
    tiny = np.flatnonzero((program.row_scale < LEAST) & (survey.typical > 0.0))
    if tiny.size:
        name, label = _row(program, int(tiny[0]))
        raise ProblemError(
            f"{name}, group {label!r}: a candidate adds {survey.typical[tiny[0]]:g} on average; expected 0, or at "
            f"least {LEAST:g}, whose square is not 0. Multiply the column and its limits by a power of ten."
        )
    largest = np.maximum(np.abs(survey.min_totals), np.abs(survey.max_totals))
    most = LARGEST * np.sqrt(min(size, 1.0))
    bad = np.flatnonzero(largest > most)
    if size > 0.0 and bad.size:
        name, label = _row(program, int(bad[0]))
        raise ProblemError(
            f"{name}, group {label!r}: candidates add up to {largest[bad[0]]:g}; expected at most {most:g} next to "
            f"values of {size:g} on average, so that squares of sums divided by values stay finite. Divide the column "
            "and its limits by a power of ten, or multiply the objective by one."
        )


def _row(program: Program, row: int) -> tuple[str, Any]:
    """The name and label of a row."""
    block = block_of(program.blocks, row)
    return block.name, block.labels[row - block.rows.start]


def _too_much(total: float) -> str:
    """The end of a sentence about candidates' sums."""
    found = f"{total:g}" if np.isfinite(total) else "more than the largest floating-point number"
    return f"up to {found}; expected at most {LARGEST:g}, so that squares of sums stay finite."


def out_of_reach(program: Program, survey: Survey) -> bool:
    """True if every allocation misses a hard limit by more than the tolerance.

    A total near its maximum has nearly all of its positive parts and almost no negative ones, so the sum of its
    absolute parts is at most the limit, up to the miss.
    """
    (lower, upper, penalty), min_totals, max_totals = program.bands(), survey.min_totals, survey.max_totals
    floor, cap = np.where(np.isfinite(lower), lower, 0.0), np.where(np.isfinite(upper), upper, 0.0)
    above, below = floor - max_totals > FEASIBLE * np.abs(floor), min_totals - cap > FEASIBLE * np.abs(cap)
    return bool(np.any(~np.isfinite(penalty) & ((above & np.isfinite(lower)) | (below & np.isfinite(upper)))))
