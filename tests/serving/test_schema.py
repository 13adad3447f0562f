"""What requests may bring: keys of the problem without a price are ignored and counted, others are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import oasis_alloc as oa


def solved(by: str = "market") -> oa.Solution:
    cands = oa.Candidates.from_arrays(
        [0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, users={"market": ["de", "se"], "daypart": [6, 18]},
        items={"artist": ["x", "y"], "label": [1, 2]},
    )  # fmt: skip
    return oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure(by=by) <= 1.5, oa.Slate(1, at_most={"artist": 1})))


def test_a_policy_says_what_requests_bring() -> None:
    schema = solved().policy().schema
    assert schema.columns == ("r",)
    assert schema.organic == "r"
    assert schema.user_keys == {"market": "str", "daypart": "any"}
    assert schema.item_keys == {"artist": "str", "label": "any"}
    assert schema.to_dict()["user_keys"] == {"market": "str", "daypart": "any"}


@pytest.mark.few(1)
@pytest.mark.parametrize("loaded", [False, True])
def test_a_key_of_the_problem_that_no_price_depends_on_is_ignored_and_counted(loaded: bool, tmp_path: Path) -> None:
    """So that a host need not change what it sends with every policy."""
    request, columns = {"market": "se", "daypart": 6}, {"r": [0.9, 0.5]}
    for by, other in (("market", "daypart"), ("daypart", "market")):
        policy = solved(by).policy()
        if loaded:
            policy.save(tmp_path / "p")
            policy = oa.Policy.load(tmp_path / "p")
        assert policy.schema == solved(by).policy().schema
        expected = policy.score([0, 1], columns, user={by: request[by]})
        assert policy.ignored_keys == {}
        np.testing.assert_array_equal(policy.score([0, 1], columns, user=request), expected)
        np.testing.assert_array_equal(policy.score([0, 1], columns, user=policy.user(**request)), expected)
        batch = {key: [label] for key, label in request.items()}
        np.testing.assert_array_equal(policy.score_batch([0, 2], [0, 1], columns, users=batch), expected)
        policy.select([-1, 1], columns, user={by: request[by]}, label=[1, None])
        policy.select([-1, 1], columns, user={by: request[by]}, artist=["x", None], label=[1, None])
        assert policy.ignored_keys == {other: 3, "label": 2}
        policy.decayed(0.5).score([0, 1], columns, user=request)
        assert policy.ignored_keys[other] == 4, "with those of what it decays to"


@pytest.mark.parametrize("key", ["markt", "Market", "artist", "dayparts", ""])
def test_a_key_that_the_problem_never_had_is_refused(key: str) -> None:
    policy = solved().policy()
    with pytest.raises(oa.InputError, match=f"do not have a key '{key}'"):
        policy.user(**{key: "se"})
    with pytest.raises(oa.InputError, match=f"do not have a key '{key}'"):
        policy.score_batch([0, 1], [0], {"r": [0.5]}, users={key: ["se"]})
    assert policy.ignored_keys == {}


def test_a_misspelt_key_of_the_items_is_refused_with_the_nearest() -> None:
    with pytest.raises(oa.InputError, match=r"do not have a key 'artst'\. Did you mean 'artist'"):
        solved().policy().score([-1], {"r": [0.5]}, artst=["x"])
