"""The solvers by name. A solver takes an engine and a monitor, and stores its results in the monitor."""

from __future__ import annotations

from typing import Protocol

from oasis_alloc.common.nearest import did_you_mean
from oasis_alloc.common.types import Floats
from oasis_alloc.engines.base import Engine
from oasis_alloc.errors import ProblemError
from oasis_alloc.solvers.monitor import Monitor


class Solver(Protocol):
    """Improve the monitor's answer until its gap is reached; the caller handles `Stop` and infeasibility."""

    def __call__(self, engine: Engine, monitor: Monitor, z: Floats | None) -> None: ...


SOLVERS = ("dual", "conic", "conic:highs", "conic:clarabel", "conic:osqp")


def solver_named(name: str) -> Solver:
    """The solver of this name; its modules are imported now, not before."""
    if name == "dual":
        from oasis_alloc.solvers.dual import optimize

        return lambda engine, monitor, z: optimize(engine, monitor, z, None)
    if name in SOLVERS:
        from oasis_alloc.solvers.conic import optimize_conic

        backend = name.partition(":")[2] or None
        return lambda engine, monitor, z: optimize_conic(engine, monitor, backend)
    raise ProblemError(f"there is no solver {name!r}.{did_you_mean(name, SOLVERS)}")
