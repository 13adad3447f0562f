"""The golden vectors: the library answers them to the last bit, and they are what their generator makes."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa

GOLDEN = Path(__file__).parent / "golden"
NAMES = ["plain", "columns", "rules"]
each_policy = pytest.mark.parametrize("name", NAMES)


def vectors(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))["requests"]
    return found


def columns(request: dict[str, Any]) -> dict[str, Any]:
    return {name: np.array([float.fromhex(value) for value in of]) for name, of in request["columns"].items()}


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
        slate = policy.select(
            request["items"], columns(request), user=request["user"], k=request["k"], pinned=request["pinned"],
            exclude=request["exclude"],
        )  # fmt: skip
        assert slate.tolist() == request["slate"], request["ids"]


def test_vectors_have_what_can_go_wrong() -> None:
    """Ties, items never seen, users of every kind, pins, exclusions, slates that are not filled, and empty ones."""
    every = [request for name in NAMES for request in vectors(name)]
    assert any(len(set(request["scores"])) < len(request["scores"]) for request in every)
    assert any(-1 in request["items"] for request in every)
    assert {type(request["user"]) for request in every} == {type(None), int, dict}
    assert any(request["pinned"] for request in every)
    assert any(request["exclude"] for request in every)
    assert any(not request["ids"] for request in every)
    assert any(request["ids"] and not request["slate"] for request in every)
    assert sum(len(request["ids"]) for request in every) > 300


def test_the_files_are_what_their_generator_makes(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("golden_make", GOLDEN / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    path = list(sys.path)
    try:
        spec.loader.exec_module(module)
        made = module.made(tmp_path)
    finally:
        sys.path[:] = path
        sys.modules.pop("reference", None)
    for name, content in made.items():
        assert (GOLDEN / name).read_bytes() == content, f"{name}: run python tests/golden/make.py, and say why"
    assert {file.name for file in GOLDEN.iterdir() if file.suffix in (".safetensors", ".json")} == set(made)
