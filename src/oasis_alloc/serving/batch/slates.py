"""Slates of many users at once, block by block, each in one call of compiled code."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import numpy as np

from oasis_alloc.common.checks import as_buffer
from oasis_alloc.common.csr import blocks
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.serving.batch.scores import Batch, buffer, item_numbers, kinds, read, refuse
from oasis_alloc.serving.request.selection import checked_slots

if TYPE_CHECKING:
    from oasis_alloc.serving.request.scorer import Scorer

_WIDE = 1 << 12  # slots of a solve up to which an array has all columns, also with fewer candidates
_BLOCK = 1 << 15  # pairs whose items and columns, converted for the kernels, stay in the cache


def select_batch(
    scorer: Scorer, indptr: object, items: object, columns: object, users: object, k: object, out: Ints | None,
    scores: Floats | None,
) -> Ints:  # fmt: skip
    """See `Policy.select_batch`."""
    from oasis_alloc.kernels.serve import select_users

    data, formula, selector = scorer.data, scorer.formula, scorer.selector
    slots = checked_slots(k, data.slate.size)
    batch = read(scorer.reader, indptr, items, columns, scorer.selected, users)
    pointers, who = batch.pointers, batch.users
    n_users = pointers.size - 1
    sizes = who.sizes if k is None else np.full(n_users, slots)
    width = min(slots, max(min(data.slate.size, _WIDE), int(np.diff(pointers).max(initial=0))))
    slates = _slates(out, (n_users, width), slots)
    found = buffer(scores, int(pointers[-1]), "scores")
    rules = selector.arrays(width, scorer.selected)
    for begin, end, tables, segments in kinds(formula, who):
        for first, last in blocks(pointers, begin, end, _BLOCK):
            a, b = int(pointers[first]), int(pointers[last])
            numbers, block = _block(batch, a, b)
            prices = scorer.blend, formula.of_item, tables, segments
            wrong = select_users.select_users(
                first, last, (pointers, numbers, block), prices, (sizes, who.min_sizes), rules, True,
                (found[a:b], slates[first:last]),
            )  # fmt: skip
            if wrong >= 0:
                _refuse(batch, a, b, wrong, data.n_items)
            if not np.isfinite(found[a:b]).all():
                refuse(batch.columns, a, b)
    return slates


def _block(batch: Batch, a: int, b: int) -> tuple[Ints, Floats]:
    """Items and columns of pairs a <= p < b, in the types of the kernels, converted if needed."""
    numbers = batch.items[a:b]
    if numbers.dtype != np.int64 or not numbers.flags.carray:
        numbers = numbers.astype(np.int64)
    columns = list(batch.columns.values())
    if len(columns) == 1 and columns[0].dtype == np.float64 and columns[0].flags.carray:
        return numbers, np.reshape(columns[0][a:b], (1, -1)).astype(np.float64, copy=False)
    block = np.empty((len(columns), b - a))
    for row, column in zip(block, columns, strict=True):
        row[:] = column[a:b]
    return numbers, block


def _refuse(batch: Batch, a: int, b: int, pair: int, n_items: int) -> NoReturn:
    """Raise the error for a pair of the block a <= p < b."""
    item_numbers(batch.items[a:b], a, n_items)
    if all(np.isfinite(column[pair]) for column in batch.columns.values()):
        user = int(np.searchsorted(batch.pointers, pair, side="right")) - 1
        raise InputError(
            f"items: user {user:,} has item {batch.items[pair]} a second time, at pair {pair:,}; expected each item "
            "once per user."
        )
    refuse(batch.columns, a, b)


def _slates(out: Ints | None, shape: tuple[int, int], slots: int) -> Ints:
    """The caller's array for slates, with up to one column per slot, checked, or a new one."""
    slates = np.empty(shape, np.int64) if out is None else out
    return as_buffer(slates, np.int64, shape, (shape[0], slots))
