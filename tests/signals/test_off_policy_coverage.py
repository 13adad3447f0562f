"""Intervals of 95 % contain the truth in 93 to 97 % of 1,000 repetitions, for every estimator and its difference."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from bandits import world
from numpy.typing import NDArray

import oasis_alloc as oa

REPETITIONS, ROWS, RESAMPLES = 1_000, 600, 500
Floats = NDArray[np.float64]


class Counted:
    """How often intervals contain the truth, by estimator."""

    def __init__(self, truth: float, logged: float) -> None:
        self.truth, self.logged = truth, logged
        self.value: Counter[str] = Counter()
        self.difference: Counter[str] = Counter()
        self.repetitions = 0

    def add(self, found: oa.OffPolicy) -> None:
        self.repetitions += 1
        for one in found.estimates:
            self.value[one.estimator] += one.low <= self.truth <= one.high
            self.difference[one.estimator] += one.difference_low <= self.truth - self.logged <= one.difference_high
        self.value["logged policy"] += found.logged.low <= self.logged <= found.logged.high

    def shares(self) -> dict[str, float]:
        """Of values and of differences, in words."""
        out = {name: count / self.repetitions for name, count in self.value.items()}
        return out | {f"{name}, difference": count / self.repetitions for name, count in self.difference.items()}


@pytest.mark.full
def test_intervals_of_single_items_cover() -> None:
    of = world()
    rng = np.random.default_rng(0)
    counted = Counted(of.truth, of.logged)
    for k in range(REPETITIONS):
        log = of.log(ROWS, rng)
        found = oa.off_policy(
            *log[:3], predicted=log.predicted, predicted_target=log.predicted_target, model_error=0.15,
            resamples=RESAMPLES, seed=k,
        )  # fmt: skip
        assert found.threshold is not None
        counted.add(found)
    shares = counted.shares()
    assert len(shares) == 9
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares


@pytest.mark.full
def test_bernstein_intervals_cover_at_least() -> None:
    of = world()
    rng = np.random.default_rng(1)
    counted = Counted(of.truth, of.logged)
    largest = float((of.target / of.logging).max())
    for _ in range(300):
        log = of.log(ROWS, rng)
        counted.add(
            oa.off_policy(
                *log[:3], predicted=log.predicted, predicted_target=log.predicted_target, model_error=0.15,
                interval="bernstein", max_weight=largest,
            )
        )  # fmt: skip
    assert all(share >= 0.95 for share in counted.shares().values()), counted.shares()


class Slates:
    """Three slots with three items each: probabilities of two policies, and what outcomes depend on."""

    def __init__(self) -> None:
        rng = np.random.default_rng(5)
        logits = 0.5 * rng.normal(size=(2, 3, 3, 3))  # of policy, slot, item above, item
        both = np.exp(logits) / np.exp(logits).sum(axis=3, keepdims=True)
        self.logging, self.target = both[0], both[1]
        self.gain, self.pair = rng.random((3, 3)), 0.2 + 0.6 * rng.random((3, 3, 3))

    def draw(self, n: int, rng: np.random.Generator, depends: bool) -> tuple[NDArray[np.int64], Floats, Floats]:
        """Slates, and the probabilities of their items under both policies; slots may depend on the one above."""
        slates, logged, target = np.zeros((n, 3), np.int64), np.empty((n, 3)), np.empty((n, 3))
        above = np.zeros(n, np.int64)
        for slot in range(3):
            p = self.logging[slot, above]
            slates[:, slot] = (rng.random(n)[:, None] > p.cumsum(axis=1)).sum(axis=1).clip(max=2)
            rows = np.arange(n)
            logged[:, slot], target[:, slot] = p[rows, slates[:, slot]], self.target[slot, above][rows, slates[:, slot]]
            above = slates[:, slot] if depends else above
        return slates, logged, target

    def by_slot(self, slates: NDArray[np.int64]) -> Floats:
        """Expected outcomes of slots, each given the slot above."""
        above = np.column_stack((np.zeros(len(slates), np.int64), slates[:, :-1]))
        return np.asarray(self.pair[np.arange(3), above, slates])

    def values(self, depends: bool) -> tuple[float, float]:
        """The exact values of the target and of the logging policy."""
        slates = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
        above = np.column_stack((np.zeros(27, np.int64), slates[:, :-1])) if depends else np.zeros((27, 3), np.int64)
        gains = self.by_slot(slates).sum(axis=1) if depends else self.gain[np.arange(3), slates].sum(axis=1)
        both = [policy[np.arange(3), above, slates].prod(axis=1) @ gains for policy in (self.target, self.logging)]
        return float(both[0]), float(both[1])

    def predictions(self, slates: NDArray[np.int64]) -> tuple[Floats, Floats]:
        """Rough predictions of outcomes to go: those of the slots below are their means."""
        own = self.by_slot(slates) + 0.05
        above = np.column_stack((np.zeros(len(slates), np.int64), slates[:, :-1]))
        later = np.array([self.pair[slot + 1 :].mean(axis=(1, 2)).sum() for slot in range(3)])
        ahead = (self.target[np.arange(3), above] * (self.pair[np.arange(3), above] + 0.05)).sum(axis=2)
        return own + later, ahead + later


@pytest.mark.full
def test_intervals_of_independent_slots_cover() -> None:
    of, rng = Slates(), np.random.default_rng(2)
    counted, apart = Counted(*of.values(depends=False)), Counted(*of.values(depends=False))
    for k in range(REPETITIONS):
        slates, logged, target = of.draw(ROWS, rng, depends=False)
        outcomes = of.gain[np.arange(3), slates].sum(axis=1) + rng.exponential(0.5, ROWS) - 0.5
        counted.add(oa.off_policy_slates(outcomes, logged, target, resamples=RESAMPLES, seed=k))
        slot = (rng.random((ROWS, 3)) < of.gain[np.arange(3), slates]).astype(np.float64)
        alone = oa.off_policy_slates(slot, logged, target, resamples=RESAMPLES, seed=k)
        apart.add(alone)
    shares = counted.shares() | {f"by slot: {name}": share for name, share in apart.shares().items()}
    assert len(shares) == 14
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares


@pytest.mark.full
def test_intervals_of_the_cascade_cover() -> None:
    of, rng = Slates(), np.random.default_rng(3)
    counted = Counted(*of.values(depends=True))
    for k in range(REPETITIONS):
        slates, logged, target = of.draw(ROWS, rng, depends=True)
        outcomes = (rng.random((ROWS, 3)) < of.by_slot(slates)).astype(np.float64)
        predicted, ahead = of.predictions(slates)
        found = oa.off_policy_slates(
            outcomes, logged, target, predicted=predicted, predicted_target=ahead, resamples=RESAMPLES, seed=k
        )
        counted.add(found)
    shares = {name: share for name, share in counted.shares().items() if not name.startswith("independent slots")}
    assert len(shares) == 7  # outcomes depend on slots above, which the estimator of independent slots does not know
    assert all(0.93 <= share <= 0.97 for share in shares.values()), shares
