"""Columns of one name: no reason to refuse a table, and named by their number where they are asked for."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

import oasis_alloc as oa
from oasis_alloc.errors import InputError, ProblemError

PAIRS = pd.DataFrame({"user": [1, 1, 2], "item": [1, 2, 1], "r": [0.1, 0.2, 0.3]})
NAMES, COLUMNS = ["item", "g", "k", "k"], [[1, 2], ["a", "b"], [1, 2], [3, 4]]
TABLES = {
    "pandas": pd.DataFrame(list(zip(*COLUMNS, strict=True)), columns=NAMES),
    "pyarrow": pa.Table.from_arrays([pa.array(column) for column in COLUMNS], names=NAMES),
}


@pytest.mark.parametrize("items", TABLES.values(), ids=TABLES.keys())
def test_columns_of_one_name_that_nobody_asks_for_are_left_alone(items: Any) -> None:
    candidates = oa.Candidates.from_frames(PAIRS, items=items)
    solution = oa.solve(oa.Problem(candidates, oa.total("r"), oa.exposure(by="g") <= 1))
    assert solution.value == pytest.approx(0.5)
    with pytest.raises(ProblemError, match=r"'k' is not a key.*renamed to 'k \(column 3\)' and 'k \(column 4\)'"):
        oa.Problem(candidates, oa.total("r"), oa.exposure(by="k") <= 1)
    assert candidates.groups("k (column 4)") == [3, 4]


def test_columns_of_pairs_of_one_name() -> None:
    doubled = pd.DataFrame([[1, 1, 0.5, 2.0, 3.0]], columns=["user", "item", "r", "v", "v"])
    candidates = oa.Candidates.from_frames(doubled)
    assert list(candidates.columns) == ["r", "v (column 4)", "v (column 5)"]
    with pytest.raises(ProblemError, match=r"no column 'v'\. Several columns of the table have this name"):
        oa.Problem(candidates, oa.total("v"))


def test_an_id_in_the_index_is_told_from_one_that_is_missing() -> None:
    with pytest.raises(InputError, match=r"pairs has 'user' as its index .*reset_index\(\)"):
        oa.Candidates.from_frames(PAIRS.set_index("user"))
    with pytest.raises(InputError, match=r"items has 'item' as its index .*items\.reset_index\(\)"):
        oa.Candidates.from_frames(PAIRS, items=pd.DataFrame({"g": [1, 2]}, index=pd.Index([1, 2], name="item")))
    with pytest.raises(InputError, match=r"user is 7; expected the name of a column of pairs, a string"):
        oa.Candidates.from_frames(PAIRS.rename(columns={"user": 7}), user=7)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "__index_level_0__"])
def test_an_id_column_may_have_any_name(name: str) -> None:
    assert oa.Candidates.from_frames(PAIRS.rename(columns={"user": name}), user=name).n_users == 2
