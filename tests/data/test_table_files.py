"""Tables as they come: the same in every library, in files and in folders, whatever else is in them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oasis_alloc as oa
from oasis_alloc.data.partitions import natural, parts_of, typed
from oasis_alloc.problem_file import csv_tables
from oasis_alloc.problem_file.statement import read_statement
from oasis_alloc.problem_file.tables import read_table

LIBRARIES = ["pyarrow", "polars", "pandas"]


@pytest.fixture(params=LIBRARIES)
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Only this library is there to read tables."""
    find, only = importlib.util.find_spec, str(request.param)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name in LIBRARIES and name != only else find(name, *a)
    )
    return only


def columns(path: Path) -> dict[str, list[Any]]:
    """What is in a table, as Python objects; NaN, which means missing, as None."""
    frame: Any = nw.from_native(read_table(path), eager_only=True)
    lists = {name: frame[name].to_list() for name in frame.columns}
    return {name: [None if value is pd.NA or value != value else value for value in v] for name, v in lists.items()}


def test_only_a_cell_without_a_character_is_missing(tmp_path: Path, library: str) -> None:
    (tmp_path / "items.csv").write_text(
        "item,genre,plays,share,new\n1,,3,,true\n2,NA,,0.5,\n3,null,4,nan,false\n4,None,5,1e-3,True\n"
        '5,N/A,6,inf,true\n6,"",7,2,true\n7,nan,8,3,true\n8, ,9,4,true\n9,"a ""b"", c",10,5,true\n',
        encoding="utf-8",
    )
    found = columns(tmp_path / "items.csv")
    assert found["item"] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert found["genre"] == [None, "NA", "null", "None", "N/A", None, "nan", " ", 'a "b", c']
    assert found["plays"] == [3, None, 4, 5, 6, 7, 8, 9, 10]
    assert found["share"] == [None, 0.5, None, 1e-3, np.inf, 2.0, 3.0, 4.0, 5.0]
    assert found["new"] == [True, None, False, True, True, True, True, True, True]


@pytest.mark.few(16)
@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1", "02", "-3", "+4", " 5"], [1, 2, -3, 4, 5]),
        (["1", "2.5", "1e3", ".5", "-inf"], [1.0, 2.5, 1000.0, 0.5, -np.inf]),
        (["18446744073709551615", "1"], [2**64 - 1, 1]),
        (["-9223372036854775808", "1"], [-(2**63), 1]),
        (["18446744073709551615", "-1"], ["18446744073709551615", "-1"]),
        (["18446744073709551616", "1"], ["18446744073709551616", "1"]),
        (["1_000", "2"], ["1_000", "2"]),
        (["1", "x"], ["1", "x"]),
        (["1-2", "3"], ["1-2", "3"]),
        (["9" * 5000, "3"], ["9" * 5000, "3"]),
        (["2026-11-01", "2026-11-02"], ["2026-11-01", "2026-11-02"]),
        (["true", "1"], ["true", "1"]),
        (["TRUE", "False"], [True, False]),
        (["ü→🎧", "0x10"], ["ü→🎧", "0x10"]),
    ],
)
@pytest.mark.parametrize("chunk", [1, 100])
def test_a_column_has_one_type_wherever_its_cells_are(
    tmp_path: Path, library: str, cells: list[str], values: list[Any], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_tables, "_CHUNK", chunk)
    lines = [f"{k},{cell}\n" for k, cell in enumerate(cells)]
    (tmp_path / "a.csv").write_text("n,c\n" + "".join(lines), encoding="utf-8")
    found = columns(tmp_path / "a.csv")["c"]
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_an_index_of_pandas_is_no_column(tmp_path: Path, library: str) -> None:
    frame = pd.DataFrame({"user": ["a", "b"], "market": ["SE", "DE"]})[::-1]
    frame.to_csv(tmp_path / "users.csv")
    pairs = pl.DataFrame({"user": ["a", "b"], "item": [1, 2], "r": [0.5, 0.25]})
    frame.to_parquet(tmp_path / "users.parquet")
    for name in ("users.csv", "users.parquet"):
        cands = oa.Candidates.from_frames(pairs, users=read_table(tmp_path / name))
        assert list(cands.users) == ["market"]
        assert cands.groups("market") == ["DE", "SE"]


