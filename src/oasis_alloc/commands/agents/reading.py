"""Statements of a room, read within its limits, and their solutions; the last few are kept."""

from __future__ import annotations

import dataclasses
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oasis_alloc.commands.agents.room import Limits, Room, RoomFiles
from oasis_alloc.common.remote import is_remote
from oasis_alloc.errors import InputError, ProblemError
from oasis_alloc.problem_file.entries import ENTRIES, check_entries
from oasis_alloc.problem_file.statement import Statement, parsed, read_source, read_statement
from oasis_alloc.publish.jobs.entries import JOB_ENTRIES
from oasis_alloc.publish.jobs.job import Job, all_entries, read_job

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy
    from oasis_alloc.solution import Solution
    from oasis_alloc.solvers.monitor import Progress

LONGEST = 1_000_000  # bytes of a statement
_KEPT = 4  # statements with their solutions
_REFUSED = ("checkpoint", "resume")


@dataclasses.dataclass
class Known:
    """A statement that has been read, with the state of its files then, and its solutions by their options."""

    statement: Statement
    files: RoomFiles
    state: Mapping[Path, tuple[int, int]]
    solutions: dict[str, Solution]
    _policy: tuple[Solution, Policy] | None = None

    def policy_of(self, solution: Solution) -> Policy:
        """The policy of a solution; the last one is kept."""
        if self._policy is None or self._policy[0] is not solution:
            self._policy = (solution, solution.policy())
        return self._policy[1]


class Statements:
    """Reads statements of a room, and solves them once per set of options while their files stay the same."""

    def __init__(self, room: Room, limits: Limits) -> None:
        self.room, self.limits = room, limits
        self._known: OrderedDict[Path, Known] = OrderedDict()

    def path(self, name: object) -> Path:
        """The file of a statement; InputError for one that is not there, or is no TOML file."""
        path = self.room.file(name)
        if path.suffix != ".toml":
            raise InputError(f"{name}: expected a statement, a file whose name ends in .toml.")
        if path.stat().st_size > LONGEST:
            raise InputError(f"{name} has {path.stat().st_size:,} bytes; expected at most {LONGEST:,}.")
        return path

    def stated(self, path: Path) -> dict[str, Any]:
        """What a statement says; refuses what would leave the room or write there."""
        stated = parsed(read_source(path), path.name)
        _refuse(stated, path.name)
        return stated

    def read(self, name: object) -> Known:
        """The statement of a file, with its tables."""
        path = self.path(name)
        known = self._known.get(path)
        if known is not None and known.state == _state(path, known.files):
            self._known.move_to_end(path)
            return known
        more = JOB_ENTRIES if is_job(self.stated(path)) else None
        files = RoomFiles(self.room, path.parent, self.limits)
        statement = read_statement(path, more, files=files)
        pairs = statement.problem.candidates.n_pairs
        if pairs > self.limits.pairs:
            raise InputError(
                f"{name}: {pairs:,} pairs; expected at most {self.limits.pairs:,}. Use a sample of users, or start the "
                "server with a larger --pairs."
            )
        self._known[path] = known = Known(statement, files, _state(path, files), {})
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return known

    def job(self, path: Path) -> Job:
        """A job whose paths all lead into the room."""
        stated = self.stated(path)
        folder = self.room.relative(path.parent)
        directory = stated.get("run", {}).get("directory", f"{path.stem}-runs")
        self.room.path(f"{folder}/{directory}" if isinstance(directory, str) and "://" not in directory else directory)
        return dataclasses.replace(read_job(path), files=RoomFiles(self.room, path.parent, self.limits))

    def solve(self, name: object, deadline: float, stop: Callable[[], bool], **options: Any) -> tuple[Known, Solution]:
        """Solve a statement, with options that replace its own; stops at the deadline or when asked to.

        A solution that is known, for the same files and options, is returned as it is.
        """
        from oasis_alloc.solve import solve

        known = self.read(name)
        merged = solve_options(known.statement, options)
        key = repr(sorted((name, value) for name, value in merged.items() if name != "start"))
        if key not in known.solutions:
            found = solve(known.statement.problem, **within(merged, deadline), progress=stopping(stop))
            if found.status.name not in ("SOLVED", "INFEASIBLE", "RELAXED"):
                return known, found  # another call may have more time
            known.solutions[key] = found
        return known, known.solutions[key]


def check_text(text: str, file: str) -> str:
    """Check the entries of a statement, without its tables; return "problem" or "job"."""
    stated = parsed(text, file)
    _refuse(stated, file)
    job = is_job(stated)
    check_entries(stated, file, all_entries() if job else ENTRIES)
    return "job" if job else "problem"


def is_job(stated: Mapping[str, Any]) -> bool:
    """True for a job: a statement that says where its policy is published."""
    return "publish" in stated


def solve_options(statement: Statement, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a solve: those of the statement, replaced by those that are not None."""
    given = {name: value for name, value in options.items() if value is not None}
    return {"on_conflict": "infeasible", **statement.solve, **given}


def within(options: Mapping[str, Any], deadline: float) -> dict[str, Any]:
    """Options whose time limit ends at the deadline, or earlier."""
    rest = max(deadline - time.monotonic(), 0.1)
    own = options.get("time_limit")
    return {**options, "time_limit": rest if own is None else min(own, rest)}


def stopping(stop: Callable[[], bool]) -> Callable[[Progress], bool]:
    """A progress function that ends a solve when `stop` says so."""
    return lambda _state: stop()


def _state(path: Path, files: RoomFiles) -> dict[Path, tuple[int, int]]:
    about = path.stat()
    return {path: (about.st_mtime_ns, about.st_size), **files.files()}


def _refuse(stated: Mapping[str, Any], file: str) -> None:
    """Refuse entries with which a solve would write, or read what is not a file of the room."""
    solve = stated.get("solve", {})
    for name in _REFUSED if isinstance(solve, Mapping) else ():
        if name in solve:
            raise ProblemError(f"{file}: solve.{name} cannot be used here; leave it out.")
    limits = stated.get("limits", {})
    for name, entry in limits.items() if isinstance(limits, Mapping) else ():
        address = entry.get("ledger") if isinstance(entry, Mapping) else None
        if isinstance(address, str) and ("://" in address or is_remote(address)):
            raise ProblemError(f"{file}: limits.{name}: expected a ledger in a file of the folder, not an address.")
