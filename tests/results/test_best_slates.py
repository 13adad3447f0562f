"""Calibrated whole slates: never worse than the greedy rule of Steck, and nearly always the best there is."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa

SIZE, GENRES = 5, 6
STECK = 0.01  # his smoothing


def market(users: int, each: int, seed: int) -> tuple[oa.Candidates, Any, Any, Any]:
    """(candidates, relevance, parts of genres, targets), by user and candidate; each user has items of their own."""
    rng = np.random.default_rng(seed)
    relevance = np.sort(rng.random((users, each)))[:, ::-1] ** 2
    has = rng.random((users, each, GENRES)) < 0.25
    has[np.arange(users)[:, None], np.arange(each), rng.integers(0, GENRES, (users, each))] = True
    parts = has / has.sum(axis=2, keepdims=True)
    target = 0.99 * rng.dirichlet(np.full(GENRES, 0.4), users) + 0.01 / GENRES
    labels = [list(map(str, np.flatnonzero(one))) for one in has.reshape(-1, GENRES)]
    cands = oa.Candidates.from_arrays(
        np.arange(users + 1) * each, np.arange(users * each),
        {"r": relevance.ravel(), "part": parts.max(axis=2).ravel()},
        users={"who": np.arange(users)}, items={"genre": labels, "campaign": np.arange(users * each) % 3},
    )  # fmt: skip
    return cands, relevance, parts, target


def problem(cands: oa.Candidates, target: Any, weight: float, smoothing: float | None, *limits: Any) -> oa.Problem:
    """Relevance minus weight times the sum of the users' divergences."""
    users = len(target)
    goal = {(u, str(g)): float(target[u, g]) for u in range(users) for g in range(GENRES)}
    known = {label: goal[label] for label in cands.groups(("who", "genre"))}
    far = oa.kl(oa.total("part", by=("who", "genre")), known, total=SIZE * sum(known.values()), smoothing=smoothing)
    return oa.Problem(cands, oa.total("r") - weight * sum(known.values()) * far, list(limits), oa.Slate(SIZE))


def objective(chosen: Any, relevance: Any, parts: Any, target: Any, weight: float) -> float:
    """One user's relevance minus weight times Steck's divergence."""
    shares = (1 - STECK) * parts[chosen].sum(axis=0) / SIZE + STECK * target
    return float(relevance[chosen].sum() - weight * (target * np.log(target / shares)).sum())


def steck(relevance: Any, parts: Any, target: Any, weight: float) -> list[int]:
    """His greedy rule: slot by slot the most of relevance minus the divergence of the shares so far."""
    chosen: list[int] = []
    for slot in range(SIZE):
        sums = parts[chosen].sum(axis=0)
        shares = (1 - STECK) * (sums + parts) / (slot + 1) + STECK * target
        gain = relevance - weight * (target * np.log(target / shares)).sum(axis=1)
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
    return chosen


@pytest.mark.few(2)
@pytest.mark.parametrize("weight", [0.1, 1.0, 5.0])
def test_no_user_is_worse_off_than_under_steck(weight: float) -> None:
    cands, relevance, parts, target = market(60, 40, 3)
    solution = oa.solve(problem(cands, target, weight, STECK), gap=1e-5)
    slates, better, sums = solution.best_slates(), 0, []
    for u in range(60):
        mine = slates.pairs[slates.indptr[u] : slates.indptr[u + 1]] - 40 * u
        assert mine.size == SIZE
        ours = objective(mine, relevance[u], parts[u], target[u], weight)
        theirs = objective(steck(relevance[u], parts[u], target[u], weight), relevance[u], parts[u], target[u], weight)
        assert ours >= theirs - 1e-9
        better += ours > theirs + 1e-9
        sums.append(ours)
    assert better >= 1
    assert slates.value == pytest.approx(sum(sums), rel=1e-9)
    assert slates.value <= solution.bound + 1e-9


@pytest.mark.few(1)
@pytest.mark.parametrize("smoothing", [None, STECK])
def test_small_slates_are_the_best_of_all(smoothing: float | None) -> None:
    cands, relevance, parts, target = market(12, 9, 4)
    stated = problem(cands, target, 2.0, smoothing)
    slates = oa.solve(stated, gap=1e-5).best_slates()
    function = stated.bound[0]
    labels = stated.labels(stated.names[0])
    found, best = 0.0, 0.0
    for u in range(12):
        rows = [k for k, label in enumerate(labels) if label[0] == u]
        genres = [int(labels[k][1]) for k in rows]

        def worth(chosen: Any, u: int = u, rows: Any = rows, genres: Any = genres) -> float:
            totals = np.zeros(len(labels))
            totals[rows] = parts[u][list(chosen)].sum(axis=0)[genres]
            return float(relevance[u][list(chosen)].sum() + function.f(totals)[rows].sum())

        mine = slates.pairs[slates.indptr[u] : slates.indptr[u + 1]] - 9 * u
        found += worth(mine)
        best += max(worth(c) for k in range(SIZE + 1) for c in itertools.combinations(range(9), k))
    assert found <= best + 1e-9
    assert found >= best - 0.002 * abs(best)  # exchanges of one item: nearly always the best
    assert slates.value == pytest.approx(found, rel=1e-9)


def test_limits_that_couple_users_have_their_prices() -> None:
    cands, _, _, target = market(40, 20, 6)
    free = oa.solve(problem(cands, target, 1.0, STECK), gap=1e-4).best_slates()
    cap = oa.exposure(by="campaign") <= 55.0
    held = oa.solve(problem(cands, target, 1.0, STECK, cap), gap=1e-4).best_slates()
    most = [np.bincount(np.arange(800)[slates.pairs] % 3, minlength=3).max() for slates in (free, held)]
    assert most[1] < most[0]
    assert most[1] <= 1.1 * 55


def test_other_problems_are_refused() -> None:
    cands, _, _, target = market(5, 10, 7)
    plain = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(2)))
    with pytest.raises(oa.ProblemError, match="groups have the candidates of one user each"):
        plain.best_slates()
    ruled = problem(cands, target, 1.0, None)
    ruled = oa.Problem(cands, ruled.maximize, slate=oa.Slate(2, at_least=1))
    with pytest.raises(oa.ProblemError, match="whose only rule is one size"):
        oa.solve(ruled).best_slates()


@pytest.mark.parametrize("smoothing", [0.0, 1.0, -1, "x", np.nan])
def test_smoothing_is_a_number_between_0_and_1(smoothing: Any) -> None:
    with pytest.raises(oa.ProblemError, match="expected a number between 0 and 1"):
        oa.kl(oa.exposure(by="genre"), 1.0, smoothing=smoothing)
