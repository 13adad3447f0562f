"""Programs with functions of shared prices, solved by steps in their domain: known answers, the reference, units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from curved import E, market
from effort import diagonal, full_only

import oasis_alloc as oa
from oasis_alloc.solvers import finisher
from oasis_alloc.solvers.settings import DUAL

GAP = 1e-4


@pytest.fixture
def no_linear_program(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every solve ends with smoothed slates, however few pairs are open; a linear program is an error."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a linear program is solved")

    monkeypatch.setattr(finisher, "_solve", refuse)
    with DUAL.using(large=0, recovery_tries=10):
        yield


def two_artists(users: int = 100) -> oa.Candidates:
    """Every user may see artist a, worth 1, or artist b, worth 0.5."""
    columns = {"value": np.tile([1.0, 0.5], users)}
    return oa.Candidates.from_arrays(
        2 * np.arange(users + 1), np.tile([0, 1], users), columns, items={"artist": ["a", "b"]}
    )


@pytest.mark.usefixtures("no_linear_program")
@pytest.mark.parametrize(
    ("function", "exposures", "value"),
    [
        (10.0 * oa.worst_off(E("artist")), [50.0, 50.0], 75.0 + 500.0),
        (0.4 * oa.worst_off(E("artist")), [100.0, 0.0], 100.0),
        (1.0 * oa.worst_off(E("artist"), {"a": 3.0, "b": 1.0}), [75.0, 25.0], 87.5 + 25.0),
        (oa.gini_welfare(E("artist"), [0.9, 0.1]), [50.0, 50.0], 75.0 + 50.0),
        (oa.gini_welfare(E("artist"), [0.55, 0.1]), [100.0, 0.0], 100.0 + 10.0),
        (oa.gini_welfare(E("artist"), [0.3, 0.3]), [100.0, 0.0], 100.0 + 30.0),
    ],
    ids=str,
)
def test_a_bonus_that_pays_for_the_difference_of_values(function: Any, exposures: list[float], value: float) -> None:
    """The worst-off gains what its rank is worth more than the other's, and costs 0.5 per unit."""
    problem = oa.Problem(two_artists(), oa.total("value") + function.named("fair"), slate=oa.Slate(1))
    solution = oa.solve(problem, gap=GAP)
    assert solution.status is oa.Status.SOLVED
    assert solution.value == pytest.approx(value, rel=GAP)
    assert solution.totals["fair"] == pytest.approx(exposures, abs=0.05)


CAPS = (E("campaign") <= 75.0).named("caps")
FLOORS = (E("campaign") >= 30.0).named("floors")
ARTIST = E("artist")
PROGRAMS: dict[str, Callable[[], tuple[Any, list[Any], oa.Slate]]] = {
    "worst off": lambda: (5.0 * oa.worst_off(ARTIST), [CAPS], oa.Slate(2)),
    "gini": lambda: (20.0 * oa.gini_welfare(ARTIST), [CAPS], oa.Slate(2)),
    "no limits": lambda: (20.0 * oa.gini_welfare(ARTIST), [], oa.Slate(2)),
    "floors": lambda: (20.0 * oa.gini_welfare(ARTIST), [CAPS, FLOORS], oa.Slate(2)),
    "worst off, floors": lambda: (5.0 * oa.worst_off(ARTIST, 1.0 + np.arange(12) % 3), [CAPS, FLOORS], oa.Slate(2)),
    "few ranks": lambda: (2.0 * oa.gini_welfare(ARTIST, np.maximum(5.0 - np.arange(12), 0.0)), [CAPS], oa.Slate(2)),
    "keep": lambda: (20.0 * oa.gini_welfare(ARTIST), [CAPS], oa.Slate(2, keep={"relevance": 0.8})),
    "at most": lambda: (5.0 * oa.worst_off(ARTIST), [CAPS], oa.Slate(3, at_most={"artist": 1, "campaign": 2})),
    "both": lambda: (
        10.0 * oa.gini_welfare(ARTIST) + 3.0 * oa.worst_off(oa.total("streams", by="campaign")),
        [CAPS],
        oa.Slate(2),
    ),
    "log": lambda: (10.0 * oa.gini_welfare(ARTIST) + 5.0 * oa.log(E("market")), [CAPS, FLOORS], oa.Slate(2)),
    "a guard": lambda: (40.0 * oa.gini_welfare(ARTIST), [CAPS, oa.total("relevance") >= 139.0], oa.Slate(2)),
    "a difference": lambda: (
        5.0 * oa.gini_welfare(oa.total("streams", by="artist") - E("artist")),
        [CAPS, FLOORS],
        oa.Slate(2),
    ),
    "delivered": lambda: (
        20.0 * oa.gini_welfare(ARTIST.delivered_so_far({k: 3.0 * k for k in range(12)})),
        [CAPS],
        oa.Slate(2),
    ),
}


def stated(name: str, seed: int = 0) -> oa.Problem:
    function, limits, slate = PROGRAMS[name]()
    return oa.Problem(market(seed=seed), oa.total("relevance") + function, limits, slate)


@pytest.mark.few(2)
@pytest.mark.usefixtures("no_linear_program")
@pytest.mark.parametrize(("name", "seed"), diagonal(PROGRAMS.keys(), {"0": 0, "1": 1, "2": 2}, every=3))
def test_smoothed_slates_against_the_reference(name: str, seed: int) -> None:
    problem = stated(name, seed)
    found, reference = oa.solve(problem, gap=GAP), oa.solve(problem, solver="conic", gap=1e-6)
    assert found.status is oa.Status.SOLVED
    assert found.violation <= 1e-6
    size = max(abs(found.value), abs(reference.value))
    assert found.value <= reference.bound + 1e-6 * size
    assert found.bound >= reference.value - 1e-6 * size
    assert found.value >= reference.value - GAP * size


