"""Scores and slates of single requests, every argument checked: by a short path where a request is of the usual form.

Usual are items that are an array or a list, columns in a dict, and no attributes, vectors or `out`. Such a request is
read into buffers that requests share, and one call of compiled code checks and scores it. Whatever is unusual or wrong
is left to `Scorer`, which answers it or explains it: the short path has no messages of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.serving.request.diversity import diversified
from oasis_alloc.serving.request.reader import Request, User
from oasis_alloc.serving.request.scorer import Scorer
from oasis_alloc.serving.request.selection import MAX_SLOTS

_ITEMS = frozenset("bhilqBHI")  # characters of dtypes of items: integers that fit in int64
_NUMBERS = frozenset("?bhilqBHILQefd")  # and of columns
_SMALLEST, _LARGEST = 1 << 7, 1 << 17  # candidates that buffers have room for
_INT64 = np.dtype(np.int64)  # `np.empty(k, np.int64)` looks for it, which takes as long as the array
_UNREADABLE = np.empty((0, 0))  # has the shape of no items and no column


class Checked:
    """Scores and slates of one policy's requests; may be called from any thread.

    Buffers wait in a pool, and a call has its own: those of the pool are as many as calls that ever ran together. A
    call that raises an exception does not put its buffers back.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self._selector, self._reader = scorer, scorer.selector, scorer.reader
        self._blend, self._of_item = scorer.blend, scorer.formula.of_item
        self._is_plain, self._n_scored = scorer.selector.is_plain, len(scorer.data.scored)
        self._pool: deque[_Buffers] = deque()

    def score(
        self, items: object, columns: object, user: object, attributes: Mapping[str, object], out: Floats | None
    ) -> Floats:
        """See `Policy.score`."""
        if not attributes and out is None:
            user = self._reader.user(user)
            scores = self._short_score(items, columns, user)
            if scores is not None:
                return scores
        return self._scorer.score(items, columns, self._scorer.data.scored, user, attributes, out)[1]

    def select(
        self, items: object, columns: object, user: object, attributes: Mapping[str, object],
        k: object, pinned: object, exclude: object, fill: object, diversify: object, embeddings: object,
    ) -> Ints:  # fmt: skip
        """See `Policy.select`."""
        is_diverse = diversify is not None or embeddings is not None
        if not attributes and not is_diverse:
            user = self._reader.user(user)
            slate = self._short_select(items, columns, user, k, pinned, exclude, fill)
            if slate is not None:
                return slate
        names = self._scorer.selected
        request, scores, _, options = self._scorer.ask(
            items, columns, names, user, attributes, k, pinned, exclude, fill
        )
        if is_diverse:
            return diversified(self._selector, request, scores, options, diversify, embeddings).positions
        return self._selector.pick(request, scores, options).positions

    def _short_score(self, items: object, columns: object, user: User) -> Floats | None:
        buffers = self._read(items, columns, self._n_scored)
        if buffers is None:
            return None
        scores = None
        if self._is_scored(buffers, user, False):
            scores = buffers.columns[-1, : buffers.n].copy()
        self._pool.append(buffers)
        return scores

    def _short_select(
        self, items: object, columns: object, user: User, k: object, pinned: object, exclude: object, fill: object
    ) -> Ints | None:
        size = user.size if k is None else k
        if type(size) is not int or not 0 <= size < MAX_SLOTS or type(fill) is not bool:
            return None
        buffers = self._read(items, columns, -1)
        if buffers is None:
            return None
        n, min_size = buffers.n, user.at_least
        if size > n:
            size = n
        if min_size > size:
            min_size = size
        if pinned is not None or exclude is not None:
            slate = self._with_options(buffers, user, k, pinned, exclude, fill)
        else:
            slate = np.empty(size, _INT64)
            floor = -np.inf if fill else 0.0
            if self._is_plain:
                found = buffers.best(
                    n, buffers.items, buffers.columns, self._blend, self._of_item, user.table, buffers.seen,
                    size, min_size, floor, slate,
                )  # fmt: skip
            else:
                found = self._under_rules(buffers, user, (0, size, min_size, floor), slate)
            if found != size:
                slate = slate[:found] if found >= 0 else None
        self._pool.append(buffers)
        return slate

    def _read(self, items: object, columns: object, n_columns: int) -> _Buffers | None:
        """Buffers with the request, up to a number of columns (-1 for all); None if it is not of the usual form."""
        numbers = items if type(items) is np.ndarray else _as_array(items)
        n = numbers.size
        if numbers.ndim != 1 or numbers.dtype.char not in _ITEMS or type(columns) is not dict or n > _LARGEST:
            return None
        try:
            buffers = self._pool.pop()
        except IndexError:
            buffers = _Buffers(self._scorer, n)
        if buffers.capacity < n:
            buffers = _Buffers(self._scorer, n)
        buffers.n = n
        buffers.items[:n] = numbers
        for name, row in buffers.rows if n_columns < 0 else buffers.rows[:n_columns]:
            column = columns.get(name)
            if type(column) is not np.ndarray:
                column = _as_array(column)
            if column.shape != (n,) or column.dtype.char not in _NUMBERS:
                self._pool.append(buffers)
                return None
            row[:n] = column
        return buffers

    def _is_scored(self, buffers: _Buffers, user: User, for_slate: bool) -> bool:
        """Write the scores of a request; False if anything is wrong with it."""
        kept = buffers.kept if for_slate else -1
        return buffers.score(
            buffers.n, buffers.items, buffers.columns, kept, for_slate, self._blend, self._of_item, user.table,
            buffers.seen,
        )  # fmt: skip

    def _under_rules(self, buffers: _Buffers, user: User, fill: tuple[int, int, int, float], slate: Ints) -> int:
        """Fill the slate under rules by category, and return its length; -1 if anything is wrong with the request."""
        if not self._is_scored(buffers, user, True):
            return -1
        costs, caps, _ = self._selector.category_costs(fill[1])
        rules, out = (self._selector.rules.array, costs, buffers.counts), (slate, np.empty(slate.size))
        if buffers.kept < 0:
            return buffers.pick(buffers.n, buffers.scored, rules, fill, out)
        keep = buffers.columns[buffers.kept], caps, buffers.share
        return buffers.keep(buffers.n, buffers.scored, rules, fill, keep, out, np.empty(4))

    def _with_options(
        self, buffers: _Buffers, user: User, k: object, pinned: object, exclude: object, fill: object
    ) -> Ints | None:
        """The slate with pinned and excluded positions; None if anything is wrong with the request, options aside."""
        if not self._is_scored(buffers, user, True):
            return None
        n = buffers.n
        options = self._selector.slate_request(n, user, k, pinned, exclude, fill)
        items, columns, scores = buffers.items[:n], buffers.columns[:-1, :n], buffers.columns[-1, :n]
        return self._selector.pick(Request(items, columns, items, None), scores, options).positions


