"""Whole slates drawn from allocations: exact marginals, slates within their rules, alike on any number of threads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from draws import Stream
from effort import full_only
from hypothesis import given
from hypothesis import strategies as st

import oasis_alloc as oa
from oasis_alloc.data.multi_keys import MultiKey
from oasis_alloc.engines.shown import NonZeros
from oasis_alloc.errors import InputError, SolverError
from oasis_alloc.kernels._jit import jit
from oasis_alloc.kernels.draw import rounding as kernels
from oasis_alloc.kernels.draw.sample import ONE
from oasis_alloc.kernels.literals import not_literal
from oasis_alloc.results import draw_blocks as drawing

Array = np.ndarray[Any, Any]
DRAWS = 40_000

# (n_systems, n_items): artists within genres, the last items of no artist or of neither
NESTED = np.array([[0, 0, 1, 1, 2, -1, -1, 2], [0, 0, 0, 0, 1, 1, -1, 1]], np.int32)


def slots(x: Array, size: int, least: int = 0) -> kernels.Slots:
    """One user of all items."""
    return kernels.Slots(
        np.array([0, x.size]), np.arange(x.size), np.asarray(x, float), np.array([size]), np.array([least])
    )


def lists(categories: list[list[int]], most: list[int]) -> tuple[kernels.Lists, int]:
    start = np.cumsum([0, *map(len, categories)]).astype(np.int64)
    of = np.array([c for mine in categories for c in mine], np.int64)
    return kernels.Lists(start, of, np.array(most, np.int64)), max(map(len, categories))


def nested(x: Array, most: Array, size: int, seed: int, least: int = 0) -> Array:
    shown = np.zeros(x.size, np.bool_)
    kernels.round_nested(0, 1, slots(x, size, least), NESTED[:, : x.size].copy(), most, 3, seed, shown)
    return shown


def nested_twin(x: Array, of: Array, seed: int) -> Array:
    """Duels level by level, in Python's whole numbers; no caps, which only cut what rounding adds."""
    stream = Stream(seed, 0)
    left = [int(v * ONE) for v in x.tolist()]
    shown = [q == ONE for q in left]
    open_ = [i for i, q in enumerate(left) if 0 < q < ONE]
    for level in [*of.tolist(), [0] * x.size]:
        holder: dict[int, int] = {}
        later = []
        for i in open_:
            c = level[i]
            if c < 0:
                later.append(i)
                continue
            if c not in holder:
                holder[c] = i
                continue
            j = holder.pop(c)
            total = left[i] + left[j]
            of_all, winning = (total, left[j]) if total <= ONE else (2 * ONE - total, ONE - left[i])
            won, lost = (j, i) if stream.uniform() * float(of_all) < float(winning) else (i, j)
            left[won] = min(total, ONE)
            left[lost] = total - left[won]
            shown[won] = left[won] == ONE
            rest = lost if shown[won] else won
            if left[rest]:
                holder[c] = rest
        open_ = later + sorted(holder.values())
    for i in open_:
        shown[i] = stream.uniform() * ONE < left[i]
    return np.array(shown)


probabilities = st.lists(
    st.one_of(st.floats(0, 1), st.sampled_from([0.0, 1.0, 0.5, 0.25, 1e-9])), min_size=8, max_size=8
).map(np.array)


@given(x=probabilities, seed=st.integers(0, 2**63 - 1))
def test_nested_categories_end_with_floor_or_ceil_of_their_sums(x: Array, seed: int) -> None:
    shown = nested(x, np.array([8, 8]), 8, seed)
    assert (shown == nested_twin(x, NESTED, seed)).all()
    units = np.array([int(v * ONE) for v in x], object)
    for level in [*NESTED, np.zeros(8, int)]:
        for c in set(level.tolist()) - {-1}:
            total, count = int(sum(units[level == c])), int(shown[level == c].sum())
            assert total // ONE <= count <= -(-total // ONE)


@given(x=probabilities, seed=st.integers(0, 2**63 - 1), excess=st.sampled_from([0.0, 1e-12, 1e-8]))
def test_caps_hold_where_rounding_puts_a_sum_above_them(x: Array, seed: int, excess: float) -> None:
    most = np.array([1, 2])
    for k, level in enumerate(NESTED):
        for c in set(level.tolist()) - {-1}:
            mine = level == c
            x[mine] *= min(1.0, (most[k] + excess) / max(x[mine].sum(), 1e-300))
    x *= min(1.0, (3 + excess) / max(x.sum(), 1e-300))
    shown = nested(x, most, 3, seed)
    assert shown.sum() <= 3
    for k, level in enumerate(NESTED):
        assert all(shown[level == c].sum() <= most[k] for c in set(level.tolist()) - {-1})


