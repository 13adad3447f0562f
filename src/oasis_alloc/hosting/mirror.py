"""A local copy of a published manifest and its current policy, for stores of object storage and of HTTP servers."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
import weakref
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from oasis_alloc.common.files import write_whole
from oasis_alloc.common.remote import RemoteFolder, is_remote, remove_copies, without_secrets
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.publish.manifest import LARGEST, NAME, Manifest, digest_of_file

_HTTP = re.compile("https?://", re.IGNORECASE)
_SECONDS = 20.0  # that a server may take
_LARGEST_POLICY = 1 << 33  # bytes


def is_address(path: object) -> bool:
    """True if a store's path is the address of a manifest elsewhere.

    >>> is_address("https://policies.example/radio/manifest.json"), is_address("/var/lib/radio/manifest.json")
    (True, False)
    """
    return is_remote(path) or (isinstance(path, str) and _HTTP.match(path) is not None)


class Mirror:
    """A folder of this machine that follows a manifest elsewhere; it is removed with the object."""

    def __init__(self, address: str) -> None:
        base, _, name = address.partition("?")[0].rpartition("/")
        if name != NAME:
            raise InputError(f"PolicyStore({without_secrets(address)!r}): expected an address that ends in /{NAME}.")
        self.address = without_secrets(address)
        self._source: _Source = _Http(address) if _HTTP.match(address) else _Bucket(base)
        folder = tempfile.mkdtemp(prefix="oasis-alloc-")
        weakref.finalize(self, remove_copies, folder, os.getpid())
        self.path = Path(folder) / NAME

    def update(self) -> None:
        """Copy what has changed: the policy, then the manifest; SnapshotError ("unreadable", "tampered")."""
        try:
            raw = self._source.manifest()
            if raw is None:
                return
            self._copy_policy(raw)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(self.path, raw)
        except SnapshotError:
            self._source.forget()
            raise
        except Exception as error:  # file systems and servers have errors of their own
            self._source.forget()
            reason = str(error).strip() or type(error).__name__
            raise SnapshotError(f"{self.address} cannot be read: {reason[:300]}", "unreadable") from error

    def _copy_policy(self, raw: bytes) -> None:
        try:
            current = Manifest.read(raw).current
        except SnapshotError:  # the store refuses it, with the reason
            return
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        if current is not None and not (folder / current.file).exists():
            policy = self._source.policy(current.file)
            if hashlib.sha256(policy).hexdigest() != current.digest:  # read again at the next check
                raise SnapshotError(
                    f"{self.address}: the policy of version {current.version} does not have its digest.", "tampered"
                )
            write_whole(folder / current.file, policy)
            for other in folder.iterdir():
                if digest_of_file(other.name) and other.name != current.file:
                    other.unlink(missing_ok=True)


class _Source(Protocol):
    def manifest(self) -> bytes | None:
        """The manifest; None if it is as before."""

    def policy(self, name: str) -> bytes:
        """A snapshot."""

    def forget(self) -> None:
        """Read the manifest again, whether or not it has changed."""


class _Bucket:
    """A folder of object storage."""

    def __init__(self, address: str) -> None:
        self._folder = RemoteFolder(address)
        self._before: bytes | None = None

    def manifest(self) -> bytes | None:
        raw = self._folder.read(NAME)
        before, self._before = self._before, raw
        return None if raw == before else raw

    def policy(self, name: str) -> bytes:
        return self._folder.read(name)

    def forget(self) -> None:
        self._before = None


class _Http:
    """A folder of a web server, which may give the manifest an ETag."""

    def __init__(self, address: str) -> None:
        self._address, self._tag = address, ""

    def manifest(self) -> bytes | None:
        from urllib.error import HTTPError

        headers = {"If-None-Match": self._tag} if self._tag else {}
        try:
            raw, tag = _read(self._address, LARGEST, headers)
        except HTTPError as error:
            if error.code == 304:
                return None
            raise
        self._tag = tag
        return raw

    def policy(self, name: str) -> bytes:
        parts = urlsplit(self._address)
        place = parts._replace(path=f"{parts.path.rpartition('/')[0]}/{name}").geturl()
        return _read(place, _LARGEST_POLICY, {})[0]

    def forget(self) -> None:
        self._tag = ""


def _read(address: str, largest: int, headers: dict[str, str]) -> tuple[bytes, str]:
    """(the body, its ETag)."""
    from urllib.request import Request, urlopen

    with urlopen(Request(address, headers=headers), timeout=_SECONDS) as answer:
        raw = answer.read(largest + 1)
        if len(raw) > largest:
            raise OSError(f"more than {largest:,} bytes")
        return raw, answer.headers.get("ETag") or ""
