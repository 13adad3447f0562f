"""Arguments that a function does not have, and warnings that point at the caller."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path

import pytest

import oasis_alloc as oa
from oasis_alloc.common.arguments import suggesting
from oasis_alloc.errors import CheckpointWarning, ProblemError

CANDIDATES = oa.Candidates.from_arrays([0, 1, 2], [0, 0], {"r": [0.5, 0.25]}, user_ids=["ann", "zoe"])
PROBLEM = oa.Problem(CANDIDATES, oa.total("r"))


def test_a_misspelled_argument_of_solve_names_the_nearest() -> None:
    with pytest.raises(ProblemError, match=r"solve\(\) takes no argument 'gapp'\. Did you mean 'gap'\?"):
        oa.solve(PROBLEM, gapp=1e-3)  # type: ignore[call-arg]
    assert list(inspect.signature(oa.solve).parameters)[:3] == ["problem", "solver", "gap"]
    assert pickle.loads(pickle.dumps(oa.solve)) is oa.solve


def test_an_error_from_within_a_call_is_not_changed() -> None:
    def inner() -> None: ...

    @suggesting
    def outer() -> None:
        inner(gapp=1)  # type: ignore[call-arg]

    with pytest.raises(TypeError, match="gapp"):
        outer()
    with pytest.raises(TypeError, match="positional"):
        outer(1)  # type: ignore[call-arg]


def test_supply_of_zero_names_the_user_by_id() -> None:
    with pytest.raises(ProblemError, match=r"supply: user 'ann' has the weight 0 \(1 of 2 users are so\)"):
        oa.Problem(CANDIDATES, oa.total("r"), supply={"zoe": 1, "ann": 0})


def test_a_warning_about_a_checkpoint_points_at_the_line_of_the_caller(tmp_path: Path) -> None:
    (tmp_path / "state").symlink_to(tmp_path / "none" / "state")
    with pytest.warns(CheckpointWarning, match="there is no directory") as warned:
        oa.solve(PROBLEM, checkpoint=tmp_path / "state")
    assert {found.filename for found in warned} == {__file__}
