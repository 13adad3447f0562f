"""Generated markets: the same pairs in any process, distinct items, demands that can be met."""

from __future__ import annotations

import time

import numpy as np
import pytest
from effort import full_only

from oasis_alloc.errors import InputError
from oasis_alloc.markets import Market, matching, month
from oasis_alloc.markets import market as base
from oasis_alloc.markets.market import best, integer_shares


@pytest.fixture(params=["matching", "month"])
def market(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Market:
    """A market of several blocks, the last of them smaller."""
    monkeypatch.setattr(base, "_BLOCK_PAIRS", 5_000)
    if request.param == "matching":
        return matching(users=1_100, degree=20, campaigns=90, seed=3)
    return month(users=1_100, degree=20, campaigns=6, seed=3)


def test_any_block_is_that_slice_of_the_whole(market: Market) -> None:
    candidates = market.candidates()
    assert market.n_blocks == 5
    assert candidates.n_pairs == market.n_pairs == 22_000
    starts = np.cumsum([0] + [len(block.item) for block in market.blocks()])
    assert starts[-1] == market.n_pairs
    for k in (3, 0, 4):  # in no order: a block needs none before it
        indptr, item, columns = market.block(k)
        here = slice(starts[k], starts[k + 1])
        np.testing.assert_array_equal(item, candidates.item[here])
        np.testing.assert_array_equal(indptr[-1], here.stop - here.start)
        assert set(columns) == set(candidates.columns)
        for name, column in columns.items():
            np.testing.assert_array_equal(column, candidates.columns[name][here])


def test_the_same_seed_makes_the_same_market_and_another_does_not(market: Market) -> None:
    kind = type(market)
    fields = {name: getattr(market, name) for name in market.__dataclass_fields__}
    again, other = kind(**fields), kind(**{**fields, "seed": 4})
    np.testing.assert_array_equal(market.block(1).item, again.block(1).item)
    assert (market.block(1).item != other.block(1).item).any()
    assert (market.block(0).item != market.block(1).item).any()
    for name, column in market.block(1).columns.items():
        np.testing.assert_array_equal(column, again.block(1).columns[name])
    for name, values in market.user_attributes().items():
        np.testing.assert_array_equal(values, again.user_attributes()[name])


def test_items_are_distinct_sorted_and_the_columns_are_sound(market: Market) -> None:
    for _, item, columns in market.blocks():
        rows = item.reshape(-1, market.degree).astype(np.int64)
        assert (np.diff(rows, axis=1) > 0).all()
        assert rows.max() < market.n_items
        assert item.dtype == np.uint16
        for column in columns.values():
            assert column.dtype == np.float32
            assert np.isfinite(column).all()
            assert (column >= 0).all()


def test_popularity_has_a_heavy_tail() -> None:
    market = matching(users=4_000, degree=20, campaigns=1_000)
    seen = np.sort(np.bincount(market.candidates().item, minlength=1_000))[::-1]
    assert seen[:100].sum() > 0.25 * market.n_pairs  # a tenth of the items has more than a quarter of the pairs
    assert (seen > 0).mean() > 0.99


def test_every_item_is_drawn_where_the_degree_is_the_catalog() -> None:
    market = matching(users=300, degree=12, campaigns=12)
    np.testing.assert_array_equal(market.block(0).item.reshape(300, 12), np.tile(np.arange(12), (300, 1)))


@pytest.mark.parametrize("degree", [1, 3, 7, 8])
def test_integer_shares_sum_exactly_and_none_is_above_the_step(degree: int) -> None:
    weights, step = integer_shares(np.array([1e6, 1e3, 5.0, 1.0, 1.0, 1e-3, 1e-9, 2.0]), degree)
    assert weights.sum() == degree * step
    assert weights.max() <= step
    assert weights.min() >= 0


def test_best_marks_the_largest_of_each_row() -> None:
    values = np.random.default_rng(0).random((50, 9))
    taken = best(values, 4)
    np.testing.assert_array_equal(taken.sum(axis=1), 4)
    for row, marks in zip(values, taken, strict=True):
        assert row[marks].min() > row[~marks].max()
    assert best(values, 20).all()


def test_caps_of_a_matching_bind_and_scale_with_tightness() -> None:
    market = matching(users=5_000, degree=20, campaigns=200, size=3, tightness=0.9)
    _, item, columns = market.block(0)
    natural = np.bincount(item[best(columns["value"].reshape(-1, 20), 3).ravel()], minlength=200)
    assert market.caps.shape == (200,)
    assert market.caps.min() >= 1
    assert 0.3 < (natural > market.caps).mean() < 0.95  # some bind, some do not
    twice = matching(users=5_000, degree=20, campaigns=200, size=3, tightness=1.8)
    np.testing.assert_allclose(twice.caps[market.caps > 1], 2 * market.caps[market.caps > 1])


def _month_totals(market: Market, tilt: dict[str, float], weight: float) -> tuple[np.ndarray, float]:
    """Exposure of items, and relevance, if everyone takes the best by a tilted value."""
    exposure, relevance = np.zeros(market.n_items), 0.0
    labels = market.item_attributes()["campaign"]
    bonus = np.array([tilt.get(label, 0.0) for label in labels])
    for _, item, columns in market.blocks():
        value = columns["relevance"] + weight * columns["promotion"] + bonus[item]
        shown = best(value.reshape(-1, market.degree), market.size).ravel()
        exposure += np.bincount(item[shown], minlength=market.n_items)
        relevance += float(columns["relevance"][shown].sum(dtype=np.float64))
    return exposure, relevance


def test_what_a_month_promises_is_more_than_value_alone_delivers() -> None:
    market = month(users=4_000)
    policy = market.policy
    exposure, _ = _month_totals(market, {}, market.promotion_weight)
    labels = market.item_attributes()["campaign"].astype(str)
    delivered = {name: exposure[labels == name].sum() for name in policy.caps}
    below = [name for name, floor in policy.floors.items() if delivered[name] < floor]
    above = [name for name, cap in policy.caps.items() if delivered[name] > cap]
    assert len(below) >= 0.4 * len(policy.floors)
    assert len(above) >= 0.15 * len(policy.caps)
    licensor = market.item_attributes()["licensor"].astype(str)
    share = max(exposure[licensor == name].sum() for name in set(licensor)) / exposure.sum()
    assert share > policy.licensor_limit
    assert all(policy.caps[name] >= floor for name, floor in policy.floors.items())
    assert 0.95 <= policy.guard <= 0.985


def test_organic_relevance_is_the_best_by_relevance_alone() -> None:
    market = month(users=300, degree=20, campaigns=4)
    _, relevance = _month_totals(market, {}, 0.0)
    assert market.policy.organic == pytest.approx(relevance, rel=1e-12)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_month_can_meet_all_its_demands(seed: int) -> None:
    import oasis_alloc as oa

    solution = oa.solve(month(users=400, degree=30, campaigns=8, seed=seed).problem(), gap=1e-4)
    assert solution.status is oa.Status.SOLVED
    assert solution.violation <= 1e-6


def test_a_matching_states_its_own_problem() -> None:
    import oasis_alloc as oa

    market = matching(users=300, degree=20, campaigns=40)
    solution = oa.solve(market.problem(), gap=1e-4)
    assert solution.status is oa.Status.SOLVED
    shown = np.bincount(market.candidates().item, weights=np.asarray(solution.allocation), minlength=market.campaigns)
    assert (shown <= market.caps * (1 + 1e-6)).all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: matching(0, 5, 10), ["users=0", "at least 1"]),
        (lambda: matching(10, 20, 10), ["degree=20", "10", "lower the degree"]),
        (lambda: matching(10, 5, 10, size=0), ["size=0"]),
        (lambda: matching(10, 5, 10, tightness=0.0), ["tightness=0.0", "positive"]),
        (lambda: matching(10, 5, 10, tightness=float("nan")), ["tightness=nan"]),
        (lambda: matching(10, 5, 10, seed=-1), ["seed=-1"]),
        (lambda: month(users=2.5), ["users=2.5", "integer"]),  # type: ignore[arg-type]
        (lambda: month(campaigns=0), ["campaigns=0"]),
        (lambda: matching(10, 5, 10).block(1), ["block 1", "1 block"]),
    ],
)
def test_what_cannot_be_made_is_refused(make, words: list[str]) -> None:
    with pytest.raises(InputError) as error:
        make()
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize("users", [10_000, *full_only(100_000)])
def test_ten_million_pairs_are_made_within_seconds(users: int) -> None:
    """Or a tenth of them."""
    market = matching(users=users, degree=100, campaigns=2_000)
    start = time.perf_counter()
    pairs = sum(len(block.item) for block in market.blocks())
    assert pairs == 100 * users
    assert time.perf_counter() - start < 10  # 0.5 s when measured alone; machines that test are busy
