"""Longest steps of prices whose rows have few pairs, and a program that does not end without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from benchmarks.shape_markets import EXACT
from benchmarks.shapes import SHAPES
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program.lowering import lower
from oasis_alloc.program.variants import relaxed
from oasis_alloc.solvers.newton import SmoothedDual, minimize
from oasis_alloc.solvers.settings import DUAL
from oasis_alloc.solvers.step_lengths import StepLengths

GAMMA = 0.1
FIRST = DUAL.now.radius * GAMMA


def lengths(may_own: bool = True, by: Any = None) -> StepLengths:
    """Lengths for caps of three items, or for a function of their exposure."""
    cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"value": [3.0, 2.0, 1.0]}, items={"item": [0, 1, 2]})
    caps = [oa.exposure("item") <= 0.5] if by is None else []
    program = lower(oa.Problem(cands, oa.total("value") if by is None else by, caps, oa.Slate(2)))
    return StepLengths(program, DUAL.now, may_own)


def learn(of: StepLengths, moved: float, before: float, after: float) -> float:
    """The longest step of the first price after one that was cut; those of the others stay."""
    one, cut = np.array([1.0, 0.0, 0.0]), np.array([True, False, False])
    of.learn(moved * one, before * one, after * one, cut)
    found = of.longest(GAMMA)
    np.testing.assert_array_equal(found[1:], of.radius * GAMMA)
    return float(found[0])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_step_that_went_too_far_is_followed_by_one_to_where_the_line_meets_the_limit(sign: float) -> None:
    of = lengths()
    assert learn(of, sign * FIRST, -sign * 1.5, sign * 0.5) == pytest.approx(0.25 * FIRST)
    assert learn(of, -sign * 0.25 * FIRST, sign * 0.5, -sign * 1.5) == pytest.approx(0.5 * 0.25 * FIRST)  # at most half


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_steps_that_do_not_go_far_enough_get_twice_as_long_without_end(sign: float) -> None:
    of, at = lengths(), FIRST
    for _ in range(12):
        assert learn(of, sign * at, -sign, -sign) == pytest.approx(2.0 * at)
        at *= 2.0
    assert at > DUAL.now.max_radius * GAMMA
    of.shorten(0.5)
    assert of.longest(GAMMA)[0] == pytest.approx(0.5 * at)


def test_curved_and_coupled_prices_keep_the_common_length() -> None:
    assert learn(lengths(may_own=False), FIRST, -1.0, 1.0) == FIRST
    assert learn(lengths(by=oa.log(oa.exposure("item"))), FIRST, -1.0, 1.0) == FIRST


def test_caps_per_person_and_campaign_whose_prices_are_far_apart_are_met() -> None:
    """Totals of two requests went from 0 to 2 and back at every step, and the solve took 113 passes."""
    given = EXACT["few campaigns"](5_000)
    solution = oa.solve(SHAPES["frequency"](given), gap=1e-4, threads=1)
    assert solution.gap <= 1e-4
    assert solution.violation <= 1e-6
    assert solution.passes <= 60


def test_steps_end_where_rounding_hides_what_they_do() -> None:
    """A dual near 0 is the difference of large sums, so a step of nothing may seem to lead up: 12 halvings each."""
    rng = np.random.default_rng(3)
    users, n = 2_000, 30
    item = np.argsort(rng.random((users, n)), axis=1)[:, :20].ravel()
    items = {"licensor": np.arange(n) % 4}
    cands = oa.Candidates.from_arrays(20 * np.arange(users + 1), item, {"value": np.ones(item.size)}, items=items)
    limits = [oa.exposure("licensor") <= 0.2499 * oa.exposure(), oa.exposure() >= 8.0 * users]
    program = lower(oa.Problem(cands, oa.total("value"), limits, oa.Slate(10)))
    n_rows = program.n_rows
    free = relaxed(program, np.ones(n_rows), np.zeros(n_rows), np.full(n_rows, float(item.size)), np.zeros(n_rows))
    with Threads(free, 1) as engine:
        dual = SmoothedDual(engine, lambda point, stride: None, DUAL.now)
        z, used = free.variables(np.zeros(n_rows)), []
        for gamma in 0.3 * 3.0 ** -np.arange(12):
            point = minimize(dual, dual.at(z, gamma), 1, 1e-4, 40)
            before, z = engine.visits, point.z
            minimize(dual, point, 1, 0.0, 40)
            used.append(engine.visits - before)
    assert max(used) <= 25, used
    assert sum(used) <= 100, used
