"""Decisions of the stores of one snapshot file that hold after a restart: a small file next to the snapshot.

`<snapshot>.state` is JSON: which policies were rolled back, which one was published although it is older, the
creation time of the newest active policy, and which policy is served instead of the file's. That one is in
`<snapshot>.kept`, also a snapshot. Both are written by rename, and only if there is a decision to store.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.files import reason_of, write_whole
from oasis_alloc.common.regular_files import read_regular
from oasis_alloc.errors import SnapshotError

if TYPE_CHECKING:
    from oasis_alloc.serving.file.stored import StoredPolicy

_FORMAT, _SCHEMA = "oasis_alloc.store", 1
_LARGEST = 1 << 16  # bytes
_BANNED = 200  # maximum number of policies stored as rolled back

Version = tuple[str, float]
"""(policy_id, created) of a policy."""


@dataclass(frozen=True)
class State:
    """The decisions about the policies of one snapshot file.

    >>> state = State().banning("p1")
    >>> State.from_json(state.to_json()) == state, state.allowing(("p1", 5.0)).rolled_back
    (True, ())
    """

    rolled_back: tuple[str, ...] = ()  # ids, the last one last
    again: Version | None = None  # published explicitly, whichever policy was active
    kept: Version | None = None  # in `<snapshot>.kept`, for processes that find the snapshot refused
    newest: float = -math.inf  # creation time of the newest policy that was active

    def banning(self, policy_id: str) -> State:
        """The same with a policy that must not be served again."""
        others = [other for other in self.rolled_back if other != policy_id]
        again = None if self.again is not None and self.again[0] == policy_id else self.again
        kept = None if self.kept is not None and self.kept[0] == policy_id else self.kept
        return replace(self, rolled_back=(*others, policy_id)[-_BANNED:], again=again, kept=kept)

    def allowing(self, version: Version) -> State:
        """The same with a policy that may be served although it is older, or was rolled back."""
        others = tuple(other for other in self.rolled_back if other != version[0])
        return replace(self, rolled_back=others, again=version, newest=version[1])

    def to_json(self) -> str:
        """The text of the file."""
        newest = None if math.isinf(self.newest) else self.newest
        return json.dumps(
            {
                "format": _FORMAT, "schema": _SCHEMA, "rolled_back": list(self.rolled_back), "again": self.again,
                "kept": self.kept, "newest": newest,
            }
        )  # fmt: skip

    @classmethod
    def from_json(cls, text: str) -> State:
        """The state in a file; ValueError if it is not the state of a store."""
        try:
            found = json.loads(text)
            if found["format"] != _FORMAT or found["schema"] != _SCHEMA:
                raise ValueError(f"format {found['format']!r}, schema {found['schema']!r}")
            banned = found["rolled_back"]
            if not isinstance(banned, list) or not all(isinstance(one, str) for one in banned):
                raise ValueError("rolled_back is not a list of ids")
            newest = -math.inf if found["newest"] is None else _time(found["newest"])
            return cls(tuple(banned[-_BANNED:]), _version(found["again"]), _version(found["kept"]), newest)
        except (KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error


def _time(number: Any) -> float:
    if isinstance(number, bool) or not isinstance(number, (int, float)) or not abs(number) < math.inf:
        raise ValueError(f"{number!r} is not a time")
    return float(number)


def _version(pair: Any) -> Version | None:
    if pair is None:
        return None
    policy_id, created = pair
    if not isinstance(policy_id, str):
        raise ValueError(f"{policy_id!r} is not a policy_id")
    return policy_id, _time(created)


class StateFile:
    """The state of one snapshot file on the disk."""

    def __init__(self, snapshot: Path) -> None:
        if snapshot.name in ("", ".."):
            raise SnapshotError(f"{str(snapshot)!r} is not a valid path of a file.", "unreadable")
        self.path = snapshot.with_name(snapshot.name + ".state")
        self.kept = snapshot.with_name(snapshot.name + ".kept")

    def stamp(self) -> tuple[int, int, int] | None:
        """Identifies the content of the file; None if there is no file."""
        try:
            at = os.stat(self.path)
        except OSError:
            return None
        return at.st_mtime_ns, at.st_ino, at.st_size

    def read(self) -> State:
        """The state in the file, an empty one if there is no file; SnapshotError if it cannot be read."""
        try:
            return State.from_json(read_regular(self.path, _LARGEST).decode())
        except FileNotFoundError:
            return State()
        except (OSError, ValueError) as error:  # SnapshotError is a ValueError
            raise SnapshotError(f"{self.path} cannot be read: {reason_of(error)}", "unreadable") from error

    def write(self, state: State) -> None:
        """Write the state, completely or not at all; raises OSError."""
        write_whole(self.path, state.to_json().encode())

    def keep(self, policy: StoredPolicy) -> None:
        """Write the policy that is served instead of the file's; raises OSError and `SnapshotError`."""
        policy.save(self.kept)


class NoStateFile(StateFile):
    """For stores that accept signed policies only: what is not signed is neither read nor written."""

    def stamp(self) -> None:
        """There is no file."""
        return None

    def read(self) -> State:
        """No decisions."""
        return State()

    def write(self, state: State) -> None:
        """Decisions hold in the process alone."""

    def keep(self, policy: StoredPolicy) -> None:
        """The policy is kept in the process alone."""