class _Buffers:
    """Arrays that one call at a time reads a request into, and the kernels that read them."""

    __slots__ = (
        "best", "capacity", "columns", "counts", "items", "keep", "kept", "n", "pick", "rows", "score", "scored",
        "seen", "share",
    )  # fmt: skip

    def __init__(self, scorer: Scorer, n: int) -> None:
        from oasis_alloc.kernels.serve import checked, select_one

        names, of_item, selector = scorer.selected, scorer.formula.of_item, scorer.selector
        self.best, self.score = checked.checked_best, checked.checked_scores
        self.pick, self.keep = select_one.pick_scored, select_one.keep_scored
        self.n, self.capacity = n, max(_SMALLEST, 1 << (n - 1).bit_length())
        self.items: Ints = np.zeros(self.capacity, np.int64)
        self.columns: Floats = np.zeros((len(names) + 1, self.capacity))  # and the scores
        self.rows = list(zip(names, self.columns[:-1], strict=True))
        self.scored = self.columns[-1], self.items, of_item
        self.seen: npt.NDArray[np.uint64] = np.zeros((of_item.shape[1] + 63) // 64, np.uint64)
        self.counts: Ints = np.zeros(selector.rules.system.size, np.int64)
        keep = scorer.data.slate.keep
        self.kept, self.share = (-1, 0.0) if keep is None else (names.index(keep[0]), keep[1])


def _as_array(given: object) -> npt.NDArray[np.generic]:
    """An array of it, of whatever type; if that cannot be, one that fits nowhere."""
    try:
        return np.asarray(given)
    except Exception:  # of a ragged list, or whatever a foreign object raises: the long path says what it is
        return _UNREADABLE
