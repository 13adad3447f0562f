"""A store serves the prices of an overlay without reading its policy again."""

from __future__ import annotations

from pathlib import Path

import pytest

import oasis_alloc as oa
from tests.support.paced import END, USERS, Clock, candidates, play, problem, request


def test_a_store_follows_a_pacer(tmp_path: Path) -> None:
    cands = candidates()
    policy = oa.solve(problem(cands), gap=1e-3).policy()
    policy.save(tmp_path / "policy")
    plan = oa.Plan("campaign", 0.0, END, caps=dict.fromkeys(["c0", "c1"], 40.0))
    pacer = oa.Pacer(policy, plan, requests=USERS, clock=Clock())
    items, columns = request(cands, 2)
    with oa.PolicyStore(tmp_path / "policy", refresh=None) as store:
        assert store.policy.policy_id == policy.policy_id
        versions = set()
        for last in (100, 200):
            play(pacer, cands, last - 100, last)
            overlay = pacer.overlay()
            assert store.apply(overlay)
            assert not store.apply(overlay), "it is served already"
            assert (store.score(items, columns) == pacer.score(items, columns)).all()
            versions.add(store.policy.policy_id)
        assert len(versions) == 2
        assert not store.refresh(), "the file has not changed"
        assert (store.score(items, columns) == pacer.score(items, columns)).all()
        other = oa.Overlay("0123456789abcdef", 0.0, 10**6)
        with pytest.raises(oa.SnapshotError) as caught:
            store.apply(other)
        assert caught.value.reason == "another policy"
        assert (store.score(items, columns) == pacer.score(items, columns)).all()
        next_one = oa.solve(problem(candidates(1)), gap=1e-3).policy()
        next_one.save(tmp_path / "policy")
        assert store.refresh()
        assert (store.score(items, columns) == next_one.score(items, columns)).all()
