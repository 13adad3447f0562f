"""What a plan would be with other limits, weights, dates or songs, and who would gain or lose by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from time import perf_counter
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import Printed, TextTable, number, signed, small
from oasis_alloc.common.verdicts import FEASIBLE
from oasis_alloc.errors import ProblemError
from oasis_alloc.forecast.changes import changed
from oasis_alloc.forecast.moves import Move, Moves, column_total, moves_of, units_by
from oasis_alloc.problem import Problem
from oasis_alloc.results.answer import by_label
from oasis_alloc.results.documents import SCHEMA
from oasis_alloc.session import Session
from oasis_alloc.solution import Solution
from oasis_alloc.statement.measures import Limit

_LARGE = 0.03  # of the value: moved limits worth more than this at their prices are a new problem


@dataclass(frozen=True, eq=False, repr=False)
class WhatIf(Printed, ByFields):
    """A plan and the plan after a change, made by `what_if`; `print` shows what moves.

    Attributes
    ----------
    before, after
        The two solutions. `after.status` is `INFEASIBLE` where no plan meets the changed limits: numbers of that plan
        are then NaN, and `after.conflicts` says which limits are in the way.
    changes
        What was changed, one sentence each.
    organic
        The column that `relevance` adds up.
    by
        The key of the songs' campaigns.
    seconds
        What the answer took.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    >>> caps = (oa.exposure(by="song") <= {"a": 1.0}).named("caps")
    >>> what = oa.what_if(oa.solve(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1))), limits={"caps": {"a": 2.0}})
    >>> round(what.value.change, 6), [(one.label, one.change) for one in what.moved("song")]
    (0.1, [('a', 1.0), ('b', -1.0)])
    """

    before: Solution
    after: Solution
    changes: tuple[str, ...]
    organic: str
    by: str
    seconds: float = field(default=0.0)

    @property
    def is_feasible(self) -> bool:
        """Whether a plan meets the changed limits."""
        return self.after.status.name != "INFEASIBLE"

    @property
    def value(self) -> Move:
        """The objective before and after."""
        return Move("value", self.before.value, self.after.value if self.is_feasible else np.nan)

    @property
    def value_range(self) -> tuple[float, float]:
        """What the optimum changes by: an interval that the certificates of both plans prove.

        The value of a plan that misses limits proves nothing of its optimum, so that end is infinite.
        """
        if not self.is_feasible:
            return np.nan, np.nan
        low, high = self.after.value - self.before.bound, self.after.bound - self.before.value
        return low if _keeps(self.after) else -np.inf, high if _keeps(self.before) else np.inf

    @cached_property
    def relevance(self) -> Move:
        """The total of the organic column before and after."""
        after = column_total(self.after, self.organic) if self.is_feasible else np.nan
        return Move(self.organic, column_total(self.before, self.organic), after)

    def moved(self, by: str | tuple[str, ...] | None = None) -> Moves:
        """Expected units by label of a key, or of several keys, in both plans: largest change first.

        `by` is any key of the items or users; None takes the campaigns' key. Raises `ProblemError` for an unknown key.
        """
        keys = self.by if by is None else by
        after = units_by(self.after, keys) if self.is_feasible else None
        names = self.before.label_names
        return moves_of("units", (keys,) if isinstance(keys, str) else tuple(keys), units_by(self.before, keys), after,
                        names)  # fmt: skip

    def prices(self) -> Moves:
        """Prices of every group of both plans, as (name, label), largest change first."""
        old, new = _flat(self.before), _flat(self.after) if self.is_feasible else None
        return moves_of("price", ("name", "label"), old, new, None)

    def to_frame(self, by: str | tuple[str, ...] | None = None, backend: str | None = None) -> Any:
        """`moved(by)` as a frame."""
        return self.moved(by).to_frame(backend or self.before.problem.candidates.backend)

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain texts and numbers, for JSON; see `docs/json.md`."""
        return {
            "format": "oasis_alloc.what_if",
            "schema": SCHEMA,
            "changes": list(self.changes),
            "status": self.after.status.name,
            "value": self.value.to_dict(),
            "value_range": jsonable(self.value_range),
            "gap": [jsonable(self.before.gap), jsonable(self.after.gap) if self.is_feasible else None],
            "relevance": self.relevance.to_dict(),
            "moved": self.moved().to_dict() if self._has_key else None,
            "prices": self.prices().to_dict(),
            "conflicts": [one.to_dict() for one in self.after.conflicts],
            "seconds": self.seconds,
        }

    @property
    def _has_key(self) -> bool:
        candidates = self.before.problem.candidates
        return self.by in candidates.items or self.by in candidates.users

    def _parts(self) -> list[str | TextTable]:
        parts: list[str | TextTable] = ["; ".join(self.changes) or "nothing is changed"]
        if not self.is_feasible:
            parts.append("no plan meets the changed limits:")
            parts += [str(one) for one in self.after.conflicts[:5]]
            return parts
        low, high = self.value_range
        rows = [
            (one.label, number(one.before, 8), number(one.after, 8), signed(one.change))
            for one in (self.value, self.relevance)
        ]
        parts.append(TextTable(("", "before", "after", "change"), "lrrr", rows))
        parts.append(
            f"the optimum changes by {signed(low)} to {signed(high)}; gaps {small(self.before.gap)} and "
            f"{small(self.after.gap)}"
        )
        if self._has_key:
            parts.append(self.moved().as_table())
        parts.append(self.prices().as_table())
        return parts


