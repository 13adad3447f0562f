"""A request is checked by compiled code as NumPy would check it, and the bits that this needs are zero afterwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_alloc.common.arrays import readonly
from oasis_alloc.kernels.serve import checked, score

Array = np.ndarray[Any, Any]


def are_items(items: Array, n_items: int) -> bool:
    """Numbers of items, or -1, and no item twice."""
    known = items[items != -1]
    return bool(((known >= 0) & (known < n_items)).all()) and np.unique(known).size == known.size


class Request:
    """Candidates with two columns in buffers with room for more, and prices of three classes."""

    def __init__(self, items: Array, n_items: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.n, room = items.size, items.size + 3
        self.items = np.full(room, 10**9)  # what is behind the candidates is not looked at
        self.items[: self.n] = items
        self.columns = np.full((3, room), np.nan)
        self.columns[:2, : self.n] = rng.normal(size=(2, self.n))
        self.of_item = np.zeros((2, n_items + 1), np.uint32)
        self.of_item[0], self.of_item[1] = rng.integers(0, 3, n_items + 1), rng.permutation(n_items + 1)
        self.table = readonly(rng.normal(size=(1, 3)))
        self.blend = np.array([2, 1.0, 0.5, 0, 1])
        self.seen = np.zeros(n_items // 64 + 1, np.uint64)

    def score(self, kept: int = -1, is_slate: bool = True) -> bool:
        found = checked.checked_scores(
            self.n, self.items, self.columns, kept, is_slate, self.blend, self.of_item, self.table, self.seen
        )
        assert not self.seen.any()
        return found

    def best(self, size: int, min_size: int, floor: float) -> list[int] | None:
        out = np.full(max(size, 1), -9)
        m = checked.checked_best(
            self.n,
            self.items,
            self.columns,
            self.blend,
            self.of_item,
            self.table,
            self.seen,
            size,
            min_size,
            floor,
            out,
        )
        assert not self.seen.any()
        return None if m < 0 else out[:m].tolist()


@settings(max_examples=examples(400))
@given(draw=st.data(), seed=st.integers(0, 10**6))
def test_items_are_checked_as_numpy_checks_them(draw: st.DataObject, seed: int) -> None:
    n_items = draw.draw(st.sampled_from([0, 1, 5, 63, 64, 65, 1000]))
    number = st.integers(-1, n_items - 1)
    if draw.draw(st.booleans()):
        number |= st.sampled_from([-2, n_items, n_items + 1, 2**62, 2**63 - 1, -(2**63)])
    numbers = draw.draw(st.lists(number, max_size=40, unique=draw.draw(st.booleans())))
    items = np.array([*numbers, *[-1] * draw.draw(st.integers(0, 3))], np.int64)
    request = Request(items, n_items, seed)
    valid = are_items(items, n_items)
    assert request.score() == valid
    assert request.score(is_slate=False) == bool(((items >= -1) & (items < n_items)).all())
    assert (request.best(3, 0, 0.0) is not None) == valid


@pytest.mark.parametrize(("n", "n_items"), [(100, 100), (5000, 5000), (300, 100_000)])  # zeroed at once, or bit by bit
def test_many_items_with_one_twice(n: int, n_items: int) -> None:
    items = np.random.default_rng(n).permutation(n_items)[:n]
    assert Request(items, n_items, 1).score()
    for a, b in ((0, n - 1), (n // 2, n // 2 + 1)):
        twice = items.copy()
        twice[b] = twice[a]
        assert not Request(twice, n_items, 1).score()


@settings(max_examples=examples(200))
@given(
    seed=st.integers(0, 10**6), n=st.integers(0, 70), size=st.integers(0, 5), min_size=st.integers(0, 5),
    floor=st.sampled_from([0.0, -np.inf]),
)  # fmt: skip
def test_a_checked_slate_is_the_unchecked_one(seed: int, n: int, size: int, min_size: int, floor: float) -> None:
    request = Request(np.random.default_rng(seed).permutation(90)[:n], 90, seed)
    scores, out = np.empty(n), np.full(max(size, 1), -9)
    m = score.best(
        n, request.items, request.columns, request.blend, request.of_item, request.table, size, min(min_size, size),
        floor, scores, out,
    )  # fmt: skip
    assert request.best(size, min(min_size, size), floor) == out[:m].tolist()
    assert request.columns[-1, :n].tobytes() == scores.tobytes()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1.7e308])
@pytest.mark.parametrize("at", [0, 7, 8, 31])
def test_a_number_that_is_not_finite_is_found_in_every_column_that_is_read(wrong: float, at: int) -> None:
    for row in range(2):
        request = Request(np.arange(32), 40, 3)
        request.columns[:2, at] = wrong if wrong == 1.7e308 else request.columns[:2, at]  # their sum overflows
        request.columns[row, at] = wrong
        assert not request.score()
        assert request.best(3, 0, 0.0) is None
    request = Request(np.arange(32), 40, 3)
    request.blend = np.array([1, 1.0, 0])  # the second column is only kept
    request.columns[1, at] = wrong
    assert request.score()
    assert request.score(kept=1) == bool(np.isfinite(wrong))
