"""What the board can show: problems, jobs, saved solutions and policies, read from their files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from oasis_alloc.common.regular_files import check_regular
from oasis_alloc.common.types import Floats
from oasis_alloc.errors import InputError, OasisAllocError

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy
    from oasis_alloc.problem import Problem
    from oasis_alloc.results.saved import SavedSolution
    from oasis_alloc.session import Session
    from oasis_alloc.solution import Solution

PROBLEM, SOLUTION, POLICY = "problem", "solution", "policy"
_WRITES = ("checkpoint", "checkpoint_every", "resume")  # entries of [solve] that are left out: the board only reads


@dataclass(frozen=True, eq=False)
class Allocation:
    """The non-zeros of an allocation by ids, of a solution of either kind."""

    user: npt.NDArray[Any]
    item: npt.NDArray[Any]
    x: Floats


@dataclass(eq=False)
class Source:
    """One thing that the board shows.

    `kind` is "problem" (solved here: all views), "solution" (a saved one: no candidates) or "policy". `document` is
    the solution as JSON, None for a policy. `stated` is the answer to the problem as stated, which has no allocation
    where limits conflict; `solution` is then of the relaxed problem.
    """

    name: str
    kind: str
    path: str
    document: dict[str, Any] | None = None
    saved: SavedSolution | None = None
    solution: Solution | None = None
    stated: Solution | None = None
    policy: Policy | None = None
    session: Session | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    is_edited: bool = False

    @property
    def allocation(self) -> Allocation | None:
        """The allocation by ids; None for a policy."""
        if self.saved is not None:
            return Allocation(self.saved.user, self.saved.item, self.saved.x)
        if self.solution is None:
            return None
        candidates, pairs = self.solution.problem.candidates, self.solution.pairs
        user, item = candidates.user_of(pairs), candidates.item[pairs]
        user = user if candidates.user_ids is None else candidates.user_ids[user]
        item = item if candidates.item_ids is None else candidates.item_ids[item]
        return Allocation(user, item, self.solution.x)


def read_source(path: Path, progress: Callable[[Any], object] | None = None) -> Source:
    """Read a file and, if it states a problem, solve it; `progress` is that of `solve`.

    Raises `InputError` and `ProblemError` for what cannot be read, with the path and what was expected.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a problem or job (.toml), a saved solution, or a policy.")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    if path.suffix.lower() == ".toml":
        problem, options = _stated(path)
        return solved(path.stem, str(path), problem, options, progress)
    return _read_binary(path, progress)


def solved(
    name: str,
    path: str,
    problem: Problem,
    options: Mapping[str, Any],
    progress: Callable[[Any], object] | None = None,
    session: Session | None = None,
) -> Source:
    """Solve a problem; where its limits conflict, also solve the one that relaxes them least."""
    from oasis_alloc.session import Session

    session = Session(problem) if session is None else session
    first = {key: value for key, value in options.items() if key not in ("on_conflict", *_WRITES)}
    if session.solution is not None:
        first.pop("start", None)  # the session knows better
    stated = session.solve(progress=progress, **first)
    solution = stated
    if stated.status.name == "INFEASIBLE":
        solution = session.solve(progress=progress, **(first | {"on_conflict": "relax"}))
    return Source(
        name, PROBLEM, path, solution.to_dict(), None, solution, stated, None, session,
        {key: value for key, value in first.items() if key != "start"},
    )  # fmt: skip


def _stated(path: Path) -> tuple[Problem, Mapping[str, Any]]:
    """The problem of a statement or of a job, and its settings."""
    from oasis_alloc.problem_file.statement import parsed, read_source, read_statement

    if "publish" not in parsed(read_source(path), path.name):
        statement = read_statement(path)
        return statement.problem, statement.solve
    from oasis_alloc.publish.jobs.folder import SOLUTION as FILE
    from oasis_alloc.publish.jobs.job import read_job

    job = read_job(path)
    last = job.runs.last_published("")
    statement = job.statement(None if last is None else last.file(FILE))
    return statement.problem, statement.solve


def _read_binary(path: Path, progress: Callable[[Any], object] | None) -> Source:
    """A saved solution, a policy or a reproduction: each reader refuses files of the others."""
    from oasis_alloc.policy import Policy
    from oasis_alloc.reproduction import read_reproduction
    from oasis_alloc.results.saved import load_solution

    kind = _kind(path)
    if kind.startswith("oasis_alloc solution"):
        saved = load_solution(path)
        return Source(path.stem, SOLUTION, str(path), saved.to_dict(), saved=saved)
    if kind.startswith("oasis_alloc reproduction"):
        again = read_reproduction(path)
        return solved(path.stem, str(path), again.problem, again.settings, progress)
    try:
        return Source(path.stem, POLICY, str(path), policy=Policy.load(path))
    except OasisAllocError as error:
        raise InputError(
            f"{path} is neither a saved solution, a policy, a reproduction nor a .toml file of a problem or a job "
            f"({error})"
        ) from error


def _kind(path: Path) -> str:
    """What the header of a safetensors file says it is; "" for other files."""
    from safetensors import SafetensorError, safe_open

    try:
        check_regular(path)
        with safe_open(str(path), framework="numpy") as file:
            return str((file.metadata() or {}).get("format", ""))
    except (OSError, SafetensorError, TypeError, ValueError, KeyError, OverflowError, MemoryError):
        return ""
