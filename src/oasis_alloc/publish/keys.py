"""Ed25519 keys: made, read from PEM files or the environment, and named by a digest of the public key."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oasis_alloc.common.environment import variable_in
from oasis_alloc.common.labels import shown
from oasis_alloc.common.regular_files import read_regular
from oasis_alloc.errors import InputError, require
from oasis_alloc.publish.manifest import PublishedVersion, signed, signed_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

_LARGEST = 1 << 14  # bytes of a file with a key
SIZE = 32  # bytes of a public key


@dataclass(frozen=True)
class Signer:
    """A private key, by which versions are signed; its text shows only the key's id."""

    _key: Ed25519PrivateKey
    key_id: str

    def sign(self, version: PublishedVersion) -> PublishedVersion:
        """The version with the key's id and signature."""
        named = signed(version, self.key_id, b"")
        return signed(named, self.key_id, self._key.sign(signed_bytes(named)))

    def __repr__(self) -> str:
        return f"Signer({self.key_id})"


def signer_of(sign: str | os.PathLike[str]) -> Signer:
    """The private key of a PEM file, or of a variable of the environment, "env:NAME"; InputError if there is no key."""
    text, what = _text_of(sign, "sign")
    serialization = require("cryptography.hazmat.primitives.serialization", "sign")
    try:
        key: Any = serialization.load_pem_private_key(text, None)
    except (ValueError, TypeError) as error:  # TypeError: it has a passphrase
        reason = "it has a passphrase" if isinstance(error, TypeError) else "it is not a PEM file of a private key"
        raise InputError(f"{what}: {reason}; expected what `oasis-alloc keys new` writes as NAME.key.") from None
    ed25519 = require("cryptography.hazmat.primitives.asymmetric.ed25519", "sign")
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise InputError(f"{what} is a key of another kind; expected Ed25519, which `oasis-alloc keys new` makes.")
    return Signer(key, key_id(key.public_key().public_bytes_raw()))


def public_key(source: str | os.PathLike[str]) -> bytes:
    """The 32 bytes of a public key, from a PEM file or "env:NAME"; InputError if there is no such key."""
    text, what = _text_of(source, "keys")
    serialization = require("cryptography.hazmat.primitives.serialization", "sign")
    if b"PRIVATE KEY" in text:
        raise InputError(f"{what} has a private key; expected the public one, NAME.pub: hosts need no private key.")
    try:
        key: Any = serialization.load_pem_public_key(text)
    except ValueError:
        raise InputError(
            f"{what}: it is not a PEM file of a public key; expected what `oasis-alloc keys new` writes as NAME.pub."
        ) from None
    ed25519 = require("cryptography.hazmat.primitives.asymmetric.ed25519", "sign")
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise InputError(f"{what} is a key of another kind; expected Ed25519, which `oasis-alloc keys new` makes.")
    raw: bytes = key.public_bytes_raw()
    return raw


def key_id(public: bytes) -> str:
    """The id of a public key: 16 hexadecimal digits.

    >>> key_id(bytes(32))
    '66687aadf862bd77'
    """
    return hashlib.sha256(public).hexdigest()[:16]


def verifies(public: bytes, version: PublishedVersion) -> bool:
    """True if the signature of a version is that of the key."""
    ed25519 = require("cryptography.hazmat.primitives.asymmetric.ed25519", "sign")
    invalid = require("cryptography.exceptions", "sign").InvalidSignature
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(
            bytes.fromhex(version.signature), signed_bytes(version)
        )
    except (invalid, ValueError):
        return False
    return True


def make_keys(name: str | os.PathLike[str]) -> tuple[Path, Path, str]:
    """Write a new pair of keys, NAME.key and NAME.pub; return both files and the id. Existing files are an error."""
    serialization = require("cryptography.hazmat.primitives.serialization", "sign")
    ed25519 = require("cryptography.hazmat.primitives.asymmetric.ed25519", "sign")
    private, public = Path(f"{os.fspath(name)}.key"), Path(f"{os.fspath(name)}.pub")
    key = ed25519.Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    shared = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    for path in (private, public):
        if path.exists():
            raise InputError(f"{path} exists; a key is never overwritten. Give the new key another name.")
    for path, content, mode in ((private, secret, 0o600), (public, shared, 0o644)):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)  # never readable by others
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error}).") from error
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    return private, public, key_id(key.public_key().public_bytes_raw())


def id_of_file(path: str | os.PathLike[str]) -> str:
    """The id of a key, from the file of either half."""
    text, _ = _text_of(path, "key")
    return signer_of(path).key_id if b"PRIVATE KEY" in text else key_id(public_key(path))


def _text_of(source: object, argument: str) -> tuple[bytes, str]:
    """(the PEM text, how messages name its source). Messages never have the text."""
    variable = variable_in(source)
    if variable is not None:
        text = os.environ.get(variable)
        if text is None:
            raise InputError(f"{argument}={source!r}: the environment has no variable {variable!r}.")
        return text.encode(errors="surrogateescape"), f"the variable {variable}"
    if not isinstance(source, (str, os.PathLike)):
        raise InputError(f"{argument} is {shown(source)}; expected a PEM file, or 'env:NAME' for a variable.")
    path = Path(source)
    try:
        return read_regular(path, _LARGEST), str(path)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise InputError(f"{path}: the key cannot be read ({reason}).") from error