def test_slots_that_must_be_filled_are_where_rounding_leaves_a_sum_below() -> None:
    x = np.array([0.5, 0.5 - 1e-9, 0.5, 0.5])
    assert {int(nested(x, np.array([8, 8]), 3, seed, least=2).sum()) for seed in range(300)} == {2}


CROSSING = lists([[0, 3], [0, 4], [1, 3], [1, 4], [2, 3], [2, 4], [0, 3], [1]], [1, 1, 1, 2, 1])
SEVERAL = lists([[0, 1], [1, 2], [0, 2], [0, 1, 2], [], [0], [2, 3], [3]], [1, 1, 1, 1])
GIVEN = {"two keys that cross": (CROSSING, 2), "several labels": (SEVERAL, 3)}


def row_sums(categories: kernels.Lists, x: Array) -> Array:
    item = np.repeat(np.arange(x.size), np.diff(categories.start))
    return np.bincount(categories.of, x[item], categories.most.size)


def within(x: Array, categories: kernels.Lists, size: int) -> Array:
    """x scaled down until all rules hold."""
    for c, most in enumerate(categories.most):
        item = np.repeat(np.arange(x.size), np.diff(categories.start))
        mine = item[categories.of == c]
        x[mine] *= min(1.0, most / max(x[mine].sum(), 1e-300))
    return x * min(1.0, size / max(x.sum(), 1e-300))


def crossing(x: Array, given_: tuple[kernels.Lists, int], size: int, seed: int, least: int = 0) -> Array:
    shown = np.zeros(x.size, np.bool_)
    kernels.round_crossing(0, 1, slots(x, size, least), given_[0], given_[1], seed, shown)
    return shown


@given(x=probabilities, seed=st.integers(0, 2**63 - 1))
def test_two_keys_that_cross_keep_floor_or_ceil_of_all_sums(x: Array, seed: int) -> None:
    categories, size = CROSSING[0], 2
    x = within(x, categories, size)
    shown = crossing(x, CROSSING, size, seed)
    for total, found in [
        *zip(row_sums(categories, x), row_sums(categories, shown), strict=True),
        (x.sum(), shown.sum()),
    ]:
        assert np.floor(total + 1e-6) <= found <= np.ceil(total - 1e-6)
    assert not shown[x == 0.0].any()
    assert shown[x == 1.0].all()


@given(x=probabilities, seed=st.integers(0, 2**63 - 1))
def test_several_labels_keep_the_size_and_are_over_a_cap_by_one_at_the_most(x: Array, seed: int) -> None:
    x = within(x, SEVERAL[0], 3)
    shown = crossing(x, SEVERAL, 3, seed)
    assert shown.sum() <= 3
    assert (row_sums(SEVERAL[0], shown) <= SEVERAL[0].most + 1).all()


@jit
def many(slot: Any, categories: Any, widest: int, of: Any, most: Any, draws: int, times: Any) -> None:
    # the same types as elsewhere, for which the kernels are compiled
    first, last, size = not_literal(0), not_literal(1), not_literal(3)
    shown = np.zeros(slot.x.size, np.bool_)
    for seed in range(draws):
        if widest > 0:
            kernels.round_crossing(first, last, slot, categories, widest, seed, shown)
        else:
            kernels.round_nested(first, last, slot, of, most, size, seed, shown)
        for i in range(shown.size):
            times[i] += shown[i]


@pytest.mark.few(1)
@pytest.mark.parametrize("name", [*full_only("nested"), *GIVEN])
def test_every_pair_is_shown_as_often_as_it_should(name: str) -> None:
    x = np.array([0.9, 0.03, 0.6, 0.45, 0.5, 0.77, 0.31, 0.12])
    categories, widest = GIVEN[name][0] if name in GIVEN else (CROSSING[0], 0)
    size = GIVEN[name][1] if name in GIVEN else 8
    if widest:
        x = within(x, categories, size)
    times = np.zeros(x.size)
    many(slots(x, size), categories, widest, NESTED, np.array([8, 8]), DRAWS, times)
    assert (np.abs(times / DRAWS - x) <= 5 * np.sqrt(x * (1 - x) / DRAWS) + 1e-12).all()