def test_a_byte_order_mark_and_other_line_ends_are_nothing(tmp_path: Path, library: str) -> None:
    (tmp_path / "a.csv").write_bytes(b'\xef\xbb\xbfuser,text\r\n1,"two\r\nlines"\r\n\r\n2,b\r\n')
    assert columns(tmp_path / "a.csv") == {"user": [1, 2], "text": ["two\r\nlines", "b"]}


def test_two_columns_of_one_name_are_told_apart_by_number(tmp_path: Path, library: str) -> None:
    (tmp_path / "a.csv").write_text("user,plays,plays\n1,2,3\n")
    assert columns(tmp_path / "a.csv") == {"user": [1], "plays (column 2)": [2], "plays (column 3)": [3]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", ["is empty"]),
        (b"a,b\n1\n", ["row 0 has 1 cells", "expected 2"]),
        (b'a,b\n1,"x\n', ["cannot be read as CSV"]),
        (b"a,b\n1,\xff\n", ["UTF-8"]),
    ],
)
def test_csv_that_is_none_says_where(tmp_path: Path, text: bytes, words: list[str]) -> None:
    (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(oa.InputError) as caught:
        read_table(tmp_path / "a.csv")
    assert not [word for word in ["a.csv", *words] if word not in str(caught.value)], caught.value


PAIRS = pa.table({"user": [1, 1, 2, 2, 3, 3], "item": [1, 2, 1, 2, 1, 2], "relevance": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]})


def _spark(folder: Path) -> None:
    for k, number in enumerate((0, 1, 2)):
        name = f"part-{number:05d}-5c01d7a2-7e1c-4b2f-9a3d-0d9a2a4cbe12-c000.snappy.parquet"
        pq.write_table(PAIRS.slice(2 * k, 2), folder / name)
        (folder / f".{name}.crc").write_bytes(b"crc")
    (folder / "_SUCCESS").touch()
    (folder / "._SUCCESS.crc").write_bytes(b"crc")
    (folder / "_temporary").mkdir()
    pq.write_table(PAIRS, folder / "_temporary" / "part-0.parquet")


def _dask(folder: Path) -> None:
    for k in range(12):  # part.10 is after part.9
        pq.write_table(PAIRS.slice(k // 2, k % 2), folder / f"part.{k}.parquet")
    pq.write_metadata(PAIRS.schema, folder / "_common_metadata")
    pq.write_metadata(PAIRS.schema, folder / "_metadata")


def _polars(folder: Path) -> None:
    for k in range(3):
        pl.from_arrow(PAIRS.slice(2 * k, 2)).write_parquet(folder / f"{k:08x}.parquet")  # type: ignore[union-attr]


def _pyarrow(folder: Path) -> None:
    ds.write_dataset(PAIRS, folder, format="parquet", max_rows_per_file=2, max_rows_per_group=2)


@pytest.mark.few(3)
@pytest.mark.parametrize("write", [_spark, _dask, _polars, _pyarrow], ids=lambda write: write.__name__)
@pytest.mark.parametrize("name", ["pairs.parquet", "pairs"])
def test_a_folder_is_a_table_whoever_wrote_it(tmp_path: Path, library: str, write: Any, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    write(folder)
    assert columns(folder) == PAIRS.to_pydict()
    streamed = oa.Candidates.from_parquet(folder)
    assert (streamed.n_pairs, streamed.n_users) == (6, 4)


def test_numbers_in_names_are_in_their_own_order(tmp_path: Path) -> None:
    for k in (10, 9, 1, 100):
        pq.write_table(PAIRS, tmp_path / f"part-{k}.parquet")
    assert [part.path.name for part in parts_of(tmp_path)] == [f"part-{k}.parquet" for k in (1, 9, 10, 100)]
    assert sorted(["b2", "b10", "a", "B", "b02", ""], key=natural) == ["", "B", "a", "b02", "b2", "b10"]


@given(st.lists(st.text("a1=./0\u0663", max_size=4), unique=True))
def test_any_names_have_an_order_and_it_does_not_depend_on_where_they_start(names: list[str]) -> None:
    back = names[::-1]
    assert sorted(back, key=natural) == sorted(names, key=natural)
    assert len({natural(name) for name in names}) == len(names)


@pytest.mark.parametrize(
    ("names", "order"),
    [
        (["p1.parquet", "p/1.parquet", "p/10.parquet", "p/9.parquet"], [1, 3, 2, 0]),
        (["x=2/a.parquet", "x=/a.parquet"], [1, 0]),
        (["1.parquet", "a.parquet", "1/1.parquet", "1/a/1.parquet"], [2, 3, 0, 1]),
    ],
)
def test_files_and_folders_that_begin_alike_are_in_order(tmp_path: Path, names: list[str], order: list[int]) -> None:
    for user, k in enumerate(order):
        (tmp_path / names[k]).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"user": [user], "item": [0], "r": [float(k)]}), tmp_path / names[k])
    assert [part.path for part in parts_of(tmp_path)] == [tmp_path / names[k] for k in order]
    assert oa.Candidates.from_parquet(tmp_path).columns["r"][np.arange(len(names))].tolist() == order


