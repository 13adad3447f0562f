"""What serving makes of a plan: the totals of whole slates at its prices, and what closes the difference."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import objects
from oasis_alloc.common.checks import as_flag, as_whole
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.labels import shown
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import Printed, TextTable, cut, number, small
from oasis_alloc.errors import ProblemError
from oasis_alloc.forecast.margins import by_margins, by_rounding, by_smaller_gap
from oasis_alloc.forecast.miss import Miss, misses_of
from oasis_alloc.forecast.slates import served_slates
from oasis_alloc.forecast.what_if import checked
from oasis_alloc.policy import Policy
from oasis_alloc.results.documents import SCHEMA
from oasis_alloc.results.naming import keys_by_name, named
from oasis_alloc.solution import Solution

_ROWS = 12  # that are printed


@dataclass(frozen=True)
class Closer:
    """One way to close the difference between what is planned and what is served, tried out by serving again.

    Attributes
    ----------
    how
        "rounding", "a smaller gap" or "margins".
    worst
        The largest relative miss that is left: 0 where all limits are met.
    units
        The largest miss in units.
    value
        The objective of what is then served; `math.nan` where there is no such plan.
    seconds
        What finding it took.
    sentence
        The same in words.

    >>> import oasis_alloc as oa
    >>> oa.Closer("rounding", 0.0, 0.0, 1.0, 0.1, "draw slates").how
    'rounding'
    """

    how: str
    worst: float
    units: float
    value: float
    seconds: float
    sentence: str

    def to_dict(self) -> dict[str, Any]:
        """The attributes by name, for JSON."""
        found: dict[str, Any] = jsonable(self)
        return found


@dataclass(frozen=True, eq=False, repr=False)
class Served(Printed, ByFields):
    """Totals that serving reaches next to those of the plan, made by `served`; iterates over its `rows`.

    Attributes
    ----------
    solution
        The plan.
    rows
        A `Miss` per group of a constraint that has a limit, the largest relative miss first.
    value
        The objective of what is served, without penalties of limits that are missed.
    mixed_users
        Users to whom the plan gives several slates with probabilities. `select` serves each of them one of these.
    closers
        What was tried to close the difference.
    margins
        `{constraint: {label: limit}}`: limits at which what is served meets the limits of the problem, where they were
        asked for and found.
    gap
        The gap that was asked for where margins were solved.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> rng = np.random.default_rng(0)
    >>> cands = oa.Candidates.from_arrays(
    ...     np.arange(201) * 2, np.tile([0, 1], 200), {"r": rng.random(400)}, items={"song": ["a", "b"]})
    >>> floors = (oa.exposure(by="song") >= {"b": 120.5}).named("floors")
    >>> found = oa.served(oa.solve(oa.Problem(cands, oa.total("r"), floors, oa.Slate(1))))
    >>> found.margins["floors"]["b"] > 120.5, min(one.worst for one in found.closers)
    (True, 0.0)
    """

    solution: Solution
    rows: tuple[Miss, ...]
    value: float
    mixed_users: int
    closers: tuple[Closer, ...] = ()
    margins: dict[str, dict[Any, float]] = field(default_factory=dict)
    gap: float = 1e-4
    _margined: Solution | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Miss]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def missed(self) -> tuple[Miss, ...]:
        """Groups whose limit is missed by what is served."""
        return tuple(one for one in self.rows if one.miss > 0)

    @property
    def worst(self) -> float:
        """The largest relative miss of a limit; 0 where all are met."""
        return max((one.relative for one in self.rows), default=0.0)

    def policy(self, **how: Any) -> Policy:
        """The policy at the margins, which serves the problem's limits; without margins, that of the plan.

        `how` is as in `Solution.policy`. Raises `ProblemError` where limits are missed and no margins were found.
        """
        if self._margined is None and self.missed:
            raise ProblemError(
                "served().policy(): no margins were found at which all limits are met. See closers; serve "
                "solution.policy(), or draw slates by solution.round()."
            )
        return (self._margined or self.solution).policy(**how)

    def to_frame(self, backend: str | None = None) -> Any:
        """One row per group: `name`, `label`, `lower`, `upper`, `planned`, `served`, `miss` and `relative`."""
        from oasis_alloc.data.frames import table

        columns: dict[str, Any] = {name: objects(str(getattr(one, name)) for one in self.rows) for name in _TEXTS}
        columns |= {name: np.array([getattr(one, name) for one in self.rows], float) for name in _NUMBERS}
        return table(columns, backend or self.solution.problem.candidates.backend)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain texts and numbers, for JSON; see `docs/json.md`."""
        return {
            "format": "oasis_alloc.served",
            "schema": SCHEMA,
            "value": [jsonable(self.solution.value), jsonable(self.value)],
            "mixed_users": self.mixed_users,
            "worst": self.worst,
            "groups": [one.to_dict() for one in self.rows],
            "closers": [one.to_dict() for one in self.closers],
            "margins": [
                {"name": name, "label": jsonable(label), "limit": jsonable(limit)}
                for name, limits in self.margins.items()
                for label, limit in limits.items()
            ],
        }

    def _parts(self) -> list[str | TextTable]:
        count = f"{self.mixed_users:,} user{'' if self.mixed_users == 1 else 's'}"
        parts: list[str | TextTable] = [
            f"value {number(self.solution.value, 8)} planned (gap {small(self.solution.gap)}), {number(self.value, 8)} "
            f"served; the plan mixes slates of {count}"
        ]
        first = self.missed or self.rows
        keys, names = keys_by_name(self.solution.problem), self.solution.label_names
        rows = []
        for one in first[:_ROWS]:
            label = "" if one.label is None else " " + named(keys.get(one.name, ()), one.label, names)
            floor, cap = (number(x, 6) if np.isfinite(x) else "" for x in (one.lower, one.upper))
            rows.append((cut(one.name + label, 40), floor, cap, number(one.planned, 7), number(one.served, 7),
                         number(one.miss, 4)))  # fmt: skip
        more = f"... and {len(first) - _ROWS:,} more" if len(first) > _ROWS else ""
        parts.append(TextTable(("limit", "floor", "cap", "planned", "served", "missed by"), "lrrrrr", rows, more))
        if self.closers:
            lines = [
                (one.how, number(one.units, 4), f"{100 * one.worst:.3g} %", number(one.value, 8))
                for one in self.closers
            ]
            parts.append(TextTable(("what closes it", "largest miss", "relative", "value served"), "lrrr", lines))
            parts += [f"{one.how}: {one.sentence}" for one in self.closers]
        return parts


