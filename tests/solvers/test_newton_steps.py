"""Newton steps where some prices have no curvature, and where steps were too long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.engines.threads import Threads
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers.newton import Point, SmoothedDual, newton_direction
from oasis_alloc.solvers.settings import DUAL

USERS, DEGREE, ITEMS, GAMMA = 400, 15, 60, 0.05
E = oa.exposure


def dual_of(*limits: Any, **slate: Any) -> tuple[SmoothedDual, Point, Threads]:
    """The dual of 400 users with caps, at prices of 0 and their first slates."""
    rng = np.random.default_rng(5)
    item = np.concatenate([rng.choice(ITEMS, DEGREE, replace=False) for _ in range(USERS)])
    value = rng.lognormal(0.0, 0.5, item.size)
    # nobody would show the last item, whose price therefore has no curvature
    value = np.where(item == ITEMS - 1, 1e-6, value)
    columns = {"value": value, "relevance": rng.lognormal(0.0, 0.5, item.size)}
    items = {"campaign": np.arange(ITEMS) // 3, "last": np.arange(ITEMS) == ITEMS - 1}
    users = {"user": np.arange(USERS)}
    c = oa.Candidates.from_arrays(DEGREE * np.arange(USERS + 1), item, columns, items=items, users=users)
    program = lower(oa.Problem(c, oa.total("value"), [E("campaign") <= 70.0, *limits], oa.Slate(3, **slate)))
    engine = Threads(program, 1)
    dual = SmoothedDual(engine, lambda point, stride: None, DUAL.now)
    return dual, dual.at(np.zeros(program.row.size), GAMMA), engine


def test_a_price_without_curvature_does_not_say_when_the_others_are_solved() -> None:
    alone, at, engine = dual_of()
    longest = DUAL.now.radius * GAMMA
    with engine:
        wanted = newton_direction(alone, at, longest)
    both, at, engine = dual_of(E("last") >= {True: 60.0})
    with engine:
        found = newton_direction(both, at, longest)
        n = wanted.size
        assert np.abs(found[n:]).max() >= longest  # the price of the floor is cut
    assert np.linalg.norm(found[:n] - wanted) <= 2.0 * DUAL.now.forcing * np.linalg.norm(wanted)


def test_a_pair_that_size_and_guard_hold_has_no_curvature() -> None:
    """What rounding leaves of its part of the projection would count as the curvature of a row of one user."""
    for gamma in (0.3, 0.1, 0.03, 0.01):
        dual, _, engine = dual_of(E(by=("user", "campaign")) <= 0.9, at_least=3, keep={"relevance": 0.9})
        with engine:
            diagonal = gamma * dual.at(np.zeros(dual.program.row.size), gamma).visit.diagonal
        assert (diagonal == 0.0).any()
        assert not ((diagonal > 0.0) & (diagonal < 1e-12)).any()


@pytest.mark.parametrize("damping", [0.1, 1.0])
def test_a_damped_step_is_shorter_and_still_leads_down(damping: float) -> None:
    dual, at, engine = dual_of()
    with engine:
        whole, damped = newton_direction(dual, at), newton_direction(dual, at, damping=damping)
        diagonal, _ = dual.metric(at)
    assert damped @ (diagonal * damped) < whole @ (diagonal * whole)
    assert at.gradient @ damped < 0.0
