"""What a solved problem's own users are served is asked of its policy with what their requests would bring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa
from oasis_alloc.serving.batch.own_requests import columns_of_requests, user_of_request

USERS, ITEMS = 60, 12
STEEP = oa.Calibration(np.array([0.0, 0.4, 0.6, 1.0]), np.array([[0.0, 0.05, 0.9, 1.0]]))


def candidates(calibrated: bool) -> oa.Candidates:
    rng = np.random.default_rng(4)
    cands = oa.Candidates.from_arrays(
        np.arange(USERS + 1) * ITEMS,
        np.tile(np.arange(ITEMS), USERS),
        {"relevance": rng.random(USERS * ITEMS), "promotion": rng.random(USERS * ITEMS)},
        users={"market": ["DE" if u % 3 else None for u in range(USERS)]},
        items={"campaign": ["a", "b", None] * (ITEMS // 3), "artist": np.arange(ITEMS) // 2},
    )
    return cands.calibrated({"promotion": STEEP}) if calibrated else cands


def solved(calibrated: bool, steady: bool, **slate: Any) -> oa.Solution:
    cands = candidates(calibrated)
    objective: Any = oa.total("relevance") + 0.8 * oa.total("promotion")
    if steady:
        for column in ("relevance", "promotion"):
            objective += oa.stay_close(oa.solve(oa.Problem(cands, oa.total(column), slate=oa.Slate(2))), weight=0.3)
    limits = [(oa.exposure(by=("market", "campaign")) <= 25.0).named("caps")]
    return oa.solve(oa.Problem(cands, objective, limits, oa.Slate(**{"size": 2, **slate})), gap=1e-6)


@pytest.mark.few(2)
@pytest.mark.parametrize("steady", [False, True])
@pytest.mark.parametrize("calibrated", [False, True])
def test_the_policy_scores_own_requests_as_the_solve_did(calibrated: bool, steady: bool) -> None:
    solution = solved(calibrated, steady)
    policy, problem = solution.policy(), solution.problem
    cands = problem.candidates
    columns = columns_of_requests(problem, policy.columns)
    scores = policy.score_batch(cands.indptr, cands.item, columns, np.arange(USERS))
    assert np.array_equal(scores, solution.scores())
    for user in (0, 1, USERS - 1):
        mine = slice(user * ITEMS, (user + 1) * ITEMS)
        some = columns_of_requests(problem, policy.columns, mine)
        given = user_of_request(policy.data, cands, user)
        assert np.array_equal(policy.score(cands.item[mine], some, given), scores[mine])
        unknown = solution.policy(users=False)
        assert not isinstance(user_of_request(unknown.data, cands, user), int)
        given = user_of_request(unknown.data, cands, user)
        assert np.array_equal(unknown.score(cands.item[mine], some, given), scores[mine])


@pytest.mark.few(2)
@pytest.mark.parametrize("steady", [False, True])
@pytest.mark.parametrize("calibrated", [False, True])
def test_what_is_served_is_counted_by_what_requests_bring(calibrated: bool, steady: bool) -> None:
    """Slates have a size alone here, so everyone is served the two pairs of largest score above 0."""
    solution = solved(calibrated, steady)
    scores = solution.scores().reshape(USERS, ITEMS)
    best = np.argsort(-scores, axis=1)[:, :2] + ITEMS * np.arange(USERS)[:, None]
    pairs = best[np.take_along_axis(scores, best - ITEMS * np.arange(USERS)[:, None], axis=1) > 0.0]
    market = np.repeat(np.array(["DE" if u % 3 else None for u in range(USERS)], object), ITEMS)
    campaign = np.tile(np.array(["a", "b", None] * (ITEMS // 3), object), USERS)
    served = {one.label: one.served for one in oa.served(solution, close=False)}
    assert served == {
        label: float(np.count_nonzero((market[pairs] == "DE") & (campaign[pairs] == label[1]))) for label in served
    }
    assert set(served) == {("DE", "a"), ("DE", "b")}


def test_a_user_with_an_own_slate_is_given_by_number() -> None:
    sizes = np.arange(USERS) % 3
    solution = solved(False, False, size=sizes)
    policy, cands = solution.policy(), solution.problem.candidates
    for user in range(6):
        mine = slice(user * ITEMS, (user + 1) * ITEMS)
        columns = columns_of_requests(solution.problem, policy.columns, mine)
        chosen = policy.select(cands.item[mine], columns, user_of_request(policy.data, cands, user), fill=True)
        assert chosen.size == sizes[user]
