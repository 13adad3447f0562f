"""A ledger's store in one SQLite file, for processes of one machine. `docs/ledger.md` argues the settings."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock

from oasis_alloc.pacing.ledger_merge import Change, Row
from oasis_alloc.pacing.ledger_stores import ABSENT, Decide, Document, SliceTotal, has_changed, unavailable

WAIT = 10.0  # seconds for other writers
_PAGES = 8_000  # of 4 KiB that the log may grow to before it goes into the file
_CACHE = 64_000  # KiB

_SCHEMA = """
CREATE TABLE IF NOT EXISTS {name}_meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {name}_events (
    id TEXT NOT NULL UNIQUE, key TEXT NOT NULL, time INTEGER NOT NULL, served INTEGER, lost INTEGER, confirmed INTEGER);
CREATE TABLE IF NOT EXISTS {name}_totals (
    slice INTEGER NOT NULL, key TEXT NOT NULL,
    confirmed INTEGER NOT NULL CHECK (typeof(confirmed) = 'integer'),
    pending INTEGER NOT NULL CHECK (typeof(pending) = 'integer'),
    lost INTEGER NOT NULL CHECK (typeof(lost) = 'integer'),
    PRIMARY KEY (slice, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS {name}_documents (
    name TEXT PRIMARY KEY, version INTEGER NOT NULL, text TEXT NOT NULL) WITHOUT ROWID;
INSERT OR IGNORE INTO {name}_meta VALUES ('watermark', 0);
"""

_left_behind: list[sqlite3.Connection] = []  # of the process before a fork: SQLite must not close them in the child


class SQLiteStore:
    """See `Store`. One connection per process, opened on first use, also after a fork."""

    at_once = 2_000  # writers wait for a removal to end

    def __init__(self, path: str, name: str) -> None:
        self.place = f"the SQLite file {path}"
        self._path, self._name = os.path.abspath(path), name
        self._lock = RLock()
        self._connection: sqlite3.Connection | None = None
        self._process = 0
        self._file: tuple[int, int] | None = None

    def settings(self, new: str) -> str:
        with self._errors():
            connection = self._open(create=True)
            found = self._meta(connection, "settings") if self._exists(connection) else None
            if found is None:
                with self._transaction() as connection:
                    for statement in _SCHEMA.format(name=self._name).split(";"):
                        connection.execute(statement)
                    connection.execute(f"INSERT OR IGNORE INTO {self._name}_meta VALUES ('settings', ?)", (new,))
                    found = self._meta(connection, "settings")
            return str(found)

    def record(self, ids: Sequence[str], decide: Decide) -> Change:
        name = self._name
        with self._errors(), self._transaction() as connection:
            found = connection.execute(
                f"SELECT id, key, time, served, lost, confirmed FROM {name}_events "
                "WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(ids),),
            )
            known: dict[str, Row] = {row[0]: row for row in found}
            change = decide(known, self._level(connection))
            rows = sorted(change.new.values())  # in the order of the index, which writes fewer pages
            connection.executemany(f"INSERT INTO {name}_events VALUES (?, ?, ?, ?, ?, ?)", rows)
            connection.executemany(
                f"UPDATE {name}_events SET served = ?, lost = ?, confirmed = ? WHERE id = ?",
                ((*amounts, one) for one, _, _, *amounts in change.changed.values()),
            )
            connection.executemany(
                f"INSERT INTO {name}_totals VALUES (?, ?, ?, ?, ?) ON CONFLICT (slice, key) DO UPDATE SET "
                "confirmed = confirmed + excluded.confirmed, pending = pending + excluded.pending, "
                "lost = lost + excluded.lost",
                ((*where, *added) for where, added in change.added.items()),
            )
            return change

    def totals(self, first: int, end: int) -> list[SliceTotal]:
        with self._errors():
            found = self._open().execute(
                f"SELECT slice, key, confirmed, pending, lost FROM {self._name}_totals WHERE slice >= ? AND slice < ? "
                "ORDER BY slice, key",
                (first, end),
            )
            return [SliceTotal(*row) for row in found]

    def newest(self) -> int | None:
        with self._errors():
            found: int | None = self._open().execute(f"SELECT max(slice) FROM {self._name}_totals").fetchone()[0]
            return found

    def watermark(self) -> int:
        with self._errors():
            return self._level(self._open())

    def close_days(self, watermark: int, end: int, give_up: bool) -> None:
        name = self._name
        with self._errors(), self._transaction() as connection:
            connection.execute(f"UPDATE {name}_meta SET value = max(value, ?) WHERE name = 'watermark'", (watermark,))
            if give_up:
                connection.execute(
                    f"UPDATE {name}_totals SET lost = lost + pending, pending = 0 WHERE slice < ? AND pending <> 0",
                    (end,),
                )

    def remove_ids(self, limit: int) -> int:
        name = self._name
        with self._errors():
            # Found outside the transaction, so that a scan keeps no writer waiting: rows of closed days do not change.
            found = self._open().execute(
                f"SELECT rowid FROM {name}_events WHERE time < ? LIMIT ?", (self.watermark(), limit)
            )
            rows = found.fetchall()
            if rows:
                with self._transaction() as connection:
                    connection.executemany(
                        f"DELETE FROM {name}_events WHERE rowid = ? AND time < "
                        f"(SELECT value FROM {name}_meta WHERE name = 'watermark')",
                        rows,
                    )
            return len(rows)

    def n_ids(self) -> int:
        with self._errors():
            return int(self._open().execute(f"SELECT count(*) FROM {self._name}_events").fetchone()[0])

    def read(self, names: Sequence[str]) -> dict[str, Document]:
        with self._errors():
            found = self._open().execute(
                f"SELECT name, version, text FROM {self._name}_documents "
                "WHERE name IN (SELECT value FROM json_each(?))",
                (json.dumps(list(names)),),
            )
            known = {name: Document(version, text) for name, version, text in found}
            return {name: known.get(name, ABSENT) for name in names}

    def swap(self, expected: Mapping[str, int], texts: Mapping[str, str | None]) -> bool:
        table = f"{self._name}_documents"
        with self._errors(), self._transaction() as connection:
            found = self.read(list(expected))
            if has_changed(found, expected):
                return False
            for name, text in texts.items():
                if text is None:
                    connection.execute(f"DELETE FROM {table} WHERE name = ?", (name,))
                else:
                    connection.execute(
                        f"INSERT INTO {table} VALUES (?, 1, ?) "
                        "ON CONFLICT (name) DO UPDATE SET version = version + 1, text = excluded.text",
                        (name, text),
                    )
            return True

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def _open(self, create: bool = False) -> sqlite3.Connection:
        """The connection. A file that was removed or replaced is not written to any more: nobody would find it."""
        if self._connection is not None and self._process != os.getpid():
            _left_behind.append(self._connection)
            self._connection = None
        if self._connection is not None and self._file != self._inode():
            self._connection.close()
            self._connection = None
            raise sqlite3.OperationalError("the file was removed or replaced while it was open")
        if self._connection is None:
            address = f"{Path(self._path).as_uri()}?mode={'rwc' if create else 'rw'}"
            connection = sqlite3.connect(address, uri=True, timeout=WAIT, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA wal_autocheckpoint = {_PAGES}")
                connection.execute(f"PRAGMA cache_size = -{_CACHE}")
            except BaseException:
                connection.close()
                raise
            self._connection, self._process, self._file = connection, os.getpid(), self._inode()
        return self._connection

    def _inode(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _exists(self, connection: sqlite3.Connection) -> bool:
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (f"{self._name}_meta",))
        return found.fetchone() is not None

    def _level(self, connection: sqlite3.Connection) -> int:
        return int(str(self._meta(connection, "watermark")))

    def _meta(self, connection: sqlite3.Connection, name: str) -> object:
        found = connection.execute(f"SELECT value FROM {self._name}_meta WHERE name = ?", (name,)).fetchone()
        return None if found is None else found[0]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except sqlite3.Error as error:
                raise unavailable(self.place, error) from error
