"""Orderings drawn where slots count by position: their mean is the attention x, and each keeps the rules."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from crossing import crossed
from effort import examples, full_only
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from test_rounding import lists, market, mixed

import oasis_alloc as oa
from oasis_alloc.errors import ProblemError
from oasis_alloc.kernels.draw import ranking as kernels
from oasis_alloc.kernels.draw.rounding import Slots
from oasis_alloc.results import draw_blocks as drawing

Array = np.ndarray[Any, Any]
Family = list[tuple[int, int, int]]  # first item, one past the last, cap

SIZE, N = 4, 9
WEIGHTS = [[1.0, 0.7, 0.5, 0.2], [1.0, 1.0, 0.5, 0.5], [0.9, 0.9, 0.9, 0.9], [1.0, 0.1, 1e-3, 1e-3]]
FAMILIES: list[Family] = [
    [],
    [(0, 3, 1), (3, 6, 1), (6, 9, 1)],
    [(0, 2, 1), (0, 5, 2), (5, 8, 1)],
    [(1, 9, 3), (1, 6, 2), (2, 4, 1), (6, 9, 1), (6, 9, 2)],
]


def categories(family: Family) -> kernels.Categories:
    first, last, most = np.array(family, np.int64).reshape(-1, 3).T.copy()
    return kernels.Categories(first, last, most)


def fits(family: Family, slate: list[int]) -> bool:
    return all(sum(first <= i < last for i in slate) <= most for first, last, most in family)


def ordering(rng: Any, family: Family, size: int) -> list[int]:
    """As many items as fit, up to `size`, in a random order."""
    slate: list[int] = []
    for i in rng.permutation(N).tolist():
        if len(slate) < size and fits(family, [*slate, i]):
            slate.append(i)
    return slate


def decomposed(x: Array, size: int, least: int, weights: Array, family: Family) -> tuple[list[list[int]], Array]:
    slates, share = np.full((x.size + 2, size), -7), np.zeros(x.size + 2)
    found = kernels.decompose(x, size, least, weights, categories(family), slates, share)
    return [[i for i in slate if i >= 0] for slate in slates[:found].tolist()], share[:found]


def mean(slates: list[list[int]], share: Array, weights: Array, n: int = N) -> Array:
    out = np.zeros(n)
    for slate, part in zip(slates, share, strict=True):
        out[slate] += part * weights[: len(slate)]
    return out


@st.composite
def attention(draw: st.DrawFn) -> tuple[Array, Array, Family]:
    """(x, what places count, categories): every level of slots a mixture of slates of its own, as in the solve."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights, family = np.array(draw(st.sampled_from(WEIGHTS))), draw(st.sampled_from(FAMILIES))
    x = np.zeros(N)
    for k, fall in enumerate(weights - np.append(weights[1:], 0.0)):
        shares = rng.dirichlet(np.ones(draw(st.integers(1, 4))))
        for part in shares:
            x[ordering(rng, family, draw(st.integers(0, k + 1)))] += part * fall
    return x, weights, family


@settings(max_examples=examples(300))
@given(case=attention())
def test_orderings_have_the_attention_as_their_mean(case: tuple[Array, Array, Family]) -> None:
    x, weights, family = case
    slates, share = decomposed(x, SIZE, 0, weights, family)
    assert (share >= 0).all()
    assert share.sum() == pytest.approx(1.0, abs=1e-12)
    assert len(slates) <= np.count_nonzero(x) + 1
    np.testing.assert_allclose(mean(slates, share, weights), x, rtol=0, atol=1e-9)
    full = np.concatenate([[0.0], np.cumsum(weights)])
    lengths = [k for k in range(SIZE) if full[k] <= x.sum() + 1e-9 and x.sum() <= full[k + 1] + 1e-9]
    for slate in slates:
        assert len(set(slate)) == len(slate)
        assert fits(family, slate)
        assert any(len(slate) in (k, k + 1) for k in lengths), "as long as floor or ceil of what x fills"


@settings(max_examples=examples(100))
@given(seed=st.integers(0, 2**32 - 1), least=st.integers(0, SIZE), weights=st.sampled_from(WEIGHTS[:3]))
def test_every_ordering_fills_the_slots_that_must_be(seed: int, least: int, weights: list[float]) -> None:
    rng, family, places = np.random.default_rng(seed), FAMILIES[2], np.array(weights)
    given_ = [slate for slate in (ordering(rng, family, SIZE) for _ in range(6)) if len(slate) >= least]
    short = [slate[: max(least, 1)] for slate in given_]
    both = [*given_, *short]
    x = mean(both, rng.dirichlet(np.ones(len(both))), places)
    for excess in (0.0, 1e-10, -1e-10):  # what solvers may have missed limits by
        slates, share = decomposed(x * (1.0 + excess), SIZE, least, places, family)
        assert all(least <= len(slate) <= SIZE and fits(family, slate) for slate in slates)
        np.testing.assert_allclose(mean(slates, share, places), x, rtol=0, atol=2e-9)


