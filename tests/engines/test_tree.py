"""The order in which tables of chunks are added up: the same bits, in whatever parts they come."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_alloc.engines.tree import added_up, branches_of


def test_halves_are_added_up_before_the_sum() -> None:
    tiny = 2.0**-53  # 1 + tiny is 1
    parts = np.array([1.0, tiny, tiny, tiny])[:, None]
    assert added_up(parts)[0] == 1.0 + 2.0 * tiny  # (1 + tiny) + (tiny + tiny)
    assert parts.sum() == 1.0
    assert not np.shares_memory(added_up(parts[:1]), parts)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 64, 100])
def test_sums_are_right_and_the_tables_are_not_changed(n: int) -> None:
    tables = np.random.default_rng(n).integers(-1000, 1000, (n, 2, 5)).astype(np.float64)
    before = tables.copy()
    assert np.array_equal(added_up(tables), tables.sum(axis=0))
    assert np.array_equal(tables, before)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=70))
def test_the_bits_do_not_depend_on_who_has_which_chunk(owner: list[int]) -> None:
    n = len(owner)
    tables = np.random.default_rng(n).lognormal(0.0, 9.0, (n, 3))
    sent, starts = np.full_like(tables, np.nan), list[int]()
    for one in set(owner):
        chunks = [chunk for chunk in range(n) if owner[chunk] == one]
        branches = branches_of(chunks, n)
        assert [chunk for first, last in branches for chunk in range(first, last)] == chunks
        for first, last in branches:
            sent[first] = added_up(tables[first:last])
            starts.append(first)
    assert np.array_equal(added_up(sent, sorted(starts)), added_up(tables))


@given(st.integers(1, 5000), st.data())
def test_a_run_has_few_branches(n: int, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, n - 1))
    last = data.draw(st.integers(first + 1, n))
    assert len(branches_of(range(first, last), n)) <= 2 * n.bit_length()
