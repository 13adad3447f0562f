"""Risk over draws and lower quantiles: against cvxpy, against all allocations, and against what is served."""

from __future__ import annotations

import numpy as np
import pytest
from effort import full_only
from uncertain import Judge, market, problem

import oasis_alloc as oa

SHARES = {"expected": 1.0, "worst": 0.0, oa.CVaR(0.1): 0.1, oa.CVaR(0.37): 0.37}


@pytest.mark.few(1)
@pytest.mark.parametrize("risk", ["expected", "worst", oa.CVaR(0.37), *full_only(oa.CVaR(0.1))], ids=repr)
def test_risk_is_the_optimum_of_a_linear_program(risk: oa.CVaR | str) -> None:
    cands, drawn = market(1)
    stated = problem(cands)
    answer = oa.solve_uncertain(stated, risk=risk, draws=oa.Draws(cands, {"relevance": drawn}), gap=1e-6)
    judge = Judge(stated)
    best = judge.best_of_draws(drawn + judge.promotion, SHARES[risk])
    assert answer.gap <= 1e-6
    assert answer.value <= best + 1e-6 * best
    assert best <= answer.bound + 1e-6 * best
    assert answer.solution.violation <= 1e-6
    values = (drawn + judge.promotion) @ answer.solution.allocation
    np.testing.assert_allclose(answer.values, values, rtol=1e-9)
    ascending = np.sort(values)
    share = SHARES[risk]
    if share == 0.0:
        own = ascending[0]
    else:  # all weights of the smallest values, up to 1 / (share S) each
        weights = np.diff(np.minimum(np.arange(26) / (share * 25), 1.0))
        own = weights @ ascending
    assert answer.value == pytest.approx(own, rel=1e-9)


@pytest.mark.full
def test_supply_is_drawn_too() -> None:
    cands, drawn = market(2)
    rng = np.random.default_rng(7)
    supply = rng.uniform(0.5, 2.0, cands.n_users)
    supplies = rng.uniform(0.2, 3.0, (25, cands.n_users))
    stated = problem(cands, supply=supply)
    answer = oa.solve_uncertain(
        stated, risk="worst", draws=oa.Draws(cands, {"relevance": drawn}, supply=supplies), gap=1e-6
    )
    judge = Judge(stated)
    often = supplies[:, np.repeat(np.arange(cands.n_users), np.diff(cands.indptr))]
    best = judge.best_of_draws((drawn + judge.promotion) * often, 0.0)
    assert answer.value <= best * (1 + 1e-6)
    assert best <= answer.bound * (1 + 1e-6)
    assert answer.gap <= 1e-6


def test_functions_and_rules_of_slates_stay() -> None:
    cands, drawn = market(3)
    stated = oa.Problem(
        cands,
        oa.total("relevance") + 2.0 * oa.log(oa.exposure(by="campaign")),
        [(oa.exposure(by="campaign") <= 9.0).named("caps")],
        oa.Slate(3, at_most={"campaign": 2}, diminishing={"campaign": 0.05}),
    )
    draws = oa.Draws(cands, {"relevance": drawn})
    answer = oa.solve_uncertain(stated, risk="worst", draws=draws, gap=2e-3)
    assert answer.gap <= 2e-3
    # no allocation of another problem is better than the bound
    for s in range(3):
        other = oa.solve(stated.replace(candidates=cands_with(cands, drawn[s])), gap=1e-6)
        rest = other.value - drawn[s] @ other.allocation
        assert min(drawn @ other.allocation) + rest <= answer.bound + 1e-9


def cands_with(cands: oa.Candidates, relevance: np.ndarray) -> oa.Candidates:
    return oa.Candidates.from_arrays(
        cands.indptr, cands.item, {**cands.columns, "relevance": relevance}, items={"campaign": np.arange(9) % 3}
    )


@pytest.mark.full
def test_slot_weights_are_mixed_by_slot() -> None:
    cands, drawn = market(4)
    stated = problem(cands).replace(slate=oa.Slate(2, slot_weights=[1.0, 0.5]))
    answer = oa.solve_uncertain(stated, risk="worst", draws=oa.Draws(cands, {"relevance": drawn}), gap=1e-3)
    assert answer.gap <= 1e-3
    shown = answer.solution.allocation.reshape(cands.n_users, -1)
    assert shown.sum(axis=1).max() <= 1.5 + 1e-9
    assert shown.max() <= 1.0 + 1e-9


@pytest.mark.few(1)
@pytest.mark.parametrize("risk", ["worst", oa.CVaR(0.2), oa.LowerQuantile(0.05)], ids=repr)
def test_a_policy_scores_as_the_solution_does(risk: oa.CVaR | oa.LowerQuantile | str) -> None:
    cands, drawn = market(5)
    draws = None if isinstance(risk, oa.LowerQuantile) else oa.Draws(cands, {"relevance": drawn})
    answer = oa.solve_uncertain(problem(cands), risk=risk, draws=draws)
    policy, scores = answer.policy(), answer.solution.scores()
    columns = answer.solution.problem.candidates.columns
    for user in range(cands.n_users):
        pairs = slice(cands.indptr[user], cands.indptr[user + 1])
        own = {name: columns[name][pairs] for name in policy.columns}
        assert (policy.score(cands.item[pairs], own, user=user) == scores[pairs]).all()


