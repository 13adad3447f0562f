"""Random pairs with prices, as kernels take them, and a visit to all of their users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from oasis_alloc.common.arrays import readonly
from oasis_alloc.kernels.solve import jobs
from oasis_alloc.kernels.solve import visit as kernels

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Data:
    """Random pairs with prices; `cell` of every pair, `of` its user."""

    pairs: kernels.Pairs
    price: Array
    n_classes: int

    @property
    def n_users(self) -> int:
        return self.pairs.indptr.size - 1

    @property
    def of(self) -> Array:
        return np.repeat(np.arange(self.n_users), np.diff(self.pairs.indptr))

    @property
    def cell(self) -> Array:
        return self.pairs.segment[self.of].astype(np.int64) * self.n_classes + self.pairs.code

    @property
    def n_cells(self) -> int:
        return self.price.shape[1] * self.n_classes

    @property
    def columns(self) -> Array:
        """(K + 1, n_pairs): what pairs add to the tables."""
        return np.vstack([np.ones(self.pairs.code.size), self.pairs.extra.astype(np.float64)])

    @property
    def scores(self) -> Array:
        """Priced scores, rounded as the kernel rounds them: column after column."""
        flat = self.price.reshape(self.price.shape[0], -1)
        out = self.pairs.value.astype(np.float64)
        for table, column in zip(flat, self.columns, strict=True):
            out = out - table[self.cell] * column
        return out

    def users(self) -> list[Array]:
        """Pair numbers of every user."""
        return [np.arange(a, b) for a, b in zip(self.pairs.indptr[:-1], self.pairs.indptr[1:], strict=True)]

    def table(self, weights: Array, columns: Array | None = None) -> Array:
        """Weighted columns added up by cell."""
        columns = self.columns if columns is None else columns
        return np.stack([np.bincount(self.cell, weights * c, self.n_cells) for c in columns])


def make(
    seed: int, n_extra: int, n_segments: int, ties: bool, code: type = np.uint16, floats: type = np.float64
) -> Data:
    rng = np.random.default_rng(seed)
    counts = np.concatenate([[0, 1, 2, 40, 0], rng.integers(0, 12, 60)])
    n, n_classes = int(counts.sum()), 9
    value = rng.integers(-2, 5, n) / 2 if ties else rng.normal(0.3, 1.0, n)
    price = (
        rng.integers(-1, 2, (n_extra + 1, n_segments, n_classes)) / 2
        if ties
        else rng.normal(0, 0.3, (n_extra + 1, n_segments, n_classes))
    )
    extra = rng.integers(-2, 3, (n_extra, n)) / 2 if ties else rng.normal(0, 1, (n_extra, n))
    arrays = (
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        rng.integers(0, n_classes, n).astype(code),
        value.astype(floats),
        extra.astype(floats),
        rng.integers(0, n_segments, counts.size).astype(np.uint32),
    )
    # read-only, as the engine hands them over: for arrays that can be written kernels would be compiled once more
    return Data(kernels.Pairs(*map(readonly, arrays)), price.astype(np.float64), n_classes)


def call(
    data: Data,
    size: int,
    gamma: float,
    slack: float = np.inf,
    threshold: Array | None = None,
    capacity: int = 4096,
    every: int = 1,
    stride: int = 1,
) -> dict[str, Any]:
    """Run the kernel over all users."""
    n_extra = data.pairs.extra.shape[0]
    load, square = np.zeros((2, n_extra + 1, data.n_cells))
    kept = kernels.PlainCurvature(
        np.zeros(capacity, np.uint32), np.zeros((n_extra, capacity)), np.zeros(capacity + 1, np.int32)
    )
    out = np.zeros(kernels.N_OUT)
    threshold = np.zeros(data.n_users) if threshold is None else threshold
    slack = min(slack, np.finfo(np.float64).max)
    point = jobs.Point(data.price, gamma, slack, threshold, np.empty(0), jobs.no_further())
    users, sums = jobs.Users(0, data.n_users, stride), jobs.Sums(load, square, kept, every, out)
    kernels.visit(users, data.pairs, size, point, sums)
    return {"load": load, "square": square, "kept": kept, "out": out, "threshold": threshold}
