"""Quotes on the board: the numbers of `oa.quote`, and promises on a board that may edit."""

from __future__ import annotations

import pytest
from boards import CAPS, FLOORS, conflicting, get, market, post, refused, source

import oasis_alloc as oa
from oasis_alloc.commands.board.sources import Source
from oasis_alloc.commands.board.state import Board


@pytest.fixture(scope="module")
def wide() -> Source:
    return source(market(users=600, degree=30, campaigns=8))


@pytest.fixture
def board(wide: Source) -> Board:
    return Board([wide])


@pytest.fixture(scope="module")
def label(wide: Source) -> str:
    """A campaign of which a lot more can be had."""
    assert wide.solution is not None
    labels: list[str] = wide.solution.problem.labels(CAPS)
    return max(labels, key=lambda one: oa.quote(wide.solution, of={"campaign": one}).max_units.high)


def test_the_curve_and_the_quote_are_those_of_the_library(board: Board, label: str) -> None:
    curve = get(board, "quote", key="campaign", label=label)
    direct = oa.quote(board.solution, of={"campaign": label})
    assert curve["max_units"]["high"] == direct.max_units.high >= 5
    assert curve["curve"]["units"] == direct.curve.units.tolist()
    assert curve["curve"]["low"] == direct.curve.cost_low.tolist()
    found = get(board, "quote", key="campaign", label=label, units="5")
    direct = oa.quote(board.solution, of={"campaign": label}, units=5)
    assert found["cost"]["low"] == direct.cost.low
    assert found["relevance"] == {"column": "relevance", "lost": direct.relevance.lost}
    assert found["units_now"] == pytest.approx(
        board.solution.totals[CAPS][board.solution.problem.labels(CAPS).index(label)]
    )
    assert sum(row["units"] for row in found["displaced"]["campaign"]) <= 5 + 1e-6
    assert next(iter(found["displaced"])) == "campaign"
    assert "curve" not in found


def test_a_quote_can_be_for_one_market_and_proven(board: Board, label: str) -> None:
    where = {"where_key": "market", "where_label": "US"}
    found = get(board, "quote", key="campaign", label=label, units="2", certify="1", **where)
    ask = {"of": {"campaign": label}, "where": {"market": "US"}, "units": 2}
    quick, solution = oa.quote(board.solution, **ask), board.solution
    width = 0.05 * quick.cost.high / solution.value
    direct = oa.quote(solution, **ask, certify=True, gap=width)
    assert found["level"] == "certified"
    assert found["cost"] == {"low": direct.cost.low, "mid": direct.cost.mid, "high": direct.cost.high}
    assert direct.cost.high - direct.cost.low <= 0.06 * quick.cost.high + 2 * (solution.bound - solution.value)
    everywhere = get(board, "quote", key="campaign", label=label, units="2", certify="1")
    assert everywhere["units_now"] > found["units_now"], "what the other markets have is not of this quote"


def test_an_accepted_quote_is_a_floor_that_is_kept(wide: Source, label: str) -> None:
    board = Board([wide], editable=True)
    quoted = get(board, "quote", key="campaign", label=label, units="3", certify="1")
    before = board.solution.value
    assert post(board, "accept", key="campaign", label=label, units=3)["changes"] == 1
    now = get(board, "group", key="campaign", label=label)["shown"]
    assert now >= quoted["floor"] * (1 - 1e-6)
    lost = before - board.solution.value
    width = 2e-4 * abs(before)
    assert quoted["cost"]["low"] - width <= lost <= quoted["cost"]["high"] + width
    post(board, "undo")
    assert board.current is wide


def test_bad_quotes_have_messages_and_no_numbers(board: Board, label: str) -> None:
    ask = {"key": "campaign", "label": label}
    for query, words in (
        (ask | {"units": "-1"}, "negative"),
        (ask | {"units": "1e9"}, "more units"),
        (ask | {"units": "many"}, "expected a number"),
        (ask | {"units": "nan"}, "finite"),
        (ask | {"label": "nobody"}, "has no label"),
        (ask | {"key": "market", "label": "US"}, "key of the items"),
        (ask | {"where_key": "market", "where_label": "XX"}, "has no label"),
        (ask | {"where_key": "planet", "where_label": "XX"}, "not a key"),
    ):
        assert words in refused(board, "GET", "quote", query), query
    assert "--edit" in refused(board, "POST", "accept", body=ask | {"units": 1})
    edited = Board([board.current], editable=True)
    assert "units is missing" in refused(edited, "POST", "accept", body=ask)
    assert edited.current is board.current


def test_a_relaxed_plan_has_no_quotes() -> None:
    board = Board([source(conflicting())])
    assert refused(board, "GET", "quote", {"key": "campaign", "label": "a"})
    assert FLOORS not in board.solution.problem.names
