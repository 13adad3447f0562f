"""The non-zeros of the users of one partition, for a task that writes them: sent, or decided where the pairs are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oasis_alloc.common.ascending import without
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.partition_manifest import Partition
from oasis_alloc.engines.ray.decision import FarShown, Recipe
from oasis_alloc.engines.ray.parts import slice_of
from oasis_alloc.engines.shown import NonZeros, nonzeros


@dataclass(frozen=True, eq=False, repr=False)
class Part(ByFields):
    """The part of an allocation in one partition."""

    own: Ints  # pairs with their x
    own_x: Floats
    gone: Ints  # pairs that the decision shows, and the allocation does not

    def nonzeros(self, recipe: Recipe | None, about: Partition) -> tuple[Ints, Floats]:
        """(positions, x); `recipe` is what the allocation was divided with."""
        if recipe is None:
            return self.own, self.own_x
        shown = recipe.shown_to(about.first_user, about.first_user + about.n_users)
        return nonzeros(without(shown, self.gone), self.own, self.own_x)


class Divided:
    """The non-zeros of an allocation by partition; what this process does not have is decided by the tasks."""

    def __init__(self, of: NonZeros, indptr: Ints) -> None:
        self._indptr = indptr
        self.recipe: Recipe | None = None
        self._gone = np.empty(0, np.int64)
        if isinstance(of.whole, FarShown) and not of.is_here:
            self.recipe, self._gone, self._own = of.whole.decision.recipe, of.whole.gone, (of.own, of.own_x)
        else:
            self._own = of.pairs, of.x

    def of(self, about: Partition) -> Part:
        """The part in a partition."""
        (own, x), indptr = self._own, self._indptr
        here = slice_of(own, indptr, about)
        return Part(own[here], x[here], self._gone[slice_of(self._gone, indptr, about)])
