"""The rules of slates in the form of the kernels, and one user's candidates numbered by category.

Categories are numbered user by user, so that all counting is in arrays as short as the user's list of candidates.

A rule by category is a *staircase*: the j-th item of a category (j = 0, 1 ...) costs `steps[j]`, which never decreases
and is infinite from the category's cap on. At most two of an artist is 0, 0, infinity; a genre whose items are worth
less one by one is 0, 0.1, 0.2 ...
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


FREE = 48
"""Prices of further categories that a dense matrix is worth in one step (joint.py, many_prices.py)."""


class Rules(NamedTuple):
    """The rules of slates. An empty array means that there is no such rule."""

    size: npt.NDArray[np.int64]  # (n_users,) most items of a slate
    least: npt.NDArray[np.int64]  # (n_users,) minimum number of items, never more than is possible
    weight: npt.NDArray[np.float64]  # (n_users,) weight of a user; it multiplies the steps of staircases
    # the chain: systems of categories that nest, the finest first
    of: npt.NDArray[np.int32]  # (n_systems, n_classes) category of a class, -1 for none
    most: npt.NDArray[np.int64]  # (n_systems,) items of one category that a slate may hold
    free: npt.NDArray[np.int64]  # (n_systems,) items of one category that cost nothing
    n: int  # categories of the system that has most
    stair: int  # the one system whose steps are not 0 up to the cap, -1 for none
    steps: npt.NDArray[np.float64]  # its staircase, ends with infinity
    # further categories, which cross those of the chain or each other: lists by class
    start: npt.NDArray[np.int64]  # (n_classes + 1,)
    further: npt.NDArray[np.int32]  # category numbers
    staircase: npt.NDArray[np.float64]  # (n_further, length) by category, the last column infinite
    # every user keeps a sum of this column
    guard: npt.NDArray[np.floating[Any]]  # (n_pairs,)
    target: npt.NDArray[np.float64]  # (n_users,)


class Local(NamedTuple):
    """The categories of one user's candidates, numbered 0, 1 ... per system; scratch of a call."""

    of: npt.NDArray[np.int64]  # (n_systems, longest) number of a candidate's category, -1 for none
    counts: npt.NDArray[np.int64]  # (n_systems,) categories that the user has
    label: npt.NDArray[np.int64]  # (n_systems, longest) category that a number stands for
    number: npt.NDArray[np.int64]  # (n_systems, n) number of a category, right only where label agrees


class User(NamedTuple):
    """The user of a solve and those of the candidates that it looks at."""

    u: int
    n: int  # candidates looked at
    n_more: int  # further categories that they have
    low: float  # no threshold is below
    gamma: float  # smoothing
    steepest: float  # the largest entry of the guard's column


class Work(NamedTuple):
    """Scratch of one user's solve, (longest,) by candidate unless said otherwise."""

    s: npt.NDArray[np.float64]  # priced scores of all candidates
    at: npt.NDArray[np.int64]  # the candidates looked at, by position in the user's list
    given: npt.NDArray[np.float64]  # their priced scores
    c: npt.NDArray[np.float64]  # the same minus the prices of guards and further categories
    r: npt.NDArray[np.float64]  # their guard column
    ceil: npt.NDArray[np.float64]  # the most that their categories leave them
    base: npt.NDArray[np.float64]  # highest threshold of their categories coarser than the staircase
    top: npt.NDArray[np.float64]  # the threshold that a candidate is held to
    owner: npt.NDArray[np.int64]  # which node holds it back: 0 the slate, -1 none
    x: npt.NDArray[np.float64]
    other: npt.NDArray[np.float64]  # x at another price of the guard
    member: npt.NDArray[np.int64]
    alone: npt.NDArray[np.float64]  # first step of a candidate that is the only one of its staircase, -1 for others
    order: npt.NDArray[np.int64]  # candidates of staircases with several, category by category
    ends: npt.NDArray[np.int64]  # (longest + 1,) where each of those starts
    stairs: npt.NDArray[np.int64]  # counts by category
    root: npt.NDArray[np.float64]  # (n_systems, longest) thresholds by number of a category
    node: npt.NDArray[np.int64]  # by number of a category
    more: npt.NDArray[np.int64]  # (longest, most) numbers of a candidate's further categories, -1 at the end
    known: npt.NDArray[np.int64]  # (n_further,) number of a further category, right only where which agrees
    which: npt.NDArray[np.int64]  # further category that a number stands for
    omega: npt.NDArray[np.float64]  # price of a further category, by number
    mass: npt.NDArray[np.float64]  # of a further category, by number
    columns: npt.NDArray[np.float64]  # (longest, FREE) of a step of further prices
    matrix: npt.NDArray[np.float64]  # (FREE, FREE)
    held: npt.NDArray[np.float64]  # sums by owner
    sums: npt.NDArray[np.float64]  # sums by owner


