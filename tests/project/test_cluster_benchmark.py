"""The command line of benchmarks/cluster.py: numbers that cannot be measured are refused, and a row is found."""

from __future__ import annotations

import sys

import pytest

from benchmarks import cluster


def test_more_actors_than_cores_are_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in (0, cluster.cores() + 1):
        monkeypatch.setattr(sys, "argv", ["cluster", "--pairwise", str(number)])
        with pytest.raises(SystemExit):
            cluster.main()
        assert f"--pairwise {number}: expected the number of actors" in capsys.readouterr().err


def test_a_row_is_found_between_what_libraries_print() -> None:
    printed = 'a warning\nrow: {"way": "actors 2", "pass": 0.5}\n(raylet) the end {}\n'
    assert cluster.row_in(printed) == {"way": "actors 2", "pass": 0.5}
    with pytest.raises(ValueError, match="printed no line"):
        cluster.row_in("Killed")