@pytest.mark.few(2)
@pytest.mark.parametrize(("name", "seed"), diagonal(PROGRAMS.keys(), {"0": 0, "1": 1}, every=3))
def test_the_whole_solver_to_a_small_gap(name: str, seed: int) -> None:
    problem = stated(name, seed)
    found, reference = oa.solve(problem, gap=1e-6), oa.solve(problem, solver="conic", gap=1e-6)
    assert found.status is oa.Status.SOLVED
    size = max(abs(found.value), abs(reference.value))
    assert found.value <= reference.bound + 1e-6 * size
    assert found.bound >= reference.value - 1e-6 * size


def many_artists(weight: float = 1.0, unit: float = 1.0, seed: int = 0) -> tuple[oa.Candidates, Any, Any]:
    """(candidates, gini welfare over 300 artists, a cap per campaign), values times `weight`, streams times `unit`."""
    rng = np.random.default_rng(seed)
    users, degree, items = 600, 20, 600
    item = np.sort(np.argpartition(rng.exponential(size=(users, items)), degree, axis=1)[:, :degree], axis=1)
    value = rng.integers(1, 1 << 12, item.shape) / float(1 << 11)
    streams = rng.integers(1, 16, item.shape) / 8.0
    cands = oa.Candidates.from_arrays(
        np.arange(users + 1) * degree,
        item.ravel(),
        {"value": weight * value.ravel(), "streams": unit * streams.ravel()},
        items={"artist": np.arange(items) // 2, "campaign": np.arange(items) % 40},
    )
    fair = (weight / unit * 60.0) * oa.gini_welfare(oa.total("streams", by="artist"))
    return cands, fair.named("fair"), (E("campaign") <= 100.0).named("caps")


def test_many_groups_need_no_linear_program_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finisher, "_solve", None)
    cands, fair, caps = many_artists()
    solution = oa.solve(oa.Problem(cands, oa.total("value") + fair, [caps], oa.Slate(5)), gap=GAP)
    assert solution.status is oa.Status.SOLVED
    bound: Any = solution.problem.bound[-1]
    prices = -solution.prices["fair"]
    assert prices.sum() == pytest.approx(bound.weights.sum())
    assert (np.cumsum(np.sort(prices)[::-1]) <= np.cumsum(bound.weights) + 1e-9).all()
    # the order of bonuses is that of totals, where these differ by more than what is left of the gap
    totals = solution.totals["fair"]
    poor, rich = totals < np.quantile(totals, 0.1), totals > np.quantile(totals, 0.9)
    assert prices[poor].min() >= prices[rich].max()


@pytest.mark.full
@pytest.mark.parametrize("size", [1e-9, *full_only(1e9)])
def test_units_change_nothing(size: float) -> None:
    """Neither of the objective nor of the column that is counted."""
    solved = []
    for weight, unit in ((1.0, 1.0), (size, 1.0), (1.0, size)):
        cands, fair, caps = many_artists(weight, unit)
        solved.append(oa.solve(oa.Problem(cands, oa.total("value") + fair, [caps], oa.Slate(5)), gap=GAP))
    plain = solved[0]
    assert plain.status is oa.Status.SOLVED
    for other, weight in zip(solved[1:], (size, 1.0), strict=True):
        assert other.status is oa.Status.SOLVED
        assert other.passes <= plain.passes + 5
        assert other.value / weight == pytest.approx(plain.value, rel=2 * GAP)
        assert other.bound / weight == pytest.approx(plain.bound, rel=2 * GAP)


@pytest.mark.full
def test_a_start_and_threads() -> None:
    cands, fair, caps = many_artists()
    problem = oa.Problem(cands, oa.total("value") + fair, [caps], oa.Slate(5))
    one, two = oa.solve(problem, gap=GAP, threads=1), oa.solve(problem, gap=GAP, threads=2)
    assert (one.value, one.bound, one.passes) == (two.value, two.bound, two.passes)
    again = oa.solve(problem, gap=GAP, start=one)
    assert again.status is oa.Status.SOLVED
    assert again.passes <= one.passes
    assert again.value <= one.bound * (1.0 + 1e-12)


def test_a_group_whose_few_candidates_are_all_shown() -> None:
    """It has the whole bonus: far more than any value, so its price goes a long way along a straight line."""
    rng = np.random.default_rng(5)
    users, degree, items = 400, 10, 60
    item = np.sort(np.argpartition(rng.exponential(size=(users, items - 1)), degree, axis=1)[:, :degree], axis=1)
    item[:3, -1] = items - 1  # three candidates of the last artist
    value = {"value": rng.lognormal(0.0, 0.5, item.size)}
    cands = oa.Candidates.from_arrays(
        np.arange(users + 1) * degree, item.ravel(), value, items={"artist": np.arange(items)}
    )
    fair = (1000.0 * oa.worst_off(E("artist"))).named("fair")
    with DUAL.using(large=0, recovery_tries=10):
        solution = oa.solve(oa.Problem(cands, oa.total("value") + fair, slate=oa.Slate(2)), gap=GAP)
    assert solution.status is oa.Status.SOLVED
    assert solution.totals["fair"].min() == pytest.approx(3.0, rel=1e-3)
    assert -solution.prices["fair"][-1] == pytest.approx(1000.0, rel=0.05)
    assert solution.passes <= 60
