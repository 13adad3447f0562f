"""An answer with the constraints that were left out of the solve because they cannot bind."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from oasis_alloc.engines.base import Engine
from oasis_alloc.engines.shown import NonZeros
from oasis_alloc.results.answer import Answer
from oasis_alloc.solvers.evaluation import evaluate, sizes

_Answer = TypeVar("_Answer", bound=Answer)


def with_left_out(answer: _Answer, engine: Engine, shown: NonZeros) -> _Answer:
    """The answer with totals of all constraints, and prices of 0 where none were found.

    `engine` is of the program with all constraints, and `shown` are the non-zeros that totals are of.
    """
    best = evaluate(engine, shown.own, shown.own_x, whole=shown.whole)
    blocks, known = engine.program.blocks, sizes(engine, best)
    totals = {b.name: answer.totals.get(b.name, best.totals[b.rows]) for b in blocks}
    if answer.status.name == "INFEASIBLE":  # it has no prices
        return replace(answer, totals=totals)
    return replace(
        answer,
        totals=totals,
        prices={b.name: answer.prices.get(b.name, np.zeros(len(b.labels))) for b in blocks},
        sizes={b.name: answer.sizes.get(b.name, known[b.rows]) for b in blocks if b.function.is_constraint},
    )
