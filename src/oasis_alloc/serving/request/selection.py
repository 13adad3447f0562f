"""A slate from priced scores, under the rules of the solved problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from oasis_alloc.common.checks import as_flag, as_whole
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.serving.data import PolicyData, SlateRule
from oasis_alloc.serving.formula import Formula, Membership
from oasis_alloc.serving.request.reader import Request, User
from oasis_alloc.serving.schema import shown

MAX_SLOTS = 1 << 62  # the range of numbers in compiled code
_KEPT = 1 << 8  # slots up to which steps of slates are cached: requests choose the number of slots


class Picked(NamedTuple):
    """A slate: positions in the request, best first, and the marginal score of each when it was picked."""

    positions: Ints
    marginal: Floats


class SlateRequest(NamedTuple):
    """The options of a request in addition to the rules."""

    k: int  # at most the number of candidates
    min_size: int
    pinned: Ints
    excluded: Ints
    floor: float

    def without(self, position: int) -> SlateRequest:
        """The same with one more excluded position."""
        return self._replace(excluded=np.append(self.excluded, position))


class ServeRules(NamedTuple):
    """Categories in the form of `kernels/serve/slate_pick.py`."""

    array: Ints
    system: Ints  # (n_categories,)
    start: Ints  # (n_classes + 1,)
    category: Ints  # class after class


class CategoryCosts(NamedTuple):
    """The cost of the j-th item of a category, (n_systems, k)."""

    cost: Floats  # infinite from the cap on
    flat: Floats  # only the caps
    soft: Floats  # only the decrements


class Selector:
    """Picks slates for one policy; holds its rules as arrays."""

    def __init__(self, data: PolicyData, formula: Formula) -> None:
        self.data, self.formula = data, formula
        self.keys = data.slate.keys
        self.rules = self.rules_of(formula.of_class, formula.n_classes)
        self._costs: dict[int, CategoryCosts] = {}
        self.is_plain = not self.keys and data.slate.keep is None

    def rules_of(self, keys: Mapping[str, Membership], n_classes: int) -> ServeRules:
        """The categories of classes with these labels."""
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
        start = np.searchsorted(rows[order], np.arange(n_classes + 1)).astype(np.int64)
        of_category = np.concatenate(system)
        head = np.array([len(self.keys), offset, categories.size], np.int64)
        array = np.concatenate([head, start, categories[order], of_category])
        return ServeRules(array, of_category, start, categories[order])

    def rules_for(self, request: Request) -> ServeRules:
        """The categories of the classes of a request."""
        if request.local is None:
            return self.rules
        return self.rules_of(request.local.of_class, request.items.size + 1)

    def classes(self, request: Request) -> Ints:
        """(n,) class of each candidate."""
        of_item = self.formula.of_item if request.local is None else request.local.of_item
        classes: Ints = of_item[0, request.key].astype(np.int64)  # -1 reads the last entry, for unknown items
        return classes

    def category_costs(self, k: int) -> CategoryCosts:
        """The cost of the j-th item of a category, j < k: k numbers per key, so callers clip k first."""
        found = self._costs.get(k)
        if found is None:
            rule, width = self.data.slate, max(k, 1)
            flat, soft = np.zeros((len(self.keys), width)), np.zeros((len(self.keys), width))
            for row, key in enumerate(self.keys):
                if key in rule.diminishing:
                    soft[row] = rule.diminishing[key].first(width)
                flat[row, rule.at_most.get(key, width) :] = np.inf
            found = CategoryCosts(flat + soft, flat, soft)
            if k <= _KEPT:
                self._costs[k] = found
        return found

    def arrays(self, k: int, names: Sequence[str]) -> tuple[Ints, Floats, Floats, int, float]:
        """The rules in the form of `kernels/serve/select_users.py`, for slates of up to k and these columns."""
        cost, flat, _ = self.category_costs(k)
        keep = self.data.slate.keep
        return (self.rules.array, cost, flat, *((-1, 0.0) if keep is None else (names.index(keep[0]), keep[1])))

    def slate_request(
        self, n: int, user: User, k: object, pinned: object, exclude: object, fill: object
    ) -> SlateRequest:
        """Check the options of a request; positions are of its n candidates."""
        slots = min(checked_slots(k, user.size), n)
        pins = _positions("pinned", pinned, n)
        out = _positions("exclude", exclude, n)
        if pins.size and out.size and (both := np.intersect1d(pins, out)).size:
            raise InputError(f"position {both[0]} is pinned and excluded; expected one of the two.")
        if pins.size > slots:
            raise InputError(f"pinned: {pins.size} positions for {slots} slots; expected at most one per slot.")
        return SlateRequest(slots, min(user.at_least, slots), pins, out, -np.inf if as_flag(fill, "fill") else 0.0)

    def pick(self, request: Request, scores: Floats, slate_request: SlateRequest, keep: bool = True) -> Picked:
        """The slate for these scores; with `keep` false, without the share of a column."""
        from oasis_alloc.kernels.serve import select_one

        n, k = scores.size, slate_request.k
        costs, caps, _ = self.category_costs(k)
        rules = self.rules_for(request)
        of_item = self.formula.of_item if request.local is None else request.local.of_item
        if slate_request.excluded.size:
            scores = scores.copy()
            scores[slate_request.excluded] = -np.inf
        pinned = slate_request.pinned.size
        slate = out, marginal = np.empty(max(k, 1), np.int64), np.empty(max(k, 1))
        out[:pinned] = slate_request.pinned
        scored, fill = (scores, request.key, of_item), (pinned, k, slate_request.min_size, slate_request.floor)
        by_category = rules.array, costs, np.zeros(rules.system.size, np.int64)
        if self.data.slate.keep is None or not keep:
            m = select_one.pick_scored(n, scored, by_category, fill, slate)
        else:
            name, share = self.data.slate.keep
            column = request.columns[self.data.columns.index(name)].copy()
            column[slate_request.excluded] = -np.inf
            m = select_one.keep_scored(n, scored, by_category, fill, (column, caps, share), slate, np.empty(4))
        check_pinned(marginal, slate_request, self.data.slate)
        return Picked(out[:m], marginal[:m])


def checked_slots(k: object, otherwise: int) -> int:
    """The number of slots of a call, by default `otherwise`."""
    if k is None:
        return otherwise
    slots = as_whole(k)
    if slots is None or not 0 <= slots < MAX_SLOTS:
        raise InputError(
            f"k={shown(k)}: expected a number of slots >= 0 and below 2^62, or None for the size of the solve."
        )
    return slots


def check_pinned(marginal: Floats, slate_request: SlateRequest, rule: SlateRule) -> None:
    """Refuse pinned items that break a cap: their marginals are not finite."""
    pinned = slate_request.pinned.size
    if pinned and not np.isfinite(marginal[:pinned]).all():
        at = slate_request.pinned[int(np.argmin(np.isfinite(marginal[:pinned])))]
        raise InputError(
            f"pinned: with position {at} a category has more items than at_most={dict(rule.at_most)} allows; pin fewer "
            "items of this category."
        )


def _positions(what: str, given: object, n: int) -> Ints:
    """Distinct positions in [0, n): from a list of them or a mask."""
    if given is None:
        return np.empty(0, np.int64)
    try:
        array = np.asarray(given)
    except ValueError:  # of a ragged list
        array = np.empty((0, 0))
    if array.dtype.kind == "b" and array.shape == (n,):
        return np.flatnonzero(array)
    if array.ndim != 1 or (array.size and array.dtype.kind not in "iu"):
        raise InputError(f"{what}: expected positions in the request, or a mask of shape ({n},).")
    array = array.astype(np.int64)
    if array.size:
        ascending = np.sort(array)
        if ascending[0] < 0 or ascending[-1] >= n:
            raise InputError(f"{what}: from {ascending[0]} to {ascending[-1]}; expected positions in [0, {n}).")
        if (ascending[1:] == ascending[:-1]).any():
            raise InputError(f"{what} has a position twice; expected each position once.")
    return array


def check_distinct(items: Sequence[int] | Ints) -> None:
    """Refuse a request that has an item twice: a slate would show it twice."""
    numbers = np.asarray(items)
    ascending = np.sort(numbers)  # thirty times as fast as argsort, which only an error needs
    same = np.flatnonzero((ascending[1:] == ascending[:-1]) & (ascending[1:] >= 0))
    if same.size:
        a, b = np.flatnonzero(numbers == ascending[same[0]])[:2]
        raise InputError(f"items: item {numbers[a]} is at positions {a} and {b}; expected each item once.")
