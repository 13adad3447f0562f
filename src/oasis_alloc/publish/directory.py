"""A directory of published policies: publish, roll back, list, load."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.arguments import suggesting
from oasis_alloc.common.checks import as_whole
from oasis_alloc.common.labels import shown
from oasis_alloc.errors import InputError, SnapshotError
from oasis_alloc.publish.keys import signer_of
from oasis_alloc.publish.manifest import (
    LISTED,
    NAME,
    Manifest,
    PublishedVersion,
    checked_accepted,
    checked_text,
    checked_texts,
    digest_of_file,
    now,
)
from oasis_alloc.publish.places import place_of

if TYPE_CHECKING:
    from oasis_alloc.policy import Policy
    from oasis_alloc.publish.trust import Trust

KEEP = 14


@suggesting
class PolicyDirectory:
    """A directory of published policies and its manifest; docs/publishing.md has the files.

    Parameters
    ----------
    where
        The directory. It is made by the first publication.
    trust
        Whose signatures versions must have to be loaded; None for no check.

    Raises
    ------
    InputError
        If `where` is not the path of a directory.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> def capped(most):
    ...     cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    ...     return oa.solve(oa.Problem(cands, oa.total("r"), (oa.exposure() <= most).named("cap"))).policy()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     directory = oa.PolicyDirectory(folder)
    ...     for most in (0.9, 0.5):
    ...         _ = directory.publish(capped(most))
    ...     _ = directory.rollback(reason="the cap was wrong")
    ...     [(version.version, version.kind, version.of) for version in directory.history()]
    [(1, 'publish', 1), (2, 'publish', 2), (3, 'rollback', 1)]
    """

    def __init__(self, where: str | os.PathLike[str], *, trust: Trust | None = None) -> None:
        from oasis_alloc.publish.trust import Trust

        if trust is not None and not isinstance(trust, Trust):
            raise InputError(f"PolicyDirectory(trust={shown(trust)}): expected an oa.Trust, or None.")
        self._place, self._trust = place_of(where), trust
        self._where = os.fspath(where)

    def __repr__(self) -> str:
        return f"PolicyDirectory({self._where!r})"

    def publish(
        self,
        policy: Policy | str | os.PathLike[str],
        *,
        keep: int = KEEP,
        sign: str | os.PathLike[str] | None = None,
        reasons: Sequence[str] = (),
        accepted: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> PublishedVersion:
        """Make a policy the current one; see `publish`, which does the same."""
        texts, gates = checked_texts(reasons, "reasons"), checked_accepted(accepted or {})
        called = self._called(name)
        raw, policy_id = _content(policy)
        digest = hashlib.sha256(raw).hexdigest()
        of = {"kind": "publish", "digest": digest, "policy_id": policy_id, "name": called, "reasons": texts}
        return self._add({**of, "accepted": gates}, raw, _kept(keep), sign)

    def rollback(
        self,
        to: int | None = None,
        *,
        reason: str,
        keep: int | None = None,
        sign: str | os.PathLike[str] | None = None,
    ) -> PublishedVersion:
        """Make an earlier policy the current one again, as a new version of the manifest.

        Parameters
        ----------
        to
            A version. None takes the last one with another policy that has not been rolled back itself.
        reason
            A text for the manifest.
        keep
            As in `publish`; None removes nothing: how many policies stay is said by the next publication.
        sign
            As in `publish`.

        Returns
        -------
        PublishedVersion
            The new version, of kind "rollback".

        Raises
        ------
        InputError
            If there is no such version, its policy has been removed, or it is current already; and as `publish`.
        SnapshotError
            If the policy's file is damaged.
        OSError
            If a file cannot be written.
        """
        why = checked_text(reason, "reason")
        manifest = self._manifest()
        target = self._target(manifest, to)
        try:
            raw = self._place.read(target.file)
        except FileNotFoundError:
            raise InputError(
                f"{self._where}: the policy of version {target.version} has been removed. `oasis-alloc history` lists "
                "the versions whose policies are there."
            ) from None
        _verified(raw, target)
        of = {
            "kind": "rollback", "of": target.of, "digest": target.digest, "policy_id": target.policy_id,
            "name": target.name, "reasons": (why,),
        }  # fmt: skip
        return self._add(of, raw, None if keep is None else _kept(keep), sign)

    def history(self) -> list[PublishedVersion]:
        """The versions, the oldest first; an empty list before the first publication.

        With `trust`, raises `SnapshotError` if the last version is not signed as it has to be.
        """
        manifest = self._manifest()
        if self._trust is not None and manifest.current is not None:
            self._trust.check(manifest.current)
        return list(manifest.versions)

    def load(self, version: int | None = None) -> Policy:
        """The policy of a version, by default the current one; -2 is the one before it.

        Raises `InputError` if there is no such version, `SnapshotError` if its file is missing or damaged, or the
        manifest is not signed as `trust` demands.
        """
        from oasis_alloc.policy import Policy
        from oasis_alloc.serving.file.stored import loaded

        self.history()  # checks the signature
        found = self._found(self._manifest(), -1 if version is None else version)
        return loaded(Policy, f"{self._where}/{found.file}", verified_file(self._place, found))

    def compare(self, before: int, after: int = -1) -> dict[str, Any]:
        """What differs between the policies of two versions, as a document for JSON; raises as `load`.

        Members: `before` and `after` (ids, times, certificates), `weights`, `prices` (by constraint and label, largest
        change first), `slate`, `items` (numbers of added and removed ones), `same`.
        """
        from oasis_alloc.publish.comparison import differences

        return differences(self.load(before), self.load(after))

    def available(self) -> set[str]:
        """Digests of the policies whose files are in the directory."""
        return {digest for name in self._place.names() if (digest := digest_of_file(name))}

    def _manifest(self) -> Manifest:
        try:
            return Manifest.read(self._place.read(NAME))
        except FileNotFoundError:
            return Manifest()
        except SnapshotError as error:
            raise SnapshotError(f"{self._where}/{NAME}: {error}", error.reason) from error

    def _called(self, name: str | None) -> str:
        if name is not None:
            return checked_text(name, "name")
        current = self._manifest().current
        return current.name if current is not None else (self._place.name or "policies")

    def _found(self, manifest: Manifest, version: int) -> PublishedVersion:
        number = as_whole(version)
        if number is not None and number < 0 and -number <= len(manifest.versions):
            return manifest.versions[number]
        for one in manifest.versions:
            if one.version == number:
                return one
        there = manifest.versions
        expected = f"{there[0].version} to {there[-1].version}" if there else "a publication first"
        raise InputError(f"{self._where} has no version {shown(version)}; expected {expected}.")

    def _target(self, manifest: Manifest, to: int | None) -> PublishedVersion:
        """The version that a roll-back goes to."""
        current = manifest.current
        if current is None:
            raise InputError(f"{self._where}: nothing has been published there, so there is nothing to roll back.")
        if to is not None:
            target = self._found(manifest, to)
            if target.digest == current.digest:
                raise InputError(f"{self._where}: the policy of version {target.version} is current already.")
            return target
        gone, there = {current.digest}, self.available()
        for before, after in pairwise(manifest.versions):
            if after.kind == "rollback":
                gone.add(before.digest)
        for one in reversed(manifest.versions):
            if one.digest not in gone and one.digest in there:
                return one
        raise InputError(f"{self._where}: there is no earlier policy to roll back to.")

    def _refuse_unsigned(self, manifest: Manifest, signer: object) -> None:
        """A version without a signature does not follow a signed one."""
        current = manifest.current
        if current is not None and current.is_signed and signer is None:
            raise InputError(
                f"{self._where}: version {current.version} is signed, and hosts may refuse one that is not. Give "
                "the key: sign='NAME.key', or --sign NAME.key."
            )

    def _add(
        self, of: Mapping[str, Any], raw: bytes, keep: int | None, sign: str | os.PathLike[str] | None
    ) -> PublishedVersion:
        """Write the policy, then the manifest, then remove what no longer belongs to the last `keep` policies."""
        signer = None if sign is None else signer_of(sign)
        with self._place.exclusive():
            manifest = self._manifest()
            current = manifest.current
            same = current is not None and current.digest == of["digest"]
            if current is not None and same and (signer is None or current.key == signer.key_id):
                return current
            self._refuse_unsigned(manifest, signer)
            version = manifest.following(**of, time=now(time.time()))
            if signer is not None:
                version = signer.sign(version)
            names = self._place.names()
            if version.file not in names or self._place.read(version.file) != raw:
                self._place.write(version.file, raw)
            manifest = manifest.with_version(version)
            self._place.write(NAME, manifest.to_bytes())
            if keep is None:
                return version
            kept = manifest.kept(keep)
            for name in names:
                digest = digest_of_file(name)
                if digest is not None and digest not in kept:
                    self._place.remove(name)
        return version


@suggesting
def publish(
    policy: Policy | str | os.PathLike[str],
    where: str | os.PathLike[str],
    *,
    keep: int = KEEP,
    sign: str | os.PathLike[str] | None = None,
    reasons: Sequence[str] = (),
    accepted: Mapping[str, str] | None = None,
    name: str | None = None,
) -> PublishedVersion:
    """Make a policy the current one of a directory; stores of its manifest serve it from their next check.

    Parameters
    ----------
    policy
        A policy, or the file of a snapshot.
    where
        The directory; it is made if it does not exist.
    keep
        Number of policies that stay in the directory, at least 1, counted from this one.
    sign
        A private key: a PEM file, or "env:NAME" for the text in a variable of the environment. None for no signature.
    reasons, accepted
        Texts for the manifest: why, and gates that failed and were accepted, each with a reason.
    name
        Names what is published; by default as before, and the name of the directory at first.

    Returns
    -------
    PublishedVersion
        The new version; the one that is current already if it has the same bytes.

    Raises
    ------
    InputError
        For arguments that are not valid, a key that cannot be read, and no key although the current version is signed.
    SnapshotError
        If the snapshot, or the manifest that is there, is damaged.
    OSError
        If a file cannot be written. The previous version is then current, complete and unchanged.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).policy()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     version = oa.publish(policy, f"{folder}/radio", reasons=["the first one"])
    ...     version.version, version.name, oa.publish(policy, f"{folder}/radio").version
    (1, 'radio', 1)
    """
    return PolicyDirectory(where).publish(policy, keep=keep, sign=sign, reasons=reasons, accepted=accepted, name=name)


def check_publication(where: str, sign: str | os.PathLike[str] | None) -> None:
    """Raise what `publish` would raise for a place and a key: `InputError`, and `SnapshotError` for its manifest.

    A place that cannot be reached is no fault here: it may be there again when there is something to publish.
    """
    directory = PolicyDirectory(where)
    signer = None if sign is None else signer_of(sign)
    with suppress(OSError):
        directory._refuse_unsigned(directory._manifest(), signer)


def verified_file(place: Any, version: PublishedVersion) -> bytes:
    """The bytes of a version's policy; SnapshotError if they are missing or do not have the digest."""
    try:
        raw: bytes = place.read(version.file)
    except OSError as error:
        raise SnapshotError(f"version {version.version}: its policy cannot be read: {error}", "unreadable") from error
    return _verified(raw, version)


