"""The benchmark's market: every item is a campaign with a cap, every pair has one value."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.errors import InputError
from oasis_alloc.markets.market import CATALOG, PILOT, Market, best

if TYPE_CHECKING:
    from oasis_alloc.problem import Problem


@dataclass(frozen=True, kw_only=True, eq=False)
class Matching(Market):
    """The market made by `matching`.

    >>> from oasis_alloc.markets import matching
    >>> matching(users=100, degree=8, campaigns=50).problem().names
    ('campaign caps',)
    """

    tightness: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.tightness < np.inf:
            raise InputError(f"tightness={self.tightness!r} cannot scale caps: expected a positive number.")

    @property
    def n_items(self) -> int:
        return self.campaigns

    def _popularity(self) -> NDArray[np.float64]:
        return np.arange(1, self.campaigns + 1, dtype=np.float64) ** -0.7

    @cached_property
    def _quality(self) -> NDArray[np.float32]:
        return np.exp(0.4 * self._rng(CATALOG).standard_normal(self.campaigns)).astype(np.float32)

    def _columns(
        self, item: NDArray[np.unsignedinteger], first: int, rng: np.random.Generator
    ) -> dict[str, NDArray[np.float32]]:
        value = rng.standard_normal(item.shape, dtype=np.float32)
        value *= np.float32(0.5)
        np.exp(value, out=value)
        value *= self._quality[item]
        return {"value": value}

    @cached_property
    def caps(self) -> NDArray[np.float64]:
        """Caps of the campaigns, (campaigns,), in exposures, never below 1.

        `tightness` times the exposure of a campaign if every user took the best `size` items (estimated
        from up to 8,192 users), with three tenths of it assigned at random: some caps bind strongly, some never.
        """
        rng = self._rng(PILOT)
        users = min(self.users, 8192)
        item = self._draw(users, rng)
        taken = item[best(self._columns(item, 0, rng)["value"], self.size)]
        demand = np.bincount(taken, minlength=self.campaigns) * (self.users / max(users, 1))
        random = demand.mean() * rng.exponential(size=self.campaigns)
        caps: NDArray[np.float64] = np.maximum(1.0, self.tightness * (0.7 * demand + 0.3 * random))
        return caps

    def item_attributes(self) -> dict[str, NDArray[np.generic]]:
        return {"campaign": np.arange(self.campaigns)}

    def problem(self) -> Problem:
        """Maximize the value of slates of at most `size` under the caps."""
        from oasis_alloc.problem import Problem
        from oasis_alloc.statement.measures import exposure, total
        from oasis_alloc.statement.slate import Slate

        return Problem(
            self.candidates(),
            maximize=total("value"),
            subject_to=[(exposure(by="campaign") <= self.caps).named("campaign caps")],
            slate=Slate(size=self.size),
        )


def matching(users: int, degree: int, campaigns: int, size: int = 3, tightness: float = 0.9, seed: int = 0) -> Matching:
    """A market for benchmarks: `users` x `degree` pairs with one column, `value`, and one cap per campaign.

    Values are lognormal times the quality of the campaign, above 0; `tightness` scales all caps.

    >>> market = matching(users=1000, degree=20, campaigns=100)
    >>> market.n_pairs, market.caps.shape, bool((market.caps >= 1).all())
    (20000, (100,), True)
    """
    return Matching(users=users, degree=degree, campaigns=campaigns, size=size, tightness=tightness, seed=seed)
