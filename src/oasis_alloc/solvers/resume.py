"""When a solve writes checkpoints, and how it resumes from one."""

from __future__ import annotations

import logging
import time
import warnings
from contextlib import suppress
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np

from oasis_alloc.common.callers import callers_level
from oasis_alloc.common.files import kind_of_file, reason_of
from oasis_alloc.common.remote import RemoteCopy, is_remote
from oasis_alloc.common.types import Floats
from oasis_alloc.engines.base import Engine
from oasis_alloc.errors import CheckpointWarning, ProblemError
from oasis_alloc.solvers import checkpoint as files
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.incumbent import DualIterate
from oasis_alloc.solvers.monitor import Monitor

_log = logging.getLogger("oasis_alloc.solve")


@dataclass(eq=False)
class Checkpointer:
    """The checkpoint to write, and the checkpoint to resume from."""

    path: Path | None
    every: float
    resume: Path | None
    there: RemoteCopy | None = None  # the checkpoint, if it is in object storage: `path` is a copy
    from_there: RemoteCopy | None = None  # the same for `resume`
    _monitor: Monitor | None = None
    _fingerprint: str = ""
    _last: float = field(default_factory=time.perf_counter)
    _warned: set[str] = field(default_factory=set)  # reasons that this solve has warned of already

    @classmethod
    def of(cls, path: object, every: float, resume: object, solver: str, has_start: bool) -> Checkpointer:
        """Check the arguments before any work."""
        there = RemoteCopy(str(path)) if is_remote(path) else None
        from_there = _fetched(str(resume)) if is_remote(resume) else None
        kept = _as_path(path, "checkpoint") if there is None else there.path
        known = _as_path(resume, "resume") if from_there is None else from_there.path
        if kept is not None and not _can_be(kept, "checkpoint"):
            raise ProblemError(f"solve(checkpoint={str(kept)!r}): expected a file in a directory that exists.")
        if known is not None and not _is_file(known, "resume"):
            what = f"it is {kind_of_file(known)}" if known.exists() else "there is no such file"
            raise ProblemError(f"solve(resume={str(known)!r}): {what}; expected a checkpoint.")
        if known is not None and has_start:
            raise ProblemError("solve(start=..., resume=...): a checkpoint has its own prices; give one of the two.")
        if (kept or known) and solver != "dual":
            raise ProblemError(
                f"solve(solver={solver!r}): the reference solver writes no checkpoints; use solver='dual'."
            )
        return cls(kept, every, known, there, from_there)

    def begin(self, engine: Engine, monitor: Monitor) -> Floats | None:
        """Load the requested state; returns dual variables to start from."""
        self._monitor = monitor
        if self.path is None and self.resume is None:
            return None
        self._fingerprint = files.fingerprint(engine)
        if self.path is not None:
            monitor.keep_with(self._tick)
        if self.resume is None:
            return None
        state = files.load(self.resume, self._fingerprint)
        _check(state, engine, self.resume)
        begun = state.z.size == engine.program.row.size  # otherwise it ended before a visit to all users
        gamma = state.gamma if np.isfinite(state.gamma) else 1.0  # without demands there is none
        monitor.resume_from(state.passes, state.seconds, DualIterate(state.z, gamma) if begun else None)
        # the file is not trusted: both sides of the certificate are computed again
        if state.positions.size:
            monitor.offer(evaluate(engine, state.positions, state.x))
        prices = engine.program.admit(state.prices)
        monitor.offer_bound(engine.visit(prices, gamma).bound + engine.program.conjugate(prices), prices)
        monitor.tick(engine.passes, gamma)
        if not begun:
            return None
        # the finisher starts from better prices than those of the smoothed dual
        return engine.program.variables(prices) if state.stage in ("finish", "recovery") else state.z

    def _tick(self, passes: float) -> None:
        monitor = self._monitor
        assert monitor is not None  # set by `begin`, which gave the monitor this
        if time.perf_counter() - self._last >= self.every and monitor.prices is not None and _has_begun(monitor):
            self._write(monitor, monitor.prices, passes)

    def end(self, engine: Engine, monitor: Monitor) -> None:
        """Write the last state at any end of a solve; a solve that has proven a conflict has no prices to write."""
        if self.path is None:
            return
        if not self._fingerprint:  # it was hopeless from the start
            self._fingerprint = files.fingerprint(engine)
        prices = np.zeros(engine.program.n_rows) if monitor.prices is None else monitor.prices
        self._write(monitor, prices, engine.passes)

    def _write(self, monitor: Monitor, prices: Floats, passes: float) -> None:
        """Write the state, or warn if that fails: the solve goes on, and tries again at the next interval."""
        assert self.path is not None  # checked by the callers
        iterate = (
            monitor.iterate if monitor.iterate is not None and _has_begun(monitor) else DualIterate(np.empty(0), np.nan)
        )
        best = monitor.best if monitor.best is not None and monitor.best.feasible else None
        positions, x = (np.empty(0, np.int64), np.empty(0)) if best is None else best.nonzeros
        state = files.SolverState(
            z=iterate.z,
            gamma=iterate.gamma,
            prices=prices,
            positions=positions,
            x=x,
            stage=monitor.stage,
            passes=monitor.before[0] + passes,
            seconds=monitor.before[1] + monitor.seconds,
            bound=monitor.bound,
            value=np.nan if best is None else best.value,
        )
        try:
            files.save(self.path, state, self._fingerprint)
            if self.there is not None:
                self.there.send()
            _log.debug("checkpoint written: %s, after %.1f passes", self.path, state.passes)
        except (OSError, MemoryError) as error:
            self._warn(self.there or self.path, error)
        self._last = time.perf_counter()

    def _warn(self, path: Path | RemoteCopy, error: OSError | MemoryError) -> None:
        """Warn that a checkpoint cannot be written, and why: each reason once per solve."""
        reason = (isinstance(error, OSError) and error.strerror) or str(error) or "out of memory"
        if reason in self._warned:
            return
        self._warned.add(reason)
        message = (
            f"the checkpoint {str(path)!r} cannot be written ({reason}). The solve goes on and tries again later; an "
            "earlier checkpoint there stays whole."
        )
        _log.warning("%s", message)
        with suppress(CheckpointWarning):  # if warnings are errors, the answer must not be lost: it is logged
            warnings.warn(message, CheckpointWarning, stacklevel=callers_level())


