"""Limits that `Session.change` and `what_if` do not take, and how both say so; limits that are lifted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import oasis_alloc as oa

by_song = oa.exposure(by="song")
NAN, INF = float("nan"), float("inf")
NOT_NAN = "expected numbers that are not NaN. {label: None} leaves one group free; an infinite limit"


def problem() -> oa.Problem:
    columns = {"r": np.linspace(1.0, 0.1, 18), "cost": np.linspace(0.2, 1.0, 18)}
    cands = oa.Candidates.from_arrays(np.arange(7) * 3, np.tile([0, 1, 2], 6), columns, items={"song": ["a", "b", "c"]})
    subject_to = [
        (by_song <= {"a": 1.0, "b": 2.0}).named("caps"),
        (oa.total("cost") <= 2.0).named("budget"),
        oa.soft(by_song >= 1.0, penalty=1.0).named("floors"),
    ]
    return oa.Problem(cands, oa.total("r"), subject_to, oa.Slate(1))


WRONG: dict[str, tuple[str, Any, str]] = {
    "None": ("caps", None, f"caps: the limit is None; {NOT_NAN}"),
    "None for a soft one": ("floors", None, f"floors: the limit is None; {NOT_NAN}"),
    "NaN": ("caps", NAN, f"caps: the limit is nan; {NOT_NAN}"),
    "NA": ("caps", pd.NA, f"caps: the limit is nan; {NOT_NAN}"),
    "NaN of a label": ("caps", {"a": NAN}, f"caps: the limit of 'a' is nan; {NOT_NAN}"),
    "NaN in a list": ("caps", [1.0, NAN, 2.0], f"caps: the limit at entry 1 is nan; {NOT_NAN}"),
    "a text": ("caps", "5", "caps: got '5', a str; the limit is a number, an array"),
    "a text of a label": ("caps", {"a": "5"}, "caps: the limit of 'a' is '5', a str"),
    "a boolean": ("caps", True, "caps: got True, a bool"),
    "a boolean of a label": ("caps", {"a": True}, "caps: the limit of 'a' is True, a bool"),
    "nested": ("caps", {"a": {"b": 1}}, "caps: the limit of 'a' is {'b': 1}, a dict"),
    "nested lists": ("caps", np.ones((2, 2)), "caps: the limit is an array of shape (2, 2)"),
    "a short list": ("caps", [1.0], "caps: the limit has 1 entries; expected (n_groups,) = (3,)"),
    "a short list for a soft one": ("floors", [], "floors: the limit has 0 entries; expected (n_groups,) = (3,)"),
    "a table": ("caps", pd.DataFrame({"a": [1.0]}), "caps: the limit is a DataFrame, a table"),
    "an unknown label": ("caps", {"z": 1.0}, "caps: there is no group 'z'. Known: a, b, c."),
    "a label without a key": ("budget", {"a": 1.0}, "budget: there is no group 'a', as the measure has no key"),
    "an infinite floor": ("floors", INF, "floors: the limit of group 'a' is inf"),
    "an impossible cap": ("budget", -INF, "budget: the limit is -inf (1e20"),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("name", WRONG)
def test_wrong_limits_are_named_and_change_nothing(name: str) -> None:
    constraint, limit, message = WRONG[name]
    session = oa.Session(problem())
    solution = session.solve()
    stated = session.problem
    for call in (session.change, solution.what_if):
        with pytest.raises(oa.ProblemError) as caught:
            call(limits={constraint: limit})
        assert message in str(caught.value)
    assert session.problem is stated


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ({"caps": {"a": None}}, "caps of 'a' is lifted"),
        ({"caps": {"a": pd.NA}}, "caps of 'a' is lifted"),
        ({"caps": {"a": INF}}, "caps of 'a' is lifted"),
        ({"caps": INF}, "caps is lifted"),
        ({"floors": -INF}, "floors is lifted"),
    ],
)
def test_a_limit_that_is_lifted_is_said_to_be(limit: dict[str, Any], sentence: str) -> None:
    session = oa.Session(problem())
    what = session.solve().what_if(limits=limit)
    assert what.changes == (sentence,)
    session.change(limits=limit)
    assert session.solve().value == pytest.approx(what.after.value)