@pytest.mark.few(1)
@pytest.mark.parametrize(("seed", "probability"), [(0, 0.01), *full_only((1, 0.05)), (2, 0.3)])
def test_the_lower_quantile_is_the_best_on_the_frontier(seed: int, probability: float) -> None:
    cands, _ = market(seed, users=8, deviation=0.4)
    stated = problem(cands)
    risk = oa.LowerQuantile(probability)
    answer = oa.solve_uncertain(stated, risk=risk, gap=1e-4)
    assert answer.gap <= 1e-4
    sd = cands.uncertainty
    variance = sd["relevance"] ** 2 + (0.3 * sd["promotion"]) ** 2
    value = cands.columns["relevance"] + 0.3 * cands.columns["promotion"]
    x = answer.solution.allocation
    assert answer.value == pytest.approx(value @ x - risk.z * np.sqrt(variance @ x), rel=1e-9)
    # the whole frontier of mean and variance, point by point, by another solver
    import cvxpy as cp

    judge = Judge(stated)
    price = cp.Parameter(nonneg=True)
    frontier = cp.Problem(cp.Maximize(value @ judge.x - price * (variance @ judge.x)), judge.limits)
    best = -np.inf
    for slope in np.linspace(0.0, 2.0, 21):
        price.value = slope
        frontier.solve(solver="HIGHS")
        best = max(best, float(value @ judge.x.value - risk.z * np.sqrt(variance @ judge.x.value)))
    assert best <= answer.bound + 1e-7 * abs(best)
    assert answer.value >= best - 1e-4 * abs(best)


def test_the_quantile_of_large_supply_has_its_square() -> None:
    cands, _ = market(1)
    supply = np.random.default_rng(3).uniform(0.5, 4.0, cands.n_users)
    stated = problem(cands, supply=supply)
    answer = oa.solve_uncertain(stated, risk=oa.LowerQuantile(0.1))
    often = np.repeat(supply, np.diff(cands.indptr))
    sd, x = cands.uncertainty, answer.solution.allocation
    variance = (sd["relevance"] ** 2 + (0.3 * sd["promotion"]) ** 2) * often**2
    assert answer.deviation == pytest.approx(np.sqrt(variance @ x), rel=1e-9)


def test_a_lower_quantile_is_missed_as_often_as_it_says() -> None:
    cands, _ = market(2, users=60)
    answer = oa.solve_uncertain(problem(cands), risk=oa.LowerQuantile(0.1))
    x, rng = answer.solution.allocation, np.random.default_rng(8)
    values = np.zeros(20_000)
    for name, weight in (("relevance", 1.0), ("promotion", 0.3)):
        noise = cands.uncertainty[name] * x
        errors = rng.standard_normal((20_000, np.count_nonzero(noise))) @ noise[noise > 0]
        values += weight * (cands.columns[name] @ x + errors)
    assert np.mean(values < answer.value) == pytest.approx(0.1, abs=0.01)


def test_a_conflict_is_returned_as_one() -> None:
    cands, drawn = market(0)
    stated = oa.Problem(cands, oa.total("relevance"), [oa.exposure(by="campaign") >= {0: 9.0, 1: 9.0, 2: 9.0}])
    for how in ({"risk": "worst", "draws": oa.Draws(cands, {"relevance": drawn})}, {"risk": oa.LowerQuantile()}):
        answer = oa.solve_uncertain(stated, **how)
        assert answer.solution.status.name == "INFEASIBLE"
        assert np.isnan(answer.value)
        assert answer.solution.conflicts


def test_a_time_limit_returns_the_best_so_far() -> None:
    cands, drawn = market(0)
    draws = oa.Draws(cands, {"relevance": drawn})
    answer = oa.solve_uncertain(problem(cands), risk="worst", draws=draws, gap=1e-12, time_limit=0.05)
    assert answer.value <= answer.bound
    assert answer.solution.violation <= 1e-6


WRONG = {
    "risk='median'": ({"risk": "median"}, "expected 'expected', 'worst'"),
    "needs draws": ({"risk": "worst"}, "needs draws=oa.Draws"),
    "quantile with draws": ({"risk": oa.LowerQuantile(), "draws": True}, "takes no draws"),
    "gap": ({"risk": "worst", "draws": True, "gap": 0.0}, "expected a positive number"),
    "draws of a type": ({"draws": 3}, "expected oa.Draws, got int"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_named(name: str) -> None:
    how, message = WRONG[name]
    cands, drawn = market(0)
    if how.get("draws") is True:
        how = how | {"draws": oa.Draws(cands, {"relevance": drawn})}
    with pytest.raises(oa.ProblemError, match=message):
        oa.solve_uncertain(problem(cands), **how)


def test_what_is_not_uncertain_is_named() -> None:
    cands, drawn = market(0)
    plain = oa.Problem(cands, oa.total("promotion"))
    with pytest.raises(oa.ProblemError, match=r"uses none of \['relevance'\]"):
        oa.solve_uncertain(plain, risk="worst", draws=oa.Draws(cands, {"relevance": drawn}))
    bare = cands_with(cands, cands.columns["relevance"])
    with pytest.raises(oa.ProblemError, match="has standard deviations"):
        oa.solve_uncertain(oa.Problem(bare, oa.total("relevance")), risk=oa.LowerQuantile())
    other, _ = market(9)
    with pytest.raises(oa.ProblemError, match="draws of the problem's own candidates"):
        oa.solve_uncertain(problem(other), risk="worst", draws=oa.Draws(cands, {"relevance": drawn}))
    for wrong in (0.0, 0.5, float("nan"), "a"):
        with pytest.raises(oa.ProblemError, match="probability in"):
            oa.LowerQuantile(wrong)
    for wrong in (0.0, 1.5, None):
        with pytest.raises(oa.ProblemError, match="share of the draws"):
            oa.CVaR(wrong)
