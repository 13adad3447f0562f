"""Scores and slates of single requests, every argument checked: by a short path where a request is of the usual form.

Usual are items that are an array or a list, columns in a dict, and no attributes, vectors or `out`. Such a request is
read into buffers that requests share, and one call of compiled code checks and scores it. Other requests, and all that
are wrong, go to `Scorer`, which answers or explains them: the short path has no messages of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.coded import decoded
from oasis_alloc.serving.request.diversity import diversified
from oasis_alloc.serving.request.reader import Request, User
from oasis_alloc.serving.request.scorer import Scorer
from oasis_alloc.serving.request.selection import MAX_SLOTS
from oasis_alloc.serving.request.target_shares import TargetShares, calibrated

_ITEMS = frozenset("bhilqBHI")  # characters of dtypes of items: integers that fit in int64
_NUMBERS = frozenset("?bhilqBHILQefd")  # and of columns
_SMALLEST, _LARGEST = 1 << 7, 1 << 17  # candidates that buffers have room for
_INT64 = np.dtype(np.int64)  # `np.empty(k, np.int64)` looks for it, which takes as long as the array
_UNREADABLE = np.empty((0, 0))  # no items and no column have this shape


class Checked:
    """Scores and slates of one policy's requests; may be called from any thread.

    Buffers wait in a pool, and a call has its own: those of the pool are as many as calls that ever ran together. A
    call that fails does not put its buffers back: if another thread writes into `items` meanwhile, bits in them may be
    left set.
    """

    def __init__(self, scorer: Scorer) -> None:
        self._scorer, self._selector, self._reader = scorer, scorer.selector, scorer.reader
        self._blend, self._of_item = scorer.blend, scorer.formula.of_item
        self._is_plain, self._n_scored = scorer.selector.is_plain, len(scorer.data.scored)
        self._is_calibrated = scorer.formula.calibrator is not None
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
        if isinstance(diversify, TargetShares):
            return calibrated(self._selector, scores, options, diversify, embeddings).positions
        if is_diverse:
            return diversified(self._selector, request, scores, options, diversify, embeddings).positions
        return self._selector.pick(request, scores, options).positions

    def _short_score(self, items: object, columns: object, user: User) -> Floats | None:
        found = self._read(items, columns, self._n_scored)
        if found is None:
            return None
        n, numbers, buffers = found
        if not buffers.score(
            n, numbers, buffers.columns, -1, False, self._blend, self._of_item, user.table, buffers.seen,
            *self._maps(user),
        ):  # fmt: skip
            return None
        scores = buffers.scores[:n].copy()
        self._pool.append(buffers)
        return scores

    def _short_select(
        self, items: object, columns: object, user: User, k: object, pinned: object, exclude: object, fill: object
    ) -> Ints | None:
        size = user.size if k is None else k
        if type(size) is not int or not 0 <= size < MAX_SLOTS or type(fill) is not bool:
            return None
        found = self._read(items, columns, -1)
        if found is None:
            return None
        n, numbers, buffers = found
        if pinned is not None or exclude is not None:
            return self._with_options(n, numbers, buffers, user, (k, pinned, exclude, fill))
        min_size, floor = user.at_least, -np.inf if fill else 0.0
        if size > n:
            size = n
        if min_size > size:
            min_size = size
        slate = np.empty(size, _INT64)
        if self._is_plain:
            shown = buffers.best(
                n, numbers, buffers.columns, self._blend, self._of_item, user.table, buffers.seen,
                size, min_size, floor, slate, *self._maps(user),
            )  # fmt: skip
        else:
            shown = self._under_rules(n, numbers, buffers, user, (0, size, min_size, floor), slate)
        if shown < 0:
            return None
        self._pool.append(buffers)
        return slate if shown == size else slate[:shown]

    def _read(self, items: object, columns: object, n_columns: int) -> tuple[int, Ints, _Buffers] | None:
        """(number of candidates, their items, buffers with columns and room for scores), or None.

        Of the columns the first few, or all if `n_columns` is -1. Items may be the caller's own array.
        """
        numbers: Any = items if type(items) is np.ndarray else _as_array(items)
        n = numbers.size
        if numbers.ndim != 1 or numbers.dtype.char not in _ITEMS or type(columns) is not dict or n > _LARGEST:
            return None
        try:
            buffers = self._pool.pop()
        except IndexError:
            buffers = _Buffers(self._scorer, n)
        if buffers.capacity < n:
            buffers = _Buffers(self._scorer, n)
        if numbers.dtype is not _INT64 or not numbers.flags.carray:
            buffers.items[:n] = numbers
            numbers = buffers.items
        for name, row in buffers.rows if n_columns < 0 else buffers.rows[:n_columns]:
            column: Any = columns.get(name)
            if type(column) is not np.ndarray:
                column = _as_array(column)
            if column.shape != (n,) or column.dtype.char not in _NUMBERS:
                self._pool.append(buffers)
                return None
            row[:n] = column
        return n, numbers, buffers

    def _is_scored(self, n: int, numbers: Ints, buffers: _Buffers, user: User) -> bool:
        """Write the scores of a slate's candidates; False if anything is wrong with the request."""
        return buffers.score(
            n, numbers, buffers.columns, buffers.kept, True, self._blend, self._of_item, user.table, buffers.seen,
            *self._maps(user),
        )  # fmt: skip

    def _maps(self, user: User) -> tuple[Any, ...]:
        """Further arguments of kernels that calibrate."""
        return (user.plan,) if self._is_calibrated else ()

    def _under_rules(
        self, n: int, numbers: Ints, buffers: _Buffers, user: User, fill: tuple[int, int, int, float], slate: Ints
    ) -> int:
        """Fill the slate under rules by category, and return its length; -1 if anything is wrong with the request."""
        block, kept = buffers.columns, buffers.kept
        if not self._is_scored(n, numbers, buffers, user):
            return -1
        costs, caps, _ = self._selector.category_costs(fill[1])
        scored, rules = (buffers.scores, numbers, self._of_item), (self._selector.rules.array, costs, buffers.counts)
        out = slate, np.empty(slate.size)
        if kept < 0:
            return buffers.pick(n, scored, rules, fill, out)
        return buffers.keep(n, scored, rules, fill, (block[kept], caps, buffers.share), out, np.empty(4))

    def _with_options(
        self, n: int, numbers: Ints, buffers: _Buffers, user: User, options: tuple[object, object, object, object]
    ) -> Ints | None:
        """The slate with pinned and excluded positions; None if anything but `options` is wrong with the request."""
        if not self._is_scored(n, numbers, buffers, user):
            return None
        asked = self._selector.slate_request(n, user, *options)
        numbers = numbers[:n]
        request = Request(numbers, buffers.columns[: len(buffers.rows), :n], numbers, None)
        slate = self._selector.pick(request, buffers.scores[:n], asked).positions
        self._pool.append(buffers)
        return slate


