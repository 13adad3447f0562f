"""Explanations: parts that add up exactly, and changes that do reverse the decision."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from effort import diagonal, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from served import N_USERS, PROBLEMS, at_random_prices, policy, request, solved

import oasis_alloc as oa
from oasis_alloc.serving.explain.explanation import Change
from oasis_alloc.serving.explain.score_parts import ScorePart, exact

NAMES = list(PROBLEMS)


@settings(max_examples=examples(40))
@given(name=st.sampled_from(NAMES), seed=st.integers(0, 10**6), u=st.integers(0, N_USERS - 1))
def test_parts_add_up_to_the_score_exactly(name: str, seed: int, u: int) -> None:
    solution = at_random_prices(name, seed)
    served = solution.policy()
    items, columns = request(solution.problem.candidates, u)
    scores = served.score(items, columns, u)
    for reason, score, relevance in zip(served.explain(items, columns, u), scores, columns["relevance"], strict=True):
        assert reason.score == score
        assert reason.organic == relevance
        assert math.fsum(part.amount for part in reason.parts) == score
        for part in reason.parts:
            if part.kind == "price":
                assert part.amount == pytest.approx(-part.price * part.use, abs=1e-12)
            assert part.kind != "rounding"


@settings(max_examples=examples(300))
@given(
    amounts=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6), ulps=st.integers(-40, 40), scale=st.integers(-60, 3)
)
def test_any_parts_are_made_to_add_up(amounts: list[float], ulps: int, scale: int) -> None:
    score = math.fsum(amounts) + ulps * math.ulp(1.0) * 2.0**scale
    parts = exact([ScorePart("column", "c", amount) for amount in amounts], score)
    assert math.fsum(part.amount for part in parts) == score


def test_prices_are_named_by_constraint_and_group() -> None:
    solution = at_random_prices("several columns", 4)
    served, cands = solution.policy(), solution.problem.candidates
    items, columns = request(cands, 5)
    share, by_licensor = (
        'total("promotion") - 0.6 * total("relevance") <= 0',
        'exposure(by="label") - 0.5 * exposure() <= 0',
    )
    for reason, item, promotion in zip(served.explain(items, columns, 5), items, columns["promotion"], strict=True):
        assert reason.item == cands.item_ids[item]
        paid = {(p.name, p.group, p.column): (p.price, p.use) for p in reason.parts if p.kind == "price"}
        if price := solution.prices[share][0]:
            assert paid[share, None, "promotion"] == (price, promotion)
        label = cands.items["label"].labels.tolist()[cands.items["label"].codes[item]]
        own = dict(zip(solution.problem.labels(by_licensor), solution.prices[by_licensor].tolist(), strict=True))
        if own[label]:
            assert paid[by_licensor, label, None] == (own[label], 1.0)
        assert paid[by_licensor, None, None] == (pytest.approx(math.fsum(own.values())), -0.5)


def changed(columns: dict[str, Any], i: int, change: Change, by: float) -> dict[str, Any]:
    moved = columns[change.name].astype(float)
    moved[i] += (change.to - change.now) * by
    return {**columns, change.name: moved}


def repriced(served: oa.Policy, change: Change, by: float) -> oa.Policy:
    """The policy with one price moved towards where it reverses a decision."""
    data, terms = served.data, list(served.data.terms)
    for constraint in data.constraints:
        if constraint.name == change.name:
            row = [data.label(constraint.keys, codes) for codes in constraint.groups].index(change.group)
            ((which, coefficient),) = constraint.terms
            price = terms[which].price.copy()
            group = [data.label(terms[which].keys, codes) for codes in terms[which].groups].index(change.group)
            price[group] += coefficient * (change.to - change.now) * by
            assert constraint.price[row] == change.now
            terms[which] = replace(terms[which], price=price)
    return oa.Policy(replace(data, terms=tuple(terms)))


SELECTING = ["one column", "segments", "rules that nest", "rules that cross", "several columns"]


@settings(max_examples=examples(30))
@given(name=st.sampled_from(SELECTING), seed=st.integers(0, 10**6), u=st.integers(0, N_USERS - 1))
def test_changes_reverse_the_decision_and_nothing_less_does(name: str, seed: int, u: int) -> None:
    solution = at_random_prices(name, seed)
    served = solution.policy()
    items, columns = request(solution.problem.candidates, u)
    slate = served.select(items, columns, u).tolist()
    why = served.explain(items, columns, u)
    assert [reason.position for reason in why.slate] == slate
    told = 0
    for i, reason in enumerate(why):
        assert (reason.rank is not None) == (i in slate)
        assert not reason.margin > 0 or reason.rank is not None
        for change in reason.changes:
            told += 1
            if abs(change.to - change.now) < 1e-7:
                continue  # a tie
            for by, reversed_ in ((1 - 1e-6, False), (1 + 1e-6, True)):
                if change.kind == "column":
                    now = served.select(items, changed(columns, i, change, by), u)
                else:
                    now = repriced(served, change, by).select(items, columns, u)
                assert (i in now) == ((i in slate) != reversed_), (reason, change, by)
    assert told


def test_the_runner_up_is_who_comes_in() -> None:
    for u in range(N_USERS):
        items, columns = request(solved("rules that nest").problem.candidates, u)
        served = policy("rules that nest")
        slate = set(served.select(items, columns, u).tolist())
        for reason in served.explain(items, columns, u).slate:
            after = set(served.select(items, columns, u, exclude=[reason.position]).tolist())
            assert after - slate == (set() if reason.rival is None else {reason.rival})


def simple(**slate: Any) -> oa.Policy:
    cands = oa.Candidates.from_arrays(
        [0, 5], np.arange(5), {"relevance": np.ones(5), "promotion": np.ones(5)},
        items={"artist": ["a", "a", "b", "b", None]},
    )  # fmt: skip
    objective = oa.total("relevance") + oa.total("promotion")
    return oa.solve(oa.Problem(cands, objective, slate=oa.Slate(**slate))).policy()


def rules(served: oa.Policy, relevance: Any, promotion: Any = None, **wishes: Any) -> list[str]:
    """The rule of every candidate; ">" marks those that are shown."""
    n = len(relevance)
    columns = {"relevance": relevance, "promotion": [0.0] * n if promotion is None else promotion}
    return [("> " if r.rank is not None else "") + r.rule for r in served.explain(range(n), columns, **wishes)]


def test_the_rule_that_dropped_a_candidate_is_named() -> None:
    falling = [0.5, 0.4, 0.3, 0.2, 0.1]
    assert rules(simple(size=2), falling) == ["> ", "> ", "score", "score", "score"]
    assert rules(simple(size=4, at_most={"artist": 1}), falling) == [
        "> ",
        "at_most artist",
        "> ",
        "at_most artist",
        "> ",
    ]
    assert rules(simple(size=3), [0.5, -0.5, 0.4]) == ["> ", "worth", "> "]
    less = simple(size=3, diminishing={"artist": 0.45})
    assert rules(less, falling) == ["> ", "diminishing artist", "> ", "diminishing artist", "> "]
    assert rules(simple(size=2), falling, pinned=[4], exclude=[0]) == ["exclude", "> ", "score", "score", "> pinned"]
    kept = simple(size=1, keep={"relevance": 0.9})
    assert rules(kept, [0.95, 0.2, 1.0], [0.0, 1.0, 0.0]) == ["score", "keep relevance", "> keep relevance"]


def test_a_sentence_says_it_all() -> None:
    cands = solved("one column").problem.candidates
    items, columns = request(cands, 3)
    why = policy("one column").explain(items, columns, 3)
    text = str(why)
    assert f"item {items[why.slate[0].position]}" in text
    shown, dropped = why.slate[0], next(reason for reason in why if reason.rule == "score")
    assert f"shown at 1, {shown.margin:.4g} ahead of " in shown.sentence
    assert "is worth more, short by" in dropped.sentence
    assert f"reversed by {dropped.changes[0].to - dropped.changes[0].now:+.4g} relevance" in dropped.sentence
    assert len(why) == 9
    assert why[:2] == why.reasons[:2]
    unseen = policy("one column").explain([-1], {"relevance": [0.5]})
    assert unseen[0].item is None
    assert unseen[0].sentence.startswith("item None scores 0.5 = +0.5 relevance; shown at 1")


@pytest.mark.parametrize(
    ("name", "wishes"),
    diagonal(
        ["one column", "rules that nest", "rules that cross"],
        {"filled": {"fill": True}, "excluded": {"k": 6, "exclude": [2]}, "pinned": {"k": 5, "pinned": [1]}},
    ),
)
def test_thresholds_hold_whatever_is_asked_for(name: str, wishes: dict[str, Any]) -> None:
    served, cands = at_random_prices(name, 3).policy(), solved(name).problem.candidates
    weight = dict(served.data.weights)["relevance"]
    finite = 0
    for u in range(N_USERS):
        items, columns = request(cands, u)
        for i, reason in enumerate(served.explain(items, columns, u, **wishes)):
            if not math.isfinite(reason.margin):
                continue
            finite += 1
            for past in (-1e-6, 1e-6):
                moved = columns["relevance"].astype(float)
                moved[i] += (past - reason.margin) / weight
                slate = served.select(items, {**columns, "relevance": moved}, u, **wishes)
                assert (i in slate) == (past > 0), (u, reason)
    assert finite > N_USERS
