"""Columns with the names that pandas gives to an index: left out, and explained where a problem names them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from test_table_files import library as library

import oasis_alloc as oa
from oasis_alloc.problem_file.statement import read_statement
from oasis_alloc.problem_file.tables import read_table

INDEX = "__index_level_0__"
NAMES = ["", INDEX]
PAIRS = {"user": [1, 1, 2], "item": [1, 2, 1], "r": [0.5, 0.6, 0.7], "": [1.0, 2.0, 3.0], INDEX: [5.0, 6.0, 7.0]}
ITEMS = {"item": [1, 2], "artist": ["x", "y"], "": ["a", "b"], INDEX: ["c", "d"]}
KINDS: dict[str, Any] = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}


def read(kind: str, folder: Path, **how: Any) -> oa.Candidates:
    """Candidates from frames, from CSV files or from Parquet files read by the command line, or streamed."""
    if kind in KINDS:
        return oa.Candidates.from_frames(KINDS[kind](PAIRS), items=KINDS[kind](ITEMS), **how)
    for name, table in (("pairs", PAIRS), ("items", ITEMS)):
        pd.DataFrame(table).to_csv(folder / f"{name}.csv", index=False)
        pl.DataFrame(table).write_parquet(folder / f"{name}.parquet")
    if kind == "streamed":
        shifted = pl.DataFrame(PAIRS).with_columns(pl.col("user") - 1, pl.col("item") - 1)
        (folder / "streamed").mkdir()
        shifted.write_parquet(folder / "streamed" / "pairs.parquet")
        return oa.Candidates.from_parquet(folder / "streamed", items=pl.DataFrame(ITEMS), **how)
    frames = [read_table(folder / f"{name}.{kind}") for name in ("pairs", "items")]
    return oa.Candidates.from_frames(frames[0], items=frames[1], **how)


@pytest.mark.few(3)
@pytest.mark.parametrize("kind", [*KINDS, "csv", "parquet", "streamed"])
def test_a_column_with_the_name_of_an_index_is_left_out_and_explained_when_it_is_named(
    kind: str, tmp_path: Path, library: str
) -> None:
    cands = read(kind, tmp_path)
    assert list(cands.columns) == ["r"]
    assert list(cands.items) == ["artist"]
    for name, what in (("", "A column without a name"), (INDEX, f"A column named '{INDEX}'")):
        for state in (
            lambda name=name: cands.groups(name),
            lambda name=name: oa.Problem(cands, oa.total("r"), oa.exposure(by=("artist", name)) <= 1.0),
            lambda name=name: oa.Problem(cands, oa.total(name)),
            lambda name=name: oa.Problem(cands, oa.total("r"), slate=oa.Slate(1, at_most={name: 1})),
        ):
            with pytest.raises(oa.ProblemError, match=rf"{what} is left out of a table: .*Give the column a"):
                state()


@pytest.mark.few(3)
@pytest.mark.parametrize("kind", [*KINDS, "csv", "parquet", "streamed"])
def test_an_index_column_that_is_named_as_a_column_of_numbers_is_one(kind: str, tmp_path: Path, library: str) -> None:
    cands = read(kind, tmp_path, columns=["r", INDEX])
    assert oa.solve(oa.Problem(cands, oa.total(INDEX))).value == pytest.approx(13.0)


@pytest.mark.few(6)
@pytest.mark.parametrize("kind", [*KINDS, "csv", "parquet"])
@pytest.mark.parametrize("name", NAMES)
def test_a_column_with_the_name_of_an_index_can_hold_the_ids(
    kind: str, name: str, tmp_path: Path, library: str
) -> None:
    """Of the table of pairs alone; items are then the two numbers in `item`."""
    pairs = {key: PAIRS[key] for key in ("item", "r")} | {name: ["u", "u", "v"]}
    if kind in KINDS:
        frame = KINDS[kind](pairs)
    else:
        path = tmp_path / f"pairs.{kind}"
        table = pl.DataFrame(pairs)
        _ = table.write_csv(path) if kind == "csv" else table.write_parquet(path)
        frame = read_table(path)
    cands = oa.Candidates.from_frames(frame, user=name)
    assert cands.user_ids is not None
    assert cands.user_ids.tolist() == ["u", "v"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_index_that_pandas_writes_changes_nothing(ending: str, tmp_path: Path, library: str) -> None:
    """From the command line, in tables of pairs, users and items at the same time."""
    tables = {
        "pairs": pd.DataFrame({key: PAIRS[key] for key in ("user", "item", "r")}),
        "users": pd.DataFrame({"user": [1, 2], "market": ["SE", "DE"]}),
        "items": pd.DataFrame({"item": [1, 2], "artist": ["x", "y"]}),
    }
    for name, table in tables.items():
        table = table.set_index(pd.Index(range(7, 7 + len(table))[::-1]))  # not a RangeIndex, which is not written
        _ = (
            table.to_csv(tmp_path / f"{name}.csv")
            if ending == "csv"
            else table.to_parquet(tmp_path / f"{name}.parquet")
        )
    files = "\n".join(f'{name} = "{name}.{ending}"' for name in tables)
    (tmp_path / "problem.toml").write_text(f"maximize = 'total(\"r\")'\n[candidates]\n{files}\n", encoding="utf-8")
    cands = read_statement(tmp_path / "problem.toml").problem.candidates
    assert list(cands.columns) == ["r"]
    assert (list(cands.users), list(cands.items)) == (["market"], ["artist"])


@pytest.mark.parametrize("kind", ["pandas", "pyarrow", "csv"])
def test_several_columns_without_a_name_are_no_reason_to_refuse(kind: str, tmp_path: Path, library: str) -> None:
    names = ["user", "item", "r", "", ""]
    rows = [[1, 1, 0.5, 3, 4], [1, 2, 0.6, 5, 6]]
    frame: Any = pd.DataFrame(rows, columns=names)
    if kind == "pyarrow":
        frame = pa.table(list(map(list, zip(*rows, strict=True))), names=names)
    elif kind == "csv":
        frame.to_csv(tmp_path / "pairs.csv", index=False)
        frame = read_table(tmp_path / "pairs.csv")
    assert list(oa.Candidates.from_frames(frame).columns) == ["r"]


def test_a_table_given_as_arrays_may_have_the_index_of_another(tmp_path: Path) -> None:
    users = pl.DataFrame({"market": ["SE", "DE"], "": [0, 1], INDEX: [0, 1]})
    cands = oa.Candidates.from_arrays([0, 1, 2], [0, 1], pl.DataFrame({"r": [0.5, 0.7], "": [1, 2]}), users=users)
    assert (list(cands.columns), list(cands.users)) == (["r"], ["market"])
    with pytest.raises(oa.InputError, match="expected a string that is not empty"):
        oa.Candidates.from_arrays([0, 1, 2], [0, 1], {"r": [0.5, 0.7], "": [1, 2]})


def test_a_frame_that_has_the_ids_under_the_name_of_an_index_gives_them_to_streamed_pairs(tmp_path: Path) -> None:
    pl.DataFrame({INDEX: [0, 1], "item": [0, 0], "r": [0.5, 0.7]}).write_parquet(tmp_path / "p.parquet")
    cands = oa.Candidates.from_parquet(tmp_path, user=INDEX, users=pl.DataFrame({INDEX: ["u", "v"]}))
    assert cands.user_ids is not None
    assert cands.user_ids.tolist() == ["u", "v"]


def test_limits_may_be_in_a_column_with_the_name_of_an_index(tmp_path: Path, library: str) -> None:
    pl.DataFrame({key: PAIRS[key] for key in ("user", "item", "r")}).write_csv(tmp_path / "pairs.csv")
    pl.DataFrame({"item": [1, 2], "artist": ["x", "y"]}).write_csv(tmp_path / "items.csv")
    pd.Series({"x": 1.0, "y": 0.5}, name="cap").to_csv(tmp_path / "caps.csv")  # the labels have no name
    (tmp_path / "problem.toml").write_text(
        """maximize = 'total("r")'
        subject_to = ['(exposure("artist") <= caps).named("caps")']
        [candidates]
        pairs = "pairs.csv"
        items = "items.csv"
        [limits]
        caps = {file = "caps.csv", key = "", value = "cap"}
        """,
        encoding="utf-8",
    )
    solution = oa.solve(read_statement(tmp_path / "problem.toml").problem)
    assert max(solution.totals["caps"] - [1.0, 0.5]) <= 1e-6
