"""Candidates from arrays: types, sharing, and the duplicate check against a plain twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oasis_alloc.candidates import Candidates
from oasis_alloc.errors import InputError


def build(**changes):
    given = {
        "indptr": np.array([0, 2, 2, 4]),
        "item": np.array([2, 0, 0, 1]),
        "columns": {"relevance": np.array([0.5, 0.25, 1.0, 2.0])},
        "n_items": 4,
    }
    return Candidates.from_arrays(**(given | changes))


def test_what_is_kept() -> None:
    c = build()
    assert (c.n_users, c.n_items, c.n_pairs) == (3, 4, 4)
    assert c.indptr.dtype == np.int64
    assert c.indptr.tolist() == [0, 2, 2, 4]
    assert c.item.tolist() == [2, 0, 0, 1]
    assert list(c.columns) == ["relevance"]
    assert c.user_ids is c.item_ids is c.backend is c.row is None
    assert (c.user_name, c.item_name) == ("user", "item")
    assert c.user_of(np.arange(4)).tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize(("n_items", "dtype"), [(65535, np.uint16), (65536, np.uint32)])
def test_item_numbers_are_as_narrow_as_possible(n_items, dtype) -> None:
    assert build(n_items=n_items).item.dtype == dtype
    already = np.array([2, 0, 0, 1], dtype=dtype)
    assert np.shares_memory(build(item=already, n_items=n_items).item, already)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("float32", "float32"), ("float64", "float64"), ("float16", "float32"), ("longdouble", "float64"),
        ("int8", "float32"), ("uint16", "float32"), ("int32", "float64"), ("int64", "float64"),
        ("bool", "float32"), ("object", "float64"), (">f8", "float64"), (">f4", "float32"),
        (">i4", "float64"),
    ],
)  # fmt: skip
def test_columns_become_floats(given, kept) -> None:
    values = np.array([0, 1, 1, 0]).astype(given)
    column = build(columns={"c": values}).columns["c"]
    assert column.dtype == np.dtype(kept)
    assert column.dtype.isnative
    assert column.flags.c_contiguous
    assert column.tolist() == [0, 1, 1, 0]


def test_non_native_read_only_and_non_contiguous_arrays_simply_work() -> None:
    expected = build()
    swapped = build(
        indptr=np.array([0, 2, 2, 4], dtype=">i8"),
        item=np.array([2, 0, 0, 1], dtype=">i4"),
        columns={"relevance": np.array([0.5, 0.25, 1.0, 2.0], dtype=">f8")},
        items={"artist": np.array([3, 1, -1, 1], dtype=">i4")},
    )
    indptr, item, column = (
        np.array([0, 2, 2, 4]),
        np.array([2, 0, 0, 1], np.uint16),
        np.array([0.5, 0.25, 1, 2]),
    )
    for array in (indptr, item, column):
        array.flags.writeable = False
    read_only = build(indptr=indptr, item=item, columns={"relevance": column})
    strided = build(
        indptr=np.repeat(expected.indptr, 2)[::2],
        item=np.repeat(expected.item, 3)[::3],
        columns={"relevance": expected.columns["relevance"][::-1].copy()[::-1]},
    )
    for other in (swapped, read_only, strided):
        assert other.indptr.tolist() == expected.indptr.tolist()
        assert other.item.tolist() == expected.item.tolist()
        assert other.columns["relevance"].tolist() == expected.columns["relevance"].tolist()
        assert all(a.dtype.isnative and a.flags.c_contiguous for a in (other.item, other.columns["relevance"]))
    assert swapped.groups("artist") == [1, 3]


def test_right_arrays_are_shared_and_stay_as_they_are() -> None:
    item, column = np.array([2, 0, 0, 1], np.uint16), np.array([0.5, 0.25, 1.0, 2.0], np.float32)
    indptr, artist = np.array([0, 2, 2, 4]), np.array([5, -1, 5, 2])
    before = [a.copy() for a in (indptr, item, column, artist)]
    c = build(indptr=indptr, item=item, columns={"c": column}, items={"artist": artist})
    assert np.shares_memory(c.columns["c"], column)
    assert np.shares_memory(c.item, item)
    for array, copy in zip((indptr, item, column, artist), before, strict=True):
        assert array.flags.writeable
        assert (array == copy).all()


def test_immutable() -> None:
    c = build(items={"artist": [1, 2, 3, 4]}, user_ids=["a", "b", "c"])
    arrays = (c.indptr, c.item, c.columns["relevance"], c.items["artist"].codes, c.items["artist"].labels)
    for array in (*arrays, c.user_ids, c.grouping("artist").table, c.grouping("artist").item_part):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[0]
    with pytest.raises(TypeError):
        c.columns["new"] = c.columns["relevance"]
    with pytest.raises(AttributeError):
        c.n_users = 7


def test_n_items_comes_from_attributes_then_ids_then_the_largest_number() -> None:
    assert build(n_items=None).n_items == 3
    assert build(n_items=None, items={"artist": [1, 2, 3, 4, 5]}).n_items == 5
    assert build(n_items=None, item_ids=(name for name in "abcdef")).n_items == 6


def test_no_pairs() -> None:
    c = build(indptr=[0, 0, 0], item=[], columns={"v": []}, items={"artist": ["a", "b"]}, n_items=2)
    assert (c.n_users, c.n_items, c.n_pairs) == (2, 2, 0)
    assert c.groups("artist") == ["a", "b"]
    assert c.user_of([]).tolist() == []
    nobody = Candidates.from_arrays([0, 0], [], {"v": []})
    assert (nobody.n_items, nobody.groups(None)) == (0, [None])


def test_repr() -> None:
    c = build(users={"market": [1, 2, 3]}, items={"campaign": [1, 2, 3, 4], "artist": [1, 2, 3, 4]})
    assert repr(c) == (
        "Candidates(3 users, 4 items, 4 pairs; columns: relevance; user keys: market; item keys: campaign, artist)"
    )
    assert repr(build(indptr=[0, 4], item=range(4))) == "Candidates(1 user, 4 items, 4 pairs; columns: relevance)"


def plain_duplicate(indptr, item):
    for user in range(len(indptr) - 1):
        seen = {}
        for pair in range(indptr[user], indptr[user + 1]):
            if item[pair] in seen:
                return user, int(item[pair]), seen[item[pair]], pair
            seen[item[pair]] = pair
    return None


@given(st.lists(st.lists(st.integers(0, 8), max_size=5), min_size=1, max_size=6), st.sampled_from([9, 70_000]))
@example([[1], [1], [1, 2, 1]], 9)
def test_duplicates_against_the_plain_twin(slates, n_items) -> None:
    indptr = np.cumsum([0] + [len(slate) for slate in slates])
    item = [number for slate in slates for number in slate]
    expected = plain_duplicate(indptr, item)
    if expected is None:
        Candidates.from_arrays(indptr, item, {"v": np.zeros(len(item))}, n_items=n_items)
        return
    user, number, first, second = expected
    with pytest.raises(InputError, match=f"user {user} has item {number} twice, at pairs {first} and {second};"):
        Candidates.from_arrays(indptr, item, {"v": np.zeros(len(item))}, n_items=n_items)


def test_a_bad_value_far_into_a_column_is_found() -> None:
    n = 600_000  # more than two blocks
    values = np.zeros(n, dtype=np.float32)
    values[-1] = np.inf
    with pytest.raises(InputError, match=r"pair 599,999 \(user 1\) is inf"):
        Candidates.from_arrays([0, 5, n], np.arange(n) % (n - 5), {"v": values})
