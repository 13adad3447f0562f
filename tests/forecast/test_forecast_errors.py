"""Forecasts that know errors of scores: what is planned is what draws serve, and intervals are as wide as these."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import oasis_alloc as oa
from tests.support import planned
from tests.support.forecast_month import END, START, schedule

Columns = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def plan() -> oa.Solution:
    return oa.solve(planned.problem(), gap=1e-6)


def by_song(plan: oa.Solution, spread: float, number: int) -> oa.Draws:
    """Errors that all users of a song share."""
    cands = plan.problem.candidates
    relevance, item = cands.columns["relevance"], cands.item
    return oa.Draws.from_function(
        cands, lambda rng: {"relevance": relevance + spread * rng.normal(size=cands.n_items)[item]}, number
    )


def by_hand(plan: oa.Solution) -> Callable[[Columns], np.ndarray]:
    """Units by campaign of the slates that the policy picks with some columns."""
    cands, policy = plan.problem.candidates, plan.policy(organic="relevance")
    codes = cands.items["campaign"].codes

    def serve(columns: Columns) -> np.ndarray:
        given = {name: columns.get(name, cands.columns[name]) for name in policy.data.columns}
        slates = policy.select_batch(cands.indptr, cands.item, given, np.arange(cands.n_users))
        return np.bincount(codes[cands.item[slates[slates >= 0]]] + 1, minlength=7)[1:]

    return serve


def test_what_is_planned_is_the_mean_of_what_draws_serve(plan: oa.Solution) -> None:
    draws, serve = by_song(plan, 0.1, 5), by_hand(plan)
    served = np.array([serve({"relevance": draws.columns["relevance"][s].astype(float)}) for s in range(5)])
    found = oa.forecast(plan, schedule(), now=START, errors=draws)
    assert [one.planned for one in found] == pytest.approx(served.mean(axis=0).tolist())
    assert [one.planned for one in oa.forecast(plan, schedule(), now=START, errors=False)] == serve({}).tolist()


def test_intervals_are_as_wide_as_errors_say(plan: oa.Solution) -> None:
    """Where nothing else is unknown, the spread of final deliveries is that of the draws, and of the counts."""
    draws, serve = by_song(plan, 0.15, 32), by_hand(plan)
    served = np.array([serve({"relevance": draws.columns["relevance"][s].astype(float)}) for s in range(32)])
    sure = {"traffic": 0.0, "relevance": 0.0, "own": 1e-6, "now": START, "scenarios": 4000}
    spread, narrow = (oa.forecast(plan, schedule(), errors=given, **sure) for given in (draws, False))
    for k, (wide, thin) in enumerate(zip(spread, narrow, strict=True)):
        expected = np.hypot(np.log(served[:, k]).std(ddof=1), np.sqrt(2.0 / wide.planned))
        assert np.log(wide.high / wide.low) == pytest.approx(2 * 1.645 * expected, rel=0.2)
        assert wide.high - wide.low > 1.5 * (thin.high - thin.low)


def test_deviations_of_the_candidates_are_errors_unless_they_are_left_out() -> None:
    given = planned.candidates()
    deviation = np.full(given.n_pairs, 0.4)
    cands = oa.Candidates.from_arrays(
        given.indptr, given.item, dict(given.columns), uncertainty={"relevance": deviation},
        users={name: given.users[name].labels[given.users[name].codes] for name in ("day", "market")},
        items={"campaign": [f"c{k % 9}" if k % 9 < 6 else None for k in range(given.n_items)]},
    )  # fmt: skip
    plan = oa.solve(planned.problem(cands), gap=1e-6)
    with_errors, without = (oa.forecast(plan, schedule(), now=START, errors=errors) for errors in (None, False))
    rng, serve = np.random.default_rng(99), by_hand(plan)
    drawn = [serve({"relevance": given.columns["relevance"] + deviation * rng.normal(size=deviation.size)})
             for _ in range(20)]  # fmt: skip
    expected, spread = np.mean(drawn, axis=0), np.std(drawn, axis=0)
    for k, (one, other) in enumerate(zip(with_errors, without, strict=True)):
        assert abs(one.planned - expected[k]) < 4.0 * spread[k] / np.sqrt(8) + 1.0
        assert other.planned == pytest.approx(serve({})[k])
    moved = [abs(one.planned - other.planned) / other.planned for one, other in zip(with_errors, without, strict=True)]
    assert max(moved) > 0.05, "errors of scores move what low scores would not have been shown for"


def test_bad_errors_have_messages(plan: oa.Solution) -> None:
    other = oa.solve(planned.problem(planned.candidates(1)), gap=1e-3)
    for errors, words in (
        (by_song(other, 0.1, 2), "other candidates"),
        (0.1, "oa.Draws, None or False"),
        (True, "oa.Draws"),
    ):
        with pytest.raises(oa.InputError, match=words):
            oa.forecast(plan, schedule(), now=START, start=START, end=END, errors=errors)  # type: ignore[arg-type]