_TEXTS = ("name", "label")
_NUMBERS = ("lower", "upper", "planned", "served", "miss", "relative")


@suggesting
def served(
    solution: Solution,
    *,
    close: bool = True,
    gap: float | None = None,
    rounds: int = 12,
    threads: int | None = None,
) -> Served:
    """What `policy.select` delivers at the prices of a plan, next to the plan, and what closes the difference.

    A plan may mix several slates for a user with probabilities, and `select` serves one whole slate: the best at the
    prices. So a limit that binds is missed by up to what is mixed, and by more where the gap is large, because prices
    are then less exact.

    Parameters
    ----------
    solution
        The plan, over candidates in memory. Requests are its users, each as often as its supply says.
    close
        False leaves out what closes the difference, and takes one visit.
    gap
        The smaller gap that is tried, and that margins are solved to; None takes a hundredth of the plan's, from 1e-4
        to 1e-9.
    rounds
        How many solves margins may take.
    threads
        As of `solve`.

    Returns
    -------
    Served
        Margins are found by raising a floor (lowering a cap) by what is missed, solving and serving again, until what
        is served meets all limits. So they hold for these users; other users differ by chance.

    Raises
    ------
    ProblemError
        For a solution without a plan, candidates that are read from files, and numbers that cannot be.
    SolverError
        For a plan that is not proven to its gap.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    >>> floors = (oa.exposure(by="song") >= {"b": 1.5}).named("floors")
    >>> found = oa.served(oa.solve(oa.Problem(cands, oa.total("r"), floors, oa.Slate(1))), close=False)
    >>> [(one.label, one.planned, one.miss in (0.0, 0.5)) for one in found], found.mixed_users
    ([('b', 1.5, True)], 1)
    """
    checked(solution, "served")
    as_flag(close, "close", "served", ProblemError)
    most = as_whole(rounds)
    if most is None or most < 1:
        raise ProblemError(f"served(rounds={shown(rounds)}): expected a whole number of at least 1.")
    slates = served_slates(solution, solution.policy())
    rows = misses_of(solution.problem, solution.totals, slates.totals)
    whole = 1.0 - 1e-9
    if solution.problem.slate.slot_weights is None:
        mixed = np.unique(solution.problem.candidates.user_of(solution.pairs[solution.x < whole])).size
    else:
        mixed = 0
    wanted = min(1e-4, max(1e-9, solution.gap / 100)) if gap is None else gap
    closers: list[Closer] = []
    margins: dict[str, dict[Any, float]] = {}
    best: Solution | None = None
    if close and any(one.miss > 0 for one in rows):
        for found in (by_rounding(solution), by_smaller_gap(solution, wanted, threads)):
            closers.append(Closer(*found))
        tried, margins, best = by_margins(solution, rows, wanted, most, threads)
        closers.append(Closer(*tried))
    return Served(solution, rows, slates.value, int(mixed), tuple(closers), margins, wanted, best)