def test_folders_name_columns(tmp_path: Path, library: str) -> None:
    for k, (date, hour, city) in enumerate(
        [("1", "9", "S%C3%A3o%20Paulo"), ("1", "10", "__HIVE_DEFAULT_PARTITION__"), ("2", "9", "a%2Fb")]
    ):
        folder = tmp_path / f"date=2026-11-0{date}" / f"hour={hour}" / f"city={city}"
        folder.mkdir(parents=True)
        pq.write_table(PAIRS.slice(2 * k, 2), folder / "part-0.parquet")
    assert columns(tmp_path) == PAIRS.to_pydict() | {
        "date": ["2026-11-01"] * 4 + ["2026-11-02"] * 2,
        "hour": [9, 9, 10, 10, 9, 9],
        "city": ["São Paulo"] * 2 + [None] * 2 + ["a/b"] * 2,
    }


def test_folders_of_csv_are_tables_too(tmp_path: Path, library: str) -> None:
    for day, rows in (("1", "1,\n2,b\n"), ("2", "3,c\n")):
        (tmp_path / f"day={day}").mkdir()
        (tmp_path / f"day={day}" / "part-0.csv").write_text("user,market\n" + rows)
        (tmp_path / f"day={day}" / "_SUCCESS").touch()
    assert columns(tmp_path) == {"user": [1, 2, 3], "market": [None, "b", "c"], "day": [1, 1, 2]}


def test_files_of_a_folder_may_lack_columns_and_differ_in_width(tmp_path: Path, library: str) -> None:
    if library == "pandas":
        pytest.skip("pyarrow reads Parquet for pandas")
    pq.write_table(pa.table({"user": pa.array([1], pa.int32()), "a": [None]}), tmp_path / "0.parquet")
    pq.write_table(pa.table({"a": ["x"], "user": pa.array([2], pa.int64()), "b": [1.5]}), tmp_path / "1.parquet")
    assert columns(tmp_path) == {"user": [1, 2], "a": [None, "x"], "b": [None, 1.5]}


@pytest.mark.parametrize("kind", ["dictionary", "categories of pandas", "view", "large", "bytes"])
def test_texts_of_a_folder_may_be_stored_in_several_ways(tmp_path: Path, library: str, kind: str) -> None:
    """Writers choose for each file whether its texts are a dictionary."""
    folder = tmp_path / "items.parquet"
    folder.mkdir()
    first, second = pa.table({"item": [1, 2], "genre": ["pop", None]}), pa.table({"item": [3], "genre": ["folk"]})
    stored = {
        "dictionary": second.set_column(1, "genre", second["genre"].dictionary_encode()),
        "categories of pandas": pa.Table.from_pandas(second.to_pandas().astype({"genre": "category"})),
        "view": second.set_column(1, "genre", second["genre"].cast(pa.string_view())),
        "large": second.set_column(1, "genre", second["genre"].cast(pa.large_string())),
        "bytes": second,
    }[kind]
    wanted: list[Any] = ["pop", None, "folk"]
    if kind == "bytes":
        first, stored = (t.set_column(1, "genre", t["genre"].cast(pa.binary())) for t in (first, second))
        stored = stored.set_column(1, "genre", stored["genre"].dictionary_encode())
        wanted = [b"pop", None, b"folk"]
    for name, table in (("part-0", first), ("part-1", stored), ("part-2", first.slice(0, 0))):
        pq.write_table(table, folder / f"{name}.parquet")
    assert columns(folder)["genre"] == wanted


