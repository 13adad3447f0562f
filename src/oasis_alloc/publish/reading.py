"""The current policy of a manifest, verified: what a store reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from oasis_alloc.common.regular_files import read_regular
from oasis_alloc.errors import SnapshotError
from oasis_alloc.publish.directory import verified_file
from oasis_alloc.publish.manifest import LARGEST, Manifest, PublishedVersion, is_manifest
from oasis_alloc.publish.places import Folder

if TYPE_CHECKING:
    from oasis_alloc.publish.trust import Trust

_HEAD = 64  # bytes by which a manifest is recognized


class ManifestReader:
    """Reads the manifest of one store, and remembers the highest version that it has verified.

    >>> reader = ManifestReader(None)
    >>> reader.version is None, reader.requires_signatures
    (True, False)
    """

    def __init__(self, trust: Trust | None) -> None:
        self.trust = trust
        self.version: PublishedVersion | None = None
        self.is_incomplete = False  # the last policy was not there as a whole: it may still be copied

    @property
    def requires_signatures(self) -> bool:
        """True if nothing may be served that is not signed."""
        return self.trust is not None and self.trust.required

    def current(self, path: Path) -> bytes:
        """The snapshot that the manifest at `path` names, after all checks.

        Raises `SnapshotError` (unsigned, unknown key, bad signature, another name, replayed, tampered, ...) and
        `OSError`. From the check of a signature on, older versions are refused, even if the policy is damaged.
        """
        self.is_incomplete = False
        version = Manifest.read(read_regular(path, LARGEST)).current
        if version is None:
            raise SnapshotError("the manifest has no version yet.", "no policy")
        if self.trust is not None:
            self.trust.check(version)
        self._refuse_older(version)
        self.is_incomplete = True
        raw = verified_file(Folder(_folder_of(path, version)), version)
        self.is_incomplete = False
        return raw

    def _refuse_older(self, version: PublishedVersion) -> None:
        seen = self.version
        floor = max(0 if self.trust is None else self.trust.floor(), 0 if seen is None else seen.version)
        what = f"version {version.version} of the manifest"
        if version.version < floor:
            raise SnapshotError(
                f"{what} is older than version {floor}, which has been seen. A roll-back is a new version: "
                "oasis-alloc rollback.",
                "replayed",
            )
        if seen is not None and version.version == seen.version and version.digest != seen.digest:
            raise SnapshotError(
                f"{what} names another policy than when it was last read; a version never changes.", "replayed"
            )
        if self.trust is not None and version.version > floor:
            self.trust.seen(version.version)
        self.version = version


def _folder_of(path: Path, version: PublishedVersion) -> Path:
    """Where the policy of a version is: next to the manifest, or next to the file that the manifest is a link to."""
    return path.parent if (path.parent / version.file).exists() else Path(os.path.realpath(path)).parent


def has_manifest(path: Path) -> bool:
    """True if the file at `path` is a manifest; False if it cannot be read."""
    try:
        return is_manifest(read_head(path))
    except (OSError, SnapshotError):
        return False


def snapshot_of(path: Path) -> Path:
    """The policy's file: that of the current version of a manifest, and any other path itself; SnapshotError."""
    if not has_manifest(path):
        return path
    version = Manifest.read(read_regular(path, LARGEST)).current
    if version is None:
        raise SnapshotError(f"{path}: the manifest has no version yet.", "no policy")
    return _folder_of(path, version) / version.file


def read_head(path: Path) -> bytes:
    """The first bytes of a regular file."""
    return read_regular(path, 1 << 33, _HEAD)
