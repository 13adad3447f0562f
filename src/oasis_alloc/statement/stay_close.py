"""Steadiness: keep the slots of an earlier plan if that costs little, and count those that change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.labels import all_same
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.data.by_group import as_factor, as_number
from oasis_alloc.data.grouping import runs
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.functions.arguments import positive
from oasis_alloc.statement.multiples import Multiples

_CHUNK = 1 << 20  # pairs that are looked up at once


@suggesting
def stay_close(previous: HasAllocation, weight: float) -> StayClose:
    """A reward for every slot that stays as in an earlier solution, `weight * sum_p y_p x_p`.

    Parameters
    ----------
    previous
        A `Solution`, for the same candidates or others. Pairs are matched by the ids of users and items (their numbers
        if the candidates have no ids); `y_p` is the earlier probability, 0 for a new pair.
    weight
        Value of a kept slot, in units of the objective; positive and finite.

    Returns
    -------
    StayClose
        Added to `maximize` with a plus. It only adds to the value of each pair, so the rest of the solve does not
        change. If the earlier slates are integral, it is the weight times the expected number of slots kept:
        `weight * sum_p x_p` minus `weight / 2` times the distance `sum_p |x_p - y_p|`, for slates of the same length.
        `solution.churn(previous)` returns how much changed.

    Raises
    ------
    ProblemError
        For anything but a solution with an allocation, a weight that is not positive and finite, and, in a problem,
        ids of another type.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> def hour(relevance):
    ...     cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"relevance": relevance})
    ...     return oa.Problem(cands, oa.total("relevance"), slate=oa.Slate(1))
    >>> first = oa.solve(hour([0.50, 0.49]))
    >>> second = hour([0.48, 0.49])
    >>> oa.solve(second).churn(first)
    1.0
    >>> steady = second.replace(maximize=second.maximize + oa.stay_close(first, weight=0.05))
    >>> oa.solve(steady).churn(first)
    0.0
    """
    return StayClose(Earlier.of(previous, "stay_close(previous, ...)"), _positive(weight))


@runtime_checkable
class HasAllocation(Protocol):
    """The part of a solution that is used here."""

    @property
    def problem(self) -> Any:
        """The problem that it solves."""

    @property
    def status(self) -> Any:
        """How the solve ended."""

    @property
    def pairs(self) -> Ints:
        """Pairs that are shown."""

    @property
    def x(self) -> Floats:
        """How likely each of them is."""

    def raise_if_infeasible(self) -> None:
        """Raise if there is no allocation."""


@dataclass(frozen=True, eq=False, repr=False)
class Earlier(ByFields):
    """What an earlier solution showed: the non-zeros of its allocation."""

    candidates: Candidates
    positions: Ints
    x: Floats

    @classmethod
    def of(cls, previous: object, what: str) -> Self:
        """Copy the allocation and ids of a solution, without a reference to its problem."""
        if not isinstance(previous, HasAllocation):
            raise ProblemError(f"{what}: expected the oa.Solution of an earlier problem, got {previous!r}.")
        if previous.status.name == "INFEASIBLE":
            raise ProblemError(
                f"{what}: the earlier problem was infeasible and has no allocation to stay close to. Leave the term "
                "out, or use the last solution that has an allocation."
            )
        return cls(previous.problem.candidates, previous.pairs, previous.x)

    def everywhere(self, candidates: Candidates) -> Floats:
        """(n_pairs,) earlier probability of every pair of `candidates`."""
        if not same_pairs(self.candidates, candidates):
            return self.probability(candidates, np.arange(candidates.n_pairs))
        out = np.zeros(candidates.n_pairs)
        out[self.positions] = self.x
        return out

    def places(self, candidates: Candidates) -> tuple[Ints, Floats]:
        """(pairs of `candidates`, ascending; their earlier probabilities), of those that were shown."""
        if same_pairs(self.candidates, candidates):
            return self.positions, self.x
        from oasis_alloc.kernels.solve.check import find_items

        user, item = _renumbered(self.candidates, candidates)
        user, item = user[self.candidates.user_of(self.positions)], item[self.candidates.item[self.positions]]
        still = np.flatnonzero((user >= 0) & (item >= 0))
        still = still[np.argsort(user[still], kind="stable")]
        start = np.searchsorted(user[still], np.arange(candidates.n_users + 1))
        wanted, found = item[still].astype(np.int64), np.full(still.size, -1)
        mark = np.zeros(candidates.n_items, np.int64)
        for users, begin, indptr, items in runs(candidates.indptr, candidates.item):
            find_items(readonly(indptr), readonly(items), users.start, begin, start, wanted, mark, found)
        order = np.argsort(found, kind="stable")
        order = order[found[order] >= 0]
        return found[order], self.x[still[order]]

    def probability(self, candidates: Candidates, positions: Ints) -> Floats:
        """(len(positions),) earlier probability of the pairs of `candidates` at these positions, 0 for new pairs."""
        same = same_pairs(self.candidates, candidates)
        known, x = self.positions, self.x
        if not same:  # one number per pair, from the user and item numbers of `candidates`
            user, item = _renumbered(self.candidates, candidates)
            user, item = user[self.candidates.user_of(known)], item[self.candidates.item[known]]
            has = (user >= 0) & (item >= 0)
            known, x = (user * candidates.n_items + item)[has], x[has]
        order = np.argsort(known, kind="stable")
        known, x = np.append(known[order], -1), np.append(x[order], 0.0)  # a sentinel after the last pair
        out = np.empty(positions.size)
        for start in range(0, positions.size, _CHUNK):
            wanted = positions[start : start + _CHUNK]
            if not same:
                wanted = candidates.user_of(wanted) * candidates.n_items + candidates.item[wanted].astype(np.int64)
            at = np.searchsorted(known[:-1], wanted)
            out[start : start + _CHUNK] = np.where(known[at] == wanted, x[at], 0.0)
        return out

    def churn(self, candidates: Candidates, positions: Ints, x: Floats) -> float:
        """Share of the slots of an allocation of `candidates`, given by its non-zeros, that are new."""
        slots = float(x.sum())
        kept = float(np.minimum(x, self.probability(candidates, positions)).sum())
        return max(0.0, 1.0 - kept / slots) if slots else 0.0


@dataclass(frozen=True, eq=False, repr=False)
class StayClose(Multiples["StayClose"], ByFields):
    """A weight on the slots of an earlier solution; made by `stay_close`."""

    earlier: Earlier
    weight: float

    def value(self, candidates: Candidates) -> Floats:
        """(n_pairs,) addition to the value of every pair of `candidates`."""
        return self.weight * self.earlier.everywhere(candidates)

    def __mul__(self, factor: float) -> StayClose:
        number = as_factor(factor, self)
        if number is None:
            return NotImplemented
        return replace(self, weight=_positive(self.weight * number))

    def __neg__(self) -> StayClose:
        return self * -1.0

    def __add__(self, other: Any) -> Any:
        from oasis_alloc.statement.objective import Objective

        return Objective.of(self) + other

    def __radd__(self, other: Any) -> Any:
        from oasis_alloc.statement.objective import Objective

        return Objective.of(self) + other if as_number(other) is not None else Objective.of(other) + self

    def __rsub__(self, other: Any) -> Any:
        return (-self).__radd__(other)

    def __sub__(self, other: Any) -> Any:
        from oasis_alloc.statement.objective import Objective

        return Objective.of(self) - other

    def __str__(self) -> str:
        return f"stay_close(previous, weight={self.weight:g})"

    __repr__ = __str__


def _positive(weight: object) -> float:
    return positive(
        weight,
        f"stay_close(previous, weight={weight!r}): the weight is a positive finite number, the value of a kept slot; "
        "the term is added to the objective.",
    )


def same_pairs(old: Candidates, new: Candidates) -> bool:
    """True if pairs have the same positions in both."""
    if old is new:
        return True
    return (
        (old.n_users, old.n_items, old.n_pairs) == (new.n_users, new.n_items, new.n_pairs)
        and _same_ids(old.user_ids, new.user_ids)
        and _same_ids(old.item_ids, new.item_ids)
        and np.array_equal(old.indptr, new.indptr)
        and np.array_equal(old.item, new.item)
    )


def _same_ids(old: npt.NDArray[Any] | None, new: npt.NDArray[Any] | None) -> bool:
    if old is None or new is None:
        return old is new
    return old is new or (old.dtype == new.dtype and np.array_equal(old, new))


def _renumbered(old: Candidates, new: Candidates) -> tuple[Ints, Ints]:
    """The new number of every old user, and of every old item; -1 for those that no longer exist."""
    return (
        _new_numbers(old.user_ids, old.n_users, new.user_ids, new.n_users, new.user_name),
        _new_numbers(old.item_ids, old.n_items, new.item_ids, new.n_items, new.item_name),
    )


def _new_numbers(old: npt.NDArray[Any] | None, n_old: int, new: npt.NDArray[Any] | None, n_new: int, what: str) -> Ints:
    if old is None and new is None:
        numbers = np.arange(n_old)
        return np.where(numbers < n_new, numbers, -1)
    old = np.arange(n_old) if old is None else old  # without ids the numbers are the ids
    new = np.arange(n_new) if new is None else new
    if old.dtype.kind == new.dtype.kind != "O":
        order = np.argsort(new, kind="stable")
        at = np.minimum(np.searchsorted(new, old, sorter=order), max(n_new - 1, 0))
        found = new[order[at]] == old if n_new else np.zeros(n_old, np.bool_)
        out = np.where(found, order[at] if n_new else 0, -1)
    else:
        number = {label: k for k, label in enumerate(all_same(new))}
        out = np.fromiter((number.get(label, -1) for label in all_same(old)), np.int64, n_old)
    if n_old and n_new and out.max() < 0:
        one, other = old[:1].tolist()[0], new[:1].tolist()[0]
        if type(one) is not type(other):
            raise ProblemError(
                f"the earlier solution has {what} ids such as {one!r}, these candidates such as {other!r}: their types "
                "differ, so no id is the same. Give both candidates ids of one type."
            )
    return out
