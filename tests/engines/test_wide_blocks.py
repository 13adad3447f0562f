"""Pairs in memory stay in the types in which they were given; under rules they are converted block by block."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from support.streamed import same

import oasis_alloc as oa
from oasis_alloc.engines import engine_for
from oasis_alloc.engines.settings import SIZES
from oasis_alloc.program import slate_rules
from oasis_alloc.program.lowering import lower
from oasis_alloc.program.wide_blocks import WideBlocks


def problem(users: int, degree: int, wide: bool = False, **slate: Any) -> oa.Problem:
    """Caps and a guard of all under rules of slates; columns in half of the precision unless `wide`."""
    rng = np.random.default_rng(users)
    n_items = 60
    item = np.concatenate([rng.choice(n_items, degree, replace=False) for _ in range(users)]).astype(np.uint16)
    names = ("value", "relevance", "streams")
    columns = {name: rng.random(item.size).astype(np.float32) for name in names}
    if wide:
        columns = {name: column.astype(np.float64) for name, column in columns.items()}
    items = {"campaign": np.arange(n_items) // 5, "artist": np.arange(n_items) // 2}
    candidates = oa.Candidates.from_arrays(np.arange(users + 1) * degree, item, columns, items=items)
    limits = [
        (oa.exposure(by="campaign") <= 0.2 * users).named("caps"),
        (oa.total("streams") <= 1.4 * users).named("streams"),
    ]
    return oa.Problem(candidates, oa.total("value"), limits, oa.Slate(3, **slate))


SLATES = {
    "kept": {"keep": {"relevance": 0.8}},
    "nested": {"at_most": {"artist": 1}},
    "filled": {"at_least": 2, "keep": {"relevance": 0.7}},
    "slots": {"slot_weights": [1.0, 0.5, 0.5], "keep": {"relevance": 0.8}},
}


@pytest.mark.few(2)
@pytest.mark.parametrize("slate", SLATES)
def test_blocks_and_types_do_not_change_a_bit(slate: str) -> None:
    """Blocks of one user, of some, and all converted once; columns in float32 and their equals in float64."""
    given = problem(300, 12, **SLATES[slate])
    one = oa.solve(given, gap=1e-6)
    for pairs in (1, 500):
        with SIZES.using(wide_block=pairs, wide_bytes=0):
            same(one, oa.solve(given, gap=1e-6))
    same(one, oa.solve(problem(300, 12, wide=True, **SLATES[slate]), gap=1e-6))


@pytest.mark.parametrize("stride", [1, 3])
def test_visits_of_samples_convert_only_the_sample(stride: int) -> None:
    """The sums are those of all users in one block."""
    program = lower(problem(300, 12, **SLATES["kept"]))
    prices = np.full(program.n_rows, 0.1)
    found = []
    for pairs in (1 << 20, 100):
        with SIZES.using(wide_block=pairs, wide_bytes=0), engine_for(program, 1) as engine:
            visit = engine.visit(prices, 0.05, stride)
            found.append([visit.smoothed, visit.bound, visit.value, *visit.totals, *visit.diagonal])
    assert np.array_equal(*found)


def test_a_block_has_the_users_that_are_needed() -> None:
    program = lower(problem(40, 12, **SLATES["kept"]))
    assert program.rules is not None
    needed = np.arange(10, 40) % 3 == 0
    seen = []
    for first, last, indptr, arrays in WideBlocks(program, 50).of(10, 40, needed):
        for u in range(first, last):
            pairs = np.arange(program.indptr[u], program.indptr[u + 1]) if needed[u - 10] else np.empty(0, np.int64)
            here = slice(int(indptr[u]), int(indptr[u + 1]))
            assert np.array_equal(arrays.code[here], program.code[pairs])
            assert np.array_equal(arrays.value[here], program.value[pairs])
            assert np.array_equal(arrays.extra[:, here], program.extra[:, pairs])
            assert np.array_equal(arrays.guard[0, here], program.rules.guard.at(pairs, np.full(pairs.size, u)))
        assert arrays.code.size <= 50
        assert {array.dtype for array in arrays[1:]} == {np.dtype(np.float64)}
        seen += range(first, last)
    assert seen == list(range(10, 40))


def test_rules_take_no_memory_of_the_size_of_the_pairs() -> None:
    """Values and the kept column are the candidates' own; what is made per pair is the class, two bytes."""
    given = problem(20_000, 40, **SLATES["kept"])
    columns = given.candidates.columns
    lower(problem(100, 12, **SLATES["kept"]))  # compiles
    tracemalloc.start()
    try:
        program = lower(given)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert program.rules is not None
    assert np.shares_memory(program.value, columns["value"])
    assert np.shares_memory(program.rules.guard.column, columns["relevance"])
    assert program.code.dtype == np.uint16
    assert held <= 4 * program.n_pairs  # it was 29
    assert peak <= 14 * program.n_pairs  # it was 39; blocks of users, of which there are few here


def test_decrements_are_added_up_some_users_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum has the same bits, whatever the parts are, and no user is in two of them."""
    rules = lower(problem(300, 12, diminishing={"artist": 0.1})).rules
    assert rules is not None
    rng = np.random.default_rng(1)
    users = np.sort(rng.integers(0, 300, 2000))
    classes = rng.integers(0, rules.systems[0].start.size - 1, users.size)
    x = rng.random(users.size)
    whole = rules.decrement_cost(users, classes, x)
    assert whole > 0.0
    assert rules.decrement_cost(users[:0], classes[:0], x[:0]) == 0.0
    for size in (1, 7, 500):
        monkeypatch.setattr(slate_rules, "_SLATES_AT_ONCE", size)
        assert rules.decrement_cost(users, classes, x) == whole
