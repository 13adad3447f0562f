"""Random problems whose slates have rules, for Hypothesis; limits are around allocations that keep them."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from slate_oracle import counted, polytope_of
from strategies import ITEM_KEYS, OBJECTIVES, USER_KEYS, Case, Market, demands, markets

import oasis_alloc as oa

MOODS = ["calm", "loud", "odd"]


@st.composite
def labeled(draw: st.DrawFn, nested: bool, **sizes: int) -> Market:
    """A market whose items have none, one or several moods; `nested`: artists lie within campaigns."""
    old = draw(markets(**sizes))
    labels = dict(old.labels)
    if nested:
        parents = {artist: draw(st.sampled_from([-1, 3, 5])) for artist in ("ann", "bo", "cy")}
        pairs = zip(labels["campaign"], labels["artist"], strict=True)
        labels["campaign"] = [own if artist is None else parents[artist] for own, artist in pairs]
    mood = st.lists(st.sampled_from(MOODS), max_size=3, unique=True)
    labels["mood"] = draw(st.lists(mood, min_size=old.n_items, max_size=old.n_items))
    candidates = oa.Candidates.from_arrays(
        old.candidates.indptr,
        np.array(old.item, np.int64),
        old.columns,
        users={key: labels[key] for key in USER_KEYS},
        items={key: labels[key] for key in (*ITEM_KEYS, "mood")},
    )
    return Market(old.user, old.item, old.columns, labels, old.n_users, old.n_items, candidates)


@st.composite
def slates(draw: st.DrawFn, market: Market, nested: bool) -> oa.Slate:
    """One to four rules; slots that must be filled only where the others nest."""
    by_user = st.lists(st.integers(0, 3), min_size=market.n_users, max_size=market.n_users).map(np.array)
    size: Any = draw(st.one_of(st.integers(1, 4), by_user))
    keys = ("artist", "campaign") if nested else ("artist", "campaign", "mood")
    kinds = ["at_most", "diminishing", "keep", "slot_weights", "nothing", *(["at_least"] if nested else [])]
    chosen = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))
    some = st.lists(st.sampled_from(keys), min_size=1, unique=True)
    rules: dict[str, Any] = {}
    if "at_most" in chosen:
        rules["at_most"] = {key: draw(st.sampled_from([1, 1, 2, 3])) for key in draw(some)}
    if "diminishing" in chosen:
        steps = st.sampled_from([0.25, 0.125, [0.0, 0.5], [0.125, 0.125, 1.0], 300.0])
        rules["diminishing"] = {key: draw(steps) for key in draw(some)}
        if nested and "at_least" in chosen and len(rules["diminishing"]) > 1:
            rules["diminishing"].pop("campaign")  # one staircase nests
    if "keep" in chosen:
        rules["keep"] = {"relevance": draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))}
    if "at_least" in chosen:
        rules["at_least"] = draw(st.integers(0, 2)) if isinstance(size, np.ndarray) else draw(st.integers(0, size))
        rules["at_least"] = np.minimum(rules["at_least"], size) if isinstance(size, np.ndarray) else rules["at_least"]
    if "slot_weights" in chosen:
        falls = st.lists(st.sampled_from([0.2, 0.2, 0.5, 1.0]), min_size=4, max_size=4)
        weights = np.sort(draw(falls))[::-1]
        rules["slot_weights"] = weights[: size if isinstance(size, int) else 3]
    return oa.Slate(size, **rules)


@st.composite
def ruled_problems(draw: st.DrawFn, feasible: bool = True, **sizes: int) -> Case:
    """A problem under rules; `feasible` as in strategies.problems."""
    nested = draw(st.booleans())
    market = draw(labeled(nested, **sizes))
    slate = draw(slates(market, nested))
    supply = draw(st.lists(st.sampled_from([0.5, 1.0, 2.5]), min_size=market.n_users, max_size=market.n_users))
    weights = np.array(supply) if draw(st.booleans()) else None
    case = Case(market, oa.Problem(market.candidates, OBJECTIVES[0], slate=slate, supply=weights))
    x = counted(case) * some_slates(case, np.random.default_rng(draw(st.integers(0, 2**20))))
    constraints = draw(demands(market, x, feasible, min_count=0 if feasible else 1))
    objective = draw(st.sampled_from(OBJECTIVES))
    return Case(market, case.problem.replace(maximize=objective, subject_to=constraints))


def some_slates(case: Case, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """A mixture of two slates of everyone that keep all rules."""
    from scipy.optimize import linprog

    within = polytope_of(case)
    out = np.zeros(case.market.n_pairs)
    if within.cost.size:
        rows, room = within.inequalities
        for share in (0.25, 0.75):
            gain = rng.integers(-1, 3, within.cost.size)
            out += share * (within.shown @ linprog(-gain, rows, room, bounds=(0.0, 1.0)).x)
    return out
