"""Checks one request and turns it into arrays: user, items, columns."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsIndex, TypeAlias

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.labels import as_listed
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import AttributesLike, Floats, Ints
from oasis_alloc.data.coded import decoded
from oasis_alloc.data.validation import as_column, by_name
from oasis_alloc.errors import InputError
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.serving.formula import Formula, Membership
from oasis_alloc.serving.lookup import Lookup, Numbers, listed, warn
from oasis_alloc.serving.schema import known_keys, nearest, shown
from oasis_alloc.serving.tally import Tally

_NO_PLAN = np.zeros(2)


@dataclass(frozen=True, slots=True, eq=False)
class User:
    """An encoded user, from `policy.user(...)`; belongs to the policy that made it."""

    owner: object  # the formula of that policy
    codes: tuple[int, ...]  # a label of each key of the users, -1 for a missing or unknown one
    table: Floats  # the prices of such a user
    size: int  # of the slate
    at_least: int
    plan: Floats  # which maps calibrate columns

    def __reduce__(self) -> tuple[Any, ...]:
        return _user_of, (self.owner, self.codes, self.size, self.at_least)


UserLike: TypeAlias = User | Mapping[str, Hashable] | SupportsIndex | None
"""What a request says of its user: one from `policy.user`, labels by key, a user number of the solve, or nothing."""
UsersLike: TypeAlias = Sequence[User] | AttributesLike | npt.ArrayLike | None
"""The same of many users: what `policy.user` made, labels of each by key, numbers of the solve, or nothing."""


def _user_of(formula: Formula, codes: tuple[int, ...], size: int, at_least: int) -> User:
    return User(formula, codes, formula.table(codes), size, at_least, _plan(formula, codes))


def _plan(formula: Formula, codes: tuple[int, ...]) -> Floats:
    return _NO_PLAN if formula.calibrator is None else formula.calibrator.plan(codes)


class Request(NamedTuple):
    """Candidates in the form of the kernels; positions are those of the caller's `items`."""

    items: Ints  # (n,) -1 for unseen
    columns: Floats  # (n_columns, n)
    key: Ints  # (n,) index into `of_item`: the items, or 0 .. n - 1 if classes are the request's own
    local: RequestIds | None  # if prices are by the request's own attributes
    given: Floats | None = None  # the columns before they were calibrated; None if none is


class RequestIds(NamedTuple):
    """Candidates of one request as separate classes, by the attributes in the request."""

    of_item: npt.NDArray[np.uint32]  # (2, n + 1) class and rank, as in the formula
    table: Floats
    of_class: Mapping[str, Membership]


