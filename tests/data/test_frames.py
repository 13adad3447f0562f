"""Candidates from frames: any row order, any hashable id, and the ids back in a frame of the same kind."""

from __future__ import annotations

import datetime as dt
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_alloc.candidates import Candidates
from oasis_alloc.errors import InputError, MissingDependencyError

MAKERS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}
KINDS = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.Table}

each_backend = pytest.mark.parametrize("backend", list(MAKERS))


def rows_of(frame):
    return (
        frame.to_dict("records")
        if isinstance(frame, pd.DataFrame)
        else (frame.to_dicts() if isinstance(frame, pl.DataFrame) else frame.to_pylist())
    )


PAIRS = {
    "listener": ["u3", "u1", "u3", "u1"],
    "track": [20, 30, 10, 10],
    "relevance": [0.5, 1.5, 2.5, 3.5],
    "promotion": [1, 2, 3, 4],
    "note": ["a", "b", "c", "d"],
}
USERS = {"listener": ["u3", "u2", "u1"], "market": ["se", None, "de"]}
ITEMS = {"track": [30, 20, 40, 10], "artist": [3, 2, 4, 1], "label": ["z", "y", "z", None]}


@each_backend
def test_everything_at_once(backend) -> None:
    make = MAKERS[backend]
    c = Candidates.from_frames(make(PAIRS), users=make(USERS), items=make(ITEMS), user="listener", item="track")
    assert repr(c) == (
        "Candidates(3 users, 4 items, 4 pairs; columns: relevance, promotion; "
        "user keys: market; item keys: artist, label)"
    )
    assert c.user_ids.tolist() == ["u1", "u2", "u3"]
    assert c.item_ids.tolist() == [10, 20, 30, 40]
    assert c.indptr.tolist() == [0, 2, 2, 4]
    assert c.item.tolist() == [0, 2, 0, 1]
    assert c.row.tolist() == [3, 1, 2, 0]
    assert c.columns["relevance"].tolist() == [3.5, 1.5, 2.5, 0.5]
    assert c.columns["promotion"].tolist() == [4, 2, 3, 1]
    assert c.backend == backend
    assert c.groups("market") == ["de", "se"]
    assert c.users["market"].codes.tolist() == [0, -1, 1]
    assert c.groups("artist") == [1, 2, 3, 4]
    assert c.items["label"].codes.tolist() == [-1, 0, 1, 1]

    answer = c.frame([3, 0], {"x": np.array([0.5, 1.0]), "slot": [1, 2]})
    assert isinstance(answer, KINDS[backend])
    assert rows_of(answer) == [
        {"listener": "u3", "track": 20, "x": 0.5, "slot": 1},
        {"listener": "u1", "track": 10, "x": 1.0, "slot": 2},
    ]
    for other, kind in KINDS.items():
        moved = c.frame([3, 0], {"x": np.array([0.5, 1.0]), "slot": [1, 2]}, backend=other)
        assert isinstance(moved, kind)
        assert rows_of(moved) == rows_of(answer)


@each_backend
def test_without_frames_of_users_and_items(backend) -> None:
    c = Candidates.from_frames(MAKERS[backend](PAIRS), user="listener", item="track", columns=["promotion"])
    assert c.user_ids.tolist() == ["u1", "u3"]
    assert c.item_ids.tolist() == [10, 20, 30]
    assert list(c.columns) == ["promotion"]
    assert not c.users
    assert not c.items


@each_backend
def test_no_pairs_but_users(backend) -> None:
    empty = {"user": np.empty(0, np.int64), "item": np.empty(0, np.int64), "v": np.empty(0)}
    c = Candidates.from_frames(MAKERS[backend](empty), users=MAKERS[backend]({"user": [7, 5]}))
    assert (c.n_users, c.n_items, c.n_pairs) == (2, 0, 0)
    assert c.indptr.tolist() == [0, 0, 0]
    assert rows_of(c.frame([], {"x": []})) == []


def test_lazy_frames_and_mixed_kinds() -> None:
    c = Candidates.from_frames(
        pl.DataFrame(PAIRS).lazy(),
        users=pd.DataFrame(USERS),
        items=pa.table(ITEMS),
        user="listener",
        item="track",
    )
    assert c.backend == "polars"
    assert rows_of(c.frame([0], {"x": [1.0]})) == [{"listener": "u1", "track": 10, "x": 1.0}]


def test_pandas_index_does_not_matter() -> None:
    pairs = pd.DataFrame(PAIRS, index=[5, 5, 7, 1])
    c = Candidates.from_frames(pairs, user="listener", item="track")
    answer = c.frame([1, 0], {"x": [0.25, 0.75]})
    assert answer.index.tolist() == [0, 1]
    assert answer["x"].tolist() == [0.25, 0.75]
    assert answer["track"].tolist() == [30, 10]


@each_backend
def test_inputs_are_not_modified(backend) -> None:
    pairs, users, items = (MAKERS[backend](data) for data in (PAIRS, USERS, ITEMS))
    Candidates.from_frames(pairs, users=users, items=items, user="listener", item="track")
    for frame, data in ((pairs, PAIRS), (users, USERS), (items, ITEMS)):
        again = MAKERS[backend](data)
        assert frame.equals(again)


