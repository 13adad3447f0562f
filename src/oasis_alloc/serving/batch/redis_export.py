"""Slates of all users in Redis, under versioned keys: the new version is complete before it is live."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from oasis_alloc.common.checks import as_real
from oasis_alloc.common.column_names import answer_names
from oasis_alloc.common.documents import jsonable
from oasis_alloc.common.environment import variable_in
from oasis_alloc.common.labels import as_listed, plain, shown
from oasis_alloc.errors import InputError, require
from oasis_alloc.serving.batch.export import ANSWERS, answers_by_part

if TYPE_CHECKING:
    from oasis_alloc.candidates import Candidates
    from oasis_alloc.serving.batch.batched import Batched

_PAIRS = 1 << 16  # of a part
_KEYS = 2_000  # of a pipeline
_LEASE = 60  # seconds for which a writer that was killed blocks others
_TIMEOUT = 10.0  # seconds
_PREFIX = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


def to_redis(
    policy: Batched,
    encode: Callable[[Any], Any],
    candidates: Candidates,
    address: str,
    prefix: str,
    grace: float,
) -> int:
    """See `Policy.to_redis`."""
    if not isinstance(prefix, str) or not _PREFIX.fullmatch(prefix):
        raise InputError(f"prefix is {shown(prefix)}; expected letters, digits and _.-, such as 'radio'.")
    seconds = as_real(grace)
    if seconds is None or not 0 <= seconds < math.inf:
        raise InputError(f"grace is {shown(grace)}; expected a number of seconds, 0 or more.")
    parts = answers_by_part(policy, encode, candidates, _PAIRS)
    version, written = f"{policy.policy_id}-{secrets.token_hex(4)}", 0
    with _client(address) as client, _only_writer(client, prefix) as keep:
        before = client.get(f"{prefix}:live")
        _remove(client, prefix, {version, before}, 0)
        for first, last, rows in parts:
            keep()
            written += _write(client, f"{prefix}:{version}", candidates, first, last, rows)
        client.set(f"{prefix}:live", version)
        _remove(client, prefix, {version}, round(1000 * seconds))
    return written


def _write(client: Any, prefix: str, candidates: Candidates, first: int, last: int, rows: dict[str, Any]) -> int:
    """Write the slates of the users first <= u < last."""
    names = answer_names(ANSWERS, (candidates.user_name, candidates.item_name))
    boost, score, rank = (np.asarray(rows[names[name]]) for name in ANSWERS)
    items = as_listed(rows[candidates.item_name])
    start = candidates.indptr[first : last + 1] - candidates.indptr[first]
    pipeline = client.pipeline(transaction=False)
    for u in range(first, last):
        mine = np.arange(start[u - first], start[u - first + 1])
        slate = mine[rank[mine] >= 0]
        slate = slate[np.argsort(rank[slate])]
        value = {
            "slate": [items[p] for p in slate.tolist()], "boosts": boost[slate], "scores": score[slate],
        }  # fmt: skip
        pipeline.set(f"{prefix}:{_user(candidates, u)}", json.dumps(jsonable(value), separators=(",", ":")))
        if len(pipeline) >= _KEYS:
            pipeline.execute()
    pipeline.execute()
    return last - first


def _user(candidates: Candidates, user: int) -> str:
    """A user's id in a key."""
    one = user if candidates.user_ids is None else plain(candidates.user_ids[user])
    kind = str if candidates.user_ids is None or user == 0 else type(plain(candidates.user_ids[0]))
    if isinstance(one, bool) or not isinstance(one, (int, str)) or (user and candidates.user_ids is not None
                                                                   and type(one) is not kind):  # fmt: skip
        raise InputError(f"user {user:,} has the id {shown(one)}; expected texts, or whole numbers, and not both.")
    return str(one)


def check_user_ids(candidates: Candidates) -> None:
    """Raise `InputError` for users whose ids cannot be in keys: texts or whole numbers, and not both."""
    ids = candidates.user_ids
    if ids is None or ids.dtype.kind in "iu" or set(map(type, ids.tolist())) == {str}:
        return
    for user in range(candidates.n_users):
        _user(candidates, user)


def _remove(client: Any, prefix: str, kept: set[str | None], after: int) -> None:
    """Remove the keys of all versions but some, after so many milliseconds."""
    pipeline = client.pipeline(transaction=False)
    for key in client.scan_iter(match=f"{prefix}:*", count=_KEYS):
        version, sign, _ = key[len(prefix) + 1 :].partition(":")
        if sign and version not in kept:
            if after:
                pipeline.pexpire(key, after)
            else:
                pipeline.unlink(key)
            if len(pipeline) >= _KEYS:
                pipeline.execute()
    pipeline.execute()


@contextmanager
def _only_writer(client: Any, prefix: str) -> Iterator[Callable[[], None]]:
    """For the block, other processes are refused; the function that it gives says that this one is alive."""
    key, token = f"{prefix}:writer", secrets.token_hex(8)
    if not client.set(key, token, nx=True, ex=_LEASE):
        raise ConnectionError(
            f"another process writes to {prefix!r}, or was killed less than {_LEASE} seconds ago; try again later."
        )

    def keep() -> None:
        if client.get(key) != token:
            raise ConnectionError(f"another process writes to {prefix!r}; the live version is unchanged.")
        client.expire(key, _LEASE)

    try:
        yield keep
    finally:
        client.eval(_RELEASE, 1, key, token)


@contextmanager
def _client(address: str) -> Iterator[Any]:
    """A client for the block; errors of Redis are `ConnectionError`, without the address: it may have a password."""
    redis = require("redis", "redis")
    variable = variable_in(address)
    text = address if variable is None else os.environ.get(variable)
    if not isinstance(text, str) or "://" not in text:
        raise InputError(
            "address is not that of a Redis; expected 'redis://host:6379/0', or 'env:NAME' for a variable of the "
            "environment that has one."
        )
    try:
        client = redis.Redis.from_url(
            text, decode_responses=True, socket_timeout=_TIMEOUT, socket_connect_timeout=_TIMEOUT
        )
    except ValueError:
        raise InputError("address is not that of a Redis; expected 'redis://host:6379/0'.") from None
    try:
        yield client
    except redis.RedisError as error:
        raise ConnectionError(f"Redis: {type(error).__name__}: {error}") from error
    finally:
        client.close()
