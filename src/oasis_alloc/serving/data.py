"""The data of a policy: prices by key, weights of columns and slate rules, as arrays and plain Python.

The builder (`build.py`), the snapshot and readers in other languages share only this. Labels are in one place, with
their key; everything else uses the code of a label, its index there. A *group* of several keys is a row of codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats, Ints

Codes = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class ItemKey(ByFields):
    """One attribute of the items: sorted distinct labels, and codes of every item.

    If `indptr` is None, `codes` is (n_items,), -1 for no label. Otherwise item i has `codes[indptr[i]:indptr[i + 1]]`,
    any number of them, ascending.
    """

    labels: tuple[Any, ...]
    codes: Codes
    indptr: Ints | None = None

    def membership(self) -> tuple[Ints, Codes]:
        """(indptr, codes), for keys with one label or with several."""
        if self.indptr is not None:
            return self.indptr, self.codes
        has = self.codes >= 0
        return np.concatenate([[0], np.cumsum(has)]).astype(np.int64), self.codes[has]


@dataclass(frozen=True, eq=False)
class PriceTerm(ByFields):
    """The prices of one base total, `total(column, by=keys)`: the price of a unit of the column in every group.

    `groups` (n_groups, len(keys)) has the codes of the groups' labels, in the order of `keys`; groups are sorted by
    label, and are one row without codes if there are no keys.
    """

    column: str | None  # None is exposure
    keys: tuple[str, ...]
    item_keys: tuple[str, ...]
    user_keys: tuple[str, ...]
    groups: Codes
    price: Floats  # (n_groups,)


@dataclass(frozen=True, eq=False)
class ConstraintPrices(ByFields):
    """The prices of one constraint or function, by group, and the terms that they are part of.

    The price of a term's group is the sum, over constraints and over their groups that agree with it, of coefficient
    times price: `terms` has (number of the term, coefficient).
    """

    name: str
    keys: tuple[str, ...]
    groups: Codes  # as in PriceTerm
    price: Floats
    terms: tuple[tuple[int, float], ...]


@dataclass(frozen=True, eq=False)
class Decrements(ByFields):
    """Cost of the j-th item of a category: `steps[j]`, beyond the end `steps[-1] + slope * (j - len(steps) + 1)`."""

    steps: Floats
    slope: float = 0.0

    def first(self, n: int) -> Floats:
        """The first n decrements."""
        j = np.arange(n)
        last = self.steps.size - 1
        return np.asarray(self.steps[np.minimum(j, last)] + self.slope * np.maximum(j - last, 0), np.float64)


@dataclass(frozen=True, eq=False)
class SlateRule(ByFields):
    """The rules of a slate (see `oa.Slate`); numbers by user exist if the policy knows users by number."""

    size: int  # the largest slate
    at_least: int = 0
    at_most: Mapping[str, int] = field(default_factory=dict)
    diminishing: Mapping[str, Decrements] = field(default_factory=dict)
    keep: tuple[str, float] | None = None  # (column, share)
    slot_weights: Floats | None = None  # weight of each slot
    size_by_user: Ints | None = None  # (n_users,)
    at_least_by_user: Ints | None = None  # (n_users,)

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the items that the rules name, in order."""
        return tuple(dict.fromkeys([*self.at_most, *self.diminishing]))


@dataclass(frozen=True, eq=False)
class ColumnCalibration(ByFields):
    """A calibrated column: requests bring scores, and everything reads what `data/column_map.py` maps them to.

    `key` is a key of the users, or of the items with one label each, or None. Row 0 of `y` is the map of pairs without
    a label and of other labels, row 1 + k that of the label with the code `codes[k]`; codes ascend.
    """

    column: str
    key: str | None
    codes: Codes  # (n,)
    x: Floats  # (n_knots,)
    y: Floats  # (1 + n, n_knots)


@dataclass(frozen=True, eq=False)
class Certificate:
    """The certificate of the answer from which the prices come (see docs/certificate.md)."""

    status: str
    value: float
    bound: float
    gap: float
    violation: float
    passes: float
    solver: str


@dataclass(frozen=True, eq=False)
class Known(ByFields):
    """Names of all keys of the problem's users and items, also of those without a price."""

    user_keys: tuple[str, ...]
    item_keys: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class PolicyData(ByFields):
    """The complete data of a policy; see the module's docstring. `check()` verifies data from a file."""

    policy_id: str  # 16 hexadecimal digits of a hash of the content, times left out
    created: float  # UNIX seconds
    valid_until: float | None
    certificate: Certificate
    columns: tuple[str, ...]  # of requests: of the objective, of measures, of `keep`, organic; by first use
    weights: tuple[tuple[str | None, float], ...]  # the objective's terms in order: (column or None for 1, coefficient)
    terms: tuple[PriceTerm, ...]  # in the solver's order
    constraints: tuple[ConstraintPrices, ...]
    n_items: int
    items: tuple[Any, ...] | None  # ids by item number; None if the numbers are the ids
    rank: Ints | None  # (n_items,) place of each id among the sorted ids; None if ids ascend
    item_keys: Mapping[str, ItemKey]  # those that a term or a slate rule needs
    user_keys: Mapping[str, tuple[Any, ...]]  # sorted labels
    segments: Codes  # (n_segments, len(user_keys)) codes of the users of the solve, -1 for no label
    slate: SlateRule
    organic: str  # the column that the host ranks by
    n_users: int = 0  # users known by number
    segment_of_user: npt.NDArray[np.uint32] | None = None  # (n_users,)
    exploration: Mapping[str, Any] | None = None
    known: Known | None = None  # None in snapshots of schema 1: then only the keys above
    calibration: tuple[ColumnCalibration, ...] = ()  # in the order of `columns`

    _made_again = ("_is_checked", "_formula")  # see `check` and `formula_of`

    @property
    def measured(self) -> tuple[str, ...]:
        """Columns that have prices, sorted: the order in which they are subtracted from a score."""
        return tuple(sorted({term.column for term in self.terms if term.column is not None}))

    @property
    def scored(self) -> tuple[str, ...]:
        """Columns that a score reads: the first of `columns`."""
        used = {column for column, _ in self.weights} | set(self.measured)
        return tuple(column for column in self.columns if column in used)

    @property
    def selected(self) -> tuple[str, ...]:
        """Columns that slates depend on: those of scores, then the column of `keep`."""
        kept = [] if self.slate.keep is None else [self.slate.keep[0]]
        return tuple(dict.fromkeys([*self.scored, *kept]))

    def label(self, keys: tuple[str, ...], codes: Codes) -> Any:
        """The label of a group: that of a single key, a tuple of several, None of none."""
        labels = tuple(
            (self.item_keys[key].labels if key in self.item_keys else self.user_keys[key])[code]
            for key, code in zip(keys, codes.tolist(), strict=True)
        )
        return labels[0] if len(labels) == 1 else labels or None

    def check(self) -> PolicyData:
        """Return the data, or raise `InputError` for anything that would break serving."""
        from oasis_alloc.serving.check import check

        if "_is_checked" not in self.__dict__:  # a changed copy does not have this mark
            check(self)
            object.__setattr__(self, "_is_checked", True)
        return self
