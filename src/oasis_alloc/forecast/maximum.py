"""The most impressions that a campaign can have: a solve that maximizes them under the same limits and rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import ProblemError
from oasis_alloc.forecast.campaign_program import counting_only
from oasis_alloc.forecast.certified import solve_program
from oasis_alloc.forecast.quote_base import QuoteBase, base_of, base_with, find
from oasis_alloc.forecast.quote_target import Target
from oasis_alloc.forecast.supply import most_units

if TYPE_CHECKING:
    from oasis_alloc.forecast.quote_result import Bracket
    from oasis_alloc.solution import Solution


def proven_maximum(solution: Solution, target: Target, gap: float, threads: int | None) -> Bracket:
    """See `Quote.maximum`."""
    real = as_real(gap)
    if real is None or not 0.0 < real < np.inf:
        raise ProblemError(f"maximum(gap={shown(gap)}): expected a positive number.")
    if solution.problem.candidates.stream is not None:
        raise ProblemError(
            "maximum(): candidates have to be in memory, and those of this solution are in Parquet files."
        )
    base = base_of(solution, threads)
    if target.candidates is not solution.problem.candidates:
        base = base_with(solution, base, target.candidates, threads)
    with base.lock:
        return _proven(base, target, real, threads)


def _proven(base: QuoteBase, target: Target, real: float, threads: int | None) -> Bracket:
    from oasis_alloc.forecast.quote_result import Bracket

    found = find(base, target.items, target.users)
    units = np.zeros(base.program.n_pairs)
    member = np.zeros(base.program.n_pairs, np.bool_)
    units[found.mine], member[found.mine] = base.units(found.mine), True
    solved = solve_program(counting_only(base.program, member, units), real, None, threads)
    high = min(solved.bound, most_units(base, found)[1])
    low = max(solved.value, found.now)
    return Bracket(*(max(0.0, number - found.now) for number in (low, 0.5 * (low + max(low, high)), max(low, high))))