def test_a_column_in_order_is_shared_and_read_only() -> None:
    relevance = np.array([1.0, 2.0])
    pairs = pl.DataFrame({"user": [1, 2], "item": [1, 1], "relevance": relevance})
    column = Candidates.from_frames(pairs).columns["relevance"]
    assert not column.flags.writeable
    assert np.shares_memory(column, pairs["relevance"].to_numpy())


ZONE = dt.UTC
IDS = {
    "integers": ([30, -10, 2**60], MAKERS),
    "strings": (["b", "", "ä"], MAKERS),
    "floats": ([2.5, -1.0, 0.0], MAKERS),
    "dates": ([dt.date(2024, 2, 1), dt.date(2023, 1, 1), dt.date(2025, 1, 1)], ["polars", "pyarrow"]),
    "times": ([dt.datetime(2024, 2, d, tzinfo=ZONE) for d in (3, 1, 2)], MAKERS),
    "uuids": ([uuid.UUID(int=k) for k in (3, 1, 2)], ["pandas"]),
    "tuples": ([(2, "b"), (1, "z"), (2, "a")], ["pandas"]),
    "mixed": ([1, "a", (2, 3)], ["pandas"]),
    "bytes": ([b"x", b"a", b"b"], MAKERS),
}


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("kind", "backend"), [(kind, backend) for kind, (_, backends) in IDS.items() for backend in backends]
)
def test_ids_come_back_as_they_were(kind, backend) -> None:
    ids = IDS[kind][0]
    users = [ids[0], ids[1], ids[2], ids[0]]
    items = [ids[0], ids[1], ids[2], ids[1]]
    pairs = MAKERS[backend]({"user": users, "item": items, "v": [0.0, 1.0, 2.0, 3.0]})
    c = Candidates.from_frames(pairs)
    if kind != "mixed":
        assert c.user_ids.tolist() == sorted(ids)
    else:
        assert c.user_ids.tolist() == ids
    answer = c.frame(np.arange(4), {"v": c.columns["v"]})
    by_row = rows_of(answer)
    assert sorted(by_row, key=lambda row: row["v"]) == rows_of(pairs)
    types = {"pandas": "dtypes", "polars": "schema", "pyarrow": "schema"}[backend]
    assert str(getattr(answer, types)) == str(getattr(pairs, types))


def test_special_columns_of_each_kind() -> None:
    pandas = pd.DataFrame(
        {
            "user": pd.Categorical(["b", "a"]),
            "item": pd.array([2, 1], dtype="Int64"),
            "v": pd.array([1, 2], dtype="Int64"),
            "w": pd.array([1.0, 2.0], dtype="float32"),
        }
    )
    c = Candidates.from_frames(pandas)
    assert c.user_ids.tolist() == ["a", "b"]
    assert {name: column.dtype.name for name, column in c.columns.items()} == {"v": "float64", "w": "float32"}
    assert c.frame([0], {"x": [1.0]}).dtypes.tolist()[:2] == pandas.dtypes.tolist()[:2]
    polars = pl.DataFrame(
        {
            "user": pl.Series(["b", "a"], dtype=pl.Categorical),
            "item": pl.Series([uuid.UUID(int=2), uuid.UUID(int=1)], dtype=pl.Object),
            "v": pl.Series([True, False]),
        }
    )
    c = Candidates.from_frames(polars, columns="v")
    assert c.columns["v"].tolist() == [0, 1]
    answer = c.frame([1, 0], {"x": [1.0, 2.0]})
    assert answer["user"].dtype == pl.Categorical
    assert answer["item"].to_list() == [uuid.UUID(int=2), uuid.UUID(int=1)]
    assert c.frame([1], {"x": [1.0]}, backend="pandas")["item"].tolist() == [uuid.UUID(int=2)]


def test_integer_ids_match_whatever_their_width() -> None:
    pairs = pl.DataFrame({"user": pl.Series([3, 1], dtype=pl.UInt8), "item": [1, 1], "v": [1.0, 2.0]})
    c = Candidates.from_frames(pairs, users=pd.DataFrame({"user": np.array([1, 2, 3])}))
    assert c.indptr.tolist() == [0, 1, 1, 2]


labels = st.none() | st.sampled_from(["x", "y", "z"])
names = st.one_of(
    st.lists(st.integers(-5, 5), min_size=1, max_size=6, unique=True),
    st.lists(st.text("ab", max_size=3), min_size=1, max_size=6, unique=True),
)


@st.composite
def tables(draw):
    users, items = draw(names), draw(names)
    size = st.lists(st.tuples(st.sampled_from(users), st.sampled_from(items)), max_size=15, unique=True)
    pairs = draw(size)
    values = draw(st.lists(st.floats(-9, 9), min_size=len(pairs), max_size=len(pairs)))
    attribute = draw(st.lists(labels, min_size=len(items), max_size=len(items)))
    return users, items, pairs, values, attribute