def test_an_ordering_is_itself() -> None:
    for size, weights in ((4, WEIGHTS[0]), (3, WEIGHTS[3])):
        slate = [4, 8, 0, 6][:size]
        x = mean([slate], np.ones(1), np.array(weights))
        slates, share = decomposed(x, size, 0, np.array(weights), FAMILIES[1][:1])
        assert (slates, share.tolist()) == ([slate], [1.0])
    assert decomposed(np.zeros(3), 2, 0, np.ones(2), [])[0] == [[]]
    assert decomposed(np.full(3, 1e-14), 0, 0, np.ones(2), [])[0] == [[]]


def test_a_mean_that_is_missed_by_rounding_is_scaled_down() -> None:
    weights = np.array([1.0, 0.5])
    slates, share = decomposed(np.array([1.0 + 1e-7, 0.25, 0.25]), 2, 0, weights, [])
    assert all(len(slate) == 2 for slate in slates)
    np.testing.assert_allclose(mean(slates, share, weights, 3), [1.0, 0.25, 0.25], atol=2e-7)


def places_of(x: Array, given_: tuple[Any, int], weights: Array, seeds: int) -> tuple[Array, Any]:
    """(how often each pair is at each place, the last draw) of one user of all items."""
    n = x.size
    slots = Slots(np.array([0, n]), np.arange(n), x, np.array([weights.size]), np.array([0]))
    often = np.zeros((n, weights.size))
    for seed in range(seeds):
        drawn = kernels.Drawn(np.full(n, -1), np.zeros(n), np.zeros(n))
        assert kernels.round_ranked(0, 1, slots, given_[0], weights, seed, drawn, np.zeros(2, np.int64)) == -1
        shown = drawn.place >= 0
        often[shown, drawn.place[shown]] += 1
    return often / seeds, drawn


@pytest.mark.full
def test_pairs_are_at_their_places_as_often_as_they_should() -> None:
    """Artists of a track and their genre, not in the order of the items: a b a c b - of which c and - have none."""
    given_ = lists([[0, 2], [1, 2], [0, 2], [3], [1, 2], []], [1, 1, 2, 5])
    weights = np.array([1.0, 0.6, 0.3])
    x = mean([[0, 1, 3], [2, 4, 5], [3, 1, 0], [5, 0]], np.array([0.4, 0.3, 0.2, 0.1]), weights, 6)
    draws = 20_000
    often, drawn = places_of(x, given_, weights, draws)
    assert (np.abs(often @ weights - x) <= 5 * 0.5 / np.sqrt(draws)).all()
    noise = 5 * np.sqrt(drawn.chance * (1 - drawn.chance) / draws) + 1e-12
    assert (np.abs(often.sum(axis=1) - drawn.chance) <= noise).all()
    shown = np.flatnonzero(drawn.place >= 0)
    at = drawn.at_place[shown]
    assert (np.abs(often[shown, drawn.place[shown]] - at) <= 5 * np.sqrt(at * (1 - at) / draws) + 1e-12).all()
    assert 0 < at.min() <= at.max() < 1


# whole problems

POSITIONS = [1.0, 0.6, 0.6, 0.3]
SLATES = {
    "size alone": oa.Slate(4, slot_weights=POSITIONS),
    "by user": oa.Slate(np.arange(40) % 5, slot_weights=POSITIONS),
    "categories that nest": oa.Slate(4, at_most={"artist": 1, "genre": 2}, at_least=2, slot_weights=POSITIONS),
    "diminishing": oa.Slate(4, diminishing={"genre": 0.1}, slot_weights=POSITIONS),
    "a share kept": oa.Slate(4, at_most={"genre": 2}, keep={"relevance": 0.9}, slot_weights=POSITIONS),
}


def expected(slates: Any) -> Array:
    """What the places of a draw count, by pair."""
    out = np.zeros(slates.solution.problem.candidates.n_pairs)
    out[slates.pairs] = np.array(POSITIONS)[slates.place]
    return out


@pytest.mark.few(2)
@pytest.mark.parametrize("draws", [75, *full_only(300)])
@pytest.mark.parametrize("name", list(SLATES))
def test_slates_of_a_solution_keep_its_rules_and_its_attention(name: str, draws: int) -> None:
    slate = SLATES[name]
    found = mixed(market(), slate)
    cands, x = found.problem.candidates, found.allocation
    away = np.abs(x[:, None] - [0.0, *POSITIONS]).min(axis=1)
    assert np.count_nonzero(away > 1e-6) >= 40, "something is left to draw"
    user, genre = cands.user_of(np.arange(x.size)), cands.items["genre"].codes[cands.item]
    artist = cands.items["artist"].codes[cands.item]
    total, chance = np.zeros(x.size), np.zeros(x.size)
    shown_often = np.zeros(x.size)
    for seed in range(draws):
        slates = found.round(rng=seed)
        total += expected(slates)
        shown = np.zeros(x.size)
        shown[slates.pairs] = 1
        shown_often += shown
        chance[slates.pairs] = slates.propensity
        count = np.bincount(user, shown, 40)
        assert (count <= slate.size).all()
        assert (count >= slate.at_least).all()
        for key, category in (("artist", artist), ("genre", genre)):
            assert np.bincount(user * 12 + category, shown).max() <= slate.at_most.get(key, 9)
        for u in range(40):
            mine = slates.place[slates.indptr[u] : slates.indptr[u + 1]]
            assert sorted(mine) == list(range(mine.size)), "each place once, from the first on"
        assert (slates.place_propensity <= slates.propensity + 1e-12).all()
        assert (slates.place_propensity > 0).all()
    assert (np.abs(total / draws - x) <= 5.5 * 0.5 / np.sqrt(draws)).all()
    assert (np.abs(shown_often / draws - chance) <= 5.5 * np.sqrt(chance * (1 - chance) / draws) + 1e-9).all()