def test_folders_that_are_no_tables_say_why(tmp_path: Path) -> None:
    (tmp_path / "pairs.parquet").mkdir()
    with pytest.raises(oa.InputError, match=r"no file whose name ends in \.parquet"):
        read_table(tmp_path / "pairs.parquet")
    with pytest.raises(oa.InputError, match=r"no file whose name ends in \.parquet"):
        oa.Candidates.from_parquet(tmp_path / "pairs.parquet")
    for folder in ("day=1", "hour=2"):
        (tmp_path / "mixed" / folder).mkdir(parents=True)
        pq.write_table(PAIRS, tmp_path / "mixed" / folder / "0.parquet")
    with pytest.raises(oa.InputError, match=r"the names of its folders give hour, those of .* give day"):
        read_table(tmp_path / "mixed")
    with pytest.raises(oa.InputError, match="cannot be accessed"):
        read_table(Path("x" * 5000 + ".csv"))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "1.parquet").write_bytes(b"no Parquet")
    with pytest.raises(oa.InputError, match=r"1\.parquet: pyarrow cannot read it"):
        read_table(tmp_path / "bad")
    assert typed([None, None]) == [None, None]


def test_what_nobody_asked_for_is_no_reason_to_refuse_tables(tmp_path: Path) -> None:
    users = pd.DataFrame({"user": [2, 1], "country": ["SE", "DE"], "note": ["", "x"]}, index=[5, 6])
    items = pd.DataFrame({"item": [1, 2], "licensor": ["US", "UK"], "genre": ["a", "b"]})
    pairs = pd.DataFrame({"user": [1, 2], "item": [1, 2], "relevance": [0.5, 0.25], "text": ["a", ""]})
    pairs.to_csv(tmp_path / "pairs.csv")
    users.to_csv(tmp_path / "users.csv")
    items[::-1].to_csv(tmp_path / "items.csv")
    (tmp_path / "problem.toml").write_text(
        "maximize = 'total(\"relevance\")'\nsubject_to = ['exposure(by=\"genre\") <= caps']\n"
        "[limits]\ncaps = { a = 1 }\n"
        "[candidates]\npairs = 'pairs.csv'\nusers = 'users.csv'\nitems = 'items.csv'\n"
    )
    assert oa.solve(read_statement(tmp_path / "problem.toml").problem).value == pytest.approx(0.75)


def test_numbers_that_folders_name_are_columns_of_streams_too(tmp_path: Path) -> None:
    for k, hour in enumerate(("9", "10", "11")):
        folder = tmp_path / "date=2026-11-01" / f"hour={hour}"
        folder.mkdir(parents=True)
        pq.write_table(PAIRS.slice(2 * k, 2), folder / "part-0.parquet")
    streamed = oa.Candidates.from_parquet(tmp_path)
    assert list(streamed.columns) == ["relevance", "hour"]
    assert streamed.columns["hour"][np.array([5, 0, 2])].tolist() == [11, 9, 10]
    frame = read_table(tmp_path)
    whole = oa.Candidates.from_frames(frame, columns=["relevance", "hour"])
    answers = []
    for candidates in (streamed, whole):
        limits = [oa.total("hour") <= 20.0, oa.exposure() <= 2.0]
        answers.append(oa.solve(oa.Problem(candidates, oa.total("relevance"), limits)).value)
    assert answers[0] == answers[1]
    assert oa.Candidates.from_parquet(tmp_path, columns="relevance").n_pairs == 6
