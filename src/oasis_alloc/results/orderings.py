"""Whole slates with slot weights: orderings in which every pair's mean attention is its x."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from oasis_alloc.common.types import Ints
from oasis_alloc.errors import ProblemError
from oasis_alloc.program.slate_rules import System
from oasis_alloc.results.draw_blocks import each_block, lists_of

if TYPE_CHECKING:
    from oasis_alloc.kernels.draw.ranking import Drawn
    from oasis_alloc.kernels.draw.rounding import Slots
    from oasis_alloc.problem import Problem


def ranked(problem: Problem, slots: Slots, systems: Sequence[System], seed: int, threads: int | None) -> Drawn:
    """Draw an ordering for every user; the pairs are those of `slots`."""
    from oasis_alloc.kernels.draw import ranking as kernels

    candidates, weights = problem.candidates, problem.slate.slot_weights
    assert weights is not None  # checked by the caller
    lists, _ = lists_of(systems, candidates.n_items)
    longest = np.array(weights[: int(slots.size.max(initial=1))])
    n = slots.x.size
    drawn = kernels.Drawn(np.full(n, -1, np.int64), np.zeros(n), np.zeros(n))
    crossing: list[tuple[int, Ints]] = []

    def draw(first: int, last: int) -> None:
        crossed = np.zeros(2, np.int64)
        user = kernels.round_ranked(first, last, slots, lists, longest, seed, drawn, crossed)
        if user >= 0:
            crossing.append((user, crossed))

    each_block(draw, candidates.n_users, threads)
    if crossing:
        user, crossed = min(crossing, key=lambda found: found[0])
        one, other = (_named(problem, systems, int(category)) for category in crossed)
        name = user if candidates.user_ids is None else candidates.user_ids[user]
        raise ProblemError(
            f"round(): in {problem.slate!r} slots count by position, and user {name!r} mixes more items of {one} and "
            f"of {other} than one slate may hold, only some of them in both: where categories cross, there may "
            "be no orderings within the caps whose mean is x. Solve with nested keys, or with Slate(slot_weights=None)."
        )
    return drawn


def _named(problem: Problem, systems: Sequence[System], category: int) -> str:
    """A category by its number among those of all systems, in words."""
    for system in systems:
        if category < system.n:
            return f"{system.key} {problem.candidates.items[system.key].labels.tolist()[category]!r}"
        category -= system.n
    raise AssertionError("a category of no system")


def every_level(problem: Problem, pairs: Ints, place: Ints) -> Ints:
    """Pairs shown at these places in the form of the program: once in every level of slots that includes the place."""
    from oasis_alloc.program.supply_and_positions import levels  # needs scipy, which serving does not load

    candidates, weights = problem.candidates, problem.slate.slot_weights
    assert weights is not None  # checked by the caller
    sizes, _ = levels(weights)
    user = candidates.user_of(pairs)
    begin, length = candidates.indptr[user], np.diff(candidates.indptr)[user]
    # the copies of each user follow one another, after all copies of the users before
    found = [
        (begin * sizes.size + level * length + pairs - begin)[place < size] for level, size in enumerate(sizes.tolist())
    ]
    return np.sort(np.concatenate(found))
