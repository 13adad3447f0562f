"""The kernels that serve against twins in plain NumPy: naive where the kernel is clever."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st

from oasis_alloc.common.arrays import readonly
from oasis_alloc.kernels.serve import score as serve
from oasis_alloc.kernels.serve import select_one, slate_keep

Array = np.ndarray[Any, Any]
INF = np.inf


class Case:
    """A request of n candidates over a small catalog: two systems of categories, ties where numbers are coarse."""

    def __init__(self, seed: int, n: int = 12, n_systems: int = 2, nested: bool = True, coarse: bool = False) -> None:
        rng = np.random.default_rng(seed)
        self.rng, self.n, n_items, n_classes = rng, n, max(3 * n, 5), 9
        self.of_item = np.empty((2, n_items + 1), np.uint32)
        self.of_item[0] = np.append(rng.integers(0, n_classes, n_items), n_classes)
        self.of_item[1] = np.append(rng.permutation(n_items), n_items)
        self.items = rng.choice(n_items, n, replace=False).astype(np.int64)
        self.items[rng.random(n) < 0.15] = -1
        self.columns = rng.integers(-2, 5, (3, n)) / 4 if coarse else rng.normal(0.4, 1.0, (3, n))
        self.table = np.zeros((2, n_classes + 1))
        self.table[:, :-1] = rng.integers(-1, 2, (2, n_classes)) / 4 if coarse else rng.normal(0, 0.3, (2, n_classes))
        self.table.flags.writeable = False
        fine = rng.integers(-1, 6, n_classes)
        system = [fine, np.where(fine < 0, -1, fine // 2) if nested else rng.integers(-1, 3, n_classes)][:n_systems]
        self.of_class = [
            [(s, int(part[c])) for s, part in enumerate(system) if part[c] >= 0] for c in range(n_classes)
        ] + [[]]
        names = sorted({pair for pairs in self.of_class for pair in pairs})
        number = {pair: k for k, pair in enumerate(names)}
        flat = [number[pair] for pairs in self.of_class for pair in pairs]
        start = np.cumsum([0, *(len(pairs) for pairs in self.of_class)])
        head = [n_systems, len(names), len(flat), *start, *flat, *(s for s, _ in names)]
        self.rules = np.array(head, np.int64)
        self.counts = np.zeros(len(names), np.int64)
        self.stairs = np.zeros((n_systems, 5))
        if n_systems:
            self.stairs[0, 2:] = INF
            self.stairs[-1] += [0, 0.25, 0.25, 0.5, 1.0]
        self.flat = np.where(np.isfinite(self.stairs), 0.0, INF)

    @property
    def classes(self) -> Array:
        last = self.of_item.shape[1] - 1
        return self.of_item[0, np.where(self.items < 0, last, self.items)].astype(int)

    @property
    def ranks(self) -> Array:
        last = self.of_item.shape[1] - 1
        return self.of_item[1, np.where(self.items < 0, last, self.items)].astype(int)

    def worth(self, slate: Any, scores: Array, stairs: Array) -> float:
        """Scores less steps, whatever the order; minus infinity beyond a cap."""
        seen: dict[Any, int] = {}
        total = 0.0
        for i in slate:
            total += scores[i]
            for pair in self.of_class[self.classes[i]]:
                total -= stairs[pair[0], seen.get(pair, 0)]
                seen[pair] = seen.get(pair, 0) + 1
        return total

    def greedy(self, scores: Array, stairs: Array, pinned: list[int], k: int, least: int, floor: float) -> list[int]:
        slate = list(pinned)
        while len(slate) < k:
            here = []
            for i in range(self.n):
                if i in slate or not scores[i] > -INF:
                    continue
                s = scores[i]
                for pair in self.of_class[self.classes[i]]:
                    s = s - stairs[pair[0], sum(pair in self.of_class[self.classes[j]] for j in slate)]
                if s > -INF:
                    here.append((-s, self.ranks[i], i))
            if not here or not (-min(here)[0] > floor or len(slate) < least):
                break
            slate.append(min(here)[2])
        return slate

    def pick(self, scores: Array, pinned: list[int], k: int, least: int, floor: float) -> list[int]:
        out, marginal = np.full(5, -9), np.empty(5)
        out[: len(pinned)] = pinned
        request, rules = (scores, self.items, self.of_item), (self.rules, self.stairs, self.counts)
        m = select_one.pick_scored(self.n, request, rules, (len(pinned), k, least, floor), (out, marginal))
        assert not self.counts.any()
        assert np.isclose(marginal[:m].sum(), self.worth(out[:m].tolist(), scores, self.stairs)) or m == 0
        return out[:m].tolist()

    def keep(
        self, scores: Array, column: Array, share: float, k: int, least: int = 0, floor: float = 0.0
    ) -> tuple[list[int], Array]:
        out, marginal, info = np.empty(5, np.int64), np.empty(5), np.empty(4)
        request, rules = (scores, self.items, self.of_item), (self.rules, self.stairs, self.counts)
        m = select_one.keep_scored(
            self.n, request, rules, (0, k, least, floor), (column, self.flat, share), (out, marginal), info
        )
        assert not self.counts.any()
        return out[:m].tolist(), info


BLENDS = {
    "one column of weight 1": [1, 1.0, 2, 0],
    "one column": [1, -0.3, 1, 0],
    "several": [3, 1.0, 0.4, -2.0, 0, 1, 2, 2],
    "a constant, last": [2, 0.5, 0.7, 1, -1, 0],
    "a constant, first": [2, 0.7, 0.5, -1, 1, 0],
    "a constant": [1, 0.7, -1, 0],
    "nothing": [0, 0],
}


def scores_of(case: Case, blend: list[float]) -> Array:
    """The formula, operation by operation."""
    n_terms = int(blend[0])
    rows = [int(row) for row in blend[1 + n_terms : 1 + 2 * n_terms]]
    if blend[:2] == [1, 1.0] and rows[0] >= 0:
        v = case.columns[rows[0]].copy()
    else:
        v = np.zeros(case.n)
        for weight, row in zip(blend[1 : 1 + n_terms], rows, strict=True):
            v = v + weight * case.columns[row] if row >= 0 else v + weight
    v = v - case.table[0][case.classes]
    return v - case.table[1][case.classes] * case.columns[int(blend[1 + 2 * n_terms])]


@pytest.mark.parametrize("name", BLENDS)
@pytest.mark.parametrize("n", [0, 1, 9, 1300])
def test_scores_are_the_formula_bit_for_bit(name: str, n: int) -> None:
    case, out = Case(n, n), np.empty(n)
    blend = np.array(BLENDS[name], np.float64)
    serve.score(n, case.items, case.columns, blend, case.of_item, case.table, out)
    np.testing.assert_array_equal(out, scores_of(case, BLENDS[name]))


@pytest.mark.few(14)
@pytest.mark.parametrize("n", [0, 1, 9, 64, 65, 513, 1300])
@pytest.mark.parametrize("coarse", [False, True])
@pytest.mark.parametrize(("k", "least", "floor"), [(5, 0, 0.0), (5, 3, 0.5), (5, 0, -INF), (0, 0, 0.0), (1, 1, 9.0)])
def test_the_best_are_those_of_a_sort(n: int, coarse: bool, k: int, least: int, floor: float) -> None:
    case, scores, out = Case(n + k, n, coarse=coarse), np.empty(n), np.empty(5, np.int64)
    blend = np.array(BLENDS["several"])
    m = serve.best(n, case.items, case.columns, blend, case.of_item, case.table, k, least, floor, scores, out)
    expected = np.lexsort([np.arange(n), case.ranks, -scores])[:k]
    expected = expected[(scores[expected] > floor) | (np.arange(expected.size) < least)]
    assert out[:m].tolist() == expected.tolist()


def test_what_is_not_a_number_is_never_among_the_best() -> None:
    case, scores, out = Case(3, 40), np.empty(40), np.empty(5, np.int64)
    case.columns[0, ::2] = np.nan
    blend = np.array(BLENDS["several"])
    m = serve.best(40, case.items, case.columns, blend, case.of_item, case.table, 5, 5, -INF, scores, out)
    assert m == 5
    assert (out[:m] % 2 == 1).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_batch_has_the_scores_of_its_users(dtype: type) -> None:
    case = Case(5, 30)
    indptr, columns = np.array([0, 0, 12, 30]), case.columns.astype(dtype)
    tables = readonly(np.stack([case.table, 2.0 * case.table]))  # read-only like all that a policy has
    segment = np.array([0, 1, 0])
    given, class_of = (readonly(indptr), readonly(case.items.astype(np.uint32))), readonly(case.of_item[0])
    out = np.zeros(30)
    serve.add(0, 30, 0.5, readonly(columns[1]), out)
    wrong = serve.charge(0, 3, given, class_of, (tables, segment, 0), None, out)
    wrong += serve.charge(0, 3, given, class_of, (tables, segment, 1), readonly(columns[2]), out)
    of = np.repeat(segment, np.diff(indptr))
    expected = 0.0 + 0.5 * columns[1].astype(float) - tables[of, 0, case.classes]
    expected = expected - tables[of, 1, case.classes] * columns[2].astype(float)
    assert wrong == 0
    np.testing.assert_array_equal(out, expected)
    columns[1, 20] = np.nan
    serve.add(0, 30, 0.5, readonly(columns[1]), out)
    assert serve.charge(0, 3, given, class_of, (tables, segment, 0), None, out) == 1


@settings(max_examples=examples(150))
@given(
    seed=st.integers(0, 10**6), nested=st.booleans(), coarse=st.booleans(), k=st.integers(0, 5),
    least=st.integers(0, 5), n_pinned=st.integers(0, 2), n_systems=st.integers(0, 2), fill=st.booleans(),
)  # fmt: skip
def test_the_heap_picks_what_a_naive_greedy_picks(
    seed: int, nested: bool, coarse: bool, k: int, least: int, n_pinned: int, n_systems: int, fill: bool
) -> None:
    case = Case(seed, 12, n_systems, nested, coarse)
    scores = scores_of(case, BLENDS["several"])
    scores[case.rng.random(12) < 0.1] = -INF
    free = np.flatnonzero(scores > -INF)
    pinned = case.rng.choice(free, min(n_pinned, k, free.size), replace=False).tolist()
    if not np.isfinite(case.worth(pinned, scores, case.stairs)):
        pinned = []
    floor = -INF if fill else 0.0
    got = case.pick(scores, pinned, k, min(least, k), floor)
    assert got == case.greedy(scores, case.stairs, pinned, k, min(least, k), floor)


@settings(max_examples=examples(60))
@given(seed=st.integers(0, 10**6), coarse=st.booleans(), k=st.integers(1, 4), least=st.integers(0, 3))
def test_greedy_is_the_best_slate_where_categories_nest(seed: int, coarse: bool, k: int, least: int) -> None:
    case = Case(seed, 9, coarse=coarse)
    scores = scores_of(case, BLENDS["several"])
    got = case.pick(scores, [], k, min(least, k), 0.0)
    sizes = range(min(least, k, len(case.pick(scores, [], k, k, -INF))), k + 1)
    best = max(case.worth(slate, scores, case.stairs) for m in sizes for slate in itertools.combinations(range(9), m))
    assert case.worth(got, scores, case.stairs) == pytest.approx(best, abs=1e-12)


def brute_keep(case: Case, scores: Array, column: Array, share: float, k: int) -> tuple[float, float]:
    """(worth of the best slate that keeps the share, the target), over all slates."""
    slates = [slate for m in range(k + 1) for slate in itertools.combinations(range(case.n), m)]
    allowed = [s for s in slates if np.isfinite(case.worth(s, scores, case.flat))]
    kept = np.array([column[list(s)].sum() for s in allowed])
    target = kept.max() - (1 - share) * abs(kept.max())
    worth = [case.worth(s, scores, case.stairs) for s, r in zip(allowed, kept, strict=True) if r >= target - 1e-12]
    return max(worth), target


@settings(max_examples=examples(60))
@given(seed=st.integers(0, 10**6), coarse=st.booleans(), k=st.integers(1, 4), share=st.floats(0.5, 1.0))
def test_the_share_is_kept_and_no_exchange_is_better(seed: int, coarse: bool, k: int, share: float) -> None:
    case = Case(seed, 9, coarse=coarse)
    scores, column = scores_of(case, BLENDS["several"]), case.rng.integers(0, 9, 9) / 8
    slate, info = case.keep(scores, column, share, k)
    best, target = brute_keep(case, scores, column, share, k)
    assert info[slate_keep.TARGET] == pytest.approx(target, abs=1e-8)
    assert column[slate].sum() == pytest.approx(info[slate_keep.KEPT])
    assert column[slate].sum() >= target - 1e-8
    worth = case.worth(slate, scores, case.stairs)
    assert np.isfinite(worth)
    assert worth <= best + 1e-9
    least = info[slate_keep.TARGET]
    for out in [None, *slate]:
        rest = [i for i in slate if i != out]
        for into in [[], *([i] for i in range(9) if i not in slate)]:
            other = rest + into
            if len(other) <= k and column[other].sum() >= least:
                assert case.worth(other, scores, case.stairs) <= worth + 1e-9


@settings(max_examples=examples(60))
@given(seed=st.integers(0, 10**6), coarse=st.booleans(), k=st.integers(1, 4), share=st.floats(0.5, 1.0))
def test_filled_slates_keep_the_share_too(seed: int, coarse: bool, k: int, share: float) -> None:
    case = Case(seed, 9, coarse=coarse)
    scores, column = scores_of(case, BLENDS["several"]) - 1.0, case.rng.integers(0, 9, 9) / 8
    slate, info = case.keep(scores, column, share, k, floor=-INF)
    assert len(slate) == len(case.pick(column, [], k, k, -INF))
    assert column[slate].sum() >= info[slate_keep.TARGET] - 1e-12
    column -= 1.0  # none is above 0: the best slate for the column is empty, and nothing may be added to it
    column[column == 0.0] = -1.0
    slate, info = case.keep(scores, column, share, k, floor=-INF)
    assert slate == []
    assert info[slate_keep.TARGET] == info[slate_keep.ORGANIC] == 0.0


@pytest.mark.full
def test_slates_that_keep_a_share_are_nearly_always_the_best() -> None:
    lost, gain = [], []
    for seed in range(150):
        case = Case(seed, 10)
        scores, column = scores_of(case, BLENDS["several"]), case.rng.random(10)
        slate, info = case.keep(scores, column, 0.95, 4)
        best, _ = brute_keep(case, scores, column, 0.95, 4)
        if info[slate_keep.NU] > 0:
            lost.append(best - case.worth(slate, scores, case.stairs))
            gain.append(abs(best))
    assert len(lost) > 60, "the share binds"
    assert np.mean(np.array(lost) < 1e-9) > 0.9
    assert np.sum(lost) < 0.01 * np.sum(gain)
