"""Files that a statement asks for besides the allocation: a frontier, drawn slates, boosts of all candidates."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.remote_path import Place
from oasis_alloc.problem_file.output import best_kind, write_pairs, write_table

if TYPE_CHECKING:
    from oasis_alloc.problem_file.statement import Statement
    from oasis_alloc.solution import Solution

_SWEPT = ("solver", "gap", "time_limit", "pass_limit", "threads", "start", "on_conflict")  # options of every solve
_OF_POLICY = ("organic", "unproven")

Further = list[tuple[str, Callable[[], Place]]]
"""(name of an answer, the function that writes its file)."""


def further_answers(statement: Statement, solution: Solution, directory: Place, kind: str | None) -> Further:
    """What `[frontier]`, `[rounding]` and `[batch]` of a statement ask for; files are written when it is called."""
    out: Further = []
    stated = statement.stated
    if "frontier" in stated:
        out.append(("frontier", lambda: _frontier(statement, directory, kind or best_kind())))
    if "rounding" in stated:
        seed = stated["rounding"].get("seed", 0)
        out.append(("slates", lambda: _slates(solution, seed, directory, kind)))
    if "batch" in stated:
        policy = {name: value for name, value in stated.get("policy", {}).items() if name in _OF_POLICY}
        options = {**policy, **stated["batch"]}
        out.append(("boosts", lambda: _boosts(solution, directory, options)))
    return out


def check_further(statement: Statement) -> None:
    """Raise `ProblemError` for names in `[frontier]` and `[batch]` that the problem does not have."""
    from oasis_alloc.results.sweep import varied
    from oasis_alloc.serving.build import check_policy_options

    stated = statement.stated
    if "frontier" in stated:
        varied(statement.problem, stated["frontier"]["vary"], stated["frontier"].get("scale", False))
    check_policy_options(statement.problem, stated.get("batch", {}))


def _frontier(statement: Statement, directory: Place, kind: str) -> Place:
    """The table of a sweep, with the options of the solve that a sweep takes."""
    from oasis_alloc.frontier import frontier

    given = statement.stated["frontier"]
    options: dict[str, Any] = {name: value for name, value in statement.solve.items() if name in _SWEPT}
    curve = frontier(
        statement.problem, vary=given["vary"], points=given["points"], scale=given.get("scale", False), **options
    )
    path = directory / f"frontier.{kind}"
    write_table(path, {name: np.asarray(curve.column(name)) for name in curve.columns})
    return path


def _slates(solution: Solution, seed: int, directory: Place, kind: str | None) -> Place:
    """One whole slate per user, drawn from the solution."""
    drawn = solution.round(seed)
    answers: dict[str, NDArray[Any]] = {"propensity": drawn.propensity}
    if drawn.place is not None and drawn.place_propensity is not None:
        answers |= {"place": drawn.place, "place_propensity": drawn.place_propensity}
    return write_pairs(solution.problem.candidates, drawn.pairs, answers, directory, kind, "slates")[0]


def _boosts(solution: Solution, directory: Place, options: dict[str, Any]) -> Place:
    """Boost, score and rank of every candidate, for a key-value store to load."""
    path = directory / "boosts.parquet"
    solution.policy(**options).to_parquet(solution.problem.candidates, path)
    return path
