"""Whose signatures a host accepts, and which version it has seen last."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_flag
from oasis_alloc.common.files import reason_of, write_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.common.pickling import ByFields, FrozenMapping
from oasis_alloc.common.regular_files import read_regular
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.publish.keys import key_id, public_key, verifies
from oasis_alloc.publish.manifest import PublishedVersion, checked_text

if TYPE_CHECKING:
    from collections.abc import Mapping

_DIGITS = 18  # of a version in a file: more would be no version


@suggesting
@dataclass(frozen=True, eq=False, init=False)
class Trust(ByFields):
    """The public keys whose signatures a store accepts; see `PolicyStore(trust=...)` and `PolicyDirectory`.

    Parameters
    ----------
    keys
        Public keys: PEM files such as `oasis-alloc keys new` writes as NAME.pub, or "env:NAME" for the text in a
        variable of the environment. One, or several while keys are changed.
    required
        True: only signed versions are accepted. False: versions without a signature are accepted too; a wrong
        signature is refused in any case.
    name
        The name of the publication that is accepted; None for any. It prevents that a policy which was signed for
        another surface is served here.
    remember
        A file of this host for the highest version seen, so that a later process refuses an older manifest too; None to
        remember it only in the process. It belongs to one store.

    Raises
    ------
    InputError
        For a key that cannot be read, no key although signatures are required, and a name or a path that is not valid.
    MissingDependencyError
        If `cryptography` is not installed.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> from oasis_alloc.__main__ import main
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     done = main(["keys", "new", f"{folder}/radio"])  # doctest: +ELLIPSIS
    ...     trust = oa.Trust([f"{folder}/radio.pub"], name="radio")
    key ... is in ...radio.key (private) and ...radio.pub (public)
    >>> len(trust.keys), trust.required
    (1, True)
    """

    keys: Mapping[str, bytes]
    required: bool
    name: str | None
    remember: Path | None

    def __init__(
        self,
        keys: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        *,
        required: bool = True,
        name: str | None = None,
        remember: str | os.PathLike[str] | None = None,
    ) -> None:
        given = [keys] if isinstance(keys, (str, os.PathLike)) else keys
        if not isinstance(given, (list, tuple)) or (not given and required):
            raise InputError(f"Trust(keys={shown(keys)}): expected one public key or more; PEM files, or 'env:NAME'.")
        if remember is not None and not isinstance(remember, (str, os.PathLike)):
            raise InputError(f"Trust(remember={shown(remember)}): expected the path of a file, or None.")
        public = [public_key(one) for one in given]
        object.__setattr__(self, "keys", FrozenMapping({key_id(raw): raw for raw in public}))
        object.__setattr__(self, "required", as_flag(required, "required", "Trust"))
        object.__setattr__(self, "name", None if name is None else checked_text(name, "Trust(name=...)"))
        object.__setattr__(self, "remember", None if remember is None else Path(os.fsdecode(remember)))

    def check(self, version: PublishedVersion) -> None:
        """Raise `SnapshotError` if a version is not signed as it has to be.

        Reasons: unsigned, unknown key, bad signature, another name.
        """
        what = f"version {version.version} of {version.name!r}"
        if self.name is not None and version.name != self.name:
            raise SnapshotError(f"{what} was published under another name; expected {self.name!r}.", "another name")
        if not version.is_signed:
            if self.required:
                raise SnapshotError(f"{what} has no signature; expected one by {self._known()}.", "unsigned")
            return
        public = self.keys.get(version.key)
        if public is None:
            raise SnapshotError(f"{what} is signed by the key {version.key}; expected {self._known()}.", "unknown key")
        if not verifies(public, version):
            raise SnapshotError(f"the signature of {what} is not that of the key {version.key}.", "bad signature")

    def _known(self) -> str:
        return " or ".join(self.keys) or "no key: none is trusted"

    def floor(self) -> int:
        """The highest version that this host remembers, 0 if there is none; SnapshotError if it cannot be read."""
        if self.remember is None:
            return 0
        try:
            text = read_regular(self.remember).decode("ascii").strip()
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise SnapshotError(f"{self.remember} cannot be read: {reason_of(error)}", "unreadable") from error
        if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
            raise SnapshotError(
                f"{self.remember} has {shown(text)}; expected the number of a version. Remove the file only if the "
                "manifest is known to be the newest one.",
                "unreadable",
            )
        return int(text)

    def seen(self, version: int) -> None:
        """Remember a version for later processes; SnapshotError if it cannot be written."""
        if self.remember is not None:
            try:
                write_whole(self.remember, f"{version}\n")
            except OSError as error:
                raise SnapshotError(f"{self.remember} cannot be written: {reason_of(error)}", "unreadable") from error
