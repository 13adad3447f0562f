"""Categories as arrays for the drawing kernels, and users drawn block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.threads import each
from oasis_alloc.program.slate_rules import System, chain_of, joined_lists

if TYPE_CHECKING:
    from oasis_alloc.kernels.draw.rounding import Lists, Slots

_BLOCK = 16_384  # users


def each_block(draw: Callable[[int, int], None], n_users: int, threads: int | None) -> None:
    """Call draw(first, last) for blocks of users, on this number of threads at a time; None for all cores.

    Each user has a separate random stream, so the answer does not depend on the threads.
    """
    blocks = range(0, n_users, _BLOCK)
    each(blocks, lambda first: draw(first, min(first + _BLOCK, n_users)), threads)


class Drawing:
    """Categories of some items in the form of the kernels that draw whole slates."""

    def __init__(self, systems: Sequence[System], n_items: int) -> None:
        chain = chain_of(systems)
        self._lists: Lists | None = None
        self._widest = max((system.n for system in systems), default=0)
        if len(chain) == len(systems):
            of = [systems[k].single for k in chain]
            self._of = np.stack(of) if of else np.empty((0, n_items), np.int32)
            self._max_counts = np.array([systems[k].max_count for k in chain], np.int64)
        else:
            self._lists, self._widest = lists_of(systems, n_items)

    def draw(self, first: int, last: int, slots: Slots, seed: int, shown: npt.NDArray[np.bool_]) -> None:
        """Write which pairs of users first <= u < last are shown."""
        from oasis_alloc.kernels.draw import rounding as kernels

        if self._lists is None:
            kernels.round_nested(first, last, slots, self._of, self._max_counts, self._widest, seed, shown)
        else:
            kernels.round_crossing(first, last, slots, self._lists, self._widest, seed, shown)


def lists_of(systems: Sequence[System], n_items: int) -> tuple[Lists, int]:
    """(the categories of all systems as lists by item, the largest number of categories of an item)."""
    from oasis_alloc.kernels.draw.rounding import Lists

    start, category, _ = joined_lists(systems, n_items)
    max_counts = np.repeat([system.max_count for system in systems], [system.n for system in systems]).astype(np.int64)
    return Lists(start, category, max_counts), int(np.diff(start).max(initial=0))
