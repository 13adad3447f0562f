"""The board's JSON, without a server and without a browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from boards import CAPS, FLOORS, conflicting, get, market, post, refused, source

import oasis_alloc as oa
from oasis_alloc.commands.board.sources import Source, read_source
from oasis_alloc.commands.board.state import Board


@pytest.fixture(scope="module")
def solved_market() -> Source:
    return source()


@pytest.fixture
def board(solved_market: Source) -> Board:
    return Board([solved_market])


def test_overview_has_the_numbers_of_the_solution(board: Board) -> None:
    document = get(board, "overview")
    solution = board.solution
    assert document["certificate"]["value"] == solution.value
    assert document["certificate"]["bound"] == solution.bound
    first = document["sections"][0]
    assert first["names"] == [CAPS, FLOORS]
    assert first["by"] == ["campaign"]
    assert first["label"] == solution.problem.labels(CAPS)
    np.testing.assert_allclose(first["delivered"], solution.totals[CAPS], rtol=1e-12)
    np.testing.assert_allclose(first["price"], solution.prices[CAPS] + solution.prices[FLOORS], atol=1e-15)
    kept = document["kept"]
    relevance = solution.problem.candidates.columns["relevance"]
    assert kept["kept"] == pytest.approx(float(relevance[solution.pairs] @ solution.x))
    assert kept["alone"] == pytest.approx(float(oa.organic(solution.problem.candidates, "relevance", size=10)[0]))
    by_market = next(one for one in kept["by"] if one["key"] == "market")
    assert sum(by_market["kept"]) == pytest.approx(kept["kept"])
    assert sum(part["amount"] for part in document["parts"]) == pytest.approx(solution.value)
    assert document["prices"][0]["sentence"] == solution.shadow_prices()[0].sentence


def test_overview_counts_users_with_their_supply() -> None:
    cands = oa.Candidates.from_arrays(
        [0, 2, 4], [0, 1, 0, 1], {"relevance": [0.9, 0.5, 0.8, 0.7]}, users={"market": ["DE", "US"]},
        items={"campaign": ["a", "b"]},
    )  # fmt: skip
    cap = (oa.exposure(by="campaign") <= {"a": 3.0}).named("cap")
    document = get(Board([source(oa.Problem(cands, oa.total("relevance"), cap, oa.Slate(1), [3.0, 2.0]))]), "overview")
    assert document["sections"][0]["delivered"][0] == pytest.approx(3.0)
    assert document["kept"]["alone"] == pytest.approx(3 * 0.9 + 2 * 0.8)
    assert document["kept"]["kept"] == pytest.approx(document["certificate"]["value"])


def test_group_page_adds_up(board: Board) -> None:
    label = board.solution.problem.labels(CAPS)[0]
    document = get(board, "group", key="campaign", label=label)
    total = float(board.solution.totals[CAPS][0])
    assert document["shown"] == pytest.approx(total)
    assert document["limits"][0]["delivered"] == pytest.approx(total)
    for one in document["slots"]:
        assert sum(one["shown"]) == pytest.approx(total)
        assert sum(one["candidates"]) == document["pairs"]
    rivals = document["rivals"]
    assert rivals["own"] == pytest.approx(total)
    assert sum(rivals["shown"]) + rivals["own"] + rivals["without"] + rivals["others"] == pytest.approx(rivals["slots"])
    assert sum(document["items"]["shown"]) == pytest.approx(total)
    assert {one["shown"] for one in document["examples"]} == {True, False}


def test_rows_of_two_keys_are_on_the_page_of_either() -> None:
    cands = market().candidates
    pairs = cands.groups(("market", "campaign"))
    caps = (oa.exposure(by=("market", "campaign")) <= dict.fromkeys(pairs[:9], 2.0)).named("pairs")
    board = Board([source(oa.Problem(cands, oa.total("relevance"), caps, oa.Slate(3)))])
    place, campaign = pairs[0]
    for key, label in (("market", place), ("campaign", campaign)):
        found = get(board, "group", key=key, label=label)["limits"]
        assert f"{place} · {campaign}" in [row["label"] for row in found]
        assert all(label in row["label"].split(" · ") for row in found)


def test_explanation_is_that_of_the_policy(board: Board) -> None:
    candidates = board.solution.problem.candidates
    document = get(board, "explain", user="7")
    begin, end = candidates.indptr[7:9]
    policy = board.solution.policy(organic="relevance")
    columns = {name: candidates.columns[name][begin:end] for name in policy.data.columns}
    direct = policy.explain(candidates.item[begin:end].astype(np.int64), columns, user=7)
    assert [one["sentence"] for one in document["reasons"]] == [one.sentence for one in direct]
    assert document["labels"]["market"] in candidates.groups("market")
    assert sum(one["x"] for one in document["reasons"]) == pytest.approx(10.0)
    best = next(one["position"] for one in document["reasons"] if one["rank"] == 0)
    without = get(board, "explain", user="7", exclude=str(best), k="3")["reasons"]
    assert without[best]["rule"] == "exclude"
    assert sum(one["rank"] is not None for one in without) == 3


def test_conflicts_come_with_the_remedy_that_resolves_them() -> None:
    board = Board([source(conflicting())], editable=True)
    document = get(board, "conflicts")
    assert document["status"] == "INFEASIBLE"
    assert sum(one["give"] for one in document["conflicts"]) == pytest.approx(1.0)
    assert get(board, "overview")["certificate"]["status"] == "RELAXED"
    for remedy in document["remedies"]:
        post(board, "limit", constraint=remedy["constraint"], label=remedy["label"], limit=remedy["to"])
    assert get(board, "conflicts")["conflicts"] == []
    assert get(board, "overview")["certificate"]["status"] == "SOLVED"


def test_a_problem_without_conflicts_says_so(board: Board) -> None:
    assert get(board, "conflicts") == {"status": "SOLVED", "conflicts": [], "relaxed": None, "remedies": []}


def _computed(board: Board, **asked: Any) -> tuple[int, dict[str, Any]]:
    number = post(board, "frontier", **asked)["id"]
    for _ in range(500):
        label = board.solution.problem.candidates.groups("campaign")[0]
        document = get(board, "frontier", id=str(number), key="campaign", label=label)
        if not document["running"]:
            return number, document
        time.sleep(0.01)
    raise AssertionError(document)


def test_frontier_is_that_of_the_library(board: Board) -> None:
    vary = 'total("promotion")'
    number, document = _computed(board, vary=vary, low=0.0, high=0.8, count=3)
    assert document["error"] is None
    curve = oa.frontier(board.solution.problem, vary=vary, points=[0.0, 0.4, 0.8], threads=1)
    for row, value, gap in zip(document["rows"], curve.column("value"), curve.column("gap"), strict=True):
        assert row["value"] <= value + gap * abs(value) + 1e-9
        assert row["bound"] >= value - 1e-9
        assert row["focus"] >= 0.0
    assert document["stated"] == 0.4
    between = post(board, "frontier/point", id=number, point=0.2)
    assert between["status"] == "SOLVED"
    assert document["rows"][0]["value"] <= between["value"] <= document["rows"][2]["value"]
    assert [row["point"] for row in get(board, "frontier", id=str(number))["rows"]] == [0.0, 0.2, 0.4, 0.8]


def test_a_point_that_cannot_be_met_is_a_row(board: Board) -> None:
    _, document = _computed(board, vary="relevance guard", low=1_000.0, high=1e5, count=2)
    assert [row["status"] for row in document["rows"]][-1] == "INFEASIBLE"
    assert document["rows"][-1]["value"] is None
    assert document["error"] is None


def test_the_floor_of_one_group_is_varied_alone(board: Board) -> None:
    problem = board.solution.problem
    label = problem.labels(FLOORS)[0]
    offered = get(board, "knobs", key="campaign", label=label)["knobs"]
    knob = next(one for one in offered if one.get("group") == label and one["vary"] == FLOORS)
    floor = float(problem.bound[problem.names.index(FLOORS)].band()[0][0])
    assert knob["stated"] == floor
    _, document = _computed(board, vary=FLOORS, group=label, low=floor, high=1e5, count=2)
    met, missed = document["rows"]
    assert met["value"] == pytest.approx(board.solution.value, rel=2e-4)
    assert met["price"] == pytest.approx(board.solution.prices[FLOORS][0], abs=0.05)
    assert missed["status"] == "INFEASIBLE"
    assert "no group" in refused(board, "POST", "frontier", body={"vary": FLOORS, "group": "x", "low": 0, "high": 1})
    assert "not a constraint" in refused(
        board, "POST", "frontier", body={"vary": "x", "group": "x", "low": 0, "high": 1}
    )


def test_reasons_are_those_of_the_library(board: Board) -> None:
    label = board.solution.problem.labels(FLOORS)[1]
    assert get(board, "reasons", key="campaign", label=label)["sentences"] == list(
        oa.reasons(board.solution, label).sentences
    )
    assert "has no label" in refused(board, "GET", "reasons", {"key": "campaign", "label": "x"})


def test_everything_that_can_vary_is_offered(board: Board) -> None:
    found = {one["vary"]: one for one in get(board, "knobs")["knobs"]}
    assert set(found) == {'total("relevance")', 'total("promotion")', *board.solution.problem.names}
    assert found[CAPS]["scale"] is True
    assert found["relevance guard"]["scale"] is False
    for one in found.values():
        assert one["low"] < one["high"]


def test_ranges_that_are_offered_can_be_computed() -> None:
    cands = market(users=40, degree=6, campaigns=3).candidates
    limits = [(oa.exposure() <= 0).named("nothing"), (oa.exposure(by="campaign") >= 0.0).named("free")]
    board = Board([source(oa.Problem(cands, oa.worst_off(oa.exposure(by="campaign"), 1.0), limits, oa.Slate(2)))])
    offered = get(board, "knobs")["knobs"]
    assert [(one["vary"], one["low"], one["high"]) for one in offered] == [
        ("nothing", 0.0, 0.25),
        ("free", -0.25, 0.25),
    ]
    for one in offered:
        assert (
            _computed(board, **{name: one[name] for name in ("vary", "scale", "low", "high")}, count=2)[1]["error"]
            is None
        )


def test_edits_solve_again_and_are_taken_back(solved_market: Source, tmp_path: Path) -> None:
    board = Board([solved_market], editable=True, out=tmp_path)
    label, before = board.solution.problem.labels(CAPS)[0], board.solution
    limit = float(np.floor(before.totals[CAPS][0])) - 1.0
    post(board, "limit", constraint=FLOORS, label=label, limit=0.0)
    about = post(board, "limit", constraint=CAPS, label=label, limit=limit)
    assert about["changes"] == 2
    assert [one["name"] for one in about["sources"]] == ["month, edited", "month"]
    assert get(board, "overview")["sections"][0]["delivered"][0] <= limit * (1 + 1e-6)
    changed = get(board, "compare", before="1", after="0")
    assert changed["value"] == [before.value, board.solution.value]
    assert changed["churn"] == pytest.approx(board.solution.churn(before))
    path = post(board, "save")["path"]
    assert oa.load_solution(path).document["value"] == board.solution.value
    post(board, "undo")
    assert post(board, "undo")["changes"] == 0
    assert board.current is solved_market
    assert "no change" in refused(board, "POST", "undo", body={})


def test_an_invalid_edit_changes_nothing(solved_market: Source) -> None:
    board = Board([solved_market], editable=True)
    label = board.solution.problem.labels(CAPS)[0]
    for body, words in (
        ({"constraint": CAPS, "label": label, "limit": -1.0}, "negative"),
        ({"constraint": CAPS, "label": "nobody", "limit": 5.0}, "no group 'nobody'"),
        ({"constraint": "campain caps", "label": label, "limit": 5.0}, "Did you mean"),
        ({"constraint": CAPS, "label": label, "limit": "many"}, "expected a number"),
        ({"label": label, "limit": 5.0}, "constraint is missing"),
    ):
        assert words in refused(board, "POST", "limit", body=body)
    assert board.current is solved_market
    assert board.current.session is not None
    assert board.current.session.problem is board.solution.problem


def test_a_board_without_edit_only_reads(board: Board) -> None:
    for path in ("limit", "undo", "save"):
        assert "--edit" in refused(board, "POST", path, body={})
    assert board.current.session is not None
    assert get(board, "about")["editable"] is False


def test_a_saved_solution_shows_what_it_has(board: Board, tmp_path: Path) -> None:
    board.solution.save(tmp_path / "monday.solution")
    saved = Board([read_source(tmp_path / "monday.solution"), board.current])
    document = get(saved, "overview")
    assert document["kind"] == "solution"
    live = get(board, "overview")["sections"][0]
    first = document["sections"][0]
    assert first["names"] == live["names"]
    assert first["label"] == live["label"]
    np.testing.assert_allclose(first["delivered"], live["delivered"], rtol=1e-9)
    assert first["cap"] == live["cap"]
    assert document["kept"] is None
    for path, query in (("group", {"key": "campaign", "label": "x"}), ("explain", {"user": "1"}), ("knobs", {})):
        assert "problem.toml" in refused(saved, "GET", path, query)
    same = get(saved, "compare", before="0", after="1")
    assert same["churn"] == pytest.approx(0.0, abs=1e-12)
    assert all(row[2] == pytest.approx(row[3], rel=1e-9, abs=1e-9) for row in same["rows"])


def test_policies_are_compared_by_prices(board: Board, tmp_path: Path) -> None:
    board.solution.policy().save(tmp_path / "monday.oasis")
    other = oa.solve(board.solution.problem.replace(maximize=oa.total("relevance")), gap=1e-3).policy()
    other.save(tmp_path / "tuesday.oasis")
    both = Board([read_source(tmp_path / "monday.oasis"), read_source(tmp_path / "tuesday.oasis"), board.current])
    document = get(both, "compare", before="0", after="1")
    assert document["kind"] == "policies"
    assert {"term": "promotion", "before": 0.4, "after": None} in document["parts"]
    assert get(both, "compare", before="0", after="2")["same"] is True
    section = get(both, "overview")["sections"][0]
    assert section["names"] == [CAPS]
    assert section["delivered"][0] is None


def test_bad_requests_have_messages(board: Board) -> None:
    assert "Did you mean 'campaign'" in refused(board, "GET", "group", {"key": "campain", "label": "x"})
    assert "has no label" in refused(board, "GET", "group", {"key": "campaign", "label": "x"})
    assert "label is missing" in refused(board, "GET", "group", {"key": "campaign"})
    assert "0 to 399" in refused(board, "GET", "explain", {"user": "400"})
    assert "whole number" in refused(board, "GET", "explain", {"user": "1", "k": "-2"})
    assert "positions" in refused(board, "GET", "explain", {"user": "1", "pinned": "a,b"})
    assert "no source 9" in refused(board, "GET", "compare", {"before": "9"})
    assert "no frontier" in refused(board, "GET", "frontier", {"id": "77"})
    assert "nothing at" in refused(board, "GET", "elsewhere")
    assert "takes no POST" in refused(board, "POST", "overview", body={})
    assert "JSON object" in refused(board, "POST", "frontier", body=[1])
    for body, words in (
        ({"vary": CAPS, "low": 2, "high": 1, "scale": True}, "ascending"),
        ({"vary": CAPS, "low": 0, "high": 1, "count": 1000, "scale": True}, "2 to 60"),
        ({"vary": "nothing", "low": 0, "high": 1}, "nothing in the problem"),
        ({"vary": CAPS, "low": -2, "high": 1, "scale": True}, "negative"),
        ({"vary": None, "low": 0, "high": 1}, "expected the name"),
    ):
        assert words in refused(board, "POST", "frontier", body=body)
