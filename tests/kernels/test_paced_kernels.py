"""The kernels of pacers against plain NumPy: counted, kept within rooms, throttled."""

from __future__ import annotations

import numpy as np
import pytest

from oasis_alloc.kernels.serve import paced


def case(seed: int) -> tuple[np.random.Generator, tuple[np.ndarray, ...], list[list[tuple[int, int, float]]]]:
    """Items of a few classes with up to three uses of goals, of exposure or of a column, also two of one goal."""
    rng = np.random.default_rng(seed)
    classes, goals, n = 5, 4, 12
    entries = [
        [
            (int(g), int(rng.integers(-1, 2)), float(rng.choice([1.0, -0.25, 2.0])))
            for g in np.sort(rng.choice(goals, rng.integers(0, 4)))
        ]
        for _ in range(classes)
    ]  # fmt: skip
    indptr = np.cumsum([0, *map(len, entries)]).astype(np.int64)
    flat = [entry for one in entries for entry in one]
    cells = np.array([[g, c, 0] for g, c, _ in flat], np.int64).reshape(-1, 3).T.copy()
    amount = np.array([a for *_, a in flat], np.float64)
    of_item = np.stack([rng.integers(0, classes, 21), np.arange(21)]).astype(np.uint32)
    items = rng.choice(20, n, replace=False).astype(np.int64)
    return rng, (items, rng.random((2, n)), of_item, indptr, cells, amount), entries


def plain_use(i: int, arrays: tuple[np.ndarray, ...], entries: list[list[tuple[int, int, float]]]) -> np.ndarray:
    items, columns, of_item, *_ = arrays
    out = np.zeros(4)
    for goal, column, amount in entries[of_item[0, items[i]]]:
        out[goal] += amount * (1.0 if column < 0 else columns[column, i])
    return out


@pytest.mark.parametrize("seed", range(30))
def test_what_is_shown_is_counted(seed: int) -> None:
    rng, arrays, entries = case(seed)
    positions = rng.permutation(12)[:6].astype(np.int64)
    used, room = rng.random(4), np.full(4, np.inf)
    expected = used + sum(plain_use(int(i), arrays, entries) for i in positions)
    assert paced.count(6, positions, *arrays, used, room) == 0
    assert np.allclose(used, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(30))
def test_what_does_not_fit_is_dropped_in_order(seed: int) -> None:
    rng, arrays, entries = case(seed)
    positions = rng.permutation(12)[:6].astype(np.int64)
    used, room = rng.random(4), rng.uniform(0.0, 4.0, 4)
    before, expected, so_far = used.copy(), [], used.copy()
    for i in positions.tolist():
        use = plain_use(i, arrays, entries)
        if not ((use > 0.0) & (so_far + use > room * (1.0 + 1e-9))).any():
            expected.append(i)
            so_far = so_far + use
    kept = paced.fits(6, positions, *arrays, used, room)
    assert positions[:kept].tolist() == expected
    assert (used == before).all(), "it is not counted until it is served, to the last bit"


def test_goals_take_part_in_the_share_of_requests_that_is_asked_for() -> None:
    _, arrays, entries = case(3)
    items, _, of_item, indptr, cells, _ = arrays
    rate = np.array([0.0, 0.3, 0.7, 1.0])
    n = 4000
    out = np.zeros((n, items.size))
    for number in range(n):
        paced.drop(items.size, items, of_item, indptr, cells, rate, number, out[number])
    for i in range(items.size):
        goals = [goal for goal, *_ in entries[of_item[0, items[i]]]]
        assert abs(float((out[:, i] == 0.0).mean()) - np.prod(rate[goals])) < 0.04


def test_a_goal_near_its_room_is_told() -> None:
    items, columns, of_item = np.zeros(1, np.int64), np.ones((1, 1)), np.zeros((2, 2), np.uint32)
    uses = np.array([0, 1], np.int64), np.array([[0], [-1], [0]], np.int64), np.ones(1)
    told = []
    used = np.zeros(1)
    for _ in range(5):
        told.append(paced.count(1, np.zeros(1, np.int64), items, columns, of_item, *uses, used, np.full(1, 5.0)))
    assert told == [0, 0, 0, 1, 2]
