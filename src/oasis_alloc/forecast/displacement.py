"""Who gets fewer impressions when a campaign gets more, from two allocations of the same pairs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.keys import Key
from oasis_alloc.forecast.quote_base import QuoteBase
from oasis_alloc.results.shadow_prices import main_column

_ITEMS = 200  # items listed one by one
_NONE = 1e-9  # impressions that are no change


class Displaced(NamedTuple):
    """A campaign, artist or other group of items whose impressions change; `key` is "item" for single ones.

    Empty slots that are filled have the key "slots" and the label "empty". Items without a label have the label None.
    """

    key: str
    label: Any
    units: float  # impressions lost (in `Quote.displaced`) or gained (in `Quote.gained`)


class Changes(NamedTuple):
    """What changes between two allocations."""

    displaced: tuple[Displaced, ...]  # largest first
    gained: tuple[Displaced, ...]
    lost: float  # of the main column


def main_by_pair(base: QuoteBase, pairs: Ints) -> Floats | None:
    """The main column of the objective by pair of the program, None without one."""
    main = main_column(base.problem)
    if main is None:
        return None
    if base.in_memory is not None:
        return None if base.in_memory.main is None else base.in_memory.main[pairs]
    origin = base.program.origin
    column = base.problem.candidates.columns[main[0]]
    return np.asarray(column[pairs if origin is None else origin.pair[pairs]], np.float64)


def changes_of(base: QuoteBase, pairs: Ints, change: Floats) -> Changes:
    """The changes by every key of the items; `change` are impressions by pair of the program."""
    some = np.flatnonzero(np.abs(change) > 0.0)
    pairs, change = pairs[some], change[some]
    candidates, item = base.problem.candidates, base.item[pairs].astype(np.int64)
    rows: list[Displaced] = []
    by_item = np.bincount(item, change, candidates.n_items)
    filled = float(change.sum())
    for key in candidates.items.usable():
        if isinstance(key, Key):
            sums = np.bincount(key.codes + 1, by_item, key.n_groups + 1)
        else:
            indptr, codes = key.membership()
            count = np.diff(indptr)
            sums = np.bincount(codes.astype(np.int64) + 1, np.repeat(by_item, count), key.n_groups + 1)
            sums[0] = by_item[count == 0].sum()
        labels = [None, *key.labels.tolist()]
        moved = np.flatnonzero(np.abs(sums) > _NONE)
        rows += [Displaced(key.name, labels[g], -lost) for g, lost in zip(moved, sums[moved].tolist(), strict=True)]
    most = np.argsort(-np.abs(by_item), kind="stable")[:_ITEMS]
    ids = candidates.item_ids
    rows += [
        Displaced("item", int(i) if ids is None else ids[i], -float(by_item[i]))
        for i in most
        if abs(by_item[i]) > _NONE
    ]
    if filled > _NONE:
        rows.append(Displaced("slots", "empty", filled))
    main = main_by_pair(base, pairs)
    ordered = sorted(rows, key=lambda row: -abs(row.units))
    return Changes(
        tuple(row for row in ordered if row.units > 0.0),
        tuple(row._replace(units=-row.units) for row in ordered if row.units < 0.0),
        0.0 if main is None else -float(main @ change),
    )
