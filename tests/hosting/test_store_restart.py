"""What is decided about the policies of a file holds after a restart, in all processes, and can be taken back."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
from headers import with_header
from policies import small

import oasis_alloc as oa
from oasis_alloc.__main__ import main
from oasis_alloc.errors import SnapshotError
from oasis_alloc.hosting import state as state_module

NOW = time.time()


def made(number: int) -> oa.Policy:
    """Policies p1, p2, ..., each ten seconds younger than the one before."""
    return oa.Policy(replace(small(), created=NOW - 100 + 10 * number, valid_until=None, policy_id=f"p{number}"))


def store_of(path: Path) -> oa.PolicyStore:
    return oa.PolicyStore(path, refresh=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file that stores look at; p1, p2 and p3 are beside it."""
    for number in (1, 2, 3):
        made(number).save(tmp_path / f"p{number}")
    (tmp_path / "live").mkdir()
    made(1).save(tmp_path / "live" / "policy")
    return tmp_path / "live" / "policy"


def put(path: Path, number: int) -> None:
    made(number).save(path)


def test_a_new_process_does_not_serve_what_was_rolled_back(path: Path) -> None:
    store = store_of(path)
    assert os.listdir(path.parent) == ["policy"], "nothing is written without need"
    put(path, 2)
    store.refresh()
    store.rollback()
    restarted = store_of(path)
    assert restarted.policy.policy_id == "p1"
    assert restarted.stats()["last_refused"]["reason"] == "rolled back"
    assert restarted.stats()["rolled_back"] == ["p2"]
    for other in (store, restarted):
        assert not other.refresh()
        assert other.policy.policy_id == "p1"
    put(path, 3)
    assert [other.refresh() for other in (store, restarted)] == [True, True]
    assert store_of(path).policy.policy_id == "p3"
    put(path, 2)
    assert store_of(path).policy.policy_id != "p2", "refused for good"


def test_a_roll_back_is_followed_by_the_other_processes_of_the_file(path: Path) -> None:
    one = store_of(path)
    put(path, 2)
    one.refresh()
    other = store_of(path)  # without an earlier policy of its own
    assert other.policy.policy_id == "p2"
    one.rollback()
    assert other.refresh()
    assert other.policy.policy_id == "p1"
    assert not other.refresh()


def test_a_roll_back_goes_to_other_prices_though_the_same_were_made_again(path: Path) -> None:
    store = store_of(path)
    put(path, 2)
    store.refresh()
    for later in (5.0, 10.0, 15.0, 20.0):  # a job that solves the same data again, more often than policies are kept
        oa.Policy(replace(made(2).data, created=made(2).created + later)).save(path)
        assert store.refresh()
    assert store.rollback().policy_id == "p1"
    assert store.stats()["rolled_back"] == ["p2"]
    assert not store.refresh()
    for serving in (store, store_of(path)):
        assert serving.policy.policy_id == "p1"
        with pytest.raises(SnapshotError, match="no earlier policy"):
            serving.rollback()
        assert serving.policy.policy_id == "p1"


def test_a_roll_back_passes_over_what_was_refused_elsewhere(path: Path) -> None:
    store = store_of(path)
    for number in (2, 3):
        put(path, number)
        store.refresh()
    assert main(["store", "refuse", str(path), "p2"]) == 0
    store.refresh()
    assert store.policy.policy_id == "p3"
    assert store.rollback().policy_id == "p1"
    assert store_of(path).policy.policy_id == "p1"


def test_a_new_process_does_not_serve_what_its_state_refuses_and_keeps(path: Path) -> None:
    put(path, 2)
    made(2).save(path.with_name("policy.kept"))
    state = replace(state_module.State().banning("p2"), kept=("p2", made(2).created))
    path.with_name("policy.state").write_text(state.to_json())
    with pytest.raises(SnapshotError, match="has been rolled back"):
        _ = store_of(path).policy
    assert state.banning("p2").kept is None


def test_what_is_refused_as_older_is_refused_after_a_restart(path: Path) -> None:
    put(path, 3)
    store = store_of(path)
    put(path, 1)
    assert not store.refresh()
    assert store.stats()["last_refused"]["reason"] == "older"
    assert "oasis-alloc store publish FILE" in store.stats()["last_refused"]["message"]
    restarted = store_of(path)
    assert restarted.policy.policy_id == "p3"
    assert restarted.stats()["last_refused"]["reason"] == "older"


