"""The golden vectors: the library answers them to the last bit, and they are what their generator makes."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

import oasis_alloc as oa

GOLDEN = Path(__file__).parents[1] / "golden"
NAMES = ["plain", "columns", "rules", "keep", "calibrated"]
each_policy = pytest.mark.parametrize("name", NAMES)


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))["requests"]
    return found


def columns(request: dict[str, Any]) -> dict[str, Any]:
    return {name: np.array([float.fromhex(value) for value in of]) for name, of in request["columns"].items()}


@pytest.fixture(scope="module")
def make() -> Iterator[Any]:
    """The generator, `golden/make.py`."""
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path[:] = path
        sys.modules.pop("reference", None)


def selected(policy: oa.Policy, request: dict[str, Any]) -> list[int]:
    slate: list[int] = policy.select(
        request["items"], columns(request), user=request["user"], k=request["k"], pinned=request["pinned"],
        exclude=request["exclude"],
    ).tolist()  # fmt: skip
    return slate


@each_policy
def test_scores_to_the_last_bit(name: str) -> None:
    policy = oa.Policy.load(GOLDEN / f"{name}.safetensors")
    for request in vectors(name):
        assert policy.encode(request["ids"]).tolist() == request["items"]
        scores = policy.score(request["items"], columns(request), user=request["user"])
        assert [score.hex() for score in scores.tolist()] == request["scores"]


@each_policy
def test_slates(name: str) -> None:
    policy = oa.Policy.load(GOLDEN / f"{name}.safetensors")
    for request in vectors(name):
        assert selected(policy, request) == request["slate"], request["ids"]


@pytest.mark.parametrize("name", ["columns", "rules"])
def test_files_of_schema_1_are_read_as_ever(name: str) -> None:
    """Keys that no price depends on are refused there: such a file does not say which ones the problem had."""
    policy = oa.Policy.load(GOLDEN / "schema-1" / f"{name}.safetensors")
    requests = json.loads((GOLDEN / "schema-1" / f"{name}.json").read_text(encoding="utf-8"))["requests"]
    for request in requests:
        assert policy.encode(request["ids"]).tolist() == request["items"]
        scores = policy.score(request["items"], columns(request), user=request["user"])
        assert [score.hex() for score in scores.tolist()] == request["scores"]
        assert selected(policy, request) == request["slate"]
    assert list(policy.schema.user_keys) == list(policy.data.user_keys)
    with pytest.raises(oa.InputError, match="do not have a key 'daypart'"):
        policy.user(daypart="evening")


def test_vectors_have_what_can_go_wrong() -> None:
    """Ties, items never seen, users of every kind, pins, exclusions, slates that are not filled, and empty ones."""
    every = [request for name in NAMES for request in vectors(name)]
    assert any(len(set(request["scores"])) < len(request["scores"]) for request in every)
    assert any(-1 in request["items"] for request in every)
    assert {type(request["user"]) for request in every} == {type(None), int, dict}
    assert any(request["pinned"] for request in every)
    assert any(request["exclude"] for request in every)
    assert any(not request["ids"] for request in every)
    users = [request["user"] for request in every if isinstance(request["user"], dict)]
    assert any("daypart" in user for user in users), "a key that nothing depends on"
    assert any(isinstance(label, float) for user in users for label in user.values()), "a number of another type"
    assert any(isinstance(one, float) for request in every for one in request["ids"])
    assert any(request["ids"] and not request["slate"] for request in every)
    assert sum(len(request["ids"]) for request in every) > 300


def test_shares_that_bind_and_shares_that_do_not(make: Any) -> None:
    """With and without pins, exclusions, slots that must be filled and numbers of the user's own."""
    snapshot = make.Snapshot(GOLDEN / "keep.safetensors")
    kinds = {True: [0] * 5, False: [0] * 5}
    for request in vectors("keep"):
        scores = [float.fromhex(score) for score in request["scores"]]
        arguments = [request[name] for name in ("k", "pinned", "exclude")]
        selection = sys.modules["reference"].Selection(snapshot, request["user"], request["items"], scores, *arguments)
        binds = selection.greedy(scores) != request["slate"]
        has = [True, request["pinned"], request["exclude"], selection.least > 2, len(request["slate"]) < selection.k]
        kinds[binds] = [n + bool(one) for n, one in zip(kinds[binds], has, strict=True)]
    assert min(kinds[True]) > 0
    assert min(kinds[False]) > 0
    assert kinds[True][0] > 20


@settings(max_examples=examples(6))
@given(seed=st.integers(10**3, 10**6))
def test_the_library_keeps_shares_as_the_specification_says(make: Any, seed: int) -> None:
    policy = oa.Policy.load(GOLDEN / "keep.safetensors")
    for request in make.requests(make.Snapshot(GOLDEN / "keep.safetensors"), seed):
        assert selected(policy, request) == request["slate"]


def test_the_files_are_what_their_generator_makes(make: Any, tmp_path: Path) -> None:
    for name, content in make.made(tmp_path).items():
        assert (GOLDEN / name).read_bytes() == content, f"{name}: run python tests/golden/make.py, and say why"
    names = {f"{name}.{kind}" for name in NAMES for kind in ("safetensors", "json")} | {"overlay.json", "sketch.json"}
    assert {file.name for file in GOLDEN.iterdir() if file.suffix in (".safetensors", ".json")} == names