def test_what_slates_are_worth_counts_places() -> None:
    cands = market()
    caps = (oa.exposure(by="campaign") <= 18.0).named("caps")
    slate = oa.Slate(4, diminishing={"genre": 0.1}, slot_weights=POSITIONS)
    supply = 1.0 + np.arange(40) % 3
    problem = oa.Problem(cands, oa.total("relevance"), caps, slate, supply=supply)
    slates = replace(mixed(cands, slate), problem=problem).round(rng=3)
    user, item = cands.user_of(slates.pairs), cands.item[slates.pairs]
    counts = expected(slates)[slates.pairs] * supply[user]
    totals = np.bincount(cands.items["campaign"].codes[item], counts, 5)
    np.testing.assert_allclose(slates.totals["caps"], totals)
    paid = 0.0
    for size, fall in ((1, 0.4), (3, 0.3), (4, 0.3)):
        mine = slates.place < size
        n = np.bincount(user[mine] * 3 + cands.items["genre"].codes[item[mine]], minlength=120)
        paid += fall * 0.1 * (np.repeat(supply, 3) * n * (n - 1) / 2).sum()
    assert slates.value == pytest.approx(float(cands.columns["relevance"][slates.pairs] @ counts) - paid)
    frame = slates.to_frame("pyarrow").to_pydict()
    assert frame["place"] == slates.place.tolist()
    assert frame["place_propensity"] == slates.place_propensity.tolist()


def test_where_nothing_binds_the_order_is_that_of_the_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    cands = market()
    slate = oa.Slate(4, at_most={"artist": 1, "genre": 2}, slot_weights=[1.0, 0.6, 0.5, 0.3])
    found = oa.solve(oa.Problem(cands, oa.total("relevance"), slate=slate))
    slates, policy = found.round(), found.policy()
    assert slates.value == pytest.approx(found.value)
    assert slates.propensity.tolist() == slates.place_propensity.tolist() == [1.0] * slates.pairs.size
    for u in range(40):
        mine = slice(int(cands.indptr[u]), int(cands.indptr[u + 1]))
        best = policy.select(cands.item[mine], {"relevance": cands.columns["relevance"][mine]}, u)
        own = slice(*slates.indptr[u : u + 2])
        assert (slates.pairs[own][np.argsort(slates.place[own])] - cands.indptr[u]).tolist() == best.tolist()
    drawn = mixed(cands, SLATES["by user"])
    whole = drawn.round(rng=5)
    monkeypatch.setattr(drawing, "_BLOCK", 7)
    again = drawn.round(rng=5)
    assert (again.pairs == whole.pairs).all()
    assert (again.place == whole.place).all()
    assert drawn.round(rng=6).pairs.tolist() != whole.pairs.tolist()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"artist": ["a", "a", "b"], "genre": ["x", "y", "x"]}, "items of artist 'a' and of genre 'x'"),
        ({"genre": [["x", "y"], ["x"], ["y"]]}, "items of genre 'x' and of genre 'y'"),
    ],
)
def test_where_categories_cross_there_may_be_no_orderings(keys: Any, words: str) -> None:
    found = crossed(**keys)
    np.testing.assert_allclose(found.allocation, 0.5, atol=1e-6)
    weights = np.array([1.0, 0.5])
    slates = [list(s) for m in range(3) for s in itertools.permutations(range(3), m) if m < 2 or 0 not in s]
    reached = np.array([mean([slate], np.ones(1), weights, 3) for slate in slates])
    rows = np.vstack([reached.T, np.ones(len(slates))])
    mixture = linprog(np.zeros(len(slates)), A_eq=rows, b_eq=[0.5, 0.5, 0.5, 1.0], method="highs")
    assert mixture.status == 2, "no mixture of slates within the caps has this mean"
    with pytest.raises(ProblemError, match=words) as refused:
        found.round()
    assert "user 'ann' mixes" in str(refused.value)
    assert "nested keys" in str(refused.value)


def test_categories_that_cross_are_drawn_where_nobody_mixes_them() -> None:
    slate = oa.Slate(3, at_most={"artist": 1, "genre": 3}, slot_weights=[1.0, 0.6, 0.6])
    found = mixed(market(genre=np.arange(12) % 3), slate)
    slates = found.round(rng=1)
    assert np.bincount(found.problem.candidates.user_of(slates.pairs)).max() <= 3
