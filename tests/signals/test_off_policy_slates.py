"""Estimators of whole slates: exact expectations over all slates, formulas of others, bad input."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import oasis_alloc as oa

Floats = NDArray[np.float64]
ACTIONS, SLOTS = 3, 3


class Enumerated(NamedTuple):
    """All slates, with their probabilities under two policies that draw slots one after the other."""

    slates: NDArray[np.int64]
    logged: Floats
    target: Floats

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each slate is in a log that has exactly its probabilities (multiples of 1/1000 per slot)."""
        return np.rint(self.logged.prod(axis=1) * 1000).astype(np.int64)


def independent() -> Enumerated:
    """Slots that are drawn independently."""
    slates = np.array(list(itertools.product(range(ACTIONS), repeat=SLOTS)))
    logged = np.array([[0.5, 0.3, 0.2], [0.2, 0.4, 0.4], [0.6, 0.2, 0.2]])
    target = np.array([[0.1, 0.1, 0.8], [0.3, 0.3, 0.4], [0.0, 0.5, 0.5]])
    places = np.arange(SLOTS)
    return Enumerated(slates, logged[places, slates], target[places, slates])


def dependent() -> Enumerated:
    """Slots whose probabilities depend on the slot above."""
    slates = np.array(list(itertools.product(range(ACTIONS), repeat=SLOTS)))
    logged = np.array([[0.5, 0.3, 0.2], [0.2, 0.4, 0.4], [0.3, 0.3, 0.4]])
    target = np.array([[0.1, 0.1, 0.8], [0.3, 0.3, 0.4], [0.0, 0.5, 0.5]])
    above = np.column_stack((np.zeros(len(slates), np.int64), slates[:, :-1]))
    return Enumerated(slates, logged[above, slates], target[above, slates])


def repeated(of: Enumerated, values: Floats) -> tuple[Floats, Floats, Floats]:
    """A log in which each slate is as often as its probability says: means over it are exact expectations."""
    counts = of.counts
    assert counts.sum() == 1000
    return np.repeat(values, counts, axis=0), np.repeat(of.logged, counts, 0), np.repeat(of.target, counts, 0)


def test_the_pseudo_inverse_is_exact_for_sums_over_slots() -> None:
    of = independent()
    gains = np.random.default_rng(1).random((SLOTS, ACTIONS))
    values = gains[np.arange(SLOTS), of.slates].sum(axis=1)
    truth = float((of.target.prod(axis=1) * values).sum())
    found = oa.off_policy_slates(*repeated(of, values))
    assert found["pseudo-inverse"].value == pytest.approx(truth, rel=1e-12)
    assert found["self-normalized pseudo-inverse"].value == pytest.approx(truth, rel=1e-12)
    assert found["inverse propensity of slates"].value == pytest.approx(truth, rel=1e-12)
    assert found["pseudo-inverse"].standard_error < found["inverse propensity of slates"].standard_error
    assert found.weights.overlap == pytest.approx(1.0)
    products = values**2  # not a sum over slots
    assert oa.off_policy_slates(*repeated(of, products))["pseudo-inverse"].value != pytest.approx(
        float((of.target.prod(axis=1) * products).sum()), rel=1e-3
    )


def cascaded(of: Enumerated) -> Floats:
    """Outcomes of slots that depend on the slots above them."""
    rng = np.random.default_rng(2)
    own, pair = rng.random(ACTIONS), rng.random((ACTIONS, ACTIONS))
    out = own[of.slates]
    for slot in range(1, SLOTS):
        out[:, slot] *= pair[of.slates[:, slot - 1], of.slates[:, slot]] * (0.5 + own[of.slates[:, 0]])
    return np.asarray(out)


