"""The goals of a plan as rows of arrays, and where a policy has their prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.common.csr import spans
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.pacing.goal import Goal
from oasis_alloc.serving.data import PolicyData, PriceTerm
from oasis_alloc.serving.formula import Formula
from oasis_alloc.serving.lookup import Lookup

STOP = 1e9  # scales: the price of a goal that may have nothing more


@dataclass(frozen=True, eq=False)
class Uses:
    """What one showing of every class of items uses, for one kind of user, as kernels read it.

    Class c has the entries `indptr[c]:indptr[c + 1]` of `cells`, whose rows are the goal, the place of the column in
    requests (-1 for exposure) and its row in the table of prices; `amount` has the coefficients.
    """

    indptr: Ints
    cells: Ints  # (3, n)
    amount: Floats  # (n,)


class Rows:
    """Goals bound to a policy, one row each."""

    def __init__(self, goals: Sequence[Goal], data: PolicyData) -> None:
        self.goals, self.data = tuple(goals), data
        self.n = len(self.goals)
        self.start, self.end = self._numbers("start"), self._numbers("end")
        self.floor, self.cap = self._numbers("floor"), self._numbers("cap")
        self.daily, self.hourly = self._numbers("daily"), self._numbers("hourly")
        self.per_request = np.array([goal.per_request for goal in goals], np.bool_)
        self.hard = np.array([not (goal.soft or goal.per_request) for goal in goals], np.bool_)
        # (3, n) hard caps of the flight, the day and the hour; infinite where there is none
        caps = np.stack([np.where(self.hard, self.cap, np.inf), self.daily, self.hourly])
        self.hard_caps: Floats = np.where(self.per_request, np.inf, caps)
        penalty = self._numbers("penalty")
        self.capped, self.floored = np.isfinite(self.cap), np.isfinite(self.floor)
        self.finite_cap = np.where(self.capped, self.cap, 0.0)
        self.has_ratios = bool(self.per_request.any())
        capped = np.isfinite(np.minimum(np.minimum(self.cap, self.daily), self.hourly))
        self.high = np.where(capped, penalty, 0.0)
        self.low = np.where(np.isfinite(self.floor), -penalty, 0.0)
        cells: list[tuple[int, int, int, float]] = []  # row, term, group of the term, coefficient
        self.detail: list[tuple[int, int] | None] = []  # (constraint, group) that explanations name
        base = np.zeros(self.n)
        lookups: dict[str, Lookup] = {}
        for row, goal in enumerate(self.goals):
            codes, before = _codes(goal, data, lookups), len(cells)
            for column, keys, coefficient in goal.terms:
                term = _term(goal, data, column, keys)
                cells.append((row, term, _group(goal, data, data.terms[term], codes), coefficient))
            self.detail.append(_detail(goal, data, [(term, c) for _, term, _, c in cells[before:]], codes))
            base[row] = self._first_price(row, goal, cells)
        self.row, self.term, self.group = np.array([cell[:3] for cell in cells], np.int64).reshape(-1, 3).T
        self.coefficient = np.array([cell[3] for cell in cells])
        self._by_term = [
            (term, self.row[mine], self.group[mine], self.coefficient[mine])
            for term in sorted(set(self.term.tolist()))
            for mine in (np.flatnonzero(self.term == term),)
        ]
        self.base: Floats = base
        self.first = np.array([b if g.price is None else g.price for b, g in zip(base, goals, strict=True)])
        known = np.abs(base[base != 0.0])
        typical = np.full(self.n, np.median(known)) if known.size else penalty / 4.0
        self.scale: Floats = np.clip(typical, penalty / 20.0, penalty)

    def _numbers(self, name: str) -> Floats:
        return np.array([getattr(goal, name) for goal in self.goals], np.float64)

    def _first_price(self, row: int, goal: Goal, cells: Sequence[tuple[int, int, int, float]]) -> float:
        """The policy's own price of the goal: that of its term where it is all of it, else of its constraint."""
        if len(goal.terms) == 1:
            _, term, group, coefficient = cells[-1]
            return float(self.data.terms[term].price[group]) / coefficient
        detail = self.detail[row]
        return 0.0 if detail is None else float(self.data.constraints[detail[0]].price[detail[1]])

    def prices(self, price: Floats) -> list[Floats]:
        """What the groups of the policy's terms cost where goals cost `price`; its own arrays if nothing moved."""
        from oasis_alloc.kernels.pace.limits import add_moved

        out = [term.price for term in self.data.terms]
        for term, row, group, coefficient in self._by_term:
            changed = np.array(out[term])
            if add_moved(row, group, coefficient, price, self.base, changed):
                out[term] = changed
        return out

    def constraint_prices(self, price: Floats) -> list[Floats]:
        """The same by constraint, as explanations tell them: what a goal moved is in one of its constraints."""
        out = [constraint.price.copy() for constraint in self.data.constraints]
        for row, detail in enumerate(self.detail):
            if detail is not None:
                out[detail[0]][detail[1]] += price[row] - self.base[row]
        return out

    def uses(self, formula: Formula, codes: tuple[int, ...]) -> Uses:
        """What showings to users of these codes use."""
        place = {name: k for k, name in enumerate(self.data.columns)}
        table = {column: k for k, column in enumerate(formula.columns)}
        parts: list[Any] = [np.empty((5, 0))]
        for number, (classes, groups) in enumerate(formula.groups(codes)):
            mine = np.flatnonzero(self.term == number)
            if not mine.size or not classes.size:
                continue
            order = mine[np.argsort(self.group[mine], kind="stable")]
            first = np.searchsorted(self.group[order], groups)
            count = np.searchsorted(self.group[order], groups, side="right") - first
            at = spans(first, count)
            cell = order[at]
            column = self.data.terms[number].column
            where = -1 if column is None else place[column]
            fixed = np.full((2, cell.size), [[where], [table[column]]], np.float64)
            parts.append(np.stack([np.repeat(classes, count), self.row[cell], *fixed, self.coefficient[cell]]))
        entries = np.concatenate(parts, axis=1)
        entries = entries[:, np.lexsort((entries[1], entries[0]))]
        indptr = np.searchsorted(entries[0], np.arange(formula.n_classes + 1)).astype(np.int64)
        return Uses(indptr, np.ascontiguousarray(entries[1:4].astype(np.int64)), np.ascontiguousarray(entries[4]))