@suggesting
def what_if(
    solution: Solution,
    *,
    limits: Mapping[str, Limit | Mapping[Any, float | None]] | None = None,
    weights: Mapping[str, float] | None = None,
    dates: Mapping[Any, tuple[Any, Any]] | None = None,
    opt_in: Mapping[Any, Any] | None = None,
    opt_out: Iterable[Any] | None = None,
    slices: str | None = None,
    by: str = "campaign",
    promotion: str | None = None,
    gap: float | None = None,
    time_limit: float | None = None,
    threads: int | None = None,
) -> WhatIf:
    """What the plan would be after a change: value, relevance, delivery and prices, with a proof of its own.

    The solve starts from the solution and shares its arrays, which are kept with it from the first question on.

    Parameters
    ----------
    solution
        The plan; it is not changed.
    limits
        New limits by the name of a constraint: `{label: number}` for some groups, None lifts a limit, a number or an
        array replaces all.
    weights
        New weights of terms of the objective, by name, text or column.
    dates
        `{label: (first, last)}`: campaigns run in these slices of time alone, both included.
    opt_in
        `{item: label}`: these items join a campaign, and get the mean promotion of its items.
    opt_out
        Items that leave their campaign. They stay candidates, without promotion.
    slices
        The key of the users that says when a slot is, such as "day"; for `dates`.
    by
        The key of the items that says which campaign they belong to.
    promotion
        The column that promotion is worth; None takes "promotion" where the candidates have it.
    gap
        Relative gap of the new plan; None takes that of the solution, at least 1e-4.
    time_limit, threads
        As of `solve`.

    Returns
    -------
    WhatIf
        Both plans; an infeasible change is an answer, with the limits in conflict.

    Raises
    ------
    ProblemError
        For a solution without a plan; unknown names, labels, items, keys and times; NaN; negative units; and dates
        that are past or end before they start.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    >>> floors = (oa.exposure(by="song") >= {"b": 1.0}).named("floors")
    >>> plan = oa.solve(oa.Problem(cands, oa.total("r"), floors, oa.Slate(1)))
    >>> print(oa.what_if(plan, limits={"floors": {"b": 3.0}}, by="song"))
    floors of 'b' is >= 3
    <BLANKLINE>
    no plan meets the changed limits:
    <BLANKLINE>
    floors, group 'b': requires >= 3, can reach 2; relax it by 1
    """
    began = perf_counter()
    checked(solution, "what_if")
    problem, said = changed(solution.problem, limits, weights, dates, opt_in, opt_out, slices, by, promotion)
    after = solved_again(solution, problem, gap, time_limit, threads)
    return WhatIf(solution, after, tuple(said), organic_of(solution), by, perf_counter() - began)


