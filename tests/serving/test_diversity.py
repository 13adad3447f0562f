"""Diverse slates: against plain greedy in NumPy, and against pyversity where it is installed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from served import N_ITEMS, N_USERS, PROBLEMS, attributes_of, policy, request, solved

import oasis_alloc as oa
from oasis_alloc.kernels.serve import diversify as kernels
from oasis_alloc.kernels.serve.diversify_window import dpp_window
from oasis_alloc.kernels.serve.slate_args import NO_SHARE

Array = np.ndarray[Any, Any]


def unit(vectors: Array) -> Array:
    return np.ascontiguousarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def case(seed: int, n: int = 40, d: int = 24, clusters: int = 6) -> tuple[Array, Array]:
    """(unit rows, scores) of candidates in clusters."""
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(clusters, d))
    return unit(centers[rng.integers(0, clusters, n)] + 0.7 * rng.normal(size=(n, d))), rng.uniform(-0.2, 1.0, n)


@dataclass(frozen=True)
class Asked:
    """One request: unit rows, scores, categories of each candidate by system, what the j-th of a category costs."""

    rows: Array
    score: Array
    k: int
    of: list[list[list[int]]] = field(default_factory=list)  # [system][candidate]: its categories
    stairs: Array = field(default_factory=lambda: np.empty((0, 1)))
    pinned: tuple[int, ...] = ()
    rank: Array | None = None  # of each candidate's item, None for positions; n for an item that was never seen
    least: int = 0
    floor: float = -np.inf
    spread: Array | None = None  # scores that standard scores go by, None for its own

    @property
    def n(self) -> int:
        return self.score.size

    @property
    def ranks(self) -> Array:
        return np.arange(self.n) if self.rank is None else self.rank

    def marginal(self, i: int, picks: list[int]) -> float:
        worth = float(self.score[i])
        for s, of in enumerate(self.of):
            for c in of[i]:
                worth -= self.stairs[s, min(sum(c in of[p] for p in picks), self.stairs.shape[1] - 1)]
        return worth


def greedy(asked: Asked, gains: Any) -> list[int]:
    """Plain greedy: `gains(picks, marginal scores)` of all candidates, everything recomputed for every pick."""
    picks = list(asked.pinned)
    while len(picks) < asked.k:
        worth = np.array([asked.marginal(i, picks) for i in range(asked.n)])
        least = -np.inf if len(picks) < asked.least else asked.floor
        open_ = [i for i in range(asked.n) if i not in picks and worth[i] > least]
        if not open_:
            break
        gain = gains(picks, worth, open_)
        best = max(gain[i] for i in open_)
        picks.append(min((i for i in open_ if gain[i] == best), key=lambda i: (asked.ranks[i], i)))
    return picks


def mmr_twin(asked: Asked, diversity: float) -> list[int]:
    similar = np.clip(asked.rows.astype(np.float64) @ asked.rows.T.astype(np.float64), 0.0, 1.0)

    def gains(picks: list[int], worth: Array, open_: list[int]) -> Array:
        if not picks:
            return worth
        out = np.full(asked.n, -np.inf)
        out[open_] = (1 - diversity) * worth[open_] - diversity * similar[np.ix_(open_, picks)].max(axis=1)
        return out

    return greedy(asked, gains)


def dpp_twin(asked: Asked, beta: float, window: int = 99) -> list[int]:
    """By determinants: the Schur complement of the last `window` picks, or scores where all of them are 0."""
    spread = asked.score if asked.spread is None else asked.spread
    has = spread > -np.inf
    mean, deviation = spread[has].mean(), spread[has].std() + 1.1920929e-07
    similar = asked.rows.astype(np.float64) @ asked.rows.T.astype(np.float64)
    np.fill_diagonal(similar, 1.0)

    def gains(picks: list[int], worth: Array, open_: list[int]) -> Array:
        left, last = np.ones(asked.n), picks[-window:]
        if last:
            across = similar[:, last]
            inverse = np.linalg.pinv(similar[np.ix_(last, last)], rcond=1e-6)
            left -= np.einsum("ij,ij->i", across @ inverse, across)
        left[left <= 1e-5] = 0.0
        out = np.zeros(asked.n)
        out[open_] = left[open_] * np.exp(2 * beta * (worth[open_] - mean) / deviation)
        return out if out.any() else worth

    return greedy(asked, gains)


def packed(of: list[list[list[int]]], n: int) -> tuple[Array, int]:
    """Categories of candidates as the kernels read them, each candidate a class of its own; and how many there are."""
    sizes = [1 + max((c for mine in system for c in mine), default=0) for system in of]
    offsets = np.cumsum([0, *sizes])
    lists = [[offsets[s] + c for s, system in enumerate(of) for c in system[i]] for i in range(n)] + [[]]
    start = np.cumsum([0, *map(len, lists)])
    entries = [c for mine in lists for c in mine]
    system = np.repeat(np.arange(len(of)), sizes)
    head = [len(of), offsets[-1], len(entries)]
    return np.concatenate([head, start, entries, system]).astype(np.int64), int(offsets[-1])


def run(kernel: Any, asked: Asked, option: Any, keep: Any = NO_SHARE, tidy: bool = True) -> list[int]:
    n, k = asked.n, min(asked.k, asked.n)
    rules, n_categories = packed(asked.of, n)
    counts = np.zeros(n_categories, np.int64)
    of_item = np.stack([np.arange(n + 1), np.append(asked.ranks, n)]).astype(np.uint32)
    out, marginal = np.full(n + 1, -7), np.full(n + 1, np.nan)
    pinned = len(asked.pinned)
    out[:pinned] = asked.pinned
    every = np.arange(n)
    rows = np.concatenate([asked.rows, np.zeros((1, asked.rows.shape[1]), np.float32)])
    fill = pinned, k, asked.least, asked.floor
    m = kernel(
        n, (asked.score, every, of_item), (rules, asked.stairs, counts), fill, (rows, every), option, (out, marginal),
        keep,
    )  # fmt: skip
    picks = out[:m].tolist()
    assert not tidy or (out[m:] == -7).all(), "nothing is written behind the picks"
    assert not counts.any(), "counts are left as they were"
    assert marginal[:m].tolist() == [asked.marginal(p, picks[:j]) for j, p in enumerate(picks)]
    return picks


@st.composite
def requests(draw: st.DrawFn) -> Asked:
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    n = draw(st.integers(1, 40))
    rows, score = case(seed, n)
    pinned = tuple(rng.permutation(n)[: draw(st.sampled_from([0, 0, 1, 3]))].tolist())
    out = rng.random(n) < draw(st.sampled_from([0.0, 0.0, 0.3]))
    out[list(pinned) or [0]] = False
    score[out] = -np.inf
    several = draw(st.booleans())
    of = [
        [sorted(set(rng.integers(0, 5, rng.integers(0, 3 if several else 2)).tolist())) for _ in range(n)]
        for _ in range(draw(st.integers(0, 2)))
    ]
    k = draw(st.integers(len(pinned), 12))
    stairs = np.zeros((len(of), max(k, 1)))
    for row in stairs:
        row[:] = draw(st.sampled_from([0.0, 0.125])) * np.arange(row.size)
        row[draw(st.integers(3, 4)) if pinned else draw(st.integers(1, 3)) :] = np.inf
    rank = rng.permutation(n)
    rank[rng.random(n) < 0.1] = n
    floor = draw(st.sampled_from([-np.inf, 0.0]))
    return Asked(rows, score, min(k, n), of, stairs, pinned, rank, draw(st.sampled_from([0, 0, 2])), floor)


@settings(max_examples=examples(50))
@given(asked=requests(), diversity=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]))
def test_mmr_is_plain_greedy(asked: Asked, diversity: float) -> None:
    assert run(kernels.mmr, asked, diversity) == mmr_twin(asked, diversity)


@settings(max_examples=examples(50))
@given(asked=requests(), beta=st.sampled_from([0.0, 0.5, 1.0, 3.0]))
def test_dpp_picks_what_adds_most_to_the_determinant(asked: Asked, beta: float) -> None:
    assert run(kernels.dpp, asked, beta) == dpp_twin(asked, beta)


@settings(max_examples=examples(50))
@given(asked=requests(), beta=st.sampled_from([0.0, 0.5, 1.0]), window=st.sampled_from([1, 2, 4, 99]))
def test_dpp_with_a_window_looks_at_the_last_picks_alone(asked: Asked, beta: float, window: int) -> None:
    assert run(dpp_window, asked, (beta, window)) == dpp_twin(asked, beta, window)


@pytest.mark.parametrize("kernel", [kernels.dpp, dpp_window], ids=["dpp", "window"])
def test_where_nothing_adds_to_the_determinant_scores_decide(kernel: Any) -> None:
    rows = unit(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [-1.0, 0.0], [1.0, 0.0], [2.0, 0.0]]))
    score = np.array([0.9, 0.8, 0.1, 0.3, 0.5, 0.5])
    option = 1.0 if kernel is kernels.dpp else (1.0, 6)
    assert run(kernel, Asked(rows, score, 6), option) == [0, 1, 4, 5, 3, 2]
    assert run(kernel, Asked(rows, score, 6, pinned=(5, 4)), option) == [5, 4, 1, 0, 3, 2]


def test_scores_far_apart_are_no_trouble() -> None:
    rows, score = case(3, 4000)
    score[17] = 1e12
    for kernel, option in ((kernels.dpp, 1.0), (dpp_window, (1.0, 2)), (kernels.mmr, 0.5)):
        found = run(kernel, Asked(rows, score, 5), option)
        assert found[0] == 17
        assert len(set(found)) == 5


@pytest.mark.parametrize("kernel", [kernels.mmr, kernels.dpp, dpp_window], ids=["mmr", "dpp", "window"])
def test_no_candidate_no_slate(kernel: Any) -> None:
    rows, score = case(1)
    option = (0.5, 2) if kernel is dpp_window else 0.5
    assert run(kernel, Asked(rows[:0], score[:0], 3), option) == []
    assert run(kernel, Asked(rows, np.full(40, -np.inf), 3), option) == []
    assert run(kernel, Asked(rows, np.full(40, np.nan), 3), option) == []
    assert run(kernel, Asked(rows, score, 0), option) == []


@pytest.mark.few(2)
@pytest.mark.parametrize("size", [(100, 64, 10), (100, 64, 50), (300, 96, 20)], ids=str)
@pytest.mark.parametrize("strategy", ["mmr", "dpp"])
def test_the_same_slates_as_pyversity(strategy: str, size: tuple[int, int, int]) -> None:
    pyversity = pytest.importorskip("pyversity", reason="pyversity is not installed: its slates are compared with ours")
    n, d, k = size
    kernel = kernels.mmr if strategy == "mmr" else kernels.dpp
    for seed in range(4):
        rows, score = case(seed, n, d)
        for diversity in (0.1, 0.5, 0.8):
            expected = pyversity.diversify(rows, score, k, strategy=strategy, diversity=diversity).indices
            option = diversity if strategy == "mmr" else 1.0 - diversity
            assert run(kernel, Asked(rows, score, k), option) == expected.tolist()


# policies that pick by vectors

VECTORS = np.random.default_rng(5).normal(size=(N_ITEMS, 3))
EMBEDDINGS = oa.Embeddings(VECTORS)
METHODS = [oa.MMR(0.6), oa.DPP(0.6), oa.DPP(0.6, window=1)]


@pytest.mark.parametrize("name", PROBLEMS)
def test_without_diversity_a_slate_is_that_of_the_scores(name: str) -> None:
    served, cands = policy(name), solved(name).problem.candidates
    for u in range(N_USERS):
        items, columns = request(cands, u)
        expected = served.select(items, columns, u).tolist()
        for rule in (oa.MMR(0.0), oa.DPP(0.0)):
            assert served.select(items, columns, u, diversify=rule, embeddings=EMBEDDINGS).tolist() == expected


@pytest.mark.few(7)
@pytest.mark.parametrize("name", PROBLEMS)
@pytest.mark.parametrize("rule", METHODS, ids=str)
def test_slates_are_the_same_however_vectors_come(name: str, rule: Any) -> None:
    served, cands = policy(name), solved(name).problem.candidates
    hot = served.prepare(12, diversify=rule, embeddings=EMBEDDINGS)
    differ = 0
    for u in range(0, N_USERS, 3):
        items, columns = request(cands, u)
        expected = served.select(items, columns, u, diversify=rule, embeddings=EMBEDDINGS).tolist()
        differ += expected != served.select(items, columns, u).tolist()
        assert served.select(items, columns, u, diversify=rule, embeddings=3.0 * VECTORS[items]).tolist() == expected
        unseen, attributes = np.full(items.size, -1), attributes_of(cands, items, served.data.item_keys)
        if served.data.item_keys:
            given_ = served.select(unseen, columns, u, diversify=rule, embeddings=VECTORS[items], **attributes)
            ties = len(set(served.score(items, columns, u))) < items.size
            assert ties or given_.tolist() == expected
        hot.items[: items.size] = items
        for row, column in zip(hot.columns, hot.names, strict=True):
            row[: items.size] = columns[column]
        shown = hot.select(items.size, served._reader.user(u))
        assert hot.positions[:shown].tolist() == expected
    assert differ or name in ("nothing priced", "only functions", "rules that cross"), "vectors have a say"


def test_items_that_are_alike_are_not_shown_together() -> None:
    """Two that are the same, one that is like nothing: the second of the two is worth more, and comes last."""
    cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"r": [0.9, 0.8, 0.6]}, items={"artist": [0, 1, 2]})
    served = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(3))).policy()
    columns, vectors = {"r": [0.9, 0.8, 0.6]}, [[1, 0], [1, 0], [0, 1]]
    for rule in (oa.MMR(), oa.DPP(), oa.DPP(window=2)):
        assert served.select([0, 1, 2], columns, diversify=rule, embeddings=vectors).tolist() == [0, 2, 1]
        shown = served.select([0, 1, 2], columns, diversify=rule, embeddings=vectors, pinned=[1])
        assert shown.tolist() == [1, 2, 0]
        assert served.select([0, 1, 2], columns, diversify=rule, embeddings=vectors, exclude=[2]).tolist() == [0, 1]
    unseen = served.select([-1, -1, 2], columns, k=2, diversify=oa.MMR(), embeddings=oa.Embeddings(np.eye(3)))
    assert unseen.tolist() == [0, 1], "items that were never seen are like nothing"
    assert repr(oa.Embeddings(np.eye(3))) == "Embeddings(3 items, 3 dimensions)"
