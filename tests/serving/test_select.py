"""Slates from a policy: the problem's own rules, pins, exclusions and ties, against all slates there are."""

from __future__ import annotations

import itertools
from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from served import N_USERS, at_random_prices, attributes_of, policy, request, solved

import oasis_alloc as oa

Array = np.ndarray[Any, Any]
INF = np.inf


def worth(problem: oa.Problem, items: Array, scores: Array, slate: Any) -> float:
    """Scores less decrements, minus infinity where a cap is broken: from the statement alone."""
    total = float(sum(scores[i] for i in slate))
    for key in problem.slate.keys:
        indptr, codes = problem.candidates.items[key].membership()
        counts = np.bincount(
            np.concatenate([codes[indptr[items[i]] : indptr[items[i] + 1]] for i in [*slate]] or [[]]).astype(int)
        )
        if counts.max(initial=0) > problem.slate.at_most.get(key, 99):
            return -INF
        step = problem.slate.diminishing.get(key, 0.0)
        steps = step * np.arange(9) if isinstance(step, float) else step[np.minimum(np.arange(9), step.size - 1)]
        total -= float(sum(steps[:count].sum() for count in counts))
    return total


def slates(n: int, least: int, most: int, among: Any = None) -> Any:
    of = range(n) if among is None else among
    return itertools.chain.from_iterable(itertools.combinations(of, m) for m in range(least, most + 1))


@settings(max_examples=examples(25))
@given(seed=st.integers(0, 10**6), u=st.integers(0, N_USERS - 1))
def test_slates_are_the_best_there_are_where_rules_nest(seed: int, u: int) -> None:
    solution = at_random_prices("rules that nest", seed)
    served, problem = solution.policy(), solution.problem
    items, columns = request(problem.candidates, u)
    scores, slate = served.score(items, columns, u), served.select(items, columns, u)
    assert slate.dtype == np.int64
    best = max(worth(problem, items, scores, s) for s in slates(9, 2, 4))
    assert worth(problem, items, scores, slate) == pytest.approx(best, abs=1e-12)


@settings(max_examples=examples(25))
@given(seed=st.integers(0, 10**6), u=st.integers(0, N_USERS - 1), fill=st.booleans())
def test_no_cap_is_ever_broken_where_rules_cross(seed: int, u: int, fill: bool) -> None:
    solution = at_random_prices("rules that cross", seed)
    served, problem = solution.policy(), solution.problem
    items, columns = request(problem.candidates, u)
    scores, slate = served.score(items, columns, u), served.select(items, columns, u, fill=fill)
    mine = worth(problem, items, scores, slate)
    assert mine > -INF
    more = [worth(problem, items, scores, [*slate, i]) for i in range(9) if i not in slate and slate.size < 4]
    assert max(more, default=-INF) <= (-INF if fill else mine + 1e-12), "nothing that is worth a slot is left out"


@settings(max_examples=examples(25))
@given(seed=st.integers(0, 10**6), u=st.integers(0, N_USERS - 1))
def test_everybody_keeps_their_share(seed: int, u: int) -> None:
    solution = at_random_prices("a share kept", seed)
    served, problem = solution.policy(), solution.problem
    items, columns = request(problem.candidates, u)
    relevance = columns["relevance"].astype(float)
    slate = served.select(items, columns, u)
    allowed = [s for s in slates(9, 0, 3) if worth(problem, items, relevance, s) > -INF]
    organic = max(relevance[list(s)].sum() for s in allowed)
    assert relevance[slate].sum() >= 0.9 * organic * (1 - 1e-8)
    assert worth(problem, items, relevance, slate) > -INF
    only = served.select(items, columns, u, exclude=slate)
    left = [i for i in range(9) if i not in slate]
    reach = [s for s in slates(9, 0, 3, left) if worth(problem, items, relevance, s) > -INF]
    assert relevance[only].sum() >= 0.9 * max(relevance[list(s)].sum() for s in reach) * (1 - 1e-8)
    assert not set(only) & set(slate)


def test_a_slate_in_which_nothing_is_at_stake_is_a_sort() -> None:
    solution = at_random_prices("one column", 8)
    served = solution.policy()
    for u in range(N_USERS):
        items, columns = request(solution.problem.candidates, u)
        scores = served.score(items, columns, u)
        order = np.lexsort([items, -scores])
        assert served.select(items, columns, u).tolist() == order[scores[order] > 0][:3].tolist()
        assert served.select(items, columns, u, k=7, fill=True).tolist() == order[:7].tolist()
        assert served.select(items, columns, u, k=99, fill=True).tolist() == order.tolist()
        assert served.select(items, columns, u, k=0).tolist() == []


