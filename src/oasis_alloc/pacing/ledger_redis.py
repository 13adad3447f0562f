"""A ledger's store in Redis: for processes of several machines. Needs the extra `redis`.

Rows are read, `decide` says what changes, and a script compares what was read with what is there before it writes: all
of it in one step, or nothing. Ids are in one hash per UTC day, so a closed day is removed by its name.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any

from oasis_alloc.common.environment import without_password
from oasis_alloc.errors import LedgerUnavailableError, require
from oasis_alloc.pacing.ledger_merge import Change, Row
from oasis_alloc.pacing.ledger_stores import ABSENT, Decide, Document, SliceTotal, unavailable

_TRIES = 100
_DAY = 86_400_000_000  # microseconds
_TIMEOUT = 10.0  # seconds
_PART = 500  # entries of a hash that are read or removed at a time

# KEYS: meta. ARGV: prefix, watermark, number of rows; per row: day, id, text as it was ('' for none), text as it shall
# be; then per amount: slice, field, number. All keys have the same part in braces, so that they are on one node of a
# cluster.
_RECORD = """
local prefix, n = ARGV[1], tonumber(ARGV[3])
if (redis.call('HGET', KEYS[1], 'watermark') or '0') ~= ARGV[2] then return 0 end
for k = 4, 3 + 4 * n, 4 do
    if (redis.call('HGET', prefix .. 'ids:' .. ARGV[k], ARGV[k + 1]) or '') ~= ARGV[k + 2] then return 0 end
end
for k = 4, 3 + 4 * n, 4 do
    redis.call('HSET', prefix .. 'ids:' .. ARGV[k], ARGV[k + 1], ARGV[k + 3])
    redis.call('SADD', prefix .. 'days', ARGV[k])
end
for k = 4 + 4 * n, #ARGV, 3 do
    redis.call('HINCRBY', prefix .. 'totals:' .. ARGV[k], ARGV[k + 1], ARGV[k + 2])
    redis.call('SADD', prefix .. 'slices', ARGV[k])
end
return 1
"""

# KEYS: meta. ARGV: watermark as it was, as it shall be, prefix, then the slices whose pending amounts are given up.
_CLOSE = """
if (redis.call('HGET', KEYS[1], 'watermark') or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'watermark', ARGV[2])
for k = 4, #ARGV do
    local totals = ARGV[3] .. 'totals:' .. ARGV[k]
    for _, field in ipairs(redis.call('HKEYS', totals)) do
        if string.sub(field, 1, 1) == 'p' then
            local amount = redis.call('HGET', totals, field)
            if amount ~= '0' then
                redis.call('HINCRBY', totals, 'l' .. string.sub(field, 2), amount)
                redis.call('HSET', totals, field, '0')
            end
        end
    end
end
return 1
"""

# KEYS: documents. ARGV: number of comparisons; per comparison: name, version; then per document: name, text or ''.
_SWAP = """
local n = tonumber(ARGV[1])
for k = 2, 1 + 2 * n, 2 do
    if (redis.call('HGET', KEYS[1], 'v' .. ARGV[k]) or '0') ~= ARGV[k + 1] then return 0 end
end
for k = 2 + 2 * n, #ARGV, 2 do
    if ARGV[k + 1] == '' then
        redis.call('HDEL', KEYS[1], 'v' .. ARGV[k], 't' .. ARGV[k])
    else
        redis.call('HINCRBY', KEYS[1], 'v' .. ARGV[k], 1)
        redis.call('HSET', KEYS[1], 't' .. ARGV[k], ARGV[k + 1])
    end
