"""Keys of several labels an item: however they come in they are the same, and every label counts a pair."""

from __future__ import annotations

import datetime as dt
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import scipy.sparse as sp
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import oasis_alloc as oa
from oasis_alloc.data import grouping as grouping_module
from oasis_alloc.data.keys import Key
from oasis_alloc.data.multi_keys import MultiKey
from oasis_alloc.page.summary import deliveries
from oasis_alloc.program.lowering import SIZES, lower
from oasis_alloc.program.pair_lookup import PairView

GENRES = [["rock", "pop"], [], ["jazz"], None, ["pop", "jazz", "rock"], ["pop", "rock"]]
MEMBER = np.array([[0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 1, 1]], bool)
NAMES = ["jazz", "pop", "rock"]


def key_of(values: Any) -> MultiKey:
    candidates = oa.Candidates.from_arrays([0, 1], [0], {"v": [1.0]}, items={"genre": values})
    assert candidates.n_items == 6
    key = candidates.items["genre"]
    assert isinstance(key, MultiKey)
    return key


def same(key: MultiKey, labels: list[Any] = NAMES) -> None:
    assert key.labels.tolist() == labels
    assert [type(label) for label in key.labels.tolist()] == [type(label) for label in labels]
    assert key.indptr.tolist() == [0, 2, 2, 3, 3, 6, 8]
    assert key.codes.tolist() == [1, 2, 0, 0, 1, 2, 1, 2]
    assert (key.indptr.dtype, key.codes.dtype, key.n_groups) == (np.int64, np.int32, 3)
    assert key.sets.tolist() == [2, 0, 1, 0, 3, 2]
    assert key.sets.dtype == np.int32
    assert key.membership()[0] is key.indptr
    for array in (key.indptr, key.codes, key.labels, key.sets):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[0]


def lists_as(kind: Any) -> list[Any]:
    return [None if genres is None else kind(genres) for genres in GENRES]


def frame_key(make: Any, column: Any) -> MultiKey:
    """Rows of items in another order than that of their ids."""
    order = [4, 0, 3, 5, 1, 2]
    items = make({"item": order, "genre": [column[k] for k in order]})
    pairs = make({"user": [1], "item": [3], "v": [1.0]})
    key = oa.Candidates.from_frames(pairs, items=items).items["genre"]
    assert isinstance(key, MultiKey)
    return key


@pytest.mark.parametrize(
    "values",
    [
        GENRES,
        lists_as(tuple),
        lists_as(set),
        lists_as(frozenset),
        lists_as(np.array),
        lists_as(lambda genres: np.array(genres, object)),
        np.array(lists_as(list), object),
        (genres for genres in GENRES),
        pd.Series(GENRES),
        pl.Series(GENRES),
        pa.array(GENRES),
        [float("nan") if genres is None else genres for genres in GENRES],
        (MEMBER, NAMES),
        (MEMBER[:, ::-1], np.array(NAMES[::-1])),
        (sp.csr_array(MEMBER), NAMES),
        (sp.coo_matrix(MEMBER.astype(float)[:, [1, 0, 2]]), ["pop", "jazz", "rock"]),
        (np.column_stack([MEMBER[:, :1], np.zeros(6, bool), MEMBER[:, 1:]]), ["jazz", "noise", "pop", "rock"]),
    ],
)
def test_every_form_is_the_same_key(values: Any) -> None:
    same(key_of(values))


@pytest.mark.parametrize(
    "values",
    [
        MEMBER,
        sp.csr_array(MEMBER),
        sp.csc_matrix(MEMBER.astype(np.int8)),
        sp.coo_array(2.5 * MEMBER),
        np.array([None if g is None else [NAMES.index(name) for name in g] for g in GENRES], object),
        [None if g is None else [float(NAMES.index(name)) for name in g] for g in GENRES],
        pl.Series([None if g is None else [NAMES.index(name) for name in g] for g in GENRES], dtype=pl.List(pl.Int8)),
    ],
)
def test_columns_of_a_matrix_and_whole_numbers_are_integer_labels(values: Any) -> None:
    same(key_of(values), [0, 1, 2])
    assert key_of(values).labels.dtype == np.int64


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table], ids=["pandas", "polars", "pyarrow"])
def test_columns_of_lists_in_frames(make: Any) -> None:
    same(frame_key(make, GENRES))


