"""Intervals of 95 % contain the truth in 93 to 97 % of 1,000 repetitions, although solutions select by the errors."""

from __future__ import annotations

import numpy as np
import pytest

import oasis_alloc as oa

USERS, DEGREE, ITEMS = 20, 8, 12


def world(seed: int) -> tuple[oa.Candidates, np.ndarray, np.random.Generator]:
    """(candidates with predictions, their true values): errors of three sizes, as large as the spread of the truth."""
    rng = np.random.default_rng([17, seed])
    item = np.concatenate([rng.choice(ITEMS, DEGREE, replace=False) for _ in range(USERS)])
    truth = rng.normal(1.0, 0.3, item.size)
    deviation = rng.choice([0.1, 0.3, 0.5], item.size)
    seen = truth + deviation * rng.standard_normal(item.size)
    cands = oa.Candidates.from_arrays(
        np.arange(USERS + 1) * DEGREE, item, {"r": seen}, items={"song": np.arange(ITEMS)}, uncertainty={"r": deviation}
    )
    return cands, truth, rng


def capped(cands: oa.Candidates, cap: float) -> oa.Solution:
    return oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure(by="song") <= cap, oa.Slate(2)), threads=1)


def repetitions(number: int) -> dict[str, list[tuple[bool, float]]]:
    """For each kind of interval: whether it contains the truth, and by how much the naive value is too high."""
    out: dict[str, list[tuple[bool, float]]] = {"shrinkage": [], "second prediction": [], "difference": [], "naive": []}
    for seed in range(number):
        cands, truth, rng = world(seed)
        solution = capped(cands, 5.0)
        true = float(truth @ solution.allocation)
        found = oa.estimate_value(solution)
        out["shrinkage"].append((found.low <= true <= found.high, found.value - true))
        error = float(np.linalg.norm(cands.uncertainty["r"] * solution.allocation))
        out["naive"].append((abs(solution.value - true) <= 1.96 * error, solution.value - true))
        fit, check = oa.split_predictions(cands, share=0.7, rng=rng)
        chosen = capped(fit, 5.0)
        true_of_fit = float(truth @ chosen.allocation)
        found = oa.estimate_value(chosen, check=check)
        out["second prediction"].append((found.low <= true_of_fit <= found.high, found.value - true_of_fit))
        other = capped(cands, 3.5)
        change = oa.value_difference(solution, other)
        gained = float(truth @ other.allocation) - true
        out["difference"].append((change.low <= gained <= change.high, change.difference - gained))
    return out


@pytest.mark.full
def test_intervals_have_their_coverage() -> None:
    found = repetitions(1000)
    shares = {name: float(np.mean([hit for hit, _ in rows])) for name, rows in found.items()}
    bias = {name: float(np.mean([off for _, off in rows])) for name, rows in found.items()}
    spread = {name: float(np.std([off for _, off in rows])) / np.sqrt(1000) for name, rows in found.items()}
    for name in ("shrinkage", "second prediction", "difference"):
        assert 0.93 <= shares[name] <= 0.97, (name, shares)
        assert abs(bias[name]) <= 4.0 * spread[name], (name, bias, spread)
    assert shares["naive"] < 0.5, "selection favors overestimated candidates"
    assert bias["naive"] > 0.1 * 40


def test_a_few_repetitions_are_not_far_off() -> None:
    found = repetitions(7)
    for name in ("shrinkage", "second prediction", "difference"):
        assert sum(hit for hit, _ in found[name]) >= 4, name
    assert np.mean([off for _, off in found["naive"]]) > 3.0


@pytest.mark.full
def test_intervals_of_draws_contain_one_more_draw() -> None:
    cands, truth, _ = world(0)
    solution = capped(cands, 5.0)
    hits = 0
    for seed in range(1000):
        rng = np.random.default_rng([23, seed])
        drawn = truth * rng.normal(1.0, 0.2, (31, ITEMS))[:, cands.item] + 0.1 * rng.standard_normal((31, truth.size))
        found = oa.estimate_value(solution, draws=oa.Draws(cands, {"r": drawn[:30]}))
        hits += found.low <= drawn[30] @ solution.allocation <= found.high
    assert 930 <= hits <= 970
