"""solve(on_conflict="relax"): the best allocation among those that relax the limits by the least total."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import diagonal, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import best_relaxed, least_relaxation, rows_of, values
from strategies import Case, problems

import oasis_alloc as oa


@settings(max_examples=examples(150))
@given(problems(feasible=False))
def test_least_relaxation_first_then_value(case: Case) -> None:
    least = least_relaxation(case)
    solution = oa.solve(case.problem, on_conflict="relax", gap=1e-6)
    if solution.status is oa.Status.SOLVED:
        assert least <= 1e-5 * max((row.size() for row in rows_of(case)), default=1.0)
        return
    assert solution.status is oa.Status.RELAXED
    missed = sum(float(row.excess(solution.allocation).sum()) for row in rows_of(case) if row.hard)
    assert missed == pytest.approx(least, rel=1e-6, abs=1e-6)
    best = best_relaxed(case, least)
    scale = max(1.0, abs(best), float(np.abs(values(case)).sum()))
    assert solution.value == pytest.approx(best, abs=1e-3 * scale)
    assert solution.bound >= solution.value - 1e-9 * scale
    given_up = sum(conflict.give for conflict in solution.conflicts)
    assert given_up == pytest.approx(least, rel=1e-5, abs=1e-5)


@st.composite
def weighted(draw: st.DrawFn) -> tuple[Case, dict[str, Any], dict[str, np.ndarray[Any, Any]]]:
    """A problem, weights for some of its hard constraints as they may be given, and those of all of them by group."""
    case = draw(problems(feasible=False))
    stated: dict[str, Any] = {}
    by_group: dict[str, np.ndarray[Any, Any]] = {}
    weight = st.sampled_from([0.125, 0.5, 1.0, 3.0, 20.0])
    for row in rows_of(case):
        if not row.hard:
            continue
        labels = case.problem.labels(row.name)
        numbers = np.array([draw(weight) for _ in labels])
        form = draw(st.sampled_from(["nothing", "number", "array", "mapping"]))
        if form == "nothing":
            numbers = np.ones(len(labels))
        elif form == "number":
            stated[row.name] = draw(weight)
            numbers = np.full(len(labels), stated[row.name])
        elif form == "array":
            stated[row.name] = numbers
        else:
            stated[row.name] = {label: w for label, w in zip(labels, numbers, strict=True) if draw(st.booleans())}
            numbers = np.array([stated[row.name].get(label, 1.0) for label in labels])
        by_group[row.name] = numbers
    return case, stated, by_group


Drawn = tuple[Case, dict[str, Any], dict[str, np.ndarray[Any, Any]]]


@settings(max_examples=examples(100))
@given(weighted())
def test_least_weighted_relaxation_first_then_value(drawn: Drawn) -> None:
    check_weighted(*drawn)


@pytest.mark.full
@pytest.mark.usefixtures("small_steps")
@settings(max_examples=examples(40))
@given(weighted())
def test_least_weighted_relaxation_by_the_paths_of_large_problems(drawn: Drawn) -> None:
    check_weighted(*drawn)


def check_weighted(case: Case, stated: dict[str, Any], weights: dict[str, np.ndarray[Any, Any]]) -> None:
    solution = oa.solve(case.problem, on_conflict="relax", relax_weights=stated, gap=1e-6)
    if solution.status is oa.Status.SOLVED:
        assert least_relaxation(case) <= 1e-5 * max((row.size() for row in rows_of(case)), default=1.0)
        return
    assert solution.status is oa.Status.RELAXED
    least = least_relaxation(case, weights)
    missed = sum(float(weights[row.name] @ row.excess(solution.allocation)) for row in rows_of(case) if row.hard)
    assert missed == pytest.approx(least, rel=1e-6, abs=1e-6)
    best = best_relaxed(case, least, weights)
    scale = max(1.0, abs(best), float(np.abs(values(case)).sum()))
    assert solution.value == pytest.approx(best, abs=1e-3 * scale)
    assert solution.bound >= solution.value - 1e-9 * scale
    of = {name: dict(zip(case.problem.labels(name), weights[name], strict=True)) for name in weights}
    gives = [conflict.give * of[conflict.constraint][conflict.label] for conflict in solution.conflicts]
    assert sum(gives) == pytest.approx(least, rel=1e-5, abs=1e-5)
    assert gives == sorted(gives, reverse=True)


@pytest.mark.few(1)
@pytest.mark.parametrize("solver", ["dual", "conic"])
def test_weights_say_who_gives(two: oa.Candidates, solver: str) -> None:
    """Two slots for three promises: the one that costs more to miss is kept, whichever it is."""
    promises = (oa.exposure(by="campaign") >= {"a": 2.0, "b": 1.0}).named("promises")
    problem = oa.Problem(two, oa.total("r"), promises, oa.Slate(1))
    for weights, kept in (({"a": 5.0}, [2, 0]), ({"b": 2.0}, [1, 1]), ([0.01, 1e3], [1, 1]), ({"b": 0.5}, [2, 0])):
        solution = oa.solve(problem, solver=solver, on_conflict="relax", relax_weights={"promises": weights})
        assert solution.totals["promises"] == pytest.approx(kept, abs=1e-6)
        (gave,) = [conflict for conflict in solution.conflicts if conflict.give > 0]
        assert gave.give == pytest.approx(1.0)
        named = oa.solve(problem, solver=solver, relax_weights={"promises": weights})
        assert named.status is oa.Status.INFEASIBLE
        assert [c.label for c in named.conflicts if c.give > 0] == [gave.label]


def test_weights_do_not_make_a_conflict_or_hide_one(two: oa.Candidates) -> None:
    """A millionth of the limits is kept at any cost; a whole unit is missed however cheap."""
    close = oa.Problem(two, oa.total("r"), (oa.exposure() == 2.0 + 1e-6).named("all"), oa.Slate(1))
    assert oa.solve(close, on_conflict="relax", relax_weights={"all": 1e6}).status is oa.Status.SOLVED
    far = close.replace(subject_to=[(oa.exposure() >= 3.0).named("all"), (oa.exposure("campaign") <= 2).named("each")])
    solution = oa.solve(far, on_conflict="relax", relax_weights={"all": 1e-6, "each": 1e6})
    assert solution.status is oa.Status.RELAXED
    assert solution.totals["all"] == pytest.approx([2.0])


@pytest.fixture
def two() -> oa.Candidates:
    return oa.Candidates.from_arrays(
        [0, 2, 4], [0, 1, 0, 1], columns={"r": [0.9, 0.5, 0.8, 0.7]}, items={"campaign": ["a", "b"]}
    )


def test_the_report_names_who_fell_short_and_shows_the_allocation(two: oa.Candidates) -> None:
    problem = oa.Problem(
        two, oa.total("r"), [(oa.exposure(by="campaign") >= {"a": 2.0, "b": 1.0}).named("promises")], oa.Slate(1)
    )
    solution = oa.solve(problem, on_conflict="relax")
    assert solution.status is oa.Status.RELAXED
    text = str(solution)
    assert "relaxed" in text
    assert "promises" in text
    assert "relax by" in text
    assert solution.allocation.sum() == pytest.approx(2.0)
    assert len(solution.to_frame()) == solution.pairs.size
    assert sum(conflict.give for conflict in solution.conflicts) == pytest.approx(1.0)


def test_the_default_stays_an_honest_no(two: oa.Candidates) -> None:
    problem = oa.Problem(two, oa.total("r"), oa.exposure() >= 3, oa.Slate(1))
    solution = oa.solve(problem)
    assert solution.status is oa.Status.INFEASIBLE
    with pytest.raises(oa.SolverError, match="infeasible"):
        _ = solution.allocation


def test_a_problem_without_conflict_is_simply_solved(two: oa.Candidates) -> None:
    problem = oa.Problem(two, oa.total("r"), oa.exposure() <= 1, oa.Slate(1))
    relaxed, plain = oa.solve(problem, on_conflict="relax"), oa.solve(problem)
    assert relaxed.status is oa.Status.SOLVED
    assert relaxed.value == plain.value
    assert not relaxed.conflicts


def test_another_choice_is_refused(two: oa.Candidates) -> None:
    with pytest.raises(oa.ProblemError, match=r"on_conflict='relaxed'.*Did you mean 'relax'"):
        oa.solve(oa.Problem(two, oa.total("r")), on_conflict="relaxed")


@pytest.mark.parametrize(("weight", "gap"), diagonal({"1e3": 1e3, "1e6": 1e6}, {"1e-4": 1e-4, "1e-6": 1e-6}, every=2))
def test_the_gap_is_measured_at_the_answer_where_functions_are_flatter_than_at_the_relaxation(
    weight: float, gap: float
) -> None:
    """The function is 1.5e6 times the weight without exposure, and 0.053 times the weight at the answer."""
    item = [0, 1, 2, 3, 0, 1, 3, 4, 1, 2, 3, 4, 0, 2, 3, 4, 0, 1, 2, 4, 1, 2, 3, 4, 0, 1, 2, 3, 0, 2, 3, 4]
    relevance = np.random.default_rng(0).random(32)
    candidates = oa.Candidates.from_arrays(
        np.arange(9) * 4, np.array(item), {"r": relevance}, items={"a": [0, 1, 2, 0, 0]}
    )
    exposure = oa.exposure(by="a")
    limits = [exposure <= [2.7517, 1.9314, 0.3802], oa.exposure() >= 16.3053, exposure >= [2.749, 1.9295, 0.1122]]
    fair = oa.total("r") + weight * oa.alpha_fair(exposure, 3.0, offset=1e-3)
    problem = oa.Problem(candidates, fair, limits, oa.Slate(2))
    solution = oa.solve(problem, on_conflict="relax", gap=gap)
    reference = oa.solve(problem, on_conflict="relax", gap=gap, solver="conic")
    assert solution.status is reference.status is oa.Status.RELAXED
    assert max(solution.gap, reference.gap) <= gap
    assert sum(conflict.give for conflict in solution.conflicts) == pytest.approx(11.242, rel=1e-6)
    assert solution.value == pytest.approx(reference.value, rel=1e-3)
    least = 1e-6 * abs(solution.value)  # the total is the least one to 1e-6
    assert solution.value <= reference.bound + least
    assert reference.value <= solution.bound + least
