"""Programs of the gate that differ from one another in one thing: the counters of one are compared with another's.

Their numbers are integers and binary fractions, like those of `counters.py`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import oasis_alloc as oa
from oasis_alloc.statement.functions.base import Function

_SIZE, _MARKETS, _ITEMS_A_CAMPAIGN = 3, 5, 5


class Given(NamedTuple):
    """Candidates of users in five markets, and what campaigns would get without limits."""

    candidates: oa.Candidates
    demand: np.ndarray


def market(users: int, degree: int, campaigns: int, seed: int = 1) -> Given:
    """Users x degree candidates of five items a campaign, whose moods are a key with several labels.

    >>> market(20, 10, 30).candidates
    Candidates(20 users, 150 items, 200 pairs; columns: value, relevance; user keys: market, person; item keys: \
campaign, artist, mood, tone)
    """
    rng = np.random.default_rng(seed)
    n_items = _ITEMS_A_CAMPAIGN * campaigns
    edges = np.arange(degree + 1) * n_items // degree
    width = np.diff(edges)
    a, b = (rng.integers(0, width, size=(users, degree)) for _ in range(2))
    item = edges[:-1] + a * b // width
    quality = rng.integers(1 << 9, 1 << 11, size=n_items)
    value = (quality[item] * (64 + rng.integers(0, 256, size=item.shape)) / 2.0**20).astype(np.float32)
    relevance = (value * (1.0 + rng.integers(0, 8, size=value.shape) / 16.0)).astype(np.float32)
    numbers = np.arange(n_items)
    campaign = numbers % campaigns
    has = rng.integers(0, 4, size=(n_items, 8)) == 0
    items: dict[str, Any] = {
        "campaign": campaign,
        "artist": numbers // 2,
        "mood": [np.flatnonzero(row).tolist() for row in has],
        "tone": numbers % 8,
    }
    keys = {"market": np.arange(users) % _MARKETS, "person": np.arange(users) // 2}
    made = oa.Candidates.from_arrays(
        np.arange(users + 1, dtype=np.int64) * degree, item.ravel(),
        {"value": value.ravel(), "relevance": relevance.ravel()}, users=keys, items=items,
    )  # fmt: skip
    best = np.argsort(-value, axis=1, kind="stable")[:, :_SIZE]
    shown = campaign[np.take_along_axis(item, best, axis=1)].ravel()
    return Given(made, np.bincount(shown, minlength=campaigns))


def capped(given: Given, *limits: Function, slate: oa.Slate | None = None) -> oa.Problem:
    """The value of slates of three under a cap a campaign, and other limits."""
    caps = (oa.exposure(by="campaign") <= np.maximum(1.0, 0.75 * given.demand)).named("caps")
    return oa.Problem(given.candidates, oa.total("value"), [caps, *limits], slate or oa.Slate(_SIZE))


def guarded(given: Given, by: str | None) -> oa.Problem:
    """Next to caps, relevance kept by all users together, or by those of every market."""
    kept = 0.765625 * oa.organic(given.candidates, by=by, size=_SIZE)
    return capped(given, (oa.total("relevance", by=by) >= kept).named("kept"))


def thin(given: Given) -> oa.Problem:
    """Logs of artists with few candidates each and no limits: the program of examples/small_artists.py."""
    fair = oa.log(oa.exposure(by="artist"), offset=1.0)
    return oa.Problem(given.candidates, oa.total("value") + 0.25 * fair, [], oa.Slate(_SIZE))


def by_person(given: Given) -> oa.Problem:
    """Next to caps, a cap of one for every person and campaign."""
    return capped(given, (oa.exposure(by=("person", "campaign")) <= 1.0).named("frequency"))


def several_labels(given: Given) -> oa.Problem:
    """Caps of slates by a key with several labels per item, next to caps."""
    return capped(given, slate=oa.Slate(_SIZE, at_most={"mood": 1}))


def one_label(given: Given) -> oa.Problem:
    """The same by a key with one label per item."""
    return capped(given, slate=oa.Slate(_SIZE, at_most={"tone": 1}))