def test_arrow_lists_in_pandas_and_arrays_in_polars() -> None:
    arrow = pd.DataFrame({"item": range(6), "genre": pd.Series(GENRES, dtype=pd.ArrowDtype(pa.list_(pa.string())))})
    pairs = pl.DataFrame({"user": [1], "item": [3], "v": [1.0]})
    same(oa.Candidates.from_frames(pairs, items=arrow).items["genre"])  # type: ignore[arg-type]
    pairs_of = pl.Series([[1, 0], [2, 1]], dtype=pl.Array(pl.Int8, 2))
    key = oa.Candidates.from_frames(pairs, items=pl.DataFrame({"item": [4, 3], "genre": pairs_of})).items["genre"]
    assert [part.tolist() for part in key.membership()] == [[0, 2, 4], [1, 2, 0, 1]]


def test_inputs_stay_as_they_are() -> None:
    matrix = sp.coo_array((np.array([1.0, 1.0, 0.0, -1.0, 1.0]), ([1, 0, 0, 2, 2], [2, 1, 0, 0, 0])), shape=(3, 3))
    unsorted = sp.csr_array((np.ones(3), np.array([2, 0, 1]), np.array([0, 2, 3, 3])), shape=(3, 3))
    before = [a.copy() for a in (matrix.data, unsorted.data, unsorted.indices)]
    one = MultiKey.build("genre", matrix)
    other = MultiKey.build("genre", unsorted)
    # a zero is no member, and numbers at one place add up
    assert [part.tolist() for part in (one.indptr, one.codes, one.labels)] == [[0, 1, 2, 2], [0, 1], [1, 2]]
    assert [part.tolist() for part in (other.indptr, other.codes)] == [[0, 2, 3, 3], [0, 2, 1]]
    for array, copy in zip((matrix.data, unsorted.data, unsorted.indices), before, strict=True):
        assert array.tolist() == copy.tolist()


def test_labels_of_other_types() -> None:
    days = np.array(["2020-01-02", "2020-01-01"], "M8[D]")
    key = MultiKey.build("day", [days, None, days[:1]])
    assert key.labels.tolist() == [dt.date(2020, 1, 1), dt.date(2020, 1, 2)]
    assert key.codes.tolist() == [0, 1, 1]
    nobody = MultiKey.build("genre", [[], None])
    assert (nobody.n_groups, nobody.indptr.tolist(), nobody.sets.tolist()) == (0, [0, 0, 0], [0, 0])
    assert MultiKey.build("genre", np.zeros((0, 4), bool)).sets.tolist() == []


@given(st.lists(st.sets(st.integers(0, 9)), max_size=12), st.randoms(use_true_random=False))
def test_sets_number_what_items_share(lists: list[set[int]], random: Any) -> None:
    key = MultiKey.build("genre", lists)
    assert [{key.labels[c] for c in key.codes[a:b]} for a, b in zip(key.indptr, key.indptr[1:], strict=False)] == lists
    for (i, one), (j, other) in product(enumerate(lists), repeat=2):
        assert (key.sets[i] == key.sets[j]) == (one == other)
    assert sorted(set(key.sets.tolist())) == list(range(len({frozenset(one) for one in lists})))
    order = list(range(len(lists)))
    random.shuffle(order)
    moved, again = key.take(np.array(order, np.int64)), MultiKey.build("genre", [lists[k] for k in order])
    assert moved.indptr.tolist() == again.indptr.tolist()
    assert moved.codes.tolist() == again.codes.tolist()


