"""Tables of several files that differ: in the order of columns, in types, in what their folders name."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import oasis_alloc as oa
from oasis_alloc.data.partitions import typed
from oasis_alloc.problem_file import tables
from oasis_alloc.problem_file.tables import read_table


@pytest.fixture(params=["pyarrow", "polars"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(tables, "_LIBRARIES", (request.param,))
    return str(request.param)


def columns(path: Path) -> dict[str, list[Any]]:
    frame = nw.from_native(read_table(path), eager_only=True)
    return {name: frame[name].to_list() for name in frame.columns}


def folder_of(path: Path, *columns: Any) -> Path:
    for k, values in enumerate(columns):  # a row for each file
        column = values if isinstance(values, (pa.Array, pa.ExtensionArray)) else pa.array(values)
        pq.write_table(
            pa.table({"user": pa.array([k + 1] * len(column), pa.int64()), "x": column}), path / f"{k}.parquet"
        )
    return path


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        (["a"], [5], ["a", "5"]),
        ([1.5], ["a"], ["1.5", "a"]),
        ([True], ["a"], ["true", "a"]),
        (pa.array(["a"]).dictionary_encode(), [5], ["a", "5"]),
        (pa.array(["a"], pa.string_view()), [5], ["a", "5"]),
        ([1], [2.5], [1.0, 2.5]),
        (pa.array([3], pa.uint64()), [-1], [3, -1]),
        (pa.array([2**63], pa.uint64()), [-1], [2**63, -1]),
        (pa.nulls(1), ["a"], [None, "a"]),
        (pa.nulls(1), [[1]], [None, [1]]),
        (pa.array([[1]], pa.list_(pa.int32())), [[2]], [[1], [2]]),
    ],
)
def test_values_of_several_types_are_numbers_if_all_are_and_else_texts(
    tmp_path: Path, library: str, first: Any, second: Any, whole: list[Any]
) -> None:
    found = columns(folder_of(tmp_path, first, second))
    assert found == {"user": [1, 2], "x": whole}
    assert isinstance(found["x"][1], (str, list)) or Decimal(found["x"][1]) == whole[1]


@pytest.mark.parametrize("first", [["a"], [1], [True], [{"b": "c"}], [b"a"]])
def test_a_column_without_a_common_type_is_left_out_and_no_reason_to_refuse_the_table(
    tmp_path: Path, library: str, first: list[Any]
) -> None:
    assert columns(folder_of(tmp_path, first, [[1, 2]], first)) == {"user": [1, 2, 3]}


def test_folders_name_whole_numbers_of_64_bits_exactly(tmp_path: Path, library: str) -> None:
    for name in ("h=18446744073709551615", "h=18446744073709551614", "h=7", "h=__HIVE_DEFAULT_PARTITION__"):
        (tmp_path / name).mkdir()
        pq.write_table(pa.table({"user": [1]}), tmp_path / name / "0.parquet")
    found = columns(tmp_path)["h"]
    assert sorted(found, key=str) == [2**64 - 2, 2**64 - 1, 7, None]


def test_whole_numbers_beyond_64_bits_are_ids_and_not_numbers() -> None:
    assert typed(["9223372036854775807", "-9223372036854775808"]) == [2**63 - 1, -(2**63)]
    assert typed(["18446744073709551615", "-1"]) == ["18446744073709551615", "-1"]
    assert typed(["1" * 5_000, "1"]) == ["1" * 5_000, "1"]
    assert typed(["1" * 25, "1.5"]) == [float("1" * 25), 1.5]


def test_csv_files_are_one_table_by_the_names_of_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,k\n1,5\n")
    (tmp_path / "b.csv").write_text("k,user\nx,2\n")
    (tmp_path / "c.csv").write_text("user\n3\n")
    (tmp_path / "d.csv").write_text("z,user,k\n7,4,\n")
    assert columns(tmp_path) == {"user": [1, 2, 3, 4], "k": ["5", "x", None, None], "z": [None, None, None, 7]}


def test_csv_files_of_folders_have_their_own_columns_first(tmp_path: Path) -> None:
    for name, text in {"m=a": "user,k\n1,5\n", "m=b": "k,m,user\n6,c,2\n", "m=": "user\n3\n"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "0.csv").write_text(text)
    found = columns(tmp_path)
    assert dict(zip(found["user"], zip(found["k"], found["m"], strict=True), strict=True)) == {
        1: (5, "a"), 2: (6, "c"), 3: (None, None),
    }  # fmt: skip


def test_csv_files_whose_headers_differ_have_each_name_once(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user,k,k\n1,5,6\n")
    (tmp_path / "b.csv").write_text("user,k,k\n2,7,8\n")
    assert columns(tmp_path) == {"user": [1, 2], "k (column 2)": [5, 7], "k (column 3)": [6, 8]}
    (tmp_path / "c.csv").write_text("k,user\n1,2\n")
    with pytest.raises(oa.InputError, match=r"a\.csv: its header has 'k' twice.* c\.csv|c\.csv differ"):
        read_table(tmp_path)
