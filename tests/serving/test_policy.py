"""Policies: served is what was solved, bit for bit, however a request is put."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served import N_USERS, PROBLEMS, at_random_prices, attributes_of, labels_of, policy, request, solved

import oasis_alloc as oa
from oasis_alloc.common.arrays import readonly
from oasis_alloc.program.lowering import lower
from oasis_alloc.serving import formula
from oasis_alloc.serving.batch import export
from oasis_alloc.serving.batch import scores as batch
from oasis_alloc.serving.request.warmup import kernels

each_problem = pytest.mark.parametrize("name", PROBLEMS)


@each_problem
def test_served_is_solved_bit_for_bit(name: str) -> None:
    solution, served = solved(name), policy(name)
    cands, scores = solution.problem.candidates, solution.scores()
    for u in range(N_USERS):
        items, columns = request(cands, u)
        expected = scores[cands.indptr[u] : cands.indptr[u + 1]]
        np.testing.assert_array_equal(served.score(items, columns, user=u), expected)
        by_label = {key: label for key, label in labels_of(cands, u).items() if key in served.data.user_keys}
        np.testing.assert_array_equal(served.score(items, columns, user=by_label), expected)
        np.testing.assert_array_equal(served.boosts(items, columns, u), expected - columns["relevance"].astype(float))


@pytest.mark.few(3)
@each_problem
def test_a_batch_has_the_same_scores(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    solution = at_random_prices(name, 3)
    cands, scores, served = solution.problem.candidates, solution.scores(), solution.policy()
    everybody = np.arange(N_USERS)
    np.testing.assert_array_equal(served.score_batch(cands.indptr, cands.item, cands.columns, everybody), scores)
    keys = {key: cands.users[key] for key in served.data.user_keys}
    labels = {key: np.append(of.labels, None)[of.codes] for key, of in keys.items()}
    out = np.empty(cands.n_pairs)
    given = served.score_batch(cands.indptr, cands.item.astype(np.int64), cands.columns, labels, out)
    assert given is out
    np.testing.assert_array_equal(out, scores)
    monkeypatch.setattr(batch, "_BLOCK", 20)
    monkeypatch.setattr(batch, "_TABLES", 3)
    np.testing.assert_array_equal(served.score_batch(cands.indptr, cands.item, cands.columns, everybody), scores)


@pytest.mark.few(3)
@each_problem
def test_the_attributes_of_an_unseen_item_have_its_prices(name: str) -> None:
    served, cands = policy(name), solved(name).problem.candidates
    items, columns = request(cands, 4)
    attributes = attributes_of(cands, items, served.data.item_keys)
    unseen = np.where(np.arange(items.size) % 2, items.astype(int), -1)
    np.testing.assert_array_equal(served.score(unseen, columns, 4, **attributes), served.score(items, columns, 4))
    bare = {key: [None] * items.size for key in served.data.item_keys}
    np.testing.assert_array_equal(served.score(unseen, columns, 4), served.score(unseen, columns, 4, **bare))


@pytest.mark.few(4)
@each_problem
@pytest.mark.parametrize("seed", [0, 1])
def test_tables_are_those_of_the_solver_at_any_prices(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    solution = at_random_prices(name, seed)
    monkeypatch.setattr(formula, "_FOLDED", 1)  # no table is kept but the last
    cands, served = solution.problem.candidates, solution.policy()
    scores = solution.scores()
    for u in range(0, N_USERS, 7):
        got = served.score(*request(cands, u), user=u)
        np.testing.assert_array_equal(got, scores[cands.indptr[u] : cands.indptr[u + 1]])
    assert len(served._scorer.formula._tables) == len(served._reader._users) == 1 or name == "sizes by user"


def test_a_user_of_unseen_labels_pays_the_prices_of_the_labels_that_are_known() -> None:
    solution = at_random_prices("segments", 5)
    served, cands = solution.policy(), solution.problem.candidates
    items, columns = request(cands, 0)
    se, nobody = served.score(items, columns, {"market": "se"}), served.score(items, columns)
    assert (se != nobody).any()
    np.testing.assert_array_equal(served.score(items, columns, {"market": "se", "hour": 99}), se)
    np.testing.assert_array_equal(served.score(items, columns, served.user(market="no")), nobody)
    np.testing.assert_array_equal(nobody, served.score_batch([0, items.size], items, columns))


def test_an_item_that_was_never_seen_pays_what_everything_pays() -> None:
    solution = at_random_prices("several columns", 2)
    served = solution.policy()
    promotion = solution.prices['total("promotion") - 0.6 * total("relevance") <= 0'][0]
    streams = solution.prices['total("streams") >= 10'][0]
    got = served.score([-1], {"relevance": [0.5], "promotion": [0.25], "streams": [2.0]})
    expected = 0.5 + 0.1 - 0.25 * promotion + 0.6 * 0.5 * promotion - 2.0 * streams
    label = solution.prices['exposure(by="label") - 0.5 * exposure() <= 0']
    assert got[0] == pytest.approx(expected + 0.5 * label.sum())


def test_what_stays_close_is_a_column_of_its_own() -> None:
    first = solved("one column")
    problem = first.problem.replace(maximize=first.problem.maximize + 0.5 * oa.stay_close(first, 0.1))
    solution = oa.solve(problem, gap=1e-3)
    served, cands = solution.policy(), problem.candidates
    assert served.columns == ("relevance", "previous")
    columns = {**cands.columns, "previous": first.allocation}
    scores = served.score_batch(cands.indptr, cands.item, columns, np.arange(N_USERS))
    np.testing.assert_array_equal(scores, solution.scores())


@pytest.mark.parametrize("name", ["one column", "segments", "rules that nest", "several columns"])
def test_what_slates_are_worth_at_the_prices_is_the_bound(name: str) -> None:
    solution, served = solved(name), policy(name)
    cands, program = solution.problem.candidates, lower(solution.problem)
    prices = np.concatenate([solution.prices[block.name] for block in program.blocks])
    worth = program.conjugate(prices)
    for u in range(N_USERS):
        items, columns = request(cands, u)
        why = served.explain(items, columns, u)
        worth += sum(reason.marginal for reason in why.slate)
    assert worth >= solution.value - 1e-9
    assert worth <= solution.bound + 2e-3 * abs(solution.bound)


@pytest.mark.parametrize("name", ["one column", "segments"])
def test_slates_add_up_to_the_allocation(name: str) -> None:
    solution = oa.solve(PROBLEMS[name](), gap=1e-8)
    cands, served, shown = solution.problem.candidates, solution.policy(), np.zeros(N_USERS * 9)
    for u in range(N_USERS):
        shown[cands.indptr[u] + served.select(*request(cands, u), user=u)] = 1.0
    whole = np.isclose(solution.allocation, np.round(solution.allocation), atol=1e-6)
    rows = sum(prices.size for prices in solution.prices.values())
    assert (shown != np.round(solution.allocation))[whole].sum() <= rows, "only ties at a limit are decided otherwise"


def test_ids_become_numbers_once() -> None:
    served, cands = policy("several columns"), solved("several columns").problem.candidates
    assert served.encode(cands.item_ids).tolist() == list(range(40))
    assert served.encode(["track-03", "new", None, cands.item_ids[7]]).tolist()[1:] == [-1, -1, 7]
    assert policy("one column").encode([3, 40, -2, "x"]).tolist() == [3, -1, -1, -1]


def test_a_policy_says_what_it_is() -> None:
    solution = solved("several columns")
    one, other = solution.policy(valid_for=60.0), solution.policy(organic="streams")
    assert one.policy_id == solution.policy().policy_id != other.policy_id
    assert len(one.policy_id) == 16
    assert one.data.valid_until == one.data.created + 60.0
    assert abs(one.data.created - time.time()) < 60
    assert one.columns == ("relevance", "promotion", "streams")
    assert (one.data.certificate.gap, one.data.certificate.status) == (solution.gap, solution.status.name)
    assert "relevance, promotion, streams" in repr(one)
    assert (other.data.organic, one.data.organic) == ("streams", "relevance")
    assert policy("nothing priced").data.columns == ("streams", "relevance")


def test_a_policy_need_not_know_users_by_number() -> None:
    solution = solved("segments")
    served, items = solution.policy(users=False), request(solution.problem.candidates, 0)
    assert (served.data.n_users, served.data.segment_of_user) == (0, None)
    with pytest.raises(oa.InputError, match="does not know users by number"):
        served.score(*items, user=0)


REQUESTS: dict[str, Any] = {
    "as candidates hold them": lambda items, columns: (items, columns),
    "lists": lambda items, columns: (items.tolist(), {k: v.tolist() for k, v in columns.items()}),
    "every other": lambda items, columns: (items[::2], {k: v[::2] for k, v in columns.items()}),
    "swapped bytes": lambda items, columns: (items.astype(">i8"), {k: v.astype(">f8") for k, v in columns.items()}),
    "nothing": lambda items, columns: (items[:0], {k: v[:0] for k, v in columns.items()}),
    "halves": lambda items, columns: (items.astype(np.int16), {k: v.astype(np.float16) for k, v in columns.items()}),
    "read-only": lambda items, columns: (
        readonly(items.astype(np.int64)), {k: readonly(v.astype(float)) for k, v in columns.items()}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["one column", "rules that cross", "a share kept", "several columns"])
def test_nothing_compiles_after_the_warm_up(name: str) -> None:
    served, cands = policy(name), solved(name).problem.candidates
    assert set(served.warmup()) == {*kernels(), "draws"}
    before = {key: len(kernel.signatures) for key, kernel in kernels().items()}
    assert min(before.values()) >= 1
    assert served.data.items is None or served._reader._numbers, "the first request would number the ids"
    embeddings = oa.Embeddings(np.ones((cands.n_items, 3)))
    for put in REQUESTS.values():
        items, columns = put(*request(cands, 2))
        served.score(items, columns, out=np.empty(len(items)))
        served.select(items, columns, user=2, k=2, exclude=[0] if len(items) else None)
        served.explain(items, columns, user=2)
        unseen = np.full(len(items), -1)
        served.select(unseen, columns, artist=[3] * len(items)) if "artist" in served.data.item_keys else None
        served.score_batch([0, len(items)], items, columns)
        for rule in (oa.MMR(), oa.DPP(), oa.DPP(window=2), oa.MMR(0.0)):
            for vectors in (embeddings, np.ones((len(items), 3))):
                served.select(items, columns, user=2, exclude=[], diversify=rule, embeddings=vectors)
                served.select(unseen, columns, k=1, diversify=rule, embeddings=vectors)
    hot = served.prepare(20)
    hot.score(5, served.user())
    hot.select(5, served.user())
    for rule in (oa.MMR(), oa.DPP(), oa.DPP(window=2), oa.MMR(0.0)):
        served.prepare(20, diversify=rule, embeddings=embeddings).select(5, served.user())
    assert {key: len(kernel.signatures) for key, kernel in kernels().items()} == before


@each_problem
def test_the_prepared_path_selects_the_same(name: str) -> None:
    served, cands = policy(name), solved(name).problem.candidates
    hot = served.prepare(max_candidates=12)
    for u in range(0, N_USERS, 3):
        items, columns = request(cands, u)
        user = served._reader.user(u)
        hot.items[: items.size] = items
        for row, column in zip(hot.columns, hot.names, strict=True):
            row[: items.size] = columns[column]
        hot.score(items.size, user)
        np.testing.assert_array_equal(hot.scores[: items.size], served.score(items, columns, u))
        shown = hot.select(items.size, user)
        assert hot.positions[:shown].tolist() == served.select(items, columns, u).tolist()


def test_a_parquet_file_has_the_boosts_and_the_slates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(export, "ROWS", 40)
    served, cands = policy("several columns"), solved("several columns").problem.candidates
    assert served.to_parquet(cands, tmp_path / "slates.parquet") == cands.n_pairs
    file = pq.ParquetFile(tmp_path / "slates.parquet")
    assert file.num_row_groups == 8
    rows = file.read().to_pydict()
    assert rows["item"] == cands.item_ids[cands.item].tolist()
    scores = solved("several columns").scores()
    assert rows["score"] == scores.tolist()
    assert rows["boost"] == (scores - cands.columns["relevance"].astype(float)).tolist()
    for u in range(N_USERS):
        rank = np.array(rows["rank"][cands.indptr[u] : cands.indptr[u + 1]])
        slate = served.select(*request(cands, u), user=u)
        assert rank[slate].tolist() == list(range(slate.size))
        assert (rank >= 0).sum() == slate.size


def test_a_parquet_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setattr(export, "ROWS", 40)
    served, cands = policy("sizes by user"), solved("sizes by user").problem.candidates
    broken = oa.Candidates.from_arrays(cands.indptr, cands.item, {"relevance": cands.columns["relevance"]})
    with pytest.raises(oa.InputError, match="'promotion' is missing"):
        served.to_parquet(broken, tmp_path / "slates.parquet")
    assert list(tmp_path.iterdir()) == []
