"""The outlook on the board: a ledger, the flight, and limits that count what was delivered before."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from boards import CAPS, get, refused, source

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.commands.board.outlook import Flight
from oasis_alloc.commands.board.state import Board
from oasis_alloc.errors import InputError

START = dt.datetime(2026, 7, 1, tzinfo=dt.UTC).timestamp()
HOUR = 3600.0
TIMES = ("2026-07-01", "2026-07-01T10:00Z", "2026-07-01T05:00Z")


def _problem(done: float = 0.0) -> oa.Problem:
    cands = oa.Candidates.from_arrays(
        np.arange(0, 42, 2), np.tile([0, 1], 20), {"relevance": np.tile([0.9, 0.5], 20)},
        items={"campaign": ["a", "b"]},
    )  # fmt: skip
    exposure = oa.exposure(by="campaign").delivered_so_far({"b": done}) if done else oa.exposure(by="campaign")
    return oa.Problem(cands, oa.total("relevance"), (exposure >= {"b": 8.0}).named("floors"), oa.Slate(1))


@pytest.fixture
def store(tmp_path: Path) -> str:
    path = str(tmp_path / "ledger.db")
    with oa.Ledger(path, clock=lambda: START + 5 * HOUR) as ledger:
        ledger.record([oa.Event(f"imp-{k}", "b", START + k * HOUR, state="confirmed") for k in range(2)])
    return path


def test_the_outlook_is_that_of_the_library(store: str) -> None:
    board = Board([source(_problem())], extras={"flight": Flight.of(store, "campaign", *TIMES)})
    document = get(board, "outlook")
    (row,) = document["rows"]
    assert document["flight"]["now"] == START + 5 * HOUR
    with oa.Ledger(store) as ledger:
        plan = oa.Plan.of(board.solution, START, START + 10 * HOUR)
        (direct,) = oa.outlook(plan, ledger, now=START + 5 * HOUR)
    assert row == direct.to_dict() | {"floor": 8.0, "cap": None}
    assert (row["delivered"], row["projected"], row["status"]) == (2.0, 4.0, "will fall short")
    assert get(board, "about")["flight"] is True


def test_limits_are_those_of_the_whole_flight(store: str) -> None:
    board = Board([source(_problem(done=2.0))], extras={"flight": Flight.of(store, "campaign", *TIMES)})
    (row,) = get(board, "outlook")["rows"]
    assert row["floor"] == pytest.approx(8.0)
    assert row["amount"] == pytest.approx(4.0)


def test_the_forecast_is_that_of_the_library(store: str) -> None:
    board = Board([source(_problem())], extras={"flight": Flight.of(store, "campaign", *TIMES)})
    document = get(board, "forecast", key="campaign", label="b")
    with oa.Ledger(store) as ledger:
        how = {"start": START, "end": START + 10 * HOUR, "now": START + 5 * HOUR}
        direct = oa.forecast(board.solution, None, ledger, **how)["b"]
    end = document["projected_end_state"]["metrics"]["impressions"]
    assert (end["low"], end["mid"], end["high"]) == (direct.low, direct.mid, direct.high)
    assert document["delivered"] == 2.0
    assert [one["mid"] for one in document["points"]] == [one.mid for one in direct.points]
    assert document["remedies"] == [one.to_dict() for one in direct.remedies]


def test_a_forecast_that_cannot_be_made_is_a_message(store: str) -> None:
    flight = Flight.of(store, "campaign", *TIMES)
    query = {"key": "campaign", "label": "b"}
    left = Board([source(_problem(done=2.0))], extras={"flight": flight})
    assert "delivered_so_far" in refused(left, "GET", "forecast", query)
    assert "--ledger" in refused(Board([source(_problem())]), "GET", "forecast", query)
    over = Board([source(_problem())], extras={"flight": Flight.of(store, "campaign", *TIMES[:2], "2026-07-02")})
    assert "ended" in refused(over, "GET", "forecast", query)


def test_without_a_ledger_there_is_no_outlook() -> None:
    assert get(Board([source(_problem())]), "outlook") == {"flight": None, "rows": []}


def test_a_ledger_of_other_keys_is_a_message(store: str, tmp_path: Path) -> None:
    other = str(tmp_path / "other.db")
    with oa.Ledger(other, by="song"):
        pass
    board = Board([source(_problem())], extras={"flight": Flight.of(other, "song", *TIMES)})
    assert "--ledger-by" in refused(board, "GET", "outlook")
    assert CAPS not in board.solution.problem.names


def test_bad_flights_are_messages(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for given, words in (
        ((store, "campaign", None, None, None), "--start"),
        ((store, "campaign", "soon", "2026-07-02", None), "--start 'soon'"),
        ((store, "campaign", "2026-07-02", "2026-07-01", None), "after"),
        ((store, "campaign", *TIMES[:2], "later"), "--now"),
        ((str(tmp_path / "nowhere.db"), "campaign", *TIMES), "no such ledger"),
    ):
        with pytest.raises(InputError, match=words):
            Flight.of(*given)
    assert not (tmp_path / "nowhere.db").exists()
    assert main(["board", "x.toml", "--ledger", store, "--port", "0"]) == 2
    assert "--start" in capsys.readouterr().err