@given(st.lists(st.none() | st.sampled_from("abc"), max_size=8))
def test_a_key_of_one_label_has_the_same_view(labels: list[str | None]) -> None:
    single = Key.build("k", labels, n=len(labels), size="n_items", where="items")
    several = MultiKey.build("k", [None if label is None else [label] for label in labels])
    for one, other in zip(single.membership(), several.membership(), strict=True):
        assert one.tolist() == other.tolist()
        assert one.dtype == other.dtype


@dataclass(frozen=True, eq=False)
class Small:
    """A market as lists, and as the package knows it."""

    user: list[int]
    item: list[int]
    relevance: np.ndarray[Any, Any]
    labels: dict[str, list[set[Any]]]  # of every key: each user's or item's
    candidates: oa.Candidates

    def of(self, key: str, pair: int) -> set[Any]:
        return self.labels[key][self.user[pair] if key == "market" else self.item[pair]]

    def groups(self, by: tuple[str, ...]) -> list[Any]:
        """Combinations that occur: among items, or among pairs where users have a say."""
        if "market" in by and len(by) > 1:
            rows = [product(*(self.of(key, pair) for key in by)) for pair in range(len(self.user))]
        else:
            rows = [product(*sets) for sets in zip(*(self.labels[key] for key in by), strict=True)]
        found = sorted({row for some in rows for row in some})
        return found if len(by) > 1 else [row[0] for row in found]

    def matrix(self, measure: oa.Measure) -> np.ndarray[Any, Any]:
        """What each pair adds to each group, counted one by one."""
        labels = self.groups(measure.by)
        out = np.zeros((len(labels), len(self.user)))
        for (g, label), pair in product(enumerate(labels), range(len(self.user))):
            wanted = dict(zip(measure.by, label if len(measure.by) > 1 else (label,), strict=True))
            for term in measure.terms:
                if all(wanted[key] in self.of(key, pair) for key in term.by):
                    out[g, pair] += term.coefficient * (1.0 if term.column is None else self.relevance[pair])
        return out


@st.composite
def smalls(draw: st.DrawFn) -> Small:
    n_users, n_items = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    lists = [draw(st.lists(st.integers(0, n_items - 1), unique=True)) for _ in range(n_users)]
    item = [i for mine in lists for i in mine]
    user = [u for u, mine in enumerate(lists) for _ in mine]
    relevance = np.array(draw(st.lists(st.integers(-2, 8), min_size=len(item), max_size=len(item))), float) / 4
    genres = [draw(st.sets(st.sampled_from(["jazz", "pop", "rock"]))) for _ in range(n_items)]
    moods = [draw(st.sets(st.integers(0, 1))) for _ in range(n_items)]
    artists = [draw(st.sampled_from([None, "ann", "bo"])) for _ in range(n_items)]
    markets = [draw(st.sampled_from([None, "de", "se"])) for _ in range(n_users)]
    candidates = oa.Candidates.from_arrays(
        np.cumsum([0] + [len(mine) for mine in lists]),
        item,
        {"relevance": relevance},
        users={"market": markets},
        items={"genre": genres, "mood": moods, "artist": artists},
    )
    plain = {name: [set() if v is None else {v} for v in values] for name, values in
             (("artist", artists), ("market", markets))}  # fmt: skip
    return Small(user, item, relevance, plain | {"genre": genres, "mood": moods}, candidates)


BYS = [("genre",), ("market", "genre"), ("genre", "market"), ("genre", "artist"), ("mood", "market", "genre")]
E, R = oa.exposure, oa.total
MEASURES = [
    *(E(by) for by in BYS),
    *(R("relevance", by) for by in BYS),
    E("genre") - 0.25 * E(),
    E("genre") + E("genre") - 0.5 * R("relevance", by="genre"),
    E(("market", "genre")) - 0.5 * E("market") - 0.25 * R("relevance", "genre"),
    R("relevance", ("artist", "genre")) - 0.5 * E(("genre", "artist")) - 0.1 * E("genre"),
]