def checked(solution: object, what: str) -> Solution:
    """The solution, or `ProblemError` for anything that is not one with a plan."""
    if not isinstance(solution, Solution):
        raise ProblemError(f"{what}(solution): expected an oa.Solution, got {type(solution).__name__}.")
    if solution.status.name == "INFEASIBLE":
        raise ProblemError(
            f"{what}(solution): the problem is infeasible, so there is no plan to start from. Solve it with "
            "on_conflict='relax', or change what conflicts."
        )
    return solution


def organic_of(solution: Solution) -> str:
    """The column that ranks without promotions: "relevance", else the first of the objective."""
    candidates, linear = solution.problem.candidates, solution.problem.maximize.linear
    named = [term.column for term in linear.terms if term.column is not None] if linear is not None else []
    return "relevance" if "relevance" in candidates.columns else [*named, *candidates.columns][0]


def _flat(solution: Solution) -> dict[Any, float]:
    """{(name, label): price} of every group."""
    return {
        (name, label): price
        for name, prices in by_label(solution.problem, solution.prices).items()
        for label, price in prices.items()
    }


def _keeps(solution: Solution) -> bool:
    return solution.violation <= FEASIBLE and solution.status.name != "RELAXED"


class _Kept:
    """A session of one solution, and the lock under which it is used."""

    def __init__(self, problem: Problem) -> None:
        self.session, self.lock = Session(problem), Lock()


_sessions: WeakKeyDictionary[Solution, _Kept] = WeakKeyDictionary()
_making = Lock()


def solved_again(
    solution: Solution,
    problem: Problem,
    gap: float | None = None,
    time_limit: float | None = None,
    threads: int | None = None,
) -> Solution:
    """Solve a problem like that of a solution, from it, with the arrays that were kept for it."""
    with _making:
        kept = _sessions.setdefault(solution, _Kept(solution.problem))
    known = max(1e-4, solution.gap) if np.isfinite(solution.gap) else 1e-4  # infinite where a solve was stopped early
    wanted = known if gap is None else gap
    start: Any = solution if _is_near(solution, problem) else {}
    with kept.lock:
        kept.session.change(problem=problem)
        return kept.session.solve(
            gap=wanted,
            time_limit=time_limit,
            threads=solution.threads if threads is None else threads,
            start=start,
        )


def _is_near(solution: Solution, problem: Problem) -> bool:
    """Whether a solve from the solution is likely to be faster than one from the beginning.

    It is not after a large change, because very many pairs are then undecided for the linear program at the end: other
    candidates, a limit that is lifted although it had a price, or moved limits that are worth more than a share of the
    value at their prices.
    """
    before = solution.problem
    if problem.candidates is not before.candidates:
        return False
    worth, old = 0.0, dict(zip(before.names, before.bound, strict=True))
    for name, function in zip(problem.names, problem.bound, strict=True):
        if name not in old or not (function.is_constraint and old[name].is_constraint):
            continue
        prices = solution.prices[name]
        for new_side, old_side in zip(function.band()[:2], old[name].band()[:2], strict=True):
            sides = np.isfinite(new_side) | np.isfinite(old_side)
            moved = np.where(sides, np.where(np.isfinite(new_side) & np.isfinite(old_side), 0.0, np.inf), 0.0)
            both = np.isfinite(new_side) & np.isfinite(old_side)
            moved[both] = np.abs(new_side[both] - old_side[both])
            felt = (prices != 0) & (moved > 0)
            worth += float(np.abs(prices[felt]) @ moved[felt])
    return worth <= _LARGE * abs(solution.value)
