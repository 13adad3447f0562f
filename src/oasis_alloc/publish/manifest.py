"""The manifest of published policies: versions as JSON, one per line, each with the digest of the line before it.

There is one form of every manifest. A reader writes again what it has read and compares the bytes, so nothing in a
manifest is ever ignored, and the signature of the last version covers all lines.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from oasis_alloc.common.documents import distinct_members
from oasis_alloc.common.labels import shown
from oasis_alloc.common.pickling import ByFields, FrozenMapping
from oasis_alloc.errors import InputError, SnapshotError

FORMAT, SCHEMA = "oasis_alloc.manifest", 1
NAME = "manifest.json"
LARGEST = 1 << 24  # bytes of a manifest
_START = f'{{"format":"{FORMAT}"'
_SIGNED = f"{FORMAT}.{SCHEMA}\n".encode()  # before what is signed, so that it cannot be taken for anything else
LISTED = 200  # versions
_MOST = 2**53  # versions: whole numbers that readers in all languages have
_TEXTS, _LONGEST = 50, 2_000  # maximum number of texts of a version, and of characters of each
_DIGEST = re.compile("[0-9a-f]{64}")
_KEY = re.compile("[0-9a-f]{16}")
_SIGNATURE = re.compile("[0-9a-f]{128}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass(frozen=True, eq=False, kw_only=True)
class PublishedVersion(ByFields):
    """A line of a manifest: which policy was published, when, why, and who signed it.

    Attributes
    ----------
    version
        1, 2, 3, ...
    kind, of
        "publish", and `of` is the version itself; or "rollback", and `of` is the version whose policy is served again.
    digest, policy_id
        The SHA-256 of the snapshot's bytes, and its `policy_id`.
    name
        Names what is published.
    time
        Of the publication, UTC, as in "2026-11-30T04:00:00.125Z".
    reasons, accepted
        Why it was published; the gates that failed and were accepted, each with a reason.
    parent
        The SHA-256 of the line before it; empty for the first version.
    key, signature
        The id of the key and the signature; both empty for a version that is not signed.

    Example
    -------
    >>> import tempfile, oasis_alloc as oa
    >>> cands = oa.Candidates.from_arrays([0, 2], [0, 1], {"r": [0.9, 0.5]})
    >>> policy = oa.solve(oa.Problem(cands, oa.total("r"), slate=oa.Slate(1))).policy()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     version = oa.publish(policy, folder, reasons=["the first one"])
    >>> version.version, version.kind, version.reasons, version.policy_id == policy.policy_id
    (1, 'publish', ('the first one',), True)
    """

    version: int
    kind: str
    of: int
    digest: str
    policy_id: str
    name: str
    time: str
    reasons: tuple[str, ...] = ()
    accepted: Mapping[str, str] = field(default_factory=dict)
    parent: str = ""
    key: str = ""
    signature: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "reasons", tuple(self.reasons))
        object.__setattr__(self, "accepted", FrozenMapping(dict(self.accepted)))

    def to_dict(self) -> dict[str, Any]:
        """The members of the line, as texts, whole numbers, lists and objects."""
        return {
            "version": self.version, "kind": self.kind, "of": self.of, "digest": self.digest,
            "policy_id": self.policy_id, "name": self.name, "time": self.time, "reasons": list(self.reasons),
            "accepted": dict(self.accepted), "parent": self.parent, "key": self.key, "signature": self.signature,
        }  # fmt: skip

    @property
    def file(self) -> str:
        """Name of the snapshot in the directory."""
        return file_of(self.digest)

    @property
    def is_signed(self) -> bool:
        """True if the version has a signature."""
        return bool(self.signature)

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, PublishedVersion) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.version, self.digest, self.signature))


@dataclass(frozen=True)
class Manifest:
    """The versions of a directory, the oldest first.

    >>> Manifest().current is None, Manifest.read(Manifest().to_bytes()).versions
    (True, ())
    """

    versions: tuple[PublishedVersion, ...] = ()

    @property
    def current(self) -> PublishedVersion | None:
        """The last version; None if there is no version yet."""
        return self.versions[-1] if self.versions else None

    def following(self, **of: Any) -> PublishedVersion:
        """The version that comes next, without a signature."""
        before = self.current
        number = 1 if before is None else before.version + 1
        parent = "" if before is None else hashlib.sha256(line(before)).hexdigest()
        return PublishedVersion(**{"of": number, **of, "version": number, "parent": parent})

    def with_version(self, version: PublishedVersion) -> Manifest:
        """The manifest with one more version; the oldest is left out where the list is long."""
        return Manifest((*self.versions, version)[-LISTED:])

    def kept(self, keep: int) -> set[str]:
        """Digests of the last `keep` policies, counted from the current version; each policy counts once."""
        return set(list(dict.fromkeys(version.digest for version in reversed(self.versions)))[:keep])

    def to_bytes(self) -> bytes:
        """The file."""
        lines = b",\n".join(map(line, self.versions))
        return f'{_START},"schema":{SCHEMA},"versions":[\n'.encode() + lines + b"\n]}\n"

    @classmethod
    def read(cls, raw: bytes) -> Manifest:
        """The manifest of a file's bytes, without a check of signatures; SnapshotError if it is not as it was written.

        Reasons: not a snapshot (not a manifest), newer schema, tampered.
        """
        if not is_manifest(raw):
            raise SnapshotError(f"this is not a manifest: it does not begin with {_START}.", "not a snapshot")
        try:
            found = json.loads(raw.decode("ascii"), object_pairs_hook=distinct_members)
            schema = found["schema"]
            if type(schema) is int and schema > SCHEMA:
                raise SnapshotError(
                    f"schema {schema} of the manifest is newer than {SCHEMA}; update oasis_alloc here.", "newer schema"
                )
            manifest = cls(tuple(_version(one) for one in found["versions"]))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            if isinstance(error, SnapshotError):
                raise
            raise SnapshotError(
                f"the manifest is not as it was written ({type(error).__name__}: {error}).", "tampered"
            ) from error
        if manifest.to_bytes() != raw:
            raise SnapshotError("the manifest's bytes differ from what a publisher writes.", "tampered")
        for before, after in pairwise(manifest.versions):
            if after.version != before.version + 1 or after.parent != hashlib.sha256(line(before)).hexdigest():
                raise SnapshotError(
                    f"version {after.version} of the manifest does not follow version {before.version}.", "tampered"
                )
        return manifest


def line(version: PublishedVersion) -> bytes:
    """The line of a version in the file."""
    return json.dumps(version.to_dict(), sort_keys=True, separators=(",", ":")).encode("ascii")


def signed_bytes(version: PublishedVersion) -> bytes:
    """What a signature of a version is made of; the version has its key's id."""
    members = version.to_dict()
    del members["signature"]
    return _SIGNED + json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii")


