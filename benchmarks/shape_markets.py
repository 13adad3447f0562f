"""Three markets on which every kind of program is solved: they differ in what makes programs slow.

| market | slots per campaign | requests per person | value and relevance | pairs that tie |
| --- | ---: | ---: | --- | --- |
| usual | 250 | 2 | nearly the same | none |
| long lists | 25 | 5 | of one quality | few |
| few campaigns | 12,500 | 2 | opposed | nearly all |

The last two, and `exact_usual` in place of the first, are made of integers and binary fractions: they are the same on
every processor, so the gate counts passes on them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import oasis_alloc as oa
from oasis_alloc.markets import matching
from oasis_alloc.markets.matching import Matching

SIZE = 10
"""Slots of every slate."""


class Given(NamedTuple):
    """A market and what its limits are made of; every slate has `SIZE` slots."""

    cands: oa.Candidates
    caps: np.ndarray
    floors: np.ndarray

    @property
    def slots(self) -> int:
        """Slots of all users."""
        return SIZE * self.cands.n_users

    @property
    def n_artists(self) -> int:
        """Artists with an item."""
        return self.cands.items["artist"].n_groups


class _Zipf(Matching):
    """Popularity in proportion to 1 / rank, where that of `matching` falls more slowly."""

    def _popularity(self) -> np.ndarray:
        return 1.0 / np.arange(1, self.campaigns + 1)


class _Kind(NamedTuple):
    """What a market's numbers are."""

    degree: int
    n_items: int
    items_per_campaign: int
    items_per_artist: int
    users_per_person: int


_USUAL = _Kind(50, 4_000, 5, 5, 2)
_LONG = _Kind(100, 400, 5, 10, 5)
_FEW = _Kind(20, 600, 15, 5, 2)


def usual(users: int, seed: int = 0) -> Given:
    """Lognormal values and a relevance close to them."""
    made = matching(users=users, degree=_USUAL.degree, campaigns=_USUAL.n_items, size=SIZE, seed=seed)
    blocks = list(made.blocks())
    item = np.concatenate([block.item.ravel() for block in blocks])
    value = np.concatenate([block.columns["value"].ravel() for block in blocks])
    rng = np.random.default_rng(seed + 1)
    relevance = (value * np.exp(0.3 * rng.standard_normal(value.size))).astype(np.float32)
    items = _items(_USUAL, rng)
    top = np.argpartition(value.reshape(users, -1), -SIZE, axis=1)[:, -SIZE:]
    return _given(_USUAL, item, value, relevance, items, top, lambda n: rng.exponential(size=n))


