"""Columns that stay in Parquet files: read as an array in memory would be, and scored within the memory allowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import oasis_alloc as oa

N_USERS, N_ITEMS, EACH = 300, 40, 12
N = N_USERS * EACH
RNG = np.random.default_rng(3)
ITEM = np.concatenate([RNG.choice(N_ITEMS, EACH, replace=False) for _ in range(N_USERS)])
COLUMNS = {"relevance": RNG.random(N, np.float32), "streams": RNG.integers(0, 9, N)}
ABOUT: dict[str, Any] = {
    "users": {"market": np.arange(N_USERS) % 3},
    "items": {"campaign": np.arange(N_ITEMS) // 8, "item": [f"track {k}" for k in range(N_ITEMS)]},
}
MEMORY = 150 << 10


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    whole = pa.table({"user": np.repeat(np.arange(N_USERS), EACH), "item": ITEM, **COLUMNS})
    for k, (begin, end) in enumerate([(0, 1_501), (1_501, 1_501), (1_501, N)]):
        pq.write_table(whole.slice(begin, end - begin), tmp_path / f"part-{k}.parquet", row_group_size=217)
    return tmp_path


@pytest.fixture
def streamed(directory: Path) -> oa.Candidates:
    return oa.Candidates.from_parquet(directory, **ABOUT, memory=MEMORY)


@pytest.fixture
def here() -> oa.Candidates:
    items = {"campaign": ABOUT["items"]["campaign"]}
    return oa.Candidates.from_arrays(
        np.arange(N_USERS + 1) * EACH, ITEM, COLUMNS, users=ABOUT["users"], items=items, item_ids=ABOUT["items"]["item"]
    )


INDICES = {
    "the first": slice(5), "the last": slice(-5, None), "all": slice(None), "over groups and files": slice(210, 1_700),
    "steps": slice(3, 2_000, 7), "back": slice(None, None, -1), "none": slice(7, 2), "beyond": slice(N - 3, N + 99),
    "one": 3, "one from the end": -1, "one of NumPy": np.int8(3), "one in an array": np.array(3), "dots": ...,
    "a tuple": (3,), "no list": [], "a list from the end": [-1, 0, -N, N - 1], "a range": range(210, 230),
    "a table": np.array([[1, 2], [-3, 1]]), "empty table": np.zeros((0, 3), int), "unsigned": np.array([3], np.uint64),
    "a mask": np.arange(N) % 5 == 2, "a mask of few": np.arange(N) < 3, "a mask of none": np.zeros(N, bool),
    "a mask as a list": [k == 4 for k in range(N)], "a series": pd.Series([4, 1]), "of pandas": pd.array([4, 1]),
    "of polars": pl.Series([4, 1]), "a mask of pandas": pd.array([k < 2 for k in range(N)]),
}  # fmt: skip


@pytest.mark.few(3)
@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_an_index_gives_what_it_gives_of_an_array(streamed: oa.Candidates, here: oa.Candidates, index: Any) -> None:
    for ours, array in [(streamed.item, here.item)] + [(streamed.columns[k], here.columns[k]) for k in COLUMNS]:
        found, expected = ours[index], array[index]
        assert np.array_equal(found, expected)
        assert (np.shape(found), found.dtype) == (np.shape(expected), expected.dtype)


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("index", "words"),
    [
        ([10**7], r"no position 10,000,000; expected -3,600 to 3,599"), (N, "no position 3,600"), (-N - 1, "-3,601"),
        (np.array([2**64 - 1], np.uint64), "no position 18,446,744,073,709,551,615"), ([10**30], "positions"),
        ([0.5], "float64; expected positions"), (1.0, "got 1.0"), (np.nan, "got nan"), ("x", "got 'x'"),
        (["x"], "expected positions"), (None, "got None"), ((1, 2), r"got \(1, 2\)"), ([None], "objects"),
        ([[1, 2], [3]], "not an array"), (np.arange(N - 1) < 3, r"mask has shape \(3599,\); expected \(3,600,\)"),
        (True, r"mask has shape \(\)"), ([True], r"mask has shape \(1,\)"), (np.array([1, True], object), "booleans"),
        (pd.array([1, None]), "positions"), (slice(0, 5, 0), "not a slice of whole"), (slice(0.5), "not a slice"),
        (np.timedelta64(3, "s"), "positions"), ({1}, "objects"),
    ],
)  # fmt: skip
def test_what_is_no_index_says_what_is(streamed: oa.Candidates, index: Any, words: str) -> None:
    for name in COLUMNS:
        with pytest.raises(oa.InputError, match=rf"column '{name}'.*{words}"):
            streamed.columns[name][index]
    with pytest.raises(oa.InputError, match=rf"column 'item'.*{words}"):
        streamed.item[index]


def test_a_column_is_not_read_as_a_whole_by_accident(streamed: oa.Candidates) -> None:
    column = streamed.columns["relevance"]
    for whole in (list, np.asarray, sum, lambda c: 0.5 in c):
        with pytest.raises(oa.InputError, match="never in memory as a whole"):
            whole(column)  # type: ignore[operator]
    assert streamed.stream is not None
    streamed.stream.budget.limit = 4 * N - 1
    with pytest.raises(oa.InputError, match=r"a slice of 3,600 entries takes 14,400 bytes, and memory= allows 14,399"):
        column[:]
    with pytest.raises(oa.InputError, match="ask for fewer"):
        column[::2]
    assert column[:-1].size == N - 1
    assert streamed.stream.budget.held == 0


@pytest.mark.few(1)
@pytest.mark.parametrize("memory", [MEMORY, 1 << 30])
def test_scores_of_candidates_in_files_are_exported_as_those_in_memory(
    directory: Path, here: oa.Candidates, tmp_path: Path, memory: int
) -> None:
    streamed = oa.Candidates.from_parquet(directory, **ABOUT, memory=memory)
    worth = oa.total("relevance") + 0.05 * oa.total("streams")
    limits = [oa.exposure(by="campaign") <= 100.0, oa.exposure(by=("market", "campaign")) >= 10.0]
    tables = []
    for solved in (here, streamed):
        policy = oa.solve(oa.Problem(solved, worth, limits, oa.Slate(2)), gap=1e-6).policy()
        for candidates in (here, streamed):
            path = tmp_path / f"out-{len(tables)}"
            assert policy.to_parquet(candidates, path) == N
            tables.append(pq.read_table(path))
    assert all(table.equals(tables[0]) for table in tables)
    assert streamed.stream is not None
    assert (streamed.stream.budget.held, streamed.stream.budget.peak <= memory) == (0, True)


def test_an_export_that_cannot_be_made_leaves_no_file(directory: Path, tmp_path: Path) -> None:
    streamed = oa.Candidates.from_parquet(directory, **ABOUT)
    policy = oa.solve(oa.Problem(streamed, oa.total("relevance") + oa.total("streams"), [], oa.Slate(2))).policy()
    lacking = oa.Candidates.from_parquet(directory, **ABOUT, columns=["relevance"])
    with pytest.raises(oa.InputError, match=r"the column 'streams' is missing\. Known: relevance"):
        policy.to_parquet(lacking, tmp_path / "out")
    (directory / "part-2.parquet").unlink()
    with pytest.raises(oa.InputError, match=r"part-2\.parquet has changed since .* it is gone"):
        policy.to_parquet(streamed, tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))
