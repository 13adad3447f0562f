"""The rules of a slate as arrays: how many items of each category a user may be shown.

Keys of categories become *systems*. Systems that nest, with single-valued keys and one staircase among them, are the
chain, which kernels solve exactly by thresholds; all others are further categories, solved with separate prices.
The same systems give the linear programs their rows (solvers/slate_rows.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.csr import gather
from oasis_alloc.common.types import Floats, Ints

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.kernels.rules.rules import Rules
    from oasis_alloc.statement.slate import Slate

_SLATES_AT_ONCE = 1 << 16  # non-zeros, because there are temporary arrays of them
_ROUNDING = 1e-9  # relative tolerance of `keep`: the accuracy of prices of crossing categories


@dataclass(frozen=True, eq=False)
class System:
    """The categories of one key: lists by class, and the staircase that each category has."""

    key: str
    start: Ints  # (n_classes + 1,)
    of: npt.NDArray[np.int32]  # categories, class by class
    n: int  # categories
    steps: Floats  # cost of the j-th item of a category, for every j that fits

    @property
    def max_count(self) -> int:
        return int(self.steps.size)

    @property
    def is_stair(self) -> bool:
        return bool(self.steps.any())

    @property
    def is_single(self) -> bool:
        return bool(np.diff(self.start).max(initial=0) <= 1)

    @cached_property
    def single(self) -> npt.NDArray[np.int32]:
        """(n_classes,) the category of a class with at most one, -1 without."""
        out = np.full(self.start.size - 1, -1, np.int32)
        out[np.diff(self.start) > 0] = self.of
        return out

    def members(self, classes: Ints) -> tuple[Ints, Ints]:
        """(entry, category) of every category of `classes`: entries with several categories are repeated."""
        indptr, places = gather(self.start, classes)
        return np.repeat(np.arange(classes.size), np.diff(indptr)), self.of[places].astype(np.int64)


class KeptColumn(NamedTuple):
    """The column of `keep` as it was given, which is not copied, and the users' units in which kernels read it."""

    column: npt.NDArray[np.floating[Any]]  # (n_pairs,), or empty: nothing is kept, or pairs are in files
    unit: Floats  # (n_users,) see `user_units`, or empty

    def at(self, pairs: Any, users: Any) -> Floats:
        """In users' units, of some pairs (positions or a slice); `users` are theirs."""
        return np.asarray(self.column[pairs] / self.unit[users])


def _nothing_kept() -> KeptColumn:
    return KeptColumn(np.empty(0), np.empty(0))


