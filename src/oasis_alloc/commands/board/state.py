"""The board's state: what it shows, the session that it asks, and the changes that were made on it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from oasis_alloc.commands.board.sources import PROBLEM, Source, solved
from oasis_alloc.errors import InputError, ProblemError

if TYPE_CHECKING:
    from oasis_alloc.problem import Problem
    from oasis_alloc.session import Session
    from oasis_alloc.solution import Solution

_Made = TypeVar("_Made")


@dataclass(eq=False)
class Board:
    """What the page shows: `sources[0]` first, and the others to compare with it.

    `lock` is held by whatever solves. `cache` has what views computed of the current answer, and is emptied when the
    answer changes.
    """

    sources: list[Source]
    editable: bool = False
    out: Path = Path()
    extras: dict[str, Any] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    quoting: threading.Lock = field(default_factory=threading.Lock)
    serving: threading.Lock = field(default_factory=threading.Lock)
    cache: dict[Any, Any] = field(default_factory=dict)
    before: list[Problem] = field(default_factory=list)
    version: int = 0

    def add(self, source: Source) -> None:
        """Show one more source; the first is the one that views are of."""
        self.sources = [*self.sources, source]

    @property
    def read(self) -> Source:
        """The first source as it was read."""
        return next(one for one in self.sources if not one.is_edited)

    @property
    def current(self) -> Source:
        """What the views are of."""
        return self.sources[0]

    @property
    def solution(self) -> Solution:
        """The current solution with its candidates; `InputError` where there is none."""
        found = self.current.solution
        if found is None:
            what = {"solution": "a saved solution has no candidates", "policy": "a policy has no candidates"}
            raise InputError(
                f"{what[self.current.kind]}. For this view, start the board with the problem: "
                "oasis-alloc board problem.toml"
            )
        return found

    def cached(self, key: Any, make: Callable[[], _Made]) -> _Made:
        """What `make` returns, computed once for the current answer."""
        with self.lock:
            if key not in self.cache:
                self.cache[key] = make()
            made: _Made = self.cache[key]
            return made

    def change(self, make: Callable[[Session], None]) -> Source:
        """Change the session's problem and solve again; the answer becomes the current one. Nothing changes on error.

        Raises `InputError` where the board was started without `--edit`, and what `make` raises.
        """
        self.refuse_unless_editable()
        with self.lock:
            session = self._session()
            problem = session.problem
            make(session)
            return self._again(problem)

    def undo(self) -> Source:
        """Take the last change back."""
        self.refuse_unless_editable()
        with self.lock:
            if not self.before:
                raise InputError("there is no change to take back.")
            session = self._session()
            session.change(problem=self.before[-1])
            source = self.read if len(self.before) == 1 else self._solved(session)
            self.before.pop()
            self._set(source)
            return source

    def save(self) -> Path:
        """Write the current solution to `NAME.board.solution`, for `oa.load_solution`, and return its path."""
        self.refuse_unless_editable()
        with self.lock:
            path = self.out / f"{self.read.name}.board.solution"
            try:
                self.solution.save(path)
            except OSError as error:
                raise InputError(f"{path} cannot be written: {error.strerror or error}.") from error
            return path

    def refuse_unless_editable(self) -> None:
        """Raise `InputError` on a board that only shows."""
        if not self.editable:
            raise InputError("this board is read-only; start it with --edit to change limits.")

    def _session(self) -> Session:
        if self.current.kind != PROBLEM or self.current.session is None:
            raise ProblemError("only a problem can be changed; start the board with a problem or a job.")
        return self.current.session

    def _again(self, problem: Problem) -> Source:
        session = self._session()
        try:
            source = self._solved(session)
        except BaseException:
            session.change(problem=problem)
            raise
        self.before.append(problem)
        self._set(source)
        return source

    def _solved(self, session: Session) -> Source:
        name = f"{self.read.name}, edited"
        source = solved(name, self.read.path, session.problem, self.read.options, session=session)
        source.is_edited = True
        return source

    def _set(self, source: Source) -> None:
        unchanged = [one for one in self.sources if not one.is_edited]
        self.sources = unchanged if source in unchanged else [source, *unchanged]
        self.cache.clear()
        self.version += 1
