"""Hosts that send the keys of an earlier policy's problem to the next policy, whose tables no longer have them."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa

COLUMNS = {"r": [0.9, 0.5]}
USER = {"market": "se", "daypart": 6}
BOTH: dict[str, Any] = {
    "users": {"market": ["de", "se"], "daypart": [6, 18]},
    "items": {"artist": ["x", "y"], "label": [1, 2]},
}
FEWER: dict[str, Any] = {"users": {"market": ["de", "se"]}, "items": {"artist": ["x", "y"]}}


def put(path: Path, tables: dict[str, Any], cap: float = 1.5) -> oa.Policy:
    cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7]}, **tables)
    policy = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure(by="market") <= cap, oa.Slate(1))).policy()
    policy.save(path)
    return policy


@pytest.fixture
def store(tmp_path: Path) -> oa.PolicyStore:
    """A store whose policy was swapped for one of a problem without `daypart` and `label`."""
    put(tmp_path / "p", BOTH)
    store = oa.PolicyStore(tmp_path / "p", refresh=None)
    store.score([0, 1], COLUMNS, user=USER)
    put(tmp_path / "p", FEWER)
    assert store.refresh()
    assert dict(store.policy.schema.user_keys) == {"market": "str"}
    return store


def test_a_key_that_an_earlier_policy_knew_is_ignored_and_counted_by_the_next(store: oa.PolicyStore) -> None:
    expected = store.policy.score([0, 1], COLUMNS, user={"market": "se"})
    np.testing.assert_array_equal(store.score([0, 1], COLUMNS, user=USER), expected)
    batch = {key: [label] for key, label in USER.items()}
    np.testing.assert_array_equal(store.policy.score_batch([0, 2], [0, 1], COLUMNS, users=batch), expected)
    store.select([-1, 1], COLUMNS, user=store.policy.user(**USER), label=[1, None])
    store.policy.decayed(0.5).score([0, 1], COLUMNS, user=USER)
    assert store.stats()["ignored_keys"] == {"daypart": 5, "label": 1}, "one of them before the swap"
    assert not any(store.stats()["failed_requests"].values())


@pytest.mark.parametrize("key", ["markt", "daypat", "label"])
def test_a_key_that_no_policy_of_the_store_knew_is_refused_after_a_swap(store: oa.PolicyStore, key: str) -> None:
    """`label` was a key of the items, never one of users."""
    with pytest.raises(oa.InputError, match=f"do not have a key '{key}'"):
        store.score([0, 1], COLUMNS, user={key: "se"})
    with pytest.raises(oa.InputError, match="do not have a key 'daypart'"):
        store.score([-1, 1], COLUMNS, daypart=[6, None])


def test_keys_are_remembered_over_many_swaps_and_by_a_roll_back(store: oa.PolicyStore, tmp_path: Path) -> None:
    for number in range(5):  # more than the store keeps for roll-backs
        put(tmp_path / "p", FEWER, cap=1.4 - number / 10)
        assert store.refresh()
    store.score([0, 1], COLUMNS, user=USER)
    store.rollback()
    store.score([0, 1], COLUMNS, user=USER)
    assert store.stats()["ignored_keys"]["daypart"] == 3


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_the_child_of_a_fork_remembers_keys_and_counts_from_zero(store: oa.PolicyStore) -> None:
    child = os.fork()
    if not child:
        try:
            store.score([0, 1], COLUMNS, user=USER)
            os._exit(0 if store.stats()["ignored_keys"] == {"daypart": 1} else 2)
        except BaseException:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_policy_on_its_own_refuses_what_its_problem_never_had(tmp_path: Path) -> None:
    put(tmp_path / "other", BOTH)
    with pytest.raises(oa.InputError, match="do not have a key 'daypart'"):
        put(tmp_path / "p", FEWER).score([0, 1], COLUMNS, user=USER)
