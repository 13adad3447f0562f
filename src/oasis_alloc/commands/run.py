"""What the commands do once they have a problem: solve it in view, report, write, and give the exit code."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oasis_alloc import Status, solve
from oasis_alloc.commands.output import write_allocation
from oasis_alloc.commands.page import page

if TYPE_CHECKING:
    from oasis_alloc.commands.progress import Display
    from oasis_alloc.problem import Problem
    from oasis_alloc.solution import Solution

SOLVED, BAD_INPUT, INFEASIBLE, STOPPED = 0, 2, 3, 4  # exit codes; argparse uses 2, too


def solve_in_view(problem: Problem, display: Display, options: Mapping[str, Any]) -> Solution:
    """Solve, with the options that are not None, while the display follows."""
    display.stage("compiling")  # the first call of a process compiles, or loads what an earlier one compiled
    given = {name: value for name, value in options.items() if value is not None}
    return solve(problem, progress=display, **given)


def report(
    problem: Problem, solution: Solution, directory: Path, kind: str | None, title: str, relevance: str | None
) -> int:
    """Print the solution, write the allocation (if there is one) and the page; return the exit code."""
    print(solution)
    written = directory / "report.html"
    written.write_text(page(problem, solution, title, relevance), encoding="utf-8")
    print()
    if not solution.conflicts:
        path, note = write_allocation(problem.candidates, solution.positions, solution.x, directory, kind)
        print(f"allocation  {path}")
        if note is not None:
            print(note, file=sys.stderr)
    print(f"page        {written}")
    return {Status.SOLVED: SOLVED, Status.INFEASIBLE: INFEASIBLE}.get(solution.status, STOPPED)
