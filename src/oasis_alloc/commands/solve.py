"""`oasis-alloc solve problem.toml`: the same for your own problem and data."""

from __future__ import annotations

import argparse

from oasis_alloc.commands.progress import Display
from oasis_alloc.commands.run import report, solve_in_view
from oasis_alloc.common.remote_path import as_place
from oasis_alloc.problem_file.answers import further_answers
from oasis_alloc.problem_file.output import make_directory
from oasis_alloc.problem_file.statement import read_statement
from oasis_alloc.problem_file.uncertain import solve_stated


def solve(arguments: argparse.Namespace) -> int:
    """Solve a stated problem; options of the command line override the file."""
    more: list[str] = []
    with Display() as display:
        display.stage("reading")
        statement = read_statement(arguments.statement, by_risk=True)
        directory = as_place(arguments.out or statement.directory or f"{statement.path.stem}-out")
        make_directory(directory)
        given = {name: getattr(arguments, name) for name in ("gap", "threads", "time_limit", "pass_limit", "solver")}
        options = {**statement.solve, **{name: value for name, value in given.items() if value is not None}}
        if statement.uncertainty is None:
            solution = solve_in_view(statement.problem, display, options)
    if statement.uncertainty is not None:  # many solves, without progress: an interrupt ends the command at once
        answer = solve_stated(statement, options)
        solution, more = answer.solution, [f"risk        {answer!r}"]
    kind = arguments.format or statement.format
    further = further_answers(statement, solution, directory, kind)
    return report(solution.problem, solution, directory, kind, statement.path.stem, "relevance", more, further)
