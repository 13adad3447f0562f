"""Forecasts of replayed months with unseen users, traffic and relevance: the truth lies in the intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.forecasts import WEEK_AHEAD, WORLDS, World, judged, month

USERS = 6000


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return [
        row
        for seed in range(24)
        for row in month(WORLDS["as expected of it"], seed, USERS, when=(7, 14, WEEK_AHEAD))
    ]  # fmt: skip


@pytest.mark.full
def test_the_truth_lies_between_low_and_high_for_nine_in_ten(rows: list[dict[str, Any]]) -> None:
    inside = [row["inside"] for row in rows]
    assert len(inside) == 24 * 40 * 3
    assert np.mean(inside) == pytest.approx(0.90, abs=0.03)


@pytest.mark.full
def test_shortfalls_are_announced_a_week_ahead(rows: list[dict[str, Any]]) -> None:
    found = judged(rows)
    assert 0.1 < found["short"] < 0.9, "there is something to announce, and something not to"
    assert found["announced"] >= 0.9
    assert found["false alarms of fine"] < 0.1
    assert found["false alarms"] < 0.1


@pytest.mark.full
def test_intervals_are_no_wider_than_they_have_to_be(rows: list[dict[str, Any]]) -> None:
    """They shrink as the flight goes on, and a tenth of the truths is outside, on both sides."""
    width = {
        day: np.mean([(row["high"] - row["low"]) / max(row["mid"], 1.0) for row in rows if row["day"] == day])
        for day in (7, 14, WEEK_AHEAD)
    }
    assert width[7] > width[14] > width[WEEK_AHEAD]
    below = np.mean([row["truth"] < row["low"] for row in rows])
    above = np.mean([row["truth"] > row["high"] for row in rows])
    assert 0.01 < below < 0.1
    assert 0.01 < above < 0.1


def test_one_month(rows_of_one: list[dict[str, Any]]) -> None:
    """One month with half the traffic, which no prior expects: three weeks of deliveries say so."""
    assert np.mean([row["inside"] for row in rows_of_one]) > 0.8
    large = [row for row in rows_of_one if row["truth"] >= 50]
    assert len(large) >= 3
    assert all(row["short"] and row["announced"] for row in large)


@pytest.fixture(scope="module")
def rows_of_one() -> list[dict[str, Any]]:
    return month(World(factor=0.5), 3, 1500, when=(WEEK_AHEAD,))


@pytest.mark.full
def test_errors_of_scores_that_are_told_are_in_the_intervals() -> None:
    """Songs that requests score higher than the plan did: intervals that do not know of it are too narrow at first."""
    inside = {
        told: np.mean(
            [row["inside"] for seed in range(8) for row in month(World(errors=0.1, told=told), seed, 3000, (3, 7))]
        )
        for told in (False, True)
    }
    assert inside[True] == pytest.approx(0.90, abs=0.05)
    assert inside[False] < inside[True] - 0.1
