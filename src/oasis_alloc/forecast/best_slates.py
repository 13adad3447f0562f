"""The best whole slate of every user at the prices of a plan, under rules: what quotes of one solution share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oasis_alloc.common.arrays import readonly
from oasis_alloc.engines import engine_for
from oasis_alloc.kernels.rules.insertions import Best, OwnPrices, best_slates
from oasis_alloc.kernels.solve.jobs import FurtherPrices

if TYPE_CHECKING:
    from oasis_alloc.engines.chunks import Chunked
    from oasis_alloc.forecast.quote_base import QuoteBase
    from oasis_alloc.kernels.rules.rules import Rules
    from oasis_alloc.program.program import Program


@dataclass(frozen=True, eq=False)
class BestSlates:
    """Slates, the prices of the users that they are best at, and the bound of the plan that both give."""

    rules: Rules
    own: OwnPrices
    best: Best
    dual: float


def has_rules(program: Program) -> bool:
    """Whether slates have rules besides their sizes."""
    rules = program.rules
    return rules is not None and bool(rules.systems or rules.target.size or rules.min_size.any())


def slates_of(base: QuoteBase, threads: int | None) -> BestSlates:
    """The best slates of the users of a base, whose program has rules.

    Any prices of users give a bound. Those of the last visit give the one that it found, up to its smoothing.
    """
    program = base.program
    if base.in_memory is None:
        own = _own_prices(base.engine)
        rules, best, value = _written(base, own)
        return BestSlates(rules, own, best, value + float(program.conjugate(base.prices)))
    with engine_for(program, threads) as engine:  # of some users of files: their part of the bound is replaced
        visited = float(engine.visit(base.prices, base.smoothing).bound)
        own = _own_prices(engine)
    rules, best, value = _written(base, own)
    return BestSlates(rules, own, best, base.dual - visited + value)


def _own_prices(engine: Chunked) -> OwnPrices:
    """The users' prices at the last visit of an engine, copied: a further visit overwrites them."""
    rules = engine.program.rules
    assert rules is not None  # checked by the caller
    nu, further = engine.own_prices
    parts = further.start.copy(), further.category.copy(), further.price.copy()
    copied = FurtherPrices(readonly(parts[0]), readonly(parts[1]), readonly(parts[2]))
    return OwnPrices(readonly(rules.guard.column), readonly(rules.guard.unit), readonly(nu.copy()), copied)


def _written(base: QuoteBase, own: OwnPrices) -> tuple[Rules, Best, float]:
    lowered = base.program.rules
    assert lowered is not None  # checked by the caller
    start = np.concatenate([[0], np.cumsum(lowered.size)]).astype(np.int64)
    best = Best(start, np.full(int(start[-1]), -1, np.int64))
    return lowered.kernel, best, float(best_slates(base.priced, lowered.kernel, own, best))
