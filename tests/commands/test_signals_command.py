"""`oasis-alloc signals`: from a log to a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from drawn_logs import policy, write

from oasis_alloc.__main__ import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    _, frame = write(tmp_path / "logs", 200, seed=1)
    frame[frame.streams > 0].to_csv(tmp_path / "outcomes.csv", index=False)
    frame.assign(minutes=3.0 * frame.streams).to_parquet(tmp_path / "all.parquet")
    policy("new").save(tmp_path / "new.oasis")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMAND = ["signals", "logs", "--outcomes", "outcomes.csv", "--missing", "0"]


def test_a_page_and_a_report_are_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--predicted", "model", "--policy", "new.oasis"]) == 0
    said = capsys.readouterr().out
    text = (folder / "signals.html").read_text("utf-8")
    assert "Policy new.oasis" in text
    assert said.splitlines()[0] in text
    assert said.rstrip().endswith("signals.html")
    assert main([*COMMAND, "--json", "--out", "other.html", "--since", "1970-01-01T00:18:20"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["format"], document["schema"], document["log"]["decisions"]) == ("oasis_alloc.signals", 1, "100")
    assert (folder / "other.html").exists()
    assert main([*COMMAND, "--json", "--until", "1050"]) == 0
    assert json.loads(capsys.readouterr().out)["log"]["decisions"] == "50"


@pytest.mark.few(2)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["signals", "no", "--outcomes", "outcomes.csv"], "there is no such folder"),
        (["signals", "logs", "--outcomes", "no.csv"], "no.csv: there is no such file"),
        (["signals", "logs", "--outcomes", "all.parquet"], "has 'streams', 'minutes'; name the outcome with --outcome"),
        (["signals", "logs", "--outcomes", "outcomes.csv"], "Pass missing=0.0"),
        ([*COMMAND, "--since", "noon"], "--since noon: expected a time such as"),
        ([*COMMAND, "--until", "3"], "the log has no decisions"),
        ([*COMMAND, "--policy", "outcomes.csv"], "outcomes.csv"),
        ([*COMMAND, "--policy-id", "x"], "the log has no such policy"),
        ([*COMMAND, "--predicted", "mdel"], "was logged without the column 'mdel'"),
    ],
)
def test_bad_input_is_one_message(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "signals.html").exists()


def test_a_page_that_cannot_be_written_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--out", "no/page.html"]) == 5
    assert "no/page.html cannot be written" in capsys.readouterr().err
    assert main(["signals", "logs", "--outcomes", "all.parquet", "--outcome", "minutes", "--out", "m.html"]) == 0
