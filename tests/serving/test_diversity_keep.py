"""Diverse slates that keep a share of a column: against plain greedy that looks at all ways to go on."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from effort import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from served import N_ITEMS, N_USERS, policy, request, solved
from test_diversity import Asked, case, dpp_twin, mmr_twin, packed, run
from test_select import slates, worth

import oasis_alloc as oa
from oasis_alloc.kernels.serve import diversify, diversify_window, select_one, slate_keep

Array = np.ndarray[Any, Any]
INF = np.inf

KERNELS = {
    "mmr": (diversify.mmr, 0.6),
    "dpp": (diversify.dpp, 0.7),
    "window": (diversify_window.dpp_window, (0.7, 2)),
}
TWINS: dict[str, Any] = {"mmr": mmr_twin, "dpp": dpp_twin, "window": dpp_twin}


def flat_of(stairs: Array) -> Array:
    return np.where(np.isinf(stairs), INF, 0.0)


def kept(name: str, asked: Asked, column: Array, share: float) -> list[int]:
    kernel, option = KERNELS[name]
    return run(kernel, asked, option, (column, flat_of(asked.stairs), share), tidy=False)  # the first try may be longer


def target(asked: Asked, column: Array, share: float) -> float:
    """What slates without vectors keep, of the same request."""
    n, info = asked.n, np.empty(4)
    rules, n_categories = packed(asked.of, n)
    of_item = np.stack([np.arange(n + 1), np.append(asked.ranks, n)]).astype(np.uint32)
    out, marginal = np.empty(n + 1, np.int64), np.empty(n + 1)
    out[: len(asked.pinned)] = asked.pinned
    request, by_category = (asked.score, np.arange(n), of_item), (rules, asked.stairs, np.zeros(n_categories, np.int64))
    fill = len(asked.pinned), min(asked.k, n), asked.least, asked.floor
    shown = np.where(asked.score > -INF, column, -INF)
    select_one.keep_scored(n, request, by_category, fill, (shown, flat_of(asked.stairs), share), (out, marginal), info)
    return float(info[slate_keep.TARGET])


def within_caps(asked: Asked, slate: Any) -> bool:
    flat = replace(asked, score=np.zeros(asked.n), stairs=flat_of(asked.stairs))
    return all(flat.marginal(i, list(slate[:j])) > -INF for j, i in enumerate(slate))


def shared(draw: st.DrawFn, n: int, k: int, nested: bool) -> tuple[Asked, Array, float]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, score = case(int(rng.integers(10**6)), n, 12, 3)
    genre = rng.integers(0, 3, n)
    artist = genre * 3 + rng.integers(0, 3, n) if nested else rng.integers(0, 4, n)
    several = [sorted(set(rng.integers(0, 3, rng.integers(0, 3)).tolist())) for _ in range(n)]
    of = [[[int(a)] for a in artist], [[int(g)] for g in genre] if nested else several]
    of = of[: draw(st.integers(0, 2))]
    stairs = np.zeros((len(of), k))
    for row in stairs:
        row[:] = draw(st.sampled_from([0.0, 0.125])) * np.arange(k)
        row[draw(st.integers(1, 3)) :] = INF
    score[rng.random(n) < draw(st.sampled_from([0.0, 0.2]))] = -INF
    column = rng.uniform(draw(st.sampled_from([0.0, 0.0, -0.5])), 1.0, n)
    if draw(st.booleans()):
        column = np.round(column, 1)  # ties
    free = np.flatnonzero(score > -INF)
    pinned = tuple(free[: draw(st.sampled_from([0, 0, 1]))].tolist())
    floor, least = draw(st.sampled_from([0.0, 0.4, -INF])), draw(st.sampled_from([0, 0, 2]))
    asked = Asked(rows, score, min(k, n), of, stairs, pinned, rng.permutation(n), min(least, k, n), floor)
    return asked, column, draw(st.sampled_from([0.5, 0.9, 0.97, 1.0]))


@st.composite
def requests(draw: st.DrawFn) -> tuple[Asked, Array, float]:
    return shared(draw, draw(st.integers(1, 40)), draw(st.integers(1, 10)), draw(st.booleans()))


@st.composite
def small_requests(draw: st.DrawFn) -> tuple[Asked, Array, float]:
    return shared(draw, draw(st.integers(3, 8)), draw(st.integers(1, 4)), True)


@pytest.mark.parametrize("name", list(KERNELS))
@settings(max_examples=examples(120))
@given(given_=requests())
def test_the_share_is_kept_whatever_the_rules(name: str, given_: tuple[Asked, Array, float]) -> None:
    asked, column, share = given_
    least = target(asked, column, share)
    slate = kept(name, asked, column, share)
    assert slate[: len(asked.pinned)] == list(asked.pinned)
    assert len(set(slate)) == len(slate) <= asked.k
    assert within_caps(asked, slate)
    assert (asked.score[slate] > -INF).all()
    assert column[slate].sum() >= least - 1e-9 * abs(least)
    plain, option = KERNELS[name]
    free = run(plain, asked, option)
    if column[free].sum() >= least + 1e-12:
        assert slate == free, "where the share is kept anyway, nothing changes"


def most_kept(asked: Asked, column: Array, picks: list[int]) -> float:
    """The most of the column that a slate with these picks can have, by trying all; of `least` items, if it can be."""
    others = [i for i in range(asked.n) if i not in picks and asked.score[i] > -INF]
    longest, best = 0, -INF
    for m in range(asked.k - len(picks) + 1):
        for more in itertools.combinations(others, m):
            slate = [*picks, *more]
            if not within_caps(asked, slate):
                continue
            if min(len(slate), asked.least) > longest:
                longest, best = min(len(slate), asked.least), -INF
            if len(slate) >= longest:
                best = max(best, float(column[slate].sum()))
    return best


@pytest.mark.parametrize("name", list(KERNELS))
@settings(max_examples=examples(40), deadline=None)
@given(given_=small_requests())
def test_picks_are_those_of_greedy_that_sees_the_end(name: str, given_: tuple[Asked, Array, float]) -> None:
    """Every pick is the best of those after which some slate keeps the share; where none is worth a slot, by column."""
    asked, column, share = given_
    least = target(asked, column, share)
    column = np.where(asked.score > -INF, column, -INF)
    plain, option = KERNELS[name]
    slate = kept(name, asked, column, share)
    if column[run(plain, asked, option)].sum() >= least:
        return
    picks = list(asked.pinned)
    while len(picks) < asked.k:
        allowed = [
            i
            for i in range(asked.n)
            if i not in picks and within_caps(asked, [*picks, i]) and most_kept(asked, column, [*picks, i]) >= least
        ]
        # the twin's own next pick, of those that are allowed: it is asked for one more than there are
        score = np.full(asked.n, -INF)
        score[[*picks, *allowed]] = asked.score[[*picks, *allowed]]
        one_more = replace(asked, score=score, k=len(picks) + 1, pinned=tuple(picks))
        if name != "mmr":  # weights go by the scores of all candidates
            one_more = replace(one_more, spread=asked.score)
        following = TWINS[name](one_more, *(option if isinstance(option, tuple) else (option,)))
        if len(following) == len(picks):
            short = [i for i in allowed if column[i] > 0 or len(picks) < asked.least]
            if (column[picks].sum() >= least and len(picks) >= asked.least) or not short:
                break
            top = max(column[i] for i in short)
            following = [*picks, min((i for i in short if column[i] == top), key=lambda i: asked.ranks[i])]
        picks = following
    assert slate == picks


# policies

EMBEDDINGS = oa.Embeddings(np.random.default_rng(5).normal(size=(N_ITEMS, 3)))
METHODS = [oa.MMR(0.6), oa.DPP(0.6), oa.DPP(0.6, window=1)]


@pytest.mark.few(1)
@pytest.mark.parametrize("rule", METHODS, ids=str)
def test_everybody_keeps_their_share_of_a_diverse_slate(rule: Any) -> None:
    """Diversity is paid for by the rest of the score: no vectors take from the share."""
    served, problem = policy("a share kept"), solved("a share kept").problem
    differ = bound = 0
    for u in range(N_USERS):
        items, columns = request(problem.candidates, u)
        relevance = columns["relevance"].astype(float)
        allowed = [s for s in slates(9, 0, 3) if worth(problem, items, relevance, s) > -INF]
        organic = max(relevance[list(s)].sum() for s in allowed)
        slate = served.select(items, columns, u, diversify=rule, embeddings=EMBEDDINGS)
        assert relevance[slate].sum() >= 0.9 * organic * (1 - 1e-8)
        assert worth(problem, items, relevance, slate) > -INF
        differ += slate.tolist() != served.select(items, columns, u).tolist()
        bound += slate.size == 3
        first = int(np.argmin(relevance))
        pinned = served.select(items, columns, u, diversify=rule, embeddings=EMBEDDINGS, pinned=[first])
        most = max(relevance[list(s)].sum() for s in allowed if first in s)
        assert pinned[0] == first
        assert relevance[pinned].sum() >= 0.9 * most * (1 - 1e-8)
        out = served.select(items, columns, u, diversify=rule, embeddings=EMBEDDINGS, exclude=slate)
        assert not set(out) & set(slate)
    assert differ > 3
    assert bound == N_USERS


def test_a_pick_that_would_cost_the_share_is_passed_over() -> None:
    """Two that are alike have all of the relevance, and a third, like nothing, has none of it."""
    cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"r": [0.9, 0.8, 0.1], "v": [1.0, 0.9, 0.8]})
    columns, vectors = {"r": [0.9, 0.8, 0.1], "v": [1.0, 0.9, 0.8]}, [[1, 0], [1, 0], [0, 1]]
    for share, expected in ((0.5, [0, 2]), (0.95, [0, 1])):
        rules = oa.Slate(2, keep={"r": share})
        served = oa.solve(oa.Problem(cands, oa.total("v"), slate=rules)).policy()
        for rule in (oa.MMR(), oa.DPP(), oa.DPP(window=2)):
            assert served.select([0, 1, 2], columns, diversify=rule, embeddings=vectors).tolist() == expected
            hot = served.prepare(3, diversify=rule, embeddings=oa.Embeddings(vectors))
            hot.items[:] = [0, 1, 2]
            for row, name in zip(hot.columns, hot.names, strict=True):
                row[:] = columns[name]
            shown = hot.select(3, served.user())
            assert hot.positions[:shown].tolist() == expected


def test_what_is_not_worth_a_slot_is_shown_where_the_share_needs_it() -> None:
    cands = oa.Candidates.from_arrays([0, 3], [0, 1, 2], {"r": [0.9, 0.8, 0.1], "v": [-1.0, 0.5, 0.4]})
    served = oa.solve(oa.Problem(cands, oa.total("v"), slate=oa.Slate(2, keep={"r": 0.9}))).policy()
    columns = {"r": [0.9, 0.8, 0.1], "v": [-1.0, 0.5, 0.4]}
    for rule in (oa.MMR(), oa.DPP(), oa.DPP(window=2)):
        shown = served.select([0, 1, 2], columns, diversify=rule, embeddings=np.eye(3))
        assert shown.tolist() == [1, 0]
