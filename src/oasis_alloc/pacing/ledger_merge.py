"""What a batch of events changes, given what is known of its ids. Every store applies it in one transaction.

Rows only gain states, and the three amounts of a row decide what it counts as: confirmed, else lost, else pending. So
the result depends on which events have arrived, never on their order or on how often they arrived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from oasis_alloc.pacing.ledger_events import STATES, UNITS, Batch, Rejected, label_of

Row: TypeAlias = tuple[str, str, int, int | None, int | None, int | None]
"""What is known of a delivery: id, key, microseconds, and the amounts of *served*, *lost* and *confirmed*; None where
that has not been heard of. A plain tuple, because a ledger makes a hundred thousand of them per second."""

CONFIRMED, PENDING, LOST = range(3)  # columns of totals
_COLUMN = (PENDING, LOST, CONFIRMED)  # of each of STATES


@dataclass(slots=True)
class Change:
    """Rows to write, and what to add to the totals: {(slice, key): [confirmed, pending, lost]}."""

    new: dict[str, Row] = field(default_factory=dict)
    changed: dict[str, Row] = field(default_factory=dict)
    added: dict[tuple[int, str], list[int]] = field(default_factory=dict)
    counted: int = 0
    repeated: int = 0
    late: int = 0
    conflicts: list[Rejected] = field(default_factory=list)


def merge(batch: Batch, known: Mapping[str, Row], watermark: int, slice_size: int) -> Change:
    """The change that a batch makes; times before `watermark` are late. Both are in microseconds."""
    out = Change()
    if _all_new(batch, known, watermark):
        rows = zip(batch.ids, batch.keys, batch.times, *_amounts(batch), strict=True)
        out.new = dict(zip(batch.ids, rows, strict=True))
        _add_all(out.added, batch, slice_size)
        out.counted = len(batch.ids)
        return out
    new, changed, added = out.new, out.changed, out.added
    for k, (one, key, time, amount, state) in enumerate(
        zip(batch.ids, batch.keys, batch.times, batch.amounts, batch.states, strict=True)
    ):
        if time < watermark:
            out.late += 1
            continue
        row = new.get(one) or changed.get(one) or known.get(one)
        if row is None:
            amounts: list[int | None] = [None, None, None]
            amounts[state] = amount
            new[one] = (one, key, time, *amounts)  # type: ignore[assignment]  # of three
            added.setdefault((time // slice_size, key), [0, 0, 0])[_COLUMN[state]] += amount
            out.counted += 1
            continue
        was = row[3 + state]
        if row[1] != key or row[2] != time or (was is not None and was != amount):
            out.conflicts.append(_conflict(batch, k, row))
        elif was is not None:
            out.repeated += 1
        else:
            now: Row = (*row[: 3 + state], amount, *row[4 + state :])  # type: ignore[assignment]  # as long as before
            (new if one in new else changed)[one] = now
            _move(added.setdefault((time // slice_size, key), [0, 0, 0]), row, now)
            out.counted += 1
    return out


def _all_new(batch: Batch, known: Mapping[str, Row], watermark: int) -> bool:
    """Tell whether a batch is what most are: one state, nothing known, nothing twice, nothing late."""
    once = set(batch.ids)
    return (
        len(once) == len(batch.ids)
        and len(set(batch.states)) == 1
        and min(batch.times) >= watermark
        and once.isdisjoint(known)
    )


def _amounts(batch: Batch) -> list[Sequence[int | None]]:
    out: list[Sequence[int | None]] = [[None] * len(batch.ids) for _ in STATES]
    out[batch.states[0]] = batch.amounts
    return out


def _add_all(added: dict[tuple[int, str], list[int]], batch: Batch, slice_size: int) -> None:
    slices = (np.array(batch.times, np.int64) // slice_size).tolist()
    sums: dict[tuple[int, str], int] = {}
    if len(set(batch.amounts)) == 1:  # impressions, most of the time
        counts = Counter(zip(slices, batch.keys, strict=True))
        sums = {where: n * batch.amounts[0] for where, n in counts.items()}
    else:
        for where, amount in zip(zip(slices, batch.keys, strict=True), batch.amounts, strict=True):
            sums[where] = sums.get(where, 0) + amount
    column = _COLUMN[batch.states[0]]
    for where, amount in sums.items():
        added[where] = [0, 0, 0]
        added[where][column] = amount


def counts_as(row: Row) -> tuple[int, int]:
    """(column of the totals, amount) of a row."""
    _, _, _, served, lost, confirmed = row
    if confirmed is not None:
        return CONFIRMED, confirmed
    if lost is not None:
        return LOST, lost
    return PENDING, served or 0


def _move(total: list[int], before: Row, after: Row) -> None:
    column, amount = counts_as(before)
    total[column] -= amount
    column, amount = counts_as(after)
    total[column] += amount


def _conflict(batch: Batch, k: int, row: Row) -> Rejected:
    one, key, time, state = batch.ids[k], batch.keys[k], batch.times[k], batch.states[k]
    if row[1] != key:
        what = f"for {label_of(key)!r}, and before for {label_of(row[1])!r}"
    elif row[2] != time:
        what = f"at {time / 1e6!r}, and before at {row[2] / 1e6!r}"
    else:
        before = row[3:][state] or 0
        what = f"{STATES[state]} with {batch.amounts[k] / UNITS:g}, and before with {before / UNITS:g}"
    position = batch.positions[k]
    message = f"event {position:,} (id {one!r}): it is {what}; expected one id per delivery, with one key and one time."
    return Rejected(position, one, "conflict", message)
