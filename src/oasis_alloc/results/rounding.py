"""Whole slates from a fractional allocation: every pair is shown with exactly its probability x.

If categories of the slate's rules nest, pivotal sampling goes category by category; if they cross, a random walk ends
at a vertex of the polytope of the rules (kernels/draw/rounding.py). With slot weights, x is attention, and orderings
with mean x are drawn (kernels/draw/ranking.py).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.seeds import Rng, as_seed
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.program.slate_rules import systems_of
from oasis_alloc.results.answer_columns import answers_frame
from oasis_alloc.results.draw_blocks import Drawing, each_block
from oasis_alloc.results.orderings import every_level, ranked

if TYPE_CHECKING:
    from oasis_alloc.results.answer import Answer
    from oasis_alloc.solvers.incumbent import Allocation


@dataclass(frozen=True, eq=False, repr=False)
class Rounded(ByFields):
    """One whole slate per user, drawn from a solution by `Solution.round`.

    Attributes
    ----------
    pairs
        The pairs that are shown, (n_shown,), ascending: positions in the candidates' arrays.
    propensity
        The probability with which each of them is shown, (n_shown,) in (0, 1]: its x in the allocation. Log it, and
        divide by it in off-policy evaluation.
    seed
        The seed of the draw: `round(rng=seed)` draws the same slates again.
    solution
        The solution from which they were drawn.
    place
        With slot weights, the place of each pair in its slate, (n_shown,) from 0; else None. The mean over draws of
        the weight of its place (0 if it is not shown) is the pair's x.
    place_propensity
        The probability of being shown at that place, (n_shown,) in (0, 1], no more than `propensity`; else None.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(np.array([0, 2]), np.array([0, 1]), columns={"r": np.array([0.9, 0.5])})
    >>> shown = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).round(rng=7)
    >>> shown.propensity, shown.value
    (array([1.]), 0.9)
    """

    solution: Answer = field(repr=False)
    pairs: Ints
    propensity: Floats
    seed: int
    place: Ints | None = None
    place_propensity: Floats | None = None

    @cached_property
    def _worth(self) -> tuple[Allocation, dict[str, Floats]]:
        from oasis_alloc.engines import engine_for
        from oasis_alloc.program.lowering import lower
        from oasis_alloc.solvers.evaluation import evaluate

        threads = self.solution.threads
        program = lower(self.solution.problem, threads=threads)
        pairs = self.pairs
        if self.place is not None:
            pairs = every_level(self.solution.problem, pairs, self.place)
        with engine_for(program, threads) as engine:
            found = evaluate(engine, pairs, np.ones(pairs.size))
        return found, {block.name: found.totals[block.rows] for block in program.blocks}

    @property
    def value(self) -> float:
        """Objective of these slates; its mean over draws is the solution's value if the objective is linear."""
        return float(self._worth[0].value)

    @property
    def totals(self) -> dict[str, Floats]:
        """`{name of a constraint or function: array}`: the totals of these slates, as in `Solution.totals`."""
        return self._worth[1]

    @property
    def violation(self) -> float:
        """As `Solution.violation`, for these slates: limits on totals hold on average over draws, not in each draw."""
        return float(self._worth[0].violation)

    @cached_property
    def indptr(self) -> Ints:
        """(n_users + 1,): user u is shown `pairs[indptr[u]:indptr[u + 1]]`."""
        return np.searchsorted(self.pairs, self.solution.problem.candidates.indptr)

    def to_frame(self, backend: str | None = None) -> Any:
        """The pairs shown as a frame, with the caller's own ids and a column `propensity`; see `Solution.to_frame`.

        With slot weights it also has the columns `place` and `place_propensity`. If an id column has one of these
        names, `_` is added to the name.
        """
        columns: dict[str, npt.NDArray[Any]] = {"propensity": self.propensity}
        if self.place is not None and self.place_propensity is not None:
            columns = {"place": self.place, **columns, "place_propensity": self.place_propensity}
        return answers_frame(self.solution.problem.candidates, self.pairs, columns, backend)

    def __repr__(self) -> str:
        return f"Rounded({self.pairs.size:,} pairs shown, seed={self.seed})"


def rounded(solution: Answer, rng: Rng = 0) -> Rounded:
    """Draw whole slates; see `Solution.round`."""
    from oasis_alloc.kernels.draw import rounding as kernels

    solution.raise_if_infeasible()
    seed = as_seed(rng, "round()")
    slate, candidates = solution.problem.slate, solution.problem.candidates
    n_users = candidates.n_users
    systems = systems_of(slate, candidates, np.arange(candidates.n_items))
    positions, x = solution.pairs, solution.x
    slots = kernels.Slots(
        np.searchsorted(positions, candidates.indptr),
        candidates.item[positions].astype(np.int64),
        np.array(x, np.float64),
        *(np.array(np.broadcast_to(np.asarray(n, np.int64), n_users)) for n in slate.sizes(candidates.indptr)),
    )
    if slate.slot_weights is not None:
        drawn = ranked(solution.problem, slots, systems, seed, solution.threads)
        shown = drawn.place >= 0
        chance, at_place = np.minimum(drawn.chance[shown], 1.0), np.minimum(drawn.at_place[shown], 1.0)
        return Rounded(solution, positions[shown], chance, seed, drawn.place[shown], at_place)
    drawing = Drawing(systems, candidates.n_items)
    shown = np.zeros(positions.size, np.bool_)
    each_block(lambda first, last: drawing.draw(first, last, slots, seed, shown), n_users, solution.threads)
    return Rounded(solution, positions[shown], x[shown], seed)
