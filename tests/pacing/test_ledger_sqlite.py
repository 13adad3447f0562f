"""The store in a file: several processes, a fork, files that are no ledger, and files that disappear."""

from __future__ import annotations

import os
import sqlite3
import stat
import sys
import threading
from pathlib import Path

import pytest
from ledgers import NOW

import oasis_alloc as oa
from oasis_alloc.pacing import ledger_sqlite


def test_settings_are_those_that_the_page_argues(tmp_path: Path) -> None:
    with oa.Ledger(tmp_path / "a.db") as ledger:
        connection = ledger.store._open()  # type: ignore[attr-defined]
        found = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
        assert found == ["wal", 2]  # FULL
        assert connection.execute("PRAGMA busy_timeout").fetchone()[0] == 10_000


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database at all, but long enough to be looked at" * 100)
    with pytest.raises(oa.LedgerUnavailableError, match=r"the SQLite file .*notes\.txt: file is not a database"):
        oa.Ledger(tmp_path / "notes.txt")
    with pytest.raises(oa.LedgerUnavailableError, match="unable to open database file"):
        oa.Ledger(tmp_path / "no" / "folder.db")
    assert issubclass(oa.LedgerUnavailableError, ConnectionError)


def test_a_store_that_stays_locked_is_unavailable_and_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_sqlite, "WAIT", 0.05)
    ledger = oa.Ledger(tmp_path / "a.db", clock=lambda: NOW)
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(oa.LedgerUnavailableError, match="database is locked"):
        ledger.record([oa.Event("a", "one", NOW)])
    assert ledger.delivered() == {}, "readers wait for no writer"
    other.execute("ROLLBACK")
    other.close()
    assert ledger.record([oa.Event("a", "one", NOW)]).counted == 1
    ledger.close()
    assert ledger.delivered() == {"one": 1.0}, "a ledger that was closed opens its file again"
    ledger.close()


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be removed")
def test_a_file_that_disappears_is_noticed_and_is_used_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    ledger = oa.Ledger(path, clock=lambda: NOW)
    ledger.record([oa.Event("a", "one", NOW)])
    ledger.close()
    assert ledger.delivered() == {"one": 1.0}
    kept = path.rename(tmp_path / "kept.db")
    with pytest.raises(oa.LedgerUnavailableError, match=r"removed or replaced while it was open"):
        ledger.record([oa.Event("b", "one", NOW)])
    for _ in range(2):
        with pytest.raises(oa.LedgerUnavailableError, match="unable to open database file"):
            ledger.record([oa.Event("b", "one", NOW)])
    assert not path.exists(), "no new file, whose totals would begin at 0"
    kept.rename(path)
    assert ledger.record([oa.Event(one, "one", NOW) for one in "ab"]) == oa.Receipt(1, 1, 0)
    ledger.close()


@pytest.mark.skipif(os.name != "posix", reason="an open file cannot be replaced")
def test_a_file_that_is_replaced_is_noticed(tmp_path: Path) -> None:
    ledger = oa.Ledger(tmp_path / "a.db", clock=lambda: NOW)
    with oa.Ledger(tmp_path / "b.db", clock=lambda: NOW) as other:
        other.record([oa.Event("a", "one", NOW)])
    os.replace(tmp_path / "b.db", tmp_path / "a.db")
    with pytest.raises(oa.LedgerUnavailableError, match="removed or replaced"):
        ledger.record([oa.Event("a", "one", NOW)])
    ledger.close()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    oa.Ledger(tmp_path / "a.db").close()
    (tmp_path / "a.db").chmod(stat.S_IRUSR)
    with oa.Ledger(tmp_path / "a.db", clock=lambda: NOW) as ledger, pytest.raises(oa.LedgerUnavailableError):
        ledger.record([oa.Event("a", "one", NOW)])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.skipif(sys.version_info >= (3, 12), reason="os.fork warns where there are threads, and pytest has some")
def test_a_forked_process_gets_a_connection_of_its_own(tmp_path: Path) -> None:
    ledger = oa.Ledger(tmp_path / "a.db", clock=lambda: NOW)
    ledger.record([oa.Event("parent", "one", NOW)])
    child = os.fork()
    if not child:
        try:
            done = ledger.record([oa.Event("child", "one", NOW), oa.Event("parent", "one", NOW)])
            os._exit(0 if done == (1, 1, 0, ()) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert ledger.record([oa.Event("child", "one", NOW)]).repeated == 1
    assert ledger.delivered() == {"one": 2.0}
    ledger.close()


def test_threads_share_a_ledger(tmp_path: Path) -> None:
    with oa.Ledger(tmp_path / "a.db", clock=lambda: NOW) as ledger:

        def send(k: int) -> None:
            for n in range(20):
                ledger.record([oa.Event(f"{k}-{n}-{m}", "one", NOW) for m in range(5)])
                ledger.delivered()

        threads = [threading.Thread(target=send, args=(k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert ledger.delivered() == {"one": 400.0}


def test_totals_that_would_overflow_are_refused_and_change_nothing(tmp_path: Path) -> None:
    with oa.Ledger(tmp_path / "a.db", clock=lambda: NOW) as ledger:
        with ledger.store._transaction() as connection:  # type: ignore[attr-defined]
            connection.execute(
                "INSERT INTO ledger_totals VALUES (?, ?, 0, ?, 0)", (int(NOW // 3600), '"one"', 2**63 - 5)
            )
        with pytest.raises(oa.LedgerUnavailableError, match="CHECK constraint failed"):
            ledger.record([oa.Event("a", "one", NOW)])
        assert ledger.stats()["ids"] == 0
