"""The interface of engines: visit all users at given prices, and return one vector and a few scalars."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.engines.shown import Shown
from oasis_alloc.program.narrowing import Narrowing
from oasis_alloc.program.own_rows import OwnRows
from oasis_alloc.program.pair_lookup import PairView
from oasis_alloc.program.program import Program

if TYPE_CHECKING:
    from oasis_alloc.engines.core import Core


@dataclass(frozen=True, eq=False)
class Visit:
    """The result of one visit; all numbers are sums over users, scaled up if only a sample was visited."""

    smoothed: float  # sum_u max s x - gamma/2 |x|^2
    bound: float  # sum_u max s x
    value: float  # v x of the smoothed maximizer
    totals: Floats  # (n_rows,) measures of the smoothed maximizer
    activity: Floats  # (n_rows,) the same with absolute values of all coefficients and columns
    diagonal: Floats  # (n_rows,) Hessian diagonal of the smoothed part
    fractional: float  # pairs strictly between 0 and 1
    prices: Floats  # (n_rows,) the prices of the visit
    gamma: float
    stride: int  # 1 for all users
    engine: VisitMemory  # the source of data that the engine keeps of its last visit
    number: int

    @property
    def is_last(self) -> bool:
        """True until the engine's next visit: as long as the engine has the data for the calls below."""
        return self.engine.visits == self.number

    def curvature(self, direction: Floats) -> Floats:
        """Hessian of the smoothed part times a direction, both by row. `StaleVisit` after another visit."""
        self._check()
        return self.engine.last_curvature(direction)

    def slates(self) -> tuple[npt.NDArray[np.int64], Floats]:
        """Non-zeros (positions, x) of the smoothed slates of all users. `StaleVisit` after another visit."""
        self._check()
        if self.stride != 1:
            raise StaleVisit("this visit went to some users only and has no slates of the others; visit with stride=1")
        return self.engine.last_slates(self.prices, self.gamma)

    def _check(self) -> None:
        if not self.is_last:
            raise StaleVisit(
                f"the curvature and slates of visit {self.number} are gone: the engine has made visit "
                f"{self.engine.visits} since. Use the last visit, or visit again."
            )


class StaleVisit(RuntimeError):
    """A bug in a solver: it asks an old visit for data that the engine keeps only of its last visit."""


class VisitMemory(Protocol):
    """Data that an engine keeps of its last visit; use it through `Visit`, which checks that it is the last one."""

    @property
    def visits(self) -> int: ...

    def last_curvature(self, direction: Floats) -> Floats: ...

    def last_slates(self, prices: Floats, gamma: float) -> tuple[npt.NDArray[np.int64], Floats]: ...


@dataclass(frozen=True, eq=False)
class PairSplit:
    """The decision of prices on every pair (see kernels/solve/decide.py)."""

    undecided: npt.NDArray[np.int64]  # pair numbers, ascending
    shown: Shown  # pairs that are shown
    bound: float = np.inf  # sum_u max s x at the prices of the decision; under rules the same with a little smoothing


class AllocationSums(NamedTuple):
    """Sums over an allocation."""

    value: float  # v x minus decrements
    decrement_cost: float  # the sum of decrements
    totals: Floats  # (n_rows,) measures
    activity: Floats  # (n_rows,) the same with absolute coefficients, and absolute columns where a cell has one sign


@dataclass(frozen=True, eq=False)
class Survey:
    """Facts about all pairs that do not depend on prices."""

    size: float  # mean |v|, 0 without pairs
    largest: float  # max |v|
    lowest: float  # sum of the negative parts of v: a lower bound on the value of slates
    min_totals: Floats  # (n_rows,) the totals with every candidate shown, only their negative parts ...
    max_totals: Floats  # ... and only their positive parts
    typical: Floats  # (n_rows,) mean of the absolute parts that a pair in a row adds to it; see row_units.py
    mark: float  # a fingerprint of the values and classes of pairs

    def narrowed(self, narrowing: Narrowing) -> Survey:
        """The same of a program of fewer rows."""
        low, high = narrowing.sums(self.min_totals), narrowing.sums(self.max_totals)
        return replace(self, min_totals=low, max_totals=high, typical=self.typical[narrowing.rows])