def _has_begun(monitor: Monitor) -> bool:
    """True once the optimizer has visited all users, or if there is nothing to optimize."""
    return monitor.prices is not None and (
        not monitor.prices.size or (monitor.iterate is not None and monitor.iterate.z.size > 0)
    )


def _check(state: files.SolverState, engine: Engine, path: Path) -> None:
    """Refuse numbers that are impossible in a state of this program."""
    program = engine.program
    arrays = {"z": state.z, "prices": state.prices, "positions": state.positions, "x": state.x}
    wrong = [name for name, array in arrays.items() if array.ndim != 1 or array.dtype.kind != "fi"[name == "positions"]]
    wrong += [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if not wrong:
        wrong = [
            name
            for name, fits in {
                "z": state.z.size in (0, program.row.size),
                "prices": state.prices.size == program.n_rows,
                "x": state.x.size == state.positions.size and not (state.x < 0).any(),
                "positions": bool((np.diff(state.positions, prepend=-1, append=program.n_pairs) > 0).all()),
                "passes": np.isfinite([state.passes, state.seconds]).all(),
            }.items()
            if not fits
        ]
    if wrong:
        raise ProblemError(f"resume={str(path)!r} does not fit this problem: its {wrong[0]} is impossible here.")


def _fetched(address: str) -> RemoteCopy:
    """A copy of a checkpoint in object storage."""
    copy = RemoteCopy(address)
    try:
        copy.fetch()
    except FileNotFoundError:
        raise ProblemError(f"solve(resume={str(copy)!r}): there is no such file; expected a checkpoint.") from None
    except OSError as error:
        raise ProblemError(f"solve(resume={str(copy)!r}): cannot be read: {reason_of(error)}") from error
    return copy


def _can_be(path: Path, what: str) -> bool:
    """True if a file can be at this path."""
    try:
        return not path.is_dir() and path.parent.is_dir()
    except (OSError, ValueError) as error:  # a name that is too long or has a zero byte, a folder without permission
        raise ProblemError(
            f"solve({what}={str(path)!r}): no file can be written there ({reason_of(error)})."
        ) from error


def _is_file(path: Path, what: str) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError) as error:
        raise ProblemError(f"solve({what}={str(path)!r}): cannot be accessed ({reason_of(error)}).") from error


def _as_path(path: object, what: str) -> Path | None:
    if path is not None and not isinstance(path, (str, PathLike)):
        raise ProblemError(f"solve({what}={path!r}): expected the path of a file.")
    if path is not None and "\0" in str(path):
        raise ProblemError(f"solve({what}={path!r}): expected a path without a zero byte.")
    if path is not None and not str(path):  # Path("") is the current directory
        raise ProblemError(f"solve({what}={path!r}): the path is empty; expected the path of a file, or None.")
    return None if path is None else Path(path)