class RequestReader:
    """Reads the requests of a policy."""

    def __init__(self, data: PolicyData, formula: Formula) -> None:
        self.data, self.formula = data, formula
        self.tally = Tally()
        self._known_user_keys, self._known_item_keys = known_keys(data)
        self._has_warned = False
        self._numbers: Lookup | None = None
        self._users: dict[tuple[int, ...], User] = {}
        self._codes = {key: Lookup(labels) for key, labels in data.user_keys.items()}
        self._labels = {key: Lookup(of.labels) for key, of in data.item_keys.items()}

    def user(self, given: object) -> User:
        """The user of a request: None, a number of the solve, {key: label}, or one that was made before."""
        if isinstance(given, User):
            if given.owner is not self.formula:
                raise InputError("user: made by another policy; call policy.user(...) of this one again.")
            return given
        data = self.data
        if given is None:
            return self._user((-1,) * len(data.user_keys))
        if isinstance(given, Mapping):
            self.check_user_keys("user", given)
            return self._user(tuple(self.code(key, given.get(key)) for key in data.user_keys))
        number = as_whole(given)
        if number is None:
            raise InputError(f"user={shown(given)}: expected a user number, {{key: label}}, None or policy.user(...).")
        if data.segment_of_user is None:
            raise InputError(
                f"user={shown(number)}: this policy does not know users by number; pass {{key: label}}, or make it "
                "with solution.policy(users=True)."
            )
        if not 0 <= number < data.n_users:
            raise InputError(f"user={shown(number)}: expected a user number in [0, {data.n_users:,}).")
        codes = tuple(data.segments[data.segment_of_user[number]].tolist())
        rule = data.slate
        if rule.size_by_user is None and rule.at_least_by_user is None:
            return self._user(codes)
        size = rule.size if rule.size_by_user is None else int(rule.size_by_user[number])
        min_size = rule.at_least if rule.at_least_by_user is None else int(rule.at_least_by_user[number])
        return _user_of(self.formula, codes, size, min(min_size, size))

    def check_user_keys(self, what: str, keys: Iterable[object]) -> None:
        """Count keys of this or an earlier problem on which no price depends, and refuse unknown keys."""
        for key in keys:
            if key not in self.data.user_keys:
                self._ignore(what, "users", key, self._known_user_keys)

    def _ignore(self, what: str, side: str, key: object, known: Mapping[str, None]) -> None:
        if key not in known and not self.tally.knows(side, key):
            near = nearest(key, known)
            raise InputError(f"{what}: the {side} of the solved problem do not have a key {shown(key)}.{near}")
        self.tally.ignored(str(key))

    def code(self, key: str, label: object) -> int:
        """The code of a user's label, -1 for a missing or unknown one."""
        if label is None:
            return -1
        lookup = self._codes[key]
        try:
            code = lookup.code(label)
        except InputError:
            raise InputError(f"user: {key!r} is {shown(label)}, which cannot be a label.") from None
        if code < 0:
            self._look_at(f"user: {key!r} has labels", [label], lookup)
        return code

    def codes(self, key: str, labels: Sequence[Any]) -> Ints:
        """(n,) the codes of the labels of n users."""
        lookup = self._codes[key]
        try:
            codes = lookup.codes(labels)
        except InputError as error:
            raise InputError(f"users[{key!r}]: {error}") from None
        if codes.size and codes.max() < 0:
            self._look_at(f"users: {key!r} has labels", labels, lookup)
        return codes

    def _look_at(self, what: str, labels: Sequence[Any], lookup: Lookup) -> None:
        """Count requests in which no id or label has the policy's kind; warn once."""
        if not lookup.is_mistyped(labels):
            return
        self.tally.mistyped()
        if not self._has_warned:
            self._has_warned = True
            warn(what, labels, lookup.kinds, self.data.policy_id)

    def _user(self, codes: tuple[int, ...]) -> User:
        found = self._users.get(codes)
        if found is None:
            rule = self.data.slate
            found = _user_of(self.formula, codes, rule.size, rule.at_least)
            if len(self._users) >= self.formula.kept:  # each user has its table of prices
                self._users.clear()
            self._users[codes] = found
        return found

    def encode(self, ids: Iterable[Any]) -> Ints:
        """Item numbers of ids, -1 for unknown ones."""
        if self._numbers is None:  # made once, in `warmup`
            self._numbers = Numbers(self.data.n_items) if self.data.items is None else Lookup(self.data.items)
        try:
            given = as_listed(ids)
            numbers = self._numbers.codes(given)
        except InputError as error:
            raise InputError(f"encode(ids): an entry is not an id: {error}") from None
        if numbers.size and numbers.max() < 0:
            self._look_at("encode(ids) has ids", given, self._numbers)
        return numbers

    def request(
        self,
        items: object,
        columns: object,
        names: Sequence[str],
        user: User,
        attributes: Mapping[str, object],
    ) -> Request:
        """Check one user's candidates: numbers of items, columns by name, attributes of unknown items."""
        numbers = self.items(items)
        block = _block(columns, names, numbers.size)
        if attributes:
            attributes = {key: attributes[key] for key in attributes if self._is_used(key)}
        local = self._local(numbers, user, attributes) if attributes else None
        key, given = (numbers if local is None else np.arange(numbers.size)), None
        if (calibrator := self.formula.calibrator) is not None:
            of_class = None if local is None else local.of_class
            given, block = block, calibrator.request(block, numbers, user.codes, of_class)
        return Request(numbers, block, key, local, given)

    def items(self, items: object) -> Ints:
        """(n,) int64 item numbers, -1 for unseen."""
        try:
            numbers = np.asarray(decoded(items))
        except ValueError as error:  # from a ragged list
            raise InputError(f"items: expected (n,) item numbers ({error}).") from None
        if numbers.ndim != 1 or (numbers.dtype.kind not in "iu" and numbers.size):
            raise InputError(
                f"items has dtype {numbers.dtype} and shape {numbers.shape}; expected (n,) item numbers. "
                "policy.encode(ids) turns ids into numbers."
            )
        given = numbers
        if numbers.dtype.kind == "u" and numbers.dtype.itemsize == 8:  # some would be negative as signed numbers
            numbers = np.minimum(numbers, np.uint64(np.iinfo(np.int64).max))
        numbers = np.ascontiguousarray(numbers, np.int64)
        if not numbers.flags.carray:  # a read-only array is another type for compiled code
            numbers = numbers.copy()
        if numbers.size and (numbers.min() < -1 or numbers.max() >= self.data.n_items):
            at = int(np.argmax((numbers < -1) | (numbers >= self.data.n_items)))
            raise InputError(
                f"items: entry {at} is {given[at]}; expected numbers in [0, {self.data.n_items:,}), or -1 for items "
                "that the policy has never seen."
                + ("" if self.data.items is None else " policy.encode(ids) turns ids into numbers.")
            )
        return numbers

    def _is_used(self, key: str) -> bool:
        """Whether a price or rule depends on a key of the items; counts the key if none does."""
        if key not in self._labels:
            self._ignore(f"{key}=...", "items", key, self._known_item_keys)
        return key in self._labels

    def _local(self, items: Ints, user: User, attributes: Mapping[str, object]) -> RequestIds:
        """Prices for unknown items with the attributes of the request."""
        unseen = np.flatnonzero(items < 0)
        of_class: dict[str, Membership] = {}
        for key, known in self._labels.items():
            indptr, codes = self.formula.of_class[key]
            of_item = self.formula.class_of[items].astype(np.int64)
            lists = [codes[indptr[c] : indptr[c + 1]] for c in of_item]
            if key in attributes:
                given = listed(f"{key}=...", attributes[key], items.size)
                for at in unseen.tolist():
                    lists[at] = np.array(sorted(_known(key, given[at], known)), np.int32)
                if unseen.size and not any(lists[at].size for at in unseen):
                    flat = [label for at in unseen.tolist() for label in _several(given[at])]
                    self._look_at(f"{key}=... has labels", flat, known)
            size = [0, *(len(codes) for codes in lists), 0]
            of_class[key] = np.cumsum(size).astype(np.int64), np.concatenate([codes[:0], *lists])
        table = self.formula.fold(user.codes, self.formula.members(of_class, items.size + 1))
        of_item = np.empty((2, items.size + 1), np.uint32)
        of_item[0] = np.arange(items.size + 1)
        of_item[1] = self.formula.of_item[1, np.append(items, -1)]
        return RequestIds(of_item, table, of_class)


