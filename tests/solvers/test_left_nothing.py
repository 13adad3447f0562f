"""Limits of 0 that leave the objective nothing: the answer is proven, although the dual bound never reaches it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from effort import diagonal
from streamed import files, same

import oasis_alloc as oa
from oasis_alloc.statement.objective import Objective

E, T = oa.exposure, oa.total
by_a = E(by="a")

FUNCTIONS: dict[str, tuple[Callable[[], Objective], float]] = {  # and what it is worth without slates
    "entropy": (lambda: oa.entropy(by_a, total=1e-3), 0.0),
    "entropy of a column": (lambda: 5.0 * oa.entropy(T("s", by="a")), 0.0),
    "alpha_fair": (lambda: oa.alpha_fair(by_a, 0.5), 0.0),
    "alpha_fair with an offset": (lambda: 2.0 * oa.alpha_fair(by_a, 3.0, offset=0.5), -12.0),
}


def market(seed: int) -> oa.Candidates:
    """10 users x 3 items; `s` counts in every pair, `half` in those of the items 0 and 1."""
    rng = np.random.default_rng(seed)
    columns = {"r": rng.random(30), "s": 0.1 + rng.random(30), "half": np.tile([1.0, 1.0, 0.0], 10)}
    return oa.Candidates.from_arrays(
        np.arange(11) * 3, np.tile([0, 1, 2], 10), columns, items={"a": [0, 1, 2], "b": [0, 0, 1]}
    )


@pytest.mark.few(1)
@pytest.mark.parametrize(
    ("name", "limit", "seed"),
    diagonal(
        list(FUNCTIONS),
        {"cap": by_a <= 0.0, "equality": E(by="b") == 0.0, "column": T("s") <= 0.0},
        {"2": 2, "17": 17},
    ),
)
def test_what_limits_of_0_leave_is_proven(name: str, seed: int, limit: Any) -> None:
    function, worth = FUNCTIONS[name]
    solution = oa.solve(oa.Problem(market(seed), T("r") + function(), limit), gap=1e-6)
    assert solution.status is oa.Status.SOLVED
    assert solution.value == pytest.approx(worth, abs=1e-12)
    assert solution.value <= solution.bound
    assert solution.gap <= 1e-6
    assert not solution.allocation.any()


def test_pairs_that_limits_of_0_do_not_reach_count() -> None:
    """Item 2 may be shown: the answer is the reference's and not that of no slates."""
    problem = oa.Problem(market(2), T("r") + oa.entropy(by_a, total=1e-3), T("half") <= 0.0)
    solution = oa.solve(problem, gap=1e-6)
    reference = oa.solve(problem, solver="conic", gap=1e-6)
    assert solution.status is oa.Status.SOLVED
    assert solution.allocation[problem.candidates.item == 2].any()
    assert solution.value == pytest.approx(reference.value, rel=1e-5)


def test_a_function_that_is_infinite_without_slates_is_part_of_the_conflict() -> None:
    solution = oa.solve(oa.Problem(market(2), T("r") + oa.log(by_a, offset=0.0), E(by="b") <= 0.0))
    assert solution.status is oa.Status.INFEASIBLE


LEAVES_NOTHING = {  # limits that leave song 0 or all songs nothing, next to log(offset=0) of exposure
    "a column of a group": T("s", by="a") <= {0: 0.0},
    "a column": T("half") <= 0.0,
    "a floor of a negative column": T("minus") >= 0.0,
    "an equality": T("s") == 0.0,
    "differences of columns": T("s") - T("minus") <= 0.0,
}


@pytest.mark.few(2)
@pytest.mark.parametrize("name", LEAVES_NOTHING)
def test_limits_of_0_on_columns_are_conflicts_too(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"user": np.repeat(np.arange(10), 3), "item": np.tile([0, 1, 2], 10)})
    frame["r"] = frame["s"] = np.arange(30) / 30 + 0.1
    frame["half"], frame["minus"] = np.tile([1.0, 1.0, 0.0], 10), -frame["s"]
    items = pd.DataFrame({"item": [0, 1, 2], "a": [0, 1, 2]})
    frame.to_parquet(tmp_path / "pairs.parquet")
    for cands in (
        oa.Candidates.from_frames(frame, items=items, user="user", item="item"),
        oa.Candidates.from_parquet(tmp_path / "pairs.parquet", items=items, user="user", item="item"),
    ):
        cap = LEAVES_NOTHING[name].named("cap")
        solution = oa.solve(oa.Problem(cands, T("r") + oa.log(by_a, offset=0.0).named("fair"), cap))
        assert solution.status is oa.Status.INFEASIBLE
        assert solution.value == -np.inf
        assert {conflict.constraint for conflict in solution.conflicts} == {"cap", "fair"}


def test_users_without_slots_leave_a_function_nothing() -> None:
    """Item 2 is a candidate of the second user alone, whose slates are empty."""
    cands = oa.Candidates.from_arrays([0, 2, 3], [0, 1, 2], {"r": [0.9, 0.5, 0.7]}, items={"a": [0, 1, 2]})
    problem = oa.Problem(cands, T("r") + oa.log(by_a, offset=0.0).named("fair"), slate=oa.Slate(np.array([1, 0])))
    solution = oa.solve(problem)
    assert solution.status is oa.Status.INFEASIBLE
    assert [(conflict.constraint, conflict.label) for conflict in solution.conflicts] == [("fair", 2)]


def test_users_without_candidates_are_no_reason_to_read_all_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have no slots either, and keep no pair out."""
    from oasis_alloc.solvers import domain

    def read(*_: Any) -> Any:
        raise AssertionError("all pairs are read")

    monkeypatch.setattr(domain, "sorted_pairs", read)
    cands = oa.Candidates.from_arrays([0, 0, 2, 4], [0, 1, 0, 1], {"r": np.ones(4)}, items={"a": [0, 1]})
    assert (
        oa.solve(oa.Problem(cands, oa.log(oa.exposure(by="a"), offset=0.0), slate=oa.Slate(1))).status
        is oa.Status.SOLVED
    )


@pytest.mark.few(1)
@pytest.mark.parametrize("name", ["entropy", "alpha_fair with an offset"])
def test_the_same_is_proven_of_candidates_in_files(name: str, tmp_path: Path) -> None:
    memory = market(2)
    streamed = oa.Candidates.from_parquet(files(memory, tmp_path, [11], 4), items={"a": [0, 1, 2], "b": [0, 0, 1]})
    objective = T("r") + FUNCTIONS[name][0]()
    found = [oa.solve(oa.Problem(candidates, objective, T("s") <= 0.0), gap=1e-6) for candidates in (memory, streamed)]
    same(*found)
    assert found[1].status is oa.Status.SOLVED
