"""The ladder of an ageing policy, and the quantiles of score times."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oasis_alloc.errors import InputError
from oasis_alloc.hosting.stats import Latency
from oasis_alloc.serving.staleness import MODES, Staleness

ages = st.floats(1e-3, 1e6)


@given(st.lists(ages, min_size=3, max_size=3, unique=True).map(sorted), st.integers(1, 20), st.floats(-10, 2e6))
def test_a_rung_holds_until_it_says(ends: list[float], steps: int, age: float) -> None:
    ladder = Staleness(hold_after=ends[0], decay_after=ends[1], organic_after=ends[2], steps=steps)
    rung = ladder.rung(age)
    assert rung.until > age
    assert rung.mode == MODES[sum(age >= end for end in ends)]
    if rung.mode == "decay":
        assert 0 < rung.factor < 1
    else:
        assert rung.factor == (0.0 if rung.mode == "organic" else 1.0)
    if rung.mode != "organic":
        later = ladder.rung(rung.until)
        assert later.until > rung.until
        assert (later.factor, MODES.index(later.mode)) != (rung.factor, MODES.index(rung.mode))
        assert later.factor <= rung.factor
        assert MODES.index(later.mode) >= MODES.index(rung.mode)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hold_after": 0}, "hold_after=0 | above 0"),
        ({"hold_after": float("nan")}, "hold_after=nan | finite"),
        ({"hold_after": "1"}, "hold_after='1' | finite number of seconds"),
        ({"hold_after": True}, "hold_after=True"),
        ({"decay_after": 7200.0}, "decay_after=7200.0 | above hold_after (7200)"),
        ({"organic_after": 100.0}, "organic_after=100.0 | above decay_after (21600)"),
        ({"organic_after": float("inf")}, "organic_after=inf | finite"),
        ({"steps": 0}, "steps=0 | at least 1"),
        ({"steps": 1.5}, "steps=1.5 | whole number"),
    ],
)
def test_a_ladder_that_is_none(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        Staleness(**options)
    assert all(word in str(caught.value) for word in words.split(" | "))


@given(st.lists(st.floats(1e-8, 100), min_size=1, max_size=200), st.floats(0.01, 1))
def test_quantiles_are_within_five_percent(seconds: list[float], share: float) -> None:
    times = Latency()
    for value in seconds:
        times.add(value)
    exact = np.quantile(seconds, share, method="inverted_cdf")
    assert exact * (1 - 1e-12) <= times.quantile(share) <= exact * 2 ** (1 / 16) * (1 + 1e-12)


@given(st.lists(st.floats(1e-9, 200)), st.lists(st.floats(1e-9, 200)))
def test_times_of_two_threads_add_up(some: list[float], others: list[float]) -> None:
    one, two, both = Latency(), Latency(), Latency()
    for times, seconds in ((one, some), (two, others), (both, some + others)):
        for value in seconds:
            times.add(value)
    one.merge(two)
    assert one.buckets == both.buckets
    assert (one.count, one.largest) == (both.count, both.largest)
    assert one.total == pytest.approx(both.total)
    assert one.summary()["p99"] == both.summary()["p99"]
