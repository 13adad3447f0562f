"""Slates of many users in one call are those of one call per user, whatever the users are given as."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from served import N_USERS, PROBLEMS, at_random_prices, labels_of, policy, request, solved

import oasis_alloc as oa
from oasis_alloc.common.arrays import readonly
from oasis_alloc.serving import formula
from oasis_alloc.serving.batch import scores as batch
from oasis_alloc.serving.batch import slates as batch_slates

Array = np.ndarray[Any, Any]
each_problem = pytest.mark.parametrize("name", list(PROBLEMS))


def one_by_one(served: oa.Policy, cands: oa.Candidates, users: Any, k: int | None = None) -> list[list[int]]:
    """The pairs of every user's slate, by a call a user."""
    return [
        (int(cands.indptr[u]) + served.select(*request(cands, u), user=users(u), k=k)).tolist() for u in range(N_USERS)
    ]


def rows(slates: Array) -> list[list[int]]:
    assert all((row[np.argmin(row >= 0) :] == -1).all() for row in slates if (row < 0).any())
    return [row[row >= 0].tolist() for row in slates]


def all_of(served: oa.Policy, cands: oa.Candidates, users: Any = None, **more: Any) -> list[list[int]]:
    return rows(served.select_batch(cands.indptr, cands.item, cands.columns, users, **more))


@settings(max_examples=examples(40))
@given(name=st.sampled_from(list(PROBLEMS)), seed=st.integers(0, 10**6), k=st.none() | st.integers(0, 12))
def test_a_batch_is_its_users_one_by_one(name: str, seed: int, k: int | None) -> None:
    solution = at_random_prices(name, seed)
    served, cands = solution.policy(), solution.problem.candidates
    scores = np.empty(cands.n_pairs)
    assert all_of(served, cands, np.arange(N_USERS), k=k, scores=scores) == one_by_one(served, cands, int, k)
    np.testing.assert_array_equal(scores, solution.scores())


