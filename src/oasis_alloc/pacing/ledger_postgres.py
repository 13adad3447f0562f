"""A ledger's store in PostgreSQL: for processes of several machines. Needs the extra `postgres`."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from threading import RLock
from typing import Any

from oasis_alloc.common.environment import without_password
from oasis_alloc.errors import require
from oasis_alloc.pacing.ledger_merge import Change, Row
from oasis_alloc.pacing.ledger_stores import ABSENT, Decide, Document, SliceTotal, has_changed, unavailable

_CONNECT = 5  # seconds
_LOCK = 10_000  # milliseconds to wait for other writers

_left_behind: list[Any] = []  # connections of the process before a fork: not to be ended from the child

_SCHEMA = """
CREATE TABLE IF NOT EXISTS {name}_meta (name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE IF NOT EXISTS {name}_events (
    id text COLLATE "C" PRIMARY KEY, key text NOT NULL, time bigint NOT NULL,
    served bigint, lost bigint, confirmed bigint);
CREATE INDEX IF NOT EXISTS {name}_events_by_time ON {name}_events USING brin (time);
CREATE TABLE IF NOT EXISTS {name}_totals (
    slice bigint NOT NULL, key text COLLATE "C" NOT NULL,
    confirmed bigint NOT NULL, pending bigint NOT NULL, lost bigint NOT NULL, PRIMARY KEY (slice, key));
CREATE TABLE IF NOT EXISTS {name}_documents (
    name text COLLATE "C" PRIMARY KEY, version bigint NOT NULL, text text NOT NULL);
INSERT INTO {name}_meta VALUES ('watermark', '0') ON CONFLICT DO NOTHING;
"""


class PostgresStore:
    """See `Store`. One connection per process; a broken one is replaced at the next call."""

    at_once = 500_000  # nobody waits for a removal, and each of them passes over what the earlier ones have removed

    def __init__(self, address: str, name: str) -> None:
        self._psycopg: Any = require("psycopg", "postgres")
        self.place = without_password(address)
        self._address, self._name = address, f"oasis_{name}"
        self._turn = zlib.crc32(self._name.encode())  # the number of the lock under which writers take turns
        self._lock = RLock()
        self._connection: Any = None
        self._process = 0

    def settings(self, new: str) -> str:
        with self._transaction() as run:
            run(_SCHEMA.format(name=self._name))
            run(f"INSERT INTO {self._name}_meta VALUES ('settings', %s) ON CONFLICT DO NOTHING", (new,))
            return str(run(f"SELECT value FROM {self._name}_meta WHERE name = 'settings'").fetchone()[0])

    def record(self, ids: Sequence[str], decide: Decide) -> Change:
        name = self._name
        with self._transaction() as run:
            found = run(
                f"SELECT id, key, time, served, lost, confirmed FROM {name}_events WHERE id = ANY(%s)", (list(ids),)
            )
            known: dict[str, Row] = {row[0]: row for row in found}
            change = decide(known, self._level(run))
            rows = [*change.new.values(), *change.changed.values()]
            if rows:
                run(
                    f"INSERT INTO {name}_events SELECT * FROM unnest"
                    "(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[]) "
                    "ON CONFLICT (id) DO UPDATE SET served = excluded.served, lost = excluded.lost, "
                    "confirmed = excluded.confirmed",
                    [list(column) for column in zip(*rows, strict=True)],
                )
            if change.added:
                totals = [(*where, *added) for where, added in change.added.items()]
                run(
                    f"INSERT INTO {name}_totals AS old SELECT * FROM unnest"
                    "(%s::bigint[], %s::text[], %s::bigint[], %s::bigint[], %s::bigint[]) "
                    "ON CONFLICT (slice, key) DO UPDATE SET confirmed = old.confirmed + excluded.confirmed, "
                    "pending = old.pending + excluded.pending, lost = old.lost + excluded.lost",
                    [list(column) for column in zip(*totals, strict=True)],
                )
            return change

    def totals(self, first: int, end: int) -> list[SliceTotal]:
        with self._reading() as run:
            found = run(
                f"SELECT slice, key, confirmed, pending, lost FROM {self._name}_totals "
                "WHERE slice >= %s AND slice < %s ORDER BY slice, key",
                (first, end),
            )
            return [SliceTotal(*row) for row in found]

    def newest(self) -> int | None:
        with self._reading() as run:
            found: int | None = run(f"SELECT max(slice) FROM {self._name}_totals").fetchone()[0]
            return found

    def watermark(self) -> int:
        with self._reading() as run:
            return self._level(run)

    def close_days(self, watermark: int, end: int, give_up: bool) -> None:
        name = self._name
        with self._transaction() as run:
            level = str(max(watermark, self._level(run)))
            run(f"UPDATE {name}_meta SET value = %s WHERE name = 'watermark'", (level,))
            if give_up:
                run(
                    f"UPDATE {name}_totals SET lost = lost + pending, pending = 0 WHERE slice < %s AND pending <> 0",
                    (end,),
                )

    def remove_ids(self, limit: int) -> int:
        name = self._name
        # Not under the lock of writers: rows of closed days do not change, and no event is compared with them any more.
        with self._reading() as run:
            done = run(
                f"DELETE FROM {name}_events WHERE id IN (SELECT id FROM {name}_events WHERE time < %s LIMIT %s)",
                (self._level(run), limit),
            )
            return int(done.rowcount)

    def n_ids(self) -> int:
        with self._reading() as run:
            return int(run(f"SELECT count(*) FROM {self._name}_events").fetchone()[0])

    def read(self, names: Sequence[str]) -> dict[str, Document]:
        with self._reading() as run:
            return self._documents(run, names)

    def swap(self, expected: Mapping[str, int], texts: Mapping[str, str | None]) -> bool:
        table = f"{self._name}_documents"
        with self._transaction() as run:
            found = self._documents(run, list(expected))
            if has_changed(found, expected):
                return False
            for name, text in texts.items():
                if text is None:
                    run(f"DELETE FROM {table} WHERE name = %s", (name,))
                else:
                    run(
                        f"INSERT INTO {table} AS old VALUES (%s, 1, %s) "
                        "ON CONFLICT (name) DO UPDATE SET version = old.version + 1, text = excluded.text",
                        (name, text),
                    )
            return True

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                with suppress(self._psycopg.Error):
                    self._connection.close()
            self._connection = None

    def _documents(self, run: Any, names: Sequence[str]) -> dict[str, Document]:
        found = run(
            f"SELECT name, version, text FROM {self._name}_documents WHERE name = ANY(%s::text[])", (list(names),)
        )
        known = {name: Document(version, text) for name, version, text in found}
        return {name: known.get(name, ABSENT) for name in names}

    def _level(self, run: Any) -> int:
        return int(run(f"SELECT value FROM {self._name}_meta WHERE name = 'watermark'").fetchone()[0])

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        """One transaction that sees one moment; `run` executes statements in it."""
        with self._lock:
            try:
                connection = self._open()
                with connection.transaction():
                    yield connection.execute
            except self._psycopg.Error as error:
                self.close()
                raise unavailable(self.place, error) from error

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """The same, alone among the writers of this ledger."""
        with self._reading() as run:
            run("SELECT pg_advisory_xact_lock(%s)", (self._turn,))
            yield run

    def _open(self) -> Any:
        if self._connection is not None and self._process != os.getpid():
            _left_behind.append(self._connection)
            self._connection = None
        if self._connection is None or self._connection.closed:
            self._connection = self._psycopg.connect(
                self._address,
                autocommit=True,
                connect_timeout=_CONNECT,
                options=f"-c lock_timeout={_LOCK} -c client_min_messages=warning "
                "-c default_transaction_isolation=read\\ committed",
            )
            self._process = os.getpid()
        return self._connection