def test_the_cascade_is_exact_for_outcomes_that_depend_on_slots_above() -> None:
    of = dependent()
    values = cascaded(of)
    truth = float((of.target.prod(axis=1) * values.sum(axis=1)).sum())
    found = oa.off_policy_slates(*repeated(of, values))
    assert found["cascade"].value == pytest.approx(truth, rel=1e-12)
    assert found["inverse propensity of slates"].value == pytest.approx(truth, rel=1e-12)
    assert found["independent slots"].value != pytest.approx(truth, rel=1e-3)
    assert found["cascade"].standard_error < found["inverse propensity of slates"].standard_error


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_doubly_robust_cascade_is_exact_with_any_predictions(noise: float) -> None:
    of = dependent()
    values = cascaded(of)
    truth = float((of.target.prod(axis=1) * values.sum(axis=1)).sum())
    predicted, ahead = predictions(of, values, noise)
    logs = repeated(of, values)
    found = oa.off_policy_slates(
        *logs, predicted=np.repeat(predicted, of.counts, 0), predicted_target=np.repeat(ahead, of.counts, 0)
    )
    one = found["cascade doubly robust"]
    assert one.value == pytest.approx(truth, rel=1e-12)
    assert found.best is one
    if noise == 0.0:
        assert one.standard_error < 1e-12, "outcomes are a function of the slate, and predictions are exact"


def predictions(of: Enumerated, values: Floats, noise: float) -> tuple[Floats, Floats]:
    """Exact outcomes to go, averaged over the slots below, plus an error per prefix: of the item, and on average."""
    rng = np.random.default_rng(5)
    q, v = np.empty_like(values), np.empty_like(values)
    wrong: dict[tuple[int, ...], float] = {}
    for row, slate in enumerate(of.slates):
        for slot in range(SLOTS):
            prefix = tuple(slate[: slot + 1])
            same = (of.slates[:, : slot + 1] == slate[: slot + 1]).all(axis=1)
            below = of.target[same][:, slot + 1 :].prod(axis=1)
            q[row, slot] = (below * values[same][:, slot:].sum(axis=1)).sum() / below.sum()
            q[row, slot] += wrong.setdefault(prefix, noise * rng.normal())
    for row, slate in enumerate(of.slates):
        for slot in range(SLOTS):
            above = (of.slates[:, :slot] == slate[:slot]).all(axis=1)
            _, first = np.unique(of.slates[above][:, slot], return_index=True)
            v[row, slot] = (of.target[above][first, slot] * q[above][first, slot]).sum()
    return q, v


def test_weights_from_joint_probabilities_are_those_of_independent_slots() -> None:
    of = independent()
    marginal = np.array([[0.5, 0.3, 0.2], [0.2, 0.4, 0.4], [0.6, 0.2, 0.2]])
    wanted = np.array([[0.1, 0.1, 0.8], [0.3, 0.3, 0.4], [0.0, 0.5, 0.5]])
    joint = np.outer(marginal.ravel(), marginal.ravel())
    for slot in range(SLOTS):
        part = slice(slot * ACTIONS, (slot + 1) * ACTIONS)
        joint[part, part] = np.diag(marginal[slot])
    features = of.slates + ACTIONS * np.arange(SLOTS)
    weights = oa.pseudo_inverse_weights(joint, wanted.ravel(), features)
    assert weights == pytest.approx(1.0 + (of.target / of.logged - 1.0).sum(axis=1), abs=1e-9)


def test_sets_without_replacement_are_exact() -> None:
    sets = np.array(list(itertools.combinations(range(5), 2)))
    joint = np.full((5, 5), 1 / 10) + np.eye(5) * (2 / 5 - 1 / 10)
    gains = np.random.default_rng(3).random(5)
    weights = oa.pseudo_inverse_weights(joint, [0.0, 1.0, 0.0, 1.0, 0.0], np.tile(sets, (50, 1)))
    found = oa.off_policy_slates(gains[np.tile(sets, (50, 1))].sum(axis=1), weights=weights)
    assert found["pseudo-inverse"].value == pytest.approx(gains[1] + gains[3], rel=1e-9)
    assert weights.min() < 0.0
    assert len(found.estimates) == 2


def test_the_pseudo_inverse_is_that_of_vowpal_wabbit() -> None:
    reason = "vw-estimators is not installed"
    value = pytest.importorskip("estimators.slates.pseudo_inverse", reason=reason).Estimator()
    gaussian = pytest.importorskip("estimators.slates.gaussian", reason=reason).Interval()
    rng = np.random.default_rng(4)
    logged, target = rng.uniform(0.2, 1.0, (500, 3)), rng.random((500, 3))
    outcomes = rng.random(500)
    found = oa.off_policy_slates(outcomes, logged, target, interval="normal", min_effective=0)
    for r, p, q in zip(outcomes, logged, target, strict=True):
        value.add_example(p.tolist(), r, q.tolist())
        gaussian.add_example(p.tolist(), r, q.tolist())
    one = found["pseudo-inverse"]
    assert one.value == pytest.approx(value.get(), rel=1e-10)
    assert (one.low, one.high) == pytest.approx(gaussian.get(0.05), rel=1e-9)


