"""A signed directory of published policies, byte for byte: for readers in other languages.

    python tests/golden/published_directory.py

makes `tests/golden/published/`: two policies, a manifest of three versions (the last is a roll-back), and the public
key. The private key is public here, so it signs nothing else.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from policies import CREATED, small

from oasis_alloc.publish.keys import Signer, key_id
from oasis_alloc.publish.manifest import NAME, Manifest, now
from oasis_alloc.serving.file.codec import encode
from oasis_alloc.serving.file.container import to_bytes

FOLDER = Path(__file__).parent / "published"


def files() -> dict[str, bytes]:
    """{name: bytes} of the directory."""
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    public = key.public_key()
    signer = Signer(key, key_id(public.public_bytes_raw()))
    policies = [small(CREATED), small(CREATED + 86400.0, 0.125)]
    out = {"radio.pub": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)}
    manifest = Manifest()
    for number, (k, of, kind, reason) in enumerate(
        [(0, 1, "publish", "the first one"), (1, 2, "publish", "Ünïcode 🎵"), (0, 1, "rollback", "wrong caps")]
    ):
        raw = to_bytes(*encode(policies[k]))
        digest = hashlib.sha256(raw).hexdigest()
        out[f"{digest}.policy"] = raw
        version = manifest.following(
            kind=kind, of=of, digest=digest, policy_id=policies[k].policy_id, name="radio", reasons=(reason,),
            accepted={"churn": "a new month"} if number == 1 else {}, time=now(CREATED + 86400.0 * number),
        )  # fmt: skip
        manifest = manifest.with_version(signer.sign(version))
    return out | {NAME: manifest.to_bytes()}


if __name__ == "__main__":
    for old in FOLDER.glob("*"):
        old.unlink()
    for name, raw in files().items():
        (FOLDER / name).write_bytes(raw)
        print(FOLDER.name, name, len(raw))
