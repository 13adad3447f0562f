"""A small market with campaigns, and pacers over it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import oasis_alloc as oa

USERS, ITEMS, EACH, CAMPAIGNS = 400, 60, 12, 4
END = 1000.0
CAPS = dict.fromkeys(["c0", "c1", "c2", "c3"], 60.0)


@pytest.fixture(scope="module")
def cands() -> oa.Candidates:
    return candidates()


@pytest.fixture(scope="module")
def policy(cands: oa.Candidates) -> oa.Policy:
    return oa.solve(problem(cands), gap=1e-4).policy()


def candidates(seed: int = 0) -> oa.Candidates:
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.choice(ITEMS, EACH, replace=False) for _ in range(USERS)])
    return oa.Candidates.from_arrays(
        np.arange(USERS + 1) * EACH,
        item,
        {"relevance": rng.random(item.size), "cost": rng.uniform(0.5, 2.0, item.size)},
        users={"market": rng.choice(["DE", "SE"], USERS)},
        items={
            "campaign": [f"c{k % 6}" if k % 6 < CAMPAIGNS else None for k in range(ITEMS)],
            "licensor": np.arange(ITEMS) // 6 % 3,
        },
    )


def problem(cands: oa.Candidates) -> oa.Problem:
    campaign = oa.exposure(by="campaign")
    limits = [
        (campaign <= CAPS).named("caps"),
        (campaign >= {"c0": 50.0}).named("floors"),
        (oa.exposure(by=("market", "campaign")) <= 500.0).named("market caps"),
        (oa.exposure(by="licensor") <= 0.4 * oa.exposure()).named("shares"),
        (oa.total("cost", by="campaign") <= 1e4).named("spend"),
        (oa.total("relevance") >= 100.0).named("guard"),
    ]
    return oa.Problem(cands, oa.total("relevance"), limits, oa.Slate(2))


class Clock:
    """A clock that tests set."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def request(cands: oa.Candidates, u: int) -> tuple[Any, dict[str, Any]]:
    a, b = int(cands.indptr[u]), int(cands.indptr[u + 1])
    return cands.item[a:b].astype(np.int64), {name: column[a:b] for name, column in cands.columns.items()}


def play(pacer: oa.Pacer, cands: oa.Candidates, first: int = 0, last: int = USERS, every: int = 5) -> None:
    """Serve users one after the other over the flight, with a tick after every few."""
    hot, codes = pacer.prepare(EACH), [pacer.user(market=market) for market in ("DE", "SE")]
    for u in range(first, last):
        items, columns = request(cands, u)
        hot.items[: items.size] = items
        for row, name in zip(hot.columns, hot.names, strict=True):
            row[: items.size] = columns[name]
        hot.observe(hot.select(items.size, codes[u % 2]))
        if u % every == every - 1:
            pacer.tick((u + 1) * END / USERS)
