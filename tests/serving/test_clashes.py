"""Keys of items that have the name of an argument: labels in `attributes`, and errors that say so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import oasis_alloc as oa
from oasis_alloc.errors import InputError

E = oa.exposure
COLUMNS = {"r": [0.9]}


@contextmanager
def served(folder: Path, *names: str) -> Iterator[list[Any]]:
    """A policy whose prices depend on keys of these names, a store of it, and a pacer."""
    cands = oa.Candidates.from_arrays(
        [0, 2], [0, 1], {"r": [0.9, 0.8]}, items={name: ["p", "q"] for name in (*names, "campaign")}
    )
    rules = [E(name) <= {"p": 0.5} for name in names]
    goal = (E("campaign") <= {"p": 0.5}).named("goal")
    policy = oa.solve(oa.Problem(cands, oa.total("r"), [*rules, goal], oa.Slate(1))).policy()
    plan = oa.Plan("campaign", 0.0, 100.0, caps={"p": 10.0})
    policy.save(folder / "policy")
    with oa.PolicyStore(folder / "policy", refresh=None) as store:
        yield [policy, oa.Policy.load(folder / "policy"), store, oa.Pacer(policy, plan, clock=lambda: 0.0)]


@pytest.mark.parametrize("name", ["items", "columns", "user"])
def test_a_key_that_is_an_argument_is_given_in_attributes_and_the_error_says_so(tmp_path: Path, name: str) -> None:
    with served(tmp_path, name) as all_of:
        for one in all_of:
            with pytest.raises(InputError, match=rf"{name}=.*give its labels as attributes={{'{name}': \[...\]}}"):
                one.score([-1], COLUMNS, **{name: ["p"]})
            assert one.score([-1], COLUMNS, attributes={name: ["p"]}).item() < 0.9


@pytest.mark.few(2)
@pytest.mark.parametrize("name", ["k", "pinned", "exclude", "fill", "diversify"])
def test_a_key_that_is_an_argument_of_select_is_explained(tmp_path: Path, name: str) -> None:
    with served(tmp_path, name) as all_of:
        for one in all_of if name != "diversify" else all_of[:3]:  # pacers have no such argument
            with pytest.raises(InputError, match=rf"{name}.*give its labels as attributes={{'{name}': \[...\]}}"):
                one.select([-1], COLUMNS, **{name: [["p"]]})


def test_a_key_of_items_may_be_named_self(tmp_path: Path) -> None:
    with served(tmp_path, "self") as all_of:
        for one in all_of:
            assert one.score([-1], COLUMNS, self=["p"]).item() < 0.9
            assert one.select([-1], COLUMNS, self=["q"]).tolist() == [0]


def test_an_argument_given_twice_is_a_mistake_in_the_code_if_no_key_has_its_name(tmp_path: Path) -> None:
    with served(tmp_path) as all_of:
        for one in all_of:
            with pytest.raises(TypeError, match="'items'"):
                one.score([0], COLUMNS, items=[0])
            with pytest.raises(InputError, match=r"user='u1': expected a user number, \{key: label\}, None"):
                one.score([0], COLUMNS, user="u1")
