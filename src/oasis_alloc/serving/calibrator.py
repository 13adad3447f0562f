"""The calibrated columns of a policy, as arrays for the kernels: which map a user and an item lead to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.column_map import slopes, starts

if TYPE_CHECKING:
    from oasis_alloc.serving.data import ColumnCalibration, PolicyData
    from oasis_alloc.serving.formula import Membership


class Calibrator:
    """The maps of a policy's columns; see kernels/serve/calibrate.py for the arrays.

    `of_item` are rows for the `of_item` of the formula, in which they follow `n_before` others.
    """

    def __init__(self, data: PolicyData, n_before: int) -> None:
        self.columns: tuple[ColumnCalibration, ...] = data.calibration
        self.names = frozenset(one.column for one in self.columns)
        self.row = [data.columns.index(one.column) for one in self.columns]
        n_pieces = max(one.x.size - 1 for one in self.columns)
        maps = np.vstack([_packed(one, n_pieces) for one in self.columns])
        head = 1 + len(self.columns)
        self.maps: Floats = np.vstack([np.zeros((head, maps.shape[1])), maps])
        self.maps[0, 0] = len(self.columns)
        self._first = np.cumsum([head, *(len(one.y) for one in self.columns[:-1])]).tolist()
        place = {key: k for k, key in enumerate(data.user_keys)}
        self._user = [-1 if one.key is None else place.get(one.key, -1) for one in self.columns]
        self._of_label = [_rows(one, len(data.user_keys.get(str(one.key), ()))) for one in self.columns]
        by_item = [c for c, one in enumerate(self.columns) if one.key in data.item_keys]
        self._place = {c: n_before + k for k, c in enumerate(by_item)}
        self.of_item = np.zeros((len(by_item), data.n_items + 1), np.uint32)
        for k, c in enumerate(by_item):
            key = data.item_keys[str(self.columns[c].key)]
            rows = _rows(self.columns[c], len(key.labels))
            self.of_item[k, :-1] = self._first[c] + rows[key.codes]
            self.of_item[k, -1] = self._first[c]
        self._n_before = n_before
        self._plans: dict[tuple[int, ...], Floats] = {}

    def plan(self, codes: tuple[int, ...]) -> Floats:
        """The plan of requests of a user with these codes."""
        keyed = tuple(codes[at] if at >= 0 else -1 for at in self._user)
        found = self._plans.get(keyed)
        if found is None:
            found = self.maps.copy()
            for c, code in enumerate(keyed):
                row = int(self._of_label[c][code]) if self._user[c] >= 0 else 0
                found[1 + c, :3] = self.row[c], -1 if c in self._place else self._first[c] + row, self._place.get(c, 0)
            self._plans[keyed] = found
        return found

    def request(
        self, block: Floats, items: Ints, codes: tuple[int, ...], local: Mapping[str, Membership] | None = None
    ) -> Floats:
        """The block of a request's columns, calibrated; `local` are the items' labels if the request brings its own."""
        from oasis_alloc.kernels.serve import calibrate

        of_item = self.of_item
        if local is not None:
            of_item = np.empty((len(self._place), items.size + 1), np.uint32)
            for k, c in enumerate(self._place):
                of_item[k] = self._first[c] + self._local(c, *local[str(self.columns[c].key)])
            items = np.arange(items.size)
        out, end = np.empty_like(block), of_item.shape[1]
        rows = np.vstack([np.zeros((self._n_before, end), np.uint32), of_item]) if len(of_item) else of_item
        calibrate.calibrate(0, items.size, items, block, len(block), self.plan(codes), rows, out)
        return out

    def batch(
        self, columns: Mapping[str, npt.NDArray[Any]], indptr: Ints, items: npt.NDArray[Any], codes: npt.NDArray[Any],
        kind: Ints,
    ) -> dict[str, npt.NDArray[Any]]:  # fmt: skip
        """The columns of many users' pairs, calibrated: users of kind k have the codes `codes[k]`."""
        from oasis_alloc.kernels.serve import calibrate

        out = dict(columns)
        numbers = np.ascontiguousarray(items, np.int64)
        plans = [self.plan(tuple(row)) for row in codes.tolist()]
        for c, one in enumerate(self.columns):
            if one.column in out:
                given = np.array(out[one.column], np.float64)
                made, which = np.empty(given.size), np.array([plan[1 + c, 1] for plan in plans], np.int64)
                of_item = self.of_item[self._place[c] - self._n_before] if c in self._place else np.zeros(1, np.uint32)
                calibrate.calibrate_users(
                    np.ascontiguousarray(kind, np.int64), np.array(indptr, np.int64), numbers.copy(), given, which,
                    self.maps, of_item, made,
                )  # fmt: skip
                out[one.column] = made
        return out

    def _local(self, c: int, indptr: Ints, codes: npt.NDArray[Any]) -> Ints:
        """(n,) the row of the map of each item with these labels: of the first, 0 without one."""
        rows = _rows(self.columns[c], 1 + int(codes.max(initial=0)))
        out = np.zeros(indptr.size - 1, np.int64)
        has = np.diff(indptr) > 0
        out[has] = rows[codes[indptr[:-1][has]]]
        return out


def _rows(one: ColumnCalibration, n_labels: int) -> Ints:
    """(n_labels + 1,) the row of the maps for every code of the key; the last is for -1."""
    out = np.zeros(n_labels + 1, np.int64)
    known = one.codes[one.codes < n_labels]
    out[known] = np.arange(1, known.size + 1)
    return out


def _packed(one: ColumnCalibration, n_pieces: int) -> Floats:
    """(1 + n_labels, 1 + 4 n_pieces) the maps of a column for the kernels."""
    mine = one.x.size - 1
    out = np.zeros((len(one.y), 1 + 4 * n_pieces))
    out[:, 0] = one.y[:, 0]
    out[:, 1 : 1 + mine] = one.x[:-1]
    out[:, 1 + n_pieces : 1 + n_pieces + mine] = np.diff(one.x)
    pieces = out[:, 1 + 2 * n_pieces :].reshape(len(out), n_pieces, 2)
    pieces[:, :mine, 0], pieces[:, :mine, 1] = starts(one.x, one.y), slopes(one.x, one.y)
    return out
