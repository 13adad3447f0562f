"""The short path of `Policy.select`: a request is read into buffers that requests share, and checked in one call.

It answers requests of the usual form: items that are an array or a list, columns in a dict, and no options but `k` and
`fill`. Whatever is unusual or wrong is left to `Scorer.ask`, which answers or explains it: no messages are here.
"""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.serving.request.reader import User
from oasis_alloc.serving.request.scorer import Scorer
from oasis_alloc.serving.request.selection import MAX_SLOTS

_ITEMS = frozenset("bhilqBHI")  # characters of dtypes of items: integers that fit in int64
_NUMBERS = frozenset("?bhilqBHILQefd")  # and of columns
_SMALLEST, _LARGEST = 1 << 7, 1 << 17  # candidates that buffers have room for
_INT64 = np.dtype(np.int64)  # `np.empty(k, np.int64)` looks for it, which takes as long as the array
_UNREADABLE = np.empty((0, 0))  # has the shape of no items and no column


class CheckedSelect:
    """Slates of one policy's usual requests; may be called from any thread.

    Buffers wait in a pool, and a call has its own: those of the pool are as many as calls that ever ran together. A
    call that raises an exception does not put its buffers back.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self._selector, self._blend = scorer, scorer.selector, scorer.blend
        self._of_item, self._is_plain = scorer.formula.of_item, scorer.selector.is_plain
        self._pool: deque[_Buffers] = deque()

    def select(self, items: object, columns: object, user: User, k: object, fill: bool) -> Ints | None:
        """The slate, or None if the request is for `Scorer.ask`."""
        numbers = items if type(items) is np.ndarray else _as_array(items)
        if numbers.ndim != 1 or numbers.dtype.char not in _ITEMS or type(columns) is not dict:
            return None
        n = numbers.size
        size = user.size if k is None else k
        if type(size) is not int or not 0 <= size < MAX_SLOTS or n > _LARGEST:
            return None
        if size > n:
            size = n
        try:
            buffers = self._pool.pop()
        except IndexError:
            buffers = _Buffers(self._scorer, n)
        if buffers.capacity < n:
            buffers = _Buffers(self._scorer, n)
        buffers.items[:n] = numbers
        for name, row in buffers.rows:
            column = columns.get(name)
            if type(column) is not np.ndarray:
                column = _as_array(column)
            if column.shape != (n,) or column.dtype.char not in _NUMBERS:
                self._pool.append(buffers)
                return None
            row[:n] = column
        min_size, floor = user.at_least, -np.inf if fill else 0.0
        if min_size > size:
            min_size = size
        out = np.empty(size, _INT64)
        if self._is_plain:
            found = buffers.best(
                n, buffers.items, buffers.columns, self._blend, self._of_item, user.table, buffers.seen,
                size, min_size, floor, out,
            )  # fmt: skip
        else:
            found = self._ruled(n, buffers, user.table, (0, size, min_size, floor), out)
        self._pool.append(buffers)
        if found < 0:
            return None
        return out if found == size else out[:found]

    def _ruled(self, n: int, buffers: _Buffers, table: Floats, fill: tuple[int, int, int, float], out: Ints) -> int:
        """Fill the slate under rules by category; -1 if anything is wrong with the request."""
        if not buffers.score(
            n, buffers.items, buffers.columns, buffers.kept, self._blend, self._of_item, table, buffers.seen
        ):
            return -1
        costs, caps, _ = self._selector.category_costs(fill[1])
        rules, slate = (self._selector.rules.array, costs, buffers.counts), (out, np.empty(out.size))
        if buffers.kept < 0:
            return buffers.pick(n, buffers.scored, rules, fill, slate)
        keep = buffers.columns[buffers.kept], caps, buffers.share
        return buffers.keep(n, buffers.scored, rules, fill, keep, slate, np.empty(4))


class _Buffers:
    """Arrays that one call at a time reads a request into, and the kernels that read them."""

    __slots__ = (
        "best", "capacity", "columns", "counts", "items", "keep", "kept", "pick", "rows", "score", "scored", "seen",
        "share",
    )  # fmt: skip

    def __init__(self, scorer: Scorer, n: int) -> None:
        from oasis_alloc.kernels.serve import checked, select_one

        names, of_item, selector = scorer.selected, scorer.formula.of_item, scorer.selector
        self.best, self.score = checked.checked_best, checked.checked_scores
        self.pick, self.keep = select_one.pick_scored, select_one.keep_scored
        self.capacity = max(_SMALLEST, 1 << (n - 1).bit_length())
        self.items: Ints = np.zeros(self.capacity, np.int64)
        self.columns: Floats = np.zeros((len(names) + 1, self.capacity))  # and the scores
        self.rows = list(zip(names, self.columns[:-1], strict=True))
        self.scored = self.columns[-1], self.items, of_item
        self.seen: npt.NDArray[np.uint64] = np.zeros((of_item.shape[1] + 63) // 64, np.uint64)
        self.counts: Ints = np.zeros(selector.rules.system.size, np.int64)
        name, self.share = scorer.data.slate.keep or ("", 0.0)
        self.kept = names.index(name) if name else -1


def _as_array(given: object) -> npt.NDArray[np.generic]:
    """An array of it, of whatever type; if that cannot be, one that fits nowhere."""
    try:
        return np.asarray(given)
    except Exception:  # of a ragged list, or whatever a foreign object raises: the long path says what it is
        return _UNREADABLE
