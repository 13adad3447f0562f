"""Numbers stored as codes into a table of values, as pyarrow's dictionaries and pandas' categoricals are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import oasis_alloc as oa
from oasis_alloc.errors import InputError

IDS: dict[str, Any] = {"user": [0, 0, 1], "item": [0, 1, 0]}
NUMBERS: dict[str, list[Any]] = {
    "fractions": [0.5, 0.25, 0.5], "whole": [3, 1, 3], "booleans": [True, False, True], "large": [2**40, 7, 2**40],
}  # fmt: skip


def coded(values: list[Any]) -> pa.Array:
    return pa.array(values).dictionary_encode()


TABLES: dict[str, Callable[[list[Any]], Any]] = {
    "pandas": lambda values: pd.DataFrame({**IDS, "x": pd.Categorical(values)}),
    "pyarrow": lambda values: pa.table({**IDS, "x": coded(values)}),
    "pandas of pyarrow": lambda values: pd.DataFrame(IDS).assign(
        x=pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([coded(values)])))
    ),
}


@pytest.mark.few(3)
@pytest.mark.parametrize("of", TABLES)
@pytest.mark.parametrize("name", NUMBERS)
def test_coded_numbers_are_numbers_in_every_reader(tmp_path: Path, of: str, name: str) -> None:
    values, table = NUMBERS[name], TABLES[of](NUMBERS[name])
    found = [
        oa.Candidates.from_frames(table),
        oa.Candidates.from_frames(table, columns=["x"]),
        oa.Candidates.from_arrays([0, 2, 3], [0, 1, 0], {"x": table["x"]}),
    ]
    if of != "pandas of pyarrow" and name != "booleans":  # files have no columns of booleans
        pq.write_table(table if of == "pyarrow" else pa.Table.from_pandas(table), tmp_path / "a.parquet")
        found.append(oa.Candidates.from_parquet(tmp_path))
        found.append(oa.Candidates.from_parquet(oa.partition(tmp_path, tmp_path / "out").directory))
    for candidates in found:
        assert np.asarray(candidates.columns["x"][:], float).tolist() == [float(value) for value in values]


@pytest.mark.parametrize("of", TABLES)
def test_a_null_among_coded_numbers_is_refused_and_never_another_number(of: str) -> None:
    table = TABLES[of]([0.5, None, 0.5])
    with pytest.raises(InputError, match="column 'x': row 1 is null or nan"):
        oa.Candidates.from_frames(table)
    with pytest.raises(InputError, match=r"columns\['x'\]: pair 1 \(user 0\) is nan"):
        oa.Candidates.from_arrays([0, 2, 3], [0, 1, 0], {"x": table["x"]})
    candidates = oa.Candidates.from_arrays([0, 2, 3], [0, 1, 0], {"x": [0.5, 0.25, 0.5]})
    policy = oa.solve(oa.Problem(candidates, oa.total("x"))).policy()
    for call in (policy.score, policy.select):
        with pytest.raises(InputError, match=r"(entry|row) 1 is nan"):
            call([0, 1, -1], {"x": table["x"]})
    with pytest.raises(InputError, match="nan"):
        policy.score_batch([0, 3], [0, 1, -1], {"x": table["x"]})


def test_labels_in_a_dictionary_that_holds_a_null_are_missing() -> None:
    given = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array([7, None]))
    candidates = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"x": [0.5, 0.25, 0.5]}, items={"artist": given})
    assert candidates.items["artist"].labels.tolist() == [7]
    assert np.asarray(candidates.items["artist"].codes).tolist() == [0, -1, 0]


def test_a_table_whose_only_other_column_is_no_number_names_it(tmp_path: Path) -> None:
    for of in TABLES:
        with pytest.raises(InputError, match=r"no numeric column besides the ids.*column 'x' holds Categorical"):
            oa.Candidates.from_frames(TABLES[of](["a", "b", "a"]))
    pq.write_table(TABLES["pyarrow"](["a", "b", "a"]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"Others: x \(dictionary<values=string"):
        oa.Candidates.from_parquet(tmp_path)
    with pytest.raises(InputError, match=r"It has .*x \(dictionary<values=string"):
        oa.partition(tmp_path, tmp_path / "out")