def _verified(raw: bytes, version: PublishedVersion) -> bytes:
    found = hashlib.sha256(raw).hexdigest()
    if found != version.digest:
        raise SnapshotError(
            f"version {version.version}: its policy has the digest {found[:12]}..., the manifest says "
            f"{version.digest[:12]}....",
            "tampered",
        )
    return raw


def _content(policy: Policy | str | os.PathLike[str]) -> tuple[bytes, str]:
    """(the bytes of a snapshot, verified, its policy_id)."""
    from oasis_alloc.policy import Policy
    from oasis_alloc.serving.file.codec import decode, encode
    from oasis_alloc.serving.file.container import from_bytes, path_text, read_file, to_bytes

    if isinstance(policy, Policy):
        return to_bytes(*encode(policy.data)), policy.policy_id
    if not isinstance(policy, (str, os.PathLike)):
        raise InputError(f"policy is {shown(policy)}; expected an oa.Policy, or the file of a snapshot.")
    try:
        raw = read_file(policy)
        return raw, decode(*from_bytes(raw)).policy_id
    except SnapshotError as error:
        raise SnapshotError(f"{path_text(policy)}: {error}", error.reason) from error


def _kept(keep: int) -> int:
    number = as_whole(keep)
    if number is None or not 1 <= number <= LISTED:
        raise InputError(f"keep={shown(keep)}: expected a whole number of policies, from 1 to {LISTED}.")
    return number
