"""When a solve writes checkpoints, and how it goes on from one."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path

import numpy as np

from oasis_alloc import checkpoint as files
from oasis_alloc.engines.base import Engine
from oasis_alloc.errors import ProblemError
from oasis_alloc.functions.base import Floats
from oasis_alloc.solvers.watch import Place, Watch
from oasis_alloc.solvers.worth import worth


@dataclass(eq=False)
class Keeping:
    """What `solve` was asked to keep, and what to go on from."""

    path: Path | None
    every: float
    resume: Path | None
    _watch: Watch | None = None
    _fingerprint: str = ""
    _last: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, path: object, every: float, resume: object, solver: str, has_start: bool) -> Keeping:
        """Check what was asked for, before anything is done."""
        kept, known = _as_path(path, "checkpoint"), _as_path(resume, "resume")
        if kept is not None and (kept.is_dir() or not kept.parent.is_dir()):
            raise ProblemError(f"solve(checkpoint={str(kept)!r}): expected a file in a directory that is there.")
        if known is not None and not known.is_file():
            raise ProblemError(f"solve(resume={str(known)!r}): there is no such file; expected a checkpoint.")
        if known is not None and has_start:
            raise ProblemError("solve(start=..., resume=...): a checkpoint has prices of its own; give one of the two.")
        if (kept or known) and solver != "dual":
            raise ProblemError(f"solve(solver={solver!r}): the reference keeps no checkpoints; use solver='dual'.")
        return cls(kept, every, known)

    def begin(self, engine: Engine, watch: Watch, z: Floats | None) -> Floats | None:
        """Take up the state that was asked for; dual variables to start from."""
        self._watch = watch
        if self.path is None and self.resume is None:
            return z
        self._fingerprint = files.fingerprint(engine)
        if self.path is not None:
            watch.keep = self._tick
        if self.resume is None:
            return z
        state = files.load(self.resume, self._fingerprint)
        watch.before = (state.passes, state.seconds)
        gamma = state.gamma if np.isfinite(state.gamma) else 1.0  # without demands there is none
        watch.place, watch.smoothing = Place(state.z, gamma), gamma
        # what the file says is worth nothing: both sides of the certificate are computed anew
        if state.positions.size:
            watch.offer(worth(engine, state.positions, state.x))
        prices = engine.program.admit(state.prices)
        watch.offer_bound(engine.visit(prices, gamma).bound + engine.program.conjugate(prices), prices)
        watch.tick(engine.passes, gamma)
        # the finisher goes on from better prices than those that the smoothed dual had
        return engine.program.variables(prices) if state.stage in ("finish", "landing") else state.z

    def _tick(self, passes: float) -> None:
        if time.perf_counter() - self._last >= self.every:
            self._write(passes)

    def end(self, engine: Engine) -> None:
        """Keep the last state."""
        if self.path is not None and self._watch is not None:
            self._write(engine.passes)

    def _write(self, passes: float) -> None:
        watch = self._watch
        assert watch is not None  # set by `begin`
        assert self.path is not None  # the callers have looked
        if watch.prices is None:
            return
        place = watch.place or Place(np.empty(0), np.nan)
        if not place.z.size and watch.prices.size:
            return  # no visit to all users yet
        best = watch.best if watch.best is not None and watch.best.feasible else None
        none = np.empty(0)
        files.save(
            self.path,
            files.State(
                z=place.z,
                gamma=place.gamma,
                prices=watch.prices,
                positions=none.astype(np.int64) if best is None else best.positions,
                x=none if best is None else best.x,
                stage=watch.stage,
                passes=watch.before[0] + passes,
                seconds=watch.before[1] + watch.seconds,
                bound=watch.bound,
                value=np.nan if best is None else best.value,
            ),
            self._fingerprint,
        )
        self._last = time.perf_counter()


def _as_path(path: object, what: str) -> Path | None:
    if path is not None and not isinstance(path, (str, PathLike)):
        raise ProblemError(f"solve({what}={path!r}): expected the path of a file.")
    return None if path is None else Path(path)
