"""What kernels of slates are given, as structs of arrays and numbers.

A struct costs numba half a microsecond whenever Python passes it, and a plain tuple of the same fields next to nothing.
So kernels that Python calls take plain tuples and put the names on (`Scored(n, *request)`, `Fill(*fill)`), and kernels
that kernels call take the structs. Loops read local names: a field that is read within one counts references.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[np.uint32]


class Scored(NamedTuple):
    """The first n candidates of a request with their scores: minus infinity for those that are excluded."""

    n: int
    scores: Floats  # (n or more,)
    keys: Ints  # (n or more,) what reads `of_item`, the item's number; out of range, such as -1: never seen
    of_item: Counts  # (2, n_items + 1) class and rank; in the last column those of items never seen


class CategoryRules(NamedTuple):
    """Categories of classes and what they cost; see slate_pick.py."""

    array: Ints
    costs: Floats  # (n_systems, k) of the j-th item of a category, infinite from the cap on
    counts: Ints  # (n_categories,) scratch: all zero, and so again at the end


class Fill(NamedTuple):
    """How a slate is filled: slots from `min_size` on only by what is worth more than `floor`."""

    pinned: int  # how many of the slate's positions are there already
    size: int
    min_size: int
    floor: float


class SlateOut(NamedTuple):
    """Positions of candidates, best first, and what each added when it was taken."""

    positions: Ints  # (size or more,), the pinned ones first
    marginal: Floats  # (size or more,)


class Keep(NamedTuple):
    """The column that a slate keeps a share of."""

    column: Floats  # (n or more,)
    caps: Floats  # the costs of `CategoryRules` without decrements
    share: float


class Vectors(NamedTuple):
    """Unit vectors: candidate i has rows[place[i]], the last row where that is out of range."""

    rows: Singles  # (any, d)
    place: Ints  # (n or more,)


# Fields of structs, in order, as Python passes them; those of a request are of `Scored` without n.
RequestFields = tuple[Floats, Ints, Counts]
RuleFields = tuple[Ints, Floats, Ints]
FillFields = tuple[int, int, int, float]
SlateFields = tuple[Ints, Floats]
KeepFields = tuple[Floats, Floats, float]
VectorFields = tuple[Singles, Ints]

# What slates are given that keep no share: fields of `Keep` of the same types, so that one compiled kernel does both.
NO_SHARE: KeepFields = (np.empty(0), np.empty((0, 1)), -np.inf)
