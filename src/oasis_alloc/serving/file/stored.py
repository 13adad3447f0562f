"""Identity, dates and file of a policy, and the decay of its prices with age."""

from __future__ import annotations

import os
from typing import Any, Self, TypeVar

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.remote_path import name_of
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.serving.data import PolicyData
from oasis_alloc.serving.file.codec import decode, encode
from oasis_alloc.serving.file.container import read_arrays, write_arrays
from oasis_alloc.serving.overlay import Overlay, overlaid
from oasis_alloc.serving.staleness import decayed, organic_only

_Stored = TypeVar("_Stored", bound="StoredPolicy")


class StoredPolicy:
    """The methods of a policy that do not score; see `Policy`."""

    def __init__(self, data: PolicyData) -> None:
        self.data = data.check()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.data,)  # tables and buffers are made again

    @property
    def policy_id(self) -> str:
        """16 hexadecimal digits, the same for the same prices, weights and rules."""
        return self.data.policy_id

    @property
    def created(self) -> float:
        """When the prices were made, in UNIX seconds."""
        return self.data.created

    @property
    def valid_until(self) -> float | None:
        """When the prices expire, in UNIX seconds; None for never."""
        return self.data.valid_until

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the policy as one file, by rename: a reader sees the complete new file or the old one.

        `docs/snapshot.md` specifies the file. Raises `SnapshotError` for ids or labels that are neither integers,
        strings, floats nor booleans and for what is no path, `InputError` for a path with a null character, and
        `OSError` if it cannot be written.

        >>> import tempfile, oasis_alloc as oa
        >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
        >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), oa.exposure() <= 0.5)).policy()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     policy.save(f"{folder}/policy")
        ...     oa.Policy.load(f"{folder}/policy").policy_id == policy.policy_id
        True
        """
        write_arrays(path, *encode(self.data))

    @classmethod
    @suggesting
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a policy that `save` wrote; everything is verified before anything is used.

        Raises `SnapshotError`, whose `reason` is a word: "unreadable", "truncated", "tampered", "newer schema" ...
        """
        return loaded(cls, path)

    def decayed(self, factor: float) -> Self:
        """The same policy with every price multiplied by a factor in [0, 1], and the factor in its id."""
        return self._derived(decayed(self.data, factor))

    def overlaid(self, overlay: Overlay) -> Self:
        """The same policy at the prices of `pacer.overlay()`; nothing is read again, and classes of items are shared.

        Raises `SnapshotError`, with reason "another policy" for an overlay that was made for another one.
        """
        return self._derived(overlaid(self.data, overlay))

    def organic_only(self) -> Self:
        """The same slate rules and columns, without prices: scores are the organic column, boosts are 0."""
        return self._derived(organic_only(self.data))

    def _derived(self, data: PolicyData) -> Self:
        return type(self)(data)


def loaded(kind: type[_Stored], path: str | os.PathLike[str], raw: bytes | None = None) -> _Stored:
    """The policy of a snapshot file, or of its bytes if they were read already; raises as `StoredPolicy.load`."""
    arrays, header = read_arrays(path, raw)
    name = name_of(os.fsdecode(path))
    try:
        return kind(decode(arrays, header))
    except SnapshotError as error:
        raise SnapshotError(f"{name}: {error}", error.reason) from error
    except InputError as error:  # errors that appear only when tables are built
        raise SnapshotError(f"{name}: {error}", "content") from error
    except MemoryError as error:
        raise SnapshotError(f"{name}: not enough memory for this policy.", "unreadable") from error
