"""Logs that other programs wrote, or that were damaged: what is wrong is named with its file, line and member."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import oasis_alloc as oa

GOOD: dict[str, Any] = {
    "request": "r0", "time": 1000.0, "policy_id": "p", "items": ["a", "b", "c"], "columns": {"r": [0.5, None, 1]},
    "slate": [2, 0], "mode": "fresh", "user": None, "labels": {"market": "se"}, "scores": [1.0, 2.0, 3.0],
    "organic": "r", "propensities": [0.25, 0.5], "k": 2, "pinned": [1], "excluded": [[1, "heard today"]], "rate": 0.5,
}  # fmt: skip


def written(folder: Path, *lines: Any, encoding: str = "utf-8") -> Path:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines)
    (folder / "x.jsonl").write_bytes(text.encode(encoding))
    return folder


def test_a_good_line_is_read(tmp_path: Path) -> None:
    (one,) = oa.read_decisions(written(tmp_path, "", GOOD, ""))
    assert one.to_dict() == GOOD
    numbers = GOOD | {"items": [7, 8, 9]}
    (other,) = oa.read_decisions(written(tmp_path, numbers))
    assert other.items == [7, 8, 9]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"request": 3}, "request is 3; expected a text"),
    ({"policy_id": True}, "policy_id is True; expected a text"),
    ({"mode": ["x"]}, "mode is \\['x'\\]; expected a text"),
    ({"time": "now"}, "time is 'now'; expected UNIX seconds"),
    ({"time": 1e308}, "time is 1e\\+308; expected UNIX seconds"),
    ({"rate": 0}, "rate is 0; expected a share above 0"),
    ({"rate": 2.0}, "rate is 2.0; expected a share above 0"),
    ({"user": 5}, "user is 5; expected a text, the hash"),
    ({"organic": {}}, "organic is {}; expected the name of a column"),
    ({"labels": "se"}, "labels is 'se'; expected labels by key"),
    ({"items": "abc"}, "items is 'abc'; expected a list of texts, or of whole numbers"),
    ({"items": ["a", 1, "c"]}, "items is .*; expected a list of texts, or of whole numbers"),
    ({"items": [1, 2, 2**63]}, "items is .*; expected a list of texts, or of whole numbers of 64 bits"),
    ({"columns": [1.0]}, "columns is \\[1.0\\]; expected numbers by name"),
    ({"columns": {"r": [1.0]}}, "columns\\['r'\\] is \\[1.0\\]; expected 3 numbers"),
    ({"columns": {"r": ["a", "b", "c"]}}, "columns\\['r'\\] is .*; expected 3 numbers"),
    ({"scores": [1.0]}, "scores is \\[1.0\\]; expected 3 numbers"),
    ({"slate": [3]}, "slate is \\[3\\]; expected distinct positions from 0 to 2"),
    ({"slate": [0, 0]}, "slate is \\[0, 0\\]; expected distinct positions"),
    ({"slate": "ab"}, "slate is 'ab'; expected distinct positions"),
    ({"slate": [True, 0]}, "slate is .*; expected distinct positions"),
    ({"pinned": [-1]}, "pinned is \\[-1\\]; expected distinct positions"),
    ({"excluded": [[9, "x"]]}, "excluded is \\[9\\]; expected distinct positions"),
    ({"propensities": [0.5]}, "propensities is \\[0.5\\]; expected 2 numbers"),
    ({"propensities": ["a", "b"]}, "propensities is .*; expected 2 numbers"),
    ({"k": -1}, "k is -1; expected a number of slots"),
    ({"k": 1.5}, "k is 1.5; expected a number of slots"),
]


@pytest.mark.parametrize(("change", "words"), WRONG)
def test_a_wrong_member_is_named_with_its_line(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(oa.InputError, match=f"x.jsonl, line 2: this is not a logged decision: {words}"):
        oa.read_decisions(written(tmp_path, GOOD, GOOD | change))


@pytest.mark.parametrize("member", ["request", "time", "policy_id", "items", "columns", "slate"])
def test_a_missing_member_is_named(tmp_path: Path, member: str) -> None:
    with pytest.raises(oa.InputError, match=f"line 1: this is not a logged decision: .*{member}"):
        oa.read_decisions(written(tmp_path, {name: value for name, value in GOOD.items() if name != member}))


@pytest.mark.parametrize(
    ("line", "encoding", "words"),
    [
        ("{", "utf-8", "line 1: "),
        ("[1]", "utf-8", "line 1: this is not a logged decision"),
        ("[" * 100_000, "utf-8", "line 1: "),
        (GOOD | {"user": "\u00e7"}, "latin-1", "cannot be read: 'utf-8' codec"),
        (GOOD, "utf-16", "cannot be read: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_no_log_is_named(tmp_path: Path, line: Any, encoding: str, words: str) -> None:
    with pytest.raises(oa.InputError, match=f"x.jsonl.*{words}"):
        oa.read_decisions(written(tmp_path, line, encoding=encoding))


def test_outcomes_of_a_request_that_is_logged_twice_are_refused(tmp_path: Path) -> None:
    outcomes = pa.table({"request": ["r0", "r0"], "item": ["c", "a"], "click": [1.0, 0.0]})
    one = oa.read_decisions(written(tmp_path, GOOD))
    assert one.shown("pyarrow", outcomes=outcomes)["click"].to_pylist() == [1.0, 0.0]
    copies = oa.read_decisions(written(tmp_path, GOOD, GOOD))
    assert copies.shown("pyarrow").num_rows == 4
    with pytest.raises(oa.InputError, match="the item 'c' of request 'r0' twice"):
        copies.shown("pyarrow", outcomes=outcomes)
