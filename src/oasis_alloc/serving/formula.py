"""The price formula for serving: prices by key folded into one table per column for every kind of user.

    v   = 0.0, then v + weight * column for the objective's terms in order; a single column of weight 1 as it is
    P_k = 0.0, then + price for every group of column k that contains the pair: terms in order, groups ascending
    s   = v - P_0, then s - P_k * c_k for the other columns that have prices, sorted by name

all in float64, every operation rounded on its own: the solver's own numbers, bit for bit. P_k depends on the user's
codes and on the item's *class*, items with equal labels in all keys; one table is (K + 1, n_classes). The last class is
for unknown items: they have no labels, and pay only prices without keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.csr import gather, number_sets
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.serving.calibrator import Calibrator
from oasis_alloc.serving.data import Codes, PolicyData, PriceTerm

_FOLDED = 1 << 22  # numbers in tables that are kept: 32 MiB
_OVERHEAD = 1 << 6  # overhead of a table, in numbers: requests decide which tables exist
_COMBINED = 1 << 26  # combinations of labels of several keys, of all items together

Membership: TypeAlias = tuple[Ints, Codes]
"""(indptr, codes) of rows that have any number of labels of one key, ascending."""


class _Prices(NamedTuple):
    """A term's prices by combination of the item's labels, for every combination of the user's."""

    combinations: Codes  # (n, len(item_keys)) distinct, sorted
    of_user: dict[tuple[int, ...], slice]  # codes of the term's user keys -> its part of the two below
    place: Ints  # row of `combinations`
    price: Floats
    order: Ints  # the term's group behind each entry of `price`
    positions: tuple[int, ...]  # of the term's user keys among the policy's


@dataclass(frozen=True, eq=False)
class Members:
    """The prices that some rows (classes, or candidates of one request) pay, by column, in the order of addition."""

    n: int
    row: tuple[Ints, ...]  # a column
    price: tuple[Ints, ...]  # a column: places in the prices of its terms, one after the other


