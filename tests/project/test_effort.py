"""What plain pytest leaves to the full run of a table of cases."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from effort import few, leave_few


def test_all_values_are_there_as_soon_as_there_is_room_for_them() -> None:
    cases = [{("a", a), ("b", b), ("c", c)} for a, b, c in itertools.product(range(3), range(3), range(5))]
    for n in range(1, 12):
        kept = few(cases, n)
        assert len(kept) == n
        assert 0 in kept
        seen = set().union(*(cases[k] for k in kept))
        assert len(seen) >= min(11, 2 * n)
    assert set().union(*(cases[k] for k in few(cases, 5))) == set().union(*cases)


def test_cases_of_one_table_are_spread_over_it() -> None:
    for n, cases in ((1, 4), (2, 4), (3, 27), (5, 40), (8, 21)):
        kept = few([{k} for k in range(cases)], n)
        assert kept == sorted(set(kept))
        assert max(b - a for a, b in itertools.pairwise([*kept, cases])) <= 2.7 * cases / n
    assert few([{k} for k in range(3)], 7) == [0, 1, 2]
    assert few([], 2) == []


@pytest.mark.few(2)
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("kind", ["plain", pytest.param("wide", marks=pytest.mark.full)])
def test_a_table(kind: str, size: int) -> None:
    """The table that the next test looks at."""


def test_the_others_have_the_mark(request: pytest.FixtureRequest) -> None:
    ours = [item for item in request.session.items if item.nodeid.partition("[")[0].endswith("::test_a_table")]
    plain: list[Any] = [item for item in ours if item.get_closest_marker("full") is None]
    assert [item.callspec.id for item in plain] == ["plain-1", "plain-3"]
    leave_few(ours)  # again: nothing more
    assert [item for item in ours if item.get_closest_marker("full") is None] == plain