def _block(columns: object, names: Sequence[str], n: int) -> Floats:
    """(len(names), n) float64, finite."""
    if not isinstance(columns, Mapping):
        given, columns = columns, by_name(columns)
        if columns is None:
            raise InputError(f"columns is {type(given).__name__}; expected {{name: (n,) numbers}}: {', '.join(names)}.")
    block = np.empty((len(names), n))
    for row, name in zip(block, names, strict=True):
        if name not in columns:
            raise InputError(f"columns: {name!r} is missing.{did_you_mean(name, columns)} Needed: {', '.join(names)}.")
        try:
            column = np.asarray(decoded(columns[name]))
            if column.dtype.kind == "O":  # Decimal, numbers of other libraries, None
                column = as_column(f"columns[{name!r}]", column, column.size)
            if column.dtype.kind not in "biuf":
                raise TypeError(f"dtype {column.dtype}")
        except (TypeError, ValueError) as error:
            raise InputError(f"columns[{name!r}] holds something that is not a number ({error}).") from None
        if column.shape != (n,):
            raise InputError(f"columns[{name!r}] has shape {column.shape}; expected ({n},), one number per item.")
        row[:] = column
    if not np.isfinite(block).all():
        k, at = np.argwhere(~np.isfinite(block))[0]
        raise InputError(f"columns[{names[k]!r}]: entry {at} is {block[k, at]}; expected finite numbers.")
    return block


def _several(given: object) -> Iterable[Any]:
    """The labels of one item: one, or a list of them."""
    if isinstance(given, (list, set, frozenset, np.ndarray)) or hasattr(given, "to_pylist"):
        return as_listed(given)
    return (given,)


def _known(key: str, given: object, known: Lookup) -> set[int]:
    """Codes of one label, or of a list of labels; unknown labels have no code."""
    labels = given if isinstance(given, tuple) and not known.has_tuples else _several(given)
    try:
        return {code for label in labels if (code := known.code(label)) >= 0}
    except InputError:
        raise InputError(f"{key}=...: {shown(given)} cannot be a label.") from None
