"""What a piece of code solves: every problem, how it was solved, and the policies that were made of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import oasis_alloc as oa


@dataclass
class Solved:
    """One call of `oa.solve`, of a session's `solve`, or of `oa.frontier`, which has no single solution."""

    problem: oa.Problem
    options: Mapping[str, Any]
    solution: oa.Solution | None
    policies: list[Mapping[str, Any]] = field(default_factory=list)  # arguments of each call of its `policy`
    by_risk: bool = False  # a call of `oa.solve_uncertain`; the solution is that of its answer


@dataclass
class Recorded:
    """The solves of a piece of code, in order, and the solutions that terms of `stay_close` were made of."""

    solves: list[Solved] = field(default_factory=list)
    earlier: dict[int, tuple[Any, Any]] = field(default_factory=dict)  # by id: what a term is close to, the solution

    def previous(self, term: Any) -> Any:
        """The solution that a term of `stay_close` was made of."""
        return self.earlier[id(term.earlier)][1]

    def of(self, solution: object) -> Solved | None:
        """The solve that gave a solution."""
        return next((one for one in self.solves if one.solution is solution), None)


def _from_the_package() -> bool:
    """Whether the caller's caller is a module of the package, such as a sweep that solves again and again."""
    return str(sys._getframe(2).f_globals["__name__"]).startswith("oasis_alloc.")


@contextmanager
def recorded() -> Iterator[Recorded]:
    """Record the solves of the block, other than those that the package makes for itself."""
    found, solve, stay_close, policy = Recorded(), oa.solve, oa.stay_close, oa.Solution.policy
    frontier, again, uncertain = oa.frontier, oa.Session.solve, oa.solve_uncertain

    def solving(problem: oa.Problem, **options: Any) -> oa.Solution:
        solution = solve(problem, **options)
        if not _from_the_package():
            found.solves.append(Solved(problem, options, solution))
        return solution

    def sweeping(problem: oa.Problem, **options: Any) -> oa.Frontier:
        solves = {name: value for name, value in options.items() if name not in ("vary", "points", "scale")}
        if not _from_the_package():
            found.solves.append(Solved(problem, solves, None))
        return frontier(problem, **options)

    def solving_again(self: oa.Session, **options: Any) -> oa.Solution:
        solution = again(self, **options)
        if not _from_the_package():
            found.solves.append(Solved(solution.problem, options, solution))
        return solution

    def solving_by_risk(problem: oa.Problem, **options: Any) -> oa.UncertainSolution:
        answer = uncertain(problem, **options)
        if not _from_the_package():
            found.solves.append(Solved(problem, options, answer.solution, by_risk=True))
        return answer

    def staying(previous: Any, weight: float) -> Any:
        term = stay_close(previous, weight)
        found.earlier[id(term.earlier)] = (term.earlier, previous)
        return term

    names = ("valid_for", "organic", "users", "exploration", "unproven")

    def making(self: oa.Solution, *args: Any, **options: Any) -> oa.Policy:
        of = found.of(self)
        if of is not None:
            of.policies.append({**dict(zip(names, args, strict=False)), **options})
        return policy(self, *args, **options)

    with (
        mock.patch.object(oa, "solve", solving), mock.patch.object(oa, "stay_close", staying),
        mock.patch.object(oa.Solution, "policy", making), mock.patch.object(oa, "frontier", sweeping),
        mock.patch.object(oa.Session, "solve", solving_again),
        mock.patch.object(oa, "solve_uncertain", solving_by_risk),
    ):  # fmt: skip
        yield found
