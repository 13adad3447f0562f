"""Guards of what every market keeps cost little more than none: passes are counted on months of 60,000 pairs."""

from __future__ import annotations

import pytest

import oasis_alloc as oa
from oasis_alloc.markets import month


@pytest.mark.few(1)
@pytest.mark.parametrize("seed", [0, 1])
def test_guards_by_market_take_the_passes_of_a_solve_without_them(seed: int) -> None:
    problem = month(users=1000, degree=60, campaigns=20, seed=seed).problem()
    reached = oa.organic(problem.candidates, by="market", size=10)
    others = [limit for limit in problem.subject_to if "relevance" not in str(limit)]
    assert len(others) < len(problem.subject_to), "the market has a guard of its own"

    def solved(share: float | None) -> oa.Solution:
        guards = [] if share is None else [(oa.total("relevance", by="market") >= share * reached).named("guards")]
        solution = oa.solve(problem.replace(subject_to=[*others, *guards]), gap=1e-4)
        assert solution.status is oa.Status.SOLVED
        return solution

    free, slack, binding = solved(None), solved(0.9), solved(0.98)
    assert not slack.prices["guards"].any()
    assert slack.passes <= free.passes + 1, "guards that do not bind cost nothing"
    assert slack.value == pytest.approx(free.value, rel=1e-4)
    assert binding.prices["guards"].any()
    assert binding.passes <= 3 * free.passes