@jit
def scratch(first: int, last: int, indptr: Ints, rules: Rules) -> tuple[Local, Work]:
    """Scratch for a call on users first <= u < last."""
    longest = 1
    for u in range(first, last):
        longest = max(longest, indptr[u + 1] - indptr[u])
    n_systems = rules.most.size
    local = Local(
        np.empty((n_systems, longest), np.int64),
        np.zeros(n_systems, np.int64),
        np.empty((n_systems, longest), np.int64),
        np.zeros((n_systems, max(1, rules.n)), np.int64),
    )
    widest = 0
    for k in range(rules.start.size - 1):
        widest = max(widest, rules.start[k + 1] - rules.start[k])
    total = longest * max(1, widest)
    crossing = rules.start.size > 0
    work = Work(
        np.empty(longest),
        np.empty(longest, np.int64),
        np.empty(longest),
        np.empty(longest),
        np.zeros(longest),
        np.empty(longest),
        np.empty(longest),
        np.empty(longest),
        np.empty(longest, np.int64),
        np.empty(longest),
        np.empty(longest),
        np.empty(longest, np.int64),
        np.empty(longest),
        np.empty(longest, np.int64),
        np.empty(longest + 1, np.int64),
        np.empty(longest, np.int64),
        np.empty((n_systems, longest)),
        np.empty(longest, np.int64),
        np.empty((longest, widest + 1), np.int64),
        np.zeros(max(1, rules.staircase.shape[0]), np.int64),
        np.zeros(total, np.int64),
        np.zeros(total),
        np.zeros(total),
        np.zeros((longest, FREE if crossing else int(rules.target.size > 0))),
        np.zeros((FREE if crossing else 0, FREE)),
        np.zeros(longest * (n_systems + 1) + 2),
        np.zeros(longest * (n_systems + 1) + 2),
    )
    return local, work


@jit(inline=True, allocates=False)
def number(rules: Rules, code: npt.NDArray[np.integer[Any]], at: Ints, n: int, local: Local) -> None:
    """Number the categories of n candidates, whose classes are code[at[i]], in the order in which they come."""
    category_of = rules.of
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


@jit(inline=True, allocates=False)
def number_further(rules: Rules, code: npt.NDArray[np.integer[Any]], n: int, work: Work) -> int:
    """Number the further categories of n candidates; returns how many there are."""
    more, known, which = work.more, work.known, work.which
    so_far = 0
    if rules.start.size == 0:
        return so_far
    for i in range(n):
        k = code[work.at[i]]
        j = 0
        for entry in range(rules.start[k], rules.start[k + 1]):
            category = rules.further[entry]
            mine = known[category]
            if not (mine < so_far and which[mine] == category):
                mine = so_far
                known[category] = mine
                which[mine] = category
                so_far += 1
            more[i, j] = mine
            j += 1
        more[i, j] = -1
    return so_far


@jit(inline=True, allocates=False)
def group(rules: Rules, n: int, weight: float, local: Local, work: Work) -> int:
    """Put candidates of staircases with several candidates together; returns how many such staircases there are."""
    alone, order, ends, stairs = work.alone, work.order, work.ends, work.stairs
    if rules.stair < 0:
        for i in range(n):
            alone[i] = 0.0
        ends[0] = 0
        return 0
    of = local.of[rules.stair]
    count = local.counts[rules.stair]
    for j in range(count):
        stairs[j] = 0
    for i in range(n):
        if of[i] >= 0:
            stairs[of[i]] += 1
    several = 0
    ends[0] = 0
    for j in range(count):  # from counts to the next free place, -1 for a single candidate
        if stairs[j] > 1:
            ends[several + 1] = ends[several] + stairs[j]
            stairs[j] = ends[several]
            several += 1
        else:
            stairs[j] = -1
    for i in range(n):
        if of[i] < 0:
            alone[i] = 0.0
        elif stairs[of[i]] < 0:
            alone[i] = rules.steps[0] * weight
        else:
            alone[i] = -1.0
            order[stairs[of[i]]] = i
            stairs[of[i]] += 1
    return several
