"""What an engine keeps of a visit is asked of that visit, and of the last one alone."""

from __future__ import annotations

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.engines.base import StaleVisit
from oasis_alloc.engines.threads import Threads
from oasis_alloc.markets import matching
from oasis_alloc.program.lowering import lower


def test_slates_and_curvature_are_those_of_the_last_visit() -> None:
    problem = matching(users=200, degree=10, campaigns=20, seed=1).problem()
    program = lower(problem)
    with Threads(program, 1) as engine:
        prices = np.zeros(program.n_rows)
        first = engine.visit(prices, 1.0)
        positions, x = first.slates()
        assert np.allclose(engine.add_up(positions, x)[1], first.totals)
        assert first.curvature(np.ones(program.n_rows)).shape == (program.n_rows,)
        second = engine.visit(prices + 1.0, 1.0)
        assert second.is_last
        for ask in (first.slates, lambda: first.curvature(prices)):
            with pytest.raises(StaleVisit, match=r"visit 1 are gone.*made visit 2 since.*visit again"):
                ask()
        assert second.slates()[1].size


def test_a_sample_has_no_slates() -> None:
    candidates = oa.Candidates.from_arrays(np.arange(65) * 2, np.tile([0, 1], 64), {"r": np.linspace(0.1, 1.0, 128)})
    program = lower(oa.Problem(candidates, oa.total("r"), [oa.exposure() <= 9.0], oa.Slate(1)))
    with Threads(program, 1) as engine, pytest.raises(StaleVisit, match=r"stride=1"):
        engine.visit(np.zeros(program.n_rows), 1.0, stride=2).slates()
