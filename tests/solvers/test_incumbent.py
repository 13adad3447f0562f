"""Allocations that share the array of the pairs with x = 1."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_alloc.engines.shown import ShownHere
from oasis_alloc.solvers import incumbent
from oasis_alloc.solvers.incumbent import Allocation
from oasis_alloc.solvers.monitor import Monitor

SHARES = st.lists(st.sampled_from([0.0, 0.25, 1.0]), max_size=30)


def shared(x: list[float], in_whole: list[bool]) -> Allocation:
    """The allocation of x by pair, in which some pairs with x = 1 are in the shared array."""
    numbers = np.array(x)
    whole = (numbers == 1.0) & np.array(in_whole, np.bool_)
    own = np.flatnonzero((numbers > 0.0) & ~whole)
    return Allocation(
        own, numbers[own], value=1.0, totals=np.empty(0), violation=0.0, whole=ShownHere(np.flatnonzero(whole))
    )


@given(data=st.data(), x=SHARES)
def test_what_is_shared_is_part_of_the_allocation(data: st.DataObject, x: list[float]) -> None:
    in_whole = data.draw(st.lists(st.booleans(), min_size=len(x), max_size=len(x)))
    numbers, found = np.array(x), shared(x, in_whole)
    assert found.positions.tolist() == np.flatnonzero(numbers).tolist()
    assert found.x.tolist() == numbers[numbers > 0.0].tolist()
    assert found.filled == numbers.sum()
    assert found.has_whole(np.arange(numbers.size)).tolist() == (numbers == 1.0).tolist()
    assert found.as_arrays().nonzeros[0].tolist() == found.positions.tolist()


def test_no_array_is_made_to_see_that_a_solve_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = Monitor(1e-3, None)
    monitor.offer(shared([1.0, 0.25, 1.0], [True, False, True]))
    monitor.offer_bound(1.0, np.empty(0))
    monkeypatch.setattr(incumbent, "with_shown", None)  # a call would raise
    assert monitor.reached
