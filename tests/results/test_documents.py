"""Answers as JSON, as frames and as files: the same numbers in every form, and damaged files are refused."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from effort import diagonal

import oasis_alloc as oa

LABELS = [["a", "b", "a"], [7, 8, 7], [date(2026, 1, 1), date(2026, 1, 2), date(2026, 1, 1)], [True, False, True]]


def solved(labels: list[Any] = LABELS[0], cap: float = 1.0, ids: dict[str, Any] | None = None) -> oa.Solution:
    cands = oa.Candidates.from_arrays(
        [0, 3, 6], [0, 1, 2, 0, 1, 2], {"r": [0.9, 0.5, 0.1, 0.8, 0.7, 0.2]},
        users={"market": ["US", "FR"]}, items={"key": labels}, **(ids or {}),
    )  # fmt: skip
    caps = (oa.exposure(by=("market", "key")) <= cap).named("caps")
    return oa.solve(oa.Problem(cands, oa.total("r") + 0.1 * oa.log(oa.exposure(by="key")), caps, oa.Slate(2)))


def infeasible() -> oa.Solution:
    cands = oa.Candidates.from_arrays([0, 1], [0], {"r": [1.0]})
    return oa.solve(oa.Problem(cands, oa.total("r"), [oa.exposure() >= 2.0], oa.Slate(1)))


@pytest.mark.parametrize("labels", LABELS, ids=["texts", "numbers", "dates", "booleans"])
def test_a_document_is_json_and_says_what_the_solution_says(labels: list[Any]) -> None:
    solution = solved(labels)
    document = json.loads(json.dumps(solution.to_dict(), allow_nan=False))
    assert document == solution.to_dict()
    assert (document["format"], document["schema"], document["status"]) == ("oasis_alloc.solution", 1, "SOLVED")
    assert document["value"] == solution.value
    assert sum(document["parts"].values()) == pytest.approx(solution.value)
    for name in solution.problem.names:
        groups = [group for group in document["groups"] if group["name"] == name]
        assert [group["total"] for group in groups] == solution.totals[name].tolist()
        assert [group["price"] for group in groups] == solution.prices[name].tolist()
    assert document["groups"][0]["lower"] is None, "no limit"
    assert document["groups"][0]["upper"] == 1.0


def test_an_infeasible_answer_has_a_document_without_numbers_that_json_lacks() -> None:
    document = infeasible().to_dict()
    assert document["value"] is None
    assert document["gap"] is None
    assert document["parts"] == {}
    assert json.loads(json.dumps(document["conflicts"], allow_nan=False))[0]["give"] == 1.0
    with pytest.raises(oa.SolverError, match="infeasible"):
        infeasible().save("never-written")


def test_prices_and_explanations_have_documents() -> None:
    solution = solved()
    for one in solution.shadow_prices():
        assert json.loads(json.dumps(one.to_dict(), allow_nan=False))["price"] == one.price
    explained = solution.policy().explain([0, 1, 2], {"r": [0.9, 0.5, 0.1]}, user={"market": "US"})
    document = json.loads(json.dumps(explained.to_dict(), allow_nan=False))
    assert document["policy_id"] == explained.policy_id
    assert [reason["score"] for reason in document["reasons"]] == [reason.score for reason in explained]
    assert len(repr(explained)) < 100
    assert "<table" in explained._repr_html_()


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_groups_are_a_frame_of_keys_limits_totals_and_prices(backend: str) -> None:
    solution = solved()
    frame = solution.groups_frame("caps", backend)
    columns = (
        frame.to_pydict() if backend == "pyarrow"
        else frame.to_dict("list") if backend == "pandas"
        else frame.to_dict(as_series=False)
    )  # fmt: skip
    assert list(columns) == ["market", "key", "lower", "upper", "total", "price"]
    assert list(zip(columns["market"], columns["key"], strict=True)) == list(solution.problem.labels("caps"))
    assert columns["total"] == solution.totals["caps"].tolist()
    assert columns["price"] == solution.prices["caps"].tolist()
    assert columns["lower"] == [-math.inf] * 4


def test_a_frame_of_unknown_groups_is_refused() -> None:
    with pytest.raises(oa.ProblemError, match=r"groups_frame\('cap'\).*Did you mean 'caps'"):
        solved().groups_frame("cap")


IDS: list[dict[str, Any]] = [
    {},
    {"user_ids": [10, 20], "item_ids": [5, 6, 7]},
    {"user_ids": ["ann", "zoë"], "item_ids": ["", "x", "y"]},
    {"user_ids": [("a", 1), ("b", 2)], "item_ids": [1.5, 2.5, 3.5]},
]


@pytest.mark.parametrize(
    ("ids", "labels"),
    diagonal(
        dict(zip(["none", "numbers", "texts", "tuples"], IDS, strict=True)),
        dict(zip(["texts", "numbers", "dates", "booleans"], LABELS, strict=True)),
    ),
)
def test_what_is_saved_is_what_is_loaded(tmp_path: Path, ids: dict[str, Any], labels: list[Any]) -> None:
    solution = solved(labels, ids=ids)
    solution.save(tmp_path / "answer")
    saved = oa.load_solution(tmp_path / "answer")
    cands = solution.problem.candidates
    users = np.arange(2) if cands.user_ids is None else cands.user_ids
    items = np.arange(3) if cands.item_ids is None else cands.item_ids
    assert saved.user.tolist() == users[cands.user_of(solution.pairs)].tolist()
    assert saved.item.tolist() == items[cands.item[solution.pairs]].tolist()
    assert saved.x.tolist() == solution.x.tolist()
    assert saved.prices == solution.prices_by_label
    assert saved.to_dict() == solution.to_dict()
    assert "caps" in saved.statement
    again = oa.solve(solution.problem, start=saved.prices)
    assert again.value == pytest.approx(solution.value, rel=1e-6)


def test_a_damaged_file_is_refused_at_every_byte(tmp_path: Path) -> None:
    path = tmp_path / "answer"
    solved().save(path)
    raw = path.read_bytes()
    for at in range(0, len(raw), 61):
        path.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
        with pytest.raises(oa.InputError, match="answer"):
            oa.load_solution(path)
    with pytest.raises(oa.InputError, match="cannot be read as a solution"):
        oa.load_solution(tmp_path / "none")


def test_another_kind_of_file_is_no_solution(tmp_path: Path) -> None:
    oa.write_reproduction(solved().problem, tmp_path / "report")
    with pytest.raises(oa.InputError, match="is not a solution of this version"):
        oa.load_solution(tmp_path / "report")


def test_what_organic_reaches_is_what_a_solve_of_the_column_reaches() -> None:
    rng = np.random.default_rng(0)
    cands = oa.Candidates.from_arrays(
        np.arange(41) * 5, np.concatenate([rng.choice(9, 5, replace=False) for _ in range(40)]),
        {"relevance": rng.normal(0.3, 0.5, 200)}, users={"market": rng.integers(0, 3, 40)},
        items={"genre": [["x"], ["x", "y"], [], ["y"], ["z"], ["x"], ["y"], ["z"], ["x", "z"]]},
    )  # fmt: skip
    for size in (1, 3):
        best = oa.solve(oa.Problem(cands, oa.total("relevance"), slate=oa.Slate(size)))
        assert oa.organic(cands, size=size).tolist() == pytest.approx([best.value])
        for by in ("market", "genre", ("market", "genre")):
            free = (oa.total("relevance", by=by) <= 1e9).named("free")
            totals = oa.solve(oa.Problem(cands, oa.total("relevance"), free, oa.Slate(size))).totals["free"]
            np.testing.assert_allclose(oa.organic(cands, by=by, size=size), totals, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": 0}, r"size=0.*1 or more"), ({"size": 1.5}, r"size=1\.5"), ({"column": "relevence"}, "no such column"),
        ({"by": "nothing"}, "nothing"),
    ],
)  # fmt: skip
def test_organic_says_what_is_wrong(arguments: dict[str, Any], words: str) -> None:
    cands = oa.Candidates.from_arrays([0, 1], [0], {"relevance": [1.0]})
    with pytest.raises((oa.InputError, oa.ProblemError), match=words):
        oa.organic(cands, **arguments)