def test_slates_of_a_user_are_one_unit() -> None:
    of = independent()
    logs = repeated(of, of.slates.sum(axis=1).astype(np.float64))
    users = np.arange(1000) // 10  # equal slates follow each other, so those of a user are much alike
    alone, joined = oa.off_policy_slates(*logs), oa.off_policy_slates(*logs, users=users)
    assert (joined.units, joined.requests) == (100, 1000)
    assert joined["pseudo-inverse"].value == pytest.approx(alone["pseudo-inverse"].value)
    assert joined["pseudo-inverse"].standard_error > 2 * alone["pseudo-inverse"].standard_error
    assert joined.logged.value == pytest.approx(alone.logged.value)


@pytest.mark.parametrize("per_slot", [False, True])
def test_bernstein_contains_the_bootstrap(per_slot: bool) -> None:
    of = dependent() if per_slot else independent()
    values = (of.slates == 1).astype(np.float64) if per_slot else (of.slates[:, 0] == 1).astype(np.float64)
    logs = repeated(of, values)
    usual, bound = oa.off_policy_slates(*logs), oa.off_policy_slates(*logs, interval="bernstein")
    for one in usual.estimates:
        assert bound[one.estimator].low < one.low < one.high < bound[one.estimator].high


GOOD: dict[str, Any] = {"outcomes": [1.0, 0.0, 2.0], "logged": np.full((3, 2), 0.5), "target": np.full((3, 2), 0.5)}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logged": [[0.5, 0.5], [0.5, 0.0], [0.5, 0.5]]}, "logged, row 1, slot 1: 0; expected a propensity above 0"),
        ({"target": [[0.5, 0.5], [0.5, 2.0], [0.5, 0.5]]}, "target, row 1, slot 1: 2; expected a probability"),
        ({"logged": np.full((2, 2), 0.5)}, r"logged has shape \(2, 2\); expected one row per slate, 3"),
        ({"target": np.full((3, 3), 0.5)}, r"target has shape \(3, 3\); expected \(3, 2\)"),
        ({"target": None}, "logged and target are needed"),
        ({"weights": [1.0, 1.0, 1.0]}, "weights are given instead of logged and target"),
        ({"outcomes": np.ones((3, 2))}, "all 6 are 1, a single class"),
        ({"outcomes": np.eye(3)[:, :2], "weights": [1.0, 1.0, 1.0]}, "weights are of whole slates"),
        ({"outcomes": np.eye(3)[:, :2], "predicted": np.ones((3, 2))}, "predicted and predicted_target belong"),
        ({"users": ["a", "b"]}, "users has 2 labels"),
        ({"users": ["a", "a", "a"]}, "there is one user"),
        ({"users": ["a", "b", "b"], "interval": "bernstein", "bounds": (0, 2)}, "needs independent slates"),
        ({"interval": "bernstein"}, "outcomes, row 2: 2; expected a number from 0 to 1"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(oa.InputError, match=message):
        oa.off_policy_slates(**{**GOOD, **change})


@pytest.mark.parametrize(
    ("joint", "target", "shown", "message"),
    [
        ([[0.5, 0.2]], [1.0], [[0]], r"joint has shape \(1, 2\)"),
        ([[0.5, 0.2], [0.3, 0.5]], [1, 0], [[0]], "expected a symmetric matrix"),
        ([[0.5, 0.6], [0.6, 0.5]], [1, 0], [[0]], "at most those of the diagonal"),
        ([[0.5, 0.2], [0.2, 0.5]], [1, 0, 0], [[0]], "target has 3 features; joint has 2"),
        ([[0.5, 0.2], [0.2, 0.5]], [1, 0], [[2]], "shown, row 0, slot 0: 2; expected the number of a feature, 0 to 1"),
        ([[0.5, 0.0], [0.0, 0.0]], [0.5, 0.5], [[0]], "target shows feature 1"),
    ],
)
def test_bad_joint_probabilities_are_named(joint: Any, target: Any, shown: Any, message: str) -> None:
    with pytest.raises(oa.InputError, match=message):
        oa.pseudo_inverse_weights(joint, target, shown)
