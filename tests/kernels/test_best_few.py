"""What loops over requests count: the best few of each, and what is offered, against sorts in plain NumPy."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from oasis_alloc.kernels.serve import offer
from oasis_alloc.kernels.serve.best_few import best_few, few_of

Array = np.ndarray[Any, Any]
INF = np.inf
SCORES = {
    "all differ": lambda rng, n: rng.normal(0.3, 1.0, n),
    "descending": lambda rng, n: np.sort(rng.normal(0.3, 1.0, n))[::-1].copy(),
    "ascending": lambda rng, n: np.sort(rng.normal(0.3, 1.0, n)),
    "ties": lambda rng, n: rng.integers(-2, 5, n) / 4,
    "one tie": lambda rng, n: np.append(np.full(min(n, 2), 9.0), rng.random(max(n - 2, 0))),
    "all equal": lambda _, n: np.full(n, 0.5),
    "none above the floor": lambda rng, n: -1.0 - rng.random(n),
    "holes": lambda rng, n: np.where(rng.random(n) < 0.5, -INF, rng.random(n)),
    "not numbers": lambda rng, n: np.where(rng.random(n) < 0.5, np.nan, rng.normal(0.3, 1.0, n)),
    "infinite": lambda rng, n: np.where(rng.random(n) < 0.3, INF, rng.random(n)),
}


def sorted_best(scores: Array, ranks: Array, k: int, min_size: int, floor: float) -> list[int]:
    """By score, rank and position; what is not above the floor only as far as the slate has to be filled."""
    order = [i for i in np.lexsort([np.arange(scores.size), ranks, -scores]) if scores[i] > -INF][:k]
    return [int(i) for at, i in enumerate(order) if scores[i] > floor or at < min_size]


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize(
    ("k", "min_size", "floor"), [(10, 0, 0.0), (5, 3, 0.5), (1, 1, 9.0), (0, 0, 0.0), (60, 0, 0.0)]
)
def test_the_best_few_are_those_of_a_sort(kind: str, k: int, min_size: int, floor: float) -> None:
    for n in (0, 1, 9, 10, 11, 50, 64, 129, 513):
        rng = np.random.default_rng([n, k])
        scores = np.asarray(SCORES[kind](rng, n), np.float64)[:n]
        n_items = 3 * n + 1
        of_item = np.stack([np.zeros(n_items + 1), np.append(rng.permutation(n_items), n_items)]).astype(np.uint32)
        items = rng.choice(n_items, n, replace=False).astype(np.int64)
        items[rng.random(n) < 0.1] = -1
        out = np.full(max(k, 1), -9)
        m = best_few(n, items, of_item, k, min_size, floor, scores, few_of(max(n, 1)), out)
        ranks = of_item[1, np.where(items < 0, n_items, items)].astype(int)
        assert out[:m].tolist() == sorted_best(scores, ranks, k, min_size, floor), n


def test_sums_of_the_best_are_those_of_a_sort() -> None:
    rng = np.random.default_rng(4)
    indptr = np.cumsum([0, 3, 0, 40, 1, 7])
    items, column = np.arange(indptr[-1]), rng.normal(0.2, 1.0, indptr[-1])
    of_item, out = np.zeros((2, items.size + 1), np.uint32), np.empty(5)
    offer.best_sums(indptr, items, of_item, column, 4, out)
    expected = [np.sort(np.maximum(column[a:b], 0.0))[::-1][:4].sum() for a, b in itertools.pairwise(indptr)]
    np.testing.assert_allclose(out, expected, rtol=1e-15, atol=0)


def test_what_is_offered_is_counted_by_label() -> None:
    rng = np.random.default_rng(5)
    items, codes = rng.integers(0, 20, 300).astype(np.int32), rng.integers(-1, 4, 20).astype(np.int32)
    out = np.zeros(5, np.int64)
    offer.count_codes(items, codes, out)
    assert out.tolist() == np.bincount(codes[items] + 1, minlength=5).tolist()
