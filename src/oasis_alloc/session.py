"""Solving similar problems one after another: what-if questions, sweeps and hourly jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oasis_alloc.candidates import Candidates
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.pickling import FrozenMapping
from oasis_alloc.data.by_group import Labels, limits_of, place_of, spread
from oasis_alloc.data.validation import as_column
from oasis_alloc.errors import ProblemError
from oasis_alloc.problem import Problem
from oasis_alloc.results.sweep import constraint_of, with_limit
from oasis_alloc.solution import Solution
from oasis_alloc.solve import Beginning, Options, beginning, solved, warm_start
from oasis_alloc.statement.functions.base import Function
from oasis_alloc.statement.measures import Limit

if TYPE_CHECKING:
    from oasis_alloc.program.program import Program
    from oasis_alloc.solvers.monitor import Progress


@dataclass(frozen=True)
class Reused:
    """What the last solve of a session took from earlier ones; `print` shows it as a sentence.

    Attributes
    ----------
    arrays
        "all" if the problem's arrays were the same; "structure" if limits, weights or values were read again, and
        groups, tables and rules of slates were shared; "none" if the problem was lowered from its statement.
    prices, new_prices
        Groups whose price was known before, and groups without one.
    allocation
        Whether the earlier allocation is one of slates that the problem allows, so that it could be proven again.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    >>> session = oa.Session(oa.Problem(cands, oa.total("r"), (oa.exposure() <= 0.5).named("slots")))
    >>> print(session.solve().status, "-", session.reused)
    solved - nothing
    """

    arrays: str = "none"
    prices: int = 0
    new_prices: int = 0
    allocation: bool = False

    def __str__(self) -> str:
        parts = {"all": ["all arrays"], "structure": ["groups, tables and rules"]}.get(self.arrays, [])
        if self.prices:
            parts.append(f"{self.prices:,} prices" + (f" ({self.new_prices:,} are new)" if self.new_prices else ""))
        if self.allocation:
            parts.append("the allocation")
        return "; ".join(parts) or "nothing"


@suggesting
class Session:
    """Keeps a problem's arrays, prices and allocation between solves of it and of problems like it.

    Each solve starts from the last answer of the session, and each answer has its own proof. Changes are checked
    completely before anything is changed.

    Parameters
    ----------
    problem
        The first problem.

    Raises
    ------
    ProblemError
        For anything but a problem.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays(
    ...     [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, items={"song": ["a", "b"]})
    >>> caps = (oa.exposure(by="song") <= {"a": 1.0}).named("caps")
    >>> session = oa.Session(oa.Problem(cands, oa.total("r"), caps, oa.Slate(1)))
    >>> round(session.solve().value, 6)
    1.6
    >>> session.change(limits={"caps": {"a": 0.5}})
    >>> round(session.solve().value, 6), str(session.reused)
    (1.4, 'groups, tables and rules; 2 prices; the allocation')
    """

    def __init__(self, problem: Problem) -> None:
        if not isinstance(problem, Problem):
            raise ProblemError(f"Session() takes an oa.Problem, got {type(problem).__name__}.")
        self._problem = problem
        self._solution: Solution | None = None
        self._reused = Reused()
        self._lowered: tuple[Problem, Program] | None = None
        self._fewer: tuple[frozenset[str], Problem, Program] | None = None  # without constraints that cannot bind

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_lowered": None, "_fewer": None}  # lowered again where it is needed

    @property
    def problem(self) -> Problem:
        """The problem that the next solve is of."""
        return self._problem

    @property
    def solution(self) -> Solution | None:
        """The last solution with an allocation of its problem, which the next solve starts from; None without one."""
        return self._solution

    @property
    def reused(self) -> Reused:
        """What the last solve took from earlier ones."""
        return self._reused

    @suggesting
    def solve(
        self,
        *,
        solver: str = "dual",
        gap: float = 1e-4,
        time_limit: float | None = None,
        pass_limit: float | None = None,
        threads: int | None = None,
        start: Solution | Mapping[str, Any] | None = None,
        checkpoint: str | PathLike[str] | None = None,
        checkpoint_every: float = 30.0,
        resume: str | PathLike[str] | None = None,
        on_conflict: str = "infeasible",
        relax_weights: Mapping[str, Limit] | None = None,
        progress: Callable[[Progress], object] | bool | None = None,
    ) -> Solution:
        """Solve the problem in this process; arguments, answer and errors are those of `oa.solve`.

        Without `start` and `resume`, the solve starts from `solution`. An answer without an allocation, or one that
        relaxes limits, is returned and not kept as a start.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
        >>> oa.Session(oa.Problem(cands, oa.total("r"))).solve(gap=1e-6).status.name
        'SOLVED'
        """
        first = self._solution if start is None and resume is None else start
        asked = Options(
            solver, gap, time_limit, pass_limit, None, threads, first, checkpoint, checkpoint_every, resume,
            on_conflict, relax_weights, progress,
        )  # fmt: skip
        solution = solved(self._problem, asked, self._begin, self._leave_out)
        if solution.status.name not in ("INFEASIBLE", "RELAXED"):
            self._solution = solution
        return solution

    @suggesting
    def change(
        self,
        *,
        limits: Mapping[str, Limit] | None = None,
        columns: Mapping[str, npt.ArrayLike] | None = None,
        candidates: Candidates | None = None,
        problem: Problem | None = None,
    ) -> None:
        """Change the problem of the next solve.

        Parameters
        ----------
        limits
            New limits of constraints and soft constraints by name. `{label: number}` changes the limits of these groups
            and keeps the others, and `{label: None}` lifts them; a number or an array replaces all. An infinite number
            lifts all.
        columns
            New numbers per pair, (n_pairs,), for columns that the candidates have, in the order of their pairs; for
            candidates from frames in the order of the frame's rows.
        candidates
            Other users, items and pairs, such as those of the next hour. Groups are matched by label: a group keeps its
            limit, and a new one has none unless `limits` gives it one.
        problem
            Another problem in place of this one; `limits`, `columns` and `candidates` then change that one.

        Raises
        ------
        ProblemError, InputError
            For unknown names and labels, wrong shapes, numbers that are not finite, and changes that make the problem
            invalid. The session is then as before.

        Example
        -------
        >>> import oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
        >>> session = oa.Session(oa.Problem(cands, oa.total("r")))
        >>> session.change(columns={"r": [0.2, 0.4]})
        >>> round(session.solve().value, 6)
        0.4
        """
        if problem is not None and not isinstance(problem, Problem):
            raise ProblemError(f"change(problem=...): expected an oa.Problem, got {type(problem).__name__}.")
        if candidates is not None and not isinstance(candidates, Candidates):
            raise ProblemError(f"change(candidates=...): expected oa.Candidates, got {type(candidates).__name__}.")
        base = self._problem if problem is None else problem
        wanted = base.candidates if candidates is None else candidates
        if columns is not None:
            wanted = _with_columns(wanted, columns)
        given = _checked_limits(base, limits)
        functions: list[Function] = []
        for name, function in zip(base.names, base.subject_to, strict=False):
            limit = _limit_now(base, wanted, name, function, given)
            functions.append(function if limit is None else with_limit(function, limit).named(name))
        if given or wanted is not base.candidates:
            base = base.replace(candidates=wanted, subject_to=functions)
        self._problem = base

    def _begin(self, problem: Problem, asked: Options) -> Beginning:
        """The problem as arrays, from those of the last one where they are alike, and what the start says about it."""
        from oasis_alloc.program.relowering import relowered

        arrays, program = "none", None
        if self._lowered is not None:
            before, program = self._lowered
            arrays = "all"
            if before is not problem:
                program, arrays = relowered(program, before, problem), "structure"
        if program is None:
            program, warm = beginning(problem, asked)
            arrays = "none"
        else:
            warm = None if asked.start is None else warm_start(program, problem, asked.start)
        self._lowered = problem, program
        self._reused = Reused(arrays)
        if warm is not None:
            known = int(np.count_nonzero(warm.known))
            self._reused = Reused(arrays, known, program.n_rows - known, warm.allocation is not None)
        return program, warm

    def _leave_out(self, problem: Problem, names: frozenset[str]) -> Program:
        """The problem as arrays without some constraints, from those of the last one where they are alike."""
        from oasis_alloc.program.lowering import lower
        from oasis_alloc.program.relowering import relowered

        program = None
        if self._fewer is not None and self._fewer[0] == names:
            _, before, program = self._fewer
            program = program if before is problem else relowered(program, before, problem)
        if program is None:
            program = lower(problem, without=names)
        self._fewer = names, problem, program
        return program


def _with_columns(candidates: Candidates, columns: Mapping[str, npt.ArrayLike]) -> Candidates:
    """The candidates with other numbers in some of their columns."""
    if not isinstance(columns, Mapping):
        raise ProblemError(f"change(columns=...): expected {{name: numbers}}, got {type(columns).__name__}.")
    if candidates.stream is not None:
        raise ProblemError("change(columns=...): the columns of these candidates are in files; give new candidates=.")
    new = dict(candidates.request_columns)
    for name, numbers in columns.items():
        if name not in new:
            raise ProblemError(f"change(columns=...): there is no column {name!r}.{did_you_mean(name, list(new))}")
        column = as_column(f"columns[{name!r}]", numbers, candidates.n_pairs, candidates.indptr)
        new[name] = column if candidates.row is None else as_column(name, column[candidates.row], candidates.n_pairs)
    made = replace(candidates, columns=FrozenMapping(new), calibration={}, _scores={})
    if candidates.calibration:
        return made.calibrated(candidates.calibration)
    made._groupings.update(candidates._groupings)  # groups do not depend on columns
    return made


def _checked_limits(problem: Problem, limits: Mapping[str, Limit] | None) -> dict[str, Any]:
    """The limits by name, as numbers or by label."""
    if limits is None:
        return {}
    if not isinstance(limits, Mapping):
        raise ProblemError(f"change(limits=...): expected {{constraint name: limit}}, got {type(limits).__name__}.")
    with_limits = [
        name
        for name, function in zip(problem.names, problem.subject_to, strict=False)
        if constraint_of(function) is not None
    ]
    for name in limits:
        if name not in with_limits:
            hint = did_you_mean(name, with_limits)
            raise ProblemError(f"change(limits=...): no constraint with a limit is named {name!r}.{hint}")
    return {name: limits_of(limit, f"change(limits=...): {name}") for name, limit in limits.items()}


def _limit_now(
    problem: Problem, candidates: Candidates, name: str, function: Function, given: Mapping[str, Any]
) -> Any:
    """The new limit of a constraint, or None where it stays as it is stated."""
    band, new = constraint_of(function), given.get(name)
    if band is None or (new is not None and not isinstance(new, dict)):
        return new
    if new is None and (candidates is problem.candidates or isinstance(band.limit, float)):
        return None
    by = band.measure.by or None
    before = problem.candidates.grouping(by).labels
    if isinstance(band.limit, float):  # one number holds for all groups, also for new ones
        labels: Labels = candidates.grouping(by).labels
        numbers = np.full(len(labels), band.limit)
    elif candidates is problem.candidates:
        labels, numbers = before, spread(band.limit, before, name, free=np.nan)
    else:
        stated = spread(band.limit, before, name, free=np.nan)
        labels = candidates.grouping(by).labels
        at = [before.places.get(key, -1) for key in labels.places]
        numbers = np.where(np.array(at) >= 0, stated[at], np.nan)
    for label, number in (new or {}).items():
        numbers[place_of(label, labels.places, labels, f"change(limits=...): {name}")] = number
    return {label: float(number) for label, number in zip(labels, numbers, strict=True) if number == number}
