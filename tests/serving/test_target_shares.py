"""Calibrated slates of requests: never worse than Steck's greedy rule, and refused where rules are unknown to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa

N, GENRES, SIZE = 40, 6, 5


@pytest.fixture(scope="module")
def policy() -> oa.Policy:
    rng = np.random.default_rng(0)
    cands = oa.Candidates.from_arrays(
        [0, N], np.arange(N), {"r": rng.random(N)}, items={"campaign": np.arange(N) % 4, "artist": np.arange(N) % 9}
    )
    return oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure(by="campaign") <= 1.5, oa.Slate(SIZE))).policy()


def request_of(seed: int) -> tuple[Any, Any, Any]:
    """(relevance, what candidates are of each genre, targets)."""
    rng = np.random.default_rng(seed)
    has = rng.random((N, GENRES)) < 0.25
    has[np.arange(N), rng.integers(0, GENRES, N)] = True
    target = rng.dirichlet(np.full(GENRES, 0.4))
    target[rng.integers(GENRES)] = 0.0
    return rng.random(N) ** 2, has / has.sum(axis=1, keepdims=True), target / target.sum()


def divergence(shares: Any, target: Any, smoothing: float = 0.01) -> Any:
    used = target > 0
    smooth = (1 - smoothing) * shares[..., used] + smoothing * target[used]
    return (target[used] * np.log(target[used] / smooth)).sum(axis=-1)


def aim(slate: Any, scores: Any, parts: Any, target: Any, weight: float) -> float:
    return float(scores[slate].sum() - weight * divergence(parts[slate].sum(axis=0) / SIZE, target))


def steck(scores: Any, parts: Any, target: Any, weight: float) -> list[int]:
    chosen: list[int] = []
    for slot in range(SIZE):
        gain = scores - weight * divergence((parts[chosen].sum(axis=0) + parts) / (slot + 1), target)
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
    return chosen


@pytest.mark.parametrize("weight", [0.05, 0.5, 3.0])
def test_slates_are_no_worse_than_those_of_the_greedy_rule(policy: oa.Policy, weight: float) -> None:
    better = 0
    for seed in range(40):
        relevance, parts, target = request_of(seed)
        items, columns = np.arange(N), {"r": relevance}
        scores = policy.score(items, columns)  # prices count
        slate = policy.select(items, columns, diversify=oa.TargetShares(target, weight), embeddings=parts)
        assert slate.size <= SIZE
        assert (np.diff(scores[slate]) <= 0).all()
        ours, theirs = (aim(s, scores, parts, target, weight) for s in (slate, steck(scores, parts, target, weight)))
        assert ours >= theirs - 1e-9
        better += ours > theirs + 1e-9
    assert better >= 3


def test_without_weight_slates_are_those_of_scores(policy: oa.Policy) -> None:
    relevance, parts, target = request_of(1)
    items, columns = np.arange(N), {"r": relevance}
    plain = policy.select(items, columns)
    free = policy.select(items, columns, diversify=oa.TargetShares(target, 0.0), embeddings=parts)
    assert free.tolist() == plain.tolist()


def test_excluded_items_and_the_number_of_slots(policy: oa.Policy) -> None:
    relevance, parts, target = request_of(2)
    rule, items, columns = oa.TargetShares(target, 1.0), np.arange(N), {"r": relevance}
    first = policy.select(items, columns, diversify=rule, embeddings=parts)
    second = policy.select(items, columns, diversify=rule, embeddings=parts, exclude=first[:2], k=3)
    assert not set(first[:2]) & set(second)
    assert second.size <= 3
    assert policy.select(items, columns, diversify=rule, embeddings=parts, k=0).size == 0


def test_what_does_not_fit_is_refused(policy: oa.Policy) -> None:
    relevance, parts, target = request_of(3)
    items, columns, rule = np.arange(N), {"r": relevance}, oa.TargetShares(target, 1.0)
    for given, message in (
        (None, "needed with"),
        (parts[:3], "expected"),
        (-parts, "row 0"),
        ("x", "expected numbers"),
    ):
        with pytest.raises(oa.InputError, match=message):
            policy.select(items, columns, diversify=rule, embeddings=given)
    with pytest.raises(oa.InputError, match="pinned"):
        policy.select(items, columns, diversify=rule, embeddings=parts, pinned=[1])
    with pytest.raises(oa.InputError, match="no other call"):
        policy.prepare(8, diversify=rule, embeddings=parts)  # type: ignore[arg-type]
    cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.5, 0.2]}, items={"artist": [0, 1]})
    ruled = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(2, at_most={"artist": 1}))).policy()
    with pytest.raises(oa.InputError, match="only rule is a size"):
        ruled.select([0, 1], {"r": [0.5, 0.2]}, diversify=oa.TargetShares([1.0], 1.0), embeddings=np.ones((2, 1)))


@pytest.mark.parametrize(
    "wrong",
    [{"target": [0.0, 0.0]}, {"target": [-1.0, 2.0]}, {"target": [[1.0]]}, {"target": "x"}, {"weight": -1.0},
     {"weight": np.inf}, {"smoothing": 0.0}, {"smoothing": 1.0}],
)  # fmt: skip
def test_arguments_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(oa.InputError, match="TargetShares"):
        oa.TargetShares(**{"target": [1.0, 2.0], "weight": 1.0, **wrong})
