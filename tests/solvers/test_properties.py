"""Random small problems: the certificate, the prices and the allocation are checked against what a problem means.

`oracle.py` works out totals, conjugates and optima from plain lists. Small problems are solved by the finisher in one
go, so they are solved once more with every threshold for large problems turned down (`small_steps`): Newton steps,
samples of users, several chunks, many rounds of the finisher, cells without a folded table.
"""

from __future__ import annotations

import numpy as np
import pytest
from effort import examples
from feasibility import clear_relaxation
from hypothesis import event, given, settings
from hypothesis import strategies as st
from oracle import curves_of, least_relaxation, optimum, rows_of, slates, values
from strategies import Case, curved_problems, problems

import oasis_alloc as oa
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers.relaxation import neutral

GAP = 1e-4
FEASIBLE = 1e-6


def check_solved(case: Case, solution: oa.Solution, best: float, gap: float = GAP) -> None:
    """All that a solved problem promises."""
    assert solution.status is oa.Status.SOLVED
    x, rows, v = solution.allocation, rows_of(case), values(case)
    check_allocation(case, solution)
    size = max(1.0, abs(best), abs(solution.bound))
    # the certificate: what it says is true of its own answer, and the optimum lies between
    lost = sum(row.penalty * float(row.excess(x).sum()) for row in rows if not row.hard)
    assert solution.value == pytest.approx(float(v @ x) - lost, rel=1e-9, abs=1e-9 * size)
    assert solution.gap <= gap
    whole = max(abs(solution.value), abs(solution.bound), sum(abs(part) for part in solution.parts.values()))
    missing = max(0.0, solution.bound - solution.value)
    # what rounding leaves of an objective that is 0 is no gap
    assert solution.gap == pytest.approx(missing / whole, abs=1e-12) if missing > 1e-9 * size else solution.gap <= gap
    worst = max((row.ratio(x) for row in rows if row.hard), default=0.0)
    assert worst <= FEASIBLE
    assert solution.violation == pytest.approx(worst, abs=1e-9)
    paid = sum(
        float(np.abs(solution.prices[row.name]) @ row.excess(x)) for row in rows
    )  # what violations may have bought
    assert solution.value <= best + paid + 1e-8 * size
    assert best <= solution.bound + 1e-8 * size
    # the prices: in the domain, and what they say of the totals is true to the gap
    certified = check_prices(case, solution)
    assert certified == pytest.approx(solution.bound, rel=1e-9, abs=1e-9 * size)


def check_allocation(case: Case, solution: oa.Solution) -> None:
    """Probabilities, slates, and totals that belong to them."""
    x = solution.allocation
    assert x.shape == (case.market.n_pairs,)
    assert ((x >= 0.0) & (x <= 1.0)).all()
    assert (slates(case.market) @ x <= case.problem.slate.size + 1e-9).all()
    for row in rows_of(case):
        scale = 1.0 + np.abs(row.matrix).sum(axis=1)
        assert solution.totals[row.name].shape == row.lower.shape
        assert np.all(np.abs(solution.totals[row.name] - row.matrix @ x) <= 1e-9 * scale)


