"""A slate from priced scores, under the rules of the problem that was solved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import NamedTuple

import numpy as np

from oasis_alloc.errors import InputError
from oasis_alloc.serving.data import Floats, Integers, PolicyData
from oasis_alloc.serving.formula import Formula, Membership
from oasis_alloc.serving.requests import Request, User


class Picked(NamedTuple):
    """A slate: positions in the request, best first, and what each added when it was taken."""

    positions: Integers
    marginal: Floats
    guard: Floats  # price of what is kept, sum kept, target, organic sum; empty where nothing is kept


class Wishes(NamedTuple):
    """What a request asks for besides the rules."""

    k: int
    least: int
    pinned: Integers
    excluded: Integers
    floor: float


class Rules(NamedTuple):
    """Categories as `kernels/slate_pick.py` reads them."""

    array: Integers
    n_categories: int


class Selector:
    """Picks slates for one policy; holds its rules as arrays."""

    def __init__(self, data: PolicyData, formula: Formula) -> None:
        self.data, self.formula = data, formula
        self.keys = data.slate.keys
        self.rules = self.rules_of(formula.of_class, formula.n_classes)
        self._stairs: dict[int, tuple[Floats, Floats]] = {}
        self.is_plain = not self.keys and data.slate.keep is None

    def rules_of(self, keys: Mapping[str, Membership], n_classes: int) -> Rules:
        """The categories of classes with these labels; one class more has none."""
        row, category, system, offset = [np.empty(0, np.int64)], [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
        for number, key in enumerate(self.keys):
            indptr, codes = keys[key]
            row.append(np.repeat(np.arange(n_classes), np.diff(indptr)))
            category.append(offset + codes.astype(np.int64))
            n = len(self.data.item_keys[key].labels)
            system.append(np.full(n, number, np.int64))
            offset += n
        rows, categories = np.concatenate(row), np.concatenate(category)
        order = np.argsort(rows, kind="stable")
        start = np.searchsorted(rows[order], np.arange(n_classes + 2))
        head = np.array([len(self.keys), offset, categories.size], np.int64)
        return Rules(np.concatenate([head, start.astype(np.int64), categories[order], *system]), offset)

    def stairs(self, k: int) -> tuple[Floats, Floats]:
        """(n_systems, k) what the j-th item of a category costs; and the same without decrements."""
        found = self._stairs.get(k)
        if found is None:
            rule = self.data.slate
            cost, flat = np.zeros((len(self.keys), max(k, 1))), np.zeros((len(self.keys), max(k, 1)))
            for row, key in enumerate(self.keys):
                if key in rule.diminishing:
                    cost[row] = rule.diminishing[key].first(max(k, 1))
                cap = rule.at_most.get(key, max(k, 1))
                cost[row, cap:] = flat[row, cap:] = np.inf
            found = cost, flat
            if len(self._stairs) < 1 << 10:
                self._stairs[k] = found
        return found

    def wishes(self, n: int, user: User, k: object, pinned: object, exclude: object, fill: object) -> Wishes:
        """Check what is asked for; positions are of the request's n candidates."""
        if k is not None and (not isinstance(k, Integral) or isinstance(k, bool) or k < 0):
            raise InputError(f"k={k!r}: expected a number of slots >= 0, or None for the size of the solve.")
        if not isinstance(fill, (bool, np.bool_)):
            raise InputError(f"fill={fill!r}: expected True or False.")
        slots = user.size if k is None else int(k)
        pins = _positions("pinned", pinned, n)
        out = _positions("exclude", exclude, n)
        both = np.intersect1d(pins, out)
        if both.size:
            raise InputError(f"position {both[0]} is pinned and excluded; expected one of the two.")
        if pins.size > slots:
            raise InputError(f"pinned: {pins.size} positions for {slots} slots; expected no more than the slate has.")
        return Wishes(slots, min(user.at_least, slots), pins, out, -np.inf if fill else 0.0)

    def pick(self, request: Request, scores: Floats, wishes: Wishes) -> Picked:
        """The slate for these scores."""
        from oasis_alloc.kernels import slate_keep, slate_pick

        n = scores.size
        k = min(wishes.k, n)
        stairs, flat = self.stairs(wishes.k)
        rules = self.rules
        of_item = self.formula.of_item
        if request.local is not None:
            rules, of_item = self.rules_of(request.local.of_class, n), request.local.of_item
        if wishes.excluded.size:
            scores = scores.copy()
            scores[wishes.excluded] = -np.inf
        pinned = wishes.pinned.size
        out, marginal = np.empty(max(k, 1), np.int64), np.empty(max(k, 1))
        out[:pinned] = wishes.pinned
        counts = np.zeros(rules.n_categories, np.int64)
        least, floor = min(wishes.least, k), wishes.floor
        guard = np.empty(0)
        if self.data.slate.keep is None:
            m = slate_pick.pick(
                n, scores, request.key, of_item, rules.array, stairs, counts, pinned, k, least, floor, out, marginal
            )
        else:
            name, share = self.data.slate.keep
            column = request.columns[self.data.columns.index(name)].copy()
            column[wishes.excluded] = -np.inf
            guard = np.empty(4)
            m = slate_keep.keep(
                n, scores, column, request.key, of_item, rules.array, stairs, flat, counts, pinned, k, least, floor,
                share, out, marginal, guard,
            )  # fmt: skip
        if pinned and not np.isfinite(marginal[:pinned]).all():
            at = wishes.pinned[int(np.argmin(np.isfinite(marginal[:pinned])))]
            raise InputError(
                f"pinned: with position {at} a category has more items than at_most={dict(self.data.slate.at_most)} "
                "allows; pin fewer of it."
            )
        return Picked(out[:m], marginal[:m], guard)


def _positions(what: str, given: object, n: int) -> Integers:
    """Distinct positions in [0, n): from a list of them or a mask."""
    if given is None:
        return np.empty(0, np.int64)
    array = np.asarray(given)
    if array.dtype.kind == "b" and array.shape == (n,):
        return np.flatnonzero(array)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(f"{what}: expected positions in the request, or a mask of shape ({n},).")
    array = array.astype(np.int64)
    if array.size and (array.min() < 0 or array.max() >= n):
        raise InputError(f"{what}: from {array.min()} to {array.max()}; expected positions in [0, {n}).")
    if np.unique(array).size < array.size:
        raise InputError(f"{what} has a position twice; expected each once.")
    return array


def check_distinct(items: Sequence[int] | Integers) -> None:
    """Refuse a request that has an item twice: a slate would show it twice."""
    numbers = np.asarray(items)
    order = np.argsort(numbers, kind="stable")
    same = np.flatnonzero((np.diff(numbers[order]) == 0) & (numbers[order][1:] >= 0))
    if same.size:
        a, b = order[same[0]], order[same[0] + 1]
        raise InputError(f"items: item {numbers[a]} is at positions {a} and {b}; expected each item once.")
