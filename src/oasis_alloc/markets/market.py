"""The base of all generated markets: the draw of distinct items, and the blocks of users."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.data.validation import item_dtype
from oasis_alloc.errors import InputError

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates

_BLOCK_PAIRS = 1 << 20  # pairs in a block: 10 MB of columns, small enough for any worker
_CHUNK_USERS = 128  # users who share one random order of the catalog
CATALOG, PILOT, BLOCKS, USERS = 0, 1, 2, 3  # independent streams of random numbers


class MarketBlock(NamedTuple):
    """Some users of a market: `indptr` from 0, item numbers, and the columns of their pairs.

    >>> from oasis_alloc.markets import matching
    >>> block = matching(users=100, degree=8, campaigns=50).block(0)
    >>> len(block.indptr), len(block.item), len(block.columns["value"])
    (101, 800, 800)
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.unsignedinteger]
    columns: dict[str, NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Market(ABC):
    """Users with `degree` distinct candidate items each, drawn with heavy-tailed popularity.

    Raises `InputError` for parameters out of range: there must be at least `degree` items to draw from.

    >>> from oasis_alloc.markets import Market, matching
    >>> isinstance(matching(users=100, degree=8, campaigns=50), Market)
    True
    """

    users: int
    degree: int
    campaigns: int
    size: int
    seed: int

    def __post_init__(self) -> None:
        for name, minimum in (("users", 1), ("degree", 1), ("campaigns", 1), ("size", 1), ("seed", 0)):
            value = getattr(self, name)
            whole = as_whole(value)
            if whole is None or whole < minimum:
                raise InputError(
                    f"{name}={shown(value)} cannot make a market: expected an integer of at least {minimum}."
                )
        if self.degree > self.n_items:
            raise InputError(
                f"degree={self.degree} distinct items cannot be drawn from {self.n_items}: "
                "lower the degree or raise the number of items."
            )

    @property
    @abstractmethod
    def n_items(self) -> int:
        """Items in the catalog."""

    @property
    def n_pairs(self) -> int:
        """Candidate pairs in the whole market."""
        return self.users * self.degree

    @property
    def n_blocks(self) -> int:
        """Blocks in the whole market; the last may be smaller."""
        return -(-self.users // self._block_users)

    @property
    def _block_users(self) -> int:
        return max(1, _BLOCK_PAIRS // self.degree)

    def _rng(self, stream: int, number: int = 0) -> np.random.Generator:
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(stream, number)))

    @abstractmethod
    def _popularity(self) -> NDArray[np.float64]:
        """Relative weights of the items, positive."""

    @abstractmethod
    def _columns(
        self, item: NDArray[np.unsignedinteger], first: int, rng: np.random.Generator
    ) -> dict[str, NDArray[np.float32]]:
        """Columns of the users `first`, `first + 1`, ... whose items are the rows of `item`."""

    @cached_property
    def _shares(self) -> tuple[NDArray[np.int64], int]:
        return integer_shares(self._popularity(), self.degree)

    def _draw(self, users: int, rng: np.random.Generator) -> NDArray[np.unsignedinteger]:
        """Distinct items of `users` users, sorted: a systematic draw in random orders of the items."""
        weights, step = self._shares
        dtype = item_dtype(self.n_items)
        item = np.empty((users, self.degree), dtype=dtype)
        offsets = step * np.arange(self.degree)
        for start in range(0, users, _CHUNK_USERS):
            rows = item[start : start + _CHUNK_USERS]
            order = rng.permutation(self.n_items).astype(dtype)
            points = rng.integers(0, step, size=(len(rows), 1)) + offsets
            rows[:] = order[np.searchsorted(np.cumsum(weights[order]), points.ravel(), side="right")].reshape(
                rows.shape
            )
        item.sort(axis=1)
        return item

    def block(self, number: int) -> MarketBlock:
        """Block `number` (0 to `n_blocks - 1`) of the market; the same in any process.

        >>> from oasis_alloc.markets import matching
        >>> market = matching(100, 8, 50)
        >>> indptr, item, columns = market.block(0)
        >>> item.shape, sorted(columns)
        ((800,), ['value'])
        """
        if not 0 <= number < self.n_blocks:
            raise InputError(
                f"block {number} does not exist: this market has {self.n_blocks} block(s), numbered from 0."
            )
        first = number * self._block_users
        users = min(self._block_users, self.users - first)
        rng = self._rng(BLOCKS, number)
        item = self._draw(users, rng)
        columns = {name: c.reshape(-1) for name, c in self._columns(item, first, rng).items()}
        return MarketBlock(np.arange(users + 1, dtype=np.int64) * self.degree, item.reshape(-1), columns)

    def blocks(self) -> Iterator[MarketBlock]:
        """All blocks in order, one in memory at a time."""
        return (self.block(k) for k in range(self.n_blocks))

    def user_attributes(self) -> dict[str, NDArray[np.generic]]:
        """Attributes of the users, each (users,)."""
        return {}

    @abstractmethod
    def item_attributes(self) -> dict[str, NDArray[np.generic]]:
        """Attributes of the items, each (n_items,)."""

    def candidates(self) -> Candidates:
        """The whole market as candidates, assembled in arrays made once.

        >>> from oasis_alloc.markets import matching
        >>> matching(100, 8, 50).candidates().n_pairs
        800
        """
        from oasis_alloc.candidates import Candidates

        item = np.empty(self.n_pairs, dtype=item_dtype(self.n_items))
        columns: dict[str, NDArray[np.float32]] = {}
        at = 0
        for block in self.blocks():
            here = slice(at, at + len(block.item))
            item[here] = block.item
            for name, column in block.columns.items():
                columns.setdefault(name, np.empty(self.n_pairs, dtype=np.float32))[here] = column
            at = here.stop
        indptr = np.arange(self.users + 1, dtype=np.int64) * self.degree
        return Candidates.from_arrays(
            indptr, item, columns=columns, users=self.user_attributes(), items=self.item_attributes()
        )


def best(values: NDArray[np.floating], size: int) -> NDArray[np.bool_]:
    """Mark the `size` largest entries in every row of `values` (users, degree).

    >>> best(np.array([[3.0, 1.0, 2.0]]), 2)
    array([[ True, False,  True]])
    """
    taken = np.ones(values.shape, dtype=np.bool_)
    if size < values.shape[1]:
        np.put_along_axis(taken, np.argpartition(values, -size, axis=1)[:, :-size], False, axis=1)
    return taken


def integer_shares(popularity: NDArray[np.float64], degree: int) -> tuple[NDArray[np.int64], int]:
    """Popularity as whole numbers that sum to `degree * step`, none above `step`.

    Points `step` apart then never fall on one item twice: every draw is distinct, exactly, without
    rounding.
    """
    share = np.asarray(popularity, dtype=np.float64) * (degree / popularity.sum())
    capped = np.zeros(len(share), dtype=np.bool_)
    while (over := (share > 1.0) & ~capped).any():  # the excess of the most popular items goes to the others
        capped |= over
        rest = share[~capped]
        share[capped] = 1.0
        share[~capped] = rest * (degree - np.count_nonzero(capped)) / rest.sum()
    step = 1 << 40
    weights = np.minimum(np.floor(share * step).astype(np.int64), step)
    missing = degree * step - int(weights.sum())
    for j in np.flatnonzero(weights < step):  # rounding: fill the first items that have room
        taken = min(missing, step - int(weights[j]))
        weights[j] += taken
        missing -= taken
        if missing == 0:
            break
    return weights, step