@pytest.mark.few(3)
@each_problem
def test_users_by_label_in_blocks_and_without_tables_that_are_kept(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    solution = at_random_prices(name, 4)
    cands = solution.problem.candidates
    labels = [labels_of(cands, u) for u in range(N_USERS)]
    for folded in (formula._FOLDED, 1):
        monkeypatch.setattr(formula, "_FOLDED", folded)
        served = solution.policy()
        known = {key: [of[key] for of in labels] for key in served.data.user_keys}
        users = [served.user(**{key: of[key] for key in known}) for of in labels]
        expected = one_by_one(served, cands, users.__getitem__)
        monkeypatch.setattr(batch, "_TABLES", 1 << 22)
        monkeypatch.setattr(batch_slates, "_BLOCK", 1 << 15)
        assert all_of(served, cands, known) == all_of(served, cands, users) == expected
        monkeypatch.setattr(batch, "_TABLES", 2 * served._scorer.formula.size)
        monkeypatch.setattr(batch_slates, "_BLOCK", 40)
        assert all_of(served, cands, known) == all_of(served, cands, users) == expected
        assert all_of(served, cands) == one_by_one(served, cands, lambda u: None)


def test_labels_that_were_never_seen_and_buffers_of_the_caller() -> None:
    served, cands = policy("segments"), solved("segments").problem.candidates
    nowhere = {"market": ["no" if u % 2 else "se" for u in range(N_USERS)]}
    out, scores = np.empty((N_USERS, 3), np.int64), np.empty(cands.n_pairs)
    got = served.select_batch(cands.indptr, cands.item, cands.columns, nowhere, out=out, scores=scores)
    assert got is out
    assert rows(out) == one_by_one(served, cands, lambda u: {"market": nowhere["market"][u]})
    np.testing.assert_array_equal(scores, served.score_batch(cands.indptr, cands.item, cands.columns, nowhere))


def test_lists_of_any_length_items_never_seen_and_other_types() -> None:
    served = policy("rules that nest")
    rng = np.random.default_rng(3)
    indptr = np.array([0, 0, 5, 5, 17, 18])
    items = np.concatenate([rng.choice(40, n, replace=False) for n in np.diff(indptr)])
    items[rng.random(18) < 0.3] = -1
    columns = {name: rng.random(18).astype(np.float32) for name in ("relevance", "promotion")}
    expected = []
    for a, b in pairwise(indptr):
        own = {name: column[a:b] for name, column in columns.items()}
        expected.append((a + served.select(items[a:b], own)).tolist())
    halves = {name: readonly(np.repeat(column, 2))[::2] for name, column in columns.items()}
    for typed in (items, items.astype(np.int16), np.repeat(items, 2)[::2], items.tolist(), items.astype(">i8")):
        for given_ in (columns, halves):
            assert rows(served.select_batch(indptr, typed, given_)) == expected


@given(st.data())
def test_an_item_that_a_user_has_twice_is_found(data: st.DataObject) -> None:
    served, rng = policy("one column"), np.random.default_rng(data.draw(st.integers(0, 10**6)))
    sizes = data.draw(st.lists(st.integers(2, 40), min_size=1, max_size=6))
    indptr = np.cumsum([0, *sizes])
    items = np.concatenate([rng.permutation(40)[:n] for n in sizes])
    columns = {"relevance": rng.random(items.size)}
    served.select_batch(indptr, items, columns)
    user = data.draw(st.integers(0, len(sizes) - 1))
    first, second = sorted(data.draw(st.permutations(range(sizes[user])))[:2])
    items[indptr[user] + second] = items[indptr[user] + first]
    again = indptr[user] + second
    with pytest.raises(oa.InputError, match=rf"user {user} has item \d+ a second time, at pair {again};"):
        served.select_batch(indptr, items, columns)
    items[indptr[user] + np.array([first, second])] = -1
    served.select_batch(indptr, items, columns)


@each_problem
def test_prepared_batches_are_the_same(name: str) -> None:
    served, cands = policy(name), solved(name).problem.candidates
    hot = served.prepare_batch(users=7, max_candidates=60)
    everybody = np.empty(cands.n_pairs)
    expected = all_of(served, cands, np.arange(N_USERS), scores=everybody)
    for batch_of in ([0, 1, 2, 3, 4, 5], [9], [], [11, 9, 12, 13, 7, 8]):
        hot.clear()
        scores, shown = [], []
        for u in batch_of:
            items, columns = request(cands, u)
            a, b = hot.add(items.size, served._reader.user(u))
            hot.items[a:b] = items
            for row, column in zip(hot.columns, hot.names, strict=True):
                row[a:b] = columns[column]
            scores += everybody[cands.indptr[u] : cands.indptr[u + 1]].tolist()
            shown.append([p - int(cands.indptr[u]) + a for p in expected[u]])
        assert hot.select() == len(batch_of)
        assert rows(hot.positions[: len(batch_of)]) == shown
        assert hot.scores[: len(scores)].tolist() == scores


def test_prepared_batches_of_users_without_kept_tables_and_of_fewer_slots() -> None:
    served, cands = policy("segments"), solved("segments").problem.candidates
    labels: list[dict[str, Any]] = [{"market": "no"}, {"market": "se", "hour": 2}, {"hour": 77}, {"market": "no"}]
    hot = served.prepare_batch(users=4, max_candidates=40, k=2)
    for u, of in enumerate(labels):
        items, columns = request(cands, u)
        a, b = hot.add(items.size, served.user(**of))
        hot.items[a:b] = items
        hot.columns[:, a:b] = [columns[name] for name in hot.names]
    assert hot.select() == 4
    expected = [(9 * u + served.select(*request(cands, u), of, k=2)).tolist() for u, of in enumerate(labels)]
    assert rows(hot.positions) == expected


def test_scores_beyond_float64_are_refused_as_for_one_user() -> None:
    cands = oa.Candidates.from_arrays([0, 2, 4], [0, 1, 0, 1], {"r": [0.9, 0.5, 0.8, 0.7], "p": [0.1, 0.2, 0.3, 0.4]})
    served = oa.solve(oa.Problem(cands, oa.total("r") + oa.total("p"), slate=oa.Slate(1))).policy()
    columns = {"r": [1.0, 1.0, 1.7e308, 1.0], "p": [1.0, 1.0, 1.7e308, 1.0]}
    with pytest.raises(oa.InputError, match="beyond float64"):
        served.select_batch([0, 2, 4], [0, 1, 0, 1], columns)
    with pytest.raises(oa.InputError, match="beyond float64"):
        served.select([0, 1], {name: column[2:] for name, column in columns.items()})