class Formula:
    """Tables of prices, by the codes of a user; policies with the same data share one, which owns their users."""

    def __init__(self, data: PolicyData) -> None:
        self.data = data
        self.columns: tuple[str | None, ...] = (None, *data.measured)
        self._terms = [[term for term in data.terms if term.column == column] for column in self.columns]
        self._prices = [[_by_user(term, list(data.user_keys)) for term in terms] for terms in self._terms]
        keys = {name: key.membership() for name, key in data.item_keys.items()}
        tells = [number_sets(*keys[name], max(1, len(data.item_keys[name].labels))) for name in keys]
        of_item, first = _classes(tells, data.n_items)
        self.n_classes = first.size + 1  # the last one is for unknown items
        self.of_item = np.empty((2, data.n_items + 1), np.uint32)
        self.of_item[0, :-1], self.of_item[0, -1] = of_item, first.size
        self.of_item[1] = np.arange(data.n_items + 1, dtype=np.uint32)
        if data.rank is not None:
            self.of_item[1, :-1] = data.rank
        self.class_of = self.of_item[0]  # (n_items + 1,), the last one unseen
        self.of_class: dict[str, Membership] = {}
        for name, (indptr, codes) in keys.items():
            start, places = gather(indptr, first)
            self.of_class[name] = np.append(start, start[-1]), codes[places]
        self.calibrator = Calibrator(data, self.of_item, self.of_class) if data.calibration else None
        if self.calibrator is not None:
            self.of_item = self.calibrator.of_item
        self._members = self.members(self.of_class, self.n_classes)
        self._tables: dict[tuple[int, ...], Floats] = {}
        self.shape = len(self.columns), self.n_classes  # of a table
        self.size = len(self.columns) * self.n_classes
        self.max_stacked = max(1, _FOLDED // self.size)  # tables in one array
        self.kept = max(1, _FOLDED // (self.size + _OVERHEAD))  # tables that are made at requests
        self._place: dict[tuple[int, ...], int] = {}  # index in the stack of the kinds of users of the solve
        self.stack: Floats | None = None  # their tables, one array
        if 0 < len(data.segments) <= self.max_stacked:
            stack = np.empty((len(data.segments), *self.shape))
            for k, codes in enumerate(data.segments.tolist()):
                stack[k] = self.fold(tuple(codes), self._members)
                self._place[tuple(codes)] = k
            stack.flags.writeable = False
            self.stack, self._tables = stack, {codes: stack[k] for codes, k in self._place.items()}

    def __reduce__(self) -> tuple[Any, ...]:
        return formula_of, (self.data,)

    def table(self, user: tuple[int, ...]) -> Floats:
        """P_k of every class, (K + 1, n_classes), of a user with these codes; read-only."""
        found = self._tables.get(user)
        if found is None:
            found = self.fold(user, self._members)
            if len(self._tables) >= max(self.kept, len(self._place)):
                self._tables.clear()
            self._tables[user] = found
        return found

    def tables(self, kinds: Sequence[tuple[int, ...]]) -> tuple[Floats, Sequence[int]]:
        """(tables, the number of the one of each kind), read-only, for users with these codes.

        No table is copied if they are in one array, or if all are the same.
        """
        if self.stack is not None:
            place = self._place.get
            numbers = [place(kind, -1) for kind in kinds]
            if -1 not in numbers:
                return self.stack, numbers
        first: dict[tuple[int, ...], int] = {}
        numbers = [first.setdefault(kind, len(first)) for kind in kinds]
        tables = [self.table(kind) for kind in first]
        stacked = tables[0][None] if len(tables) == 1 else np.array(tables).reshape(-1, *self.shape)
        stacked.flags.writeable = False
        return stacked, numbers

    def members(self, keys: Mapping[str, Membership], n: int) -> Members:
        """The prices that n rows with these labels pay."""
        rows, places = [], []
        for terms, prices in zip(self._terms, self._prices, strict=True):
            row, place, start = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
            for term, by in zip(terms, prices, strict=True):
                r, combination = _combined([keys[key] for key in term.item_keys], by.combinations, n)
                row.append(r)
                place.append(start + combination)
                start += len(by.combinations)
            rows.append(np.concatenate(row))
            places.append(np.concatenate(place))
        return Members(n, tuple(rows), tuple(places))

    def repriced(self, price: Sequence[Floats]) -> list[list[_Prices]]:
        """What `fold` reads where the groups of the policy's terms cost `price` instead, one array per term."""
        given = {id(term): numbers for term, numbers in zip(self.data.terms, price, strict=True)}
        return [
            [
                by._replace(price=np.asarray(given[id(term)], np.float64)[by.order])
                for term, by in zip(terms, prices, strict=True)
            ]
            for terms, prices in zip(self._terms, self._prices, strict=True)
        ]

    @property
    def everyone(self) -> Members:
        """Whose prices the classes of items pay, the last one being of items that were never seen."""
        return self._members

    def groups(self, user: tuple[int, ...]) -> list[tuple[Ints, Ints]]:
        """Per term, in the order of the data: (class, group) of everything that counts with a user of these codes."""
        found = {}
        for k, (terms, prices) in enumerate(zip(self._terms, self._prices, strict=True)):
            row, place, start = self._members.row[k], self._members.price[k], 0
            for term, by in zip(terms, prices, strict=True):
                end = start + len(by.combinations)
                group = np.full(len(by.combinations), -1, np.int64)
                part = by.of_user.get(tuple(user[at] for at in by.positions))
                if part is not None:
                    group[by.place[part]] = by.order[part]
                mine = (place >= start) & (place < end)
                classes, groups = row[mine], group[place[mine] - start]
                found[id(term)] = classes[groups >= 0], groups[groups >= 0]
                start = end
        return [found[id(term)] for term in self.data.terms]

    def with_prices(self, data: PolicyData) -> Formula:
        """The formula of data that differ from these in the prices of terms alone; everything else is shared."""
        other: Formula = object.__new__(Formula)
        other.__dict__.update(self.__dict__)
        other._prices = self.repriced([term.price for term in data.terms])
        other.data, other._tables, other._place, other.stack = data, {}, {}, None
        other._terms = [[term for term in data.terms if term.column == column] for column in self.columns]
        return other

    def fold(
        self, user: tuple[int, ...], members: Members, prices: Sequence[Sequence[_Prices]] | None = None
    ) -> Floats:
        """P_k of the rows of `members`, (K + 1, n), for a user with these codes; at other `prices` of `repriced`."""
        out = np.zeros((len(self.columns), members.n))
        for k, of_column in enumerate(self._prices if prices is None else prices):
            if not of_column:
                continue
            pays = np.concatenate([_paid(by, user) for by in of_column])
            # bincount adds entries in order, as the formula requires
            out[k] = np.bincount(members.row[k], pays[members.price[k]], members.n)
        out.flags.writeable = False
        return out


def formula_of(data: PolicyData) -> Formula:
    """The formula of a policy's data, made once; also where a policy and its users are pickled together."""
    known: dict[str, Formula] = data.__dict__  # not one of the fields, so it is not pickled
    return known["_formula"] if "_formula" in known else known.setdefault("_formula", Formula(data))


def _by_user(term: PriceTerm, user_keys: Sequence[str]) -> _Prices:
    of_items = [term.keys.index(key) for key in term.item_keys]
    of_users = [term.keys.index(key) for key in term.user_keys]
    items, place = _distinct(term.groups[:, of_items])
    users, user = _distinct(term.groups[:, of_users])
    order = np.argsort(user, kind="stable")
    ends = np.searchsorted(user[order], np.arange(len(users) + 1)).tolist()
    of_user = {tuple(codes): slice(ends[u], ends[u + 1]) for u, codes in enumerate(users.tolist())}
    positions = tuple(user_keys.index(key) for key in term.user_keys)
    return _Prices(items, of_user, place[order], term.price[order], order, positions)


def _distinct(rows: Codes) -> tuple[Codes, Ints]:
    """Sorted distinct rows, and the place of each row among them."""
    if rows.shape[1] == 0:
        return rows[:1], np.zeros(len(rows), np.int64)
    found, place = np.unique(rows, axis=0, return_inverse=True)
    return found, place.reshape(-1).astype(np.int64)


def _paid(prices: _Prices, user: tuple[int, ...]) -> Floats:
    """(n combinations,) the price of each for a user with these codes; 0 if there is no such group."""
    out = np.zeros(len(prices.combinations))
    part = prices.of_user.get(tuple(user[k] for k in prices.positions))
    if part is not None:
        out[prices.place[part]] = prices.price[part]
    return out


def _combined(keys: Sequence[Membership], combinations: Codes, n: int) -> tuple[Ints, Ints]:
    """(row, combination) of all combinations of one label of each key that rows have, by row, then combination."""
    row, joint, known = np.arange(n), np.zeros(n, np.int64), np.zeros(len(combinations), np.int64)
    for k, (indptr, codes) in enumerate(keys):
        start, entries = gather(indptr, row)
        width = 1 + max(int(codes.max(initial=0)), int(combinations[:, k].max(initial=0)))
        repeats = np.diff(start)
        if repeats.sum() > _COMBINED:
            raise InputError(
                f"the labels of the items in several keys have {repeats.sum():,} combinations; expected at most "
                f"{_COMBINED:,}. Use coarser keys."
            )
        row = np.repeat(row, repeats)
        joint = np.repeat(joint, repeats) * width + codes[entries]
        known = known * width + combinations[:, k]
        # renumbering keeps numbers small, so products of keys with many labels do not overflow
        _, number = np.unique(np.concatenate([joint, known]), return_inverse=True)
        joint, known = number[: joint.size].astype(np.int64), number[joint.size :].astype(np.int64)
    if not len(combinations):
        return row[:0], joint[:0]
    place = np.minimum(np.searchsorted(known, joint), known.size - 1)
    has = known[place] == joint
    return row[has], place[has]


def _classes(parts: Sequence[npt.NDArray[np.int32]], n: int) -> tuple[Ints, Ints]:
    """Number the distinct rows of several columns of numbers >= 0: (class of each row, first row of each class)."""
    if not parts:
        return np.zeros(1, np.int64), np.arange(min(n, 1))
    found = np.zeros(n, np.int64)
    for part in parts:
        _, found = np.unique(found * (int(part.max(initial=0)) + 1) + part, return_inverse=True)
    _, first = np.unique(found, return_index=True)
    return found.astype(np.int64), first.astype(np.int64)
