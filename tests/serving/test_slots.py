"""A request costs its own candidates: slots beyond them change nothing, allocate nothing and are not kept."""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from effort import full_only
from served import N_USERS, PROBLEMS, policy, request, solved

import oasis_alloc as oa

MANY = [10, 10**6, 3 * 10**8, 2**31, np.int64(2**40), 2**62 - 1]
each_problem = pytest.mark.parametrize("name", PROBLEMS)


def answers(served: oa.Policy, cands: oa.Candidates, k: Any) -> list[Any]:
    """Everything that a request can ask for slots of."""
    items, columns = request(cands, 3)
    indptr, embeddings = [0, items.size], oa.Embeddings(np.eye(cands.n_items, 4))
    hot, batch = served.prepare(12, k=k), served.prepare_batch(2, 24, k=k)
    user = served.user()
    batch.add(items.size, user)
    for buffers in (hot, batch):
        buffers.items[: items.size] = items
        for row, name in zip(buffers.columns, buffers.names, strict=True):
            row[: items.size] = columns[name]
    batch.select()
    drawn = served.sample(items, columns, k=k, rng=1, exploration={"share": 0.5})
    return [
        served.select(items, columns, k=k).tolist(),
        served.select(items, columns, k=k, fill=True, exclude=[0], pinned=[1]).tolist(),
        served.select(items, columns, k=k, diversify=oa.DPP(window=10**9), embeddings=embeddings).tolist(),
        [reason.rule for reason in served.explain(items, columns, k=k)],
        [reason.threshold for reason in served.explain(items, columns, k=k)],
        [array.tolist() for array in drawn],
        served.propensities(items, columns, k=k, exploration={"smoothing": 0.1}).tolist(),
        served.select_batch(indptr, items, columns, k=k).tolist(),
        hot.positions[: hot.select(items.size, user)].tolist(),
        [place for place in batch.positions[0].tolist() if place >= 0],
    ]


@pytest.mark.few(3)
@each_problem
@pytest.mark.parametrize("many", [MANY[1::4], *full_only(MANY)], ids=["some", "all"])
def test_slots_beyond_the_candidates_change_nothing_and_cost_nothing(name: str, many: list[Any]) -> None:
    served, cands = policy(name), solved(name).problem.candidates
    expected = repr(answers(served, cands, 9))
    answers(served, cands, 10**4)
    for k in many:
        tracemalloc.start()
        begun = time.perf_counter()
        assert repr(answers(served, cands, k)) == expected
        assert time.perf_counter() - begun < 5.0
        assert tracemalloc.get_traced_memory()[1] < 1 << 22
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["rules that nest", "rules that cross", "one column"])
def test_nothing_that_a_request_chooses_is_kept_without_bound(name: str) -> None:
    served, cands = policy(name), solved(name).problem.candidates
    selector, sampler = served._selector, served._sampler
    n = cands.n_items
    items = np.arange(n)
    columns = {column: np.linspace(0.1, 0.9, n) for column in cands.columns}
    for k in range(n):
        served.select(items, columns, k=k)
        served.select(items[: k + 1], {column: of[: k + 1] for column, of in columns.items()}, k=10**6 + k)
        served.sample(items, columns, k=k, rng=k, exploration={"share": 0.5})
    assert max(selector._costs, default=0) <= 256
    assert len(sampler._own._rules) <= 16
    assert len(sampler._own._drawings) <= 8
    selector.category_costs(10**5)
    assert 10**5 not in selector._costs


def test_a_batch_has_the_columns_of_the_solve_or_of_its_candidates() -> None:
    served, cands = policy("one column"), solved("one column").problem.candidates
    given = cands.indptr, cands.item, cands.columns
    assert served.select_batch(*given).shape == (N_USERS, 3)
    assert served.select_batch(*given, k=2).shape == (N_USERS, 2)
    assert served.select_batch(*given, k=8).shape == (N_USERS, 8)
    cut = served.select_batch(*given, k=10**9)
    assert cut.shape == (N_USERS, 9)
    wide = np.empty((N_USERS, 1000), np.int64)
    assert served.select_batch(*given, k=1000, out=wide) is wide
    assert (wide[:, :9] == cut).all()
    assert (wide[:, 9:] == -1).all()


@pytest.mark.parametrize("seconds", [3600, np.int64(3600), np.float32(3600.0), 3600.0])
def test_a_policy_is_valid_for_any_number_of_seconds(seconds: Any) -> None:
    served = solved("one column").policy(valid_for=seconds)
    assert served.valid_until == served.created + 3600.0
    assert type(served.valid_until) is float


@pytest.mark.parametrize("n", [np.int8(5), np.uint64(5), np.array(5)[()], np.int64(0), 0])
def test_candidates_of_buffers_are_counted_by_any_whole_number(n: Any) -> None:
    served, (items, columns) = policy("segments"), request(solved("segments").problem.candidates, 3)
    shown, user = [], served.user()
    for count in (n, int(n)):
        hot, batch = served.prepare(8), served.prepare_batch(2, 16)
        for buffers in (hot, batch):
            buffers.items[:count] = items[:count]
            for row, name in zip(buffers.columns, buffers.names, strict=True):
                row[:count] = columns[name][:count]
        hot.score(count, user)
        assert batch.add(count, user) == (0, int(n))
        batch.select()
        shown.append((hot.scores.tolist(), hot.positions[: hot.select(count, user)].tolist(), batch.positions.tolist()))
    assert shown[0] == shown[1]
