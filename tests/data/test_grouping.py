"""Keys and groupings: what becomes a label, which groups occur, and a plain twin for the groups of pairs."""

from __future__ import annotations

import datetime as dt
import threading
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_alloc.candidates import Candidates
from oasis_alloc.data import grouping as grouping_module
from oasis_alloc.data.keys import Key


def build(**changes):
    given = {
        "indptr": np.array([0, 2, 2, 4]),
        "item": np.array([2, 0, 0, 1]),
        "columns": {"relevance": np.array([0.5, 0.25, 1.0, 2.0])},
        "n_items": 4,
    }
    return Candidates.from_arrays(**(given | changes))


NAN = float("nan")


@pytest.mark.parametrize(
    ("values", "labels", "codes"),
    [
        (np.array([7, -1, 3, 7]), [3, 7], [1, -1, 0, 1]),
        (np.array([200, 3, 3, 200], np.uint8), [3, 200], [1, 0, 0, 1]),
        (np.array([2**63 + 5, 1, 2**63, 1], np.uint64), [1, 2**63, 2**63 + 5], [2, 0, 1, 0]),
        (np.array([2**62, 1, -1, 1]), [1, 2**62], [1, 0, -1, 0]),
        (["b", None, "a", "b"], ["a", "b"], [1, -1, 0, 1]),
        (["b", NAN, "nan", "b"], ["b", "nan"], [0, -1, 1, 0]),
        (np.array(["b", "", "a", "b"]), ["", "a", "b"], [2, 0, 1, 2]),
        ([4, None, NAN, 2], [2, 4], [1, -1, -1, 0]),
        ([4, None, -1, 2], [2, 4], [1, -1, -1, 0]),
        ([4, None, 2.0, 2], [2, 4], [1, -1, 0, 0]),
        (np.array([4.0, NAN, -1.0, 2.0]), [2, 4], [1, -1, -1, 0]),
        (np.array([0.5, NAN, 0.25, 0.5]), [0.25, 0.5], [1, -1, 0, 1]),
        (np.array([True, False, True, True]), [False, True], [1, 0, 1, 1]),
        ([None, None, -1, None], [], [-1, -1, -1, -1]),
        (
            np.array(["2020-01-02", "NaT", "2020-01-01", "2020-01-02"], "M8[D]"),
            [dt.date(2020, 1, 1), dt.date(2020, 1, 2)],
            [1, -1, 0, 1],
        ),
        (
            np.array(["2020-01-02", "NaT", "2020-01-01", "2020-01-02"], "M8[ns]"),
            [dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 2)],
            [1, -1, 0, 1],
        ),
        ([UUID(int=2), None, UUID(int=1), UUID(int=2)], [UUID(int=1), UUID(int=2)], [1, -1, 0, 1]),
        (np.ma.masked_array([5, 6, 7, 5], [0, 1, 0, 0]), [5, 7], [0, -1, 1, 0]),
    ],
)
def test_keys(values, labels, codes) -> None:
    key = build(items={"k": values}).items["k"]
    assert key.labels.tolist() == labels
    assert key.codes.tolist() == codes
    assert key.codes.dtype == np.int32
    assert key.n_groups == len(labels)
    assert [type(one) for one in key.labels.tolist()] == [type(one) for one in labels]


def test_integer_labels_are_int64_and_strings_objects() -> None:
    assert build(items={"k": np.array([1, 2, 3, 4], np.int8)}).items["k"].labels.dtype == np.int64
    assert build(items={"k": np.array(list("abcd"))}).items["k"].labels.dtype == object


@given(st.lists(st.none() | st.integers(-1, 2**40) | st.integers(0, 9), max_size=30))
def test_integer_keys_are_the_same_however_they_come(values) -> None:
    plain = np.array([-1 if value is None else value for value in values], dtype=np.int64)
    expected = sorted({int(value) for value in plain if value >= 0})
    floats = np.where(plain < 0, np.nan, plain.astype(float))
    for form in (values, plain, floats, plain.astype(object)):
        key = Key.build("k", form, n=None, size="n_items", where="items")
        assert key.labels.tolist() == expected
        assert [expected[c] if c >= 0 else -1 for c in key.codes] == plain.tolist()


MARKET = ["se", "de", None]
CAMPAIGN = [7, -1, 5, 9]
ARTIST = ["y", "x", "x", None]


def with_keys(**changes):
    keys = {"users": {"market": MARKET}, "items": {"campaign": CAMPAIGN, "artist": ARTIST}}
    return build(**(keys | changes))


