"""Series in `from_arrays` are matched by their row labels; what has no order is no array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import oasis_alloc as oa
from oasis_alloc.errors import InputError

IDS = ["ann", "bob", "zoe"]
MARKET = pd.Series(["SE", "DE", None], index=["zoe", "ann", "bob"])


def candidates(**given: Any) -> oa.Candidates:
    """Three users with two candidates each."""
    parts: dict[str, Any] = {"indptr": [0, 2, 4, 6], "item": [0, 1, 0, 1, 0, 1], "columns": {"r": np.arange(6) / 8}}
    return oa.Candidates.from_arrays(**{**parts, **given})


def markets(cands: oa.Candidates) -> list[Any]:
    key = cands.users["market"]
    return [None if code < 0 else key.labels[code] for code in key.codes]


@pytest.mark.parametrize(
    "ids", [IDS, np.array(IDS), pd.Series(IDS), pd.Series(IDS, index=[7, 5, 6]), pl.Series(IDS), pd.Index(IDS)]
)
def test_a_series_of_users_is_matched_by_id(ids: Any) -> None:
    assert markets(candidates(users={"market": MARKET}, user_ids=ids)) == ["DE", None, "SE"]


def test_a_series_of_items_is_matched_by_id() -> None:
    artist, genre = pd.Series(["x", "y"], index=[20, 10]), pd.Series([["pop"], ["folk", "jazz"]], index=[20.0, 10.0])
    cands = candidates(items={"artist": artist, "genre": genre}, item_ids=[10, 20])
    caps = [(oa.exposure(by=key) <= 0.0).named(key) for key in ("artist", "genre")]
    caps[0] = (oa.exposure(by="artist") <= {"y": 0.0}).named("artist")
    solution = oa.solve(oa.Problem(cands, oa.total("r"), caps[0], oa.Slate(2)))
    assert set(cands.item[solution.pairs].tolist()) == {1}  # item 10 has the artist y
    assert oa.exposure(by="genre") is not None
    assert cands.groups("genre") == ["folk", "jazz", "pop"]


def test_rows_of_some_frame_are_in_the_order_of_the_users() -> None:
    assert markets(candidates(users={"market": pd.Series(["DE", None, "SE"], index=[9, 10, 11])})) == ["DE", None, "SE"]


@pytest.mark.parametrize("index", [None, [0, 1, 2], [0.0, 1.0, 2.0]])
def test_numbered_rows_are_in_the_order_of_the_users(index: Any) -> None:
    market = pd.Series(["DE", None, "SE"], index=index)
    assert markets(candidates(users={"market": market})) == ["DE", None, "SE"]
    assert markets(candidates(users={"market": market}, user_ids=IDS)) == ["DE", None, "SE"]


def test_rows_of_one_table_are_in_the_order_of_its_ids() -> None:
    table = pd.DataFrame({"id": IDS, "market": ["DE", None, "SE"]}, index=[9, 4, 2])
    assert markets(candidates(users={"market": table["market"]}, user_ids=table["id"])) == ["DE", None, "SE"]
    assert markets(candidates(users=table)) == ["DE", None, "SE"]


@pytest.mark.parametrize(
    ("index", "ids"),
    [
        ([1, 0, 2], None),
        ([1, 2, 5], None),
        (IDS[::-1], None),
        ([5, 7, 9], IDS),
        (["ann", "bob", "eve"], IDS),
        (["ann", "ann", "zoe"], IDS),
        ([1, 0, 2], IDS),
    ],
)
def test_rows_of_nobody_known_are_refused(index: list[Any], ids: Any) -> None:
    market = pd.Series(["DE", None, "SE"], index=index)
    with pytest.raises(InputError, match=r"users\['market'\] has row labels .* neither 0, 1, 2, \.\.\. nor user_ids"):
        candidates(users={"market": market}, user_ids=ids)
    assert markets(candidates(users={"market": market.to_numpy()}, user_ids=ids)) == ["DE", None, "SE"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"user_ids": {"ann", "bob", "zoe"}}, "user_ids is set; expected"),
        ({"user_ids": {"ann": 0, "bob": 1, "zoe": 2}}, "user_ids is dict; expected"),
        ({"users": {"market": {"DE", "SE", "NO"}}}, r"users\['market'\] is set; expected"),
        ({"users": {"market": {"ann": "DE", "bob": "SE", "zoe": "NO"}}}, r"users\['market'\] is dict; expected"),
        ({"items": {"artist": frozenset({"x", "y"})}}, r"items\['artist'\] is frozenset; expected"),
    ],
)
def test_sets_and_mappings_are_no_arrays(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        candidates(**given)


def test_encode_refuses_what_has_no_order() -> None:
    policy = oa.solve(oa.Problem(candidates(item_ids=["a", "b"]), oa.total("r"), slate=oa.Slate(1))).policy()
    for ids in ({"a", "b"}, frozenset({"a"}), {"a": 1}):
        with pytest.raises(InputError, match="expected a list or an array"):
            policy.encode(ids)
    assert policy.encode({"b": 1, "a": 2}.keys()).tolist() == [1, 0]


def test_columns_by_pair_are_matched_to_the_items() -> None:
    r, mixed = pd.Series(np.arange(6) / 8), pd.Series(np.arange(6) / 8).iloc[[3, 1, 0, 2, 5, 4]]
    item = pd.Series([0, 1, 0, 1, 0, 1])
    cands = candidates(item=item, columns={"r": r, "again": mixed}, uncertainty={"r": mixed})
    assert np.array_equal(cands.columns["again"], r)
    assert np.array_equal(cands.uncertainty["r"], r)
    with pytest.raises(InputError, match=r"columns\['r'\] has other row labels .* than item"):
        candidates(item=item, columns={"r": pd.Series(np.arange(6) / 8, index=range(6, 12))})


def test_uncertainty_is_matched_to_the_rows_of_a_frame() -> None:
    pairs = pd.DataFrame({"user": [2, 1, 1], "item": [1, 2, 1], "r": [0.1, 0.2, 0.3]}, index=["x", "y", "z"])
    deviations = pd.Series([3.0, 1.0, 2.0], index=["z", "x", "y"])
    cands = oa.Candidates.from_frames(pairs, uncertainty={"r": deviations})
    assert cands.columns["r"].tolist() == [0.3, 0.2, 0.1]
    assert cands.uncertainty["r"].tolist() == [3.0, 2.0, 1.0]
    plain = oa.Candidates.from_frames(pairs, uncertainty={"r": [1.0, 2.0, 3.0]})
    assert plain.uncertainty["r"].tolist() == [3.0, 2.0, 1.0]