def check_prices(case: Case, solution: oa.Solution) -> float:
    """Signs, complementary slackness, the users' own best slates; returns the bound that the prices prove."""
    x, scores = solution.allocation, solution.scores()
    priced = values(case)
    slack = 0.0
    proven = 0.0
    slop = 1e-9 * max(1.0, abs(solution.bound))
    for row in rows_of(case):
        prices = solution.prices[row.name]
        priced = priced - row.matrix.T @ prices
        conjugate = row.conjugate(prices)
        assert np.isfinite(conjugate), (
            f"{row.name}: a price of the wrong sign, beyond its penalty, or without a limit: {prices}"
        )
        proven += conjugate
        excess = row.excess(x)
        lost = 0.0 if row.hard else row.penalty * float(excess.sum())
        part = conjugate - float(prices @ (row.matrix @ x)) + lost
        assert part >= -slop - float(np.abs(prices) @ excess), f"{row.name}: Fenchel's inequality"
        slack += part
    assert scores == pytest.approx(priced, rel=1e-9, abs=1e-9 * (1.0 + float(np.abs(priced).max(initial=0.0))))
    regret = 0.0
    for u in range(case.market.n_users):
        mine = np.flatnonzero(np.array(case.market.user) == u)
        best = np.sort(np.maximum(scores[mine], 0.0))[::-1][: case.problem.slate.size].sum()
        proven += float(best)
        here = float(best - scores[mine] @ x[mine])
        assert here >= -slop
        regret += here
    # the certificate's gap is the sum of both, and neither is negative: each is at most the gap
    assert slack + regret == pytest.approx(solution.bound - solution.value, abs=10 * slop + 1e-8)
    return proven


@settings(max_examples=examples(180))
@given(case=problems())
def test_dual_certificate_brackets_the_optimum(case: Case) -> None:
    best = optimum(case)
    assert best is not None  # by construction
    check_solved(case, oa.solve(case.problem, gap=GAP), best)


@settings(max_examples=examples(110))
@given(case=problems(max_users=9, max_items=7))
@pytest.mark.usefixtures("small_steps")
def test_dual_by_the_paths_of_large_problems(case: Case) -> None:
    best = optimum(case)
    assert best is not None
    check_solved(case, oa.solve(case.problem, gap=GAP), best)


@settings(max_examples=examples(70))
@given(case=problems())
def test_dual_agrees_with_the_conic_solver(case: Case) -> None:
    reference, ours = oa.solve(case.problem, solver="conic", gap=1e-6), oa.solve(case.problem, gap=1e-6)
    best = optimum(case)
    assert best is not None
    check_solved(case, reference, best, gap=1e-6)
    check_solved(case, ours, best, gap=1e-6)
    size = max(1.0, abs(reference.bound))
    assert ours.value <= reference.bound + 1e-6 * size
    assert reference.value <= ours.bound + 1e-6 * size


def check_feasibility(case: Case, solver: str = "dual") -> None:
    relaxation = clear_relaxation(case)
    solution = oa.solve(case.problem, solver=solver, gap=GAP)
    best = optimum(case)
    assert (best is None) == (relaxation > 1e-9)
    if best is not None:
        check_solved(case, solution, best)
    else:
        assert solution.status is oa.Status.INFEASIBLE
        assert solution.conflicts
        program = lower(case.problem)
        counts = neutral(program)  # a missed unit counts by its size: 1e-3 where candidates have about 1,000
        weights = {block.name: counts[block.rows] for block in program.blocks}
        given = [
            conflict.give * weights[conflict.constraint][case.problem.labels(conflict.constraint).index(conflict.label)]
            for conflict in solution.conflicts
        ]
        assert sum(given) == pytest.approx(least_relaxation(case, weights), rel=1e-6, abs=1e-6)


@settings(max_examples=examples(120))
@given(case=problems(feasible=False))
def test_infeasible_if_and_only_if_the_oracle_says_so(case: Case) -> None:
    check_feasibility(case)


@pytest.mark.full
@settings(max_examples=examples(100))
@given(case=problems(feasible=False, max_users=9))
@pytest.mark.usefixtures("small_steps")
def test_infeasible_by_the_paths_of_large_problems(case: Case) -> None:
    check_feasibility(case)


@settings(max_examples=examples(60))
@given(case=problems(feasible=False))
def test_infeasible_by_the_conic_solver(case: Case) -> None:
    check_feasibility(case, solver="conic")