@dataclass(frozen=True, eq=False)
class LoweredRules:
    """All rules of the slates; arrays of users or pairs."""

    size: Ints  # (n_users,)
    min_size: Ints  # (n_users,), no more than is possible
    weight: Floats  # (n_users,) weight of a user, which multiplies decrements
    systems: tuple[System, ...]
    chain: tuple[int, ...]  # systems that nest, the finest first
    guard: KeptColumn = field(default_factory=_nothing_kept)
    target: Floats = field(default_factory=lambda: np.empty(0))  # (n_users,) the lower bound on its sum, or empty

    @cached_property
    def kernel(self) -> Rules:
        """The rules in the form of the kernels, without the column of `keep`, which comes with the pairs."""
        from oasis_alloc.kernels.rules.rules import Rules

        chain = [self.systems[k] for k in self.chain]
        further = [s for k, s in enumerate(self.systems) if k not in self.chain]
        stair = next((k for k, system in enumerate(chain) if system.is_stair), -1)
        n_classes = self.systems[0].start.size - 1 if self.systems else 0
        start, of, stairs = _joined(further, n_classes)
        # writable and read-only arrays are different compiled types, so each array is always of the same kind
        return Rules(
            size=_writable(self.size),
            least=_writable(self.min_size),
            weight=_writable(self.weight),
            of=np.stack([s.single for s in chain]) if chain else np.empty((0, n_classes), np.int32),
            most=np.array([s.max_count for s in chain], np.int64),
            free=np.array([np.searchsorted(s.steps, 0.0, side="right") for s in chain], np.int64),
            n=max((s.n for s in chain), default=0),
            stair=stair,
            steps=np.append(chain[stair].steps if stair >= 0 else [0.0], np.inf),
            start=start,
            further=of,
            staircase=stairs,
            guard=readonly(np.empty(0)),
            target=_writable(self.target),
        )

    @property
    def holds_back(self) -> bool:
        """True if something must be shown: scaling a slate down may then break a rule."""
        return bool(self.target.size or self.min_size.any())

    def without_decrements(self) -> LoweredRules:
        """The same caps, sizes and guards, without decrements."""
        return replace(self, systems=tuple(replace(s, steps=np.zeros_like(s.steps)) for s in self.systems))

    def decrement_cost(self, users: Ints, classes: Ints, x: Floats) -> float:
        """The sum of decrements of slates, given by user, class and x of their non-zeros; users ascend."""
        total = 0.0
        ends = np.searchsorted(users, users[_SLATES_AT_ONCE::_SLATES_AT_ONCE])  # no user is in two parts
        parts = [slice(*edge) for edge in pairwise(np.unique([0, *ends, users.size]).tolist())]
        for system in self.systems:
            if not (system.is_stair and parts):
                continue
            found = [self._climbed(system, users[part], classes[part], x[part]) for part in parts]
            weight, climbed = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
            total += float(weight @ climbed)
        return total

    def _climbed(self, system: System, users: Ints, classes: Ints, x: Floats) -> tuple[Floats, Floats]:
        """(weight of the user, sum of the steps) of every category of every user."""
        entry, category = system.members(classes)
        group, inverse = np.unique(users[entry] * system.n + category, return_inverse=True)
        mass = np.bincount(inverse, x[entry], group.size).astype(np.float64)
        return self.weight[group // system.n], _climbed(mass, system.steps)

    def max_decrement_cost(self) -> float:
        """An upper bound on the sum of decrements."""
        largest = sum(float(s.steps[-1]) * max(1, int(np.diff(s.start).max(initial=0))) for s in self.systems)
        return largest * float(self.weight @ self.size)


def _writable(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array, copied only if it is read-only or not contiguous."""
    return np.require(array, requirements=["C", "W"])


def user_units(column: Floats, indptr: Ints) -> Floats:
    """(n_users,) the power of two just above a user's largest entry of a column: the user's unit.

    If no entry is positive, it is from the smallest negative one, which slots that must be filled would take first. The
    guard is in users' units, so that prices and linear programs do not depend on the unit of a column, or on users that
    differ by many powers of ten. Dividing by a power of two is exact.
    """
    users = np.flatnonzero(np.diff(indptr))
    out = np.ones(indptr.size - 1)
    if not users.size:
        return out
    starts = indptr[users]
    size = np.maximum.reduceat(column, starts)
    if not (size > 0.0).all():
        nearest = np.minimum.reduceat(np.where(column == 0.0, np.inf, np.abs(column)), starts)
        size = np.where(size > 0.0, size, nearest)
    exponent = np.frexp(np.where(np.isfinite(size), size, 1.0))[1]
    out[users] = np.ldexp(1.0, np.clip(exponent, -1000, 1000))
    return out


def keep_target(organic: Floats, share: float) -> Floats:
    """The bound from the largest sum of a column: `share` times it, or `(2 - share)` times it if it is negative.

    A share of a negative number is larger than the number, and no slate reaches it, so the same part of its size may be
    lost. A small amount for rounding is subtracted.
    """
    target = organic - (1.0 - share) * np.abs(organic)
    return np.asarray(target - _ROUNDING * np.abs(target))


def without_rounding(target: Floats) -> Floats:
    """The bound that `keep_target` subtracted the amount for rounding from."""
    return np.asarray(target / (1.0 - _ROUNDING * np.sign(target)))


def _climbed(mass: Floats, steps: Floats) -> Floats:
    """Sum of the steps up to a mass; the last step continues if rounding moves the mass past the end."""
    below = np.concatenate([[0.0], np.cumsum(steps)])
    whole = np.minimum(np.floor(mass + 1e-9).astype(np.int64), steps.size)
    rest = np.maximum(mass - whole, 0.0)
    return np.asarray(below[whole] + rest * steps[np.minimum(whole, steps.size - 1)])


def joined_lists(systems: Sequence[System], n: int) -> tuple[Ints, Ints, Ints]:
    """(start, categories, first category of each system): those of all systems as one list per class 0 <= c < n.

    Class c has `categories[start[c]:start[c + 1]]`; categories are numbered system after system.
    """
    every = np.arange(n)
    parts = [system.members(every) for system in systems]
    first = np.cumsum([0, *(system.n for system in systems)])
    entry = np.concatenate([every[:0], *(e for e, _ in parts)])
    category = np.concatenate([every[:0], *(c + o for (_, c), o in zip(parts, first[:-1], strict=True))])
    start = np.concatenate([[0], np.cumsum(np.bincount(entry, minlength=n))]).astype(np.int64)
    return start, category[np.argsort(entry, kind="stable")].astype(np.int64), first


def _joined(further: Sequence[System], n_classes: int) -> tuple[Ints, npt.NDArray[np.int32], Floats]:
    """Several systems as one list of categories per class, numbered consecutively, and the staircases by category."""
    if not further:
        return np.empty(0, np.int64), np.empty(0, np.int32), np.empty((0, 2))
    start, category, offsets = joined_lists(further, n_classes)
    longest = max(system.max_count for system in further) + 1
    stairs = np.full((int(offsets[-1]), longest), np.inf)
    for system, first in zip(further, offsets[:-1].tolist(), strict=True):
        stairs[first : first + system.n, : system.max_count] = system.steps
    return start, category.astype(np.int32), stairs


def staircase(max_count: int | None, step: Any, longest: int) -> Floats:
    """Decrements of the items of one category in a slate of at most `longest`."""
    n = longest if max_count is None else min(max_count, longest)
    if step is None:
        return np.zeros(max(n, 1))
    if isinstance(step, float):
        return step * np.arange(max(n, 1), dtype=np.float64)
    return np.asarray(step[np.minimum(np.arange(max(n, 1)), step.size - 1)], np.float64)


def systems_of(slate: Slate, candidates: Candidates, item_of: Ints) -> tuple[System, ...]:
    """The systems of a slate's keys; `item_of` is an item of each class."""
    longest = int(np.max(slate.sizes(candidates.indptr)[0], initial=1))
    out: list[System] = []
    for key in slate.keys:
        indptr, codes = candidates.items[key].membership()
        start, places = gather(indptr, item_of)
        of = codes[places].astype(np.int32)
        steps = staircase(slate.at_most.get(key), slate.diminishing.get(key), longest)
        out.append(System(key, start, of, max(1, candidates.items[key].n_groups), steps))
    return tuple(out)


def chain_of(systems: Sequence[System]) -> tuple[int, ...]:
    """Systems that nest, the finest first: as many as there are, with at most one staircase among them.

    A system goes into the chain if it is single-valued and, with every other of the chain, one of the two is finer:
    each of its categories lies within one category, or within none, of the other.
    """
    chain: list[int] = []
    for k in sorted(range(len(systems)), key=lambda k: not systems[k].is_stair):  # prefer the staircase
        if not systems[k].is_single or (systems[k].is_stair and any(systems[j].is_stair for j in chain)):
            continue
        finer = [_within(systems[j], systems[k]) for j in chain]
        coarser = [_within(systems[k], systems[j]) for j in chain]
        if not all(f or c for f, c in zip(finer, coarser, strict=True)):
            continue
        at = next((i for i, c in enumerate(coarser) if c), len(chain))
        if all(coarser[at:]) and all(finer[:at]):
            chain.insert(at, k)
    return tuple(chain)


def _within(finer: System, coarser: System) -> bool:
    """True where every category of `finer` lies within one category, or within none, of `coarser`."""
    has = finer.single >= 0
    pairs = np.unique(np.stack([finer.single[has], coarser.single[has]]), axis=1)
    return bool(np.diff(pairs[0]).all())
