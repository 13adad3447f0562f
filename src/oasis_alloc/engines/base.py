"""What a solver asks of an engine: visit all users at these prices; get back one vector and a few scalars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program


@dataclass(frozen=True, eq=False)
class Visit:
    """The answer of one visit; all are sums over users, scaled up where only a sample was visited."""

    smoothed: float  # sum_u max s x - gamma/2 |x|^2
    bound: float  # sum_u max s x
    value: float  # v x of the smoothed maximizer
    totals: Floats  # (n_rows,) measures of the smoothed maximizer
    activity: Floats  # (n_rows,) the same with all coefficients and columns positive: what makes up the totals
    diagonal: Floats  # (n_rows,) Hessian diagonal of the smoothed part
    fractional: float  # pairs strictly between 0 and 1
    prices: Floats  # (n_rows,) at which users were visited
    gamma: float
    stride: int  # 1 for all users
    engine: VisitMemory  # what the engine keeps of its last visit is asked for here
    number: int

    @property
    def is_last(self) -> bool:
        """True until the engine's next visit: as long as the engine has what the calls below need."""
        return self.engine.visits == self.number

    def curvature(self, direction: Floats) -> Floats:
        """Hessian of the smoothed part times a direction, both by row. `StaleVisit` after another visit."""
        self._check()
        return self.engine.last_curvature(direction)

    def slates(self) -> tuple[npt.NDArray[np.int64], Floats]:
        """Non-zeros (positions, x) of the smoothed slates of all users. `StaleVisit` after another visit."""
        self._check()
        if self.stride != 1:
            raise StaleVisit("a visit to some users has no slates of the others: visit with stride=1")
        return self.engine.last_slates(self.prices, self.gamma)

    def _check(self) -> None:
        if not self.is_last:
            raise StaleVisit(
                f"visit {self.number} of an engine whose last one is {self.engine.visits}: its curvature and slates "
                "are gone. Ask the last visit, or visit again."
            )


class StaleVisit(RuntimeError):
    """A mistake of a solver: it asks a visit for what the engine keeps of its last one alone."""


class VisitMemory(Protocol):
    """What an engine keeps of its last visit; ask `Visit`, which knows whether it is the last one."""

    visits: int

    def last_curvature(self, direction: Floats) -> Floats: ...

    def last_slates(self, prices: Floats, gamma: float) -> tuple[npt.NDArray[np.int64], Floats]: ...


@dataclass(frozen=True, eq=False)
class PairSplit:
    """What prices decide of every pair (see kernels/decide.py)."""

    undecided: npt.NDArray[np.int64]  # pair numbers, ascending
    shown: npt.NDArray[np.int64]  # pairs that are in


class AllocationSums(NamedTuple):
    """Sums over an allocation."""

    value: float  # v x, less what decrements take
    decrement_cost: float  # what decrements take
    totals: Floats  # (n_rows,) measures
    activity: Floats  # (n_rows,) the same with all coefficients positive, and columns as far as a cell has one sign


@dataclass(frozen=True, eq=False)
class Survey:
    """What can be said of all pairs whatever the prices."""

    size: float  # mean |v|, 0 where there are no pairs
    largest: float  # max |v|
    lowest: float  # sum of what is negative of v: no slates are worth less
    min_totals: Floats  # (n_rows,) the totals if every candidate could be shown, what is negative alone ...
    max_totals: Floats  # ... and what is positive alone
    mark: float  # differs where the values or classes of pairs do


class Engine(Protocol):
    """Visits users; knows neither the problem nor the solver.

    Solvers read nothing of a pair from the program: the pairs may be elsewhere.
    """

    program: Program
    passes: float  # full visits so far, samples counted by their share

    def survey(self) -> Survey:
        """Look at all pairs once, whatever the prices; kept, and not counted as a pass."""
        ...

    def take(self, positions: npt.NDArray[np.int64]) -> PairView:
        """Single pairs, by ascending positions."""
        ...

    def visit(self, prices: Floats, gamma: float, stride: int = 1) -> Visit:
        """Visit all users (or one block of users in `stride`) at prices by row; what is kept of the last visit goes."""
        ...

    def histogram(self, prices: Floats, widest: float) -> npt.NDArray[np.int64]:
        """Counts of pairs by margin, in equal bins over [0, widest)."""
        ...

    def decide(self, prices: Floats, margins: Floats) -> PairSplit:
        """Split the pairs into in, out and undecided, given a margin by row; a pair takes the widest of its rows."""
        ...

    def scores(self, prices: Floats) -> Floats:
        """Priced score of every pair."""
        ...

    def add_up(self, positions: npt.NDArray[np.int64], x: Floats) -> tuple[float, Floats]:
        """(v x less decrements, totals by row) of an allocation given by its non-zeros."""
        ...

    def sums(self, positions: npt.NDArray[np.int64], x: Floats) -> AllocationSums:
        """The same, with the sizes of what is added up."""
        ...

    def plain(self) -> Engine:
        """Another engine of the same kind, over the same program without the slates' rules but their size."""
        ...

    def follow(self, other: Any, gamma: float) -> None:
        """Look for slates where those of another engine's last visit ended, of the same kind and users."""
        ...

    def close(self) -> None:
        """Release threads and buffers."""
        ...

    def __enter__(self) -> Any: ...
    def __exit__(self, *error: Any) -> None: ...
