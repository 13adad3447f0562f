"""A small month: campaigns with caps and floors by day and market, whose plan is solved once."""

from __future__ import annotations

from typing import Any

import numpy as np

import oasis_alloc as oa

USERS, EACH, ITEMS, DAYS = 1200, 8, 40, 4
CAMPAIGNS = [f"c{k}" for k in range(6)]


def candidates(seed: int = 0) -> oa.Candidates:
    """Users of four days and two markets; two in three items are of a campaign."""
    rng = np.random.default_rng(seed)
    item = np.argsort(rng.random((USERS, ITEMS)), axis=1)[:, :EACH]
    item.sort(axis=1)
    campaign = [CAMPAIGNS[k % 9] if k % 9 < 6 else None for k in range(ITEMS)]
    relevance = rng.random(item.size)
    promoted = np.array([label is not None for label in campaign])[item.ravel()]
    return oa.Candidates.from_arrays(
        np.arange(USERS + 1) * EACH,
        item.ravel(),
        {"relevance": relevance, "promotion": np.where(promoted, 0.5 * relevance, 0.0)},
        users={"day": np.arange(USERS) * DAYS // USERS, "market": ["DE" if u % 3 else "SE" for u in range(USERS)]},
        items={"campaign": campaign, "artist": [f"a{k // 2}" for k in range(ITEMS)]},
        item_ids=[f"song-{k:02d}" for k in range(ITEMS)],
    )


def problem(cands: oa.Candidates | None = None, **changes: Any) -> oa.Problem:
    campaign = oa.exposure(by="campaign")
    parts: dict[str, Any] = {
        "maximize": oa.total("relevance") + 0.4 * oa.total("promotion"),
        "subject_to": [
            (campaign <= {"c0": 150.0, "c1": 200.0, "c2": 260.0}).named("caps"),
            (campaign >= {"c3": 450.0, "c4": 380.0}).named("floors"),
            (oa.total("relevance") >= 1500.0).named("guard"),
        ],
        "slate": oa.Slate(2),
    }
    return oa.Problem(candidates() if cands is None else cands, **{**parts, **changes})
