"""Requests played one after the other at fixed prices: scores, slates, hard caps and sums, nothing of it in Python.

What `score.py`, `slate_pick.py` and `paced.py` do for one request, for all of an interval between two ticks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.kernels.serve.paced import amount_of, drop, fits
from oasis_alloc.kernels.serve.score import best_of, score_some
from oasis_alloc.kernels.serve.slate_args import CategoryRules, Counts, Fill, Floats, Ints, Scored, Slate
from oasis_alloc.kernels.serve.slate_pick import class_of, pick


class Stream(NamedTuple):
    """The requests in their order, and their candidates."""

    order: Ints  # (n,) the request at each place
    replica: Ints  # (n,) who serves it
    kind: Ints  # (n_requests,) kind of its user
    indptr: Ints
    items: Ints
    columns: Floats


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


@jit
def play(first: int, last: int, stream: Stream, pricing: Pricing, fleet: Fleet, out: Ints, gained: Floats) -> None:
    """Play places first <= j < last: slates as pairs into `out` (n, size), -1 behind their ends, and into `gained`
    (n, 2) the objective's value and the organic column of what is shown."""
    order, replicas, kinds, indptr, items, columns = stream
    blend, of_item, rules, costs, size, min_size, organic = pricing
    n_terms, n_categories, n_kinds = int(blend[0]), rules[1], fleet.indptr.shape[0]
    longest = 1
    for j in range(first, last):
        longest = max(longest, indptr[order[j] + 1] - indptr[order[j]])
    scores, positions = np.empty(longest), np.empty(max(size, 1), np.int64)
    by_category = CategoryRules(rules, costs, np.zeros(n_categories, np.int64))
    slate = Slate(positions, np.empty(max(size, 1)))
    block = np.empty((columns.shape[0], longest))
    for j in range(first, last):
        u = order[j]
        a, b = indptr[u], indptr[u + 1]
        n, mine = b - a, items[a:b]
        kind, replica = kinds[u], replicas[j]
        at = replica * n_kinds + kind
        for row in range(columns.shape[0]):
            for i in range(n):
                block[row, i] = columns[row, a + i]
        starts = fleet.indptr[kind]
        if fleet.factor != 1.0:
            for i in range(n):
                class_ = class_of(i, mine, of_item)
                if starts[class_ + 1] > starts[class_]:
                    block[organic, i] *= fleet.factor
        score_some(not_literal(0), n, mine, block, blend, of_item, fleet.tables[at], scores)
        if fleet.rates.size > 0:
            drop(n, mine, of_item, starts, fleet.cells, fleet.rates, j, scores)
        k = min(size, n)
        if n_categories > 0:
            m = pick(Scored(n, scores, mine, of_item), by_category, Fill(0, k, min(min_size, k), 0.0), slate)
        else:
            m = best_of(n, mine, of_item, k, min(min_size, k), 0.0, scores, positions)
        used, room = fleet.used[replica], fleet.room[replica]
        m = fits(m, positions, mine, block, of_item, starts, fleet.cells, fleet.amount, used, room)
        value, base = 0.0, 0.0
        for s in range(m):
            i = positions[s]
            for t in range(n_terms):
                row = int(blend[1 + n_terms + t])
                value += blend[1 + t] * (block[row, i] if row >= 0 else 1.0)
            base += block[organic, i]
            out[j, s] = a + i
            class_ = class_of(i, mine, of_item)
            for e in range(starts[class_], starts[class_ + 1]):
                goal = fleet.cells[0, e]
                had = room[goal] - used[goal]
                used[goal] += amount_of(e, i, block, fleet.cells, fleet.amount)
                if had >= fleet.min_room[goal] and room[goal] - used[goal] < fleet.min_room[goal]:
                    stop_replica(
                        goal, replica * n_kinds, fleet.tables, fleet.indptr, fleet.cells, fleet.amount,
                        fleet.stop[goal],
                    )  # fmt: skip
        for s in range(m, out.shape[1]):
            out[j, s] = -1
        gained[j, 0], gained[j, 1] = value, base
