"""The `[uncertainty]` of a statement: what `oasis_alloc.solve_uncertain` takes, with draws from tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.remote import Files
from oasis_alloc.errors import InputError, OasisAllocError, ProblemError
from oasis_alloc.problem_file.tables import read_table
from oasis_alloc.signals.uncertainty.draws import Draws
from oasis_alloc.signals.uncertainty.risks import CVaR, LowerQuantile, Risk
from oasis_alloc.signals.uncertainty.solve import UncertainSolution, check_uncertain, solve_uncertain

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.problem import Problem
    from oasis_alloc.problem_file.statement import Statement

UNCERTAINTY = "uncertainty"
DRAWS = ("pairs", "users")  # entries that name tables
SOLVE_OPTIONS = ("gap", "time_limit", "threads")  # of [solve], that `solve_uncertain` takes too

_NUMBERED: dict[str, tuple[type[CVaR | LowerQuantile], str]] = {
    "CVaR": (CVaR, "share"),
    "LowerQuantile": (LowerQuantile, "probability"),
}
_RISKS = ("expected", "worst", *_NUMBERED)


def check_tables(stated: Mapping[str, Any], file: str) -> None:
    """Raise `ProblemError` for tables and options of the solve that cannot be next to `[uncertainty]`."""
    check_solve_options(stated.get("solve", {}), file)
    if "frontier" in stated:
        raise ProblemError(
            f"{file}: [frontier] is a sweep of ordinary solves, and this file has [{UNCERTAINTY}]; expected one of the "
            "two. State the sweep in a file without it."
        )


def check_solve_options(given: Iterable[str], file: str) -> None:
    """Raise `ProblemError` for an option of the solve that `solve_uncertain` does not take."""
    for name in given:
        if name not in SOLVE_OPTIONS:
            raise ProblemError(
                f"{file}: solve.{name} is an option of one ordinary solve, and [{UNCERTAINTY}] asks for several; "
                f"expected {', '.join(SOLVE_OPTIONS)} only."
            )


def read_uncertainty(table: Mapping[str, Any], problem: Problem, files: Files, file: str) -> dict[str, Any]:
    """The arguments of `solve_uncertain` that the table states: `risk`, `draws` and `hold`.

    Raises `InputError` for draws that cannot be read or are invalid, `ProblemError` for what does not fit the problem.
    """
    place = f"{file}: {UNCERTAINTY}"
    try:
        given: dict[str, Any] = {"risk": _risk(table), "draws": _draws(table, problem.candidates, files)}
        given["hold"] = table.get("hold")
        check_uncertain(problem, **given)
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    except OasisAllocError as error:
        raise ProblemError(f"{place}: {error}") from error
    return given


def solve_stated(statement: Statement, options: Mapping[str, Any]) -> UncertainSolution:
    """Solve a statement that has `[uncertainty]`; options that are None are left out."""
    given = {name: value for name, value in options.items() if value is not None}
    check_solve_options(given, statement.path.name)
    return solve_uncertain(statement.problem, **(statement.uncertainty or {}), **given)


def _risk(table: Mapping[str, Any]) -> Risk:
    """The measure of risk, with its number."""
    kind: str = table.get("risk", "expected")
    if kind not in _RISKS:
        raise ProblemError(f"risk is {kind!r}; expected one of {', '.join(_RISKS)}.{did_you_mean(kind, _RISKS)}")
    for other, (_, number) in _NUMBERED.items():
        if number in table and other != kind:
            raise ProblemError(f"{number} belongs to risk = {other!r}, and risk is {kind!r}.")
    if kind not in _NUMBERED:
        return kind
    made, number = _NUMBERED[kind]
    return made(table[number]) if number in table else made()


def _draws(table: Mapping[str, Any], candidates: Candidates, files: Files) -> Draws | None:
    """The draws that the tables have; None without tables."""
    frames = {side: read_table(files / table[side]) for side in DRAWS if side in table}
    names = {name: table[name] for name in ("draw", "supply") if name in table}
    if names and not frames:
        raise ProblemError(f"{next(iter(names))} names a column of draws; expected a table of them: pairs or users.")
    return Draws.from_frame(candidates, **frames, **names) if frames else None
