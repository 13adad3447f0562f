"""Ascending arrays are compared as sets."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_alloc.common import ascending
from oasis_alloc.common.ascending import among, without

numbers = st.lists(st.integers(0, 60), unique=True).map(lambda given: np.sort(np.array(given, np.int64)))


@pytest.fixture(autouse=True, scope="module")
def short_parts() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ascending, "_PART", 7)
        yield


@given(numbers, numbers)
def test_they_are_those_of_sets(one: np.ndarray, other: np.ndarray) -> None:
    assert np.array_equal(among(one, other), np.isin(one, other))
    left = without(one, other)
    assert np.array_equal(left, np.setdiff1d(one, other))
    assert (left is one) == (left.size == one.size)
