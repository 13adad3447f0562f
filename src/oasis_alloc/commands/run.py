"""The common steps of commands: solve with progress, write files, report, and return the exit code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from oasis_alloc import Status, solve
from oasis_alloc.commands.terminal import NOT_WRITTEN, say, warn
from oasis_alloc.common.remote_path import Place, files_in
from oasis_alloc.page.page import page
from oasis_alloc.problem_file.output import write_allocation, write_text

if TYPE_CHECKING:
    from oasis_alloc.commands.progress import Display
    from oasis_alloc.problem import Problem
    from oasis_alloc.solution import Solution

SOLVED, INFEASIBLE, STOPPED = 0, 3, 4  # exit codes; see __main__.py for the others
_UNPROVEN = "allocation.unproven"

Further = Sequence[tuple[str, Callable[[], Place]]]


def solve_in_view(problem: Problem, display: Display, options: Mapping[str, Any]) -> Solution:
    """Solve, with the options that are not None, while the display follows."""
    display.stage("loading")  # of kernels; the display says "compiling" only while one is compiled
    given = {name: value for name, value in options.items() if value is not None}
    return solve(problem, progress=display, **given)


def report(
    problem: Problem,
    solution: Solution,
    directory: Place,
    kind: str | None,
    title: str,
    relevance: str | None,
    more: Sequence[str] = (),
    further: Further = (),
) -> int:
    """Write the allocation (if there is one) and the page, then print the solution and `more`; return the exit code.

    `further` are other answers, (name, function that writes the file), which are written if there is an allocation.

    Files are written first and independently: if one of them, or the terminal, fails, the others are still written.
    """
    lines: list[str] = []
    failed = False
    if not solution.conflicts:
        name = "allocation" if is_sound(solution) else _UNPROVEN

        def allocation() -> None:
            path, note = write_allocation(problem.candidates, solution.pairs, solution.x, directory, kind, name)
            lines.append(f"allocation  {path}")
            if name == _UNPROVEN:
                lines.append(f"            do not use it: it misses constraints by up to {solution.violation:.2g}")
            if note is not None:
                warn(note)

        failed |= not _done(allocation, f"the allocation in {directory}")
        for answer, write in further:
            failed |= not _done(partial(_listed, lines, answer, write), f"{answer} in {directory}")
    earlier = [] if not solution.conflicts and is_sound(solution) else files_in(directory, "allocation.[pc]*")
    lines += [f"            {path} is left from an earlier run" for path in earlier if path.stem == "allocation"]
    path = directory / "report.html"

    def write_page() -> None:
        write_text(path, page(problem, solution, title, relevance))
        lines.append(f"page        {path}")

    failed |= not _done(write_page, f"the page {path}")
    printed = say("\n".join([str(solution), "", *lines, *more]))
    if failed or not printed:
        return NOT_WRITTEN
    return {Status.SOLVED: SOLVED, Status.INFEASIBLE: INFEASIBLE}.get(solution.status, STOPPED)


def _listed(lines: list[str], answer: str, write: Callable[[], Place]) -> None:
    lines.append(f"{answer:11s} {write()}")


def is_sound(solution: Solution) -> bool:
    """True where the allocation keeps all constraints, whether or not the requested gap is proven."""
    from oasis_alloc.common.verdicts import FEASIBLE

    return solution.violation <= FEASIBLE


def _done(write: Callable[[], None], what: str) -> bool:
    """Write a file; if that fails, report it and continue."""
    try:
        write()
    except Exception as error:  # writers of other libraries have their own errors, and none may stop the other files
        reason = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        warn(f"oasis-alloc: {what} cannot be written: {reason}.")
        return False
    return True