@settings(max_examples=examples(60))
@given(case=problems(), limit=st.integers(1, 3))
@pytest.mark.usefixtures("small_steps")
def test_a_bound_holds_wherever_a_solve_ends(case: Case, limit: int) -> None:
    best = optimum(case)
    assert best is not None
    solution = oa.solve(case.problem, pass_limit=limit)
    check_allocation(case, solution)
    size = max(1.0, abs(best))
    assert best <= solution.bound + 1e-8 * size
    assert check_prices(case, solution) == pytest.approx(solution.bound, rel=1e-9, abs=1e-9 * size)
    assert solution.status is not oa.Status.INFEASIBLE


def check_curved(case: Case, solution: oa.Solution, gap: float) -> None:
    """Value and bound, worked out from the formulas; prices and totals that are made for each other."""
    assert solution.status is oa.Status.SOLVED
    assert solution.gap <= gap
    check_allocation(case, solution)
    x, scores, curves, rows = solution.allocation, solution.scores(), curves_of(case), rows_of(case)
    size = max(1.0, abs(solution.bound), abs(solution.value))
    value = float(values(case) @ x)
    value += sum(curve.value(x) for curve in curves)
    value -= sum(row.penalty * float(row.excess(x).sum()) for row in rows if not row.hard)
    assert solution.value == pytest.approx(value, rel=1e-9, abs=1e-9 * size)
    assert sum(solution.parts.values()) == pytest.approx(solution.value, rel=1e-9, abs=1e-9 * size)
    priced, proven, slack = values(case), 0.0, 0.0
    for part in (*rows, *curves):
        prices, totals = solution.prices[part.name], part.matrix @ x
        assert np.isfinite(prices).all()
        priced = priced - part.matrix.T @ prices
        conjugate = part.conjugate(prices)
        proven += conjugate
        worth = part.value(x) if part in curves else -part.penalty * part.excess(x).sum() if not part.hard else 0.0
        missing = conjugate - float(prices @ totals) - worth
        # a sum of formulas, each of them rounded
        slop = 1e-9 * max(size, abs(conjugate), float(np.abs(prices) @ np.abs(totals)))
        bought = float(np.abs(prices) @ part.excess(x)) if part in rows else 0.0
        assert missing >= -slop - bought, f"{part.name}: Fenchel's inequality"
        slack += missing
    assert scores == pytest.approx(priced, rel=1e-9, abs=1e-9 * (1.0 + float(np.abs(priced).max(initial=0.0))))
    user = np.array(case.market.user, np.int64)
    for u in range(case.market.n_users):
        proven += float(np.sort(np.maximum(scores[user == u], 0.0))[::-1][: case.problem.slate.size].sum())
    # the range of a difference is known from its parts, which can be wider: then the bound is not the tightest
    assert proven <= solution.bound + 1e-8 * size
    if all(len(function.measure.terms) == 1 for function in case.problem.maximize.functions):
        assert solution.bound == pytest.approx(proven, rel=1e-8, abs=1e-8 * size)
    assert slack <= gap * size + 1e-7 * size, "Fenchel's equality, up to the gap"


def check_against_the_reference(case: Case, gap: float) -> None:
    ours = oa.solve(case.problem, gap=gap)
    check_curved(case, ours, gap)
    reference = oa.solve(case.problem, solver="conic:clarabel", gap=1e-6)
    event(f"reference: {reference.status}")
    size = max(1.0, abs(ours.bound), abs(reference.value))
    # both are certified, so this holds however well the reference did
    assert reference.value <= ours.bound + 1e-6 * size
    assert ours.value <= reference.bound + 1e-6 * size


@settings(max_examples=examples(100))
@given(case=curved_problems(), gap=st.sampled_from([1e-4, 1e-4, 1e-6]))
def test_functions_of_the_objective(case: Case, gap: float) -> None:
    check_against_the_reference(case, gap)


@pytest.mark.full
@settings(max_examples=examples(50))
@given(case=curved_problems(max_users=9, max_items=7), gap=st.sampled_from([1e-4, 1e-4, 1e-6]))
@pytest.mark.usefixtures("small_steps")
def test_functions_by_the_paths_of_large_problems(case: Case, gap: float) -> None:
    check_against_the_reference(case, gap)