# whole problems


def market(n_users: int = 40, n_items: int = 12, seed: int = 0, **items: Any) -> oa.Candidates:
    rng = np.random.default_rng(seed)
    item = np.concatenate([rng.permutation(n_items)[:8] for _ in range(n_users)])
    keys: dict[str, Any] = {"artist": np.arange(n_items) // 2, "genre": np.arange(n_items) // 4, **items}
    indptr = np.arange(0, 8 * n_users + 1, 8)
    columns = {name: rng.uniform(0.1, 1, item.size) for name in ("relevance", "other")}
    return oa.Candidates.from_arrays(indptr, item, columns, items={**keys, "campaign": np.arange(n_items) % 5})


def mixed(cands: oa.Candidates, slate: oa.Slate, *rules: Any) -> oa.Solution:
    """A solution whose allocation is a mixture of the best slates for four blends: nearly all of it is fractional."""
    x = np.zeros(cands.n_pairs)
    for share, weight in zip((0.4, 0.3, 0.2, 0.1), (0.0, 0.5, 1.0, 2.0), strict=True):
        objective = oa.total("relevance") + weight * oa.total("other")
        found = oa.solve(oa.Problem(cands, objective, rules, slate))
        x += share * found.allocation
    shown = np.flatnonzero(x)
    return replace(found, _nonzeros=NonZeros(shown, np.minimum(x[shown], 1.0)))


GENRES = [["a", "b"], ["b"], ["c", "a"], [], ["b", "c"], ["a"], ["c"], ["a", "b", "c"], [], ["b"], ["c"], ["a"]]
SLATES = {
    "size alone": (oa.Slate(3), {}),
    "by user": (oa.Slate(np.arange(40) % 4), {}),
    "categories that nest": (oa.Slate(3, at_most={"artist": 1, "genre": 2}, at_least=2), {}),
    "diminishing": (oa.Slate(3, diminishing={"genre": 0.1}), {}),
    "categories that cross": (oa.Slate(3, at_most={"artist": 1, "genre": 2}), {"genre": np.arange(12) % 3}),
    "several labels": (oa.Slate(3, at_most={"genre": 2}), {"genre": GENRES}),
}


@pytest.fixture(scope="module", params=list(SLATES))
def solution(request: pytest.FixtureRequest) -> oa.Solution:
    slate, keys = SLATES[request.param]
    return mixed(market(**keys), slate)


def members(cands: oa.Candidates, key: str) -> tuple[Array, Array]:
    """(pair, category) of every category of every pair."""
    found = [(p, c) for p, i in enumerate(cands.item) for c in labels(cands, key, int(i))]
    return np.array([p for p, _ in found]), np.array([c for _, c in found])


def labels(cands: oa.Candidates, key: str, item: int) -> Array:
    indptr, codes = cands.items[key].membership()
    return codes[indptr[item] : indptr[item + 1]]


@pytest.mark.few(2)
@pytest.mark.parametrize("draws", [75, *full_only(300)])
def test_slates_of_a_solution_keep_its_rules_and_its_marginals(solution: oa.Solution, draws: int) -> None:
    cands, slate, x = solution.problem.candidates, solution.problem.slate, solution.allocation
    fractional = (x > 1e-9) & (x < 1 - 1e-9)
    assert np.count_nonzero(fractional) >= 40, "something is left to draw"
    user = cands.user_of(np.arange(x.size))
    mass = np.bincount(user, x, cands.n_users)
    several = isinstance(cands.items["genre"], MultiKey)
    groups = {key: members(cands, key) for key in slate.keys}
    times = np.zeros(x.size)
    for seed in range(draws):
        slates = solution.round(rng=seed)
        assert (slates.propensity == x[slates.pairs]).all()
        shown = np.zeros(x.size)
        shown[slates.pairs] = 1
        times += shown
        count = np.bincount(user, shown, cands.n_users)
        assert (count <= slate.size).all()
        assert (count >= slate.at_least).all()
        assert (np.abs(count - mass) < 1 + 1e-9).all()
        for key, (pair, category) in groups.items():
            found = np.bincount(user[pair] * 12 + category, shown[pair])
            if key in slate.at_most:
                assert found.max() <= slate.at_most[key] + several
            if not several:
                assert (np.abs(found - np.bincount(user[pair] * 12 + category, x[pair])) < 1 + 1e-9).all()
    assert (np.abs(times / draws - x) <= 5.5 * np.sqrt(x * (1 - x) / draws) + 1e-9).all()


def test_what_slates_are_worth_is_what_their_pairs_add_up_to() -> None:
    cands = market()
    caps = (oa.exposure(by="campaign") <= 12.4).named("caps")
    spread = oa.square_deviation(oa.exposure(by="campaign"), 8.0)
    problem = oa.Problem(cands, oa.total("relevance") - 0.01 * spread, caps, oa.Slate(3, diminishing={"genre": 0.1}))
    slates = replace(mixed(cands, problem.slate), problem=problem).round(rng=3)
    user, item = cands.user_of(slates.pairs), cands.item[slates.pairs]
    totals = np.bincount(cands.items["campaign"].codes[item], minlength=5)
    assert slates.totals["caps"].tolist() == totals.tolist()
    n = np.bincount(user * 3 + cands.items["genre"].codes[item])
    linear = cands.columns["relevance"][slates.pairs].sum() - 0.1 * (n * (n - 1) / 2).sum()
    assert slates.value == pytest.approx(linear - 0.005 * ((totals - 8.0) ** 2).sum())
    assert slates.violation == pytest.approx(np.maximum(1.0 - 12.4 / totals, 0).max())
    assert slates.violation > 0, "limits on totals hold on average"
    assert slates.indptr.tolist() == [0, *np.cumsum(np.bincount(user, minlength=40))]
    frame = slates.to_frame("pyarrow").to_pydict()
    assert frame["propensity"] == slates.propensity.tolist()
    assert frame["item"] == item.tolist()


def test_decrements_take_what_they_take_from_the_allocation_on_average() -> None:
    found = mixed(market(), oa.Slate(3, diminishing={"genre": 0.1}))
    cands, x = found.problem.candidates, found.allocation
    group = cands.user_of(np.arange(x.size)) * 3 + cands.items["genre"].codes[cands.item]
    mass = np.bincount(group, x)
    whole = np.floor(mass + 1e-9)
    expected = (0.1 * (whole * (whole - 1) / 2 + whole * (mass - whole))).sum()
    paid = []
    for seed in range(300):
        n = np.bincount(group[found.round(rng=seed).pairs])
        paid.append(0.1 * (n * (n - 1) / 2).sum())
    assert abs(np.mean(paid) - expected) <= 5 * np.std(paid) / np.sqrt(300)


@pytest.mark.parametrize("name", ["categories that nest", "categories that cross"])
def test_a_users_slate_depends_on_the_seed_and_the_user_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    slate, keys = SLATES[name]
    found = mixed(market(**keys), slate)
    whole = found.round(rng=5)
    monkeypatch.setattr(drawing, "_BLOCK", 7)
    assert (found.round(rng=5).pairs == whole.pairs).all()
    assert found.round(rng=6).pairs.tolist() != whole.pairs.tolist()
    generator = np.random.default_rng(1)
    drawn = found.round(rng=generator)
    assert (found.round(rng=drawn.seed).pairs == drawn.pairs).all()
    assert drawn.seed != found.round(rng=generator).seed
    assert repr(whole).startswith(f"Rounded({whole.pairs.size} pairs shown")


def test_an_allocation_of_whole_slates_is_itself() -> None:
    found = oa.solve(oa.Problem(market(), oa.total("relevance"), slate=oa.Slate(2, at_most={"artist": 1})))
    slates = found.round()
    assert slates.pairs.tolist() == found.pairs.tolist()
    assert slates.value == pytest.approx(found.value)


def test_what_cannot_be_drawn_is_refused() -> None:
    cands = market(4)
    conflict = oa.solve(oa.Problem(cands, oa.total("relevance"), oa.exposure() >= 100, oa.Slate(1)))
    with pytest.raises(SolverError, match="infeasible"):
        conflict.round()
    whole = oa.solve(oa.Problem(cands, oa.total("relevance"), slate=oa.Slate(2)))
    for rng in (-1, 2**63, 0.5, "x", None, True, np.random.RandomState(0)):
        with pytest.raises(InputError, match="whole number from 0"):
            whole.round(rng=rng)  # type: ignore[arg-type]
