"""Long lists, columns in any unit, and shares up to all of it: solved, with the value that programs give."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import diagonal, full_only
from scipy.optimize import linprog

import oasis_alloc as oa
from oasis_alloc.program.slate_rules import user_units

Array = np.ndarray[Any, Any]


def one_user(seed: int, n: int = 1000) -> oa.Problem:
    rng = np.random.default_rng(seed)
    r, a, b = rng.random(n), rng.integers(0, 3, n), rng.integers(0, 3, n)
    candidates = oa.Candidates.from_arrays([0, n], np.arange(n), {"r": r}, items={"a": a, "b": b})
    return oa.Problem(candidates, oa.total("r"), slate=oa.Slate(6, at_most={"a": 3, "b": 3}))


@pytest.mark.parametrize("seed", range(3))
def test_a_thousand_candidates_in_crossing_categories_are_solved(seed: int) -> None:
    problem = one_user(seed)
    r, keys = problem.candidates.columns["r"], problem.candidates.items
    rows = [np.ones(r.size), *((keys[key].codes == c).astype(float) for key in "ab" for c in range(3))]
    best = -linprog(-r, np.array(rows), [6.0] + [3.0] * 6, bounds=(0.0, 1.0), method="highs").fun
    for solver in ("dual", "conic"):
        solution = oa.solve(problem, gap=1e-6, solver=solver)
        assert solution.status is oa.Status.SOLVED
        assert solution.value == pytest.approx(best, rel=1e-6)
        assert solution.bound == pytest.approx(best, rel=1e-6)


def test_a_hundred_users_with_a_thousand_candidates_are_solved_in_seconds() -> None:
    rng, n_users, n = np.random.default_rng(0), 100, 1000
    item = np.tile(np.arange(n), n_users)
    candidates = oa.Candidates.from_arrays(
        np.arange(n_users + 1) * n, item, {"r": rng.random(n_users * n)},
        items={"a": rng.integers(0, 3, n), "b": rng.integers(0, 3, n)},
    )  # fmt: skip
    solution = oa.solve(oa.Problem(candidates, oa.total("r"), slate=oa.Slate(4, at_most={"a": 2, "b": 2})), gap=1e-4)
    assert solution.status is oa.Status.SOLVED
    assert solution.value == pytest.approx(398.92, abs=0.05)
    assert solution.bound == pytest.approx(solution.value, rel=1e-4)


def test_logarithms_crossing_caps_and_shares_of_long_lists_are_solved() -> None:
    rng, n_users, n = np.random.default_rng(1), 20, 500
    candidates = oa.Candidates.from_arrays(
        np.arange(n_users + 1) * n, np.tile(np.arange(n), n_users), {"r": rng.random(n_users * n)},
        items={"a": rng.integers(0, 5, n), "b": rng.integers(0, 3, n)},
    )  # fmt: skip
    maximize = oa.total("r") + 10 * oa.log(oa.exposure(by="a"))
    solution = oa.solve(oa.Problem(candidates, maximize, slate=oa.Slate(4, at_most={"b": 2}, keep={"r": 0.9})))
    assert solution.status is oa.Status.SOLVED


def kept_problem(unit: float | Array, crossing: bool, seed: int = 0) -> oa.Problem:
    rng, n_users, n = np.random.default_rng(seed), 20, 12
    r = rng.random((n_users, n)) * np.reshape(unit, (-1, 1))
    candidates = oa.Candidates.from_arrays(
        np.arange(n_users + 1) * n, np.tile(np.arange(n), n_users), {"r": r.ravel(), "q": rng.random(n_users * n)},
        items={"a": rng.integers(0, 3, n), "b": rng.integers(0, 3, n)},
    )  # fmt: skip
    caps = {"a": 2, "b": 2} if crossing else {}
    slate = oa.Slate(4, keep={"r": 0.9}, at_most=caps)
    return oa.Problem(candidates, oa.total("q"), oa.exposure(by="a") <= 25.0, slate=slate)


@pytest.mark.parametrize("crossing", [False, *full_only(True)])
@pytest.mark.parametrize("seed", [0, *full_only(*range(1, 4))])
@pytest.mark.parametrize("every", [3, *full_only(1)])
def test_the_unit_of_what_is_kept_changes_nothing(crossing: bool, seed: int, every: int) -> None:
    expected = oa.solve(kept_problem(1.0, crossing, seed), gap=1e-6)
    units = [1e-9, 1e-6, 1e-3, 1e3, 1e6, 1e9, 10.0 ** np.arange(-10, 10)]  # the last: another one for every user
    for unit in units[::every]:
        solution = oa.solve(kept_problem(unit, crossing, seed), gap=1e-6)
        assert solution.status is expected.status
        if expected.status is not oa.Status.SOLVED:
            continue
        assert solution.value == pytest.approx(expected.value, rel=2e-6)
        r = np.asarray(solution.problem.candidates.columns["r"]).reshape(20, 12) / np.reshape(unit, (-1, 1))
        kept = (r * solution.allocation.reshape(20, 12)).sum(axis=1)
        if not crossing:
            organic = np.sort(r, axis=1)[:, -4:].sum(axis=1)
            assert (kept >= 0.9 * organic * (1 - 1e-6)).all()


def test_a_small_column_with_ties_and_crossing_caps_is_kept() -> None:
    candidates = oa.Candidates.from_arrays(
        [0, 4], [0, 2, 3, 1], {"r": np.array([3, 3, 4, 4]) * 1e-6, "q": [1.0, 0, 2, 2]},
        items={"a": [0, 1, 1, 0], "b": [1, 0, 0, 0]},
    )  # fmt: skip
    slate = oa.Slate(10, at_most={"a": 3, "b": 1}, keep={"r": 0.9})
    solution = oa.solve(oa.Problem(candidates, oa.total("r") - 0.5 * oa.total("q"), slate=slate), gap=1e-6)
    assert solution.status is oa.Status.SOLVED


def test_users_have_units_of_their_own_near_their_largest_entry() -> None:
    column = np.array([3.0, -1e9, 5e-7, 4e-7, -8.0, -2.0, 0.0, 0.0, 0.0])
    indptr = np.array([0, 2, 2, 4, 7, 9])
    units = user_units(column, indptr)
    assert units.tolist() == [4.0, 1.0, 2.0**-20, 4.0, 2.0]
    scaled = column / np.repeat(units, np.diff(indptr))
    assert np.array_equal(scaled * np.repeat(units, np.diff(indptr)), column)


@pytest.mark.parametrize("seed", range(5))
def test_all_of_a_column_can_be_kept(seed: int) -> None:
    rng, n = np.random.default_rng(seed), 30
    columns = {"r": rng.random(n), "q": rng.random(n)}
    candidates = oa.Candidates.from_arrays([0, n], np.arange(n), columns)
    solution = oa.solve(oa.Problem(candidates, oa.total("q"), slate=oa.Slate(5, keep={"r": 1.0})), gap=1e-8)
    assert solution.status is oa.Status.SOLVED
    best = np.argsort(-columns["r"])[:5]
    assert solution.value == pytest.approx(columns["q"][best].sum(), rel=1e-5)


@pytest.mark.parametrize("solver", ["dual", "conic"])
def test_a_negative_column_keeps_its_best_less_the_rest_of_its_size(solver: str) -> None:
    """`2 - keep` of a best that is negative: a share of it would be more than any slate has."""
    r, q = np.array([-1.0, -1.04, -2.0, -3.0]), np.array([0.0, 1.0, 5.0, 9.0])
    candidates = oa.Candidates.from_arrays([0, 4], np.arange(4), {"r": r, "q": q})
    slate = oa.Slate(2, at_least=2, keep={"r": 0.9})  # the best is -2.04: at least -2.244
    solution = oa.solve(oa.Problem(candidates, oa.total("q"), slate=slate), gap=1e-8, solver=solver)
    x = solution.allocation
    assert solution.status is oa.Status.SOLVED
    assert r @ x == pytest.approx(1.1 * -2.04, rel=1e-6)
    assert solution.value == pytest.approx(1.0 + 5.0 * (2.244 - 2.04), rel=1e-6)  # the third instead of the first
    served = solution.policy().select(np.arange(4), {"r": r, "q": q})
    assert r[served].sum() >= 1.1 * -2.04


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("smoothing", "caps"),
    diagonal({f"{s:g}": s for s in (1e-6, 1e-12, 1e-18, 1e-30, 1e-300)}, {"a cap": {"a": 2}, "no cap": {}}),
)
def test_propensities_add_up_to_the_slots_at_any_smoothing(smoothing: float, caps: dict[str, int]) -> None:
    rng, n = np.random.default_rng(3), 50
    for r in (rng.random(n), np.full(n, 0.7), rng.integers(1, 4, n) / 3.0):
        candidates = oa.Candidates.from_arrays([0, n], np.arange(n), {"r": r}, items={"a": np.arange(n) % 5})
        problem = oa.Problem(candidates, oa.total("r"), slate=oa.Slate(4, at_most=caps))
        policy = oa.solve(problem).policy()
        x = policy.propensities(np.arange(n), {"r": r}, exploration={"smoothing": smoothing})
        assert x.sum() == pytest.approx(4.0, abs=1e-9)
        assert np.bincount(np.arange(n) % 5, x).max() <= (2.0 if caps else 4.0) + 1e-9


@pytest.mark.parametrize("unit", [1.0, 1e15])
def test_thousands_of_ties_have_no_more_than_the_slots(unit: float) -> None:
    """A threshold among 6,667 equal scores is rounded in every one of them: slates had 6.00000004 of 6 slots.

    Their value was then above the bound, and the solve ended in a `CertificateError`.
    """
    n, users = 10_000, 2
    genre = np.array(["pop", "rock", None], object)[np.arange(n) % 3].tolist()
    candidates = oa.Candidates.from_arrays(
        np.arange(users + 1) * n, np.tile(np.arange(n), users), {"r": np.full(n * users, 0.7 * unit)},
        users={"who": np.arange(users)}, items={"genre": genre},
    )  # fmt: skip
    gain = 0.28 * unit * oa.log(oa.exposure(by=("who", "genre")), offset=0.2)
    solution = oa.solve(oa.Problem(candidates, oa.total("r") + gain, slate=oa.Slate(6)), gap=1e-6, threads=1)
    best = users * unit * (6 * 0.7 + 0.28 * 2 * np.log(3.2))  # three slots for each genre
    assert solution.status is oa.Status.SOLVED
    assert solution.bound >= best * (1 - 1e-12)
    assert solution.value == pytest.approx(best, rel=1e-6)
    assert solution.allocation.reshape(users, n).sum(axis=1).max() <= 6 * (1 + 2e-12)