@given(tables(), st.randoms(use_true_random=False), st.sampled_from(list(MAKERS)))
def test_row_order_does_not_matter_and_every_pair_is_found_again(table, random, backend) -> None:
    users, items, pairs, values, attribute = table

    def typed(column, like):
        kind = np.int64 if isinstance(like[0], int) else object
        return pd.Series(column, dtype=kind).astype("int64" if kind is np.int64 else "str")

    def make(order, user_order, item_order):
        frames = (
            pd.DataFrame(
                {
                    "user": typed([pairs[k][0] for k in order], users),
                    "item": typed([pairs[k][1] for k in order], items),
                    "v": np.array([values[k] for k in order], dtype=float),
                }
            ),
            pd.DataFrame({"user": typed([users[k] for k in user_order], users)}),
            pd.DataFrame(
                {
                    "item": typed([items[k] for k in item_order], items),
                    "tag": pd.Series([attribute[k] for k in item_order], dtype="str"),
                }
            ),
        )
        convert = {"pandas": lambda f: f, "polars": pl.from_pandas, "pyarrow": pa.Table.from_pandas}[backend]
        p, u, i = (convert(frame) for frame in frames)
        return Candidates.from_frames(p, users=u, items=i)

    sizes = len(pairs), len(users), len(items)
    straight = make(*(range(n) for n in sizes))
    shuffled = make(*(random.sample(range(n), n) for n in sizes))
    for c in (straight, shuffled):
        assert c.user_ids.tolist() == sorted(users)
        assert c.item_ids.tolist() == sorted(items)
        answer = rows_of(c.frame(np.arange(c.n_pairs), {"v": c.columns["v"]}))
        found = {(row["user"], row["item"]): row["v"] for row in answer}
        assert found == dict(zip(pairs, values, strict=True))
        tags = dict(zip(items, attribute, strict=True))
        key = c.items["tag"]
        assert [None if k < 0 else key.labels[k] for k in key.codes] == [tags[name] for name in c.item_ids]
    assert straight.indptr.tolist() == shuffled.indptr.tolist()
    assert straight.item.tolist() == shuffled.item.tolist()
    assert straight.columns["v"].tolist() == shuffled.columns["v"].tolist()
    assert straight.groups("tag") == shuffled.groups("tag")
    assert [values[k] for k in straight.row] == straight.columns["v"].tolist()


def test_frames_of_arrays() -> None:
    c = Candidates.from_arrays([0, 1, 2], [1, 0], {"v": [1, 2]}, item_ids=[("a", 1), ("b", 2)])
    answer = c.frame([1, 0], {"x": [0.5, 1.0]})
    assert isinstance(answer, pd.DataFrame)
    assert rows_of(answer) == [
        {"user": 1, "item": ("a", 1), "x": 0.5},
        {"user": 0, "item": ("b", 2), "x": 1.0},
    ]
    # narwhals' from_dict would turn these into bytes.
    assert c.frame([1], {"x": [0.5]}, backend="polars")["item"].to_list() == [("a", 1)]


def test_the_first_kind_that_is_installed_is_taken(monkeypatch) -> None:
    import importlib.util

    c = Candidates.from_arrays([0, 1], [0], {"v": [1]})
    absent = {"pandas"}
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find(name))
    assert isinstance(c.frame([0], {"x": [1.0]}), pl.DataFrame)
    absent.add("polars")
    assert isinstance(c.frame([0], {"x": [1.0]}), pa.Table)
    absent.add("pyarrow")
    with pytest.raises(MissingDependencyError, match=r"pandas or polars or pyarrow.*pip install"):
        c.frame([0], {"x": [1.0]})
    with pytest.raises(MissingDependencyError, match="pip install polars"):
        c.frame([0], {"x": [1.0]}, backend="polars")


@pytest.mark.parametrize(
    ("positions", "values", "backend", "words"),
    [
        ([5], {"x": [1.0]}, None, r"positions reach from 5 to 5; expected 0 to n_pairs - 1 \(1\)"),
        ([-1], {"x": [1.0]}, None, "positions reach from -1"),
        ([0.5], {"x": [1.0]}, None, "float64; expected a list of integers"),
        ([0, 1], {"x": [1.0]}, None, r"'x' has shape \(1,\); expected \(2,\)"),
        ([0], {"user": [1.0]}, None, "'user' is also the name of a column of ids"),
        ([0], {"x": [1.0]}, "pandsa", "no backend 'pandsa'. Did you mean 'pandas'"),
        ([0], {"x": [1.0]}, "pyarrow", r"pyarrow cannot hold the ids of 'item', such as \('a', 1\)"),
    ],
)
def test_answers_that_cannot_be_made(positions, values, backend, words) -> None:
    c = Candidates.from_arrays([0, 2], [0, 1], {"v": [1, 2]}, item_ids=[("a", 1), ("b", 2)])
    with pytest.raises(InputError, match=words):
        c.frame(positions, values, backend)
