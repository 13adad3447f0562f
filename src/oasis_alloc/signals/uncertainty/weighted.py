"""The problem whose columns are a weighted mean of draws: an ordinary problem, with a column per term of its objective.

In draw s, pair p of user u adds `r_us c_skp w_k x_p` to term k, with r the supply of the draw over that of the problem.
For weights q of the draws, the linear part is the sum over pairs of `sum_s q_s r_us c_skp`, which is one column. Limits
and functions keep the candidates' own columns and supply.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.pickling import FrozenMapping
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.signals.uncertainty.draws import Draws
from oasis_alloc.signals.uncertainty.seen_pairs import SeenPairs
from oasis_alloc.statement.measures import Measure, MeasureTerm
from oasis_alloc.statement.objective import Objective

_BLOCK = 1 << 14  # pairs whose draws are summed at a time, in the cache


@dataclass(frozen=True, eq=False)
class DrawnObjective:
    """The linear objective of a problem under each of its draws."""

    problem: Problem
    draws: Draws
    _seen: dict[str, SeenPairs] = field(default_factory=dict)  # of each column

    @classmethod
    def of(cls, problem: Problem, draws: Draws) -> DrawnObjective:
        """Refuse draws of other candidates, and draws that the linear objective does not use."""
        if not draws.fits(problem.candidates):
            raise ProblemError(
                f"draws: made for {draws.candidates!r}, and the problem is over {problem.candidates!r}; expected draws "
                "of the problem's own candidates."
            )
        self = cls(problem, draws)
        if not self.terms:
            raise ProblemError(
                f"draws: the linear part of {problem.maximize} uses none of {sorted(draws.columns)}, so nothing in the "
                "objective is uncertain. Functions and limits use the candidates' own columns."
            )
        return self

    @property
    def terms(self) -> tuple[MeasureTerm, ...]:
        """The terms of the linear part that differ from draw to draw."""
        linear = self.problem.maximize.linear
        every = () if linear is None else linear.terms
        return every if self.draws.supply is not None else tuple(t for t in every if t.column in self.draws.columns)

    def values(self, pairs: Ints, x: Floats) -> Floats:
        """(n_draws,): what the uncertain terms add up to in every draw."""
        draws, out = self.draws, np.zeros(self.draws.number)
        cands, own = self.problem.candidates, self.problem.supply
        users = np.empty(0, np.int64) if own is None and draws.supply is None else cands.user_of(pairs)
        often = x if own is None else x * own[users]
        for term in self.terms:
            name = term.column or ""
            drawn = draws.columns.get(name)
            if drawn is not None and draws.supply is None:
                seen = self._seen.get(name) or self._seen.setdefault(name, SeenPairs(drawn))
                out += term.coefficient * seen.totals(pairs, often)
                continue
            fixed = often if drawn is not None or term.column is None else often * cands.columns[name][pairs]
            for s in range(draws.number):
                weight = fixed * self._supply_ratio(s)[users]
                total = weight.sum() if drawn is None else drawn[s][pairs].astype(np.float64) @ weight
                out[s] += term.coefficient * float(total)
        return out

    def _supply_ratio(self, s: int) -> Floats:
        assert self.draws.supply is not None
        drawn: Floats = self.draws.supply[s]
        return drawn if self.problem.supply is None else drawn / self.problem.supply

    def column(self, term: MeasureTerm, weights: Floats) -> npt.NDArray[np.float64]:
        """(n_pairs,): the column of a term, averaged over the draws with these weights."""
        cands, draws = self.problem.candidates, self.draws
        used = np.flatnonzero(weights)
        drawn = draws.columns.get(term.column or "")
        if draws.supply is None:
            assert drawn is not None
            return _mean(drawn, used, weights[used])
        if drawn is None:
            share = np.zeros(cands.n_users)
            for s in used:
                share += weights[s] * self._supply_ratio(int(s))
            by_pair = np.repeat(share, np.diff(cands.indptr))
            return by_pair if term.column is None else by_pair * cands.columns[term.column]
        out, count = np.zeros(cands.n_pairs), np.diff(cands.indptr)
        for s in used:
            out += weights[s] * np.repeat(self._supply_ratio(int(s)), count) * drawn[s]
        return out

    def weighted(self, weights: Floats) -> Problem:
        """The problem whose uncertain terms have their mean under these weights of the draws."""
        columns = {column_name(t): self.column(t, weights) for t in self.terms}
        return with_columns(self.problem, columns, {t: column_name(t) for t in self.terms})


def column_name(term: MeasureTerm) -> str:
    """The name of the averaged column of a term."""
    return f"{term.column or 'exposure'}@risk"


def with_columns(
    problem: Problem,
    columns: dict[str, npt.NDArray[np.float64]],
    renamed: dict[MeasureTerm, str],
    more: tuple[MeasureTerm, ...] = (),
) -> Problem:
    """The problem with more columns, some terms of its linear part under other names, and more terms."""
    cands = problem.candidates
    objective = problem.maximize
    linear = () if objective.linear is None else objective.linear.terms
    terms = tuple(MeasureTerm(t.coefficient, renamed.get(t, t.column), ()) for t in linear)
    changed = Objective(Measure((*terms, *more)), objective.functions, objective.steady)
    return problem.replace(candidates=more_columns(cands, columns), maximize=changed)


def more_columns(cands: Candidates, columns: dict[str, npt.NDArray[np.float64]]) -> Candidates:
    """The candidates with further columns, sharing everything else."""
    new = {name: readonly(np.ascontiguousarray(column)) for name, column in columns.items()}
    made = replace(cands, columns=FrozenMapping({**cands.columns, **new}))
    made._groupings.update(cands._groupings)  # groups do not depend on columns
    return made


def _mean(drawn: npt.NDArray[np.floating], used: Ints, weights: Floats) -> npt.NDArray[np.float64]:
    """The weighted sum of some draws, in float64."""
    out, own = np.zeros(drawn.shape[1]), np.empty(_BLOCK)
    for start in range(0, out.size, _BLOCK):
        part = out[start : start + _BLOCK]
        for s, weight in zip(used, weights, strict=True):
            part += np.multiply(drawn[s, start : start + _BLOCK], weight, out=own[: part.size], dtype=np.float64)
    return out
