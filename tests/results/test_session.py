"""Sessions: changes are checked before anything is changed, what stays is shared, answers are those of a solve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from effort import examples, full_only
from hypothesis import given, settings
from hypothesis import strategies as st

import oasis_alloc as oa
from oasis_alloc.program.lowering import lower
from oasis_alloc.program.program import Program
from oasis_alloc.program.relowering import relowered
from oasis_alloc.solvers.checkpoint import fingerprint

USERS, DEGREE, ITEMS = 120, 6, 12


def candidates(seed: int = 0, songs: list[str] | None = None) -> oa.Candidates:
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.choice(ITEMS, DEGREE, replace=False) for _ in range(USERS)])
    names = [f"song {k % 6}" for k in range(ITEMS)] if songs is None else songs
    columns = {"value": rng.random(item.size), "cost": rng.random(item.size)}
    return oa.Candidates.from_arrays(np.arange(USERS + 1) * DEGREE, item, columns, items={"song": names})


def problem(cands: oa.Candidates | None = None, **changes: Any) -> oa.Problem:
    song = oa.exposure(by="song")
    parts: dict[str, Any] = {
        "maximize": oa.total("value") + 2.0 * oa.log(song, offset=1.0),
        "subject_to": [
            (song <= {f"song {k}": 30.0 + k for k in range(6)}).named("caps"),
            (oa.total("cost") <= 100.0).named("budget"),
            oa.soft(song >= 5.0, 0.5).named("floors"),
        ],
        "slate": oa.Slate(2),
    }
    return oa.Problem(candidates() if cands is None else cands, **{**parts, **changes})


def same_program(one: Program, other: Program) -> None:
    """Equal in every number, of pairs and of the statement."""
    from oasis_alloc.engines.threads import Threads

    assert np.array_equal(one.value, other.value)
    assert one.value.dtype == other.value.dtype
    assert np.array_equal(one.extra, other.extra)
    with Threads(one, 1) as first, Threads(other, 1) as second:
        assert fingerprint(first) == fingerprint(second)


CHANGES: dict[str, Any] = {
    "limits": {"limits": {"caps": {"song 2": 12.0}, "budget": 90.0}},
    "columns": {"columns": {"value": candidates(5).columns["value"]}},
    "both": {"limits": {"floors": 3.0}, "columns": {"value": candidates(6).columns["value"]}},
    "cost": {"columns": {"cost": candidates(7).columns["cost"]}},
}
SHARED = {"limits": "structure", "columns": "structure", "both": "structure", "cost": "none"}


@pytest.mark.few(2)
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    "slate", [oa.Slate(2), *full_only(oa.Slate(2, at_most={"song": 1}), oa.Slate(2, keep={"cost": 0.3}))]
)
def test_what_is_shared_gives_the_program_of_the_new_statement(change: str, slate: oa.Slate) -> None:
    first = problem(slate=slate)
    session = oa.Session(first)
    session.solve(gap=1e-3)
    session.change(**CHANGES[change])
    assert session.problem is not first
    again = relowered(lower(first), first, session.problem)
    assert (again is None) == (SHARED[change] == "none")
    if again is not None:
        same_program(again, lower(session.problem))
    solution = session.solve(gap=1e-3)
    assert session.reused.arrays == SHARED[change]
    fresh = oa.solve(session.problem, gap=1e-3)
    assert solution.status is fresh.status is oa.Status.SOLVED
    assert solution.value <= fresh.bound * (1.0 + 1e-6)
    assert fresh.value <= solution.bound * (1.0 + 1e-6)


def test_the_same_problem_shares_everything() -> None:
    session = oa.Session(problem())
    assert session.solution is None
    first = session.solve()
    assert str(session.reused) == "nothing"
    second = session.solve()
    assert session.reused == oa.Reused("all", 19, 0, True)
    assert str(session.reused) == "all arrays; 19 prices; the allocation"
    assert second.passes <= 2.0 < first.passes
    assert session.solution is second


@pytest.mark.few(2)
@pytest.mark.parametrize("supply", [None, np.linspace(0.5, 2.0, USERS)])
@pytest.mark.parametrize("weights", [None, [1.0, 0.5]])
def test_weights_of_users_and_slots_lower_values_again(supply: Any, weights: Any) -> None:
    first = problem(slate=oa.Slate(2, slot_weights=weights), supply=supply)
    session = oa.Session(first)
    session.solve(gap=1e-3)
    session.change(columns=CHANGES["columns"]["columns"])
    session.solve(gap=1e-3)
    assert session.reused.arrays == ("structure" if supply is None and weights is None else "none")
    again = relowered(lower(first), first, session.problem)
    if again is not None:
        same_program(again, lower(session.problem))


def test_new_candidates_keep_limits_by_label() -> None:
    session = oa.Session(problem())
    session.solve(gap=1e-3)
    turned = [f"song {k % 6}" if k % 6 != 4 else "a new song" for k in range(ITEMS)]
    session.change(candidates=candidates(1, turned), limits={"caps": {"a new song": 7.0}})
    labels = session.problem.labels("caps")
    upper = dict(zip(labels, session.problem.bound[0].band()[1].tolist(), strict=True))
    assert upper == {"a new song": 7.0, **{f"song {k}": 30.0 + k for k in range(6) if k != 4}}
    solution = session.solve(gap=1e-3)
    assert solution.status is oa.Status.SOLVED
    assert session.reused == oa.Reused("none", 16, 3, False)


def test_arrays_of_limits_follow_their_labels() -> None:
    caps = (oa.exposure(by="song") <= np.arange(20.0, 26.0)).named("caps")
    session = oa.Session(problem(subject_to=[caps]))
    session.change(candidates=candidates(1, [f"song {k % 6 + 1}" for k in range(ITEMS)]))
    assert session.problem.labels("caps") == [f"song {k}" for k in range(1, 7)]
    assert session.problem.bound[0].band()[1].tolist() == [21.0, 22.0, 23.0, 24.0, 25.0, np.inf]
    session.change(limits={"caps": 9.0})
    assert set(session.problem.bound[0].band()[1].tolist()) == {9.0}


def test_columns_of_frames_are_in_the_order_of_their_rows() -> None:
    frame = pd.DataFrame({"user": [2, 1, 2, 1], "item": ["b", "a", "a", "b"], "value": [0.1, 0.2, 0.3, 0.4]})
    session = oa.Session(oa.Problem(oa.Candidates.from_frames(frame), oa.total("value")))
    session.change(columns={"value": [0.9, 0.2, 0.3, 0.4]})
    assert session.solve().to_frame()[["user", "item"]].to_numpy().tolist() == [[1, "b"], [2, "b"]]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a constraint that is not there": ({"limits": {"cap": 1.0}}, "no constraint with a limit is named 'cap'.*caps"),
    "an unknown label": ({"limits": {"caps": {"song 9": 1.0}}}, "song 9"),
    "a negative cap": ({"limits": {"caps": -1.0}}, "negative cap"),
    "a function": ({"limits": {problem().names[-1]: 1.0}}, "no constraint with a limit"),
    "no mapping": ({"limits": 3}, "expected {constraint name: limit}"),
    "a wrong shape": ({"columns": {"value": [1.0]}}, "value"),
    "numbers that are not finite": ({"columns": {"value": np.full(USERS * DEGREE, np.nan)}}, "value"),
    "a column that is not there": ({"columns": {"vale": [1.0]}}, "no column 'vale'.*value"),
    "columns without names": ({"columns": [1.0]}, "expected {name: numbers}"),
    "no candidates": ({"candidates": 3}, "oa.Candidates"),
    "no problem": ({"problem": 3}, "oa.Problem"),
    "candidates without a key": (
        {"candidates": oa.Candidates.from_arrays([0, 1], [0], {"value": [1.0], "cost": [1.0]})},
        "song",
    ),
    "one good change and one bad": (
        {"columns": {"value": np.ones(USERS * DEGREE)}, "limits": {"caps": {"song 1": -3.0}}},
        "negative cap",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_changes_that_are_refused_change_nothing(what: str) -> None:
    session = oa.Session(problem())
    before = session.problem
    change, text = BAD[what]
    with pytest.raises(oa.OasisAllocError, match=f"(?s){text}"):
        session.change(**change)
    assert session.problem is before
    assert session.solution is None


def test_only_problems_have_sessions() -> None:
    with pytest.raises(oa.ProblemError, match=r"Session\(\) takes an oa.Problem, got int"):
        oa.Session(3)  # type: ignore[arg-type]


def test_an_infeasible_answer_is_not_a_start() -> None:
    session = oa.Session(problem())
    good = session.solve(gap=1e-3)
    session.change(limits={"budget": -1.0})
    assert session.solve(gap=1e-3).status is oa.Status.INFEASIBLE
    assert session.solution is good
    session.change(limits={"budget": 100.0})
    assert session.solve(gap=1e-3).status is oa.Status.SOLVED


@settings(max_examples=examples(60))
@given(seed=st.integers(0, 2**32 - 1), steps=st.integers(1, 4))
def test_any_sequence_of_changes_gives_answers_of_the_last_problem(seed: int, steps: int) -> None:
    rng = np.random.default_rng(seed)
    session = oa.Session(problem())
    for _ in range(steps):
        kind = rng.integers(4)
        if kind == 0:
            session.change(
                limits={"caps": {f"song {k}": float(rng.uniform(1.0, 60.0)) for k in rng.permutation(6)[:2]}}
            )
        elif kind == 1:
            session.change(columns={str(rng.choice(["value", "cost"])): rng.random(USERS * DEGREE)})
        elif kind == 2:
            session.change(candidates=candidates(int(rng.integers(100))))
        else:
            session.change(limits={"budget": float(rng.uniform(30.0, 200.0)), "floors": float(rng.uniform(0.0, 9.0))})
        solution, fresh = session.solve(gap=1e-4, threads=1), oa.solve(session.problem, gap=1e-4, threads=1)
        assert solution.status is fresh.status is oa.Status.SOLVED
        assert solution.gap <= 1e-4
        assert solution.violation <= 1e-6
        assert solution.value <= fresh.bound + 1e-6 * abs(fresh.bound)
        assert fresh.value <= solution.bound + 1e-6 * abs(fresh.bound)
