"""The state of a solve and when to stop: the best bound, the best allocation, limits and progress."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import numpy.typing as npt

from oasis_alloc.common.types import Floats
from oasis_alloc.common.verdicts import FEASIBLE, ROUNDING, relative_gap
from oasis_alloc.program.narrowing import Narrowing
from oasis_alloc.solvers.incumbent import Allocation, DualIterate

_TICKS = 8  # over which the pass rate is measured
_Proven = tuple[float, Floats | None, Narrowing | None]  # a bound, its prices, and the rows that these are of
_OF_PARTS = 0.01  # share of the objective's absolute parts that counts while the gap can still shrink


class Status(Enum):
    """How a solve ended; the value says what to do next.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> oa.Status.SOLVED.name
    'SOLVED'
    """

    SOLVED = "solved: the requested gap is proven; use the allocation and the prices"
    INFEASIBLE = (
        "infeasible: no allocation meets all constraints; solution.conflicts names them and by how much each must be "
        "relaxed"
    )
    RELAXED = (
        "relaxed: the constraints conflict; this is the best allocation of the smallest total relaxation; "
        "solution.conflicts names the limits that are missed and by how much"
    )
    TIME_LIMIT = (
        "time limit: stopped before the requested gap was proven; raise time_limit, or go on with start=solution"
    )
    PASS_LIMIT = (
        "pass limit: stopped before the requested gap was proven; raise pass_limit, or go on with start=solution"
    )
    INTERRUPTED = (
        "interrupted: the best answer so far, with its certificate; go on with start=solution, or with resume= where a "
        "checkpoint was kept"
    )
    STOPPED = "stopped by progress(): the best answer so far, with its certificate; go on with start=solution"
    STALLED = (
        "stalled: the requested gap was not reached; the certificate holds; ask for a wider gap or use solver='conic'"
    )

    def __str__(self) -> str:
        return self.value.partition(":")[0]

    @property
    def advice(self) -> str:
        """What to do next."""
        return self.value.partition(": ")[2]


@dataclass(frozen=True)
class Progress:
    """The state of a solve, passed to `progress(state)` about once per pass.

    Returning True (or NumPy's `np.True_`) from `progress` stops the solve with status `STOPPED` and the best answer so
    far: `progress=lambda state: state.gap < 1e-3`. All numbers are Python's floats.

    Example
    -------
    >>> import oasis_alloc as oa
    >>> lines = []
    >>> def watch(state: oa.Progress) -> bool:
    ...     lines.append(f"{state.stage} {state.passes:.1f} {state.gap:.0e}")
    ...     return state.seconds > 60
    """

    stage: str  # "sample", "passes", "finish" or "conflicts"
    passes: float  # full-pass equivalents
    seconds: float
    bound: float  # +inf until known
    value: float  # nan until there is an allocation
    gap: float  # inf until both are
    violation: float  # of the allocation with this value
    smoothing: float  # gamma, in units of scores
    target: float  # the requested gap
    rate: float | None = None  # pairs visited per second, recently; None until known
    left: float | None = None  # estimated seconds until the requested gap, at the recent rate; None if unknown


def asks_to_stop(answer: object) -> bool:
    """True if a caller's progress function returned a true boolean, Python's or NumPy's.

    >>> asks_to_stop(np.float64(0.5) < 1.0), asks_to_stop(None), asks_to_stop("a text")
    (True, False, False)
    """
    return isinstance(answer, (bool, np.bool_)) and bool(answer)


class Stop(Exception):
    """Raised inside a solve to end it with a status."""

    def __init__(self, status: Status) -> None:
        super().__init__(status)
        self.status = status


class SuspectedInfeasible(Exception):
    """Raised inside a solve if the constraints seem to conflict; the relaxation then decides."""


class Monitor:
    """Keeps the best bound with its prices and the best allocation; raises `Stop` at a limit.

    Solvers offer bounds and allocations, and say at which stage (`enter`) and where (`at`) they are.
    """

    def __init__(
        self,
        gap: float,
        time_limit: float | None = None,
        pass_limit: float | None = None,
        progress: Callable[[Progress], object] | None = None,
    ) -> None:
        self._target = gap
        self._time_limit = time_limit
        self._pass_limit = pass_limit
        self._progress = progress
        self._started = time.perf_counter()
        self._stage = "passes"
        # prices and variables may be of fewer rows, and are told of all when they are asked for
        self._proven: _Proven = (np.inf, None, None)  # one assignment, so an interrupt cannot split it
        self._best: Allocation | None = None
        self._iterate: tuple[DualIterate, Narrowing | None] | None = None
        self._first_smoothing: float | None = None
        self._before = (0.0, 0.0)
        self.typical = 0.0  # score that smoothings are measured by, 0 until a solver sets it
        self._keep: Callable[[float], object] | None = None
        self._parts: Callable[[npt.NDArray[np.int64], Floats], float] | None = None
        self._may_conflict = True
        self._narrowing: Narrowing | None = None
        self._n_pairs = 0
        self._lowest = -np.inf
        self._rounding, self._slots, self._exact = 0.0, 1.0, False
        self._scale = 0.0
        self._free: float | None = None
        self._pace: deque[tuple[float, float]] = deque(maxlen=_TICKS)
        self._first: tuple[float, float] | None = None  # seconds and gap when a gap was first known

    def within(self, gap: float, stage: str, rounding: float, scale: float = 0.0) -> Monitor:
        """A monitor for a problem that is solved inside this one: its time limit is the time left for this one.

        That problem is always feasible, and reports no progress. Rounding of its penalties may exceed all values, so it
        goes on while the gap is not reached without.
        """
        inner = Monitor(gap, self.seconds_left)
        inner._stage, inner._may_conflict = stage, False
        inner._rounding, inner._scale, inner._exact = rounding, scale, True
        return inner

    def about(self, pairs: int, lowest: float, scale: float, rounding: float, free: float | None, slots: float) -> None:
        """Set what is known about the program before the solve.

        A bound below `lowest` proves that there is no allocation. `scale` is the size of the objective until a bound or
        value is known, `rounding` that of scores in all `slots`, `free` a known bound that holds beyond limits too.
        """
        self._n_pairs, self._lowest, self._scale = pairs, lowest, scale
        self._rounding, self._free, self._slots = rounding, free, slots

    def measure_parts(self, parts: Callable[[npt.NDArray[np.int64], Floats], float]) -> None:
        """Use this function for the absolute parts of the objective of an allocation: linear terms may cancel."""
        self._parts = parts

    def keep_with(self, keep: Callable[[float], object]) -> None:
        """Call this at every tick, with the passes: it writes checkpoints."""
        self._keep = keep

    def resume_from(self, passes: float, seconds: float, iterate: DualIterate | None) -> None:
        """Go on from an earlier solve, after its passes and seconds; from its place, if it had one."""
        self._before = (passes, seconds)
        if iterate is not None:
            self._iterate, self._first_smoothing = (iterate, None), iterate.gamma

    def enter(self, stage: str) -> None:
        """Set the stage that begins: "sample", "passes", "recovery", "finish", "conflicts" or "conic"."""
        self._stage = stage

    def at(self, z: Floats, gamma: float) -> None:
        """Set the state of the optimizer."""
        self._iterate = DualIterate(z, gamma), self._narrowing

    def first_smoothing(self) -> float | None:
        """The smoothing of the earlier solve that this one goes on from; None without one, and at the second call."""
        gamma, self._first_smoothing = self._first_smoothing, None
        return gamma

    def demands_can_be_met(self) -> None:
        """Stop suspecting a conflict: the relaxation found none."""
        self._may_conflict = False

    @property
    def target(self) -> float:
        """The requested gap."""
        return self._target

    @property
    def stage(self) -> str:
        """The current stage."""
        return self._stage

    @property
    def iterate(self) -> DualIterate | None:
        """The state of the optimizer at its last visit to all users."""
        if self._iterate is None:
            return None
        found, narrowing = self._iterate
        return found if narrowing is None else replace(found, z=narrowing.variables_of_whole(found.z))

    @property
    def before(self) -> tuple[float, float]:
        """Passes and seconds of the solves that this one goes on from."""
        return self._before

    @property
    def best(self) -> Allocation | None:
        """The best allocation so far."""
        return self._best

    @property
    def has_answer(self) -> bool:
        """True if an allocation that meets all limits is known."""
        return self._best is not None and self._best.feasible

    @property
    def may_conflict(self) -> bool:
        """True until an allocation or the relaxation shows that the constraints can be met."""
        return self._may_conflict

    @property
    def rounding(self) -> float:
        """The difference up to which bound and value count as equal: a share of the objective's parts."""
        return self.rounding_of(self._best)

    def rounding_of(self, allocation: Allocation | None) -> float:
        """The same at another allocation; at None, that of scores alone."""
        parts = 0.0 if allocation is None else allocation.parts
        return self._rounding + (ROUNDING * parts if np.isfinite(parts) else 0.0)

    @property
    def scale(self) -> float:
        """Size of the objective until a bound or value is known."""
        return self._scale

    @property
    def free(self) -> float | None:
        """A bound of all allocations, also those that break limits; None if unknown."""
        return self._free

    @property
    def bound(self) -> float:
        """The best bound so far."""
        return self._proven[0]

    @property
    def prices(self) -> Floats | None:
        """Prices that prove the best bound."""
        _, prices, narrowing = self._proven
        return prices if prices is None or narrowing is None else narrowing.prices_of_whole(prices)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._started

    @property
    def seconds_left(self) -> float | None:
        return None if self._time_limit is None else self._time_limit - self.seconds

    @property
    def gap(self) -> float:
        """As `verdicts.relative_gap`, of the best feasible allocation; infinite if there is none."""
        if self._best is None or not self._best.feasible or not np.isfinite(self.bound):
            return np.inf
        return relative_gap(self.bound, self._best.value, self._best.size, self.rounding)

    def size_of(self, value: float) -> float:
        """The denominator of the gap at a value: the objective's size, also if value and bound do not show it."""
        bound = abs(self.bound) if np.isfinite(self.bound) else 0.0
        parts = _OF_PARTS * self._best.size if self._best is not None else 0.0
        return max(abs(value), bound, parts, self.rounding, 1e-300)

    @property
    def proven(self) -> bool:
        """True if the requested gap is reached."""
        return self.gap <= self._target

    @property
    def reached(self) -> bool:
        """True if the solve is complete: the requested gap is reached, without much help from terms that cancel.

        Parts that cancel make the relative gap small, which is right only if it cannot be improved. While it can, they
        count one hundredth, and rounding is that of the slots in use: that of all may be more than the objective.
        """
        if self._best is None or not self.proven:
            return False
        rounding = 0.0 if self._exact else self.rounding - self._rounding
        rounding += self._rounding * min(1.0, self._best.filled / self._slots)
        return relative_gap(self.bound, self._best.value, _OF_PARTS * self._best.size, rounding) <= self._target

    def offer_bound(self, bound: float, prices: Floats) -> bool:
        """Keep a bound if it is the best so far; raise `SuspectedInfeasible` if no allocation has such a low value."""
        better = bound < self.bound
        if better:
            self._proven = (bound, prices.copy(), self._narrowing)
            if self._may_conflict and bound < self._lowest - FEASIBLE * max(self._scale, abs(self._lowest)):
                raise SuspectedInfeasible
        return better

    @contextmanager
    def narrowed(self, narrowing: Narrowing) -> Iterator[None]:
        """Take what is offered in this block as being of a program of fewer rows."""
        self._narrowing = narrowing
        try:
            yield
        finally:
            self._narrowing = None

    def restate(self, allocation: Allocation) -> None:
        """Put the same allocation, added up for all rows, in the place of the best one."""
        assert self._best is not None  # it is this one
        self._best = replace(allocation, size=max(allocation.size, self._best.size))

    def offer(self, allocation: Allocation) -> None:
        """Keep an allocation if it is feasible and worth more, or misses caps, then other limits, by less."""
        best = self._best
        if (
            best is None
            or (allocation.feasible and (not best.feasible or allocation.value > best.value))
            or (not best.feasible and allocation.misses_less(best))
        ):
            if self._parts is not None and allocation.feasible:
                parts = self._parts(*allocation.nonzeros)
                allocation = replace(allocation, size=allocation.size + max(0.0, parts - abs(allocation.linear)))
            self._best = allocation
            if allocation.feasible:
                self._may_conflict = False  # this one meets all limits

    def tick(self, passes: float, smoothing: float = 0.0) -> None:
        """Report progress, write a checkpoint if it is due, and stop if a limit is reached."""
        if self._keep is not None:
            self._keep(passes)
        if self._progress is not None and asks_to_stop(self._progress(self.state(passes, smoothing))):
            raise Stop(Status.STOPPED)
        self.check_limits(passes)

    def check_limits(self, passes: float) -> None:
        """Stop if a limit is reached; called directly where several passes go by without a tick."""
        if self._time_limit is not None and self.seconds >= self._time_limit:
            raise Stop(Status.TIME_LIMIT)
        if self._pass_limit is not None and passes >= self._pass_limit:
            raise Stop(Status.PASS_LIMIT)

    def state(self, passes: float, smoothing: float) -> Progress:
        best = self._best
        rate, left = self._estimates(passes)
        return Progress(
            stage=self._stage,
            passes=float(self._before[0] + passes),
            seconds=float(self._before[1] + self.seconds),
            bound=float(self.bound),
            value=float(best.value) if best is not None else float(np.nan),
            gap=float(self.gap),
            violation=float(best.violation) if best is not None else float(np.nan),
            smoothing=float(smoothing),
            target=float(self._target),
            rate=None if rate is None else float(rate),
            left=None if left is None else float(left),
        )

    def _estimates(self, passes: float) -> tuple[float | None, float | None]:
        """(pairs per second over the last ticks, seconds left if each order of magnitude takes as long as before)."""
        now, gap = self.seconds, self.gap
        if self._pace and passes < self._pace[-1][1]:
            self._pace.clear()  # another engine has its own count
        self._pace.append((now, passes))
        took, done = now - self._pace[0][0], passes - self._pace[0][1]
        rate = self._n_pairs * done / took if took > 0.0 and done > 0.0 else None
        if self.reached:
            return rate, 0.0
        if not 0.0 < gap < np.inf:  # of 0 it is where an allocation of the best value still misses a limit
            return rate, None
        if self._first is None:
            self._first = (now, gap)
        since, way = now - self._first[0], np.log(self._first[1] / gap)
        return rate, float(since * np.log(gap / self._target) / way) if way > 0.0 and since > 0.0 else None
