"""One user's candidates by category, and the best slate by the greedy rule.

Categories are numbered user by user, so that all counting is in arrays as short as the user's list of candidates.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Categories(NamedTuple):
    """Nested category systems, the finest first."""

    of: npt.NDArray[np.int32]  # (n_systems, n_classes) category of a class, -1 for none
    most: npt.NDArray[np.int64]  # (n_systems,) items of one category that a slate may hold
    n: int  # categories of the system that has most


class Local(NamedTuple):
    """The categories of one user's candidates, numbered 0, 1 ... a system; scratch of a call."""

    of: npt.NDArray[np.int64]  # (n_systems, longest) number of a candidate's category, -1 for none
    counts: npt.NDArray[np.int64]  # (n_systems,) categories that the user has
    label: npt.NDArray[np.int64]  # (n_systems, longest) category that a number stands for
    number: npt.NDArray[np.int64]  # (n_systems, n) number of a category, right only where label agrees


class Greedy(NamedTuple):
    """The best slate of one user; scratch of a call. By candidate, then by system and number of a category."""

    heap: npt.NDArray[np.int64]
    taken: npt.NDArray[np.int64]  # 1 for what is in
    full: npt.NDArray[np.int64]  # (n_systems, longest) items that are in
    lowest: npt.NDArray[np.float64]  # their lowest score
    first_out: npt.NDArray[np.float64]  # the highest score that the category kept out, and no finer one; at least 0


@jit
def scratch(first: int, last: int, indptr: Ints, categories: Categories) -> tuple[int, Local, Greedy]:
    """(most candidates of a user, scratch, scratch) for a call on users first <= u < last."""
    longest = 0
    for u in range(first, last):
        longest = max(longest, indptr[u + 1] - indptr[u])
    n_systems = categories.most.size
    local = Local(
        np.empty((n_systems, longest), np.int64),
        np.zeros(n_systems, np.int64),
        np.empty((n_systems, longest), np.int64),
        np.zeros((n_systems, max(1, categories.n)), np.int64),
    )
    greedy = Greedy(
        np.empty(longest, np.int64),
        np.empty(longest, np.int64),
        np.empty((n_systems, longest), np.int64),
        np.empty((n_systems, longest)),
        np.empty((n_systems, longest)),
    )
    return longest, local, greedy


@jit
def number(categories: Categories, code: npt.NDArray[np.integer[Any]], at: Ints, n: int, local: Local) -> None:
    """Number the categories of n candidates, whose classes are code[at[i]], in the order in which they come."""
    category_of = categories.of
    of, count, label, number_of = local
    for k in range(category_of.shape[0]):
        so_far = 0
        for i in range(n):
            category = category_of[k, code[at[i]]]
            if category < 0:
                of[k, i] = -1
                continue
            known = number_of[k, category]
            if not (known < so_far and label[k, known] == category):
                known = so_far
                number_of[k, category] = known
                label[k, known] = category
                so_far += 1
            of[k, i] = known
        count[k] = so_far


@jit
def _sift(c: Floats, heap: Ints, at: int, n: int) -> None:
    """Let the entry at `at` sink to its place in a heap of the best score, ties by position, first."""
    i = heap[at]
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        j = heap[child]
        if child + 1 < n:
            other = heap[child + 1]
            if c[other] > c[j] or (c[other] == c[j] and other < j):
                child += 1
                j = other
        if c[i] > c[j] or (c[i] == c[j] and i < j):
            break
        heap[at] = j
        at = child
    heap[at] = i


@jit
def take(c: Floats, m: int, most: Ints, size: int, local: Local, greedy: Greedy) -> int:
    """The best slate by the greedy rule: positive scores in falling order, but those whose category is full.

    Only candidates down to the last one taken are put in order. Returns the number of slots that are left.
    """
    heap, taken, full, lowest, _ = greedy
    of, count = local.of, local.counts
    n_systems = most.size
    n = 0
    for i in range(m):
        taken[i] = 0
        if c[i] > 0.0:
            heap[n] = i
            n += 1
    for k in range(n_systems):
        for j in range(count[k]):
            full[k, j] = 0
            lowest[k, j] = np.inf
    for at in range(n // 2 - 1, -1, -1):
        _sift(c, heap, at, n)
    left = size
    while n > 0 and left > 0:
        i = heap[0]
        n -= 1
        heap[0] = heap[n]
        _sift(c, heap, 0, n)
        blocked = False
        for k in range(n_systems):
            j = of[k, i]
            if j >= 0 and full[k, j] >= most[k]:
                blocked = True
                break
        if not blocked:
            taken[i] = 1
            left -= 1
            for k in range(n_systems):
                j = of[k, i]
                if j >= 0:
                    full[k, j] += 1
                    lowest[k, j] = c[i]
    return left
