"""The numbers that the page shows, taken from a problem and its solution."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.types import Floats, Ints
from oasis_alloc.errors import InputError
from oasis_alloc.results.organic import best_pairs

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.problem import Problem
    from oasis_alloc.statement.measures import Measure, MeasureTerm

_NEAR = 1e-4  # relative distance at which a total counts as being at its limit
_MOST = 60  # groups of a key over which a cost is still worth listing


@dataclass(frozen=True)
class Delivery:
    """Totals against their limits: one entry per group, infinite for a side without a limit."""

    names: list[str]  # of the constraints
    unit: str
    labels: list[str]
    delivered: Floats
    floor: Floats
    cap: Floats
    price: Floats

    @property
    def state(self) -> list[str]:
        """`at cap`, `at floor`, `above cap`, `below floor`, or nothing, for each group.

        A price says that a limit binds, whatever its unit; without one, a total within 1e-4 of a limit counts as there.
        """
        out = []
        for total, floor, cap, price in zip(self.delivered, self.floor, self.cap, self.price, strict=True):
            if total > cap + _NEAR * abs(cap):
                out.append("above cap")
            elif total < floor - _NEAR * abs(floor):
                out.append("below floor")
            elif np.isfinite(cap) and (price > 0 or total >= cap - _NEAR * abs(cap)):
                out.append("at cap")
            elif np.isfinite(floor) and (price < 0 or total <= floor + _NEAR * abs(floor)):
                out.append("at floor")
            else:
                out.append("")
        return out


@dataclass(frozen=True)
class Cost:
    """Totals of a column if only it decided (organic), and in the allocation."""

    column: str
    by: str | None
    labels: list[str]
    organic: Floats
    kept: Floats
    others: list[tuple[str, float, float]]  # column, its organic total, its total now


def deliveries(problem: Problem, positions: Ints, x: Floats, prices: Mapping[str, Floats]) -> list[Delivery]:
    """Constraints, those on one measure together, in the order of the problem.

    A share such as `exposure(by="licensor") - 0.25 * exposure() <= 0` is turned back into a cap on the
    licensors' exposure, which is easier to read.
    """
    out: dict[str, Delivery] = {}
    for name, function, bound in zip(problem.names, problem.functions, problem.bound, strict=True):
        if not function.in_constraints:
            continue  # a function to maximize, not a limit
        floor, cap, _ = bound.band()
        measure = function.measure
        labels = problem.labels(name)
        wide = [t for t in measure.terms if set(t.by) == set(measure.by)]
        rest = [t for t in measure.terms if set(t.by) != set(measure.by)]
        delivered = _spread(problem.candidates, wide, measure, labels, positions, x)
        moved = _spread(problem.candidates, rest, measure, labels, positions, x)
        floor, cap, price = floor - moved, cap - moved, np.asarray(prices[name], dtype=np.float64)
        names, key = [name], str(measure)
        if key in out:
            known = out[key]
            names = [*known.names, name]
            floor, cap, price = (
                np.maximum(floor, known.floor),
                np.minimum(cap, known.cap),
                price + known.price,
            )
        unit = " + ".join("exposures" if t.column is None else t.column for t in wide)
        out[key] = Delivery(names, unit, [label(g) for g in labels], delivered, floor, cap, price)
    return list(out.values())


def cost(problem: Problem, positions: Ints, x: Floats, column: str) -> Cost:
    """Totals of the best slates by `column` compared with the allocation, by the first key of the users."""
    candidates, by = problem.candidates, None
    for name in candidates.users:
        with suppress(InputError):  # a column that cannot be a key, and is not used
            if 1 < candidates.users[name].n_groups <= _MOST:
                by = name
                break
    best = best_pairs(candidates, column, problem.slate.size)
    alone = np.ones(len(best))
    of = _column_by(column, by)
    others = []
    for other in candidates.columns:
        term = _column_by(other, None)
        before = float(_total(candidates, term, best, alone)[0])
        others.append((other, before, float(_total(candidates, term, positions, x)[0])))
    return Cost(
        column=column,
        by=by,
        labels=[label(g) for g in candidates.groups(by)],
        organic=_total(candidates, of, best, alone),
        kept=_total(candidates, of, positions, x),
        others=others,
    )


def label(group: Any) -> str:
    """A group's label as text: a pair of keys, which is a list in JSON, with a middle dot, everything as `all`."""
    if group is None:
        return "all"
    return " · ".join(map(str, group)) if isinstance(group, (tuple, list)) else str(group)


def notable(delivery: Delivery, max_count: int) -> list[int]:
    """Up to `max_count` groups with a limit, in order: those whose limits weigh most on the objective."""
    limited = np.flatnonzero(np.isfinite(delivery.floor) | np.isfinite(delivery.cap))
    if len(limited) <= max_count:
        return [int(k) for k in limited]
    weight = np.abs(delivery.price[limited]) * np.maximum(delivery.delivered[limited], 1.0)
    heaviest = np.sort(limited[np.argsort(-weight, kind="stable")[:max_count]])
    return [int(k) for k in heaviest]


def _column_by(column: str, by: str | None) -> MeasureTerm:
    from oasis_alloc.statement.measures import MeasureTerm

    return MeasureTerm(1.0, column, () if by is None else (by,))


def _total(candidates: Candidates, term: MeasureTerm, positions: Ints, x: Floats) -> Floats:
    """A term's total in each group of its own keys, without its coefficient."""
    weight = x if term.column is None else x * candidates.columns[term.column][positions]
    return candidates.grouping(term.by or None).totals(candidates, positions, weight)


def _spread(
    candidates: Candidates,
    terms: list[MeasureTerm],
    measure: Measure,
    labels: list[Any],
    positions: Ints,
    x: Floats,
) -> Floats:
    """The sum of terms over the groups of the measure; terms with fewer keys are repeated."""
    out = np.zeros(len(labels))
    for term in terms:
        totals = term.coefficient * _total(candidates, term, positions, x)
        if term.by == measure.by:
            out += totals
        elif not term.by:
            out += totals[0]
        else:
            place = {group: k for k, group in enumerate(candidates.groups(term.by))}
            take = [measure.by.index(key) for key in term.by]
            for k, group in enumerate(labels):
                part = tuple(group[i] for i in take)
                out[k] += totals[place[part if len(part) > 1 else part[0]]]
    return out
