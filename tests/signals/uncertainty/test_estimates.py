"""Estimates of values, differences and the worth of knowing: against sums written by hand, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from uncertain import market, problem

import oasis_alloc as oa
from oasis_alloc.signals.uncertainty.shrinkage import Prior


def test_a_prior_is_found_from_predictions_with_errors() -> None:
    rng = np.random.default_rng(0)
    deviation = rng.choice([0.1, 0.8], 200_000)
    truth = rng.normal(2.0, 0.5, deviation.size)
    prior = Prior.of(truth + deviation * rng.standard_normal(deviation.size), deviation)
    assert prior.mean == pytest.approx(2.0, abs=4 * np.sqrt(prior.error_of_mean))
    assert prior.variance == pytest.approx(0.25, abs=4 * np.sqrt(prior.error_of_variance))
    assert np.sqrt(prior.error_of_mean) < 0.002
    exact = Prior.of(np.array([1.0, 3.0]), np.zeros(2))
    assert (exact.mean, exact.variance) == (2.0, pytest.approx(2.0, rel=1.0))
    assert exact.corrected(np.array([3.0]), np.zeros(1), np.ones(1))[0] == 3.0
    noise = Prior.of(np.full(50, 0.7), np.ones(50))
    assert noise.variance == 0.0
    assert noise.corrected(np.array([0.9]), np.ones(1), np.ones(1))[0] == pytest.approx(0.7)


def test_a_second_prediction_is_summed_over_what_is_shown() -> None:
    cands, _ = market(0)
    supply = np.linspace(0.5, 2.0, cands.n_users)
    solution = oa.solve(problem(cands, supply=supply))
    rng = np.random.default_rng(1)
    again = {name: column + 0.1 * rng.standard_normal(column.size) for name, column in cands.columns.items()}
    check = oa.Candidates.from_arrays(cands.indptr, cands.item, again, uncertainty=cands.uncertainty)
    found = oa.estimate_value(solution, check=check)
    often = solution.allocation * np.repeat(supply, 6)
    value = (again["relevance"] + 0.3 * again["promotion"]) @ often
    variance = (cands.uncertainty["relevance"] ** 2 + (0.3 * cands.uncertainty["promotion"]) ** 2) @ often**2
    assert found.value == pytest.approx(value)
    assert found.standard_error == pytest.approx(np.sqrt(variance))
    assert (found.high - found.low) / 2 == pytest.approx(1.959964 * np.sqrt(variance))
    assert found.stated == pytest.approx(solution.value)


def test_draws_are_averaged_over_the_whole_objective() -> None:
    cands, drawn = market(0)
    stated = problem(cands, more=oa.log(oa.exposure(by="campaign")))
    solution, draws = oa.solve(stated), oa.Draws(cands, {"relevance": drawn})
    found = oa.estimate_value(solution, draws=draws)
    rest = solution.value - cands.columns["relevance"] @ solution.allocation
    values = drawn @ solution.allocation + rest
    assert found.value == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(values.std(ddof=1))
    answer = oa.solve_uncertain(stated, risk="expected", draws=draws)
    again = oa.estimate_value(answer, draws=draws)
    assert again.value == pytest.approx(answer.value, rel=1e-9)
    assert again.stated == pytest.approx(oa.estimate_value(answer).stated)


def test_groups_have_a_prior_each() -> None:
    rng = np.random.default_rng(5)
    item = np.tile(np.arange(10), 100)
    good = item < 5
    truth = rng.normal(np.where(good, 2.0, 1.0), 0.1)
    cands = oa.Candidates.from_arrays(
        np.arange(101) * 10,
        item,
        {"r": truth + 0.3 * rng.standard_normal(1000)},
        items={"kind": ["good"] * 5 + ["poor"] * 4 + [None]},
        uncertainty={"r": np.full(1000, 0.3)},
    )
    solution = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(3)))
    true = truth @ solution.allocation
    pooled, grouped = oa.estimate_value(solution), oa.estimate_value(solution, by="kind")
    assert abs(grouped.value - true) < 3 * grouped.standard_error
    assert grouped.standard_error < pooled.standard_error
    with pytest.raises(oa.ProblemError, match="the items have no such key"):
        oa.estimate_value(solution, by="color")


def test_halves_of_a_prediction_are_independent_and_unbiased() -> None:
    n = 5_000
    cands = oa.Candidates.from_arrays(
        [0, n], np.arange(n), {"r": np.full(n, 5.0)}, uncertainty={"r": np.linspace(0.1, 2.0, n)}
    )
    for share in (0.5, 0.8):
        fit, check = oa.split_predictions(cands, share=share, rng=3)
        sd = cands.uncertainty["r"]
        assert fit.uncertainty["r"] == pytest.approx(sd / np.sqrt(share))
        assert check.uncertainty["r"] == pytest.approx(sd / np.sqrt(1 - share))
        # given the prediction, the two noises are opposite; with the error of the prediction they are independent
        error = sd * np.random.default_rng(4).standard_normal(n)
        one, other = fit.columns["r"] - 5.0 + error, check.columns["r"] - 5.0 + error
        assert abs(np.corrcoef(one / sd, other / sd)[0, 1]) < 4 / np.sqrt(n)
        assert np.std(one / sd) == pytest.approx(1 / np.sqrt(share), rel=0.04)


def test_a_difference_cancels_what_both_show() -> None:
    cands, drawn = market(0)
    first, second = oa.solve(problem(cands)), oa.solve(problem(cands, size=3))
    same = oa.value_difference(first, first)
    assert (same.difference, same.standard_error) == (0.0, 0.0)
    assert same.is_noise
    more = oa.value_difference(first, second)
    assert not more.is_noise
    assert more.low > 0
    assert "the second one is better" in str(more)
    back = oa.value_difference(second, first)
    assert back.difference == pytest.approx(-more.difference)
    draws = oa.Draws(cands, {"relevance": drawn})
    change = oa.value_difference(first, second, draws=draws)
    values = (drawn + 0.3 * cands.columns["promotion"]) @ (second.allocation - first.allocation)
    assert change.difference == pytest.approx(values.mean())
    assert change.standard_error == pytest.approx(values.std(ddof=1))


def test_information_is_worth_the_mean_of_the_best_less_the_best_mean() -> None:
    cands, drawn = market(0)
    drawn = drawn[:10]
    stated = problem(cands)
    worth = oa.perfect_information(stated, oa.Draws(cands, {"relevance": drawn}), gap=1e-6)

    def best(column: np.ndarray) -> float:
        other = oa.Candidates.from_arrays(
            cands.indptr, cands.item, {**cands.columns, "relevance": column}, items={"campaign": np.arange(9) % 3}
        )
        return oa.solve(problem(other), gap=1e-6).value

    expected = np.mean([best(column) for column in drawn]) - best(drawn.mean(axis=0))
    assert worth.value == pytest.approx(expected, rel=1e-4)
    assert worth.low - 1e-9 <= expected <= worth.high + 1e-9  # sums in another order
    assert worth.value > 0
    assert worth.gains.min() >= -1e-6
    some = oa.perfect_information(stated, oa.Draws(cands, {"relevance": drawn}), gap=1e-6, limit=5)
    assert some.gains == pytest.approx(worth.gains[:5], abs=1e-4)
    assert some.standard_error == pytest.approx(some.gains.std(ddof=1) / np.sqrt(5))


def solution() -> oa.Solution:
    return oa.solve(problem(market(0)[0]))


def bare() -> oa.Solution:
    cands = market(0)[0]
    plain = oa.Candidates.from_arrays(cands.indptr, cands.item, cands.columns, items={"campaign": np.arange(9) % 3})
    return oa.solve(problem(plain))


def draws_of(seed: int) -> oa.Draws:
    cands, drawn = market(seed)
    return oa.Draws(cands, {"relevance": drawn})


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "no solution": (lambda: oa.estimate_value(3), "expected a solution, got int"),  # type: ignore[arg-type]
    "both": (
        lambda: oa.estimate_value(solution(), draws=draws_of(0), check=market(0)[0]),
        "draws= or check=, not both",
    ),
    "confidence": (
        lambda: oa.estimate_value(solution(), confidence=95),
        r"confidence=95; expected a coverage in \(0, 1\)",
    ),
    "no deviations": (lambda: oa.estimate_value(bare()), "has standard deviations"),
    "other draws": (lambda: oa.estimate_value(solution(), draws=draws_of(1)), "draws of the problem's own candidates"),
    "no draws": (lambda: oa.estimate_value(solution(), draws=1), "expected oa.Draws, got int"),  # type: ignore[arg-type]
    "check of a type": (lambda: oa.estimate_value(solution(), check=1), "expected oa.Candidates"),  # type: ignore[arg-type]
    "other check": (lambda: oa.estimate_value(solution(), check=market(1)[0]), "other pairs than those"),
    "bare check": (
        lambda: oa.estimate_value(solution(), check=bare().problem.candidates),
        "no standard deviations for a column",
    ),
    "difference of others": (
        lambda: oa.value_difference(solution(), oa.solve(problem(market(1)[0]))),
        "two solutions are over other pairs",
    ),
    "split share": (lambda: oa.split_predictions(market(0)[0], share=1.0), r"share in \(0, 1\)"),
    "split bare": (lambda: oa.split_predictions(bare().problem.candidates), "no column has standard deviations"),
    "information of one": (
        lambda: oa.perfect_information(problem(market(0)[0]), draws_of(0), limit=1),
        "2 draws or more",
    ),
    "information of a type": (
        lambda: oa.perfect_information(3, draws_of(0)),  # type: ignore[arg-type]
        "takes an oa.Problem, got int",
    ),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_named(name: str) -> None:
    make, message = WRONG[name]
    with pytest.raises(oa.ProblemError, match=message):
        make()


def test_a_conflict_has_no_value() -> None:
    cands, drawn = market(0)
    stated = oa.Problem(cands, oa.total("relevance"), [oa.exposure(by="campaign") >= {0: 9.0, 1: 9.0, 2: 9.0}])
    with pytest.raises(oa.SolverError, match="infeasible"):
        oa.estimate_value(oa.solve(stated))
    with pytest.raises(oa.SolverError, match="infeasible"):
        oa.perfect_information(stated, oa.Draws(cands, {"relevance": drawn}))
