"""Verdicts do not depend on units, on other limits, or on limits that cannot bind."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from effort import diagonal, examples, full_only
from hypothesis import given, settings
from hypothesis import strategies as st

import oasis_alloc as oa
from oasis_alloc.common.verdicts import FEASIBLE, is_broken, ratios, relative_gap
from oasis_alloc.engines import engine_for
from oasis_alloc.program.lowering import lower
from oasis_alloc.solvers.evaluation import activity, evaluate, sizes

E, T = oa.exposure, oa.total
by_song = E(by="song")
SOLVED, INFEASIBLE, RELAXED = oa.Status.SOLVED, oa.Status.INFEASIBLE, oa.Status.RELAXED
UNITS = {f"{unit:g}": unit for unit in (1e-12, 1e-9, 1e-7, 1e-3, 1.0, 1e4, 1e9, 1e12)}
HUGE = [1e3, 1e6, 1e9, 1e19, 1e20, 1e30, float(np.finfo(np.float64).max), np.inf]


@pytest.fixture
def three() -> oa.Candidates:
    """Three users with one candidate each: song a once, song b twice."""
    return oa.Candidates.from_arrays([0, 1, 2, 3], [0, 1, 1], {"r": [0.9, 0.5, 0.4]}, items={"song": ["a", "b"]})


def market(seed: int, users: int = 20, items: int = 12, **columns: float) -> oa.Candidates:
    """Every user may see every item; each column is drawn from [0, 1) times its unit."""
    rng = np.random.default_rng(seed)
    n = users * items
    return oa.Candidates.from_arrays(
        np.arange(users + 1) * items,
        np.tile(np.arange(items), users),
        {name: rng.random(n) * unit for name, unit in columns.items()},
        items={"song": rng.permutation(items) % 5},
    )


@pytest.mark.few(2)
@pytest.mark.parametrize(("cap", "solver"), diagonal({f"{cap:g}": cap for cap in HUGE}, ["dual", "conic"]))
def test_a_conflict_is_named_beside_a_cap_of_any_size(three: oa.Candidates, cap: float, solver: str) -> None:
    demands = [(by_song >= {"a": 2.0}).named("promised"), (by_song <= {"b": cap}).named("no cap")]
    solution = oa.solve(oa.Problem(three, T("r"), demands), solver=solver)
    assert solution.status is INFEASIBLE
    assert [(c.constraint, c.label, c.give) for c in solution.conflicts] == [("promised", "a", pytest.approx(1.0))]
    relaxed = oa.solve(oa.Problem(three, T("r"), demands), solver=solver, on_conflict="relax")
    assert relaxed.status is RELAXED
    assert relaxed.value == pytest.approx(1.8)


def test_a_large_limit_forgives_nothing_in_its_own_constraint(three: oa.Candidates) -> None:
    caps = (T("r", by="song") <= {"a": 1e9, "b": 0.5}).named("caps")
    solution = oa.solve(oa.Problem(three, T("r"), [(by_song >= {"b": 2.0}).named("promised"), caps]))
    assert solution.status is INFEASIBLE
    assert {(c.constraint, c.label) for c in solution.conflicts} == {("caps", "b"), ("promised", "b")}


def test_a_floor_that_is_out_of_reach_hides_no_other(three: oa.Candidates) -> None:
    solution = oa.solve(oa.Problem(three, T("r"), (by_song >= {"a": 1e6, "b": 3.0}).named("promised")))
    assert solution.status is INFEASIBLE
    assert {c.label: pytest.approx(c.give) for c in solution.conflicts} == {"a": 1e6 - 1.0, "b": 1.0}


@pytest.mark.few(2)
@pytest.mark.parametrize("big", [1e4, 1e7, 1e9, 1e18])
def test_caps_hold_beside_labels_that_say_no_cap(big: float) -> None:
    rng, users, items, degree = np.random.default_rng(0), 500, 100, 10
    item = np.concatenate([rng.choice(items, degree, replace=False) for _ in range(users)])
    candidates = oa.Candidates.from_arrays(
        np.arange(users + 1) * degree, item, {"r": rng.random(users * degree)}, items={"a": rng.integers(0, 20, items)}
    )
    labels = candidates.groups("a")
    fair = 3 * users / len(labels)
    caps = {label: fair * (0.3 if k % 2 else 0.9) for k, label in enumerate(labels)}
    free = labels[-3:]
    plain = oa.solve(
        oa.Problem(candidates, T("r"), E(by="a") <= {k: v for k, v in caps.items() if k not in free}, oa.Slate(3))
    )
    with_big = oa.solve(
        oa.Problem(candidates, T("r"), E(by="a") <= caps | dict.fromkeys(free, big), oa.Slate(3)), gap=1e-4
    )
    assert with_big.status is SOLVED
    assert np.array_equal(plain.allocation, with_big.allocation)
    assert (plain.value, plain.bound, plain.passes) == (with_big.value, with_big.bound, with_big.passes)


@pytest.mark.few(2)
@pytest.mark.parametrize(("unit", "solver"), diagonal(UNITS, ["dual", "conic"]))
def test_budgets_and_values_in_any_unit(unit: float, solver: str) -> None:
    rng = np.random.default_rng(0)
    r, cost = rng.random(60), rng.random(60)

    def solved(values: float, costs: float) -> oa.Solution:
        candidates = oa.Candidates.from_arrays(
            np.arange(21) * 3,
            np.tile([0, 1, 2], 20),
            {"r": r * values, "cost": cost * costs},
            items={"c": ["a", "b", "c"]},
        )
        budget = (T("cost", by="c") <= costs).named("budget")
        return oa.solve(oa.Problem(candidates, T("r"), budget), solver=solver, gap=1e-6)

    plain, small, large = solved(1.0, 1.0), solved(1.0, unit), solved(unit, 1.0)
    assert small.status is large.status is SOLVED
    assert (small.totals["budget"] <= unit * (1 + FEASIBLE)).all()
    assert small.value == pytest.approx(plain.value, rel=1e-6)
    assert large.value == pytest.approx(unit * plain.value, rel=1e-6)
    assert small.allocation == pytest.approx(plain.allocation, abs=1e-6)
    assert large.allocation == pytest.approx(plain.allocation, abs=1e-6)
    assert large.prices["budget"] == pytest.approx(unit * plain.prices["budget"], rel=1e-5, abs=1e-7 * unit)


@pytest.mark.few(2)
@pytest.mark.parametrize("unit", [1e-9, 1e-6, 1.0, 1e6])
def test_guards_are_kept_or_refused_in_any_unit(unit: float) -> None:
    candidates = market(0, r=unit, w=1.0)

    def solved(promised: float) -> oa.Solution:
        limits = [(T("r") >= promised * unit).named("guard"), E(by="song") <= 13.0]
        return oa.solve(oa.Problem(candidates, T("w"), limits, oa.Slate(3)), gap=1e-6)

    kept, refused = solved(40.0), solved(70.0)
    assert kept.status is SOLVED
    assert kept.totals["guard"][0] >= 40.0 * unit * (1 - FEASIBLE)
    assert refused.status is INFEASIBLE
    assert ("guard", None) in {(c.constraint, c.label) for c in refused.conflicts}
    assert refused.totals["guard"][0] == pytest.approx(52.551, rel=1e-4) if unit == 1.0 else True


@pytest.mark.few(2)
@pytest.mark.parametrize("markets", [3, *full_only(12)])
@pytest.mark.parametrize(("values", "costs"), [(1e9, 1.0), (1e9, 1e-3), (1e6, 1e-4), (1e22, 1e-9), (1e100, 1e-100)])
def test_large_values_beside_small_costs(values: float, costs: float, markets: int) -> None:
    for seed in range(markets):
        rng = np.random.default_rng(seed)
        candidates = oa.Candidates.from_arrays(
            np.arange(31) * 3,
            np.tile([0, 1, 2], 30),
            {"value": rng.random(90) * values, "cost": rng.random(90) * costs},
            items={"camp": ["a", "b", "c"]},
        )
        problem = oa.Problem(candidates, T("value"), T("cost", by="camp") <= 3.0 * costs, oa.Slate(2))
        assert oa.solve(problem, gap=1e-6).status is SOLVED


@pytest.mark.parametrize("limit", [1e20, 1e30, float(np.finfo(np.float64).max)])
def test_limits_beyond_1e20_are_none(three: oa.Candidates, limit: float) -> None:
    free = oa.solve(oa.Problem(three, T("r")))
    for band in (by_song <= limit, by_song >= -limit, oa.soft(by_song <= limit, 1.0), oa.soft(by_song >= -limit, 2.0)):
        solution = oa.solve(oa.Problem(three, T("r"), band))
        assert solution.status is SOLVED
        assert (solution.value, solution.bound) == (free.value, free.bound)
    with pytest.raises(oa.ProblemError, match="no total can satisfy it"):
        oa.Problem(three, T("r"), by_song >= limit)


def vast(size: float) -> oa.Candidates:
    w = np.array([1.0, 0.5, 0.7, 0.3, 0.9, 0.4]) * size
    return oa.Candidates.from_arrays(
        [0, 2, 4, 6], [0, 1, 0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7, 0.3, 0.6], "w": w}, items={"camp": ["a", "b"]}
    )


W, EACH = T("w"), T("w", by="camp")
VAST: dict[str, tuple[Any, Any]] = {
    "values": (T("w"), oa.exposure(by="camp") <= 1.5),
    "values times ten": (10.0 * T("w") - 9.0 * T("w"), oa.exposure(by="camp") <= 1.5),
    "a cap of nothing": (T("r"), W <= 0.0),
    "a cap": (T("r"), W <= 1.0),
    "a cap times ten": (T("r"), 10.0 * W <= 1.0),
    "a share": (T("r"), EACH <= 0.5 * W),
    "a floor": (T("r"), W >= 1.0),
    "log": (T("r") + oa.log(EACH), ()),
    "square deviation": (T("r") - oa.square_deviation(EACH, 1.0), ()),
}


@pytest.mark.few(7)
@pytest.mark.parametrize("size", [1e151, 1e200, 1e307, 1.7e308])
@pytest.mark.parametrize("name", VAST)
def test_sums_beyond_1e150_are_refused_without_a_warning(name: str, size: float) -> None:
    maximize, limits = VAST[name]
    with pytest.raises(oa.ProblemError, match=r"expected at most 1e\+150.*by a power of ten"):
        oa.solve(oa.Problem(vast(size), maximize, limits, oa.Slate(1)))


@pytest.mark.few(2)
@pytest.mark.parametrize("name", [name for name in VAST if "ten" not in name and "deviation" not in name])
def test_sums_up_to_1e150_are_solved(name: str) -> None:
    maximize, limits = VAST[name]
    assert oa.solve(oa.Problem(vast(1e149), maximize, limits, oa.Slate(1))).status is SOLVED


@pytest.mark.few(5)
@pytest.mark.parametrize("size", [1e-151, 1e-200, 1e-300, 1e-310])
@pytest.mark.parametrize("name", [name for name in VAST if name not in ("a cap", "a cap times ten")])  # never reached
def test_sizes_below_1e_150_are_refused_without_a_warning(name: str, size: float) -> None:
    maximize, limits = VAST[name]
    with pytest.raises(oa.ProblemError, match=r"expected 0, or at least 1e-150.*by a power of ten"):
        oa.solve(oa.Problem(vast(size), maximize, limits, oa.Slate(1)))


@pytest.mark.few(3)
@pytest.mark.parametrize("size", [1e-149, 1e-100, 1e-30])
@pytest.mark.parametrize("name", [name for name in VAST if "ten" not in name and name not in ("a floor", "log")])
def test_sizes_from_1e_150_on_are_solved(name: str, size: float) -> None:
    maximize, limits = VAST[name]
    assert oa.solve(oa.Problem(vast(size), maximize, limits, oa.Slate(1))).status is SOLVED


def test_values_too_small_for_the_sums_next_to_them_are_refused() -> None:
    values = 1e-100 * T("r")
    with pytest.raises(oa.ProblemError, match=r"next to values of .* Divide the column and its limits"):
        oa.solve(oa.Problem(vast(1e120), values, W <= 1.0, oa.Slate(1)))
    assert oa.solve(oa.Problem(vast(1e90), values, W <= 1.0, oa.Slate(1))).status is SOLVED


def test_groups_of_next_to_nothing_change_nothing() -> None:
    """What is left of products of probabilities in one group is not its unit."""
    w = np.array([1.0, 1e-200, 0.7, 1e-310, 0.9, 1e-160])
    cands = oa.Candidates.from_arrays(
        [0, 2, 4, 6], [0, 1, 0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7, 0.3, 0.6], "w": w}, items={"camp": ["a", "b"]}
    )
    solution = oa.solve(oa.Problem(cands, T("r"), EACH <= {"a": 1.0, "b": 1e9}, oa.Slate(1)))
    assert solution.status is SOLVED
    assert solution.violation <= 1e-9


def relaxed_market() -> oa.Candidates:
    return oa.Candidates.from_arrays(
        np.arange(11) * 2, np.tile([0, 1], 10), {"r": np.tile([1.0, 0.2], 10)}, items={"campaign": ["a", "b"]}
    )


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "weight"),
    diagonal(
        ["log", "worst_off", "square_deviation", "reach"],
        {str(weight): weight for weight in (1e8, 1e5, 1e3, 1.0)},
        every=2,
    ),
)
def test_no_function_is_steep_enough_to_relax_more_than_the_least(name: str, weight: float) -> None:
    by = E(by="campaign")
    function = {
        "log": weight * oa.log(by), "worst_off": weight * oa.worst_off(by), "reach": weight * oa.reach(by, 10.0),
        "square_deviation": -weight * oa.square_deviation(by, [10.0, 0.0]),
    }[name]  # fmt: skip
    limits = [(by <= {"a": 2.0, "b": 3.0}).named("caps"), (E() >= 9.0).named("floor")]
    problem = oa.Problem(relaxed_market(), T("r") + function, limits, oa.Slate(1))
    solution = oa.solve(problem, gap=1e-6, on_conflict="relax")
    assert solution.status is RELAXED
    assert sum(c.give for c in solution.conflicts) == pytest.approx(4.0, rel=1e-6)
    # of all ways to give 4, the best: 9 slots over a and b, of which a has between 2 and 6
    a = np.linspace(2.0, 6.0, 4001)
    totals = np.stack([a, 9.0 - a])
    worth_of = {
        "log": lambda e: np.log(e + 1.0).sum(axis=0), "worst_off": lambda e: e.min(axis=0),
        "reach": lambda e: np.minimum(e, 10.0).sum(axis=0),
        "square_deviation": lambda e: -(((e - np.array([[10.0], [0.0]])) ** 2).sum(axis=0)) / 2,
    }[name]  # fmt: skip
    best = (totals[0] + 0.2 * totals[1] + weight * worth_of(totals)).max()
    assert solution.value == pytest.approx(best, rel=1e-5)
    assert solution.bound >= best * (1 - 1e-9)


def test_a_function_that_limits_leave_nothing_is_part_of_the_conflict() -> None:
    candidates = oa.Candidates.from_arrays(
        np.arange(11) * 2, np.tile([0, 1], 10), {"r": np.ones(20)}, items={"song": [0, 1], "label": ["x", "y"]}
    )
    first = (E(by="label") <= {"x": 0.0}).named("nothing")
    problem = oa.Problem(candidates, T("r") + oa.log(by_song, offset=0.0).named("fair"), first, oa.Slate(1))
    solution = oa.solve(problem, gap=1e-6)
    assert solution.status is INFEASIBLE
    assert {(c.constraint, c.label) for c in solution.conflicts} == {("fair", 0), ("nothing", "x")}


@pytest.mark.few(1)
@pytest.mark.parametrize("cap", [1e-9, 1e-6])
def test_a_small_limit_leaves_a_logarithm_something(cap: float) -> None:
    candidates = market(0, users=10, items=3, r=1.0)
    problem = oa.Problem(candidates, T("r") + oa.log(by_song, offset=0.0), E() <= cap, oa.Slate(1))
    solution = oa.solve(problem)
    assert solution.status is not INFEASIBLE
    assert np.isfinite(solution.value)
    assert solution.violation <= FEASIBLE


@pytest.mark.full
def test_functions_alone_are_solved_in_any_unit() -> None:
    candidates = market(0, users=10, items=6, r=1.0)
    for weight in (1e-12, 1e-9, 1.0, 1e9):
        near = -weight * oa.square_deviation(by_song, 3.1)
        solution = oa.solve(oa.Problem(candidates, 0.0 * T("r") + near, E() <= 12.0, oa.Slate(2)), gap=1e-6)
        assert solution.status is SOLVED
        assert solution.value == pytest.approx(-weight * 5 * (3.1 - 12 / 5) ** 2 / 2, rel=1e-5)


def test_a_relaxed_answer_whose_gap_is_open_says_so() -> None:
    limits = [by_song <= {0: 0.5, 1: 0.5}, (E() >= 9.0).named("all")]
    steep = T("r") + 1e9 * oa.log(by_song, offset=0.0)
    solution = oa.solve(oa.Problem(market(0, users=8, items=5, r=1.0), steep, limits, oa.Slate(1)), on_conflict="relax")
    assert solution.status in (RELAXED, oa.Status.STALLED)
    assert solution.status is oa.Status.STALLED or solution.gap <= 1e-3


def test_small_problems_with_flat_and_shared_functions_are_solved() -> None:
    for seed in range(3):
        candidates = market(seed, users=10, items=3, r=1.0, b=1e6)
        pin = by_song == {0: 3.0}
        for objective in (
            T("r") + 100 * oa.gini_welfare(by_song - 0.1 * E()) + 1e-3 * oa.log(by_song, offset=1e4),
            T("r") + oa.gini_welfare(T("b", by="song")) + oa.entropy(by_song),
        ):
            assert oa.solve(oa.Problem(candidates, objective, pin, oa.Slate(1)), gap=1e-6).status is SOLVED


def test_an_unproven_answer_becomes_a_policy_only_on_request() -> None:
    problem = oa.Problem(market(0, r=1.0, w=1.0), T("w"), [T("r") >= 40.0, E(by="song") <= 13.0], oa.Slate(3))
    early = oa.solve(problem, pass_limit=1, gap=1e-9)
    assert early.status is oa.Status.PASS_LIMIT
    with pytest.raises(oa.SolverError, match=r"before its gap was proven.*unproven=True"):
        early.policy()
    assert early.policy(unproven=True).score([0], {"r": [0.5], "w": [0.5]}).shape == (1,)
    refused = oa.solve(problem.replace(subject_to=T("r") >= 70.0))
    for unproven in (False, True):
        with pytest.raises(oa.SolverError, match="infeasible"):
            refused.policy(unproven=unproven)


def test_a_bound_below_the_value_is_an_error_not_a_gap_of_0(
    monkeypatch: pytest.MonkeyPatch, three: oa.Candidates
) -> None:
    from oasis_alloc.engines.chunks import Chunked

    visit = Chunked.visit
    monkeypatch.setattr(Chunked, "visit", lambda *a, **k: replace(v := visit(*a, **k), bound=0.9 * v.bound))
    with pytest.raises(oa.CertificateError, match=r"report.*doctor --problem") as raised:
        oa.solve(oa.Problem(three, T("r"), by_song <= 1.5))
    assert raised.value.bound < raised.value.value
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_gaps_are_of_the_objective_and_rounding_is_none() -> None:
    assert relative_gap(1.1, 1.0) == pytest.approx(0.1 / 1.1)
    assert relative_gap(1.1e-9, 1.0e-9) == pytest.approx(0.1 / 1.1)
    assert relative_gap(1.0, -1.0, size=200.0) == pytest.approx(0.01), "parts that cancel are the objective's size"
    assert relative_gap(0.0, 0.0) == 0.0
    assert relative_gap(1e-15, 0.0, rounding=1e-12) == 0.0
    assert relative_gap(np.inf, 1.0) == np.inf
    assert is_broken(1.0, 1.1, 1.0, bought=0.0)
    assert not is_broken(1.0, 1.1, 1.0, bought=0.1), "what violations buy is no fault"
    assert not is_broken(1.0, 1.0 + 1e-12, 1.0, bought=0.0)


def test_an_objective_of_nothing_has_gap_0(three: oa.Candidates) -> None:
    solution = oa.solve(oa.Problem(three, 0.0 * T("r"), by_song >= {"b": 1.0}))
    assert (solution.status, solution.value, solution.gap) == (SOLVED, 0.0, 0.0)


def test_terms_that_cancel_are_measured_by_their_parts() -> None:
    candidates = market(1, r=1e6, w=1.0)
    plus_minus = T("r") - 0.9999 * T("r") + T("w")
    two = oa.Candidates.from_arrays(
        candidates.indptr, candidates.item,
        {"a": candidates.columns["r"], "b": candidates.columns["r"] - candidates.columns["w"]},
    )  # fmt: skip
    solution = oa.solve(oa.Problem(two, T("a") - T("b"), E() <= 30.5, oa.Slate(3)), gap=1e-9)
    parts = sum(abs(part) for part in solution.parts.values())
    assert parts > 1e6 * abs(solution.value)
    assert solution.gap <= (solution.bound - solution.value) / parts * (1 + 1e-9) + 1e-15
    assert oa.solve(oa.Problem(candidates, plus_minus, E() <= 30.5, oa.Slate(3))).status is SOLVED


def test_ratios_are_of_each_limit() -> None:
    totals = np.array([2.0, 5.0, 3.0, 0.0])
    lower, upper = np.array([-np.inf, 6.0, 1.0, 1e-9]), np.array([1.0, np.inf, 4.0, 1.0])
    assert ratios(totals, lower, upper) == pytest.approx([0.5, 1 / 6, 0.0, 1.0])
    assert ratios(totals, lower, upper, np.array([10.0, 10.0, 10.0, 1.0])) == pytest.approx([0.1, 0.1, 0.0, 1e-9])


@settings(max_examples=examples(40))
@given(st.integers(0, 10**6), st.floats(0.05, 1.5), st.booleans())
def test_what_totals_are_made_of_is_added_up_pair_by_pair(seed: int, share: float, signed: bool) -> None:
    """Shares, differences of columns, and columns of both signs, against the matrix of all contributions."""
    rng = np.random.default_rng(seed)
    candidates = market(seed, users=6, items=8, r=1.0, w=1.0)
    sign = np.where(rng.random(48) < 0.5, -1.0, 1.0) if signed else 1.0
    candidates = oa.Candidates.from_arrays(
        candidates.indptr, candidates.item,
        {name: column * sign for name, column in candidates.columns.items()}, items={"song": candidates.item[:8] % 5},
    )  # fmt: skip
    measures = [
        by_song - share * E(), T("r", by="song") - share * T("r"), T("r", by="song") - share * T("w"), T("w"),
        2 * by_song,
    ]  # fmt: skip
    problem = oa.Problem(candidates, T("r"), [m <= 1e-3 for m in measures], oa.Slate(3))
    program, x = lower(problem), rng.random(48) * (rng.random(48) < 0.6)
    shown = np.flatnonzero(x)
    with engine_for(program, 1) as engine:
        pairs = engine.take(np.arange(48))
        matrix = (program.arithmetic @ program.columns_of(pairs)).toarray()
        made_of = np.abs(matrix) @ x
        every = activity(engine, shown, x[shown], np.arange(program.n_rows))
        assert every == pytest.approx(made_of, rel=1e-9, abs=1e-12)
        sums = engine.sums(shown, x[shown])
        assert (program.kept_share * sums.activity <= made_of * (1 + 1e-9) + 1e-12).all()
        allocation = evaluate(engine, shown, x[shown])
        exact = program.violation(matrix @ x, made_of)
        assert (allocation.violation <= FEASIBLE) == (exact <= FEASIBLE)
        told = program.violation(allocation.totals, sizes(engine, allocation))
        assert told == pytest.approx(exact, rel=1e-9, abs=1e-12)


def test_the_reference_says_where_it_would_leave_out_what_matters() -> None:
    columns = {"r": [1.0, 2.0, 3.0, 4.0], "cost": [1.0, 1e-14, 1.0, 1e-14]}
    candidates = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], columns)
    problem = oa.Problem(candidates, T("r"), (T("cost") <= 1.5e-14).named("budget"), oa.Slate(2))
    with pytest.raises(oa.SolverError, match=r"budget.*ignore.*solver='dual'"):
        oa.solve(problem, solver="conic")
    solution = oa.solve(problem)
    assert solution.violation <= FEASIBLE