def signed(version: PublishedVersion, key: str, signature: bytes) -> PublishedVersion:
    """The version with a signature."""
    return replace(version, key=key, signature=signature.hex())


def is_manifest(raw: bytes) -> bool:
    """True if a file that begins with these bytes is a manifest, or is meant to be one."""
    return raw.startswith(_START.encode())


def file_of(digest: str) -> str:
    """Name of the snapshot with this digest."""
    return f"{digest}.policy"


def digest_of_file(name: str) -> str | None:
    """The digest in the name of a snapshot of a directory; None for other names."""
    digest = name.removesuffix(".policy")
    return digest if name.endswith(".policy") and _DIGEST.fullmatch(digest) else None


def now(seconds: float) -> str:
    """UNIX seconds as in a manifest.

    >>> now(1.5)
    '1970-01-01T00:00:01.500Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def checked_text(text: object, what: str) -> str:
    """A text that a manifest can have; InputError for anything else."""
    if not isinstance(text, str) or not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise InputError(f"{what} is {shown(text)}; expected a printable text of at most {_LONGEST:,} characters.")
    return text


def checked_texts(reasons: object, what: str) -> tuple[str, ...]:
    """Reasons that a manifest can have: a text, or several."""
    given = (reasons,) if isinstance(reasons, str) else reasons
    if not isinstance(given, (list, tuple)) or len(given) > _TEXTS:
        raise InputError(f"{what} is {shown(reasons)}; expected a list of at most {_TEXTS} texts.")
    return tuple(checked_text(text, f"{what}[{k}]") for k, text in enumerate(given))


def checked_accepted(accepted: object) -> dict[str, str]:
    """Gates that were accepted, each with a reason."""
    if not isinstance(accepted, Mapping) or len(accepted) > _TEXTS:
        raise InputError(f"accepted is {shown(accepted)}; expected {{gate: reason}} with at most {_TEXTS} gates.")
    return {
        checked_text(gate, "a gate of accepted"): checked_text(reason, f"accepted[{gate!r}]")
        for gate, reason in accepted.items()
    }


def _version(found: Any) -> PublishedVersion:
    """The version of a line; ValueError or TypeError for anything that a publisher does not write."""
    version = PublishedVersion(**found)
    texts = (version.kind, version.digest, version.policy_id, version.name, version.time, version.parent)
    if not all(isinstance(text, str) for text in (*texts, version.key, version.signature)):
        raise TypeError("a member that should be a text is not")
    if not all(type(number) is int and 0 < number <= _MOST for number in (version.version, version.of)):
        raise TypeError("a version is not a whole number above 0")
    if set(map(type, version.reasons)) - {str} or set(map(type, version.accepted.values())) - {str}:
        raise TypeError("a reason is not a text")
    if not all(
        text.isprintable() for text in (*texts, *version.reasons, *version.accepted, *version.accepted.values())
    ):
        raise ValueError("a text has characters that cannot be printed")
    wanted = {"publish": version.of == version.version, "rollback": version.of < version.version}
    if not wanted.get(version.kind, False):
        raise ValueError(f"version {version.version} is a {version.kind!r} of {version.of}")
    if not _DIGEST.fullmatch(version.digest) or not _TIME.fullmatch(version.time):
        raise ValueError(f"version {version.version} has no digest, or no time")
    if version.parent and not _DIGEST.fullmatch(version.parent):
        raise ValueError(f"the parent of version {version.version} is not a digest")
    if (version.key or version.signature) and not (
        _KEY.fullmatch(version.key) and _SIGNATURE.fullmatch(version.signature)
    ):
        raise ValueError(f"the key or the signature of version {version.version} has another form")
    return version
