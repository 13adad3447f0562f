"""Columns of candidates under calibrations: which map every pair has, and the mapped column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.labels import shown, storable
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import FrozenMapping
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.column_map import ColumnMap
from oasis_alloc.data.keys import Key
from oasis_alloc.errors import InputError

Candidates = Any  # `oa.Candidates`, which are above this module


def calibrated(candidates: Candidates, given: Mapping[str, ColumnMap | None]) -> Candidates:
    """See `Candidates.calibrated`."""
    if candidates.stream is not None:
        raise InputError(
            "calibrated(): these candidates are in Parquet files, which every pass reads; write the calibrated column "
            "into the files, as calibration.apply(...) gives it."
        )
    if not isinstance(given, Mapping):
        raise InputError(f"calibrated({shown(given)}): expected {{column: calibration}}.")
    scores, maps = dict(candidates.request_columns), dict(candidates.calibration)
    for name, one in given.items():
        if name not in scores:
            raise InputError(f"calibrated(): there is no column {name!r}.{candidates.no_column(name)}")
        if one is None:
            maps.pop(name, None)
        elif isinstance(one, ColumnMap):
            maps[name] = one.checked(f"calibrated({name!r})")
        else:
            raise InputError(f"calibrated({name!r}): got {shown(one)}; expected an oa.Calibration, or None for none.")
    columns = dict(scores)
    for name, one in maps.items():
        columns[name] = readonly(one.mapped(scores[name], row_of_pairs(candidates, one, name)))
    before = FrozenMapping({name: scores[name] for name in maps})
    out = replace(candidates, columns=FrozenMapping(columns), calibration=FrozenMapping(maps), _scores=before)
    out._groupings.update(candidates._groupings)  # groups do not depend on columns
    return out


def row_of_pairs(candidates: Candidates, one: ColumnMap, name: str) -> Ints | int:
    """The row of `one.y` of every pair, or of all."""
    if one.key is None:
        return 0
    labels, codes = labels_of(candidates, one, name)
    rows = np.append(one.rows_of(labels), 0)[codes]  # -1 reads the last one
    if one.key in candidates.items:
        of_pairs: Ints = rows[candidates.item]
        return of_pairs
    return np.repeat(rows, np.diff(candidates.indptr))


def labels_of(candidates: Candidates, one: ColumnMap, name: str) -> tuple[tuple[Any, ...], npt.NDArray[np.int32]]:
    """(labels, codes of the users or items) of the key of a map."""
    both = {**dict.fromkeys(candidates.users), **dict.fromkeys(candidates.items)}
    if one.key not in both:
        near = did_you_mean(one.key, both)
        raise InputError(f"calibrated({name!r}): there is no key {one.key!r} of users or items.{near}")
    key = candidates.items[one.key] if one.key in candidates.items else candidates.users[one.key]
    if not isinstance(key, Key):
        raise InputError(
            f"calibrated({name!r}): items have several labels in the key {one.key!r}; expected a key with one label."
        )
    labels = storable(key.labels.tolist())
    if one.labels and labels and not set(one.labels) & set(labels):
        raise InputError(
            f"calibrated({name!r}): the key {one.key!r} has labels such as {shown(labels[0])}, the calibration "
            f"{shown(one.labels[0])}, and no label is in both. Fit it with the labels of the candidates."
        )
    return labels, key.codes


def serving_rows(one: ColumnMap, labels: tuple[Any, ...]) -> tuple[npt.NDArray[np.int32], Floats]:
    """(codes of the labels with a map of their own, ascending; the rows of `y` that serve: pooled, then theirs)."""
    rows = one.rows_of(labels)
    codes = np.flatnonzero(rows).astype(np.int32)
    return readonly(codes), readonly(one.y[np.concatenate([[0], rows[codes]])])
