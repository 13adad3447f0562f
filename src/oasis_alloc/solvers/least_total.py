"""The monitor of the search for the least total relaxation: it ends where nothing has to be relaxed.

A total is a sum of differences of limits and totals. Where the least one is 0, its bound is 0 as well, and what is left
of the differences is rounding: relative to themselves they never vanish. They are measured as every verdict measures
them, `excess_g <= FEASIBLE * max(|limit_g|, sum_p |a_gp| x_p)`: an allocation that keeps all limits ends the search.
"""

from __future__ import annotations

from oasis_alloc.engines.base import Engine
from oasis_alloc.program.variants import within_reach
from oasis_alloc.solvers.evaluation import evaluate
from oasis_alloc.solvers.incumbent import Allocation
from oasis_alloc.solvers.monitor import Monitor


class LeastTotal(Monitor):
    """A monitor of a program without values, whose missed limits are those of the program of `stated`.

    Limits that no allocation can keep count as moved to where one can. Time is what is left for the `outer` solve.
    """

    def __init__(self, outer: Monitor, stated: Engine, gap: float, rounding: float) -> None:
        super().__init__(gap, outer.seconds_left)
        self._stage, self._may_conflict, self._rounding = "conflicts", False, rounding
        survey = stated.survey()
        self._stated, self._limits = stated, within_reach(stated.program, survey.min_totals, survey.max_totals)
        self._kept = False

    def offer(self, allocation: Allocation) -> None:
        before = self.best
        super().offer(allocation)
        if self.best is not before:  # its value is the best one
            self._kept = evaluate(self._stated, *allocation.nonzeros, self._limits).feasible

    @property
    def gap(self) -> float:
        """0 where the best allocation keeps all limits."""
        return 0.0 if self._kept else super().gap

    @property
    def reached(self) -> bool:
        return self._kept or super().reached
