"""Faults of files and of the job file: each ends a run by a status, as early as it can be known."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from jobs import make_job, make_tables, published_job, write_job

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.publish.jobs.steps import Steps


def edit(path: Path, *changes: tuple[str, str]) -> Path:
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    return path


@pytest.mark.few(3)
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("valid_for = 172800", 'organic = "relevanse"', "no such column"),
        ("valid_for = 172800", "valid_for = -1", "valid_for=-1"),
        ("valid_for = 172800", "exploration = { share = 3 }", "share"),
        ("threads = 1", "threads = 0", "threads=0"),
        ("threads = 1", 'solver = "duel"', "no solver 'duel'"),
        ("threads = 1", "relax_weights = { cap = 1 }", "no constraint is named 'cap'"),
        ("[publish]", '[frontier]\nvary = "cap"\npoints = [1]\n[publish]', "nothing in the problem is named 'cap'"),
        ("[publish]", '[batch]\norganic = "relevanse"\n[publish]', "no such column"),
        ("gap = 1e-3", '[gates.relevance]\ncolumn = "relevanse"\nmean = 0.5', "no column 'relevanse'"),
        ("gap = 1e-3", '[gates.relevance]\nby = "mood"\nlowest = 0.5', "no key 'mood'"),
    ],
)
def test_options_that_do_not_fit_end_a_run_before_its_solve(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = edit(make_job(tmp_path), (old, new))
    for result in (oa.run_job(path, check=True), oa.run_job(path, run="monday")):
        assert result.status == "bad input"
        assert words in result.message
        assert list(result.steps) == ["tables"]


def test_a_solve_goes_on_from_its_own_checkpoint_and_begins_without(tmp_path: Path) -> None:
    """With one file for both, and with prices of the last run, which a checkpoint has itself."""
    both = 'checkpoint = "state"\nresume = "state"\ncheckpoint_every = 0.001\nstart = "last run"'
    path = make_job(tmp_path, solve=both)
    first = oa.run_job(path, run="monday")
    assert first.status == "published", first.message
    path.write_text(path.read_text() + "\n")
    again = oa.run_job(path, run="monday")
    assert again.steps["solve"]["numbers"]["passes"] > first.steps["solve"]["numbers"]["passes"], "they are counted on"
    make_tables(tmp_path, day=1)
    other = oa.run_job(path, run="tuesday")
    assert other.status == "published", other.message
    (tmp_path / "state").write_bytes(b"damaged")
    make_tables(tmp_path, day=2)
    assert oa.run_job(path, run="wednesday").status == "published"


@pytest.mark.parametrize(
    ("publish", "words"),
    [
        ('sign = "none.key"', "the key cannot be read"),
        ('sign = "env:NO_SUCH_VARIABLE"', "no variable 'NO_SUCH_VARIABLE'"),
        ('redis = "env:NO_SUCH_VARIABLE"', "no variable 'NO_SUCH_VARIABLE'"),
    ],
)
def test_a_key_that_is_missing_ends_a_run_before_its_solve(tmp_path: Path, publish: str, words: str) -> None:
    path = make_job(tmp_path, publish=publish)
    assert oa.run_job(path, check=True).status == "checked", "a check publishes nothing, and needs no key"
    result = oa.run_job(path, run="monday")
    assert (result.status, list(result.steps)) == ("bad input", ["tables"])
    assert words in result.message


@pytest.mark.parametrize(("side", "of"), [("ids of item", "item"), ("labels of caps", "campaign")])
def test_labels_that_no_file_can_have_end_a_run_before_its_solve(tmp_path: Path, side: str, of: str) -> None:
    path = make_job(tmp_path)
    edit(path, ('<= caps).named("caps")', '<= 20).named("caps")'))
    edit(path, ('>= floors).named("floors")', '>= 1).named("floors")'))

    def as_bytes(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{of: [None if pd.isna(one) else str(one).encode() for one in frame[of]]})

    make_tables(tmp_path, items=as_bytes, **({"pairs": as_bytes} if of == "item" else {}))
    result = oa.run_job(path, check=True)
    assert result.status == "bad input"
    assert side in result.message
    assert "a bytes, which files cannot have" in result.message


def test_users_without_a_name_for_redis_end_a_run_before_its_solve(tmp_path: Path) -> None:
    path = make_job(tmp_path, publish='redis = "redis://127.0.0.1:1/0"')

    def dated(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(user=[dt.date(2026, 1, 1) + dt.timedelta(k) for k in frame["user"].tolist()])

    make_tables(tmp_path, pairs=dated, users=dated)
    result = oa.run_job(path, run="monday")
    assert (result.status, list(result.steps)) == ("bad input", ["tables"])
    assert "user 0 has the id datetime.date(2026, 1, 1); expected texts, or whole numbers" in result.message


@pytest.mark.parametrize("labels", [[1, 2, 3], [0.5, 1.0], [True, False], ["", "日本"], [dt.date(2026, 1, 1), None]])
def test_labels_of_other_types_are_known_again_by_the_next_run(tmp_path: Path, labels: list[Any]) -> None:
    path = make_job(tmp_path, checks="new_labels = { market = 0.0 }", gates="[gates.canary]\nchanged = 0.0")
    edit(path, ("subject_to = [", "subject_to = ['exposure(by=\"market\") <= 5000',"))

    def labeled(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(market=[labels[k % len(labels)] for k in range(len(frame))])

    make_tables(tmp_path, users=labeled)
    first = oa.run_job(path, run="monday")
    path.write_text(path.read_text() + "\n")
    second = oa.run_job(path, run="tuesday")
    assert (first.status, second.status) == ("published", "published"), second
    assert second.steps["policy"]["canary"]["changed"] == 0


def test_a_name_that_is_too_long_is_a_result(tmp_path: Path) -> None:
    path = edit(make_job(tmp_path), ('"pairs.parquet"', f'"{"x" * 300}.parquet"'))
    result = oa.run_job(path, run="monday")
    assert (result.status, result.exit_code) == ("bad input", 2)
    assert "File name too long" in result.message


def test_a_folder_of_runs_that_cannot_be_made_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make_job(tmp_path)
    (tmp_path / "radio-runs").write_text("a file")
    assert main(["run", str(path)]) == 5
    assert "radio-runs: the folder of the runs cannot be written: File exists" in capsys.readouterr().err
    assert oa.run_job(path, check=True).status == "checked"


def emptied(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[:0]


def test_a_table_without_rows_fails_its_checks(tmp_path: Path) -> None:
    path = published_job(tmp_path)
    write_job(tmp_path, checks="drift = 0.1\nrows = [0.5, 2.0]")
    make_tables(tmp_path, pairs=emptied)
    result = oa.run_job(path, run="tuesday")
    assert result.status == "check failed"
    assert "drift relevance 1 (limit 0.1): no values; mean 0.5" in result.message


def test_a_run_that_shows_nothing_is_followed_by_others(tmp_path: Path) -> None:
    gates = "churn = 1.0\n[gates.relevance]\nmean = 0.0\nworst = 0.0\n[gates.canary]\nchanged = 1.0"
    path = make_job(tmp_path, gates=gates, solve='start = "last run"')
    edit(path, (">= 0.8 * organic", ">= 0 * organic"))
    make_tables(tmp_path, pairs=emptied)
    assert oa.run_job(path, run="monday").status == "published"
    make_tables(tmp_path)
    result = oa.run_job(path, run="tuesday")
    assert result.status == "published", result.message
    assert result.steps["solve"]["numbers"]["churn"] == 1.0


@pytest.mark.parametrize("shows", [True, False])
@pytest.mark.parametrize("ids", [lambda k: k, str, lambda k: dt.date(2026, 1, 1) + dt.timedelta(k)])
def test_there_may_be_nothing_to_stay_close_to(tmp_path: Path, ids: Callable[[int], Any], shows: bool) -> None:
    """In the first run, and after one that has shown nothing; whatever the ids are."""
    path = make_job(tmp_path, gates="churn = 1.0")
    edit(path, ("[limits]", '[limits]\nbefore = { solution = "last run" }'), (">= 0.8 * organic", ">= 0 * organic"))
    edit(path, ('0.4 * total("promotion")', '0.4 * total("promotion") + stay_close(before, weight=0.2)'))

    def renamed(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{side: frame[side].map(ids) for side in ("user", "item") if side in frame})

    changes = {"users": renamed, "items": renamed}
    make_tables(tmp_path, pairs=renamed if shows else lambda frame: renamed(emptied(frame)), **changes)
    results = [oa.run_job(path, run="monday")]
    for day in (1, 2):
        make_tables(tmp_path, day, pairs=renamed, **changes)
        results.append(oa.run_job(path, run=f"day {day}".replace(" ", "-")))
    assert [result.status for result in results] == ["published"] * 3, [result.message for result in results]
    assert results[2].steps["solve"]["numbers"]["churn"] < 1.0


@pytest.mark.few(1)
@pytest.mark.parametrize("damage", [lambda raw: b"", lambda raw: raw[: len(raw) // 2], lambda raw: b"\xff" + raw[1:]])
@pytest.mark.parametrize("name", ["requests.json", "solution", "policy"])
def test_a_damaged_file_of_the_last_run_is_named(tmp_path: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    path = published_job(tmp_path, gates="churn = 1.0\n[gates.canary]\nchanged = 1.0")
    file = tmp_path / "radio-runs" / "monday" / name
    file.write_bytes(damage(file.read_bytes()))
    make_tables(tmp_path, day=1)
    result = oa.run_job(path, run="tuesday")
    assert (result.status, result.exit_code) == ("bad input", 2)
    assert str(file) in result.message


def test_a_canary_has_requests(tmp_path: Path) -> None:
    path = make_job(tmp_path, gates="[gates.canary]\nrequests = 0\nchanged = 0.5")
    with pytest.raises(oa.ProblemError, match=r"gates.canary.requests is 0; expected 1 or more"):
        oa.run_job(path)


def test_a_change_behind_a_link_is_another_input(tmp_path: Path) -> None:
    path = edit(make_job(tmp_path), ('"pairs.parquet"', '"pairs.d"'))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "pairs.d").mkdir()
    (tmp_path / "pairs.d" / "part").symlink_to(tmp_path / "elsewhere")
    policies = []
    for day in (0, 1):
        make_tables(tmp_path, day)
        (tmp_path / "pairs.parquet").rename(tmp_path / "elsewhere" / "part-0.parquet")
        policies.append(oa.run_job(path, run="monday").steps["policy"]["policy_id"])
    assert policies[0] != policies[1]
    (tmp_path / "elsewhere" / "up").symlink_to(tmp_path)
    assert "Too many levels of symbolic links" in oa.run_job(path, run="monday").message


def test_what_was_rolled_back_is_not_published_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run is killed between its publication and its report; meanwhile somebody rolls it back."""
    path, done = published_job(tmp_path), Steps._done
    make_tables(tmp_path, day=1)

    def killed(self: Steps, step: str, *args: Any, **more: Any) -> None:
        if step == "publish":
            raise KeyboardInterrupt
        done(self, step, *args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Steps, "_done", killed)
        with pytest.raises(KeyboardInterrupt):
            oa.run_job(path, run="tuesday")
    directory = oa.PolicyDirectory(tmp_path / "policies")
    directory.rollback(reason="complaints")
    result = oa.run_job(path, run="tuesday")
    assert (result.status, result.version) == ("published", directory.history()[1])
    assert [version.kind for version in directory.history()] == ["publish", "publish", "rollback"]
    assert "another version is current now" in result.steps["publish"]["text"]
    summary = json.loads((tmp_path / "radio-runs" / "tuesday" / "run.json").read_text())
    assert summary["version"]["version"] == 2
