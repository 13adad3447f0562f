"""A problem: maximize an objective subject to constraints, over the slates of all users."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.arrays import readonly
from oasis_alloc.common.labels import shown
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import ByFields
from oasis_alloc.common.text_tables import as_page
from oasis_alloc.common.verdicts import LARGEST
from oasis_alloc.data.by_group import Labels, numbers_of
from oasis_alloc.data.left_out import why_left_out
from oasis_alloc.data.row_groups import StreamedColumn, any_negative
from oasis_alloc.errors import ProblemError
from oasis_alloc.statement.by_user import by_user, per_user, plain
from oasis_alloc.statement.functions.arguments import check_sizes
from oasis_alloc.statement.functions.band import BoundBand
from oasis_alloc.statement.functions.base import BoundFunction, Function
from oasis_alloc.statement.functions.shifted import what_is_left
from oasis_alloc.statement.measures import Measure, MeasureTerm
from oasis_alloc.statement.objective import Objective
from oasis_alloc.statement.slate import Slate
from oasis_alloc.statement.summary import constraints_table, objective_table

_ROUNDING = 1e-9  # relative to a limit: sums of decimal fractions differ by far less


@suggesting
@dataclass(frozen=True, eq=False)
class Problem(ByFields):
    """An optimization problem: `maximize` subject to `subject_to`, with one slate per user under the rules of `slate`.

    Parameters
    ----------
    candidates
        Users, items and the pairs between them.
    maximize
        Totals without groups and concave functions, added up with weights.
    subject_to
        Constraints and soft constraints, one or a list; order is kept. None for no constraints.
    slate
        Rules for the slate of one user.
    supply
        Weight of each user, positive, such as the expected number of visits: 0.8 or 2.5. The name of a column of users,
        `{id: number}`, a pandas Series whose index has the ids, or (n_users,) numbers in the order of the users'
        numbers. It multiplies the user's part of totals and objective; slates are unchanged. None gives all users the
        weight 1.

    Raises
    ------
    ProblemError
        For unknown columns and keys, limits that do not fit the groups, names used twice, a cap below a floor, and
        sizes or supply that do not fit the users.

    Example
    -------
    >>> import numpy as np, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     np.array([0, 2, 4]), np.array([0, 1, 0, 1]), columns={"relevance": np.array([0.9, 0.5, 0.8, 0.7])})
    >>> oa.Problem(cands, maximize=oa.total("relevance"), subject_to=[oa.exposure() <= 1], slate=oa.Slate(1))
    maximize    total("relevance")
    subject to  exposure() <= 1
                Slate(size=1)
    over        Candidates(2 users, 2 items, 4 pairs; columns: relevance)
    """

    candidates: Candidates
    maximize: Objective
    subject_to: tuple[Function, ...]
    slate: Slate
    supply: npt.NDArray[np.float64] | None

    def __init__(
        self,
        candidates: Candidates,
        maximize: Measure | Function | Objective,
        subject_to: Function | Iterable[Function] | None = (),
        slate: Slate | None = None,
        supply: npt.ArrayLike | Mapping[Any, float] | str | None = None,
    ) -> None:
        if not isinstance(candidates, Candidates):
            raise ProblemError(f"candidates: expected oa.Candidates, got {type(candidates).__name__}.")
        if slate is not None and not isinstance(slate, Slate):
            raise ProblemError(f"slate: expected oa.Slate, got {slate!r}.")
        functions = _constraints(subject_to)
        for function in functions:
            if not isinstance(function, Function):
                raise ProblemError(
                    f"subject_to: {function!r} is not a constraint; expected measures compared with <=, >= or ==, "
                    "or soft(...)."
                )
            if not function.in_constraints:
                raise ProblemError(
                    f"subject_to: {function} is not a constraint but a function to maximize; add it to maximize=, or "
                    "limit its measure with <=, >= or ==."
                )
        object.__setattr__(self, "candidates", candidates)
        object.__setattr__(self, "maximize", Objective.of(maximize).checked())
        object.__setattr__(self, "subject_to", functions)
        stated = slate if slate is not None else Slate(1)
        object.__setattr__(self, "_stated", {"slate": stated, "supply": supply})  # by user ids if given so
        object.__setattr__(self, "slate", stated.laid_out(candidates))
        for measure in self._measures():
            self._check(measure)
        check_slate(self.slate, candidates)
        object.__setattr__(self, "supply", None if supply is None else checked_supply(supply, candidates))
        _ = self.bound  # lays limits out over the groups now, so that errors are raised here
        check_bands(self)
        check_domains(self)

    def _measures(self) -> Iterator[Measure]:
        if self.maximize.linear is not None:
            yield self.maximize.linear
        for function in self.functions:
            yield function.measure

    def _check(self, measure: Measure) -> None:
        for term in measure.terms:
            if term.column is not None and term.column not in self.candidates.columns:
                hint = self.candidates.no_column(term.column)
                raise ProblemError(f"{term}: the candidates have no column {term.column!r}.{hint}")
            self.candidates.grouping(term.by or None)  # raises for unknown keys

    @property
    def functions(self) -> tuple[Function, ...]:
        """Constraints in order, then the functions of the objective."""
        return self.subject_to + self.maximize.functions

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One distinct name per function: its own, with a number where two have the same text."""
        seen: dict[str, int] = {}
        out = []
        for function in self.functions:
            count = seen[function.name] = seen.get(function.name, 0) + 1
            out.append(function.name if count == 1 else f"{function.name} #{count}")
        given = [f.name for f in self.functions if getattr(f, "given_name", None)]
        if len(set(given)) != len(given):
            twice = Counter(given).most_common(1)[0][0]
            raise ProblemError(
                f"two constraints are named {twice!r}; prices are found by name, so names must be distinct."
            )
        return tuple(out)

    def labels(self, name: str) -> list[Any]:
        """The group labels of the function `name`, in the order of its prices and totals."""
        if name not in self.names:
            raise ProblemError(f"no constraint or function is named {name!r}.{did_you_mean(name, self.names)}")
        by = self.functions[self.names.index(name)].measure.by
        return self.candidates.groups(by or None)

    @cached_property
    def bound(self) -> tuple[BoundFunction, ...]:
        """Every function with its numbers laid out over its groups, in the order of `functions`."""
        slots = _slots(self)
        return tuple(
            self._bind(f.with_slots(slots), self.candidates.grouping(f.measure.by or None).labels)
            for f in self.functions
        )

    def _bind(self, function: Function, labels: Labels) -> BoundFunction:
        bound, measure = function.bind(labels), function.measure
        below = isinstance(bound, BoundBand) and bool((bound.upper < 0).any())
        if not measure.constants and not below:
            return bound
        columns = self.candidates.columns
        positive = all(
            term.coefficient > 0 and (term.column is None or not any_negative(columns[term.column]))
            for term in measure.terms
        )
        if measure.constants:
            return what_is_left(bound, measure.constant(labels), positive)
        if positive and isinstance(bound, BoundBand):  # a cap such as 0.3 - (0.1 + 0.2) is 0
            return bound.without_rounding(max(map(self._largest, measure.terms)))
        return bound

    def _largest(self, term: MeasureTerm) -> float:
        """The largest number that one pair adds to a term of positive numbers; 0 where that is not known."""
        column = 1.0 if term.column is None else self.candidates.columns[term.column]
        is_known = not isinstance(column, np.ndarray) or column.size > 0
        return term.coefficient * float(np.max(column)) if is_known and not isinstance(column, StreamedColumn) else 0.0

    def replace(self, **changes: Any) -> Problem:
        """The same problem with some of its parts changed."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        unknown = set(changes) - set(fields)
        if unknown:
            raise ProblemError(
                f"Problem has no part {sorted(unknown)[0]!r}.{did_you_mean(sorted(unknown)[0], list(fields))}"
            )
        return Problem(**{**fields, **self.__dict__["_stated"], **changes})

    def __repr__(self) -> str:
        lines = [f"maximize    {self.maximize}"]
        rules = [f.name if f.name == str(f) else f"{f}   ({f.name})" for f in self.subject_to] + [repr(self.slate)]
        lines += [("subject to  " if k == 0 else "            ") + rule for k, rule in enumerate(rules)]
        lines.append(f"over        {self.candidates!r}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        n = len(self.subject_to)
        tables = [objective_table(self.maximize, self.names[n:])]
        if n:
            tables.append(constraints_table(self.subject_to, self.names[:n], self.bound[:n]))
        return as_page([*tables, f"{self.slate!r} over {self.candidates!r}"])


def _constraints(given: object) -> tuple[Function, ...]:
    """What `subject_to=` has: one constraint, some of them, or None for none."""
    if given is None:
        return ()
    if isinstance(given, Function):
        return (given,)
    if isinstance(given, Mapping) or not isinstance(given, Iterable) or isinstance(given, (str, bytes)):
        raise ProblemError(
            f"subject_to: got {type(given).__name__}; expected a constraint, a list of constraints, or None. "
            "Names are given by constraint.named('name')."
        )
    return tuple(given)


def check_slate(slate: Slate, candidates: Candidates) -> None:
    """Refuse rules by keys, columns and users that the candidates do not have."""
    for key in slate.keys:
        if key not in candidates.items:
            why = why_left_out(key) or did_you_mean(key, candidates.items)
            raise ProblemError(f"{slate!r}: the items have no key {key!r}.{why}")
    for column in slate.keep:
        if column not in candidates.columns:
            hint = candidates.no_column(column)
            raise ProblemError(f"{slate!r}: the candidates have no column {column!r}.{hint}")
    for name, sizes in (("size", slate.size), ("at_least", slate.at_least)):
        if not isinstance(sizes, int) and sizes.shape != (candidates.n_users,):
            raise ProblemError(f"Slate({name}=...): {sizes.size:,} entries; expected {candidates.n_users:,} (n_users).")


def checked_supply(supply: object, candidates: Candidates) -> npt.NDArray[np.float64]:
    """The weight of each user, as positive numbers."""
    n_users = candidates.n_users
    if (named := by_user(supply, "supply")) is not None:
        weights = per_user(named, candidates, "supply")
    else:
        try:
            weights = np.asarray(numbers_of(supply, "supply", "number per user"))
        except ProblemError as error:
            raise ProblemError(
                f"supply: expected (n_users,) = ({n_users:,},) positive numbers, got {shown(supply)}: {error}"
            ) from None
    if weights.shape != (n_users,):
        raise ProblemError(f"supply: shape {weights.shape}; expected (n_users,) = ({n_users:,},), one number per user.")
    bad = np.flatnonzero(~((weights > 0) & np.isfinite(weights)))
    if bad.size:
        ids, of = candidates.user_ids, int(bad[0])
        one = f"{of:,}" if ids is None else shown(plain(ids[of]))
        raise ProblemError(
            f"supply: user {one} has the weight {weights[of]:g} ({bad.size:,} of {n_users:,} users have such "
            "weights); expected positive finite numbers. Give a user without visits a slate of size 0."
        )
    check_sizes(weights, "supply", LARGEST)
    return readonly(weights)


def _slots(problem: Problem) -> float:
    """Number of slots to fill, weighted by user and slot: a full slate, or all candidates of a user with fewer."""
    candidates, slate = problem.candidates, problem.slate
    filled = np.minimum(slate.sizes(candidates.indptr)[0], np.diff(candidates.indptr))
    if slate.slot_weights is not None:
        filled = np.concatenate([[0.0], np.cumsum(slate.slot_weights)])[filled]
    return float(filled.sum() if problem.supply is None else filled @ problem.supply)


def check_bands(problem: Problem) -> None:
    """Refuse a cap below a floor on the same measure: no price can resolve it.

    Limits that differ by rounding alone, such as 0.1 + 0.2 and 0.3, are the same.
    """
    sides: dict[str, _Sides] = {}
    for name, function, bound in zip(problem.names, problem.functions, problem.bound, strict=True):
        if bound.is_constraint:
            lower, upper, _ = bound.band()
            same = sides.setdefault(str(function.measure.planned), _Sides(function, lower.size))
            same.add(name, lower, upper)
    for same in sides.values():
        bad = np.flatnonzero(same.lower - same.upper > _ROUNDING * np.maximum(np.abs(same.lower), np.abs(same.upper)))
        if bad.size:
            g = int(bad[0])
            name, other = same.names[same.floor_of[g]], same.names[same.cap_of[g]]
            label = problem.candidates.grouping(same.function.measure.by or None).labels[g]
            raise ProblemError(
                f"{name} asks for at least {_digits(same.lower[g], same.upper[g])} of group {label!r}, but {other} "
                f"allows at most {_digits(same.upper[g], same.lower[g])}: a floor above its cap. Lower the floor or "
                "raise the cap" + (f" ({bad.size} such groups)." if bad.size > 1 else ".")
            )


class _Sides:
    """The largest floor and the smallest cap of every group of a measure, and which constraints set them."""

    def __init__(self, function: Function, n_groups: int) -> None:
        self.function, self.names = function, list[str]()
        self.lower, self.upper = np.full(n_groups, -np.inf), np.full(n_groups, np.inf)
        self.floor_of, self.cap_of = np.zeros(n_groups, np.int64), np.zeros(n_groups, np.int64)

    def add(self, name: str, lower: npt.NDArray[np.float64], upper: npt.NDArray[np.float64]) -> None:
        """Add the limits of one more constraint."""
        self.floor_of[lower > self.lower] = self.cap_of[upper < self.upper] = len(self.names)
        self.lower, self.upper = np.maximum(self.lower, lower), np.minimum(self.upper, upper)
        self.names.append(name)


def _digits(number: float, other: float) -> str:
    """A number with just enough digits to differ from another one."""
    return f"{number:g}" if f"{number:g}" != f"{other:g}" else f"{float(number)!r}"


def check_domains(problem: Problem) -> None:
    """Refuse a limit that forces a total at which a function of the same measure is minus infinity: log of 0."""
    stated = list(zip(problem.names, problem.functions, problem.bound, strict=True))
    for name, function, bound in stated:
        if not bound.is_curved:
            continue
        for other, limit, band in stated:
            if not band.is_constraint or str(limit.measure.planned) != str(function.measure.planned):
                continue
            lower, upper, _ = band.band()
            best = bound.within(lower, upper).curve(np.zeros(lower.size))
            bad = np.flatnonzero(np.isneginf(best.values))
            if bad.size:
                raise ProblemError(
                    f"{name} is minus infinity at every total that {other} allows group "
                    f"{problem.labels(name)[int(bad[0])]!r}. Change that limit, or give the function an offset above 0."
                )
