"""Requests played one after the other at fixed prices: scores, slates, hard caps and sums, nothing of it in Python.

What `score.py`, `slate_pick.py` and `paced.py` do for one request, for all of an interval between two ticks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.best_few import best_few, few_of
from oasis_alloc.kernels.serve.paced import amount_of, drop, fits
from oasis_alloc.kernels.serve.score import score_some
from oasis_alloc.kernels.serve.slate_args import CategoryRules, Counts, Fill, Floats, Ints, Scored, SlateOut
from oasis_alloc.kernels.serve.slate_pick import class_of, pick


class Stream(NamedTuple):
    """The requests in their order, and their candidates."""

    order: Ints  # (n,) the request at each place
    replica: Ints  # (n,) who serves it
    kind: Ints  # (n_requests,) kind of its user
    indptr: Ints
    items: Ints
    columns: Floats
    catalog: npt.NDArray[np.int32]  # items as the requests number them, where `items` are the policy's numbers


class Pricing(NamedTuple):
    """How a policy scores and picks."""

    blend: Floats
    of_item: Counts
    rules: Ints
    costs: Floats  # see `CategoryRules`
    size: int
    min_size: int
    organic: int  # row of the column that the host ranks by


class Fleet(NamedTuple):
    """What each replica serves by and has counted; kinds of users follow each other within a replica."""

    tables: Floats  # (n_replicas * n_kinds, K + 1, n_classes)
    indptr: Ints  # (n_kinds, n_classes + 1)
    cells: Ints  # (3, n)
    amount: Floats
    used: Floats  # (n_replicas, n_goals)
    room: Floats
    min_room: Floats  # (n_goals,) with less room than this, a goal is stopped
    stop: Floats  # (n_goals,) the price of a stop
    rates: Floats  # (n_goals,) or none where all take part
    factor: float  # of the organic column of what counts for a goal


@jit
def stop_replica(row: int, first: int, tables: Floats, indptr: Ints, cells: Ints, amount: Floats, stop: float) -> None:
    """Add the price of a stop to the tables of one replica, which begin at `first`."""
    for kind in range(indptr.shape[0]):
        for class_ in range(indptr.shape[1] - 1):
            for e in range(indptr[kind, class_], indptr[kind, class_ + 1]):
                if cells[0, e] == row:
                    tables[first + kind, cells[2, e], class_] += stop * amount[e]


@jit
def stop_some(
    stops: npt.NDArray[np.bool_], replicas: Ints, tables: Floats, indptr: Ints, cells: Ints, amount: Floats,
    stop: Floats,
) -> None:  # fmt: skip
    """Stop goals in replicas: `stops` is (len(replicas), n_goals), and `stop` the price of a stop of each goal."""
    n_kinds = indptr.shape[0]
    for at in range(stops.shape[0]):
        if not stops[at].any():
            continue
        for kind in range(n_kinds):
            table = tables[replicas[at] * n_kinds + kind]
            for class_ in range(indptr.shape[1] - 1):
                for e in range(indptr[kind, class_], indptr[kind, class_ + 1]):
                    if stops[at, cells[0, e]]:
                        table[cells[2, e], class_] += stop[cells[0, e]] * amount[e]


class Shown(NamedTuple):
    """What is written of the slates: all that metrics read, so that nobody goes through them a second time."""

    slates: Ints  # (n, size) pairs, -1 behind the end of a slate; (0, size) where nobody reads them
    gained: Floats  # (n, 2) the objective and the organic column
    times: Ints  # (n_items,) showings of each item, by the number of `Stream.catalog`
    codes: npt.NDArray[np.int32]  # (n_items,) categories of items, -1 for none; (0,) where items have none
    apart: Ints  # (2,) of every `every`-th slate: pairs of items of one category, and pairs
    every: int


@jit
def _spend(
    shown: int, positions: Ints, items: Ints, columns: Floats, of_item: Counts, starts: Ints, first: int, used: Floats,
    room: Floats, fleet: Fleet,
) -> None:  # fmt: skip
    """Count what a slate uses; a goal whose room it takes is stopped in the replica whose tables begin at `first`."""
    cells, amount, min_room = fleet.cells, fleet.amount, fleet.min_room
    for s in range(shown):
        i = positions[s]
        class_ = class_of(i, items, of_item)
        for e in range(starts[class_], starts[class_ + 1]):
            goal = cells[0, e]
            had = room[goal] - used[goal]
            used[goal] += amount_of(e, i, columns, cells, amount)
            if had >= min_room[goal] and room[goal] - used[goal] < min_room[goal]:
                stop_replica(goal, first, fleet.tables, fleet.indptr, cells, amount, fleet.stop[goal])


@jit
def play(first: int, last: int, stream: Stream, pricing: Pricing, fleet: Fleet, shown: Shown) -> None:
    """Play places first <= j < last: their slates, and what they add to the totals."""
    order, replicas, kinds, indptr, items, columns, catalog = stream
    blend, of_item, rules, costs, size, min_size, organic = pricing
    slates, gained, times, codes, apart, every = shown
    n_terms, n_categories, n_kinds = int(blend[0]), rules[1], fleet.indptr.shape[0]
    n_columns, cells, amount, factor, rates = columns.shape[0], fleet.cells, fleet.amount, fleet.factor, fleet.rates
    longest = 1
    for j in range(first, last):
        longest = max(longest, indptr[order[j] + 1] - indptr[order[j]])
    scores, positions, few = np.empty(longest), np.empty(max(size, 1), np.int64), few_of(longest)
    by_category = CategoryRules(rules, costs, np.zeros(n_categories, np.int64))
    slate = SlateOut(positions, np.empty(max(size, 1)))
    block = np.empty((n_columns, longest))
    of_slot = np.empty(max(size, 1), np.int64)
    for j in range(first, last):
        u = order[j]
        a, b = indptr[u], indptr[u + 1]
        n, mine = b - a, items[a:b]
        kind, replica = kinds[u], replicas[j]
        at = replica * n_kinds + kind
        for row in range(n_columns):
            for i in range(n):
                block[row, i] = columns[row, a + i]
        starts = fleet.indptr[kind]
        if factor != 1.0:
            for i in range(n):
                class_ = class_of(i, mine, of_item)
                if starts[class_ + 1] > starts[class_]:
                    block[organic, i] *= factor
        score_some(not_literal(0), n, mine, block, blend, of_item, fleet.tables[at], scores)
        if rates.size > 0:
            drop(n, mine, of_item, starts, cells, rates, j, scores)
        k = min(size, n)
        if n_categories > 0:
            m = pick(Scored(n, scores, mine, of_item), by_category, Fill(0, k, min(min_size, k), 0.0), slate)
        else:
            m = best_few(n, mine, of_item, k, min(min_size, k), 0.0, scores, few, positions)
        used, room = fleet.used[replica], fleet.room[replica]
        uses = 0  # most slates have few items of a campaign, or none
        for s in range(m):
            class_ = class_of(positions[s], mine, of_item)
            uses += starts[class_ + 1] - starts[class_]
        if uses > 0:
            m = fits(m, positions, mine, block, of_item, starts, cells, amount, used, room)
            _spend(m, positions, mine, block, of_item, starts, replica * n_kinds, used, room, fleet)
        value, base = 0.0, 0.0
        for s in range(m):
            i = positions[s]
            for t in range(n_terms):
                row = int(blend[1 + n_terms + t])
                value += blend[1 + t] * (block[row, i] if row >= 0 else 1.0)
            base += block[organic, i]
            times[catalog[a + i]] += 1
        gained[j, 0], gained[j, 1] = value, base
        if codes.size > 0 and j % every == 0:
            for s in range(m):
                of_slot[s] = codes[catalog[a + positions[s]]]
                for other in range(s):
                    apart[0] += (of_slot[s] >= 0) & (of_slot[s] == of_slot[other])
            apart[1] += m * (m - 1) // 2
        if slates.shape[0] > 0:
            for s in range(m):
                slates[j, s] = a + positions[s]
            for s in range(m, slates.shape[1]):
                slates[j, s] = -1
