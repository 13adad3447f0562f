"""Arguments that a function does not have, and warnings that point at the caller."""

from __future__ import annotations

import inspect
import pickle
from pathlib import Path
from typing import Any

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


# classes whose objects the library makes
LIBRARY = [
    "CampaignForecast", "Closer", "Comparison", "Competitor", "Conflict", "Decisions", "DriftReport", "DriftEffect",
    "Drift", "ExplorationChoice", "DeliveredTotal", "Event", "Forecast", "ForecastPoint", "Frontier",
    "InformationValue", "JobResult", "LimitCurve", "Measure", "Miss", "Move", "Moves", "OffPolicy",
    "OffPolicyEstimate", "Outlook", "Progress", "PublishedVersion", "Quote", "Quotes", "Reasons",
    "Receipt", "Rejected", "Remedy", "Replay", "Reproduction", "Reused", "Rounded", "Sample", "SavedSolution",
    "Served", "ShadowPrice", "ShadowPrices", "Solution", "SolutionPlots", "Status", "UncertainSolution",
    "ValueDifference", "ValueEstimate", "WhatIf",
]  # fmt: skip
FORWARDED: dict[str, tuple[Any, ...]] = {"frontier": (PROBLEM,), "quote": (None,)}  # unknown arguments go to others


@pytest.mark.parametrize("name", sorted(set(oa.__all__) - {*LIBRARY, *FORWARDED}))
def test_an_argument_that_there_is_not_is_named(name: str) -> None:
    call = getattr(oa, name)
    if isinstance(call, type) and issubclass(call, BaseException):
        pytest.skip("an exception")
    known = [one for one in inspect.signature(call).parameters if one[0] != "_"]
    wrong = f"{known[-1]}x"
    with pytest.raises((oa.ProblemError, oa.InputError)) as caught:
        call(**{wrong: 1})
    assert str(caught.value).startswith(f"{name}() takes no argument {wrong!r}. Did you mean {known[-1]!r}? Known: ")
    assert "self" not in str(caught.value)
    assert pickle.loads(pickle.dumps(call)) is call


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: oa.Problem(CANDIDATES, oa.total("r"), slates=oa.Slate(1)), "Problem.* 'slates'. Did you mean 'slate'"),
        (
            lambda: oa.Candidates.from_arrays([0], [0], column={}),
            r"from_arrays\(\).* Did you mean 'columns'",
        ),
        (lambda: oa.Slate(1, atmost={}), r"Slate\(\) takes no argument 'atmost'. Did you mean 'at_most'"),
        (lambda: oa.Session(PROBLEM).change(limit={}), r"change\(\) .* Did you mean 'limits'"),
        (lambda: oa.Session(PROBLEM).solve(gapp=1), r"solve\(\) .* Did you mean 'gap'"),
        (lambda: oa.solve(PROBLEM).policy(validfor=1), r"policy\(\) .* Did you mean 'valid_for'"),
        (lambda: oa.Policy.load(pth="a.policy"), r"load\(\) takes no argument 'pth'. Did you mean 'path'"),
        (lambda: oa.solve(PROBLEM).what_if(limit={}), r"what_if\(\) .* Did you mean 'limits'"),
        (lambda: oa.frontier(PROBLEM, vary='total("r")', points=[1.0], gapp=1), "'gapp'. Did you mean 'gap'"),
        (lambda: oa.quote(oa.solve(PROBLEM), campain="a"), "'campain'"),
    ],
)
def test_misspelled_arguments_are_library_errors(call: Any, message: str) -> None:
    with pytest.raises((oa.ProblemError, oa.InputError), match=message):
        call()


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
    with pytest.raises(ProblemError, match=r"supply: user 'ann' has the weight 0 \(1 of 2 users have such weights\)"):
        oa.Problem(CANDIDATES, oa.total("r"), supply={"zoe": 1, "ann": 0})


def test_a_warning_about_a_checkpoint_points_at_the_line_of_the_caller(tmp_path: Path) -> None:
    (tmp_path / "state").symlink_to(tmp_path / "none" / "state")
    with pytest.warns(CheckpointWarning, match="there is no directory") as warned:
        oa.solve(PROBLEM, checkpoint=tmp_path / "state")
    assert {found.filename for found in warned} == {__file__}
