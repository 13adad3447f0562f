"""Bad Parquet files: what is wrong, and the words that the error must contain, with the place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import oasis_alloc as oa
from oasis_alloc.candidates import Candidates
from oasis_alloc.errors import InputError

NAN = float("nan")

# Good: users 0, 1 and 3 of 4, three rows in the file "a", the rest in "b", two rows in a row group; user 1 is cut.
GOOD: dict[str, list[Any]] = {
    "user": [0, 0, 1, 1, 3, 3],
    "item": [2, 0, 1, 0, 1, 2],
    "rel": [0.5, 0.25, 1.0, 2.0, -1.0, 0.0],
}

COLUMNS = [
    # what is wrong, the columns that are, other arguments, the words between bars
    ("users down", {"user": [0, 0, 2, 1, 3, 3]}, {}, "b.parquet | row group 0, row 0 | user 1 comes after user 2"),
    ("users down in a group", {"user": [1, 0, 1, 1, 3, 3]}, {}, "a.parquet | row group 0, row 1 | user 0 comes after"),
    ("an item twice", {"item": [2, 2, 1, 0, 1, 2]}, {}, "a.parquet | row 1 | user 0 has item 2 a second time"),
    ("twice over two files", {"item": [2, 0, 1, 1, 1, 2]}, {}, "b.parquet | row 0 | user 1 has item 1 a second time"),
    ("nan", {"rel": [0, 0, 0, 0, 0, NAN]}, {}, "b.parquet | row group 1, row 0 | user 3 | column 'rel' is nan"),
    ("infinite", {"rel": [np.inf, 0, 0, 0, 0, 1]}, {}, "a.parquet | row 0 | 'rel' is inf | finite"),
    ("null", {"rel": [0, None, 0, 0, 0, 1]}, {}, "a.parquet | row group 0, row 1 | 'rel' is null"),
    ("null user", {"user": [0, 0, 1, 1, None, 3]}, {}, "b.parquet | row group 0, row 1 | 'user' is null"),
    ("negative item", {"item": [2, 0, -1, 0, 1, 2]}, {}, "a.parquet | row group 1, row 0 | 'item' is -1 | items"),
    ("negative user", {"user": [-1, 0, 1, 1, 3, 3]}, {}, "row 0 | 'user' is -1 | users"),
    ("unknown item", {}, {"items": {"artist": ["x", "y"]}}, "'item' is 2 | items | [0, 2)"),
    ("unknown user", {}, {"users": {"market": ["x", "y", "z"]}}, "b.parquet | 'user' is 3 | users | [0, 3)"),
    ("ids for numbers", {"item": [10**12, 0, 1, 0, 1, 2]}, {}, "'item' is 1,000,000,000,000 | the answer in items="),
    ("user ids for numbers", {"user": [0, 0, 1, 1, 3, 10**12]}, {}, "'user' | from 0 | users="),
    ("users in words", {"user": ["a", "a", "b", "b", "c", "c"]}, {}, "'user' is string | integers | Number them"),
    ("text", {"rel": ["a"] * 6}, {"columns": ["rel"]}, "'rel' is string | expected numbers"),
    ("no numbers", {"rel": ["a"] * 6}, {}, "no column of numbers besides 'user' and 'item' | Others: rel (string)"),
    ("unknown column", {}, {"columns": ["rell"]}, "a.parquet | 'rell' | Did you mean 'rel'"),
    ("no such user column", {}, {"user": "usr"}, "a.parquet | no column 'usr' | Did you mean 'user'"),
    ("numbers as a column", {}, {"columns": ["item"]}, "columns names 'item'"),
    ("one column for both", {}, {"user": "item"}, "user and item both name | two columns"),
    ("no name", {}, {"item": 3}, "item is 3 | name of a column"),
    ("ids twice", {}, {"items": {"item": ["x", "y", "x"]}}, "items['item'] | 'x' | again at 2 | distinct"),
    ("ids too few", {}, {"items": {"item": ["x"], "artist": [1, 2, 3]}}, "items['item'] has 1 entries | expected 3"),
    ("key twice", {}, {"users": {"k": [1] * 4}, "items": {"k": [1] * 3}}, "'k' | both"),
    ("memory 0", {}, {"memory": 0}, "memory=0 | bytes above 0"),
    ("memory in words", {}, {"memory": "much"}, "memory='much' | '2GiB'"),
    ("memory in other units", {}, {"memory": "2 parsecs"}, "memory='2 parsecs'"),
    ("memory true", {}, {"memory": True}, "memory=True"),
    ("too little memory", {}, {"memory": 40}, "a.parquet, row group 0 has 2 rows | memory= allows 40 | rows_per_group"),
]  # fmt: skip


def write(directory: Path, columns: dict[str, list[Any]]) -> Path:
    table = pa.table(columns)
    for name, part in (("a", table.slice(0, 3)), ("b", table.slice(3))):
        pq.write_table(part, directory / f"{name}.parquet", row_group_size=2)
    return directory


def says(caught: pytest.ExceptionInfo[Exception], words: str) -> None:
    missing = [word for word in words.split(" | ") if word not in str(caught.value)]
    assert not missing, f"{missing} not in: {caught.value}"


def test_the_good_one_is_good(tmp_path: Path) -> None:
    candidates = Candidates.from_parquet(write(tmp_path, GOOD), items={"item": ["x", "y", "z"]})
    assert candidates.indptr.tolist() == [0, 2, 4, 4, 6]
    assert candidates.item_ids is not None
    one = Candidates.from_parquet(tmp_path / "b.parquet", memory="1.5 MiB")
    assert (one.n_users, one.n_pairs) == (4, 3)


@pytest.mark.few(6)
@pytest.mark.parametrize(("wrong", "arguments", "words"), [row[1:] for row in COLUMNS], ids=[r[0] for r in COLUMNS])
def test_columns(tmp_path: Path, wrong: dict[str, list[Any]], arguments: dict[str, Any], words: str) -> None:
    write(tmp_path, GOOD | wrong)
    with pytest.raises(InputError) as caught:
        Candidates.from_parquet(tmp_path, **arguments)
    says(caught, words)


def test_files(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        Candidates.from_parquet(tmp_path / "pears")
    says(caught, "no directory | pears")
    with pytest.raises(InputError) as caught:
        Candidates.from_parquet(tmp_path)
    says(caught, "no file whose name ends in .parquet")
    with pytest.raises(InputError) as caught:
        Candidates.from_parquet(3)  # type: ignore[arg-type]
    says(caught, "directory is 3 | path")
    with pytest.raises(InputError) as caught:
        Candidates.from_parquet("")
    says(caught, "directory is '' | path")
    write(tmp_path, GOOD)
    pq.write_table(pa.table(GOOD | {"rel": np.ones(6, np.float32)}), tmp_path / "c.parquet")
    with pytest.raises(InputError) as caught:
        Candidates.from_parquet(tmp_path)
    says(caught, "c.parquet | 'rel' is float32 there and float64 in a.parquet | one type")
    (tmp_path / "c.parquet").write_bytes(b"PAR1 not at all PAR1")
    with pytest.raises(InputError) as caught:
        Candidates.from_parquet(tmp_path)
    says(caught, "c.parquet | cannot be read as a Parquet file")
    for name in ("a", "b", "c"):
        pq.write_table(pa.table({k: pa.array([], pa.int64()) for k in GOOD}), tmp_path / f"{name}.parquet")
    with pytest.raises(InputError) as caught:
        Candidates.from_parquet(tmp_path)
    says(caught, "no users | one user or more")
    assert Candidates.from_parquet(tmp_path, users={"market": ["x"]}).n_pairs == 0


@pytest.mark.parametrize(
    ("names", "arguments", "words"),
    [
        (["user", "item", "rel", "rel"], {}, "2 columns named 'rel' | expected one | columns="),
        (["user", "item", "rel", "rel"], {"columns": ["rel"]}, "2 columns named 'rel'"),
        (["user", "user", "item", "rel"], {}, "2 columns named 'user'"),
        (["user", "item", "item", "rel"], {}, "2 columns named 'item'"),
    ],
)
def test_a_column_twice(tmp_path: Path, names: list[str], arguments: dict[str, Any], words: str) -> None:
    arrays = [pa.array(GOOD.get(name, GOOD["rel"])) for name in names]
    pq.write_table(pa.Table.from_arrays(arrays, names), tmp_path / "a.parquet")
    with pytest.raises(InputError) as caught:
        Candidates.from_parquet(tmp_path, **arguments)
    says(caught, f"a.parquet | {words}")


def test_a_column_twice_that_is_not_asked_for(tmp_path: Path) -> None:
    arrays = [pa.array(GOOD.get(name, GOOD["rel"])) for name in ("user", "item", "rel", "spare", "spare")]
    pq.write_table(pa.Table.from_arrays(arrays, ["user", "item", "rel", "spare", "spare"]), tmp_path / "a.parquet")
    assert list(Candidates.from_parquet(tmp_path, columns=["rel"]).columns) == ["rel"]


@pytest.mark.parametrize(
    ("spare", "why"),
    [
        ([NAN] * 6, "row 0 (user 0): column 'spare' is nan; expected finite numbers"),
        ([1, 2, 3, 4, None, 6], "b.parquet, row group 0, row 1 (user 3): column 'spare' is null"),
        ([0, np.inf, 0, 0, 0, 0], "a.parquet, row group 0, row 1 (user 0): column 'spare' is inf"),
    ],
)
def test_a_column_that_no_problem_asks_for_is_no_reason_to_refuse_the_files(
    tmp_path: Path, spare: list[Any], why: str
) -> None:
    write(tmp_path, GOOD | {"spare": spare, "vector": [[1.0]] * 6, "text": ["x"] * 6})
    candidates = Candidates.from_parquet(tmp_path)
    assert list(candidates.columns) == ["rel"]
    assert oa.solve(oa.Problem(candidates, oa.total("rel"))).value == 2.5
    with pytest.raises(oa.ProblemError) as caught:
        oa.Problem(candidates, oa.total("spare"))
    says(caught, f"The table has this column, but it cannot be used | {why}")
    with pytest.raises(InputError) as named:
        Candidates.from_parquet(tmp_path, columns=["rel", "spare"])
    says(named, why.partition(": ")[2].partition(";")[0])


def test_a_column_that_only_some_files_have_is_left_out(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    more = {"user": [4], "item": [0]}
    pq.write_table(pa.table(more | {"rel": [1.0], "late": [1.0]}), tmp_path / "c.parquet")
    pq.write_table(pa.table(GOOD | {"rel": np.ones(6), "early": np.ones(6)}).slice(0, 3), tmp_path / "a.parquet")
    candidates = Candidates.from_parquet(tmp_path)
    assert list(candidates.columns) == ["rel"]
    with pytest.raises(oa.ProblemError, match=r"cannot be used: b\.parquet has no column 'early'"):
        oa.Problem(candidates, oa.total("early"))
    with pytest.raises(InputError, match=r"b\.parquet has no column 'early'"):
        Candidates.from_parquet(tmp_path, columns=["rel", "early"])


def test_writing(tmp_path: Path) -> None:
    good = Candidates.from_arrays([0, 1], [0], {"rel": [1.0]})
    rows = [
        ({"name": ""}, "name='' | name of a file"),
        ({"name": "a/b"}, "name='a/b'"),
        ({"name": "_hidden"}, "name='_hidden'"),
        ({"rows_per_group": 0}, "rows_per_group=0 | >= 1"),
        ({"rows_per_group": 1.5}, "rows_per_group=1.5"),
        ({"first_user": -1}, "first_user=-1 | >= 0"),
        ({"compact": 1}, "compact=1 | True or False"),
    ]
    for arguments, words in rows:
        with pytest.raises(InputError) as caught:
            good.to_parquet(tmp_path, **arguments)  # type: ignore[arg-type]
        says(caught, words)
    with pytest.raises(InputError) as caught:
        Candidates.from_arrays([0, 1], [0], {"user": [1.0]}).to_parquet(tmp_path)
    says(caught, "'user' | rename")
    assert not list(tmp_path.iterdir()), "nothing was written"


FOLDERS = [
    # what is wrong, the files that are there, the words between bars
    ("no file", [], "no file whose name ends in .parquet"),
    ("only what is passed over", ["_a.parquet", ".a.parquet", "_old/a.parquet", "a.txt"], "no file | passed over"),
    ("folders that name other columns", ["day=1/a.parquet", "hour=2/a.parquet"], "a.parquet | give hour | give day"),
    ("folders of some files", ["a.parquet", "day=1/a.parquet"], "a.parquet | give day | give no column"),
]


@pytest.mark.parametrize(("what", "names", "words"), FOLDERS, ids=[what for what, _, _ in FOLDERS])
def test_folders_that_are_no_tables(tmp_path: Path, what: str, names: list[str], words: str) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        pq.write_table(pa.table(GOOD), tmp_path / name)
    with pytest.raises(InputError) as caught:
        Candidates.from_parquet(tmp_path)
    assert not [word for word in words.split(" | ") if word not in str(caught.value)], caught.value


@pytest.mark.parametrize("name", ["x" * 5_000, "a\0b"], ids=["too long", "a zero byte"])
def test_a_name_that_no_file_can_have(name: str) -> None:
    with pytest.raises(oa.InputError, match=r"expected.*Parquet files"):
        oa.Candidates.from_parquet(name)
