"""Served against planned on the board: the numbers of `oa.served`, computed once for an answer, by group too."""

from __future__ import annotations

import pytest
from boards import fractional, get, market, post, refused, source

import oasis_alloc as oa
from oasis_alloc.commands.board.sources import Source
from oasis_alloc.commands.board.state import Board


@pytest.fixture(scope="module")
def missed() -> Source:
    return source(fractional())


def test_what_is_served_is_that_of_the_library(missed: Source) -> None:
    board = Board([missed])
    assert get(board, "served", known="1") == {"known": False}
    assert get(board, "about")["served"] is False
    document, direct = get(board, "served"), oa.served(board.solution, close=False)
    assert document["groups"] == [one.to_dict() | {"by": ["campaign"], "label": one.label} for one in direct]
    assert (document["missed"], document["limits"], document["closed"]) == (1, 2, False)
    assert (document["planned"], document["served"]) == (board.solution.value, direct.value)
    assert document["mixed_users"] == direct.mixed_users > 0
    assert get(board, "about")["served"] is True
    assert get(board, "served", known="1") == document


def test_what_closes_the_difference_is_tried_when_it_is_asked_for(missed: Source) -> None:
    board = Board([missed])
    document, direct = get(board, "served", close="1"), oa.served(board.solution)
    assert document["closed"]
    assert [one["how"] for one in document["closers"]] == [one.how for one in direct.closers]
    assert [one["units"] for one in document["closers"]] == [one.units for one in direct.closers]
    (margin,) = document["margins"]
    assert margin == {"name": "floors", "label": "b", "limit": direct.margins["floors"]["b"]}
    assert get(board, "served") == document, "what is known is not computed again"


def test_a_group_has_its_own_limits(missed: Source) -> None:
    board = Board([missed])
    assert [row["name"] for row in get(board, "served", key="campaign", label="a")["groups"]] == ["caps"]
    assert [row["name"] for row in get(board, "served", key="campaign", label="b")["groups"]] == ["floors"]
    assert get(board, "served", key="market", label="DE")["groups"] == []
    pairs = market()
    by = (oa.exposure(by=("market", "campaign")) <= 1e4).named("by market")
    several = Board([source(pairs.replace(subject_to=[*pairs.subject_to, by]))])
    label = pairs.candidates.groups("campaign")[0]
    rows = get(several, "served", key="campaign", label=label)["groups"]
    labels = several.solution.problem.labels("by market")
    mine = {f"{market} · {of}" for market, of in labels if of == label}
    assert {row["label"] for row in rows if row["name"] == "by market"} == mine
    assert len(mine) > 1


def test_a_change_of_the_problem_is_a_change_of_what_is_served(missed: Source) -> None:
    board = Board([missed], editable=True)
    before = get(board, "served")
    post(board, "limit", constraint="floors", label="b", limit=100)
    assert get(board, "served", known="1") == {"known": False}
    assert get(board, "served") != before


def test_a_saved_solution_has_no_users_to_serve(missed: Source) -> None:
    saved = Source("saved", "solution", "saved.solution", document=missed.document)
    assert "no candidates" in refused(Board([saved]), "GET", "served")