def exact_usual(users: int, seed: int = 0) -> Given:
    """A market like `usual`, made of integers, with as many slots per campaign at every size."""
    kind = _USUAL._replace(n_items=max(users // 5, 2 * _USUAL.degree))
    made = matching(users=users, degree=kind.degree, campaigns=kind.n_items, size=SIZE, seed=seed)
    rng = np.random.default_rng(seed + 1)
    item = _drawn(made)
    value = _values(item, _quality(kind.n_items, rng), rng)
    relevance = (value * (1.0 + rng.integers(0, 8, value.size) / 16.0)).astype(np.float32)
    return _exact(kind, item, value, relevance, rng)


def long_lists(users: int, seed: int = 0) -> Given:
    """Persons with five requests, popular items that most lists have, two items per user and small campaigns of them.

    Value and relevance have the quality of the item in common, and else nothing.
    """
    kind = _LONG._replace(n_items=max(2 * users, _LONG.n_items))
    made = _Zipf(users=users, degree=kind.degree, campaigns=kind.n_items, size=SIZE, tightness=0.9, seed=seed)
    rng = np.random.default_rng(seed + 1)
    item = _drawn(made)
    quality = _quality(kind.n_items, rng)
    value, relevance = (_values(item, quality, rng) for _ in range(2))
    return _exact(kind, item, value, relevance, rng)


def few_campaigns(users: int, seed: int = 0) -> Given:
    """Forty campaigns; values of 40 levels, of which twice the value is half as frequent; relevance falls with them."""
    made = matching(users=users, degree=_FEW.degree, campaigns=_FEW.n_items, size=SIZE, seed=seed)
    rng = np.random.default_rng(seed + 1)
    item = _drawn(made)
    # the lowest bit of a random integer is bit k in a share of 2**-(k + 1)
    drawn = rng.integers(1, 1 << 10, item.size)
    level = np.frexp(drawn & -drawn)[1] - 1
    value = np.ldexp(1.0 + rng.integers(0, 4, item.size) / 4.0, level).astype(np.float32)
    relevance = ((12.0 - level + rng.integers(0, 4, item.size)) / 16.0).astype(np.float32)
    return _exact(_FEW, item, value, relevance, rng)


MARKETS: dict[str, tuple[Callable[[int], Given], int]] = {
    "usual": (usual, _USUAL.degree),
    "long lists": (long_lists, _LONG.degree),
    "few campaigns": (few_campaigns, _FEW.degree),
}
"""The markets by name: how one is made from its number of users, and how many candidates each user has."""

EXACT = {"usual": exact_usual, "long lists": long_lists, "few campaigns": few_campaigns}
"""The same for the gate, made of integers and binary fractions alone."""


def _drawn(made: Matching) -> np.ndarray:
    return np.concatenate([block.item.ravel() for block in made.blocks()])


def _quality(n_items: int, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(1 << 9, 1 << 11, n_items)


def _values(item: np.ndarray, quality: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Near lognormal: the quality of the item times the product of three integers, in multiples of 2**-20."""
    noise = rng.integers(0, 1 << 4, size=(3, item.size)).prod(axis=0)
    return np.asarray((quality[item] * (64 + noise // 16)) / 2.0**20, np.float32)


def _items(kind: _Kind, rng: np.random.Generator) -> dict[str, np.ndarray]:
    numbers = np.arange(kind.n_items)
    return {
        "campaign": numbers % (kind.n_items // kind.items_per_campaign),
        "artist": numbers // kind.items_per_artist,
        "genre": rng.integers(0, 15, kind.n_items),
        "licensor": rng.integers(0, 4, kind.n_items),
    }


def _exact(kind: _Kind, item: np.ndarray, value: np.ndarray, relevance: np.ndarray, rng: np.random.Generator) -> Given:
    """Ties for the best slates, which limits are made from, go to the first: a partition may do it otherwise."""
    top = np.argsort(-value.reshape(-1, kind.degree), axis=1, kind="stable")[:, :SIZE]

    def share(n: int) -> np.ndarray:  # of mean 0.9
        return np.asarray(rng.integers(0, 1 << 4, (2, n)).prod(axis=0) / 64.0)

    return _given(kind, item, value, relevance, _items(kind, rng), top, share)


def _given(
    kind: _Kind,
    item: np.ndarray,
    value: np.ndarray,
    relevance: np.ndarray,
    items: dict[str, np.ndarray],
    top: np.ndarray,
    share: Callable[[int], Any],
) -> Given:
    """Caps of 1.1 times what a campaign would get without them, a part of it dealt out at random."""
    users = item.size // kind.degree
    columns = {"value": value, "relevance": relevance}
    persons = {"person": np.arange(users) // kind.users_per_person}
    cands = oa.Candidates.from_arrays(np.arange(users + 1) * kind.degree, item, columns, items=items, users=persons)
    best = np.take_along_axis(item.reshape(users, kind.degree), top, axis=1).ravel()
    campaigns = kind.n_items // kind.items_per_campaign
    shown = np.bincount(items["campaign"][best], minlength=campaigns)
    caps = np.maximum(1.0, 1.1 * (0.7 * shown + 0.3 * shown.mean() * share(campaigns)))
    floors = np.where(np.arange(campaigns) % 3 == 0, np.minimum(1.15 * shown, 0.9 * caps), 0.0)
    return Given(cands, caps, floors)