def in_sample(users: npt.NDArray[np.int64], stride: int) -> npt.NDArray[np.bool_]:
    """True for the users that a visit with this stride goes to: one block of 32 in `stride`, as in the kernels."""
    return np.asarray((users >> 5) % stride == 0)


class Engine(Protocol):
    """Visits users; does not depend on the problem or the solver.

    Solvers must not read pairs from the program, because the pairs may be in files.
    """

    program: Program
    passes: float  # full visits so far, samples counted by their share

    @property
    def thresholds(self) -> Floats:
        """(n_users,) the score from which pairs of a user were shown in the last visit, without rules of slates."""
        ...

    def survey(self) -> Survey:
        """Read all pairs once, independent of prices; cached, and not counted as a pass."""
        ...

    def slate_reach(self) -> tuple[Floats, Floats]:
        """(smallest, largest) total of every row: in slates for functions that cannot bind in them, else of all pairs.

        See program/slate_reach.py. It may read all pairs once more, which is not counted as a pass; cached.
        """
        ...

    def narrowed(self, narrowing: Narrowing) -> AbstractContextManager[Engine]:
        """An engine for a program of fewer rows than this one's, until the end of the block; the pairs are the same."""
        ...

    def take(self, positions: npt.NDArray[np.int64]) -> PairView:
        """Single pairs, by ascending positions."""
        ...

    def visit(self, prices: Floats, gamma: float, stride: int = 1) -> Visit:
        """Visit all users (or one block of users in `stride`) at prices by row; data of the last visit are dropped."""
        ...

    @property
    def own_rows(self) -> OwnRows | None:
        """Rows of one user each, whose prices `with_own_prices` finds; None where there are none."""
        ...

    def with_own_prices(self, prices: Floats, gamma: float) -> Floats:
        """Prices by row with the best ones, at this smoothing, of every user's own rows; starts at those given."""
        ...

    def histogram(self, prices: Floats, widest: float) -> npt.NDArray[np.int64]:
        """Counts of pairs by margin, in equal bins over [0, widest)."""
        ...

    def decide(self, prices: Floats, margins: Floats) -> PairSplit:
        """Split the pairs into in, out and undecided, given a margin by row; a pair uses its rows' widest margin."""
        ...

    def scores(self, prices: Floats) -> Floats:
        """Priced score of every pair."""
        ...

    def add_up(self, positions: npt.NDArray[np.int64], x: Floats) -> tuple[float, Floats]:
        """(v x minus decrements, totals by row) of an allocation given by its non-zeros."""
        ...

    def sums(self, positions: npt.NDArray[np.int64], x: Floats) -> AllocationSums:
        """The same, with the sizes of the summands."""
        ...

    def sums_with(self, shown: Shown, own: npt.NDArray[np.int64], x: Floats) -> AllocationSums:
        """The same of pairs that are shown, and of others, by ascending positions, with their x."""
        ...

    def shown_in(self, shown: Shown, cells: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.int64], Shown]:
        """(those of some pairs that are in cells where the mask (n_cells,) is true, the others)."""
        ...

    def plain(self) -> Engine:
        """Another engine of the same kind, over the same program with only the sizes of slates as rules."""
        ...

    def core(self, split: PairSplit) -> Core:
        """Visits to the pairs that a decision leaves open, and to the shown ones of the same users."""
        ...

    def follow(self, other: Any, gamma: float) -> None:
        """Start the search for slates at those of another engine's last visit, of the same kind and users."""
        ...

    def close(self) -> None:
        """Release threads and buffers."""
        ...

    def __enter__(self) -> Any: ...
    def __exit__(self, *error: Any) -> None: ...