@given(smalls(), st.sampled_from(MEASURES), st.booleans(), st.booleans(), st.integers(0, 99))
def test_totals_and_prices_against_plain_counting(
    market: Small, measure: oa.Measure, sparse: bool, unfolded: bool, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if sparse:
            patch.setattr(grouping_module, "_fits", lambda shape, n_pairs: False)
        labels = market.candidates.groups(measure.by)
        problem = oa.Problem(market.candidates, R("relevance"), measure <= 1.0)
        with SIZES.using(folded_cells=0) if unfolded else nullcontext():
            program = lower(problem)
    plain = market.matrix(measure)
    assert labels == market.groups(measure.by)
    pairs = np.arange(len(market.user))
    every = PairView(program, pairs, program, pairs)
    rows = (program.arithmetic @ program.columns_of(every)).toarray()
    np.testing.assert_allclose(rows, plain, atol=1e-12)
    # a pair's score is its value less the prices of all its groups
    rng = np.random.default_rng(seed)
    prices, x = rng.normal(size=program.n_rows), rng.uniform(size=pairs.size)
    tables, cell = program.tables(prices).reshape(len(program.base), -1), every.cells
    paid = tables[0][cell] + (tables[1][cell] * market.relevance if len(tables) > 1 else 0.0)
    np.testing.assert_allclose(paid, prices @ plain, atol=1e-12)
    low, high = program.reach()
    assert (low <= plain.clip(max=0).sum(axis=1) + 1e-12).all()
    assert (high >= plain.clip(min=0).sum(axis=1) - 1e-12).all()
    if labels:
        [page] = deliveries(problem, pairs, x, {problem.names[0]: prices})
        wide = oa.Measure(tuple(t for t in measure.terms if set(t.by) == set(measure.by)))
        np.testing.assert_allclose(page.delivered, market.matrix(wide) @ x, atol=1e-12)


@st.composite
def problems(draw: st.DrawFn) -> tuple[Small, oa.Problem]:
    """Limits around the totals of an allocation in quarters that keeps slates."""
    market, size = draw(smalls()), draw(st.integers(1, 3))
    quarters, left = [], [4 * size] * market.candidates.n_users
    for u in market.user:
        quarters.append(min(draw(st.integers(0, 4)), left[u]))
        left[u] -= quarters[-1]
    rules = []
    for measure in draw(st.lists(st.sampled_from(MEASURES), min_size=1, max_size=3, unique=True)):
        totals = market.matrix(measure) @ (np.array(quarters, float) / 4)
        slack = draw(st.sampled_from([0.0, 0.25, 1.0]))
        rules.append(measure <= totals + slack if draw(st.booleans()) else measure >= totals - slack)
    return market, oa.Problem(market.candidates, R("relevance"), rules, oa.Slate(size))


def best(market: Small, problem: oa.Problem) -> float:
    """The optimum from the plain matrices by a linear program."""
    n = len(market.user)
    slates = np.array([[float(u == v) for v in market.user] for u in range(market.candidates.n_users)])
    rows, limits = [slates], [np.full(len(slates), float(problem.slate.size))]
    for rule in problem.subject_to:
        sign = 1.0 if rule.sense == "<=" else -1.0  # type: ignore[attr-defined]
        rows.append(sign * market.matrix(rule.measure))
        limits.append(sign * rule.limit)  # type: ignore[attr-defined]
    if n == 0:
        return 0.0
    matrix = np.vstack([row.reshape(-1, n) for row in rows])
    result = linprog(-market.relevance, matrix, np.concatenate(limits), bounds=(0, 1))
    assert result.status == 0, result.message
    return float(-result.fun)


def check(market: Small, problem: oa.Problem) -> oa.Solution:
    solution = oa.solve(problem, gap=1e-6)
    optimum = best(market, problem)
    assert solution.status is oa.Status.SOLVED
    assert solution.value <= optimum + 1e-6
    assert solution.bound >= optimum - 1e-6
    assert solution.gap <= 1e-6
    for name, rule in zip(problem.names, problem.subject_to, strict=True):
        np.testing.assert_allclose(solution.totals[name], market.matrix(rule.measure) @ solution.allocation, atol=1e-9)
    return solution


@settings(max_examples=examples(40))
@given(problems())
def test_the_optimum_is_that_of_the_plain_program(case: tuple[Small, oa.Problem]) -> None:
    check(*case)


@settings(max_examples=examples(25))
@given(problems())
@pytest.mark.usefixtures("small_steps")
def test_the_optimum_by_the_paths_of_large_problems(case: tuple[Small, oa.Problem]) -> None:
    check(*case)


@settings(max_examples=examples(15))
@given(problems(), st.sampled_from([0.5, 2.0]))
def test_functions_of_genres_against_the_reference(case: tuple[Small, oa.Problem], weight: float) -> None:
    market, problem = case
    happy = oa.log(E("genre"), offset=0.5) if market.groups(("genre",)) else oa.log(E(), offset=0.5)
    problem = problem.replace(maximize=R("relevance") + weight * happy)
    ours, reference = oa.solve(problem, gap=1e-6), oa.solve(problem, solver="conic")
    scale = max(1.0, abs(reference.bound))
    assert ours.gap <= 1e-6
    assert ours.bound >= reference.value - 1e-5 * scale
    assert ours.value <= reference.bound + 1e-5 * scale


def test_a_known_case() -> None:
    candidates = oa.Candidates.from_arrays(
        [0, 3], [0, 1, 2], {"relevance": [1.0, 0.9, 0.5]}, items={"genre": [["pop", "rock"], ["rock"], ["jazz"]]}
    )
    problem = oa.Problem(candidates, R("relevance"), E("genre") <= {"rock": 1.0}, oa.Slate(2))
    solution = oa.solve(problem)
    assert solution.allocation.tolist() == pytest.approx([1.0, 0.0, 1.0])
    assert solution.totals[problem.names[0]].tolist() == pytest.approx([1.0, 1.0, 1.0])
    assert solution.value == pytest.approx(1.5)


def test_of_has_no_answer_where_there_are_several() -> None:
    candidates = oa.Candidates.from_arrays([0, 1], [0], {"v": [1.0]}, items={"genre": [["pop", "rock"]]})
    grouping = candidates.grouping("genre")
    with pytest.raises(oa.ProblemError, match=r"'genre'.*several groups"):
        grouping.of(np.zeros(1, int), np.zeros(1, int))


def test_films_and_their_genres(data_dir: Path) -> None:
    folder = data_dir / "movielens-small"
    if not (folder / "items.parquet").is_file():
        pytest.skip(f"no movielens-small in {data_dir}; set OASIS_ALLOC_DATA to the directory that has it")
    films = pl.read_parquet(folder / "items.parquet").select("item", "genres", "year")
    ratings = pl.read_parquet(folder / "events.parquet").filter(pl.col("user") < 40).select("user", "item", "rating")
    kinds = {"polars": films, "pandas": films.to_pandas(), "pyarrow": films.to_arrow()}
    keys = [oa.Candidates.from_frames(ratings, items=frame).items["genres"] for frame in kinds.values()]
    for key in keys:
        assert isinstance(key, MultiKey)
        lists = [key.labels[key.codes[a:b]].tolist() for a, b in zip(key.indptr, key.indptr[1:], strict=False)]
        assert lists == [sorted(genres) for genres in films.sort("item")["genres"].to_list()]
    candidates = oa.Candidates.from_frames(ratings, items=films.sample(fraction=1.0, shuffle=True, seed=1))
    problem = oa.Problem(candidates, R("rating"), E("genres") <= 0.2 * E(), oa.Slate(10))
    solution = oa.solve(problem, gap=1e-4)
    shown = solution.to_frame().join(films, on="item").explode("genres").drop_nulls("genres")
    by_genre = shown.group_by("genres").agg(pl.col("x").sum()).sort("genres")
    everything = solution.allocation.sum()
    expected = dict(by_genre.iter_rows())
    shares = [expected.get(label, 0.0) - 0.2 * everything for label in candidates.groups("genres")]
    np.testing.assert_allclose(solution.totals[problem.names[0]], shares, atol=1e-6)
    assert solution.status is oa.Status.SOLVED
    assert max(shares) <= 1e-6