end
return 1
"""


class RedisStore:
    """See `Store`. Documents are not empty texts."""

    at_once = 1  # a day, whatever this says

    def __init__(self, address: str, name: str) -> None:
        self._redis: Any = require("redis", "redis")
        self.place = without_password(address)
        self._address, self._prefix = address, f"{{oasis:{name}}}:"
        self._lock = RLock()
        self._connection: Any = self._connected()
        self._process = os.getpid()

    def settings(self, new: str) -> str:
        with self._client() as client:
            client.hsetnx(f"{self._prefix}meta", "settings", new)
            return str(client.hget(f"{self._prefix}meta", "settings"))

    def record(self, ids: Sequence[str], decide: Decide) -> Change:
        for _ in range(_TRIES):
            with self._client() as client:
                known, watermark = self._known(client, list(dict.fromkeys(ids)))
                change = decide({row[0]: row for row in known.values()}, int(watermark))
                arguments: list[Any] = [self._prefix, watermark, len(change.new) + len(change.changed)]
                for one, row in (*change.new.items(), *change.changed.items()):
                    before = _text(known[one]) if one in known else ""
                    arguments += (row[2] // _DAY, one, before, _text(row))
                for (k, key), amounts in change.added.items():
                    for letter, amount in zip("cpl", amounts, strict=True):
                        if amount:
                            arguments += (k, letter + key, amount)
                    if not any(amounts):
                        arguments += (k, f"p{key}", 0)
                if len(arguments) == 3 or client.eval(_RECORD, 1, f"{self._prefix}meta", *arguments):
                    return change
        raise LedgerUnavailableError(f"{self.place}: other writers were faster {_TRIES} times; send the batch again.")

    def totals(self, first: int, end: int) -> list[SliceTotal]:
        with self._client() as client:
            slices = sorted(k for k in map(int, client.smembers(f"{self._prefix}slices")) if first <= k < end)
            reading = client.pipeline(transaction=True)  # one moment
            for k in slices:
                reading.hgetall(f"{self._prefix}totals:{k}")
            out = []
            for k, fields in zip(slices, reading.execute(), strict=True):
                for key in sorted({field[1:] for field in fields}):
                    out.append(SliceTotal(k, key, *(int(fields.get(letter + key, 0)) for letter in "cpl")))
            return out

    def newest(self) -> int | None:
        with self._client() as client:
            return max(map(int, client.smembers(f"{self._prefix}slices")), default=None)

    def watermark(self) -> int:
        with self._client() as client:
            return int(client.hget(f"{self._prefix}meta", "watermark") or 0)

    def close_days(self, watermark: int, end: int, give_up: bool) -> None:
        with self._client() as client:
            for _ in range(_TRIES):
                before = client.hget(f"{self._prefix}meta", "watermark") or "0"
                slices = [k for k in client.smembers(f"{self._prefix}slices") if give_up and int(k) < end]
                level = max(int(before), watermark)
                if client.eval(_CLOSE, 1, f"{self._prefix}meta", before, level, self._prefix, *slices):
                    return

    def remove_ids(self, limit: int) -> int:
        with self._client() as client:
            closed = int(client.hget(f"{self._prefix}meta", "watermark") or 0) // _DAY
            for day in sorted(client.smembers(f"{self._prefix}days"), key=int):
                if int(day) < closed:
                    n = int(client.hlen(f"{self._prefix}ids:{day}"))
                    client.unlink(f"{self._prefix}ids:{day}")  # its memory is freed by another thread of the server
                    client.srem(f"{self._prefix}days", day)
                    if n:
                        return n
            return 0

    def n_ids(self) -> int:
        with self._client() as client:
            return sum(int(client.hlen(f"{self._prefix}ids:{day}")) for day in client.smembers(f"{self._prefix}days"))

    def read(self, names: Sequence[str]) -> dict[str, Document]:
        with self._client() as client:
            fields = [letter + name for name in names for letter in "vt"]
            found = client.hmget(f"{self._prefix}documents", fields) if fields else []
            pairs = zip(found[::2], found[1::2], strict=True)
            return {
                name: ABSENT if version is None else Document(int(version), text)
                for name, (version, text) in zip(names, pairs, strict=True)
            }

    def swap(self, expected: Mapping[str, int], texts: Mapping[str, str | None]) -> bool:
        arguments: list[Any] = [len(expected)]
        for name, version in expected.items():
            arguments += (name, version)
        for name, text in texts.items():
            arguments += (name, text or "")
        with self._client() as client:
            return bool(client.eval(_SWAP, 1, f"{self._prefix}documents", *arguments))

    def close(self) -> None:
        with self._lock:
            if self._connection is not None and self._process == os.getpid():
                self._connection.close()
            self._connection = None

    def _known(self, client: Any, ids: list[str]) -> tuple[dict[str, Row], str]:
        """Rows by id and the watermark, in one moment; days that are open have at most a few hashes."""
        days = sorted(client.smembers(f"{self._prefix}days"))
        reading = client.pipeline(transaction=True)
        reading.hget(f"{self._prefix}meta", "watermark")
        for day in days if ids else ():
            for k in range(0, len(ids), _PART):
                reading.hmget(f"{self._prefix}ids:{day}", ids[k : k + _PART])
        watermark, *parts = reading.execute()
        texts = [text for part in parts for text in part]
        known = {one: _row(one, text) for one, text in zip(ids * len(days), texts, strict=True) if text is not None}
        return known, watermark or "0"

    def _connected(self) -> Any:
        """A client; it connects when it is used."""
        return self._redis.Redis.from_url(
            self._address,
            decode_responses=True,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            # Nothing is sent twice by the client: what may be sent again is for the caller to say.
            retry=self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 0),
        )

    @contextmanager
    def _client(self) -> Iterator[Any]:
        with self._lock:
            if self._connection is None or self._process != os.getpid():
                self._connection, self._process = self._connected(), os.getpid()
            try:
                yield self._connection
            except self._redis.RedisError as error:
                raise unavailable(self.place, error) from error


def _text(row: Row) -> str:
    return json.dumps(row[1:], ensure_ascii=False, separators=(",", ":"))


def _row(one: str, text: str) -> Row:
    key, time, served, lost, confirmed = json.loads(text)
    return one, key, time, served, lost, confirmed
