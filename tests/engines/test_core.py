"""A visit to the pairs that prices leave open says what a visit to all users says, at prices within the margins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from streamed import files, same

import oasis_alloc as oa
from oasis_alloc.engines.base import StaleVisit
from oasis_alloc.engines.threads import Threads
from oasis_alloc.markets import matching
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers.monitor import Monitor
from oasis_alloc.solvers.nearby import Nearby
from oasis_alloc.solvers.newton import SmoothedDual, minimize
from oasis_alloc.solvers.settings import DUAL

SLATES = {
    "sizes": oa.Slate(3),
    "sizes of users": oa.Slate(np.arange(600) % 4),
    "diminishing": oa.Slate(3, diminishing={"genre": 0.1}),
    "keep": oa.Slate(3, keep={"value": 0.5}),
    "crossing": oa.Slate(3, at_most={"genre": 1, "artist": 1}),
}


def problem(slate: oa.Slate, users: int = 600) -> oa.Problem:
    """Caps per campaign, which bind, and a column next to exposure."""
    made = matching(users=users, degree=20, campaigns=60, size=3, seed=2)
    stated = made.problem()
    item = np.arange(60)
    cands = oa.Candidates.from_arrays(
        stated.candidates.indptr,
        stated.candidates.item,
        {**stated.candidates.columns, "cost": np.random.default_rng(1).random(20 * users, np.float32)},
        items={"campaign": item // 2, "genre": item % 7, "artist": item % 11},
    )
    spent = (oa.total("cost", by="genre") <= 0.14 * users).named("spent")
    caps = (oa.exposure(by="campaign") <= 0.09 * users).named("caps")
    return oa.Problem(cands, oa.total("value"), [caps, spent], slate)


@pytest.mark.few(1)
@pytest.mark.parametrize("name", SLATES)
def test_a_visit_is_that_of_all_users(name: str) -> None:
    stated = problem(SLATES[name])
    program = lower(stated)
    solution = oa.solve(stated, gap=1e-3)
    prices = np.concatenate([solution.prices[block.name] for block in program.blocks])
    assert np.count_nonzero(prices) >= 10
    rng, gamma, margin = np.random.default_rng(0), 0.01, 0.15
    with Threads(program, 1) as engine:
        engine.visit(prices, gamma)
        split = engine.decide(prices, np.full(program.n_rows, margin))
        before = engine.passes
        core = engine.core(split)
        assert 0.0 < core.share < 0.9
        for part in (0.0, 0.03, -0.03):
            moved = np.maximum(prices * (1.0 + part * rng.random(prices.size)), 0.0)
            own, whole = core.visit(moved, gamma), engine.visit(moved, gamma)
            for member in ("smoothed", "bound", "value", "totals", "activity", "diagonal"):
                assert getattr(own, member) == pytest.approx(getattr(whole, member), rel=1e-7, abs=1e-7), member
            assert own.fractional == pytest.approx(whole.fractional, abs=0.1 * whole.fractional)
            direction = rng.random(program.n_rows)
            assert own.curvature(direction) == pytest.approx(whole.curvature(direction), rel=1e-6, abs=1e-6)
            mine, theirs = np.zeros((2, program.n_pairs))
            for visit, x in ((own, mine), (whole, theirs)):
                positions, shares = visit.slates()
                assert np.all(np.diff(positions) > 0)
                x[positions] = shares
            assert mine == pytest.approx(theirs, abs=1e-7)
        assert engine.passes == pytest.approx(before + 6.0 * core.share + 6.0)
        first = core.visit(prices, gamma)
        core.visit(moved, gamma)
        with pytest.raises(StaleVisit):
            first.slates()
        core.close()


def test_steps_on_fewer_pairs_end_where_other_pairs_would_matter() -> None:
    """A price far above the one that meets its cap comes down as far as the pairs that are visited say."""
    program = lower(problem(SLATES["sizes"]))
    with DUAL.using(core_pairs=0), Threads(program, 1) as engine:
        dual = SmoothedDual(engine, lambda point, stride: None, DUAL.now)
        best = minimize(dual, dual.at(program.variables(np.zeros(program.n_rows)), 0.02), 1, 1e-6, 50)
        start = best.z.copy()
        far = int(np.argmax(start))
        start[far] += 4.0
        near = Nearby(dual, Monitor(1e-4))
        entered = near.enter(dual.at(start, 0.02))
        assert near.is_part
        least = near.dual.lower[far]
        assert best.z[far] < least < start[far]
        end = minimize(near.dual, entered, 1, 1e-6, 100)
        assert (end.z >= near.dual.lower).all()
        assert (end.z <= near.dual.upper).all()
        assert end.z[far] == least
        assert near.dual.residual(end) < 1e-3, "the other prices arrive"
        assert not dual.at_bound(near.leave(end))[far], "with all pairs it goes on"


def test_steps_on_fewer_pairs_save_passes_and_have_the_same_bits_in_files(tmp_path: Path) -> None:
    stated = problem(oa.Slate(3), 3000)
    gain = oa.total("value") + 60.0 * oa.log(oa.exposure(by="campaign"), offset=1.0)
    fair = stated.replace(maximize=gain, subject_to=[])
    solution = oa.solve(fair, gap=1e-4, threads=2)
    with DUAL.using(core_share=0.0):
        whole = oa.solve(fair, gap=1e-4, threads=1)
    assert solution.status is whole.status is oa.Status.SOLVED
    assert solution.value == pytest.approx(whole.value, rel=1e-4)
    assert solution.passes % 1.0
    assert not whole.passes % 1.0
    assert solution.passes < whole.passes
    given = fair.candidates
    items = {name: np.asarray(key.labels)[key.codes] for name, key in given.items.items()}
    read = oa.Candidates.from_parquet(files(given, tmp_path, [777, 20_001], 5_000), items=items)
    same(solution, oa.solve(fair.replace(candidates=read), gap=1e-4, threads=1))
