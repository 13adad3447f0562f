"""The demonstration's market: a month of promotion campaigns on a heavy-tailed catalog of music."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.markets.market import CATALOG, USERS, Market, best

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.problem import Problem

_GENRES = np.array(
    [
        "ambient",
        "classical",
        "country",
        "dance",
        "folk",
        "hip-hop",
        "indie",
        "jazz",
        "latin",
        "metal",
        "pop",
        "soul",
    ]
)
_MARKETS = np.array(["AU", "BR", "DE", "GB", "JP", "MX", "SE", "US"])
_MARKET_SHARES = np.array([0.05, 0.16, 0.11, 0.14, 0.08, 0.11, 0.03, 0.32])
_LICENSOR_SHARES = np.array([0.34, 0.24, 0.17, 0.12, 0.08, 0.05])
_TRACKS_A_CAMPAIGN = 8  # at most
_TILT = 0.3  # in relevance, for campaigns that are promised more
_LESS = 0.3  # share of the weight on promotion, so that the relevance guard binds, too
_PROMISED, _CAPPED = 0.5, 0.75  # shares: campaigns with floors, then with caps; the rest has loose limits


class Catalog(NamedTuple):
    """The items: codes of artist, genre, licensor and campaign (-1: not promoted), each (n_items,)."""

    artist: NDArray[np.int64]
    genre: NDArray[np.int64]
    licensor: NDArray[np.int64]
    campaign: NDArray[np.int64]
    popularity: NDArray[np.float64]
    quality: NDArray[np.float32]
    rate: NDArray[np.float32]  # value of one stream to the promoter of the track


class Strategy(NamedTuple):
    """The limits of the operator; one allocation of the same market meets all of them."""

    caps: dict[str, float]
    floors: dict[str, float]
    licensor_limit: float
    organic: float  # total relevance if nothing were promoted
    guard: float  # share of it that must be kept


@dataclass(frozen=True, kw_only=True, eq=False)
class Month(Market):
    """The market made by `month`.

    >>> from oasis_alloc.markets import month
    >>> month(users=500, degree=20, campaigns=4).problem().names
    ('campaign caps', 'campaign floors', 'licensor share', 'relevance guard')
    """

    promotion_weight: float = 0.4

    @property
    def n_items(self) -> int:
        return max(100 * self.campaigns, 4 * self.degree)

    @cached_property
    def catalog(self) -> Catalog:
        """The items, drawn once from the seed."""
        rng = self._rng(CATALOG)
        n, artists = self.n_items, self.n_items // 8 + 4
        fame = rng.permutation(np.arange(1, artists + 1) ** -0.6)
        artist = np.concatenate([np.arange(artists), rng.choice(artists, n - artists, p=fame / fame.sum())])
        genre = rng.choice(len(_GENRES), artists)[artist]
        licensor = rng.choice(len(_LICENSOR_SHARES), artists, p=_LICENSOR_SHARES)[artist]
        popularity = fame[artist] * rng.lognormal(sigma=0.8, size=n)
        campaign = np.full(n, -1)
        rank = np.argsort(-fame)
        few = max(1, artists // 50)  # the most popular artists need no promotion
        known = rank[few : few + max(2 * self.campaigns, artists // 2)]
        for c, a in enumerate(rng.choice(known, self.campaigns, replace=False)):
            own = np.flatnonzero(artist == a)
            campaign[own[np.argsort(-popularity[own], kind="stable")[:_TRACKS_A_CAMPAIGN]]] = c
        quality = (0.6 * rng.standard_normal(n)).astype(np.float32)
        rates = rng.lognormal(0.8, 0.35, size=self.campaigns)
        rate = np.where(campaign >= 0, rates[campaign], 0.0).astype(np.float32)
        return Catalog(artist, genre, licensor, campaign, popularity, quality, rate)

    def _popularity(self) -> NDArray[np.float64]:
        return self.catalog.popularity

    def _markets(self, number: int) -> NDArray[np.int64]:
        """Market codes of the users of a block."""
        users = min(self._block_users, self.users - number * self._block_users)
        return self._rng(USERS, number).choice(len(_MARKETS), users, p=_MARKET_SHARES)

    @cached_property
    def _market_taste(self) -> NDArray[np.float32]:
        rng = self._rng(USERS, self.n_blocks)
        return 0.5 * rng.standard_normal((len(_MARKETS), len(_GENRES)), dtype=np.float32)

    def _columns(
        self, item: NDArray[np.unsignedinteger], first: int, rng: np.random.Generator
    ) -> dict[str, NDArray[np.float32]]:
        catalog = self.catalog
        taste = self._market_taste[self._markets(first // self._block_users)]
        taste = taste + 0.8 * rng.standard_normal(taste.shape, dtype=np.float32)
        logit = 0.5 * rng.standard_normal(item.shape, dtype=np.float32)
        logit += catalog.quality[item] - np.float32(0.8)
        logit += np.take_along_axis(taste, catalog.genre[item], axis=1)
        relevance = 1 / (1 + np.exp(-logit))
        streams = relevance * (0.6 + 0.8 * rng.random(item.shape, dtype=np.float32))
        return {"relevance": relevance, "promotion": catalog.rate[item] * streams, "streams": streams}

    def user_attributes(self) -> dict[str, NDArray[np.generic]]:
        """The country of each user, as `market`."""
        return {"market": _MARKETS[np.concatenate([self._markets(k) for k in range(self.n_blocks)])]}

    def item_attributes(self) -> dict[str, NDArray[np.generic]]:
        """Labels of the tracks' campaign (None: not promoted), artist, genre and licensor."""
        catalog = self.catalog
        return {
            "campaign": _labels("campaign", catalog.campaign, self.campaigns),
            "artist": _labels("artist", catalog.artist, int(catalog.artist.max()) + 1),
            "genre": _GENRES[catalog.genre],
            "licensor": _labels("licensor", catalog.licensor, len(_LICENSOR_SHARES)),
        }

    @cached_property
    def policy(self) -> Strategy:
        """Floors, caps, the licensor limit and the relevance guard: binding, and met by one known allocation.

        That allocation gives every user the best by value plus a tilt for (or against) some campaigns and the
        largest licensor. Promises are about 15 % above what value alone would deliver, and caps 15 % below,
        as far as the tilted allocation keeps them.
        """
        catalog, codes = self.catalog, np.maximum(self.catalog.campaign, 0)
        place = np.arange(self.campaigns) / self.campaigns
        tilts = np.where(place < _PROMISED, _TILT, np.where(place < _CAPPED, -0.06, 0.0))
        largest = np.bincount(catalog.licensor, catalog.popularity).argmax()
        tilt = np.where(catalog.campaign >= 0, tilts[codes], 0.0) - 0.01 * (catalog.licensor == largest)
        natural, tilted = np.zeros(self.n_items), np.zeros(self.n_items)
        organic = kept = 0.0
        for block in self.blocks():
            shape = -1, self.degree
            item = block.item.reshape(shape)
            relevance = block.columns["relevance"].reshape(shape)
            promotion = block.columns["promotion"].reshape(shape)
            value = relevance + self.promotion_weight * promotion
            organic += float(relevance[best(relevance, self.size)].sum(dtype=np.float64))
            natural += np.bincount(item[best(value, self.size)], minlength=self.n_items)
            # less weight on promotion than the objective has: the guard is to bind, too
            shown = best(relevance + _LESS * self.promotion_weight * promotion + tilt[item], self.size)
            tilted += np.bincount(item[shown], minlength=self.n_items)
            kept += float(relevance[shown].sum(dtype=np.float64))
        promoted = catalog.campaign >= 0
        of_campaign = codes[promoted]
        wanted = np.bincount(of_campaign, natural[promoted], self.campaigns)
        known = np.bincount(of_campaign, tilted[promoted], self.campaigns)
        floor = np.minimum(np.where(place < _PROMISED, 1.15, 0.8) * wanted, 0.99 * known)
        cap = np.maximum(np.where((place >= _PROMISED) & (place < _CAPPED), 0.85, 1.6) * wanted, 1.01 * known)
        floor[(place >= _PROMISED) & (place < _CAPPED)] = 0.0
        names = _labels("campaign", np.arange(self.campaigns), self.campaigns)
        licensor = np.bincount(catalog.licensor, tilted) / tilted.sum()
        return Strategy(
            caps={str(n): max(1.0, float(np.ceil(x))) for n, x in zip(names, cap, strict=True)},
            floors={str(n): float(np.floor(x)) for n, x in zip(names, floor, strict=True) if x >= 1},
            licensor_limit=float(np.ceil(1000 * licensor.max()) / 1000),
            organic=organic,
            guard=min(0.985, float(np.floor(1000 * kept / organic) / 1000)),
        )

    def problem(self, candidates: Candidates | None = None) -> Problem:
        """Relevance plus promotion under floors, caps, a licensor limit and a relevance guard.

        `candidates` are this market's, if they have been made already.
        """
        from oasis_alloc.problem import Problem
        from oasis_alloc.statement.measures import exposure, total
        from oasis_alloc.statement.slate import Slate

        policy = self.policy
        return Problem(
            self.candidates() if candidates is None else candidates,
            maximize=total("relevance") + self.promotion_weight * total("promotion"),
            subject_to=[
                (exposure(by="campaign") <= policy.caps).named("campaign caps"),
                (exposure(by="campaign") >= policy.floors).named("campaign floors"),
                (exposure(by="licensor") <= policy.licensor_limit * exposure()).named("licensor share"),
                (total("relevance") >= policy.guard * policy.organic).named("relevance guard"),
            ],
            slate=Slate(size=self.size),
        )


def month(users: int = 20_000, degree: int = 50, campaigns: int = 40, size: int = 10, seed: int = 0) -> Month:
    """A month's campaigns in one market of listeners: `users` x `degree` pairs.

    Columns: `relevance` in (0, 1), `streams` expected if shown, `promotion` (the value of those streams
    to the promoter of the track; 0 for other tracks). Items have a campaign, artist, genre and licensor, users a
    market. `policy` has floors and caps in exposures, shares in (0, 1].

    >>> market = month(users=500, degree=20, campaigns=4)
    >>> sorted(market.block(0).columns), market.policy.guard > 0.8
    (['promotion', 'relevance', 'streams'], True)
    """
    return Month(users=users, degree=degree, campaigns=campaigns, size=size, seed=seed)


def _labels(word: str, codes: NDArray[np.int64], count: int) -> NDArray[np.object_]:
    """Text labels that sort as their codes do; None for -1."""
    digits = max(3, len(str(count)))
    names = np.array([*(f"{word}-{k + 1:0{digits}d}" for k in range(count)), None], dtype=object)
    return names[codes]
