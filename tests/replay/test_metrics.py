"""Metrics that the kernel adds up as it plays, against plain NumPy that goes through the slates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import diagonal

import oasis_alloc as oa
from oasis_alloc.replay.metrics import measured
from oasis_alloc.replay.run import Trace, contend
from oasis_alloc.replay.scenario import World, world_of
from oasis_alloc.replay.stream import Layout

N, ITEMS, EACH, SIZE, END = 300, 40, 9, 3, 1000.0


def candidates() -> oa.Candidates:
    """Requests of up to nine candidates; a genre and a campaign per item, some without."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(0, EACH + 1, N)
    item = np.concatenate([rng.choice(ITEMS, size, replace=False) for size in sizes])
    return oa.Candidates.from_arrays(
        np.concatenate([[0], np.cumsum(sizes)]), item,
        {"relevance": rng.normal(0.3, 0.5, item.size), "cost": rng.uniform(0.5, 2.0, item.size)},
        items={
            "genre": [None if k % 5 == 4 else f"g{k % 5}" for k in range(ITEMS)],
            "campaign": [f"c{k % 8}" if k % 8 < 3 else None for k in range(ITEMS)],
        },
    )  # fmt: skip


def policy_of(cands: oa.Candidates, kind: str) -> oa.Policy:
    slates = {
        "plain": oa.Slate(SIZE), "filled": oa.Slate(SIZE, at_least=2), "rules": oa.Slate(SIZE, at_most={"genre": 1}),
        "two columns": oa.Slate(SIZE),
    }  # fmt: skip
    objective = oa.total("relevance") - (0.1 * oa.total("cost") if kind == "two columns" else 0.0 * oa.total("cost"))
    caps = (oa.exposure(by="campaign") <= 60.0).named("caps")
    spend = (oa.total("cost", by="campaign") <= 100.0).named("spend")
    return oa.solve(oa.Problem(cands, objective, [caps, spend], slates[kind]), gap=1e-4).policy()


def plain(trace: Trace, world: World, layout: Layout, cands: oa.Candidates, policy: oa.Policy) -> dict[str, Any]:
    """From slates alone, in a loop over requests."""
    codes, genres = cands.items["genre"].codes, len(cands.items["genre"].labels)
    relevance = cands.columns["relevance"]
    had, could, alike, pairs = np.zeros(N), np.zeros(N), 0, 0
    times, times_of, value = np.zeros(ITEMS), np.zeros(genres + 1), 0.0
    for j, u in enumerate(world.order.tolist()):
        mine = trace.shown[j][trace.shown[j] >= 0]
        a, b = cands.indptr[u], cands.indptr[u + 1]
        assert ((a <= mine) & (mine < b)).all()
        had[j] = relevance[mine].sum()
        could[j] = np.sort(np.maximum(relevance[a:b], 0.0))[::-1][:SIZE].sum()
        value += sum(w * np.sum(1.0 if name is None else cands.columns[name][mine]) for name, w in policy.data.weights)
        np.add.at(times, cands.item[mine], 1)
        np.add.at(times_of, codes[cands.item[mine]] + 1, 1)
        for s, pair in enumerate(mine):
            for other in mine[:s]:
                pairs += 1
                alike += codes[cands.item[pair]] >= 0 and codes[cands.item[pair]] == codes[cands.item[other]]
    counts, n = np.sort(times), ITEMS
    offered = np.bincount(codes[cands.item] + 1, minlength=genres + 1)
    p, q = times_of / times_of.sum(), offered / offered.sum()
    lost = np.sort(1.0 - had / np.maximum(could, 1e-12))
    return {
        "objective": value,
        "relevance loss": 1.0 - had.sum() / could.sum(),
        "relevance loss of the worst 5 %": lost[-(N // 20) :].mean(),
        "exposure gini": sum((2 * (k + 1) - n - 1) * c for k, c in enumerate(counts)) / (n * counts.sum()),
        "exposure of the worst off": counts[0],
        "exposure of the smallest decile": counts[: n // 10].sum() / counts.sum(),
        "intra-list distance": 1.0 - alike / pairs,
        "category entropy": -sum(x * np.log(x) for x in p if x > 0),
        "calibration": 0.5 * np.abs(p - q).sum(),
    }


@pytest.mark.parametrize(("kind", "replicas"), diagonal(["plain", "filled", "rules", "two columns"], {"1": 1, "4": 4}))
def test_metrics_are_those_of_the_slates(kind: str, replicas: int) -> None:
    cands = candidates()
    policy = policy_of(cands, kind)
    requests = oa.Requests(cands, (np.arange(N) + 0.5) * END / N, 0.0, END)
    plan = oa.Plan("campaign", 0.0, END, caps={f"c{k}": 50.0 for k in range(3)})
    scenario = oa.Scenario(sync=50.0, replicas=replicas, arrivals="iid")
    layout = Layout(requests, policy)
    world = world_of(scenario, requests, plan, 3, layout.worth())
    trace = contend(oa.Pacer(policy, plan), layout, world, scenario, 3, slates=True)
    found = measured(trace, world, layout, layout.organic_best(), None)
    expected = plain(trace, world, layout, cands, policy)
    assert trace.gained[:, 0].sum() == pytest.approx(expected.pop("objective"), rel=1e-12)
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)
    unread = contend(oa.Pacer(policy, plan), layout, world, scenario, 3)
    assert unread.shown.shape == (0, SIZE)
    again = measured(unread, world, layout, layout.organic_best(), None)
    timed = "decisions per second"
    assert {k: v for k, v in again.items() if k != timed} == {k: v for k, v in found.items() if k != timed}


def test_items_that_a_policy_does_not_know_are_no_exposure_of_its_own() -> None:
    """They count for categories, which the requests say, and not for the items of the policy."""
    cands = candidates()
    policy = policy_of(cands, "plain")
    more = oa.Candidates.from_arrays(
        [0, 2, 4], [0, 41, 1, 41], {"relevance": [0.9, 0.8, 0.7, 0.6], "cost": [1.0] * 4},
        items={"genre": ["g0"] * 42, "campaign": [None] * 42},
    )  # fmt: skip
    requests = oa.Requests(more, [1.0, 2.0], 0.0, 10.0)
    plan = oa.Plan("campaign", 0.0, 10.0, caps={"c0": 50.0})
    done = oa.replay(requests, {"policy": policy}, plan=plan, hindsight=None)
    row = done.rows[0]
    assert row["exposure of the worst off"] == 0.0
    assert row["exposure gini"] == pytest.approx(1.0 - 2.0 / ITEMS)
    assert row["intra-list distance"] == 0.0
