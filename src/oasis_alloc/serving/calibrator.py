"""The calibrated columns of a policy, as arrays for the kernels: which map a user and an item lead to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.column_map import slopes, starts

if TYPE_CHECKING:
    from oasis_alloc.serving.data import ColumnCalibration, PolicyData
    from oasis_alloc.serving.formula import Membership

_LINE = 8  # numbers in a line of the cache


class Calibrator:
    """The maps of a policy's columns; see kernels/serve/calibrate.py for the arrays.

    `of_item` has class and rank of every item, and a row per column whose map depends on the item: where the map of
    each class begins in the plan, in the first entries. There are never more classes than items and unknown ones.
    """

    def __init__(self, data: PolicyData, of_item: npt.NDArray[np.uint32], of_class: Mapping[str, Membership]) -> None:
        self.columns: tuple[ColumnCalibration, ...] = data.calibration
        self.names = frozenset(one.column for one in self.columns)
        place = {key: k for k, key in enumerate(data.user_keys)}
        self._user = [-1 if one.key is None else place.get(one.key, -1) for one in self.columns]
        self._of_label = [_rows(one, len(data.user_keys.get(str(one.key), ()))) for one in self.columns]
        by_item = [c for c, one in enumerate(self.columns) if one.key in data.item_keys]
        self._place = {c: len(of_item) + k for k, c in enumerate(by_item)}
        rows = [data.columns.index(one.column) for one in self.columns]
        places = [self._place.get(c, -1) for c in range(len(rows))]
        self._shared, self._first, self._width = _packed(self.columns, rows, places)
        self.of_item = self._with_maps(of_item, of_class)
        self._plans: dict[tuple[int, ...], Floats] = {}

    def plan(self, codes: tuple[int, ...]) -> Floats:
        """The plan of requests of a user with these codes."""
        keyed = tuple(codes[at] if at >= 0 else -1 for at in self._user)
        found = self._plans.get(keyed)
        if found is None:
            found = _aligned(self._shared.size)
            found[:] = self._shared
            for c, code in enumerate(keyed):
                row = int(self._of_label[c][code]) if self._user[c] >= 0 else 0
                found[4 + 4 * c] = self._first[c] + row * self._width
            self._plans[keyed] = found
        return found

    def request(
        self, block: Floats, items: Ints, codes: tuple[int, ...], local: Mapping[str, Membership] | None = None
    ) -> Floats:
        """The block of a request's columns, calibrated; `local` are the items' labels if the request brings its own."""
        from oasis_alloc.kernels.serve import calibrate

        of_item = self.of_item
        if local is not None:  # every item is a class of its own
            of_item = np.zeros((2, items.size + 1), np.uint32)
            of_item[0] = np.arange(items.size + 1)
            of_item, items = self._with_maps(of_item, local), np.arange(items.size)
        out = np.empty_like(block)
        calibrate.calibrate(0, items.size, items, block, len(block), self.plan(codes), of_item, out)
        return out

    def batch(
        self, columns: Mapping[str, npt.NDArray[Any]], indptr: Ints, items: npt.NDArray[Any], codes: npt.NDArray[Any],
        kind: Ints,
    ) -> dict[str, npt.NDArray[Any]]:  # fmt: skip
        """The columns of many users' pairs, calibrated: users of kind k have the codes `codes[k]`."""
        from oasis_alloc.kernels.serve import calibrate

        out = dict(columns)
        numbers = np.ascontiguousarray(items, np.int64).copy()  # a read-only array is another type for compiled code
        plans = [self.plan(tuple(row)) for row in codes.tolist()]
        kinds, pointers = np.ascontiguousarray(kind, np.int64), np.array(indptr, np.int64)
        for c, one in enumerate(self.columns):
            if one.column in out and plans:
                given = np.array(out[one.column], np.float64)
                made, which = np.empty(given.size), np.array([plan[4 + 4 * c] for plan in plans], np.int64)
                calibrate.calibrate_users(kinds, pointers, numbers, given, c, which, plans[0], self.of_item, made)
                out[one.column] = made
        return out

    def _with_maps(
        self, of_item: npt.NDArray[np.uint32], of_class: Mapping[str, Membership]
    ) -> npt.NDArray[np.uint32]:  # fmt: skip
        """`of_item` with the rows of maps, for classes with these labels: the map of the first, or the pooled one."""
        out = np.zeros((len(of_item) + len(self._place), of_item.shape[1]), np.uint32)
        out[: len(of_item)] = of_item
        for c, place in self._place.items():
            indptr, codes = of_class[str(self.columns[c].key)]
            row = _rows(self.columns[c], 1 + int(codes.max(initial=0)))
            has = np.flatnonzero(np.diff(indptr))
            out[place, : indptr.size - 1] = self._first[c]
            out[place, has] = self._first[c] + row[codes[indptr[has]]] * self._width
        return out


def _rows(one: ColumnCalibration, n_labels: int) -> Ints:
    """(n_labels + 1,) the row of the maps for every code of the key; the last is for -1."""
    out = np.zeros(n_labels + 1, np.int64)
    known = one.codes[one.codes < n_labels]
    out[known] = np.arange(1, known.size + 1)
    return out


def _packed(columns: Sequence[ColumnCalibration], rows: list[int], places: list[int]) -> tuple[Floats, list[int], int]:
    """(the plan but for users' maps, where the first map of each column begins, numbers per map)."""
    n_pieces = -4 * (-max(one.x.size - 1 for one in columns) // 4)
    width, head = 2 * n_pieces, 2 + 4 * len(columns)
    begin = -_LINE * (-(head + len(columns) * (n_pieces + 1)) // _LINE)  # maps of up to five knots are one line each
    counts = [len(one.y) for one in columns]
    first = [begin + width * sum(counts[:c]) for c in range(len(columns))]
    out = np.zeros(begin + width * sum(counts))
    out[:2] = len(columns), n_pieces
    for c, one in enumerate(columns):
        mine, knots = one.x.size - 1, head + c * (n_pieces + 1)
        out[2 + 4 * c : 6 + 4 * c] = rows[c], knots, first[c], places[c]
        out[knots : knots + n_pieces + 1] = np.inf
        out[knots : knots + mine], out[knots + n_pieces] = one.x[:-1], one.x[-1]
        maps = out[first[c] : first[c] + width * counts[c]].reshape(counts[c], n_pieces, 2)
        maps[:, :mine, 0], maps[:, :mine, 1] = starts(one.x, one.y), slopes(one.x, one.y)
    return out, first, width


def _aligned(n: int) -> Floats:
    """(n,) that begins where a line of the cache does."""
    room = np.empty(n + _LINE)
    skipped = (-room.ctypes.data // room.itemsize) % _LINE
    return room[skipped : skipped + n]
