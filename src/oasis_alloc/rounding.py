"""Whole slates from a fractional allocation: every pair is shown with exactly its probability x.

Where categories of the slate's rules nest, duels category by category; where they cross, a random walk to a corner of
what the rules allow (kernels/rounding.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.errors import ProblemError
from oasis_alloc.functions.base import Floats
from oasis_alloc.seeds import Rng, as_seed
from oasis_alloc.slate_rules import System, chain_of, systems_of

if TYPE_CHECKING:
    from oasis_alloc.kernels.rounding import Lists, Slots
    from oasis_alloc.solution import Solution
    from oasis_alloc.solvers.watch import Allocation

Integers = npt.NDArray[np.int64]

_BLOCK = 16_384  # users


@dataclass(frozen=True, eq=False, repr=False)
class Rounded:
    """Whole slates of all users, drawn from a solution by `Solution.round`.

    Attributes
    ----------
    positions
        The pairs that are shown, (n_shown,), ascending: positions in the candidates' arrays.
    propensity
        The probability with which each of them was shown, (n_shown,) in (0, 1]: its x in the allocation. What to log,
        and to divide by in off-policy evaluation.
    seed
        The number from which the slates were drawn: `round(rng=seed)` draws them again.
    solution
        What they were drawn from.
    """

    solution: Solution = field(repr=False)
    positions: Integers
    propensity: Floats
    seed: int

    @cached_property
    def _worth(self) -> tuple[Allocation, dict[str, Floats]]:
        from oasis_alloc.engines.threads import Threads
        from oasis_alloc.lowering import lower
        from oasis_alloc.solvers.finisher import worth

        program = lower(self.solution.problem)
        with Threads(program, None) as engine:
            found = worth(engine, self.positions, np.ones(self.positions.size))
        return found, {block.name: found.totals[block.rows] for block in program.blocks}

    @property
    def value(self) -> float:
        """Objective of these slates; its mean over draws is the solution's where the objective is linear."""
        return float(self._worth[0].value)

    @property
    def totals(self) -> dict[str, Floats]:
        """`{name of a constraint or function: array}`: what these slates add up to, as in `Solution.totals`."""
        return self._worth[1]

    @property
    def violation(self) -> float:
        """As `Solution.violation`, of these slates: limits on totals are kept on average over draws, not by each."""
        return float(self._worth[0].violation)

    @cached_property
    def indptr(self) -> Integers:
        """(n_users + 1,): user u is shown `positions[indptr[u]:indptr[u + 1]]`."""
        return np.searchsorted(self.positions, self.solution.problem.candidates.indptr)

    def to_frame(self, backend: str | None = None) -> Any:
        """The pairs shown as a frame, with the caller's own ids and a column `propensity`; see `Solution.to_frame`."""
        return self.solution.problem.candidates.frame(self.positions, {"propensity": self.propensity}, backend=backend)

    def __repr__(self) -> str:
        return f"Rounded({self.positions.size:,} pairs shown, seed={self.seed})"


def rounded(solution: Solution, rng: Rng = 0) -> Rounded:
    """Draw whole slates; see `Solution.round`."""
    from oasis_alloc.kernels import rounding as kernels

    solution.raise_if_infeasible()
    seed = as_seed(rng, "round()")
    slate, candidates = solution.problem.slate, solution.problem.candidates
    if slate.positions is not None:
        raise ProblemError(
            f"round(): in {slate!r} x is the attention that pairs get, not the probability to be shown; solve with "
            "Slate(positions=None) for slates that are drawn."
        )
    n_users = candidates.n_users
    drawing = Drawing(systems_of(slate, candidates, np.arange(candidates.n_items)), candidates.n_items)
    positions, x = solution.positions, solution.x
    slots = kernels.Slots(
        np.searchsorted(positions, candidates.indptr),
        candidates.item[positions].astype(np.int64),
        np.array(x, np.float64),
        np.array(np.broadcast_to(np.asarray(slate.size, np.int64), n_users)),
        np.array(np.broadcast_to(np.asarray(slate.at_least, np.int64), n_users)),
    )
    shown = np.zeros(positions.size, np.bool_)

    def draw(first: int) -> None:
        drawing.draw(first, min(first + _BLOCK, n_users), slots, seed, shown)

    blocks = range(0, n_users, _BLOCK)
    if len(blocks) <= 1:
        for first in blocks:
            draw(first)
    else:  # each user by a stream of its own, so the answer does not depend on the threads
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            list(pool.map(draw, blocks))
    return Rounded(solution, positions[shown], x[shown], seed)


class Drawing:
    """Categories of some items as the kernels read them that draw whole slates."""

    def __init__(self, systems: Sequence[System], n_items: int) -> None:
        chain = chain_of(systems)
        self._lists: Lists | None = None
        self._widest = max((system.n for system in systems), default=0)
        if len(chain) == len(systems):
            of = [systems[k].single for k in chain]
            self._of = np.stack(of) if of else np.empty((0, n_items), np.int32)
            self._most = np.array([systems[k].most for k in chain], np.int64)
        else:
            self._lists, self._widest = _lists(systems, n_items)

    def draw(self, first: int, last: int, slots: Slots, seed: int, shown: npt.NDArray[np.bool_]) -> None:
        """Write which pairs of users first <= u < last are shown."""
        from oasis_alloc.kernels import rounding as kernels

        if self._lists is None:
            kernels.round_nested(first, last, slots, self._of, self._most, self._widest, seed, shown)
        else:
            kernels.round_crossing(first, last, slots, self._lists, self._widest, seed, shown)


def _lists(systems: Sequence[System], n_items: int) -> tuple[Lists, int]:
    """(the categories of all systems as lists by item, the most that an item has)."""
    from oasis_alloc.kernels.rounding import Lists

    every = np.arange(n_items)
    parts = [system.members(every) for system in systems]
    offsets = np.cumsum([0, *(system.n for system in systems)])
    entry = np.concatenate([e for e, _ in parts])
    category = np.concatenate([c + o for (_, c), o in zip(parts, offsets[:-1], strict=True)])
    order = np.argsort(entry, kind="stable")
    count = np.bincount(entry, minlength=n_items)
    start = np.concatenate([[0], np.cumsum(count)]).astype(np.int64)
    most = np.repeat([system.most for system in systems], [system.n for system in systems]).astype(np.int64)
    return Lists(start, category[order].astype(np.int64), most), int(count.max(initial=0))
