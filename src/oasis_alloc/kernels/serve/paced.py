"""What showings use of the goals of a plan: counted, and kept within what hard caps leave.

For one kind of user, class c of the items has the entries `indptr[c]:indptr[c + 1]` of `cells` (3, n): the goal, the
row of the column in requests (-1 for exposure), and the row in the table of prices; `amount` is what a unit adds.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.serve.slate_pick import class_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_ROUNDING = 1e-9  # of a room: what sums of amounts may be off by


@jit(inline=True)
def amount_of(e: int, i: int, columns: Floats, cells: Ints, amount: Floats) -> float:
    """What showing candidate i uses of the goal of entry e."""
    column = cells[1, e]
    return float(amount[e] if column < 0 else amount[e] * columns[column, i])


@jit(inline=True)
def _of_goal(row: int, i: int, class_: int, columns: Floats, indptr: Ints, cells: Ints, amount: Floats) -> float:
    """What showing candidate i, of a class, uses of one goal."""
    total = 0.0
    for e in range(indptr[class_], indptr[class_ + 1]):
        if cells[0, e] == row:
            total += amount_of(e, i, columns, cells, amount)
    return total


@jit
def count(
    shown: int,
    positions: Ints,
    items: Ints,
    columns: Floats,
    of_item: npt.NDArray[np.uint32],
    indptr: Ints,
    cells: Ints,
    amount: Floats,
    used: Floats,
    room: Floats,
) -> int:
    """Add what the first `shown` positions use to `used`.

    Returns 2 where a goal has no room now for what one of these showings used, 1 where it has none for as much as this
    whole slate used of it, else 0.
    """
    near = 0
    for j in range(shown):
        i = positions[j]
        class_ = class_of(i, items, of_item)
        for e in range(indptr[class_], indptr[class_ + 1]):
            used[cells[0, e]] += amount_of(e, i, columns, cells, amount)
    for j in range(shown):
        i = positions[j]
        class_ = class_of(i, items, of_item)
        for e in range(indptr[class_], indptr[class_ + 1]):
            row = cells[0, e]
            left = room[row] * (1.0 + _ROUNDING) - used[row]
            one = _of_goal(row, i, class_, columns, indptr, cells, amount)
            if one > 0.0 and left < one:
                near = 2
            elif one > 0.0 and left < one * 2 * shown:
                near = max(near, 1)
    return near


@jit
def fits(
    shown: int,
    positions: Ints,
    items: Ints,
    columns: Floats,
    of_item: npt.NDArray[np.uint32],
    indptr: Ints,
    cells: Ints,
    amount: Floats,
    used: Floats,
    room: Floats,
) -> int:
    """Drop from `positions` what would take a goal beyond its room, keeping the order; returns how many are left.

    `used` is only read: adding amounts and taking them off again would leave roundings in it, and a pacer that has
    observed nothing would step.
    """
    most = 0.0  # that the whole slate uses of any goal
    for j in range(shown):
        i = positions[j]
        class_ = class_of(i, items, of_item)
        for e in range(indptr[class_], indptr[class_ + 1]):
            most += max(amount_of(e, i, columns, cells, amount), 0.0)
    kept = 0
    for j in range(shown):
        i = positions[j]
        class_ = class_of(i, items, of_item)
        good = True
        for e in range(indptr[class_], indptr[class_ + 1]):
            row = cells[0, e]
            limit = room[row] * (1.0 + _ROUNDING)
            if used[row] + most <= limit:
                continue
            one, taken = _of_goal(row, i, class_, columns, indptr, cells, amount), used[row]
            for s in range(kept):  # what comes before takes room from it
                other = positions[s]
                taken += _of_goal(row, other, class_of(other, items, of_item), columns, indptr, cells, amount)
            if one > 0.0 and taken + one > limit:
                good = False
        if good:
            positions[kept] = i
            kept += 1
    return kept


@jit(inline=True)
def draw(number: int, row: int) -> float:
    """A number in [0, 1) that is the same for the same request and goal (the finalizer of splitmix64)."""
    z = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(row + 1) * np.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return float(z >> np.uint64(11)) * 2.0**-53


@jit
def drop(
    n: int,
    items: Ints,
    of_item: npt.NDArray[np.uint32],
    indptr: Ints,
    cells: Ints,
    rate: Floats,
    number: int,
    scores: Floats,
) -> None:
    """Take the candidates of goals that do not take part in request `number` out: their scores are minus infinity.

    A goal takes part in a share `rate` of the requests, by a hash of the two numbers: one draw per goal and request.
    """
    for i in range(n):
        class_ = class_of(i, items, of_item)
        for e in range(indptr[class_], indptr[class_ + 1]):
            if draw(number, cells[0, e]) >= rate[cells[0, e]]:
                scores[i] = -np.inf