class _Buffers:
    """Arrays that one call at a time reads a request into, and the kernels that read them."""

    __slots__ = (
        "best", "capacity", "columns", "counts", "items", "keep", "kept", "pick", "rows", "score", "scores", "seen",
        "share",
    )  # fmt: skip

    def __init__(self, scorer: Scorer, n: int) -> None:
        from oasis_alloc.kernels.serve import checked, select_one

        names, of_item, selector = scorer.selected, scorer.formula.of_item, scorer.selector
        self.best: Callable[..., int] = checked.checked_best
        self.score: Callable[..., bool] = checked.checked_scores
        is_calibrated = scorer.formula.calibrator is not None
        if is_calibrated:
            from oasis_alloc.kernels.serve import score_calibrated

            self.best, self.score = score_calibrated.calibrated_best, score_calibrated.calibrated_scores
        self.pick, self.keep = select_one.pick_scored, select_one.keep_scored
        self.capacity = max(_SMALLEST, 1 << (n - 1).bit_length())
        self.items: Ints = np.zeros(self.capacity, np.int64)
        self.columns: Floats = np.zeros(
            (len(names) + 1 + 2 * is_calibrated, self.capacity)
        )  # scores, then scratch of maps
        self.rows = list(zip(names, self.columns[: len(names)], strict=True))
        self.scores: Floats = self.columns[len(names)]
        self.seen: npt.NDArray[np.uint64] = np.zeros((of_item.shape[1] + 63) // 64, np.uint64)
        self.counts: Ints = np.zeros(selector.rules.system.size, np.int64)
        keep = scorer.data.slate.keep
        self.kept, self.share = (-1, 0.0) if keep is None else (names.index(keep[0]), keep[1])


def _as_array(given: object) -> npt.NDArray[Any]:
    """The value as an array; one whose shape fits nothing if NumPy cannot convert it."""
    try:
        return np.asarray(decoded(given))
    except Exception:  # a ragged list, or an error of a foreign object: the long path explains it
        return _UNREADABLE
