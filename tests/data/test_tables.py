"""Tables as they come: what a problem does not ask for is never a reason to refuse them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import oasis_alloc as oa
from oasis_alloc.errors import InputError, ProblemError

MAKERS = [pd.DataFrame, pl.DataFrame, pa.table]
PAIRS: dict[str, list[Any]] = {"user": ["u", "u", "v"], "item": ["i", "j", "i"], "r": [0.5, 0.25, 1.0]}
ITEMS: dict[str, list[Any]] = {
    "item": ["i", "j"],
    "artist": ["x", "y"],
    "country": ["SE", "DE"],
    "loudness": [-7.0, -60.0],
    "tempo": [float("inf"), 120.0],
    "vector": [[0.5, 0.5], [0.25, 1.0]],
    "about": [{"a": 1}, {"a": 2}],
    "codes": [-5, -7],
    "": [0, 1],
    "__index_level_0__": [0, 1],
}
USERS: dict[str, list[Any]] = {"user": ["u", "v"], "country": ["SE", "SE"], "__index_level_0__": [0, 1], "": [0, 1]}


@pytest.mark.parametrize("make", MAKERS, ids=["pandas", "polars", "pyarrow"])
def test_columns_that_nobody_asks_for_are_no_reason_to_refuse(make: Any) -> None:
    items = dict(ITEMS)
    cands = oa.Candidates.from_frames(make(PAIRS), users=make(USERS), items=make(items))
    problem = oa.Problem(cands, oa.total("r"), oa.exposure("artist") <= 0.5, oa.Slate(1, at_most={"artist": 1}))
    assert oa.solve(problem).policy().data.n_items == 2
    assert cands.groups("artist") == ["x", "y"]
    assert "" not in cands.items
    assert "__index_level_0__" not in cands.items
    for key, words in (
        ("country", "'country' is a key of both the users and the items; rename one"),
        ("loudness", "items['loudness']: entry 1 is -60;"),
        ("tempo", "items['tempo'] has an infinite label"),
        ("about", "items['about'] has values that cannot be labels"),
        ("codes", "items['codes']: entry 1 is -7"),
    ):
        with pytest.raises(InputError) as caught:
            oa.Problem(cands, oa.total("r"), oa.exposure(key) <= 0.5)
        assert words in str(caught.value)
        with pytest.raises(InputError):
            cands.grouping(key)
        with pytest.raises(InputError):
            oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1, at_most={key: 1})))
    with pytest.raises(ProblemError, match=r"Did you mean 'artist'.*items: artist, country"):
        cands.grouping("artits")


def test_mixed_objects_are_refused_where_they_are_asked_for() -> None:
    items = pd.DataFrame({"item": ["i", "j"], "mixed": [1, "a"], 7: [1, 2], None: [3, 4], "ok": [1, 2]})
    pairs = pd.DataFrame(PAIRS).rename(columns={}).assign(text="x")
    pairs[9] = 1.0
    cands = oa.Candidates.from_frames(pairs, items=items)
    assert list(cands.items) == ["mixed", "ok"]
    assert list(cands.columns) == ["r"]
    with pytest.raises(InputError, match=r"items\['mixed'\] mixes labels"):
        cands.grouping("mixed")
    with pytest.raises(ProblemError, match="by=7: expected the name of a key"):
        cands.grouping(7)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="columns has 9; expected names"):
        oa.Candidates.from_frames(pairs, items=items, columns=["r", 9])  # type: ignore[list-item]


@pytest.mark.parametrize("make", MAKERS, ids=["pandas", "polars", "pyarrow"])
def test_numbers_that_cannot_be_used_are_said_where_they_are_asked_for(make: Any) -> None:
    pairs = PAIRS | {"bad": [1.0, None, 2.0], "far": [1.0, float("inf"), 2.0], "text": ["a", "b", "c"]}
    pairs |= {"day": [dt.date(2026, 1, 1)] * 3}
    cands = oa.Candidates.from_frames(make(pairs))
    assert list(cands.columns) == ["r"]
    for name, words in (
        ("bad", "column 'bad': row 1 is null or nan"),
        ("far", "column 'far': row 1 is inf"),
        ("text", "column 'text'"),
        ("day", "column 'day' holds"),
    ):
        for problem in (
            lambda name=name: oa.Problem(cands, oa.total(name)),
            lambda name=name: oa.Problem(cands, oa.total("r"), oa.total(name) <= 1),
            lambda name=name: oa.Problem(cands, oa.total("r"), slate=oa.Slate(1, keep={name: 0.5})),
        ):
            with pytest.raises(ProblemError) as caught:
                problem()
            assert words in str(caught.value)
            assert "cannot be used" in str(caught.value)
        with pytest.raises(InputError, match=name):
            oa.Candidates.from_frames(make(pairs), columns=["r", name])


def test_decimals_booleans_and_objects_are_numbers() -> None:
    values = {"decimal": [Decimal("0.5"), Decimal(1), Decimal(2)], "flag": [True, False, True]}
    for make in MAKERS:
        cands = oa.Candidates.from_frames(make(PAIRS | values))
        assert {name: column.tolist() for name, column in cands.columns.items()} == {
            "r": [0.5, 0.25, 1.0], "decimal": [0.5, 1.0, 2.0], "flag": [1.0, 0.0, 1.0],
        }  # fmt: skip
    objects = pd.DataFrame(PAIRS | {"mixed": np.array([1, Decimal("0.5"), np.float32(2)], object)})
    assert oa.Candidates.from_frames(objects).columns["mixed"].tolist() == [1.0, 0.5, 2.0]
    wide = pl.DataFrame(PAIRS).with_columns(wide=pl.Series([1, 2, 3], dtype=pl.Int128))
    assert oa.Candidates.from_frames(wide).columns["wide"].tolist() == [1.0, 2.0, 3.0]


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "dtype", [pl.Int128, pl.UInt64, pl.Categorical, pl.Enum(["1", "2"]), pl.Date, pl.Decimal(10, 2)]
)
def test_ids_of_polars_types_are_taken(dtype: Any) -> None:
    if dtype in (pl.Int128, pl.UInt64):
        values: list[Any] = [1, 2**63 - 1]
    elif dtype == pl.Date:
        values = [dt.date(2026, 1, 1), dt.date(2026, 1, 2)]
    else:
        values = ["1", "2"] if dtype != pl.Decimal(10, 2) else [Decimal("1.5"), Decimal(2)]
    ids = pl.Series(values, dtype=dtype)
    pairs, items = pl.DataFrame({"user": ids, "item": ids, "r": [1.0, 2.0]}), pl.DataFrame({"item": ids, "k": ids})
    cands = oa.Candidates.from_frames(pairs, users=pl.DataFrame({"user": ids, "m": ids}), items=items)
    solution = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure("k") <= dict.fromkeys(values, 1.0)))
    assert solution.to_frame()["item"].dtype == dtype
    assert solution.policy().encode(ids).tolist() == solution.policy().encode(values).tolist() == [0, 1]


def test_runs_and_record_batches_are_taken() -> None:
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 4], pa.int32()), pa.array(["u", "v"]))
    numbers = pa.RunEndEncodedArray.from_arrays(pa.array([1, 4], pa.int32()), pa.array([0.25, 0.5]))
    batch = pa.RecordBatch.from_pydict({"user": runs, "item": ["a", "b", "a", "b"], "r": numbers})
    for native in (batch, pa.table({"user": runs, "item": ["a", "b", "a", "b"], "r": numbers})):
        cands = oa.Candidates.from_frames(native, user="user", item="item")
        assert list(cands.user_ids) == ["u", "v"]
        assert cands.columns["r"].tolist() == [0.25, 0.5, 0.5, 0.5]


def test_string_views_are_taken() -> None:
    ids = pa.array(["a", "b"], pa.string_view())
    pairs = pa.table({"user": ids, "item": ids, "r": pa.array([1.0, 2.0])})
    cands = oa.Candidates.from_frames(pairs, items=pa.table({"item": ids, "k": ids}))
    assert cands.groups("k") == ["a", "b"]
    assert oa.solve(oa.Problem(cands, oa.total("r"))).policy().encode(ids).tolist() == [0, 1]


OF_TWO: list[Any] = [
    ([2, 1], [1.0, 2.0]),
    ([2.0, 1.0], [1, 2]),
    ([Decimal(2), Decimal(1)], [1, 2]),
    ([1, 2], [True, 2]),
]


@pytest.mark.parametrize(("in_pairs", "in_items"), OF_TWO)
def test_ids_of_two_tables_are_matched_by_value(in_pairs: Any, in_items: Any) -> None:
    pairs = pd.DataFrame({"user": [0, 0], "item": in_pairs, "r": [1.0, 2.0]})
    items = pd.DataFrame({"item": pd.Series(in_items, dtype=object), "k": ["a", "b"]})
    if True in [one for one in in_items if isinstance(one, bool)]:
        with pytest.raises(InputError, match="row 0: the id 1 is missing from items"):
            oa.Candidates.from_frames(pairs, items=items)
        return
    cands = oa.Candidates.from_frames(pairs, items=items)
    assert cands.columns["r"].tolist() == [2.0, 1.0]
    assert cands.items["k"].codes.tolist() == [0, 1]


def test_tables_beside_parquet_files_are_no_reason_to_refuse(tmp_path: Path) -> None:
    plain = oa.Candidates.from_arrays([0, 2, 3], [0, 1, 0], {"r": [0.5, 0.25, 1.0]})
    plain.to_parquet(tmp_path)
    users, items = pd.DataFrame(USERS), pd.DataFrame(ITEMS)
    cands = oa.Candidates.from_parquet(tmp_path, users=users, items=items)
    assert cands.groups("artist") == ["x", "y"]
    with pytest.raises(InputError, match="'country' is a key of both"):
        cands.grouping("country")
    with pytest.raises(InputError, match="'country' is a key of both"):
        oa.Candidates.from_parquet(tmp_path, users={"country": [1, 2]}, items={"country": [1, 2]})


def test_arrays_are_taken_from_a_table() -> None:
    cands = oa.Candidates.from_arrays(
        [0, 2], [0, 1], pd.DataFrame({"r": [1.0, 2.0]}), items=pl.DataFrame({"k": ["a", "b"]})
    )
    assert cands.columns["r"].tolist() == [1.0, 2.0]
    assert cands.groups("k") == ["a", "b"]
