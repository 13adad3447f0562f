"""Whether a snapshot may become the active policy of a store, and whether a file has been looked at before."""

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

_CLOCKS_DIFFER = 300.0  # seconds by which the clock of who wrote a snapshot may be ahead of ours
_SETTLED = 3.0  # seconds after which a file that is written again has another time, on any file system

_clock = time.monotonic

Stamp = tuple[int, int, int, int]


class Facts(NamedTuple):
    """What is judged about a policy."""

    policy_id: str
    created: float
    valid_until: float | None

    @classmethod
    def of(cls, policy: Policy) -> Facts:
        """Those of a policy."""
        return cls(policy.policy_id, policy.created, policy.valid_until)

    @property
    def version(self) -> Version:
        """What tells a policy from the same prices, made at another time."""
        return self.policy_id, self.created


def judge(facts: Facts, newest: float, state: State, now: float, path: Path) -> None:
    """Raise `SnapshotError` where a policy must not become the active one; `newest` is when any that was, was made."""
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
    """What differs if a file does, mostly: its times, inode and size."""
    at = os.stat(path)
    return at.st_mtime_ns, at.st_ctime_ns, at.st_ino, at.st_size


@dataclass
class Seen:
    """What was found in the file when it was last looked at.

    A stamp that has only just appeared may be borne by two contents, for times of files are coarse. So a file is read
    once more when its stamp is some seconds old, and what has the same bytes is the same.
    """

    stamp: Stamp | None = None
    digest: bytes = b""
    waiting: Facts | None = None  # a policy that was refused for what may pass
    refused: str = ""  # why it was
    _since: float = field(default=0.0, repr=False)
    _settled: bool = field(default=False, repr=False)

    def is_same(self, path: Path) -> tuple[bool, bytes | None]:
        """Whether the file is what it was; if not, it is taken down as new. Raises OSError and `SnapshotError`.

        With it come the file's bytes where it is a new snapshot: what is judged and what is loaded are read at once.
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
        """Look at the file again, whatever it is."""
        self.stamp, self.digest, self.waiting, self.refused, self._settled = None, b"", None, "", False


def _content(path: Path) -> tuple[bytes, bytes | None]:
    """The digest of a file, and its bytes where it is a snapshot: another file may be too large to hold."""
    try:
        raw = read_file(path)
    except SnapshotError:
        return digest_of(path), None
    return hashlib.sha256(raw).digest(), raw