def simple(**slate: Any) -> oa.Policy:
    """Six items of artists a, a, b, b, none and none."""
    cands = oa.Candidates.from_arrays(
        [0, 6], np.arange(6), {"r": np.ones(6)}, items={"artist": ["a", "a", "b", "b", None, None]},
        item_ids=["t5", "t4", "t3", "t2", "t1", "t0"],
    )  # fmt: skip
    return oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(**slate))).policy()


# Solved when a test asks, not when tests are collected: every worker collects all of them, and would compile for this.
free = cache(partial(simple, size=4))
one_each = cache(partial(simple, size=4, at_most={"artist": 1}))
ever_less = cache(partial(simple, size=4, diminishing={"artist": 0.5}))
R = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])


def test_equal_scores_go_by_id_then_unseen_items_by_position() -> None:
    flat = {"r": np.ones(6)}
    assert free().select(np.arange(6), flat).tolist() == [5, 4, 3, 2]
    assert free().select([5, -1, 0, -1, 3, 1], flat, k=6).tolist() == [0, 4, 5, 2, 1, 3]
    assert one_each().select(np.arange(6), flat).tolist() == [5, 4, 3, 1]
    assert policy("one column").data.rank is None


def test_pinned_items_come_first_and_count() -> None:
    assert one_each().select(np.arange(6), {"r": R}).tolist() == [0, 2, 4, 5]
    assert one_each().select(np.arange(6), {"r": R}, pinned=[3, 5]).tolist() == [3, 5, 0, 4]
    assert one_each().select(np.arange(6), {"r": R}, pinned=[1], exclude=[2, 3]).tolist() == [1, 4, 5]
    assert free().select(np.arange(6), {"r": -R}, pinned=[1]).tolist() == [1]
    assert ever_less().select(np.arange(6), {"r": R}, pinned=[1]).tolist() == [1, 2, 4, 5]


def test_excluded_items_are_never_shown() -> None:
    mask = np.array([True, False, True, False, False, False])
    assert free().select(np.arange(6), {"r": R}, exclude=mask, k=3).tolist() == [1, 3, 4]
    assert one_each().select(np.arange(6), {"r": R}, exclude=np.arange(6)).tolist() == []
    assert free().select(np.arange(6), {"r": R}, exclude=np.arange(6), fill=True).tolist() == []


def test_attributes_of_unseen_items_count_for_caps() -> None:
    unseen = [-1, -1, 2, -1]
    assert one_each().select(unseen, {"r": R[:4]}).tolist() == [0, 1, 2, 3]
    assert one_each().select(unseen, {"r": R[:4]}, artist=["b", "new", "a", None]).tolist() == [0, 1, 3]
    served, cands = policy("rules that cross"), solved("rules that cross").problem.candidates
    for u in range(0, N_USERS, 4):
        items, columns = request(cands, u)
        attributes = attributes_of(cands, items, served.data.item_keys)
        scores, slate = served.score(items, columns), served.select(items, columns)
        if np.unique(scores).size == scores.size:
            assert served.select(np.full(9, -1), columns, **attributes).tolist() == slate.tolist()


def test_slots_that_must_be_filled_are() -> None:
    least = simple(size=4, at_least=2, at_most={"artist": 1})
    assert least.select(np.arange(6), {"r": -R}).tolist() == [5, 4]
    assert least.select(np.arange(6), {"r": -R}, k=1).tolist() == [5]
    assert least.select(np.arange(4), {"r": -R[:4]}, exclude=[2, 3]).tolist() == [1]


def test_users_have_the_sizes_that_they_had_in_the_solve() -> None:
    served, cands = policy("sizes by user"), solved("sizes by user").problem.candidates
    for u in range(N_USERS):
        items, columns = request(cands, u)
        low = {name: -10.0 - column for name, column in columns.items()}
        assert served.select(items, columns, u, fill=True).size == u % 4
        assert served.select(items, low, u).size == min(u % 2, u % 4)
    assert served.select(items, columns, fill=True).size == 3


def test_a_slate_with_positions_is_in_the_order_of_the_scores() -> None:
    served, cands = policy("supply and positions"), solved("supply and positions").problem.candidates
    items, columns = request(cands, 1)
    slate = served.select(items, columns, 1)
    assert (np.diff(served.score(items, columns, 1)[slate]) <= 0).all()
    assert served.data.slate.slot_weights.tolist() == [1.0, 0.6, 0.3]
