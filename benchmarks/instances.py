"""The linear programs of the benchmarks, and a judge of answers to them that uses nothing of the package.

    maximize v'x   subject to   sum_u x <= size,   sum over a campaign's pairs of x <= its cap,   0 <= x <= 1

The markets are rectangular: every user has `degree` candidates, and every item is its own campaign.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from oasis_alloc.markets import matching

Floats = NDArray[np.float64]

_DEGREE = 100
_SLOTS = 3
_BLOCK = 4096  # users whom the judge looks at together: 3 MB of float64


@dataclass(frozen=True, eq=False)
class Instance:
    """One program as plain arrays; `item` (n_pairs,) is the campaign too, and values are float32."""

    users: int
    degree: int
    size: int
    item: NDArray[np.unsignedinteger]
    value: NDArray[np.float32]
    caps: Floats

    @property
    def pairs(self) -> int:
        return self.users * self.degree

    @property
    def indptr(self) -> NDArray[np.int64]:
        return np.arange(self.users + 1, dtype=np.int64) * self.degree

    def matrix(self) -> sp.csc_array:
        """Rows of all users, then rows of all caps: two ones in every column."""
        row = np.empty((self.pairs, 2), dtype=np.int32)
        row[:, 0] = np.repeat(np.arange(self.users, dtype=np.int32), self.degree)
        row[:, 1] = self.users + self.item.astype(np.int32)
        start = np.arange(0, 2 * self.pairs + 1, 2, dtype=np.int32)
        shape = (self.users + self.caps.size, self.pairs)
        return sp.csc_array((np.ones(2 * self.pairs), row.ravel(), start), shape=shape)

    def limits(self) -> Floats:
        """Right-hand side of `matrix`."""
        return np.concatenate([np.full(self.users, float(self.size)), self.caps])


def shape_of(pairs: int) -> tuple[int, int, int]:
    """(users, degree, campaigns) of the benchmark with this many pairs.

    Ten times the pairs, twice the campaigns; 10,000 from a hundred million pairs on.

    >>> shape_of(1_000_000), shape_of(10_000_000), shape_of(100_000)
    ((10000, 100, 1000), (100000, 100, 2000), (1000, 100, 500))
    >>> shape_of(1_000_000_000)
    (10000000, 100, 10000)
    """
    campaigns = 10_000 if pairs >= 100_000_000 else round(1000 * 2.0 ** np.log10(pairs / 1e6))
    return max(1, pairs // _DEGREE), _DEGREE, max(_DEGREE, campaigns)


def generate(pairs: int, seed: int = 0, threads: int = 1) -> Instance:
    """The market with this many pairs, from its seed.

    >>> instance = generate(10_000)
    >>> instance.users, instance.caps.size, instance.item.size
    (100, 250, 10000)
    """
    return generate_market(*shape_of(pairs), seed=seed, threads=threads)


def generate_market(
    users: int, degree: int, campaigns: int, *, tightness: float = 0.9, seed: int = 0, threads: int = 1
) -> Instance:
    """A market of any shape, the same for any number of threads; blocks of ten megabytes on top of the arrays.

    >>> generate_market(50, 20, 40, threads=2).item.dtype
    dtype('uint16')
    """
    market = matching(users=users, degree=degree, campaigns=campaigns, size=_SLOTS, tightness=tightness, seed=seed)
    first = market.block(0)  # before there are threads: it makes what all blocks share
    value = np.empty(users * degree, np.float32)
    item = np.empty(users * degree, first.item.dtype)

    def fill(number: int) -> None:
        block = market.block(number)
        at = number * first.item.size
        item[at : at + block.item.size] = block.item
        value[at : at + block.item.size] = block.columns["value"]

    with ThreadPoolExecutor(max(1, threads)) as pool:
        for _ in pool.map(fill, range(market.n_blocks)):
            pass
    return Instance(users, degree, _SLOTS, item, value, market.caps)


@dataclass(frozen=True)
class Verdict:
    """What an answer is worth: numbers that any reader can check, from any solver.

    `value` is v'x of x clipped to [0, 1]; `feasible_value` is v'x after slates, then campaigns, were scaled
    down to their limits; `bound` is the unsmoothed dual value of the prices, clipped at 0. `violation` is the largest
    excess over a cap / max(cap, total), `worst_slate` the largest excess over the slots of a user, in slots. The gaps
    are (bound - value) / max(|value|, |bound|), signed: an answer that breaks its limits may be worth more than the
    bound.
    """

    value: float
    feasible_value: float
    bound: float
    gap: float
    feasible_gap: float
    violation: float
    worst_slate: float


class Shown:
    """An allocation by its non-zeros, which reads like the array (n_pairs,) in slices.

    >>> Shown(np.array([3, 1]), np.array([0.5, 1.0]))[1:4]
    array([1. , 0. , 0.5])
    """

    def __init__(self, positions: NDArray[np.int64], x: Floats) -> None:
        if positions.size and not (np.diff(positions) > 0).all():
            order = np.argsort(positions)
            positions, x = positions[order], x[order]
        self._positions, self._x = positions, x

    def __getitem__(self, part: slice) -> Floats:
        out = np.zeros(part.stop - part.start)
        a, b = np.searchsorted(self._positions, [part.start, part.stop])
        out[self._positions[a:b] - part.start] = self._x[a:b]
        return out


def judge(instance: Instance, x: Floats | Shown, prices: Floats) -> Verdict:
    """Value, violation and bound of an allocation x (n_pairs,) with prices of the caps (n_campaigns,).

    The answer that shows nobody anything proves a gap of 100 %:

    >>> instance = generate(10_000)
    >>> verdict = judge(instance, np.zeros(10_000), np.zeros(250))
    >>> verdict.value, verdict.gap, verdict.violation
    (0.0, 1.0, 0.0)
    """
    bound = bound_at(instance, prices)
    value, worst_slate = 0.0, 0.0
    total, kept = np.zeros(instance.caps.size), np.zeros(instance.caps.size)
    worth = np.zeros(instance.caps.size)  # value by campaign once slates are scaled down
    for item, values, users in _blocks(instance):
        part = np.clip(x[users].reshape(item.shape), 0.0, 1.0)
        filled = part.sum(axis=1)
        worst_slate = max(worst_slate, float(filled.max()) - instance.size)
        value += float(np.sum(values * part))
        flat = item.ravel()
        total += np.bincount(flat, weights=part.ravel(), minlength=total.size)
        part *= np.minimum(1.0, instance.size / np.maximum(filled, 1e-300))[:, None]
        kept += np.bincount(flat, weights=part.ravel(), minlength=total.size)
        worth += np.bincount(flat, weights=(values * part).ravel(), minlength=total.size)
    caps = instance.caps
    feasible = float(worth @ np.minimum(1.0, caps / np.maximum(kept, 1e-300)))
    excess = np.maximum(0.0, total - caps)
    return Verdict(
        value=value,
        feasible_value=feasible,
        bound=bound,
        gap=(bound - value) / max(abs(value), abs(bound)),
        feasible_gap=(bound - feasible) / max(abs(feasible), abs(bound)),
        violation=float(np.max(np.divide(excess, total, out=np.zeros_like(total), where=excess > 0.0))),
        worst_slate=max(0.0, worst_slate),
    )


def bound_at(instance: Instance, prices: Floats) -> float:
    """sum_u (the `size` largest of v - price, where positive) + caps @ prices: a bound for any prices >= 0.

    >>> instance = generate(10_000)
    >>> free = bound_at(instance, np.zeros(250))  # every user takes what they like best
    >>> bool(np.isclose(free, np.sort(instance.value.reshape(100, 100))[:, -3:].sum(dtype=float)))
    True
    """
    prices = np.maximum(prices, 0.0)
    bound = float(instance.caps @ prices)
    for item, values, _ in _blocks(instance):
        score = values - prices[item]
        best = np.partition(score, -instance.size, axis=1)[:, -instance.size :]
        bound += float(np.maximum(best, 0.0).sum())
    return bound


def _blocks(instance: Instance) -> Iterator[tuple[NDArray[np.int64], Floats, slice]]:
    """(item, value, place of the pairs) of some users at a time, as (users, degree) tables."""
    for first in range(0, instance.users, _BLOCK):
        last = min(first + _BLOCK, instance.users)
        here = slice(first * instance.degree, last * instance.degree)
        shape = (last - first, instance.degree)
        yield (
            instance.item[here].astype(np.int64).reshape(shape),
            instance.value[here].astype(np.float64).reshape(shape),
            here,
        )