@pytest.mark.parametrize(
    ("by", "labels"),
    [
        (None, [None]),
        ("campaign", [5, 7, 9]),
        ("market", ["de", "se"]),
        (("campaign",), [5, 7, 9]),
        (("campaign", "artist"), [(5, "x"), (7, "y")]),
        (("artist", "campaign"), [("x", 5), ("y", 7)]),
        (("market", "campaign"), [("se", 5), ("se", 7)]),
        (("campaign", "market", "artist"), [(5, "se", "x"), (7, "se", "y")]),
    ],
)
def test_groups(by, labels) -> None:
    c = with_keys()
    assert c.groups(by) == labels
    c.groups(by).clear()
    assert c.groups(by) == labels
    assert c.grouping(by) is c.grouping(by)
    assert c.grouping(by).n_groups == len(labels)


def test_a_side_that_is_not_named_has_code_zero() -> None:
    c = with_keys()
    assert c.grouping(None).table.tolist() == [[0]]
    assert c.grouping("campaign").user_part.tolist() == [0, 0, 0]
    assert c.grouping("campaign").table.tolist() == [[0, 1, 2]]
    assert c.grouping("market").table.tolist() == [[0], [1]]
    assert c.grouping("market").item_part.tolist() == [0, 0, 0, 0]


def plain_groups(c, by):
    """Group pair by pair with dictionaries: the twin of `Grouping`."""
    keys = {**c.users, **c.items}
    labels = []
    for pair, user in enumerate(c.user_of(np.arange(c.n_pairs))):
        row = {**dict.fromkeys(c.users, user), **dict.fromkeys(c.items, c.item[pair])}
        codes = [keys[name].codes[row[name]] for name in by]
        found = min(codes) >= 0
        labels.append(tuple(keys[n].labels[k] for n, k in zip(by, codes, strict=True)) if found else None)
    return labels


@st.composite
def markets(draw):
    n_users, n_items = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    slates = [draw(st.lists(st.integers(0, n_items - 1), unique=True)) for _ in range(n_users)]
    indptr = np.cumsum([0] + [len(slate) for slate in slates])
    label = st.none() | st.sampled_from("abc")
    attribute = {n: st.lists(label, min_size=n, max_size=n) for n in (n_users, n_items)}
    return Candidates.from_arrays(
        indptr,
        [number for slate in slates for number in slate],
        {"v": np.zeros(indptr[-1])},
        n_items=n_items,
        users={"u": draw(attribute[n_users]), "v": draw(attribute[n_users])},
        items={"i": draw(attribute[n_items]), "j": draw(attribute[n_items])},
    )


BYS = st.permutations("uvij").flatmap(lambda names: st.integers(1, 4).map(lambda k: tuple(names[:k])))


@given(markets(), BYS, st.booleans())
def test_groups_of_pairs_against_the_plain_twin(c, by, sparse) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if sparse:
            patch.setattr(grouping_module, "_fits", lambda shape, n_pairs: False)
        grouping = c.grouping(by)
    two_sided = bool(set(by) & set("uv") and set(by) & set("ij"))
    assert (grouping.table is None) == (sparse and two_sided)
    users = c.user_of(np.arange(c.n_pairs))
    groups = grouping.of(grouping.user_part[users], grouping.item_part[c.item])
    expected = plain_groups(c, by)
    single = len(by) == 1
    assert [None if g < 0 else (grouping.labels[g],) if single else grouping.labels[g] for g in groups] == expected
    assert grouping.labels == sorted(set(grouping.labels))
    if two_sided:
        assert set(grouping.labels) == set(expected) - {None}


def test_a_large_table_becomes_a_search() -> None:
    n = 1100  # 1,100 x 1,100 codes are more than the million entries that a table may have
    c = Candidates.from_arrays(
        np.arange(n + 1),
        np.arange(n)[::-1],
        {"v": np.ones(n)},
        users={"u": np.arange(n)},
        items={"i": np.arange(n)},
    )
    grouping = c.grouping(("i", "u"))
    assert grouping.table is None
    assert grouping.labels == [(i, n - 1 - i) for i in range(n)]
    users = np.arange(n)
    assert grouping.of(users, users[::-1]).tolist() == users[::-1].tolist()
    assert grouping.of(users[:3], users[:3]).tolist() == [-1, -1, -1]
    assert grouping.of(np.array([-1, 0]), np.array([n - 1, -1])).tolist() == [-1, -1]
    assert c.grouping("i").table is not None


def test_two_threads_get_the_same_grouping() -> None:
    c = with_keys()
    got = []
    threads = [threading.Thread(target=lambda: got.append(c.grouping(("market", "artist")))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(one) for one in got}) == 1
