"""Decides whether a snapshot may become the active policy of a store, and whether a file has changed."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from oasis_alloc.errors import SnapshotError
from oasis_alloc.hosting.state import State, Version
from oasis_alloc.serving.file.container import digest_of, read_file
from oasis_alloc.serving.schema import readable

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy

_CLOCKS_DIFFER = 300.0  # seconds by which the clock of a snapshot's writer may be ahead of ours
_SETTLED = 3.0  # seconds after which a rewritten file has another time, on any file system

_clock = time.monotonic

Stamp = tuple[int, int, int, int]


class Facts(NamedTuple):
    """The facts about a policy that are judged."""

    policy_id: str
    created: float
    valid_until: float | None

    @classmethod
    def of(cls, policy: Policy) -> Facts:
        """The facts of a policy."""
        return cls(policy.policy_id, policy.created, policy.valid_until)

    @property
    def version(self) -> Version:
        """Distinguishes a policy from one with the same prices, made at another time."""
        return self.policy_id, self.created


def judge(facts: Facts, newest: float, state: State, now: float, path: Path) -> None:
    """Raise `SnapshotError` if a policy must not become active; `newest` is the newest active one's creation time."""
    name = f"policy {readable(facts.policy_id)}"
    if facts.created > now + _CLOCKS_DIFFER:
        raise SnapshotError(f"{name} was created {facts.created - now:,.0f} s from now.", "in the future")
    if facts.valid_until is not None and facts.valid_until <= now:
        raise SnapshotError(f"{name} was valid until {now - facts.valid_until:,.0f} s ago.", "expired")
    if facts.version == state.again:
        return
    how = f"To serve it all the same: store.publish(file), or oasis-alloc store publish FILE {path}"
    if facts.policy_id in state.rolled_back:
        raise SnapshotError(f"{name} has been rolled back. {how}", "rolled back")
    if facts.created < newest:
        raise SnapshotError(f"{name} is {newest - facts.created:,.0f} s older than the active one. {how}", "older")


def stamp_of(path: Path) -> Stamp:
    """Times, inode and size of a file, which nearly always differ if the file has changed."""
    at = os.stat(path)
    return at.st_mtime_ns, at.st_ctime_ns, at.st_ino, at.st_size


@dataclass
class Seen:
    """The state of the file at the last check.

    Because file times are coarse, two contents can have the same recent stamp. So a file is read again when its stamp
    is some seconds old, and counts as unchanged if its bytes are.
    """

    stamp: Stamp | None = None
    digest: bytes = b""
    waiting: Facts | None = None  # a policy that was refused for a reason that may pass
    refused: str = ""  # the reason
    _since: float = field(default=0.0, repr=False)
    _settled: bool = field(default=False, repr=False)

    def is_same(self, path: Path) -> tuple[bool, bytes | None]:
        """Whether the file is unchanged; if not, its new state is stored. Raises OSError and `SnapshotError`.

        Also returns the file's bytes for a new snapshot, so that it is judged and loaded from one read.
        """
        stamp, now = stamp_of(path), _clock()
        if stamp == self.stamp and self._settled:
            return True, None
        since = self._since if stamp == self.stamp else now
        digest, raw = _content(path)
        if stamp == self.stamp and digest == self.digest:
            self._settled = now >= since + _SETTLED
            return True, None
        self.forget()
        self.stamp, self.digest, self._since = stamp, digest, since
        return False, raw

    def forget(self) -> None:
        """Read the file again at the next check."""
        self.stamp, self.digest, self.waiting, self.refused, self._settled = None, b"", None, "", False


def _content(path: Path) -> tuple[bytes, bytes | None]:
    """The digest of a file, and its bytes if it is a snapshot: other files may be too large for memory."""
    try:
        raw = read_file(path)
    except SnapshotError:
        return digest_of(path), None
    return hashlib.sha256(raw).digest(), raw