@pytest.mark.few(1)
@pytest.mark.parametrize("by", ["method", "command"])
def test_an_older_file_can_be_published_on_purpose(path: Path, by: str, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_of(path)
    put(path, 3)
    store.refresh()
    other, older = store_of(path), path.parents[1] / "p2"
    if by == "method":
        assert store.publish(older).policy_id == "p2"
    else:
        assert main(["store", "publish", str(older), str(path)]) == 0
        assert "policy p2 is published" in capsys.readouterr().out
        assert store.refresh()
    assert other.refresh()
    for serving in (store, other, store_of(path)):
        assert serving.policy.policy_id == "p2"
    put(path, 1)
    assert not store.refresh(), "an older one is refused as ever"
    assert store_of(path).policy.policy_id == "p2"


def test_what_was_rolled_back_can_be_published_again(path: Path) -> None:
    store = store_of(path)
    put(path, 2)
    store.refresh()
    store.rollback()
    assert store.publish(path).policy_id == "p2", "the file that is there"
    assert store.stats()["rolled_back"] == []
    assert store_of(path).policy.policy_id == "p2"
    store.rollback()
    assert store_of(path).policy.policy_id == "p1"


def test_the_command_refuses_a_policy_and_shows_what_there_is(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = store_of(path)
    put(path, 2)
    store.refresh()
    assert main(["store", "refuse", str(path)]) == 0
    assert store.refresh()
    assert store.policy.policy_id == "p1"
    assert main(["store", "show", str(path)]) == 0
    said = capsys.readouterr().out
    for words in ("policy p2 (rolled back)", "user keys   market (str), daypart (any)", "rolled back p2", "relevance"):
        assert words in said
    assert main(["store", "show", str(path.parent / "none")]) == 2
    assert main(["store", "publish", str(path.parents[1] / "p3"), str(path.parent / "none" / "p")]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_forged_shape_is_counted_as_refused(path: Path) -> None:
    store = store_of(path)
    array = {"dtype": "F64", "shape": [0, 2**63], "data_offsets": [0, 0]}
    forged = with_header(path.read_bytes(), lambda described: described.update(forged=array))
    path.write_bytes(forged)
    assert not store.refresh()
    assert store.stats()["refused_snapshots"] == {"shape": 1}
    assert store.policy.policy_id == "p1"
    assert store_of(path).stats()["last_refused"]["reason"] == "shape"


def test_what_cannot_be_published(path: Path) -> None:
    store = store_of(path)
    (path.parent / "junk").write_bytes(b"no snapshot, though long enough")
    with pytest.raises(SnapshotError, match="junk"):
        store.publish(path.parent / "junk")
    oa.Policy(replace(small(), valid_until=NOW - 1.0)).save(path.parent / "late")
    with pytest.raises(SnapshotError, match="was valid until"):
        store.publish(path.parent / "late")
    assert store.policy.policy_id == "p1"
    assert not path.with_name("policy.state").exists()


def test_where_nothing_can_be_written_a_roll_back_holds_in_the_process(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_path: Path, _raw: bytes) -> None:
        raise OSError(30, "Read-only file system")

    store = store_of(path)
    put(path, 2)
    store.refresh()
    monkeypatch.setattr(state_module, "write_whole", fails)
    with caplog.at_level(logging.ERROR, "oasis_alloc.serving"):
        assert store.rollback().policy_id == "p1"
    assert "cannot be written and is lost when this process ends" in caplog.text
    assert not store.refresh()
    assert store.policy.policy_id == "p1"


@pytest.mark.few(2)
@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "[" * 10**5, '{"format": "oasis_alloc.store", "schema": 2}', "x" * 10**6]
)
def test_a_state_that_cannot_be_read_is_said_and_keeps_nothing_from_being_served(
    path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path.with_name("policy.state").write_text(text)
    with caplog.at_level(logging.ERROR, "oasis_alloc.serving"):
        assert store_of(path).policy.policy_id == "p1"
    assert "the list of rolled-back policies cannot be read" in caplog.text


def test_ids_that_are_refused_from_the_command_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for wrong in ("x\x1b[31m", "a\nb", "p" * 201, ""):
        assert main(["store", "refuse", str(path), wrong]) == 2
        said = capsys.readouterr()
        assert "expected 1 to 200 printable characters" in said.err
        assert "\x1b" not in said.err + said.out
    assert main(["store", "refuse", str(path), "p1"]) == 0
    assert not capsys.readouterr().err
    assert main(["store", "refuse", str(path), "p7"]) == 0
    assert "has a policy 'p7'" in capsys.readouterr().err
    assert state_module.StateFile(path).read().rolled_back == ("p1", "p7")
