"""All checks of a policy's data, in one place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.labels import all_same
from oasis_alloc.data.column_map import check_map
from oasis_alloc.errors import InputError
from oasis_alloc.serving.schema import shown

if TYPE_CHECKING:
    from oasis_alloc.serving.data import ConstraintPrices, PolicyData, PriceTerm, SlateRule

_LONGEST_ID = 200  # characters of a policy_id
_LARGEST = (1 << 31) - 1  # slots, or items of a category
_PART = 1 << 12  # values that are checked before requests of other threads may run


def is_policy_id(text: str) -> bool:
    """True if a text can be the id of a policy: ids are written to logs, answers and terminals."""
    return text.isprintable() and 0 < len(text) <= _LONGEST_ID


def check(data: PolicyData) -> None:
    """Raise `InputError` with what is wrong, where, and what was expected."""
    _require(isinstance(data.policy_id, str) and bool(data.policy_id), f"policy_id is {data.policy_id!r}", "a text")
    fits = is_policy_id(data.policy_id)
    _require(fits, f"policy_id is {shown(data.policy_id)}", f"up to {_LONGEST_ID} printable characters")
    _finite(data.created, "created")
    if data.valid_until is not None:
        _finite(data.valid_until, "valid_until")
    for name in ("value", "bound", "gap", "violation", "passes"):
        number = getattr(data.certificate, name)
        _require(isinstance(number, float) and number == number, f"certificate: {name} is {number!r}", "a number")
    _distinct(data.columns, "columns")
    for column in (*(column for column, _ in data.weights), *(term.column for term in data.terms), data.organic):
        _require(column is None or column in data.columns, f"column {column!r} is not among columns", "one of them")
    for column, weight in data.weights:
        _finite(weight, f"the weight of {column!r}")
    _keys(data)
    for number, term in enumerate(data.terms):
        _groups(data, term, f"term {number}")
        both = [*term.item_keys, *term.user_keys]
        _require(
            sorted(both) == sorted(term.keys) and set(term.item_keys) <= set(data.item_keys)
            and set(term.user_keys) <= set(data.user_keys),
            f"term {number}: keys {term.keys!r} are not {term.item_keys!r} of items and {term.user_keys!r} of users",
            "each key on its side",
        )  # fmt: skip
    _distinct([constraint.name for constraint in data.constraints], "constraints")
    for constraint in data.constraints:
        _groups(data, constraint, f"constraint {constraint.name!r}")
        for number, coefficient in constraint.terms:
            _require(0 <= number < len(data.terms), f"constraint {constraint.name!r}: term {number}", "a term")
            _finite(coefficient, f"constraint {constraint.name!r}: a coefficient")
            keys = data.terms[number].keys  # explanations add up its prices by groups of the term
            _require(set(keys) <= set(constraint.keys), f"constraint {constraint.name!r}: a term by {keys}", "its keys")
    _slate(data, data.slate)
    _calibration(data)
    first = data.selected  # requests have these as rows, in the order of the columns
    _require(data.columns[: len(first)] == first, f"columns are {data.columns!r}", f"first {first!r}, read by slates")
    if data.exploration is not None:
        from oasis_alloc.serving.exploration import Exploration

        Exploration.of(data.exploration)


def _keys(data: PolicyData) -> None:
    _require(data.n_items >= 0, f"n_items is {data.n_items}", "a number >= 0")
    if data.items is not None:
        _require(len(data.items) == data.n_items, f"items has {len(data.items):,} ids", f"{data.n_items:,} (n_items)")
        _distinct(data.items, "items")
    if data.rank is not None:
        _array(data.rank, np.int64, (data.n_items,), "rank")
        whole = np.array_equal(np.sort(data.rank), np.arange(data.n_items))
        _require(whole, "rank is not an order of the items", "each number from 0 to n_items - 1 once")
    for name, key in data.item_keys.items():
        what = f"item_keys[{name!r}]"
        _distinct(key.labels, f"{what}: labels")
        _array(key.codes, np.int32, None if key.indptr is not None else (data.n_items,), f"{what}: codes")
        lowest = -1 if key.indptr is None else 0
        _within(key.codes, lowest, len(key.labels), f"{what}: codes")
        if key.indptr is not None:
            _array(key.indptr, np.int64, (data.n_items + 1,), f"{what}: indptr")
            ends = key.indptr[0] == 0 and key.indptr[-1] == key.codes.size and bool((np.diff(key.indptr) >= 0).all())
            _require(ends, f"{what}: indptr does not run from 0 to {key.codes.size}", "numbers that never decrease")
            first = np.zeros(key.codes.size + 1, np.bool_)
            first[key.indptr] = True
            ascends = (np.diff(key.codes) > 0) | first[1:-1]
            _require(bool(ascends.all()), f"{what}: the codes of an item do not ascend", "each label once, in order")
    for name, labels in data.user_keys.items():
        _require(name not in data.item_keys, f"{name!r} is a key of users and of items", "of one of them")
        _distinct(labels, f"user_keys[{name!r}]")
    _array(data.segments, np.int32, (len(data.segments), len(data.user_keys)), "segments")
    for k, (name, labels) in enumerate(data.user_keys.items()):
        _within(data.segments[:, k], -1, len(labels), f"segments: {name!r}")
    if data.known is not None:
        for side, known, used in (
            ("user", data.known.user_keys, data.user_keys), ("item", data.known.item_keys, data.item_keys)
        ):  # fmt: skip
            _distinct(known, f"known: {side}_keys")
            missing = [key for key in used if key not in set(known)]
            _require(not missing, f"known: {side}_keys lack {missing!r}", "all keys that prices and rules depend on")
    _require(data.n_users >= 0, f"n_users is {data.n_users}", "a number >= 0")
    if data.segment_of_user is not None:
        _array(data.segment_of_user, np.uint32, (data.n_users,), "segment_of_user")
        _within(data.segment_of_user, 0, len(data.segments), "segment_of_user")


def _groups(data: PolicyData, prices: PriceTerm | ConstraintPrices, what: str) -> None:
    _array(prices.price, np.float64, None, f"{what}: price")
    bad = np.flatnonzero(~np.isfinite(prices.price))
    if bad.size:
        raise InputError(f"policy: {what}: price {bad[0]:,} is {prices.price[bad[0]]}; expected finite numbers.")
    _array(prices.groups, np.int32, (prices.price.size, len(prices.keys)), f"{what}: groups")
    for k, key in enumerate(prices.keys):
        known = key in data.item_keys or key in data.user_keys
        _require(known, f"{what}: key {key!r} is not there", "a key of items or users")
        labels = data.item_keys[key].labels if key in data.item_keys else data.user_keys[key]
        _within(prices.groups[:, k], 0, len(labels), f"{what}: groups of {key!r}")
    if not prices.keys:
        _require(prices.price.size == 1, f"{what}: {prices.price.size} prices without keys", "one")
    elif len(prices.groups) > 1:
        order = np.lexsort(prices.groups.T[::-1])
        rises = np.array_equal(order, np.arange(order.size)) and np.diff(prices.groups, axis=0).any(axis=1).all()
        _require(bool(rises), f"{what}: groups are not sorted and distinct", "each group once, in order")


def _slate(data: PolicyData, slate: SlateRule) -> None:
    _require(1 <= slate.size <= _LARGEST, f"slate: size is {slate.size}", "a number of slots >= 1 and below 2^31")
    _require(0 <= slate.at_least <= slate.size, f"slate: at_least is {slate.at_least}", "0 to size")
    for key, cap in slate.at_most.items():
        _require(1 <= cap <= _LARGEST, f"slate: at_most of {key!r} is {cap}", "a number of items >= 1 and below 2^31")
    for key in slate.keys:
        _require(key in data.item_keys, f"slate: the items have no key {key!r}", "one of item_keys")
    for key, decrements in slate.diminishing.items():
        _array(decrements.steps, np.float64, None, f"slate: decrements of {key!r}")
        grows = decrements.steps.size > 0 and decrements.steps[0] >= 0 and bool((np.diff(decrements.steps) >= 0).all())
        fine = grows and bool(np.isfinite(decrements.steps).all()) and 0 <= decrements.slope < np.inf
        _require(fine, f"slate: decrements of {key!r}", "finite numbers >= 0 that never decrease")
    if slate.keep is not None:
        column, share = slate.keep
        _require(column in data.columns, f"slate: the column {column!r} that is kept", "one of columns")
        _require(0 <= share <= 1, f"slate: the share kept is {share}", "a number from 0 to 1")
    if slate.slot_weights is not None:
        weights = slate.slot_weights
        _array(weights, np.float64, None, "slate: slot_weights")
        _require(weights.size >= slate.size, f"slate: {weights.size} slot_weights", f"{slate.size} or more")
        falls = bool((np.diff(weights) <= 0).all() and ((weights > 0) & (weights <= 1)).all())
        _require(falls, "slate: slot_weights", "numbers in (0, 1] that never increase")
    for name, by_user in (("size_by_user", slate.size_by_user), ("at_least_by_user", slate.at_least_by_user)):
        if by_user is not None:
            _array(by_user, np.int64, (data.n_users,), f"slate: {name}")
            _within(by_user, 0, slate.size + 1, f"slate: {name}")


def _calibration(data: PolicyData) -> None:
    _distinct([one.column for one in data.calibration], "calibration")
    for one in data.calibration:
        what = f"calibration of {one.column!r}"
        _require(one.column in data.columns, f"{what}: no such column", "one of columns")
        check_map(one.x, one.y, f"policy: {what}")
        _array(one.codes, np.int32, (len(one.y) - 1,), f"{what}: codes")
        if one.key is None:
            _require(one.codes.size == 0, f"{what}: {one.codes.size} codes without a key", "0")
            continue
        is_there = one.key in data.user_keys or one.key in data.item_keys
        _require(is_there, f"{what}: key {one.key!r} is not there", "a key of items or users")
        if one.key in data.item_keys:
            _require(data.item_keys[one.key].indptr is None, f"{what}: key {one.key!r}", "one with one label per item")
        labels = data.item_keys[one.key].labels if one.key in data.item_keys else data.user_keys[one.key]
        _within(one.codes, 0, len(labels), f"{what}: codes")
        _require(bool((np.diff(one.codes) > 0).all()), f"{what}: codes do not ascend", "each label once, in order")


def _require(good: bool, found: str, expected: str) -> None:
    if not good:
        raise InputError(f"policy: {found}; expected {expected}.")


def _finite(number: object, what: str) -> None:
    good = isinstance(number, float) and abs(number) < np.inf
    _require(good, f"{what} is {number!r}", "a finite number")


def _distinct(values: Sequence[Any], what: str) -> None:
    seen: set[Any] = set()
    for first in range(0, len(values), _PART):
        seen.update(all_same(values[first : first + _PART]))  # 1 and True are two ids, and equal to Python
    _require(len(seen) == len(values), f"{what} contains duplicates", "each entry once")


def _array(array: Any, dtype: npt.DTypeLike, shape: tuple[int, ...] | None, what: str) -> None:
    is_array = isinstance(array, np.ndarray)
    if is_array and array.dtype == dtype and (array.ndim == 1 if shape is None else array.shape == shape):
        return
    found = f"{array.dtype} of shape {array.shape}" if is_array else type(array).__name__
    _require(False, f"{what} is {found}", f"{np.dtype(dtype)} of shape {'(n,)' if shape is None else shape}")


def _within(codes: npt.NDArray[Any], lowest: int, end: int, what: str) -> None:
    if codes.size:
        low, high = int(codes.min()), int(codes.max())
        _require(lowest <= low and high < end, f"{what} are between {low} and {high}", f"{lowest} to {end - 1}")