def _codes(goal: Goal, data: PolicyData, lookups: dict[str, Lookup]) -> dict[str, int]:
    """The code of the label of each key of a goal."""
    keys = goal.by
    labels = goal.label if len(keys) > 1 else (goal.label,) * len(keys)
    if len(keys) > 1 and (not isinstance(labels, tuple) or len(labels) != len(keys)):
        raise InputError(f"plan: the goal of {goal} is by {keys}; expected a tuple of {len(keys)} labels.")
    out = {}
    for key, label in zip(keys, labels, strict=True):
        known = data.item_keys[key].labels if key in data.item_keys else data.user_keys.get(key)
        if known is None:
            near = did_you_mean(key, [*data.item_keys, *data.user_keys])
            raise InputError(
                f"plan: the policy {data.policy_id} has no prices by {key!r}.{near} "
                "State a constraint by it in the problem, be it one that does not bind."
            )
        if key not in lookups:
            lookups[key] = Lookup(known)
        code = lookups[key].code(label)
        if code < 0:
            raise InputError(
                f"plan: the policy {data.policy_id} has no {key} {shown(label)}.{did_you_mean(label, known)} The plan "
                "is for another policy, or its label is misspelled."
            )
        out[key] = code
    return out


def _term(goal: Goal, data: PolicyData, column: str | None, keys: tuple[str, ...]) -> int:
    for number, term in enumerate(data.terms):
        if term.column == column and term.keys == keys:
            return number
    what = "exposure" if column is None else f"the column {column!r}"
    raise InputError(
        f"plan: the goal of {goal} counts {what} by {keys}, and the policy {data.policy_id} has no prices of that. "
        "State a constraint of this measure in the problem, be it one that does not bind."
    )


def _group(goal: Goal, data: PolicyData, term: PriceTerm, codes: dict[str, int]) -> int:
    wanted = np.array([codes[key] for key in term.keys], np.int32)
    at = np.flatnonzero((term.groups == wanted).all(axis=1))
    if not at.size:
        raise InputError(f"plan: the goal of {goal}: the policy {data.policy_id} has no such group of {term.keys}.")
    return int(at[0])


def _detail(
    goal: Goal, data: PolicyData, terms: list[tuple[int, float]], codes: dict[str, int]
) -> tuple[int, int] | None:
    """Where explanations tell the goal's price: the first constraint of exactly its measure."""
    for number, constraint in enumerate(data.constraints):
        if list(constraint.terms) == terms and constraint.keys == goal.by:
            wanted = np.array([codes[key] for key in constraint.keys], np.int32)
            at = np.flatnonzero((constraint.groups == wanted).all(axis=1))
            if at.size:
                return number, int(at[0])
    return None
