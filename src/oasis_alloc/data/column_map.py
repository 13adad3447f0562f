"""A monotone piecewise-linear map of a column's values, one per label of a key: what a calibration is when it is used.

Solves and requests must give the same bits, so the arithmetic is fixed. For the knots x and the values y of a map:

    s = y[0],  then for each k but the last:  s = s + slope[k] * min(max(v - x[k], 0.0), x[k + 1] - x[k])
    slope[k] = (y[k + 1] - y[k]) / (x[k + 1] - x[k])

in float64, every operation rounded on its own. Every step is monotone under rounding, so the map is; outside the knots
it is constant. docs/snapshot.md says the same to readers in other languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError

MAX_KNOTS = 64
FORMAT = "oasis_alloc.calibration"  # of a map as a document, which `oa.Calibration` extends
_BLOCK = 1 << 15  # values that stay in the cache while segments are added


@dataclass(frozen=True, eq=False)
class ColumnMap(ByFields):
    """A map of a column: knots that all labels share, and the values at the knots for each label.

    `key` is a key of the users or of the items, or None; row 0 of `y` is for pairs without a label or with an unknown
    one, row 1 + k for `labels[k]`.
    """

    x: Floats  # (n_knots,) ascending
    y: Floats  # (1 + n_labels, n_knots) never decreasing along a row
    key: str | None = None
    labels: tuple[Any, ...] = ()

    def checked(self, what: str = "calibration") -> ColumnMap:
        """The same, or an `InputError` that says what of it is wrong."""
        check_map(self.x, self.y, what)
        if len(self.labels) != len(self.y) - 1:
            raise InputError(f"{what}: {len(self.labels)} labels for {len(self.y) - 1} rows of values; expected equal.")
        if self.key is None and self.labels:
            raise InputError(f"{what}: labels without a key; expected the name of a key of users or items.")
        return self

    def rows_of(self, labels: Sequence[Any]) -> Ints:
        """(n,) the row of `y` of each label; 0 for None and for unknown ones."""
        row = {label: k for k, label in enumerate(self.labels, 1)}
        return np.fromiter((row.get(label, 0) for label in labels), np.int64, len(labels))

    def mapped(self, values: npt.NDArray[Any], row: Ints | int = 0) -> Floats:
        """(n,) float64 the mapped values; `row` is the row of `y` of each, or of all."""
        return piecewise(self.x, self.y, values, row)


def read_map(document: Any, what: str) -> ColumnMap:
    """The map of a document of `oa.Calibration.to_dict`, to the same bits; `InputError` for anything else.

    >>> document = {"format": FORMAT, "schema": 1, "x": [0, 1], "y": [[0.1, 0.3]], "key": None, "labels": []}
    >>> read_map(document, "r.json").mapped(np.array([0.5])).tolist()
    [0.2]
    """
    expected = f"expected a document of Calibration.to_dict, with the format {FORMAT!r} and the schema 1"
    if not isinstance(document, Mapping) or document.get("format") != FORMAT or document.get("schema") != 1:
        raise InputError(f"{what}: {expected}.")
    try:
        key, labels = document["key"], document["labels"]
        if not isinstance(labels, list):
            raise TypeError(f"labels is {labels!r}")
        made = ColumnMap(frozen(document["x"]), frozen(document["y"]), key, tuple(labels))
        doubled = len(set(labels)) < len(labels)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{what}: {type(error).__name__}: {error}; {expected}.") from None
    if doubled or not (key is None or isinstance(key, str)):
        raise InputError(f"{what}: {'a label appears twice' if doubled else 'its key is not a text'}; {expected}.")
    return made.checked(what)


def check_map(x: Any, y: Any, what: str) -> None:
    """Raise `InputError` unless x ascends, y never decreases along its rows, and everything is finite."""
    fits = isinstance(x, np.ndarray) and isinstance(y, np.ndarray) and x.dtype == y.dtype == np.float64
    if not fits or x.ndim != 1 or y.ndim != 2 or y.shape[1] != x.size or not len(y):
        raise InputError(f"{what}: expected float64 knots (k,) and values (n, k).")
    if not 2 <= x.size <= MAX_KNOTS:
        raise InputError(f"{what}: {x.size} knots; expected 2 to {MAX_KNOTS}.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError(f"{what}: knots or values are not finite.")
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        fine = np.isfinite(slopes(x, y)).all() and np.isfinite(np.diff(x)).all()
    if not (np.diff(x) > 0).all() or not fine:
        raise InputError(f"{what}: knots do not ascend, or are too close to each other.")
    if not (np.diff(y, axis=1) >= 0).all():
        raise InputError(f"{what}: values decrease; expected numbers that never decrease along the knots.")


def slopes(x: Floats, y: Floats) -> Floats:
    """(n, k - 1) the slope of each piece."""
    made: Floats = np.diff(y, axis=1) / np.diff(x)
    return made


def starts(x: Floats, y: Floats) -> Floats:
    """(n, k - 1) the mapped value at the first knot of each piece: the sum of the whole pieces before it."""
    slope, width = slopes(x, y), np.diff(x)
    made = np.empty_like(slope)
    made[:, 0] = y[:, 0]
    for k in range(1, width.size):
        made[:, k] = made[:, k - 1] + slope[:, k - 1] * width[k - 1]
    return made


def piecewise(x: Floats, y: Floats, values: npt.NDArray[Any], row: Ints | int = 0) -> Floats:
    """The arithmetic of the module's docstring, in NumPy; `kernels/serve/calibrate.py` does the same."""
    slope, width, first = slopes(x, y), np.diff(x), y[:, 0]
    given = np.asarray(values)
    out = np.empty(given.shape)
    for begin in range(0, given.size, _BLOCK):
        part = slice(begin, begin + _BLOCK)
        v = given[part].astype(np.float64)
        which = row if isinstance(row, (int, np.integer)) else row[part]
        s = np.full(v.size, first[which]) if np.ndim(which) == 0 else first[which]
        for k in range(width.size):
            s = s + slope[which, k] * np.minimum(np.maximum(v - x[k], 0.0), width[k])
        out[part] = s
    return out


def frozen(array: npt.ArrayLike) -> Floats:
    """A read-only float64 copy."""
    return readonly(np.array(array, np.float64))
