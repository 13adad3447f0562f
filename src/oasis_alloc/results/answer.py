"""The result of a solve as plain numbers: reports, shadow prices, slates and policies are computed from it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.seeds import Rng
from oasis_alloc.common.types import Floats
from oasis_alloc.data.row_groups import any_negative
from oasis_alloc.errors import SolverError
from oasis_alloc.problem import Problem

if TYPE_CHECKING:
    from oasis_alloc.engines.ray.parts import Parts
    from oasis_alloc.engines.shown import NonZeros
    from oasis_alloc.solvers.conflicts import Conflict
    from oasis_alloc.solvers.kept import Kept
    from oasis_alloc.solvers.monitor import Status


@dataclass(frozen=True, eq=False, repr=False)
class Answer(ByFields):
    """The numbers of a `Solution`, which documents them."""

    problem: Problem
    status: Status
    value: float
    bound: float
    gap: float
    violation: float
    prices: dict[str, Floats]
    totals: dict[str, Floats]
    passes: float
    seconds: float
    solver: str
    _nonzeros: NonZeros = field(repr=False)  # of the allocation
    conflicts: tuple[Conflict, ...] = ()
    diminished: float = 0.0
    sizes: dict[str, Floats] = field(default_factory=dict, repr=False)
    threads: int | None = field(default=None, repr=False)  # as given to `solve`; also used for later computations
    _kept: Kept | None = field(default=None, repr=False)  # for `solve(start=...)`
    label_names: dict[str, dict[Any, str]] = field(default_factory=dict, repr=False)  # see `Solution.with_names`

    @property
    def pairs(self) -> npt.NDArray[np.int64]:
        """Positions of the pairs that are shown, ascending; those at actors are fetched at the first call."""
        return self._nonzeros.pairs

    @property
    def x(self) -> Floats:
        """Their probabilities."""
        return self._nonzeros.x

    def _slate_parts(self, rng: Rng) -> Parts:
        """What `RayEngine.write_slates` writes."""
        from oasis_alloc.results.slate_parts import slate_parts

        return slate_parts(self, rng)

    @property
    def excluded(self) -> tuple[dict[str, Any], ...]:
        """The corrupt partitions without which the problem was solved; none unless `on_corrupt="exclude"`.

        Each has `file`, the numbers of its `users` and `pairs`, and the `reason`. The certificate is about the rest.
        """
        stream = self.problem.candidates.stream
        return () if stream is None else tuple(asdict(one) for one in stream.excluded)

    @cached_property
    def parts(self) -> dict[str, float]:
        """The contribution of each term of the objective to `value`."""
        self.raise_if_infeasible()
        out = linear_parts(self.problem, self.pairs, self.x)
        for name, function in zip(self.problem.names, self.problem.bound, strict=True):
            if not function.is_constraint:
                out[name] = function.value(self.totals[name])
        if self.problem.slate.diminishing:
            out["diminishing"] = -self.diminished
        return out

    def raise_if_infeasible(self) -> None:
        """Raise SolverError, naming the conflicts, if there is no allocation."""
        if self.status.name == "INFEASIBLE":
            raise SolverError(
                "the problem is infeasible, so there is no allocation:\n"
                + "\n".join(f"  {c}" for c in self.conflicts[:5])
            )


def by_label(problem: Problem, numbers: dict[str, Floats]) -> dict[str, dict[Any, float]]:
    """`{name: {label: number}}` of prices or totals by name."""
    return {name: dict(zip(problem.labels(name), array.tolist(), strict=True)) for name, array in numbers.items()}


def supply_weighted(answer: Answer) -> Floats:
    """The non-zeros x of an answer, each multiplied by the weight of its user."""
    return _counted(answer.problem, answer.pairs, answer.x)


def _counted(problem: Problem, positions: npt.NDArray[np.int64], x: Floats) -> Floats:
    return x if problem.supply is None else x * problem.supply[problem.candidates.user_of(positions)]


def linear_parts(problem: Problem, positions: npt.NDArray[np.int64], x: Floats) -> dict[str, float]:
    """The contribution of each linear term of the objective, for an allocation given by its non-zeros."""
    candidates, out = problem.candidates, {}
    linear, often = problem.maximize.linear, _counted(problem, positions, x)
    for term in linear.terms if linear is not None else ():
        column = 1.0 if term.column is None else candidates.columns[term.column][positions].astype(np.float64)
        text = str(term) if term.coefficient == 1.0 else f"{term.coefficient:g} * {term}"
        out[text] = term.coefficient * float(np.sum(column * often))
    for kept in problem.maximize.steady:
        before = kept.earlier.probability(candidates, positions)
        out[str(kept)] = out.get(str(kept), 0.0) + kept.weight * float(np.sum(before * often))
    return out


def may_cancel(problem: Problem) -> bool:
    """True if linear terms of the objective may have different signs, so that their sum hides their size."""
    linear = problem.maximize.linear
    terms = linear.terms if linear is not None else ()
    if len(terms) + len(problem.maximize.steady) < 2:
        return False
    columns = problem.candidates.columns
    return any(t.coefficient < 0 or (t.column is not None and any_negative(columns[t.column])) for t in terms)
