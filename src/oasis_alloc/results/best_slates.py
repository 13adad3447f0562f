"""The best whole slates for functions by (user, genre): what `Solution.best_slates` returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oasis_alloc.common.arrays import readonly
from oasis_alloc.errors import ProblemError
from oasis_alloc.results.rounding import Rounded

if TYPE_CHECKING:
    from oasis_alloc.results.answer import Answer


def best_slates(solution: Answer) -> Rounded:
    """Choose one whole slate per user; see `Solution.best_slates`."""
    from oasis_alloc.engines.threads import Threads
    from oasis_alloc.kernels.solve.whole_slates import whole_slates
    from oasis_alloc.program.lowering import lower

    solution.raise_if_infeasible()
    problem = solution.problem
    if not problem.slate.is_plain or problem.candidates.stream is not None:
        raise ProblemError(
            "best_slates() chooses from candidates in memory, under slates whose only rule is one size for all users; "
            f"got {problem.slate!r}. Use round(), which draws slates under any rules."
        )
    program = lower(problem, threads=solution.threads)
    with Threads(program, solution.threads) as engine:
        own = engine.own_rows
        if own is None:
            raise ProblemError(
                "best_slates() needs a function whose groups have the candidates of one user each, such as "
                "-kl(exposure(by=(user key, 'genre')), ...), with a user key that differs for every user; use round() "
                "for other problems."
            )
        prices = np.concatenate([solution.prices[block.name] for block in program.blocks])
        scores, shown = engine.scores(own.without(prices)), np.zeros(program.n_pairs, np.bool_)
        indptr = readonly(program.indptr)
        whole_slates(0, program.n_users, indptr, scores, program.size, own.groups, prices[own.rows], shown)
    pairs = np.flatnonzero(shown)
    return Rounded(solution, pairs, np.ones(pairs.size), 0)
